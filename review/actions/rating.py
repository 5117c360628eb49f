"""What a rater does with one dialogue: open, answer, comment, submit, reopen, hand back.

Every function takes the assignment's row lock first, so two windows or a replayed request are
dealt with one after the other, and checks what the instrument allows before anything is written.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from review import instruments
from review.actions.errors import Conflict, Refused
from review.models import (
    Assignment,
    AssignmentState,
    Instrument,
    StudyInstrument,
    StudyState,
)
from review.permissions import UNREAD
from sqpsych_site.models import User

MAX_REASON = 10_000
# One save can account for at most an hour at the page; more is a clock gone wrong.
MAX_SECONDS = 3600
# Instruments of studies that have begun; they never change after that.
_FROZEN: dict[int, tuple[Instrument, ...]] = {}


def definition_of(row: Instrument, language: str = "en") -> instruments.Instrument:
    """The parsed instrument; rows never change, so parsing once per process is enough."""
    return instruments.cached_instrument(row.toml, language)


def known_item(row: Instrument, key: str) -> instruments.Item:
    """The item called ``key``, or a refusal in words."""
    try:
        return definition_of(row).item(key)
    except KeyError:
        raise Refused("unknown_item", "This form has no such item.") from None


def study_instruments(study_id: int) -> tuple[Instrument, ...]:
    """The instruments of a study that has begun, in their order; read once per process."""
    rows = _FROZEN.get(study_id)
    if not rows:
        links = StudyInstrument.objects.filter(study=study_id).select_related("instrument")
        rows = tuple(link.instrument for link in links)
        if len(_FROZEN) >= 512:
            _FROZEN.clear()
        _FROZEN[study_id] = rows
    return rows


def instruments_of(assignment: Assignment) -> list[Instrument]:
    """The instruments of this assignment's study, in their order.

    Raters see an assignment only once its study has begun, and then its instruments are fixed.
    """
    return list(study_instruments(assignment.study_id))


def locked(uid: UUID, by: User) -> Assignment:
    """This rater's assignment, its row locked until the transaction ends."""
    assignment = (
        Assignment.objects.visible_to(by)
        .select_for_update(of=("self",))
        .select_related("study")
        .filter(uid=uid)
        .first()
    )
    if assignment is None:
        raise Refused("not_yours", "This dialogue is not in your queue.", status=404)
    return assignment


def check_open(assignment: Assignment) -> None:
    """Refuse when the study or the assignment takes no answers now."""
    check_state(state=assignment.state, study_state=assignment.study.state)


def check_state(*, state: str, study_state: str) -> None:
    """The same, from the two states alone."""
    if not StudyState(study_state).takes_ratings:
        raise Refused(
            "closed_study",
            "This study takes no answers at the moment. Nothing was changed.",
            status=409,
        )
    if state == AssignmentState.SUBMITTED:
        raise Refused(
            "submitted",
            "This dialogue is already submitted. Reopen it to change an answer.",
            status=409,
        )
    if state == AssignmentState.RETURNED:
        raise Refused("returned", "You handed this dialogue back.", status=409)


def open_assignment(*, assignment: Assignment) -> None:
    """Note when the rater first saw the dialogue; looking again changes nothing."""
    if assignment.opened_at is None and assignment.state == AssignmentState.DUE:
        Assignment.objects.filter(pk=assignment.pk, opened_at=None).update(
            opened_at=timezone.now(), state=AssignmentState.STARTED
        )


@dataclass(frozen=True)
class Missing:
    """What stands between a rating and its submission: which item, and why in one sentence."""

    instrument: str
    item: str
    sentence: str
    turn: int | None = None


def missing_items(assignment: Assignment) -> list[Missing]:
    """What must still be answered, marked or flagged before submitting, in the form's order."""
    answers: dict[tuple[int, int | None], dict[str, str]] = {}
    for instrument, item, turn, value in assignment.ratings.exclude(value="").values_list(
        "instrument_id", "item", "turn_number", "value"
    ):
        answers.setdefault((instrument, turn), {})[item] = value
    marked: dict[int, set[str]] = {}
    for instrument, item in assignment.evidence.filter(withdrawn_at=None).values_list(
        "instrument_id", "item"
    ):
        marked.setdefault(instrument, set()).add(item)
    flags = assignment.flags.filter(withdrawn_at=None).count()
    found: list[Missing] = []
    for row in study_instruments(assignment.study_id):
        form, given = definition_of(row), answers.get((row.pk, None), {})
        found += [Missing(row.key, key, "needs an answer") for key in form.missing(given)]
        found += [
            Missing(row.key, key, "needs a marked passage as evidence")
            for key in form.missing_evidence(given, marked.get(row.pk, set()))
            if form.item(key).level == "dialogue"
        ]
        conflict = form.flag_conflict(given, flags)
        if conflict and form.safety:
            found.append(Missing(row.key, form.safety.question, CONFLICTS[conflict]))
        if any(item.level == "turn" for item in form.items):
            found += _missing_at_turns(assignment, row, answers)
    return found


def _missing_at_turns(
    assignment: Assignment,
    row: Instrument,
    answers: Mapping[tuple[int, int | None], Mapping[str, str]],
) -> list[Missing]:
    form = definition_of(row)
    numbers = assignment.study_dialogue.dialogue.turns.order_by("number")
    found = []
    for turn in numbers.values_list("number", flat=True):
        given = {**answers.get((row.pk, None), {}), **answers.get((row.pk, turn), {})}
        for key in form.missing(given, level="turn"):
            found.append(Missing(row.key, key, "needs an answer", turn))
    return found


CONFLICTS = {
    "flag_missing": "says yes, so please add a flag",
    "flag_unexpected": "says no, but there is a flag",
}


@dataclass(frozen=True)
class Spent:
    """Seconds at the page since the last save that was acknowledged: in use, and paused."""

    active: int = 0
    paused: int = 0

    def within_reason(self) -> "Spent":
        """The same, with what no clock that runs right could have counted cut off."""
        return Spent(
            min(max(self.active, 0), MAX_SECONDS), min(max(self.paused, 0), 24 * MAX_SECONDS)
        )


@transaction.atomic
def submit(*, uid: UUID, by: User, spent: Spent = Spent()) -> list[Missing]:
    """Submit the rating; returns what is missing (then nothing was changed) or an empty list.

    Submitting twice is the same as submitting once.
    """
    assignment = locked(uid, by)
    if assignment.state == AssignmentState.SUBMITTED:
        return []
    check_open(assignment)
    missing = missing_items(assignment)
    if not missing:
        seconds = spent.within_reason()
        Assignment.objects.filter(pk=assignment.pk).update(
            state=AssignmentState.SUBMITTED,
            submitted_at=timezone.now(),
            active_seconds=F("active_seconds") + seconds.active,
            paused_seconds=F("paused_seconds") + seconds.paused,
        )
    return missing


@transaction.atomic
def reopen(*, uid: UUID, by: User) -> None:
    """Take a submitted rating up again, while the study still takes answers."""
    assignment = locked(uid, by)
    if not StudyState(assignment.study.state).takes_ratings:
        raise Refused("closed_study", "This study takes no changes any more.", status=409)
    if assignment.state != AssignmentState.DUE:
        Assignment.objects.filter(pk=assignment.pk).update(
            state=AssignmentState.STARTED, submitted_at=None, return_reason="", return_note=""
        )


RETURN_REASONS = {
    "distressing": "Too distressing for me",
    "conflict": "I have a conflict of interest",
    "broken": "The text is broken or unreadable",
    "other": "Another reason",
}


@transaction.atomic
def hand_back(*, uid: UUID, by: User, reason: str, note: str = "") -> None:
    """Leave this dialogue to somebody else; answers given so far stay stored."""
    assignment = locked(uid, by)
    check_open(assignment)
    if reason not in RETURN_REASONS:
        raise Refused("unknown_reason", "Please choose one of the reasons.")
    Assignment.objects.filter(pk=assignment.pk).update(
        state=AssignmentState.RETURNED, return_reason=reason, return_note=note[:MAX_REASON]
    )


def next_assignment(*, by: User, after: Assignment | None = None) -> Assignment | None:
    """What to open next: work begun first, then the next due, in the rater's own order."""
    queue = (
        Assignment.objects.visible_to(by)
        .open()
        .filter(study__state__in=[StudyState.RUNNING, StudyState.CALIBRATION])
        .select_related("study", "study_dialogue__dialogue")
        .defer(*UNREAD)
    )
    if after is not None:
        queue = queue.exclude(pk=after.pk)
        later = queue.filter(study=after.study_id, position__gt=after.position).order_by("position")
        found = later.first()
        if found:
            return found
    return queue.order_by("-state", "study_id", "position").first()
