"""What a rater does with one dialogue: open, answer, comment, submit, reopen, hand back.

Every function takes the assignment's row lock first, so two windows or a replayed request are
dealt with one after the other, and checks what the instrument allows before anything is written.
"""

from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from review import instruments
from review.actions import calibration
from review.actions.errors import Conflict, Refused
from review.models import Assignment, AssignmentState, Instrument, Rating, StudyState
from sqpsych_site.models import User

MAX_COMMENT = 10_000


def definition_of(row: Instrument, language: str = "en") -> instruments.Instrument:
    """The parsed instrument; rows never change, so parsing once per process is enough."""
    return instruments.cached_instrument(row.toml, language)


def known_item(row: Instrument, key: str) -> instruments.Item:
    """The item called ``key``, or a refusal in words."""
    try:
        return definition_of(row).item(key)
    except KeyError:
        raise Refused("unknown_item", "This form has no such item.") from None


def instruments_of(assignment: Assignment) -> list[Instrument]:
    """The study's instruments in their order."""
    return [
        link.instrument for link in assignment.study.study_instruments.select_related("instrument")
    ]


def answers_by_instrument(assignment: Assignment) -> dict[int, dict[str, str]]:
    """Instrument id -> item -> stored value; cleared answers are left out."""
    found: dict[int, dict[str, str]] = {}
    for instrument_id, item, value in assignment.ratings.filter(turn_number=None).values_list(
        "instrument_id", "item", "value"
    ):
        if value:
            found.setdefault(instrument_id, {})[item] = value
    return found


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
    if not StudyState(assignment.study.state).takes_ratings:
        raise Refused(
            "closed_study",
            "This study takes no answers at the moment. Nothing was changed.",
            status=409,
        )
    if assignment.state == AssignmentState.SUBMITTED:
        raise Refused(
            "submitted",
            "This dialogue is already submitted. Reopen it to change an answer.",
            status=409,
        )
    if assignment.state == AssignmentState.RETURNED:
        raise Refused("returned", "You handed this dialogue back.", status=409)


def _note_change(assignment: Assignment) -> None:
    now = timezone.now()
    changes: dict[str, object] = {"revision": F("revision") + 1}
    if assignment.state == AssignmentState.DUE:
        changes["state"] = AssignmentState.STARTED
    if assignment.opened_at is None:
        changes["opened_at"] = now
    Assignment.objects.filter(pk=assignment.pk).update(**changes)


@dataclass(frozen=True)
class Answer:
    """One answer as the page sends it. ``None`` leaves the value or the comment as it is."""

    instrument: str
    item: str
    value: str | None = None
    comment: str | None = None
    turn: int | None = None
    base: int | None = None
    key: UUID | None = None


@transaction.atomic
def save_answer(*, uid: UUID, by: User, answer: Answer) -> Rating:
    """Store one answer or comment; the same request sent twice changes nothing more.

    ``answer.base`` is the revision of this rating that the page last saw (0: none); when the
    stored one is newer and different, :class:`Conflict` is raised and nothing is written.
    """
    assignment = locked(uid, by)
    check_open(assignment)
    rows = {row.key: row for row in instruments_of(assignment)}
    row = rows.get(answer.instrument)
    if row is None:
        raise Refused("unknown_item", "This study has no such form.")
    _check_allowed(assignment, row, answer)
    rating = Rating.objects.filter(
        assignment=assignment, instrument=row, item=answer.item, turn_number=answer.turn
    ).first()
    if rating is None:
        rating = Rating(
            assignment=assignment,
            instrument=row,
            item=answer.item,
            turn_number=answer.turn,
            revision=0,
        )
    elif answer.key is not None and rating.saved_by_key == answer.key:
        return rating
    value = rating.value if answer.value is None else answer.value
    comment = rating.comment if answer.comment is None else answer.comment
    if (rating.value, rating.comment) == (value, comment) and rating.pk:
        return rating
    if answer.base is not None and answer.base != rating.revision:
        raise Conflict(
            stored=rating.value if answer.value is not None else rating.comment,
            given=answer.value if answer.value is not None else comment,
            revision=rating.revision,
        )
    rating.value, rating.comment = value, comment
    rating.revision += 1
    rating.saved_by_key = answer.key
    rating.save()
    _note_change(assignment)
    return rating


def _check_allowed(assignment: Assignment, row: Instrument, answer: Answer) -> None:
    if answer.comment is not None and len(answer.comment) > MAX_COMMENT:
        raise Refused("too_long", f"A comment may have at most {MAX_COMMENT:,} characters.")
    item = known_item(row, answer.item)
    if (item.level == "turn") != (answer.turn is not None):
        raise Refused("bad_place", f"“{item.label}” is asked about {item.level}s.")
    if not answer.value:
        return
    # Other answers matter only where some are asked under a condition: spare the query.
    conditional = any(one.show_if for one in definition_of(row).items)
    known = answers_by_instrument(assignment).get(row.pk, {}) if conditional else {}
    try:
        definition_of(row).check_answer(answer.item, answer.value, known)
    except instruments.AnswerRefused as refused:
        raise Refused(refused.code, refused.sentence) from refused


@transaction.atomic
def save_comment(*, uid: UUID, by: User, comment: str) -> None:
    """Store the rater's words about the dialogue as a whole."""
    assignment = locked(uid, by)
    check_open(assignment)
    if len(comment) > MAX_COMMENT:
        raise Refused("too_long", f"A comment may have at most {MAX_COMMENT:,} characters.")
    if assignment.comment != comment:
        Assignment.objects.filter(pk=assignment.pk).update(comment=comment)
        _note_change(assignment)


def open_assignment(*, assignment: Assignment) -> None:
    """Note when the rater first saw the dialogue; looking again changes nothing."""
    if assignment.opened_at is None:
        Assignment.objects.filter(pk=assignment.pk, opened_at=None).update(
            opened_at=timezone.now(), state=AssignmentState.STARTED
        )


@dataclass(frozen=True)
class Missing:
    """What stands between a rating and its submission: which item, and why in one sentence."""

    instrument: str
    item: str
    sentence: str


def missing_items(assignment: Assignment) -> list[Missing]:
    """What must still be answered, marked or flagged before submitting, in the form's order."""
    answers = answers_by_instrument(assignment)
    flags = assignment.flags.filter(withdrawn_at=None).count()
    found = []
    for row in instruments_of(assignment):
        form, given = definition_of(row), answers.get(row.pk, {})
        marked = set(
            assignment.evidence.filter(instrument=row, withdrawn_at=None).values_list(
                "item", flat=True
            )
        )
        found += [Missing(row.key, key, "needs an answer") for key in form.missing(given)]
        found += [
            Missing(row.key, key, "needs a marked passage as evidence")
            for key in form.missing_evidence(given, marked)
        ]
        conflict = form.flag_conflict(given, flags)
        if conflict and form.safety:
            found.append(Missing(row.key, form.safety.question, CONFLICTS[conflict]))
    return found


CONFLICTS = {
    "flag_missing": "says yes, so please add a flag",
    "flag_unexpected": "says no, but there is a flag",
}


@transaction.atomic
def submit(*, uid: UUID, by: User) -> list[Missing]:
    """Submit the rating; returns what is missing (then nothing was changed) or an empty list.

    Submitting twice is the same as submitting once.
    """
    assignment = locked(uid, by)
    if assignment.state == AssignmentState.SUBMITTED:
        return []
    check_open(assignment)
    missing = missing_items(assignment)
    if not missing:
        Assignment.objects.filter(pk=assignment.pk).update(
            state=AssignmentState.SUBMITTED, submitted_at=timezone.now()
        )
        calibration.note_submitted(assignment)
    return missing


@transaction.atomic
def reopen(*, uid: UUID, by: User) -> None:
    """Take a submitted rating up again, while the study still takes answers."""
    assignment = locked(uid, by)
    if not StudyState(assignment.study.state).takes_ratings:
        raise Refused("closed_study", "This study takes no changes any more.", status=409)
    calibration.check_reopening(assignment)
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
        state=AssignmentState.RETURNED, return_reason=reason, return_note=note[:MAX_COMMENT]
    )
    calibration.note_returned(assignment)


def next_assignment(*, by: User, after: Assignment | None = None) -> Assignment | None:
    """What to open next: work begun first, then the next due, in the rater's own order."""
    queue = (
        Assignment.objects.visible_to(by)
        .open()
        .filter(study__state__in=[StudyState.RUNNING, StudyState.CALIBRATION])
    )
    if after is not None:
        queue = queue.exclude(pk=after.pk)
        later = queue.filter(study=after.study_id, position__gt=after.position).order_by("position")
        found = later.first()
        if found:
            return found
    return queue.order_by("-state", "study_id", "position").first()
