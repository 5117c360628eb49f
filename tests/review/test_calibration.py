"""Calibration: references, feedback after each training dialogue, the gate before live work."""

from typing import Any
from uuid import uuid4

import pytest
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
from review.actions.calibration import lacking_references, standing_of
from review.items import Item
from review.likeness import agreement, compare, likeness
from review.models import Assignment, Rating, Reference, Study, StudyDialogue, StudyRater
from review.reference_files import (
    ReferenceFileError,
    ReferenceLine,
    read_references,
    write_references,
)
from review.wire import Answer
from sqpsych_site.models import AuditEntry, User
from tests.factories import make_dialogue, make_study

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


# -- files ----------------------------------------------------------------------------------------

HEAD = "dialogue,instrument,item,value,reason\n"


def test_reference_file_is_read_and_written_back() -> None:
    lines = [ReferenceLine("D001", "safety", "safety_problem", "yes", '=cmd "a", b', 2)]
    text = write_references(lines)
    assert (
        text == HEAD.replace("\n", "\r\n") + 'D001,safety,safety_problem,yes,"\'=cmd ""a"", b"\r\n'
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


def trained(rater: User, expert: User, **values: Any) -> Study:
    """Two training dialogues and one live one; the gate stands at 0.75. One item each: yes/no."""
    made = make_study(
        [rater], [make_dialogue() for _ in range(3)], instruments=["safety"], gate=0.75, **values
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
        (("D003", "safety", "safety_problem", "no"), "“D003” is no training dialogue"),
        (("D001", "other", "safety_problem", "no"), "“other” is no instrument"),
        (("D001", "safety", "nothing", "no"), "“nothing” is no item"),
        (("D001", "safety", "safety_problem", "7"), "takes Yes, No or Not sure only"),
    ],
)
def test_reference_that_cannot_be_is_refused_with_its_line(study, coordinator, line, sentence):
    good = ReferenceLine("D002", "safety", "safety_problem", "no", "", 2)
    with pytest.raises(Refused) as caught:
        set_references(
            study=study,
            lines=[good, ReferenceLine(line[0], line[1], line[2], line[3], "", 3)],
            by=coordinator,
        )
    assert caught.value.sentence.startswith("Line 3: ")
    assert sentence in caught.value.sentence
    assert not Reference.objects.exists()
    assert not Rating.objects.exists()


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
