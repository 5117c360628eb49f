"""Comparing two dialogues in a real browser: by keys, by mouse, and while the server is away."""

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.sessions.models import Session
from django.urls import reverse
from playwright.sync_api import Page, Route, expect

from review.models import Comparison
from sqpsych_site.models import User
from tests.review.test_comparisons import first_of, made, make_batch

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def opened(
    page: Page, live_server: Any, make_user: Callable[..., User], sign_in: Callable[[User], None]
) -> Comparison:
    """The first of three pairs, open in the browser."""
    person = make_user("rater")
    row = first_of(made([person], make_batch(profiles=3)), person)
    sign_in(person)
    page.goto(live_server.url + reverse("review:compare", args=[row.uid]))
    return row


def stored(row: Comparison) -> tuple[str, str]:
    row.refresh_from_db()
    return row.choice, row.state


def test_keys_choose_submit_and_open_the_next_pair(page: Page, opened: Comparison) -> None:
    page.keyboard.press("2")
    expect(page.locator("#pair-state")).to_contain_text("Saved")
    expect(page.get_by_label("The right one")).to_be_checked()
    right = "one" if opened.swapped else "other"
    assert stored(opened) == (right, "started")
    page.keyboard.press("c")
    page.keyboard.type("0 is no key here")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("heading", name="Pair 2 of 3")).to_be_visible()
    assert stored(opened) == (right, "submitted")
    assert opened.comment == "0 is no key here"


def test_submitting_without_a_choice_says_so_and_stays(page: Page, opened: Comparison) -> None:
    page.get_by_role("button", name="Submit and next").click()
    expect(page.get_by_role("alert")).to_contain_text("Please choose the left one")
    expect(page.get_by_role("heading", name="Pair 1 of 3")).to_be_visible()
    page.get_by_label("Both alike").check(force=True)
    page.get_by_role("button", name="Submit and next").click()
    expect(page.get_by_role("heading", name="Pair 2 of 3")).to_be_visible()
    assert stored(opened) == ("tie", "submitted")


def test_choice_made_while_the_server_is_away_is_saved_when_it_is_back(
    page: Page, opened: Comparison, expected_errors: list[str]
) -> None:
    expected_errors += ["Failed to load resource", "htmx:sendError", "htmx:afterRequest"]
    away = True

    def fail(route: Route) -> None:
        if away and route.request.method == "POST":
            route.abort()
        else:
            route.continue_()

    page.route("**/review/compare/**", fail)
    page.keyboard.press("1")
    expect(page.locator("#pair-state")).to_contain_text("Not saved")
    away = False
    expect(page.locator("#pair-state")).to_contain_text("Saved", timeout=15_000)
    left = "other" if opened.swapped else "one"
    assert stored(opened) == (left, "started")


def test_choice_made_after_the_login_has_ended_stays_on_the_page(
    page: Page, opened: Comparison, expected_errors: list[str]
) -> None:
    expected_errors += ["status of 401", "Response Status Error Code 401"]
    here = page.url
    Session.objects.all().delete()
    page.keyboard.press("1")
    expect(page.locator("#pair-state")).to_contain_text("sign in again in another window")
    assert page.url == here
    expect(page.locator("#judgment input:checked")).to_have_count(1)


@pytest.mark.parametrize(("width", "scheme"), [(1366, "light"), (820, "dark"), (390, "light")])
def test_page_has_no_violation_and_does_not_overflow(
    page: Page, opened: Comparison, width: int, scheme: Any
) -> None:
    page.set_viewport_size({"width": width, "height": 768})
    page.emulate_media(color_scheme=scheme)
    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]})
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
