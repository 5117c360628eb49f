"""The life of one dialogue in a rater's hands: open, submit, reopen, hand back, and what is next.

Answers and marks are in answering.py and marks.py; a page's requests for them in saving.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from http import HTTPStatus
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop

from review import standing, wire
from review.actions import calibration, sheet_rows
from review.actions.answering import MAX_COMMENT
from review.actions.definitions import definition_of, instruments_of
from review.actions.errors import Closed, Refused
from review.actions.saving import Result, carry_out
from review.actions.sheet import Sheet, check_takes_ratings, lock_assignment, take_sheet
from review.models import (
    Assignment,
    AssignmentKind,
    AssignmentQuerySet,
    AssignmentState,
    StudyState,
)
from review.standing import Spot
from sqpsych_site.models import User
from sqpsych_site.statements import Worded

__all__ = [
    "RETURN_REASONS",
    "Missing",
    "Submission",
    "definition_of",
    "hand_back",
    "instruments_of",
    "next_assignment",
    "open_assignment",
    "reopen",
    "submit",
]

# In English here and in files; pages translate them.
RETURN_REASONS = {
    "distressing": gettext_noop("Too distressing for me"),
    "conflict": gettext_noop("I have a conflict of interest"),
    "broken": gettext_noop("The text is broken or unreadable"),
    "other": gettext_noop("Another reason"),
}
LACKS = {
    "answer": gettext_lazy("needs an answer"),
    "evidence": gettext_lazy("needs a marked passage as evidence"),
    "flag_missing": gettext_lazy("says yes, so please add a flag"),
    "flag_unexpected": gettext_lazy("says no, but there is a flag"),
}


@dataclass(frozen=True)
class Missing:
    """What stands between a rating and its submission: which item, and why in one sentence."""

    instrument: str
    item: str
    sentence: str
    turn: int | None = None

    @property
    def id(self) -> str:
        """The question's id on the page."""
        return Spot(self.instrument, self.item, self.turn).id


@dataclass(frozen=True)
class Submission:
    """What came of sending the whole form: refused operations, what is missing, if it is done."""

    refused: list[tuple[wire.AnyOperation | wire.Malformed, Result]] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    done: bool = False


def open_assignment(*, assignment: Assignment) -> bool:
    """Note when the rater first saw the dialogue; looking again changes nothing.

    Returns whether this was the first time. It is not either when the dialogue has been given to
    somebody else since it was read.
    """
    if assignment.opened_at is not None:
        return False
    return sheet_rows.mark_opened(assignment.pk, timezone.now())


@transaction.atomic
def submit(
    *,
    uid: UUID,
    by: User,
    operations: Sequence[wire.AnyOperation | wire.Malformed] = (),
    final: bool = True,
) -> Submission:
    """Store what the whole form says, and submit the rating if it is ``final`` and complete.

    Answers that are refused do not stop the others from being stored, but the submission.
    Submitting twice is the same as submitting once.
    """
    sheet = take_sheet(uid, by)
    results = zip(operations, carry_out(sheet, operations), strict=True)
    sheet.write()
    refused = [(asked, told) for asked, told in results if told["status"] != HTTPStatus.OK]
    if refused or not final:
        return Submission(refused)
    if sheet.assignment.state == AssignmentState.SUBMITTED:
        return Submission(done=True)
    sheet.check_open()
    missing = missing_on(sheet)
    if missing:
        return Submission(missing=missing)
    sheet_rows.mark_submitted(sheet.assignment.pk, timezone.now())
    calibration.note_submitted(sheet.assignment)
    return Submission(done=True)


def missing_on(sheet: Sheet) -> list[Missing]:
    """What must still be answered, marked or flagged before submitting, in the form's order."""
    found = standing.lacking(
        sheet.forms,
        sheet.given,
        sheet.turns,
        marked=_marked(sheet),
        flags=sheet_rows.open_flags(sheet.assignment.pk),
    )
    return [
        Missing(spot.instrument, spot.item, str(LACKS[lack]), spot.turn) for spot, lack in found
    ]


def _marked(sheet: Sheet) -> set[Spot]:
    """Item and turn of every passage marked for an item."""
    if not any(item.requires_evidence for form in sheet.forms for item in form.items):
        return set()
    keys = {row.pk: key for key, row in sheet.rows.items()}
    marks = sheet.assignment.evidence.filter(withdrawn_at=None, instrument__isnull=False)
    rows = marks.values_list("instrument_id", "item", "turn_number")
    return {Spot(keys[number], item, turn) for number, item, turn in rows}


@transaction.atomic
def reopen(*, uid: UUID, by: User) -> None:
    """Take a submitted or handed-back rating up again, while the study takes answers."""
    assignment = lock_assignment(uid, by)
    check_takes_ratings(assignment)
    calibration.check_reopening(assignment)
    if assignment.state != AssignmentState.DUE:
        Assignment.objects.filter(pk=assignment.pk).update(
            state=AssignmentState.STARTED, submitted_at=None, return_reason="", return_note=""
        )


@transaction.atomic
def hand_back(*, uid: UUID, by: User, reason: str, note: str = "") -> None:
    """Leave this dialogue to somebody else; answers given so far stay stored.

    Handing back twice is the same as once.
    """
    assignment = lock_assignment(uid, by)
    check_takes_ratings(assignment)
    if reason not in RETURN_REASONS:
        raise Refused("unknown_reason", _("Please choose one of the reasons."))
    if len(note) > MAX_COMMENT:
        sentence = _("A note may have at most %(most)s characters.")
        raise Refused("too_long", sentence % {"most": f"{MAX_COMMENT:,}"})
    if assignment.state == AssignmentState.SUBMITTED:
        sentence = _("This dialogue is already submitted. Reopen it to change an answer.")
        raise Closed("submitted", sentence)
    Assignment.objects.filter(pk=assignment.pk).update(
        state=AssignmentState.RETURNED, return_reason=reason, return_note=note
    )
    calibration.note_returned(assignment)


def next_assignment(*, by: User, after: Assignment | None = None) -> Assignment | None:
    """What to open next: work begun first, then the next due, in the rater's own order."""
    if after is not None:
        later = _later().models(by.pk, after.pk, after.study_id, after.position)
        if (found := next(later, None)) is not None:
            return found
    queue = _queue(by) if after is None else _queue(by).exclude(pk=after.pk)
    return queue.order_by("-state", "study_id", "position").first()


def _queue(rater: User) -> AssignmentQuerySet:
    return (
        Assignment.objects.visible_to(rater)
        .open()
        .filter(study__state__in=[StudyState.RUNNING, StudyState.CALIBRATION])
        .exclude(kind=AssignmentKind.PRACTICE)
        .with_work()
    )


@lru_cache(maxsize=1)
def _later() -> Worded[Assignment]:
    """The next in the order of the same study."""
    rater, this, study, position = 1001, 1002, 1003, 1004
    queue = _queue(User(pk=rater)).exclude(pk=this).filter(study=study, position__gt=position)
    return Worded(queue.order_by("position")[:1], [rater, this, study, position])
