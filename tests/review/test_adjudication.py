"""Adjudication: what is disputed, who may decide, that the ratings stay, and the pages."""

import threading
from decimal import Decimal
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from review import actions
from review.actions import Refused
from review.actions.instruments import add_instrument
from review.adjudication import case_of, cases_of
from review.disputes import Spot, flag_disputes, item_disputes, spread_of
from review.exports import Origin, export_table
from review.instruments import builtin_instruments, load_instrument
from review.models import Adjudication, Adjudicator, Assignment, Evidence, Flag, Rating, Study
from review.tables import Options
from sqpsych_site.models import AuditEntry, User
from tests.factories import WHEN, assignments_of, make_dialogue, make_instrument, make_study
from tests.review.forms import TOML
from tests.review.test_exports import read

EXPERT = builtin_instruments()["sqpsych-expert"]
SAFETY = builtin_instruments()["safety"]
ITEM = "t1_key_thoughts"
KEY = f"sqpsych-expert.{ITEM}"


# -- what a dispute is ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "limit", "spread"),
    [
        (["0", "2"], 1, 1.0),
        (["0", "1"], 1, 0.0),
        (["0", "1"], 0, 0.5),
        (["0", "not_sure", "2"], 1, 1.0),
        (["not_sure", "2"], 0, 0.0),
        ([], 0, 0.0),
    ],
)
def test_scale_is_disputed_beyond_the_limit(values, limit, spread):
    assert spread_of(EXPERT.item(ITEM), values, Decimal(limit)) == spread


def test_yes_and_no_are_always_disputed():
    item = SAFETY.item("safety_problem")
    assert spread_of(item, ["yes", "no"], Decimal(50)) == 1.0
    assert spread_of(item, ["yes", "yes", "not_sure"], Decimal(0)) == 0.0


@given(st.lists(st.sampled_from(["0", "1", "2", "not_sure"]), max_size=5))
def test_a_wider_limit_never_makes_more_disputes(values):
    item = EXPERT.item(ITEM)
    spreads = [spread_of(item, values, Decimal(limit)) for limit in (0, 1, 2)]
    assert spreads == sorted(spreads, reverse=True)
    assert spreads[2] == 0


def test_item_dispute_tells_answers_and_choices():
    [found] = item_disputes(EXPERT, {(ITEM, None): {"R1": "0", "R2": "2"}}, Decimal(1))
    assert (found.key, found.spread, found.answers) == (KEY, 1.0, {"R1": "0", "R2": "2"})
    assert [value for value, _ in found.choices] == ["0", "1", "2", "not_sure"]
    assert found.said("0").startswith("0: no thought")


def test_item_about_turns_is_disputed_turn_by_turn():
    form = load_instrument(TOML, "trial")
    answers: dict[Spot, dict[str, str]] = {
        ("warm", 10): {"R1": "0", "R2": "1"},
        ("warm", 2): {"R1": "1", "R2": "0", "R3": "1"},
        ("warm", 3): {"R1": "1"},
        ("warm", 4): {"R1": "1", "R2": "1"},
    }
    found = item_disputes(form, answers, Decimal(0))
    assert [(one.turn, one.spread) for one in found] == [(2, 1.0), (10, 1.0)]
    assert [one.key for one in found] == ["trial.warm.turn2", "trial.warm.turn10"]
    assert found[0].answers == {"R1": "1", "R2": "0", "R3": "1"}


def test_flag_is_disputed_where_some_raised_it():
    flags = {"boundary": {"R1": "severe"}, "bias": {"R1": "concern", "R2": "concern"}}
    [found] = flag_disputes(SAFETY, ["R1", "R2"], flags)
    assert (found.key, found.spread) == ("safety.flag.boundary", 3.0)
    assert found.answers == {"R1": "severe", "R2": "none"}
    assert found.said("none") == "No flag"
    assert flag_disputes(EXPERT, ["R1", "R2"], flags) == []


# -- whose turn it is -------------------------------------------------------------------------


def rate(work: Assignment, value: str, comment: str = "", state: str = "submitted") -> None:
    Rating.objects.create(
        assignment=work, instrument=make_instrument(), item=ITEM, value=value, comment=comment
    )
    Assignment.objects.filter(pk=work.pk).update(
        state=state, opened_at=WHEN, submitted_at=WHEN if state == "submitted" else None
    )


@pytest.fixture
def senior(make_user: Any) -> User:
    person: User = make_user("rater", username="senior")
    return person


@pytest.fixture
def study(rater: User, other_rater: User, senior: User, coordinator: User) -> Study:
    """Three dialogues: far apart, near, and one that the second rater has not finished."""
    texts = ["Hello there.", "Um, <b>hello</b>."]
    made = make_study([rater, other_rater], [make_dialogue(texts) for _ in range(3)], name="Pilot")
    for value, work in zip("012", assignments_of(made, rater), strict=True):
        rate(work, value, "canary comment")
    first, second, third = assignments_of(made, other_rater)
    rate(first, "2")
    rate(second, "2")
    rate(third, "0", state="started")
    Evidence.objects.create(
        assignment=first, instrument=make_instrument(), item=ITEM, turn_number=2, start=4, end=9
    )
    plan(made, [senior], coordinator)
    return made


def plan(study: Study, people: list[User], by: User, **more: Any) -> None:
    given = {"limit": Decimal(1), "flags": True, **more}
    actions.plan_adjudication(study=study, people=people, by=by, **given)


def decide(study: Study, by: User, code: str = "D001", **more: Any) -> Adjudication:
    given = {"dispute": KEY, "value": "1", "reason": "Named late.", **more}
    return actions.decide(study=study, code=code, by=by, **given)


def refusal(study: Study, by: User, **more: Any) -> str:
    with pytest.raises(Refused) as caught:
        decide(study, by, **more)
    return caught.value.sentence


def test_case_is_a_finished_dialogue_with_a_dispute(study, senior, coordinator):
    assert [case.dialogue.code for case in cases_of(study, senior)] == ["D001"]
    plan(study, [senior], coordinator, limit=Decimal(0))
    assert [case.dialogue.code for case in cases_of(study, senior)] == ["D001", "D002"]
    Assignment.objects.filter(state="started").update(state="submitted", submitted_at=WHEN)
    assert [case.dialogue.code for case in cases_of(study, senior)] == ["D001", "D003", "D002"]


def test_practice_and_repeats_make_no_case(study, senior, rater):
    row = study.study_dialogues.get(code="D002")
    for position, kind in enumerate(("repeat", "calibration", "practice"), start=20):
        extra = Assignment.objects.create(
            study=study, study_dialogue=row, rater=rater, position=position, kind=kind
        )
        rate(extra, "0")
    assert [case.dialogue.code for case in cases_of(study, senior)] == ["D001"]


def test_flags_are_disputed_unless_the_plan_says_no(study, senior, coordinator, rater):
    work = assignments_of(study, rater)[1]
    raised = Flag.objects.create(assignment=work, category="boundary", severity="serious")
    found = {case.dialogue.code: case for case in cases_of(study, senior)}
    [dispute] = found["D002"].disputes
    assert (dispute.key, dispute.answers["R1"]) == ("safety.flag.boundary", "serious")
    milder = Flag.objects.create(assignment=work, category="boundary", severity="concern")
    [dispute] = {one.dialogue.code: one for one in cases_of(study, senior)}["D002"].disputes
    assert dispute.answers["R1"] == "serious"  # the worst that the rater gave
    Flag.objects.filter(pk=milder.pk).update(withdrawn_at=WHEN)
    Flag.objects.filter(pk=raised.pk).update(withdrawn_at=WHEN)
    assert len(cases_of(study, senior)) == 1
    Flag.objects.filter(pk=raised.pk).update(withdrawn_at=None)
    plan(study, [senior], coordinator, flags=False)
    assert len(cases_of(study, senior)) == 1


def test_nobody_decides_on_a_dialogue_they_were_given(study, rater, senior, coordinator):
    plan(study, [senior, rater], coordinator)
    assert cases_of(study, rater) == []
    assert refusal(study, rater) == "This dialogue is not yours to decide."
    other = make_study([senior], [study.study_dialogues.get(code="D001").dialogue], name="Else")
    assert other.assignments.count() == 1
    assert case_of(study, senior, "D001") is None


def test_only_the_appointed_decide(study, senior, other_rater, coordinator):
    for person in (coordinator, other_rater):
        assert refusal(study, person) == "This dialogue is not yours to decide."
    plan(study, [], coordinator)
    assert refusal(study, senior) == "This dialogue is not yours to decide."
    assert not Adjudication.objects.exists()


# -- deciding ---------------------------------------------------------------------------------


def test_decision_leaves_the_ratings_and_keeps_every_version(study, senior):
    before = list(Rating.objects.order_by("pk").values())
    decide(study, senior)
    decide(study, senior, value="0", reason="  Not named.  ")
    row = Adjudication.objects.get()
    assert (row.value, row.reason, row.decided_by.code) == ("0", "Not named.", "A1")
    assert list(Rating.objects.order_by("pk").values()) == before
    events = apps.get_model("review", "AdjudicationEvent").objects.order_by("pgh_id")
    assert [event.value for event in events] == ["1", "0"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"reason": "  "}, "Key thoughts and beliefs: say why in a sentence or two."),
        ({"reason": "x" * 4001}, "A reason may have at most 4,000 characters."),
        ({"value": "7"}, "Key thoughts and beliefs: choose one of the answers."),
        ({"value": ""}, "Key thoughts and beliefs: choose one of the answers."),
        (
            {"dispute": "sqpsych-expert.t2_paraphrasing"},
            "The raters do not disagree here; look at the page again.",
        ),
        ({"dispute": "'; DROP"}, "The raters do not disagree here; look at the page again."),
        ({"code": "D002"}, "This dialogue is not yours to decide."),
        ({"code": "D003"}, "This dialogue is not yours to decide."),
    ],
)
def test_decision_that_cannot_be_is_refused(study, senior, change, sentence):
    assert refusal(study, senior, **change) == sentence
    assert not Adjudication.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_two_windows_decide_at_once_and_one_row_stands(study, senior):
    failures: list[BaseException] = []

    def work(value: str) -> None:
        try:
            decide(study, senior, value=value)
        except BaseException as error:  # noqa: BLE001 - told below
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(value,)) for value in "012"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert Adjudication.objects.count() == 1


def test_plan_appoints_under_pseudonyms_and_leaves_a_record(study, senior, coordinator, make_user):
    second = make_user("coordinator", username="other-coordinator")
    plan(study, [second], coordinator)
    plan(study, [second, senior], coordinator)
    rows = Adjudicator.objects.order_by("code").values_list("code", "person__username", "active")
    assert list(rows) == [("A1", "senior", True), ("A2", "other-coordinator", True)]
    entry = AuditEntry.objects.filter(action="adjudication.plan").order_by("-pk")[0]
    assert (entry.target, entry.detail["limit"]) == (f"study {study.pk}", "1")


def test_researcher_cannot_be_appointed_and_limits_are_checked(study, researcher, coordinator):
    with pytest.raises(Refused, match="not_allowed"):
        plan(study, [researcher], coordinator)
    for limit in (Decimal(-1), Decimal(101)):
        with pytest.raises(Refused, match="limit"):
            plan(study, [], coordinator, limit=limit)
    assert Adjudicator.objects.get().active


def test_decision_on_a_turn_stands_beside_those_on_other_turns(
    rater, other_rater, senior, coordinator, client_of
):
    row = add_instrument(text=TOML, origin="trial.toml", by=None)
    made = make_study(
        [rater, other_rater], [make_dialogue(["One.", "Two.", "Three."])], instruments=[row]
    )
    for person, values in ((rater, "010"), (other_rater, "101")):
        [work] = assignments_of(made, person)
        for turn, value in enumerate(values, start=1):
            Rating.objects.create(
                assignment=work, instrument=row, item="warm", value=value, turn_number=turn,
                comment=f"{person.username} on turn {turn}",
            )  # fmt: skip
            Evidence.objects.create(
                assignment=work, instrument=row, item="warm", turn_number=turn, start=0, end=3
            )
        Assignment.objects.filter(pk=work.pk).update(
            state="submitted", opened_at=WHEN, submitted_at=WHEN
        )
    plan(made, [senior], coordinator, limit=Decimal(0))
    for turn, value in ((1, "0"), (3, "1"), (1, "1")):
        decide(made, senior, dispute=f"trial.warm.turn{turn}", value=value)
    [case] = cases_of(made, senior)
    assert (len(case.disputes), case.left) == (3, 1)
    rows = Adjudication.objects.order_by("turn_number")
    assert [(one.item, one.turn_number, one.value) for one in rows] == [
        ("warm", 1, "1"), ("warm", 3, "1"),
    ]  # fmt: skip
    assert refusal(made, senior, dispute="trial.warm").startswith("The raters do not disagree")
    page = client_of(senior).get(address(made)).content.decode()
    point = page.split('id="point-2"')[1].split("</ul>")[0]
    assert '<a href="#turn-2">Turn 2</a>' in point
    assert point.count("on turn 2") == 2
    assert '<q dir="auto">Two</q>' in point
    assert "on turn 1" not in point
    with export_table(
        studies=made, name="adjudications", options=Options(), origin=Origin(None, "page")
    ) as out:
        assert [(one["item"], one["turn"], one["value"]) for one in read(out.read())] == [
            ("warm", "1", "1"), ("warm", "3", "1"),
        ]  # fmt: skip
    text = client_of(coordinator).get(reverse("review:adjudication_plan", args=[made.pk]))
    assert "warm, turn 3" in text.content.decode()


@pytest.mark.parametrize("kind", ["pairwise", "practice"])
def test_only_studies_of_single_dialogues_are_adjudicated(coordinator, kind):
    other = Study.objects.create(name="Other", kind=kind, state="draft")
    with pytest.raises(Refused, match="wrong_kind"):
        plan(other, [coordinator], coordinator)
    assert not Adjudicator.objects.exists()


def test_decisions_are_exported_under_pseudonyms(study, senior):
    decide(study, senior)
    for comments in (True, False):
        with export_table(
            studies=study, name="adjudications", options=Options(comments=comments),
            origin=Origin(None, "page"),
        ) as out:  # fmt: skip
            data = out.read()
        [row] = read(data)
        assert (row["dialogue"], row["item"], row["value"], row["value_number"]) == (
            "D001", ITEM, "1", "1",
        )  # fmt: skip
        assert row["adjudicator"] == "A1"
        assert ("reason" in row) is comments
        assert b"senior" not in data


# -- pages ------------------------------------------------------------------------------------


def address(study: Study, code: str = "D001") -> str:
    return reverse("review:adjudicate", args=[study.pk, code])


def test_page_shows_all_judgments_under_pseudonyms(study, senior, client_of, rater):
    text = client_of(senior).get(address(study)).content.decode()
    for part in ("R1", "R2", "canary comment", '<q dir="auto">&lt;b&gt;he</q>', "Turn 2"):
        assert part in text, part
    assert "Um, &lt;b&gt;hello&lt;/b&gt;." in text
    for name in (rater.username, "stranger"):
        assert name not in text
    assert text.count('name="reason"') == 1


def test_page_decides_and_says_what_is_wrong(study, senior, client_of):
    client, path = client_of(senior), address(study)
    answer = client.post(path, {"dispute": KEY, "value": "1", "reason": ""})
    assert answer.status_code == 422
    assert "say why in a sentence or two" in answer.content.decode()
    assert 'value="1" checked' in answer.content.decode()
    answer = client.post(path, {"dispute": KEY, "value": "1", "reason": "Named late."})
    assert (answer.status_code, answer["Location"]) == (303, f"{path}#main")
    text = client.get(path).content.decode()
    assert "Everything here is decided." in text
    assert "Change the decision" in text


def test_queue_counts_what_is_left(study, senior, client_of):
    client = client_of(senior)
    path = reverse("review:adjudication_queue", args=[study.pk])
    assert "1 dialogue left to decide" in client.get(path).content.decode()
    assert "1 of 1 dialogues left" in client.get(reverse("review:adjudications")).content.decode()
    assert reverse("review:adjudications") in client.get("/review/").content.decode()
    decide(study, senior)
    assert "Open the next" not in client.get(path).content.decode()


def test_strangers_and_unappointed_find_nothing(study, rater, coordinator, researcher, client_of):
    paths = [
        address(study),
        reverse("review:adjudication_queue", args=[study.pk]),
        reverse("review:adjudications"),
    ]
    for person, status in ((rater, 404), (coordinator, 404), (researcher, 403)):
        assert [client_of(person).get(path).status_code for path in paths] == [status] * 3
    assert reverse("review:adjudications") not in client_of(rater).get("/review/").content.decode()
    assert client_of(rater).post(address(study), {"dispute": KEY}).status_code == 404


def test_draft_and_archived_studies_are_closed(study, senior, client_of):
    Study.objects.filter(pk=study.pk).update(state="archived")
    assert client_of(senior).get(address(study)).status_code == 404


def test_coordinator_sets_the_plan_on_the_page(study, coordinator, senior, client_of):
    client = client_of(coordinator)
    path = reverse("review:adjudication_plan", args=[study.pk])
    text = client.get(path).content.decode()
    assert "senior (rater)" in text
    assert client.post(path, {"limit": "-3"}).status_code == 422
    answer = client.post(
        path, {"limit": "0", "flags": "on", "people": [str(senior.pk), str(coordinator.pk)]}
    )
    assert answer.status_code == 303
    assert Adjudicator.objects.filter(study=study, active=True).count() == 2
    decide(study, senior)
    text = client.get(path).content.decode()
    assert "Named late." in text
    assert "Open my queue" in text


@pytest.mark.parametrize("count", [1, 3])
def test_queue_asks_the_same_number_of_queries(make_user, coordinator, count):
    people = [make_user("rater") for _ in range(2)]
    made = make_study(people, [make_dialogue() for _ in range(count)], name=f"Study {count}")
    for place, person in enumerate(people):
        for work in assignments_of(made, person):
            rate(work, "02"[place])
    with CaptureQueriesContext(connection) as seen:
        assert len(cases_of(made, coordinator)) == count
    assert len(seen) == QUERIES


QUERIES = 8
