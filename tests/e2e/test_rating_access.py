"""The rating page for everyone: rules of accessibility, zoom, touch, print, scripts off."""

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from generation.demo.load import demo_dialogues
from review.models import Assignment, Flag
from sqpsych_site.models import User
from tests.e2e.rating_page import (
    EXPERT,
    KEYS,
    WANTED,
    expect_saved,
    give_work,
    item,
    open_page,
    press,
    values,
)

pytestmark = pytest.mark.django_db(transaction=True)
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
SIZES: list[tuple[int, int, list[Any]]] = [
    (1366, 768, ["light", "dark"]),
    (820, 1180, ["light"]),
    (390, 844, ["dark"]),
]
OVERFLOW = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"

SMALL = """() => [...document.querySelectorAll('.choice, .btn, .item.current :is(button, summary)')]
    .filter((one) => one.checkVisibility())
    .map((one) => [one.textContent.trim(), one.getBoundingClientRect()])
    .filter(([, box]) => box.width < 44 || box.height < 44)
    .map(([text, box]) => [text, box.width, box.height])"""


@pytest.fixture
def rater(make_user: Callable[..., User], sign_in: Callable[[User], None]) -> User:
    person = make_user("rater", username="clinician")
    sign_in(person)
    return person


@pytest.fixture
def work(rater: User) -> list[Assignment]:
    texts = [[turn.text for turn in one.turns] for one in demo_dialogues()[:2]]
    return give_work(rater, [texts[0][:6], texts[1]])


def check(page: Page, state: object) -> None:
    found = Axe().run(page, options=RULES)
    assert found.response["violations"] == [], (state, found.generate_report())


def test_no_accessibility_violation_in_any_state(
    page: Page, live_server: Any, work: list[Assignment]
) -> None:
    page.emulate_media(reduced_motion="reduce")
    open_page(page, live_server, work[0])
    press(page, "2", ".", "e", "c", "Escape", "g")
    page.evaluate(
        """() => getSelection().setBaseAndExtent(
        document.querySelector('#turn-2 > .said').firstChild, 0,
        document.querySelector('#turn-2 > .said').firstChild, 9)"""
    )
    press(page, "e", "f", "a", "3", "1")
    expect_saved(page)

    def looks(state: str) -> None:
        for width, height, schemes in SIZES:
            page.set_viewport_size({"width": width, "height": height})
            for scheme in schemes:
                page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
                check(page, (state, width, scheme))
            assert page.evaluate(OVERFLOW) <= 0, (state, width)
        page.set_viewport_size({"width": 1366, "height": 768})

    looks("marks and a flag")
    press(page, "f", "b")
    page.locator("details.reading-menu > summary").click()
    looks("flag form and view menu")
    page.locator("details.reading-menu > summary").click()
    press(page, "?")
    check(page, "keys")
    press(page, "Escape")
    page.locator("#submit").click()
    expect(page.locator("#problems")).to_be_visible()
    looks("problems")
    page.evaluate("document.documentElement.dataset.theme = 'contrast'")
    check(page, "contrast")
    item(page, "safety_problem", "safety").locator("input[value=yes]").check()
    item(page, KEYS[1]).locator("input").first.focus()
    press(page, *list(WANTED.values())[1:], "Control+Enter")
    expect(page.locator("h1")).to_have_text("Dialogue 2 of 2")
    page.get_by_role("link", name="Previous").click()
    expect(page.locator("#save-state")).to_have_text("Submitted")
    check(page, "read only")


def test_zoom_touch_and_print(
    page: Page, browser: Browser, live_server: Any, work: list[Assignment]
) -> None:
    # Both panes in sight and scrolling apart.
    for width in (1366, 1024):
        page.set_viewport_size({"width": width, "height": 768})
        open_page(page, live_server, work[1])
        page.locator("#dialogue").evaluate("(one) => one.scrollTo(0, 5000)")
        expect(page.locator(".transcript .turn").last).to_be_in_viewport()
        expect(page.locator(".item.current")).to_be_in_viewport()
        assert page.evaluate("scrollY") == 0
    # 400 % of 1280 x 1024.
    page.set_viewport_size({"width": 320, "height": 256})
    open_page(page, live_server, work[0])
    assert page.evaluate(OVERFLOW) <= 0
    # What is chosen for reading is remembered.
    page.set_viewport_size({"width": 1366, "height": 768})
    page.locator("details.reading-menu > summary").click()
    with page.expect_response("**/review/reading/"):
        page.get_by_role("button", name="Huge").click()
    size = "(one) => parseFloat(getComputedStyle(one).fontSize)"
    assert page.locator(".said").first.evaluate(size) > 20
    page.reload()
    assert page.locator(".said").first.evaluate(size) > 20
    page.emulate_media(media="print")
    expect(page.locator(".transcript .turn").last).to_be_visible()
    expect(page.locator(".rate-foot")).to_be_hidden()
    # A phone: the current item stays in sight while one reads, and fingers hit what they aim at.
    phone = browser.new_context(
        viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True
    )
    phone.add_cookies(page.context.cookies())  # type: ignore[arg-type]  # same shape
    sheet = phone.new_page()
    open_page(sheet, live_server, work[0])
    expect(item(sheet, KEYS[0])).to_be_in_viewport()
    expect(sheet.locator("#turn-1")).to_be_in_viewport()
    small = sheet.evaluate(SMALL)
    assert small == []
    item(sheet, KEYS[0]).locator("label", has=sheet.locator("input[value='2']")).tap()
    expect_saved(sheet)
    sheet.locator("#flags").scroll_into_view_if_needed()
    expect(sheet.locator("#workspace")).not_to_have_class("workspace reading")
    phone.set_offline(True)
    phone.close()
    assert values(work[0]) == {KEYS[0]: "2"}


def test_rating_with_scripts_off(
    browser: Browser, live_server: Any, work: list[Assignment], page: Page
) -> None:
    plain = browser.new_context(java_script_enabled=False)
    plain.add_cookies(page.context.cookies())  # type: ignore[arg-type]  # same shape
    sheet = plain.new_page()
    open_page(sheet, live_server, work[0])
    for key, value in WANTED.items():
        item(sheet, key).locator(f"input[value='{value}']").check()
    item(sheet, KEYS[0]).locator(".comment > summary").click()
    item(sheet, KEYS[0]).locator(".comment-text").fill("In a word.")
    sheet.get_by_role("button", name="Save", exact=True).click()
    assert values(work[0]) == WANTED
    sheet.locator("#flag-panel > summary").click()
    sheet.get_by_role("radio", name="Medication or medical advice").check()
    sheet.get_by_role("radio", name="Serious").check()
    sheet.locator("#flag-turn").fill("3")
    sheet.get_by_role("button", name="Save the flag").click()
    expect(sheet.locator("#marks-3")).to_contain_text("flag: Medication or medical advice")
    assert Flag.objects.get().turn_number == 3
    item(sheet, "safety_problem", "safety").locator("input[value='yes']").check()
    sheet.get_by_role("button", name="Submit and next").click()
    expect(sheet.locator("h1")).to_have_text("Dialogue 2 of 2")
    work[0].refresh_from_db()
    assert work[0].state == "submitted"
    assert work[0].ratings.get(item=KEYS[0]).comment == "In a word."
    assert EXPERT in sheet.content()
    plain.close()
