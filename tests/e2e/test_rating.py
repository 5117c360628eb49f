"""A clinician rates: by mouse, by keys alone, every kind of item, flags, and what is missing."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, Request, Response, expect

from generation.demo.load import demo_dialogues
from review.models import Assignment, Evidence, Flag, Rating
from sqpsych_site.models import User
from tests.e2e.rating_page import (
    KEYS,
    WANTED,
    expect_saved,
    give_work,
    item,
    open_page,
    press,
    values,
)
from tests.factories import assignments_of
from tests.review.forms import TRIAL, trial_study

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def rater(make_user: Callable[..., User], sign_in: Callable[[User], None]) -> User:
    person = make_user("rater", username="clinician")
    sign_in(person)
    return person


@pytest.fixture
def work(rater: User) -> list[Assignment]:
    """Three dialogues in a signed-in rater's queue."""
    return give_work(rater, [[turn.text for turn in one.turns] for one in demo_dialogues()[:3]])


def test_whole_ratings_by_mouse_and_by_keys_alone(
    page: Page, live_server: Any, work: list[Assignment]
) -> None:
    saves: list[Request] = []
    sizes: list[int] = []
    submits: list[Response] = []

    def seen(response: Response) -> None:
        if response.url.endswith("/save/"):
            saves.append(response.request)
            sizes.append(int(response.headers["content-length"]))
        elif response.request.method == "POST":
            submits.append(response)

    page.on("response", seen)
    open_page(page, live_server, work[0])
    for key, value in WANTED.items():
        item(page, key).locator(f"input[value='{value}']").check()
        expect_saved(page)
    item(page, "safety_problem", "safety").locator("input[value='no']").check()
    expect(page.locator("#open-count")).to_have_text("All items are answered")
    expect_saved(page)
    assert values(work[0]) == WANTED | {"safety_problem": "no"}
    # One small request for each answer.
    assert len(saves) == 19
    assert max(len(one.post_data or "") for one in saves) < 1000
    assert max(sizes) < 2000
    page.locator("#submit").click()
    expect(page.locator("h1")).to_have_text("Dialogue 2 of 3")
    assert page.url == f"{live_server.url}/review/{work[1].uid}/"
    # The next dialogue was there already; the submit itself brought nothing.
    assert [(one.status, one.headers["x-next"]) for one in submits] == [(204, str(work[1].uid))]
    work[0].refresh_from_db()
    work[1].refresh_from_db()
    assert (work[0].state, work[1].state) == ("submitted", "started")

    # The new dialogue takes keys at once: 18 keys, the safety question, and one to submit.
    press(page, *WANTED.values())
    state = page.evaluate(
        "() => Object.fromEntries([...document.querySelectorAll('.item input:checked')]"
        ".map((one) => [one.name.split(':')[1], one.value]))"
    )
    assert state == WANTED
    press(page, "n", "Control+Enter")
    expect(page.locator("h1")).to_have_text("Dialogue 3 of 3")
    assert values(work[1]) == WANTED | {"safety_problem": "no"}
    assert set(Rating.objects.values_list("revision", flat=True)) == {1}
    work[0].refresh_from_db()
    assert work[0].visits.count() == 1

    # The browser's own way back works too.
    page.go_back()
    expect(page.locator("h1")).to_have_text("Dialogue 2 of 3")
    expect(page.locator("#save-state")).to_have_text("Submitted")
    page.go_forward()
    expect(page.locator("h1")).to_have_text("Dialogue 3 of 3")
    expect(page.locator(".item.current")).to_be_visible()

    # Back and forth: what was submitted is closed until it is reopened.
    page.get_by_role("link", name="Previous").click()
    expect(page.locator("#save-state")).to_have_text("Submitted")
    expect(item(page, KEYS[0]).locator("input").first).to_be_disabled()
    page.get_by_role("button", name="Reopen").click()
    expect(item(page, KEYS[0]).locator("input").first).to_be_enabled()


def test_keys_leave_the_browser_its_own_and_can_be_switched_off(
    page: Page, live_server: Any, work: list[Assignment]
) -> None:
    open_page(page, live_server, work[0])
    first = item(page, KEYS[0])
    expect(first.locator("input").first).to_be_focused()
    # Arrows move as native radios do, and what they choose is saved.
    first.locator("input[value='0']").check()
    press(page, "ArrowRight", "ArrowRight")
    expect(first.locator("input[value='2']")).to_be_checked()
    expect_saved(page)
    assert values(work[0]) == {KEYS[0]: "2"}
    # Enter on an answer goes on; it does not send the form.
    press(page, "Enter")
    expect(item(page, KEYS[1]).locator("input").first).to_be_focused()
    press(page, "k")
    expect(first).to_have_class("item scale current")
    press(page, "g")
    expect(first.locator("details.more")).to_have_attribute("open", "")
    press(page, "g", "j", "1")
    # In a text field keys only write; Escape leads back to the item.
    press(page, "k", "k", "c")
    page.keyboard.type("2 f u ? 10")
    expect(first.locator(".comment-text")).to_have_value("2 f u ? 10")
    expect(first.locator("input[value='2']")).to_be_checked()
    press(page, "Escape")
    expect(first.locator("input[value='2']")).to_be_focused()
    expect_saved(page)
    assert Rating.objects.get(item=KEYS[0]).comment == "2 f u ? 10"
    press(page, "w")
    page.keyboard.type("About it all.")
    press(page, "Escape")
    expect_saved(page)
    work[0].refresh_from_db()
    assert work[0].comment == "About it all."
    # With Ctrl, Alt or Meta nothing of ours happens.
    press(page, "Control+2", "Alt+2")
    expect(page.locator(".item input:checked")).to_have_count(2)
    press(page, "?")
    expect(page.locator("#keys")).to_be_visible()
    page.locator("#keys-on").uncheck()
    page.get_by_role("button", name="Close").click()
    item(page, KEYS[2]).locator("input").first.focus()
    press(page, "2", "j", "f")
    expect(page.locator(".item input:checked")).to_have_count(2)
    expect(page.locator("#flag-panel")).not_to_have_attribute("open", "")


def test_every_kind_of_item_by_keys(page: Page, live_server: Any, rater: User) -> None:
    [assignment] = assignments_of(trial_study(rater), rater)
    open_page(page, live_server, assignment)
    # Items about turns come along the dialogue, one turn after the other.
    for turn, key in ((1, "0"), (1, "0"), (2, "0"), (2, "1"), (3, "1")):
        expect(page.locator(f"#turn-{turn}")).to_have_class(
            "turn client current" if turn == 2 else "turn therapist current"
        )
        press(page, key)
    # A half mark is the same key again; then on.
    half = item(page, "half", TRIAL)
    expect(half).to_have_class("item scale tall current")
    press(page, "4", "4")
    expect(half.locator("input[value='4.5']")).to_be_checked()
    press(page, ",", ",", "e", "Enter")
    expect(item(page, "how_bad", TRIAL)).to_be_hidden()
    press(page, "y")
    expect(item(page, "how_bad", TRIAL)).to_have_class("item scale current")
    press(page, "3", "2", "1", "2", "Enter")
    page.keyboard.type("Mine.")
    expect(page.locator("#open-count")).to_have_text("All items are answered")
    press(page, "Escape")
    expect_saved(page)
    given = {
        (one.item, one.turn_number): one.value
        for one in Rating.objects.filter(assignment=assignment)
    }
    assert given == {
        ("warm", 1): "0",
        ("cold", 1): "0",
        ("warm", 2): "0",
        ("cold", 2): "1",
        ("warm", 3): "1",
        ("half", None): "4.5",
        ("risk", None): "yes",
        ("how_bad", None): "3",
        ("approach", None): "other",
        ("reasons", None): "harm|tone",
        ("words", None): "Mine.",
    }
    # What stands alone clears the others.
    item(page, "reasons", TRIAL).locator("input[value=none]").check()
    expect(item(page, "reasons", TRIAL).locator("input:checked")).to_have_count(1)
    # Evidence that is needed is missing at turn 3; the page leads there.
    press(page, "Control+Enter")
    expect(page.locator("#problems")).to_contain_text("needs a marked passage as evidence")
    lacking = page.locator(f"#{TRIAL}-warm-t3")
    expect(lacking.locator("input:checked")).to_be_focused()
    press(page, "e")
    expect(lacking.locator(".evidence-list")).to_contain_text("turn 3")
    press(page, "Control+Enter")
    expect(page).to_have_url(f"{live_server.url}/review/")
    marks = Evidence.objects.order_by("id").values_list("item", "turn_number")
    assert list(marks) == [("half", 1), ("warm", 3)]


def test_submit_leads_to_what_is_missing(
    page: Page, live_server: Any, work: list[Assignment]
) -> None:
    open_page(page, live_server, work[0])
    press(page, "2", "2", "2")
    page.locator("#submit").click()
    expect(page.locator("#problems")).to_contain_text("16 answers are missing")
    first = item(page, KEYS[3])
    expect(first).to_contain_text("needs an answer")
    expect(first.locator("input").first).to_be_focused()
    page.locator("#problems a").last.click()
    expect(item(page, "safety_problem", "safety").locator("input").first).to_be_focused()
    expect(item(page, "safety_problem", "safety")).to_be_in_viewport()


def test_a_flag_takes_one_key_to_open_and_three_to_finish(
    page: Page, live_server: Any, work: list[Assignment]
) -> None:
    open_page(page, live_server, work[0])
    press(page, ".", ".", "f", "g", "2", "Enter")
    expect(page.locator("#marks-2")).to_contain_text("flag: Medication or medical advice")
    # The imminent path: the last answer finishes.
    press(page, ".", "f", "a", "3", "1")
    expect(page.locator("#flags .flag")).to_have_count(2)
    expect(page.locator("#flag-panel")).not_to_have_attribute("open", "")
    severe = page.locator("#flags .flag").nth(1)
    expect(severe.get_by_text("Sent to the coordinators.")).to_be_visible()
    expect(item(page, KEYS[0]).locator("input").first).to_be_focused()
    rows = Flag.objects.order_by("id").values_list("category", "severity", "turn_number", "details")
    assert list(rows) == [
        ("medical_advice", "serious", 2, {}),
        ("risk_cue_missed", "severe", 3, {"imminent": "imminent"}),
    ]
    # A key too few is told; Escape leaves it.
    press(page, "f", "b", "Enter")
    expect(page.locator("#save-state")).to_have_text("Choose the problem and its severity first.")
    press(page, "Escape")
    expect(page.locator("#flag-panel")).not_to_have_attribute("open", "")
    # Change and take back.
    severe.get_by_role("button", name="Change").click()
    page.locator("#flag-note").fill("Said twice.")
    page.get_by_role("button", name="Save the flag").click()
    expect(severe).to_contain_text("Said twice.")
    page.get_by_role("button", name="Take back Medication").click()
    expect(page.locator("#flags .flag")).to_have_count(1)
    expect_saved(page)
    [flag] = Flag.objects.filter(withdrawn_at=None)
    assert (flag.note, flag.turn_number) == ("Said twice.", 3)
    # A click on the chip leads to the flag.
    page.locator("#marks-3 a").click()
    expect(page.locator("#flags .flag")).to_be_focused()
