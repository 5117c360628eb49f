"""Nothing is lost: outages, reloads, closed pages, lost logins, two windows, signing out."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from playwright.sync_api import Dialog, Page, Route, expect

from review.models import Assignment, Flag, Rating
from sqpsych_site.models import User
from tests.e2e.rating_page import (
    EXPERT,
    KEYS,
    expect_saved,
    give_work,
    item,
    open_page,
    press,
    values,
)

pytestmark = pytest.mark.django_db(transaction=True)
# All that is in the browser's storage.
STORED = "() => Object.entries({...localStorage, ...sessionStorage}).flat().join(' ')"


@pytest.fixture
def rater(make_user: Callable[..., User], sign_in: Callable[[User], None]) -> User:
    person = make_user("rater", username="clinician")
    sign_in(person)
    return person


@pytest.fixture
def work(rater: User) -> list[Assignment]:
    return give_work(rater, [["Hello.", "Um, hello."], ["Hi.", "Hi."]])


def test_what_is_given_in_an_outage_waits_and_goes_out_once(
    page: Page, live_server: Any, work: list[Assignment], expected_errors: list[str]
) -> None:
    expected_errors += ["status of 502", "ERR_FAILED", "ERR_ABORTED"]
    open_page(page, live_server, work[0])
    broken = {"how": "502"}
    reached: list[str] = []

    def fail(route: Route) -> None:
        if broken["how"] == "502":
            route.fulfill(status=502, body="<h1>Bad gateway</h1>")
        elif broken["how"] == "cut":
            # It reached the server, but the answer did not come back.
            reached.append(route.fetch().text())
            route.abort()
        else:
            route.continue_()

    page.route("**/save/", fail)
    press(page, "1", "2", "c")
    page.keyboard.type("A private thought.")
    press(page, "Escape", "f", "g", "2", "Enter")
    expect(page.locator("#save-state")).to_contain_text("4 changes are kept on this device.")
    expect(page.locator("#save-state")).to_contain_text("The server does not answer")
    assert values(work[0]) == {}
    # Kept in the browser, but not so that anybody could read it there.
    kept = page.evaluate(STORED)
    assert kept.count("sqpsych-outbox:") == 4
    assert "private" not in kept
    assert "t1_key" not in kept
    # Through a reload, and through a page that is closed, into another dialogue's page.
    page.reload()
    expect(item(page, KEYS[1]).locator("input[value='2']")).to_be_checked()
    expect(item(page, KEYS[2]).locator(".comment-text")).to_have_value("A private thought.")
    expect(page.locator("#flags .flag")).to_have_count(1)
    broken["how"] = "cut"
    page.evaluate("rate.outbox.now()")
    expect(page.locator("#save-state")).to_contain_text("kept on this device")
    page.wait_for_function("() => !rate.outbox.busy()")
    assert reached
    broken["how"] = ""
    open_page(page, live_server, work[1])
    page.wait_for_function("() => rate.outbox.unsent() === 0")
    assert values(work[0]) == {KEYS[0]: "1", KEYS[1]: "2", KEYS[2]: ""}
    assert Rating.objects.get(item=KEYS[2]).comment == "A private thought."
    assert set(Rating.objects.values_list("revision", flat=True)) == {1}
    assert Flag.objects.count() == 1
    assert page.evaluate(STORED) == ""


def test_a_lost_login_keeps_the_answers_and_signing_out_leaves_nothing(
    page: Page,
    live_server: Any,
    rater: User,
    work: list[Assignment],
    sign_in: Callable[[User], None],
    expected_errors: list[str],
) -> None:
    expected_errors += ["status of 502"]
    open_page(page, live_server, work[0])
    Session.objects.all().delete()
    press(page, "2")
    state = page.locator("#save-state")
    expect(state).to_contain_text("Your login has ended. Sign in again")
    # Signed in again in another window: this page takes the new token and sends what it kept.
    other = page.context.new_page()
    sign_in(rater)
    other.goto(f"{live_server.url}/review/")
    other.close()
    page.evaluate("rate.outbox.now()")
    expect_saved(page)
    assert values(work[0]) == {KEYS[0]: "2"}
    # What cannot be sent is thrown away by signing out, after a question.
    page.route("**/save/", lambda route: route.fulfill(status=502))
    press(page, "1")
    expect(state).to_contain_text("kept on this device")
    asked: list[str] = []

    def agree(dialog: Dialog) -> None:
        asked.append(dialog.message)
        dialog.accept()

    page.on("dialog", agree)
    page.goto(f"{live_server.url}/review/")
    page.locator("details.menu > summary").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(f"{live_server.url}/accounts/login/")
    assert asked == ["One change was not sent yet. Signing out throws it away."]
    assert page.evaluate(STORED) == ""


def test_two_windows_see_each_other_and_a_conflict_shows_both(
    page: Page, live_server: Any, work: list[Assignment]
) -> None:
    open_page(page, live_server, work[0])
    other = page.context.new_page()
    open_page(other, live_server, work[0])
    press(other, "0")
    expect_saved(other)
    press(page, "2")
    problem = page.locator(f"#problem-{EXPERT}-{KEYS[0]}")
    expect(problem).to_contain_text("Stored: 0. Yours: 2.")
    assert values(work[0]) == {KEYS[0]: "0"}
    problem.get_by_role("button", name="Keep mine").click()
    expect_saved(page)
    expect(problem).to_be_empty()
    assert values(work[0]) == {KEYS[0]: "2"}
    # The other window catches up when the rater comes back to it.
    other.evaluate("dispatchEvent(new Event('focus'))")
    other.wait_for_timeout(2100)
    other.evaluate("dispatchEvent(new Event('focus'))")
    expect(item(other, KEYS[0]).locator("input[value='2']")).to_be_checked()
    press(page, "k")
    press(other, "k", "k", "k", "1")
    expect_saved(other)
    press(page, "0")
    expect(problem).to_contain_text("Stored: 1. Yours: 0.")
    problem.get_by_role("button", name="Take the stored one").click()
    expect(item(page, KEYS[0]).locator("input[value='1']")).to_be_checked()
    assert values(work[0])[KEYS[0]] == "1"
    other.close()


def test_undo_and_redo_work_across_a_reload(
    page: Page, live_server: Any, work: list[Assignment]
) -> None:
    open_page(page, live_server, work[0])
    press(page, "2", "1")
    expect_saved(page)
    page.reload()
    press(page, "u")
    expect(item(page, KEYS[1]).locator("input:checked")).to_have_count(0)
    expect(page.locator("#open-count")).to_have_text("18 items are open")
    press(page, "u")
    expect(page.locator("#open-count")).to_have_text("19 items are open")
    press(page, "r")
    expect(item(page, KEYS[0]).locator("input[value='2']")).to_be_checked()
    expect_saved(page)
    assert values(work[0]) == {KEYS[0]: "2", KEYS[1]: ""}
    page.locator("#undo").click()
    expect(page.locator("#open-count")).to_have_text("19 items are open")
    press(page, "u")
    expect(page.locator("#save-state")).to_have_text("There is nothing to undo.")


def test_rating_that_could_not_be_submitted_comes_back(
    page: Page, live_server: Any, work: list[Assignment], expected_errors: list[str]
) -> None:
    expected_errors += ["ERR_FAILED"]
    open_page(page, live_server, work[0])
    press(page, *"1" * 18, "n")
    expect_saved(page)
    page.wait_for_function("() => rate.built()")
    how = {"now": "away"}

    def answer(route: Route) -> None:
        if route.request.method != "POST" or how["now"] == "well":
            return route.continue_()
        if how["now"] == "cut":
            route.fetch()
        return route.abort()

    page.route(f"**/review/{work[0].uid}/", answer)
    h1, state = page.locator("h1"), page.locator("#save-state")
    # No answer: the rating is there again, as it was, and says so.
    press(page, "Control+Enter")
    expect(state).to_contain_text("Not submitted: the server does not answer.")
    expect(h1).to_have_text("Dialogue 1 of 2")
    assert page.url.endswith(f"/review/{work[0].uid}/")
    expect(page.locator("#rating input.value[value='1']:checked")).to_have_count(18)
    assert [one.state for one in Assignment.objects.order_by("position")] == ["started", "due"]
    # The study was paused: the server's own words, on the rating that is not submitted.
    how["now"] = "well"
    study = work[0].study
    study.state = "paused"
    study.save()
    press(page, "Control+Enter")
    expect(page.locator(".answer [role=alert]")).to_be_visible()
    expect(h1).to_have_text("Dialogue 1 of 2")
    assert Assignment.objects.filter(state="submitted").count() == 0
    study.state = "running"
    study.save()
    # It arrived, but the answer was lost: the page finds out by itself.
    how["now"] = "cut"
    press(page, "Control+Enter")
    expect(state).to_have_text("Submitted")
    expect(h1).to_have_text("Dialogue 1 of 2")
    assert [one.state for one in Assignment.objects.order_by("position")] == [
        "submitted",
        "started",
    ]


def test_next_dialogue_is_there_before_the_server_has_answered(
    page: Page, live_server: Any, work: list[Assignment]
) -> None:
    open_page(page, live_server, work[0])
    press(page, *"1" * 18, "n")
    expect_saved(page)
    page.wait_for_function("() => rate.built()")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route(f"**/review/{work[0].uid}/", hold)
    press(page, "Control+Enter")
    expect(page.locator("h1")).to_have_text("Dialogue 2 of 2")
    assert page.url.endswith(f"/review/{work[1].uid}/")
    assert page.title() == f"Dialogue {work[1].code} · SQPsych"
    # What is given here meanwhile is kept, whatever becomes of the one before.
    press(page, "2")
    expect(item(page, KEYS[0]).locator("input[value='2']")).to_be_checked()
    expect_saved(page)
    [route] = held
    route.continue_()
    page.wait_for_function("() => !rate.submitting()")
    assert values(work[1]) == {KEYS[0]: "2"}
    expect(page.locator("h1")).to_have_text("Dialogue 2 of 2")
    assert [one.state for one in Assignment.objects.order_by("position")] == [
        "submitted",
        "started",
    ]


def test_time_counts_while_the_page_is_in_use_and_pauses_apart(
    page: Page, live_server: Any, work: list[Assignment]
) -> None:
    page.clock.install(time=0)
    page.clock.pause_at(1000)
    open_page(page, live_server, work[0])
    for seconds, key in ((40, "2"), (50, "1"), (600, "0"), (30, "2")):
        page.clock.fast_forward(seconds * 1000)
        press(page, key)
    # Another tab comes before this one.
    page.evaluate(
        """() => { Object.defineProperty(document, 'visibilityState', { value: 'hidden' });
        document.dispatchEvent(new Event('visibilitychange')); }"""
    )
    page.wait_for_function("() => !rate.outbox.busy() && !rate.outbox.waiting(rate.uid())")
    visit = work[0].visits.get()
    assert (visit.active_seconds, visit.paused_seconds) == (120, 600)
    work[0].refresh_from_db()
    assert (work[0].active_seconds, work[0].paused_seconds) == (120, 600)
