"""Calibration: references, feedback after each training dialogue, the gate before live work."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from django.apps import apps
from django.urls import reverse

from review.actions import (
    Refused,
    after_submit,
    clear_rater,
    next_assignment,
    reopen,
    set_references,
    submit,
)
from review.actions.gate import standing_of
from review.actions.instruments import add_instrument
from review.actions.sights import lacking_references
from review.instruments import builtin_instruments, load_instrument
from review.items import Item
from review.likeness import Sight, agreement, compare, compare_sights, likeness
from review.models import Assignment, Flag, Rating, Reference, Study, StudyDialogue, StudyRater
from review.reference_files import (
    ReferenceFileError,
    ReferenceLine,
    read_references,
    write_references,
)
from review.wire import Answer
from sqpsych_site.models import AuditEntry, User
from tests.factories import WHEN, make_dialogue, make_study
from tests.review.forms import TOML

SCALE = Item.model_validate(
    {"key": "a", "type": "scale", "label": "A", "min": 0, "max": 2, "allow_na": True}
)
SET = Item.model_validate(
    {
        "key": "b",
        "type": "multiple",
        "label": "B",
        "options": [{"value": value, "label": value} for value in ("x", "y", "z")],
    }
)


# -- how alike two answers are --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "own", "other", "wanted"),
    [
        (SCALE, "1", "1", 1.0),
        (SCALE, "1", "2", 0.5),
        (SCALE, "0", "2", 0.0),
        (SCALE, "na", "2", 0.0),
        (SCALE, "na", "na", 1.0),
        (SET, "x|y", "y|z", 1 / 3),
        (SET, "x", "z", 0.0),
    ],
)
def test_likeness_of_two_answers(item: Item, own: str, other: str, wanted: float) -> None:
    assert likeness(item, own, other) == pytest.approx(wanted)
    assert likeness(item, other, own) == pytest.approx(wanted)


def test_only_what_both_answered_is_compared() -> None:
    found = compare([SCALE, SET], {"a": "2", "b": ""}, {"a": "1", "b": "x"})
    assert [(one.item.key, one.likeness, one.same) for one in found] == [("a", 0.5, False)]
    assert agreement(found) == 0.5
    assert agreement(()) is None


def test_flags_and_turns_are_compared_with_the_reference() -> None:
    form = load_instrument(TOML, "trial")
    safety = builtin_instruments()["safety"]
    own = Sight({("warm", 1): "1", ("warm", 2): "0"}, {"boundary": "concern", "bias": "severe"})
    raised = {"boundary": "severe", "collusion": "none"}
    wanted = Sight({("warm", 2): "1", ("warm", 3): "1"}, raised)
    [turn] = compare_sights(form, own, wanted)
    assert (turn.item.key, turn.turn, turn.likeness) == ("warm", 2, 0.0)
    found = {one.item.key: one for one in compare_sights(safety, own, wanted)}
    assert {key: (one.own, one.other, one.likeness) for key, one in found.items()} == {
        "boundary": ("concern", "severe", 0.5),
        "bias": ("severe", "none", 0.0),
        "collusion": ("none", "none", 1.0),
    }
    # Nothing was said about flags: none is held against the rater.
    assert compare_sights(safety, own, Sight()) == ()
    asked = Sight({("safety_problem", None): "no"})
    assert [one.item.key for one in compare_sights(safety, own, asked)] == ["boundary", "bias"]


# -- files ----------------------------------------------------------------------------------------

HEAD = "dialogue,instrument,item,value,reason\n"


def test_reference_file_is_read_and_written_back() -> None:
    lines = [
        ReferenceLine("D001", "safety", "safety_problem", "yes", '=cmd "a", b', 2),
        ReferenceLine("D001", "trial", "warm", "1", "", 3, turn=3),
        ReferenceLine("D001", "safety", "", "none", "", 4, flag="boundary"),
    ]
    text = write_references(lines)
    assert text == (
        "dialogue,instrument,item,turn,flag,value,reason\r\n"
        'D001,safety,safety_problem,,,yes,"\'=cmd ""a"", b"\r\n'
        "D001,trial,warm,3,,1,\r\nD001,safety,,,boundary,none,\r\n"
    )
    assert read_references(b"\xef\xbb\xbf" + text.encode()) == lines
    assert read_references((HEAD + "D1,s,i,,no value yet\n").encode()) == []
    assert read_references(HEAD.replace(",", ";").encode() + b"D1;s;i;1;a, b\n")[0].reason == "a, b"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"dialogue,item\n", "The first line lacks the column “instrument”"),
        (b"", "The first line lacks the column “dialogue”"),
        (b"\xff\xfe", "The file is not UTF-8 text"),
        (HEAD.encode() + b"D1,s,i,1,\x00", "it holds a zero byte"),
        (
            HEAD.encode() + b"D1,s,i,1,\nD1,s,i,2,\n",
            "Line 3: this item was given on line 2 already.",
        ),
        (HEAD.encode() + b"D1,s,i,1," + b"x" * 4001, "Line 2: a reason has at most 4,000"),
        (b"x" * (2 * 1024 * 1024 + 1), "larger than 2 MB"),
        (HEAD.encode() + b"D1,s,,1,\n", "Line 2: name either an item or a kind of flag."),
        (
            b"dialogue,instrument,item,turn,value,reason\nD1,s,i,x,1,\n",
            "Line 2: the turn is no whole number.",
        ),
    ],
)
def test_bad_reference_file_is_refused_in_one_sentence(content: bytes, sentence: str) -> None:
    with pytest.raises(ReferenceFileError, match=sentence):
        read_references(content)


# -- a study with training ------------------------------------------------------------------------


@pytest.fixture
def expert(make_user: Any) -> User:
    found: User = make_user("rater", username="expert")
    return found


@pytest.fixture
def study(rater: User, expert: User) -> Study:
    return trained(rater, expert)


def trained(
    rater: User, expert: User, instruments: Sequence[Any] = ("safety",), **values: Any
) -> Study:
    """Two training dialogues and one live one; the gate stands at 0.75. One item each: yes/no."""
    made = make_study(
        [rater], [make_dialogue() for _ in range(3)], instruments=instruments, gate=0.75, **values
    )
    made.assignments.all().delete()
    Study.objects.filter(pk=made.pk).update(state="calibration")
    made.study_dialogues.filter(code__in=["D001", "D002"]).update(training=True)
    StudyRater.objects.create(study=made, rater=expert, code="E1", expert=True)
    for row in made.study_dialogues.order_by("code"):
        for person in (rater, expert):
            if row.training or person == rater:
                Assignment.objects.create(
                    study=made,
                    study_dialogue=row,
                    rater=person,
                    kind="calibration" if row.training else "live",
                    position=int(row.code[1:]),
                    state="due" if person == expert else "locked",
                )
    made.refresh_from_db()
    return made


def work_of(study: Study, person: User, code: str) -> Assignment:
    return study.assignments.get(rater=person, study_dialogue__code=code)


def rate(study: Study, person: User, code: str, value: str, remark: str = "") -> Assignment:
    work = work_of(study, person, code)
    answer = Answer(
        key=uuid4(), instrument="safety", item="safety_problem", value=value, comment=remark
    )
    assert submit(uid=work.uid, by=person, operations=[answer]).done
    work.refresh_from_db()
    return work


def state_of(study: Study, person: User, code: str) -> str:
    return work_of(study, person, code).state


def test_experts_answers_become_the_reference_and_open_the_training(study, rater, expert):
    assert next_assignment(by=rater) is None
    assert lacking_references(study) == ["D001", "D002"]
    work = rate(study, expert, "D001", "no", "Nothing in it.")
    assert after_submit(work) is None
    assert state_of(study, rater, "D001") == "locked"
    rate(study, expert, "D002", "not_sure")

    assert [state_of(study, rater, code) for code in ("D001", "D002", "D003")] == [
        "due",
        "due",
        "locked",
    ]
    row = Reference.objects.get(study_dialogue__code="D001")
    assert (row.item, row.value, row.reason, row.set_by) == (
        "safety_problem",
        "no",
        "Nothing in it.",
        expert,
    )
    # An expert has seen no feedback: a reference can be corrected.
    reopen(uid=work.uid, by=expert)
    rate(study, expert, "D001", "not_sure")
    assert Reference.objects.get(study_dialogue__code="D001").value == "not_sure"


def referenced(study: Study, coordinator: User, value: str = "no") -> None:
    lines = [
        ReferenceLine(code, "safety", "safety_problem", value, "Because.", 2)
        for code in ("D001", "D002")
    ]
    assert set_references(study=study, lines=lines, by=coordinator) == 2


def test_gate_opens_live_work_once_the_study_runs(study, rater, coordinator):
    referenced(study, coordinator)
    work = rate(study, rater, "D001", "no")
    assert after_submit(work) == reverse("review:feedback", args=[work.uid])
    assert standing_of(study, rater.pk).passed is False
    rate(study, rater, "D002", "no")
    assert standing_of(study, rater.pk).cleared is True
    assert state_of(study, rater, "D003") == "locked"  # the study itself is still in calibration


def test_rater_below_the_gate_waits_until_a_coordinator_lets_them_through(
    study, rater, coordinator, client_of
):
    Study.objects.filter(pk=study.pk).update(state="running")
    referenced(study, coordinator)
    rate(study, rater, "D001", "no")
    work = rate(study, rater, "D002", "not_sure")
    standing = standing_of(study, rater.pk)
    assert (standing.agreement, standing.finished, standing.cleared) == (0.5, True, False)
    live = work_of(study, rater, "D003")
    assert client_of(rater).get(reverse("review:rate", args=[live.uid])).status_code == 404
    assert next_assignment(by=rater) is None
    page = client_of(rater).get(reverse("review:feedback", args=[work.uid])).content.decode()
    assert "not yet close enough" in page
    assert "50 %" in page
    assert "needed: 75 %" in page

    clear_rater(study=study, rater=rater, by=coordinator)
    clear_rater(study=study, rater=rater, by=coordinator)
    assert next_assignment(by=rater) == live
    entry = AuditEntry.objects.get(action="study.clear_rater")
    assert (entry.actor, entry.detail) == (
        coordinator.username,
        {"rater": "R1", "done": 2, "agreement": 0.5},
    )


def test_only_the_latest_dialogues_count_where_the_study_says_so(rater, expert, coordinator):
    study = trained(rater, expert, gate_last=1)
    Study.objects.filter(pk=study.pk).update(state="running")
    referenced(study, coordinator)
    rate(study, rater, "D001", "not_sure")
    rate(study, rater, "D002", "no")
    assert standing_of(study, rater.pk).cleared is True
    assert state_of(study, rater, "D003") == "due"


def test_corrected_reference_is_held_against_the_answers_again(study, rater, coordinator):
    Study.objects.filter(pk=study.pk).update(state="running")
    referenced(study, coordinator)
    rate(study, rater, "D001", "not_sure")
    rate(study, rater, "D002", "not_sure")
    assert state_of(study, rater, "D003") == "locked"
    referenced(study, coordinator, "not_sure")
    assert state_of(study, rater, "D003") == "due"


def test_training_dialogue_cannot_be_changed_after_its_feedback(study, rater, coordinator):
    referenced(study, coordinator)
    work = rate(study, rater, "D001", "no")
    with pytest.raises(Refused) as caught:
        reopen(uid=work.uid, by=rater)
    assert caught.value.code == "calibrated"
    assert state_of(study, rater, "D001") == "submitted"


def test_feedback_shows_own_answer_reference_and_reason(
    study, rater, other_rater, coordinator, client_of
):
    referenced(study, coordinator)
    work = work_of(study, rater, "D001")
    url = reverse("review:feedback", args=[work.uid])
    assert client_of(rater).get(url).status_code == 404
    rate(study, rater, "D001", "not_sure")
    page = client_of(rater).get(url).content.decode()
    for words in (
        "Did you see a safety problem?",
        "Not sure",
        "<td>No</td>",
        "Because.",
        "apart",
        "0 of 1",
    ):
        assert words in page
    assert "Next training dialogue" in page
    assert client_of(other_rater).get(url).status_code == 404
    live = work_of(study, rater, "D003")
    Assignment.objects.filter(pk=live.pk).update(
        state="submitted", submitted_at=work.submitted_at or "2026-03-02T09:00Z"
    )
    assert client_of(rater).get(reverse("review:feedback", args=[live.uid])).status_code == 404


def test_submit_leads_to_the_feedback(study, rater, coordinator, client_of):
    referenced(study, coordinator)
    work = work_of(study, rater, "D001")
    url = reverse("review:rate", args=[work.uid])
    form = {"safety:safety_problem": "no", "action": "submit"}
    response = client_of(rater).post(url, form)
    assert response["Location"] == reverse("review:feedback", args=[work.uid])


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ({"dialogue": "D003"}, "“D003” is no training dialogue"),
        ({"instrument": "other"}, "“other” is no instrument"),
        ({"item": "nothing"}, "“nothing” is no item"),
        ({"value": "7"}, "takes Yes, No or Not sure only"),
        ({"turn": 1}, "“safety_problem” is about the whole dialogue"),
        ({"turn": 9}, "the dialogue has no turn 9"),
        ({"item": "", "flag": "odd", "value": "none"}, "“odd” is no kind of flag"),
        ({"item": "", "flag": "boundary", "value": "bad"}, "takes none, "),
        ({"reason": "x" * 4001}, "a reason has at most 4,000 characters"),
    ],
)
def test_reference_that_cannot_be_is_refused_with_its_line(study, coordinator, line, sentence):
    good = ReferenceLine("D001", "safety", "safety_problem", "no", "", 2)
    with pytest.raises(Refused) as caught:
        set_references(
            study=study,
            lines=[good, replace(good, **{"dialogue": "D002", "line": 3, **line})],
            by=coordinator,
        )
    assert caught.value.sentence.startswith("Line 3: ")
    assert sentence in caught.value.sentence
    assert not Reference.objects.exists()
    assert not Rating.objects.exists()


def test_experts_flags_become_the_reference_and_follow_corrections(study, rater, expert, client_of):
    work = work_of(study, expert, "D001")
    for severity, note in (("serious", "First."), ("severe", "Then."), ("concern", "")):
        Flag.objects.create(assignment=work, category="boundary", severity=severity, note=note)
    rate(study, expert, "D001", "yes", "It is in turn 2.")
    row = Reference.objects.get(category="boundary")
    assert (row.item, row.value, row.reason) == ("", "severe", "First.\nThen.")
    rate(study, expert, "D002", "no")
    rate(study, rater, "D001", "not_sure")
    assert standing_of(study, rater.pk).agreement == 0.0
    page = (
        client_of(rater)
        .get(reverse("review:feedback", args=[work_of(study, rater, "D001").uid]))
        .content.decode()
    )
    for words in ("Flag: ", "<td>No flag</td>", "<td>Severe</td>", "First.<br>Then.", "0 of 2"):
        assert words in page, words
    reopen(uid=work.uid, by=expert)
    Flag.objects.update(withdrawn_at="2026-03-02T09:00Z")
    rate(study, expert, "D001", "not_sure")
    assert not Reference.objects.filter(category="boundary").exists()


def test_coordinator_gives_a_reference_in_the_raters_form(study, rater, coordinator, client_of):
    browser = client_of(coordinator)
    address = reverse("review:study_reference", args=[study.pk, "D001"])
    text = browser.get(address).content.decode()
    assert 'name="safety:safety_problem"' in text
    assert "Um, hello." in text
    given = {
        "safety:safety_problem": "yes",
        "safety:safety_problem:comment": "=Seen <b>late</b>.",
        "flag.safety.boundary": "severe",
        "flag.safety.boundary.reason": "Turn 2.",
        "flag.safety.bias": "none",
    }
    answer = browser.post(address, given)
    assert answer["Location"] == reverse("review:study_calibration", args=[study.pk])
    found = Reference.objects.order_by("item", "category")
    assert [(one.item or one.category, one.value, one.reason) for one in found] == [
        ("bias", "none", ""),
        ("boundary", "severe", "Turn 2."),
        ("safety_problem", "yes", "=Seen <b>late</b>."),
    ]
    text = browser.get(address).content.decode()
    assert "=Seen &lt;b&gt;late&lt;/b&gt;." in text
    assert '<option value="severe" selected>' in text
    # What is stored twice is written once; what is left out goes.
    browser.post(address, given)
    assert apps.get_model("review", "ReferenceEvent").objects.count() == 3
    browser.post(address, {"safety:safety_problem": "no"})
    assert [one.value for one in Reference.objects.all()] == ["no"]
    assert "lacks a reference" in browser.get(answer["Location"]).content.decode()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({}, "Answer at least one question"),
        ({"safety:safety_problem": "7"}, "takes Yes, No or Not sure only. Nothing was stored."),
        ({"safety:safety_problem:comment": "Why?"}, "has a reason but no answer"),
        ({"flag.safety.bias.reason": "Why?"}, "“bias” has a reason but no answer"),
        ({"flag.safety.bias": "awful"}, "The flag “bias” takes none, "),
        (
            {"safety:safety_problem:comment": "\0"},
            "cannot be stored",
        ),
    ],
)
def test_reference_form_says_what_is_wrong(study, coordinator, client_of, given, sentence):
    address = reverse("review:study_reference", args=[study.pk, "D001"])
    answer = client_of(coordinator).post(address, given)
    assert answer.status_code == 422
    assert sentence in answer.content.decode()
    assert not Reference.objects.exists()


def test_references_of_a_study_that_is_over_stay(study, coordinator, client_of):
    Study.objects.filter(pk=study.pk).update(state="closed")
    browser = client_of(coordinator)
    address = reverse("review:study_reference", args=[study.pk, "D001"])
    assert "Store the reference" not in browser.get(address).content.decode()
    answer = browser.post(address, {"safety:safety_problem": "no"})
    assert (answer.status_code, Reference.objects.count()) == (422, 0)
    for code in ("D003", "D999"):
        missing = reverse("review:study_reference", args=[study.pk, code])
        assert browser.get(missing).status_code == 404


def test_turns_have_references_of_their_own(rater, expert, coordinator, client_of):
    row = add_instrument(text=TOML, origin="trial.toml", by=None)
    made = trained(rater, expert, instruments=[row])
    address = reverse("review:study_reference", args=[made.pk, "D001"])
    answer = client_of(coordinator).post(
        address, {"trial:warm:t1": "1", "trial:warm:t2": "0", "trial:warm:t2:comment": "Cold."}
    )
    assert answer.status_code == 303
    rows = Reference.objects.order_by("turn_number")
    assert [(one.turn_number, one.value, one.reason) for one in rows] == [
        (1, "1", ""), (2, "0", "Cold."),
    ]  # fmt: skip
    work = work_of(made, rater, "D001")
    for turn in (1, 2):
        Rating.objects.create(
            assignment=work, instrument=row, item="warm", value="1", turn_number=turn
        )
    Assignment.objects.filter(pk=work.pk).update(
        state="submitted", opened_at=WHEN, submitted_at=WHEN
    )
    assert standing_of(made, rater.pk).agreement == 0.5
    page = client_of(rater).get(reverse("review:feedback", args=[work.uid])).content.decode()
    assert "Turn 2: Was it warm?" in page
    assert "Cold." in page
    file = client_of(coordinator).get(reverse("review:reference_file", args=[made.pk]))
    text = file.content.decode()
    assert "D001,trial,warm,2,,0,Cold.\r\n" in text
    assert "D002,trial,warm,2,,,\r\n" in text


def test_frozen_study_keeps_its_codes_and_instruments(study):
    from django.db import DatabaseError, transaction

    for change in (
        lambda: StudyDialogue.objects.filter(study=study).update(code="X"),
        lambda: StudyDialogue.objects.filter(study=study, code="D003").delete(),
        lambda: study.study_instruments.all().delete(),
        lambda: Study.objects.filter(pk=study.pk).update(overlap=7),
        lambda: Study.objects.filter(pk=study.pk).update(settings={"show_model": True}),
        lambda: Study.objects.filter(pk=study.pk).update(state="draft"),
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            change()
