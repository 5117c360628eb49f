"""Safety flags and evidence: raised on a turn or a span, withdrawn but never deleted."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from generation.models import Turn
from review import instruments
from review.actions.errors import Refused
from review.actions.rating import check_open, definition_of, instruments_of, known_item, locked
from review.models import Assignment, Evidence, Flag
from sqpsych_site.models import User

MAX_NOTE = 10_000


@dataclass(frozen=True)
class Place:
    """Where in the dialogue: a turn, and optionally a span in Unicode code points [start, end)."""

    turn: int | None = None
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True)
class FlagInput:
    """A safety flag as the page sends it."""

    category: str
    severity: str
    place: Place = Place()
    details: Mapping[str, str] = field(default_factory=dict)
    note: str = ""


def _check_place(assignment: Assignment, place: Place) -> None:
    if place.turn is None:
        if place.start is not None or place.end is not None:
            raise Refused("bad_place", "A marked passage needs its turn.")
        return
    text = (
        Turn.objects.filter(dialogue=assignment.study_dialogue.dialogue_id, number=place.turn)
        .values_list("text", flat=True)
        .first()
    )
    if text is None:
        raise Refused("unknown_turn", "This dialogue has no such turn.")
    if (place.start is None) != (place.end is None):
        raise Refused("bad_place", "A marked passage needs its beginning and its end.")
    if place.start is None or place.end is None:
        return
    if not 0 <= place.start < place.end <= len(text):
        raise Refused("bad_place", "The marked passage lies outside the turn.")


def _safety_form(assignment: Assignment) -> instruments.FlagForm:
    for row in instruments_of(assignment):
        form = definition_of(row).safety
        if form is not None:
            return form
    raise Refused("no_flags", "This study takes no safety flags.")


@transaction.atomic
def raise_flag(*, uid: UUID, by: User, flag_uid: UUID, flag: FlagInput) -> Flag:
    """Store a flag under the id that the page chose; sent twice, it is stored once."""
    assignment = locked(uid, by)
    check_open(assignment)
    form = _safety_form(assignment)
    known = Flag.objects.filter(uid=flag_uid).first()
    if known is not None and known.assignment_id != assignment.pk:
        raise Refused("not_yours", "This flag belongs to another rating.", status=404)
    given = {"category": flag.category, "severity": flag.severity, **flag.details}
    try:
        form.check({key: value for key, value in given.items() if value})
    except instruments.AnswerRefused as refused:
        raise Refused(refused.code, refused.sentence) from refused
    open_details = form.missing(given)
    if open_details:
        labels = {item.key: str(item.label) for item in form.items}
        raise Refused("incomplete", f"A flag also needs: {labels[open_details[0]]}.")
    if len(flag.note) > MAX_NOTE:
        raise Refused("too_long", f"A note may have at most {MAX_NOTE:,} characters.")
    _check_place(assignment, flag.place)
    row = known or Flag(uid=flag_uid, assignment=assignment)
    row.category, row.severity, row.details = flag.category, flag.severity, dict(flag.details)
    row.turn_number, row.start, row.end = flag.place.turn, flag.place.start, flag.place.end
    row.note = flag.note
    row.withdrawn_at = None
    row.save()
    return row


@transaction.atomic
def withdraw_flag(*, uid: UUID, by: User, flag_uid: UUID) -> None:
    """Take a flag back; its row and history stay."""
    assignment = locked(uid, by)
    check_open(assignment)
    mine = Flag.objects.filter(uid=flag_uid, assignment=assignment)
    if not mine.exists():
        raise Refused("not_yours", "This rating has no such flag.", status=404)
    mine.filter(withdrawn_at=None).update(withdrawn_at=timezone.now())


@transaction.atomic
def add_evidence(
    *, uid: UUID, by: User, evidence_uid: UUID, instrument: str, item: str, place: Place
) -> Evidence:
    """Attach a turn or a passage to an item; sent twice, it is stored once."""
    assignment = locked(uid, by)
    check_open(assignment)
    row = {entry.key: entry for entry in instruments_of(assignment)}.get(instrument)
    if row is None:
        raise Refused("unknown_item", "This study has no such form.")
    known_item(row, item)
    if place.turn is None:
        raise Refused("bad_place", "Evidence needs a turn.")
    _check_place(assignment, place)
    evidence, _ = Evidence.objects.get_or_create(
        uid=evidence_uid,
        defaults={
            "assignment": assignment,
            "instrument": row,
            "item": item,
            "turn_number": place.turn,
            "start": place.start,
            "end": place.end,
        },
    )
    if evidence.assignment_id != assignment.pk:
        raise Refused("not_yours", "This mark belongs to another rating.", status=404)
    return evidence


@transaction.atomic
def withdraw_evidence(*, uid: UUID, by: User, evidence_uid: UUID) -> None:
    """Take a mark back; its row and history stay."""
    assignment = locked(uid, by)
    check_open(assignment)
    Evidence.objects.filter(uid=evidence_uid, assignment=assignment, withdrawn_at=None).update(
        withdrawn_at=timezone.now()
    )
