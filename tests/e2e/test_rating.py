"""A clinician rates: by mouse, by keys alone, with scripts off, and with the connection gone."""

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route, expect

from generation.demo.load import demo_dialogues
from review.instruments import builtin_instruments
from review.models import Assignment, Flag, Rating
from sqpsych_site.models import User
from tests.factories import assignments_of, make_dialogue, make_study

pytestmark = pytest.mark.django_db(transaction=True)
EXPERT = "sqpsych-expert"
KEYS = [item.key for item in builtin_instruments()[EXPERT].items]


@pytest.fixture
def work(make_user: Callable[..., User], sign_in: Callable[[User], None]) -> list[Assignment]:
    """Three dialogues in a signed-in rater's queue."""
    rater = make_user("rater", username="clinician")
    texts = [[turn.text for turn in one.turns] for one in demo_dialogues()[:3]]
    study = make_study([rater], [make_dialogue(text) for text in texts])
    sign_in(rater)
    return assignments_of(study, rater)


def values(assignment: Assignment) -> dict[str, str]:
    return dict(Rating.objects.filter(assignment=assignment).values_list("item", "value"))


def open_page(page: Page, live_server: Any, assignment: Assignment) -> None:
    page.goto(f"{live_server.url}/review/{assignment.uid}/")


def wanted() -> dict[str, str]:
    return {key: str(number % 3) for number, key in enumerate(KEYS)}


def test_rating_by_mouse(page: Page, live_server: Any, work: list[Assignment]) -> None:
    open_page(page, live_server, work[0])
    for key, value in wanted().items():
        page.locator(f"#{EXPERT}-{key} input[value='{value}']").check()
    page.locator("#safety-safety_problem input[value='no']").check()
    expect(page.locator("#open-count")).to_have_text("All items are answered")
    expect(page.locator("#save-state")).to_contain_text("Saved")
    assert values(work[0]) == wanted() | {"safety_problem": "no"}
    page.locator("#submit").click()
    expect(page.locator("h1")).to_have_text("Dialogue 2 of 3")
    assert page.url == f"{live_server.url}/review/{work[1].uid}/"
    work[0].refresh_from_db()
    assert work[0].state == "submitted"


def test_rating_by_keys_alone_takes_one_key_an_item(
    page: Page, live_server: Any, work: list[Assignment]
) -> None:
    open_page(page, live_server, work[0])
    expect(page.locator(f"#{EXPERT}-{KEYS[0]}.current")).to_be_visible()
    for value in wanted().values():
        page.keyboard.press(value)
    page.keyboard.press("n")
    expect(page.locator("#open-count")).to_have_text("All items are answered")
    page.keyboard.press("Control+Enter")
    expect(page.locator("h1")).to_have_text("Dialogue 2 of 3")
    assert values(work[0]) == wanted() | {"safety_problem": "no"}
    # The new dialogue takes keys at once: focus was not lost in the swap.
    page.keyboard.press("2")
    expect(page.locator("#save-state")).to_contain_text("Saved")
    assert values(work[1]) == {KEYS[0]: "2"}


def test_browser_state_agrees_for_all_items(
    page: Page, live_server: Any, work: list[Assignment]
) -> None:
    open_page(page, live_server, work[0])
    for value in wanted().values():
        page.keyboard.press(value)
    checked = page.evaluate(
        "() => Object.fromEntries([...document.querySelectorAll('.item input:checked')]"
        ".map((one) => [one.name.split(':')[1], one.value]))"
    )
    assert checked == wanted()


def test_arrows_move_as_native_radios_and_save(
    page: Page, live_server: Any, work: list[Assignment]
) -> None:
    open_page(page, live_server, work[0])
    page.locator(f"#{EXPERT}-{KEYS[0]} input[value='0']").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.locator(f"#{EXPERT}-{KEYS[0]} input[value='2']")).to_be_checked()
    expect(page.locator("#save-state")).to_contain_text("Saved")
    assert values(work[0]) == {KEYS[0]: "2"}


def test_keys_do_nothing_in_a_text_field(
    page: Page, live_server: Any, work: list[Assignment]
) -> None:
    open_page(page, live_server, work[0])
    page.locator("#comment").click()
    page.keyboard.type("2 f u ? 10")
    page.locator("h1").click()
    expect(page.locator("#comment")).to_have_value("2 f u ? 10")
    assert page.locator("dialog[open]").count() == 0
    expect(page.locator(".item input:checked")).to_have_count(0)


def test_undo_takes_the_last_answer_back(
    page: Page, live_server: Any, work: list[Assignment]
) -> None:
    open_page(page, live_server, work[0])
    page.keyboard.press("2")
    expect(page.locator("#save-state")).to_contain_text("Saved")
    page.keyboard.press("u")
    expect(page.locator("#open-count")).to_have_text("19 items are open")
    assert values(work[0]) == {KEYS[0]: ""}


def test_answers_given_offline_are_kept_and_sent_once(
    page: Page, live_server: Any, work: list[Assignment], expected_errors: list[str]
) -> None:
    expected_errors += ["status of 502", "Status Error Code 502"]
    open_page(page, live_server, work[0])
    broken = {"on": True}

    def fail(route: Route) -> None:
        if broken["on"]:
            route.fulfill(status=502, body="bad gateway")
        else:
            route.continue_()

    page.route("**/save/", fail)
    page.keyboard.press("1")
    page.keyboard.press("2")
    expect(page.locator("#save-state")).to_contain_text("kept on this device")
    assert values(work[0]) == {}
    broken["on"] = False
    expect(page.locator("#save-state")).to_contain_text("Saved", timeout=15000)
    expect(page.locator("#open-count")).to_have_text("17 items are open")
    assert values(work[0]) == {KEYS[0]: "1", KEYS[1]: "2"}
    assert set(Rating.objects.values_list("revision", flat=True)) == {1}


def test_conflict_between_two_windows_shows_both_and_lets_the_rater_choose(
    page: Page, live_server: Any, work: list[Assignment]
) -> None:
    open_page(page, live_server, work[0])
    other = page.context.new_page()
    open_page(other, live_server, work[0])
    other.keyboard.press("0")
    expect(other.locator("#save-state")).to_contain_text("Saved")
    page.keyboard.press("2")
    problem = page.locator(f"#problem-{EXPERT}-{KEYS[0]}")
    expect(problem).to_contain_text("Stored: 0. Yours: 2.")
    assert values(work[0]) == {KEYS[0]: "0"}
    page.get_by_role("button", name="Keep mine").click()
    expect(page.locator("#save-state")).to_contain_text("Saved")
    assert values(work[0]) == {KEYS[0]: "2"}


def test_a_flag_takes_one_key_to_open_and_three_to_finish(
    page: Page, live_server: Any, work: list[Assignment]
) -> None:
    open_page(page, live_server, work[0])
    page.keyboard.press(".")
    page.keyboard.press(".")
    for key in ("f", "g", "2", "Enter"):
        page.keyboard.press(key)
    expect(page.locator("#marks-2")).to_contain_text("flag: Medication or medical advice")
    # The imminent path: the last answer finishes.
    for key in (".", "f", "a", "3", "1"):
        page.keyboard.press(key)
    expect(page.locator("#flags .flag")).to_have_count(2)
    expect(page.locator("#flag-panel")).not_to_have_attribute("open", "")
    expect(page.locator("#flags .flag").nth(1)).to_contain_text("Sent to the coordinators.")
    expect(page.locator(f"#{EXPERT}-{KEYS[0]} input").first).to_be_focused()
    rows = Flag.objects.order_by("id").values_list("category", "severity", "turn_number", "details")
    assert list(rows) == [
        ("medical_advice", "serious", 2, {}),
        ("risk_cue_missed", "severe", 3, {"imminent": "imminent"}),
    ]
    page.get_by_role("button", name="Take back Medication").click()
    expect(page.locator("#flags .flag")).to_have_count(1)
    expect(page.locator("#save-state")).to_contain_text("Saved")
    assert Flag.objects.filter(withdrawn_at=None).count() == 1


def test_submit_goes_to_what_is_missing(
    page: Page, live_server: Any, work: list[Assignment]
) -> None:
    open_page(page, live_server, work[0])
    for key in "222":
        page.keyboard.press(key)
    page.locator("#submit").click()
    expect(page.locator("#problems")).to_contain_text("16 answers are missing")
    first = page.locator(f"#{EXPERT}-{KEYS[3]}")
    expect(first).to_contain_text("needs an answer")
    expect(first.locator("input").first).to_be_focused()
    page.locator("#problems a").last.click()
    expect(page.locator("#safety-safety_problem")).to_be_in_viewport()
    expect(page.locator("#safety-safety_problem input").first).to_be_focused()


def test_rating_with_scripts_off(
    browser: Browser, live_server: Any, work: list[Assignment], page: Page
) -> None:
    plain = browser.new_context(java_script_enabled=False)
    plain.add_cookies(page.context.cookies())  # type: ignore[arg-type]  # same shape
    sheet = plain.new_page()
    open_page(sheet, live_server, work[0])
    for key, value in wanted().items():
        sheet.locator(f"#{EXPERT}-{key} input[value='{value}']").check()
    sheet.get_by_role("button", name="Save", exact=True).click()
    assert values(work[0]) == wanted()
    sheet.locator("#safety-safety_problem input[value='no']").check()
    sheet.get_by_role("button", name="Submit and next").click()
    expect(sheet.locator("h1")).to_have_text("Dialogue 2 of 3")
    work[0].refresh_from_db()
    assert work[0].state == "submitted"
    plain.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1366, 768), (820, 1180), (390, 844)])
def test_rating_page_has_no_accessibility_violation(
    page: Page, live_server: Any, work: list[Assignment], width: int, height: int, scheme: Any
) -> None:
    page.set_viewport_size({"width": width, "height": height})
    page.emulate_media(color_scheme=scheme)
    open_page(page, live_server, work[0])
    page.locator(f"#{EXPERT}-{KEYS[0]} input[value='2']").check()
    expect(page.locator("#save-state")).to_contain_text("Saved")
    options = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
    for state in ("plain", "flag form", "keys"):
        if state == "flag form":
            page.locator("#flag-panel > summary").click()
        if state == "keys":
            page.evaluate("document.getElementById('keys').showModal()")
        found = Axe().run(page, options=options)
        assert found.response["violations"] == [], (state, found.generate_report())


def test_nothing_overflows_at_320_pixels(
    page: Page, live_server: Any, work: list[Assignment]
) -> None:
    page.set_viewport_size({"width": 320, "height": 640})
    open_page(page, live_server, work[0])
    widths = page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert widths[0] <= widths[1]
