"""Undo and redo from the stored history of an assignment, and that history for the rater's eyes.

Nothing is ever deleted: an undo stores the earlier answer as a new revision. That it was an undo
is written into the request's key, which the rating keeps (RFC 9562 leaves version 8 to the
application): the last digit is 0 for an undo and 1 for a redo. So the two stacks can be told from
the history alone, on any device and after any reload, and a request sent twice counts once.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from uuid import UUID

from django.db import transaction

from review import instruments
from review.actions.errors import Refused
from review.actions.rating import Spent, definition_of
from review.actions.saving import (
    Answer,
    Saved,
    Sheet,
    Slot,
    Stored,
    opened_sheet,
    saved,
    write,
)
from review.models import Assignment, Rating
from sqpsych_site.models import User


class Way(IntEnum):
    """Which way through the history."""

    UNDO = 0
    REDO = 1


def marked(key: UUID, way: Way) -> UUID:
    """The key under which an undo or a redo is stored."""
    return UUID(int=key.int & ~(0xF << 76) & ~0xF | 8 << 76 | int(way))


def way_of(key: UUID | None) -> Way | None:
    """Whether a stored key is that of an undo or a redo."""
    return Way(key.int & 1) if key is not None and key.version == 8 else None


@dataclass(frozen=True)
class Change:
    """One step of the history: where, and what it was before and after."""

    slot: Slot
    before: Stored
    after: Stored
    at: datetime


def changes_of(assignment: int) -> list[Change]:
    """Every stored change of an assignment's answers, oldest first."""
    last: dict[Slot, Stored] = {}
    found = []
    events = Rating.pgh_event_model.objects.filter(assignment_id=assignment)  # type: ignore[attr-defined]
    for event in events.order_by("pgh_id"):
        slot: Slot = (event.instrument_id, event.item, event.turn_number)
        after = Stored(event.value, event.comment, event.revision, event.saved_by_key)
        found.append(Change(slot, last.get(slot, Stored()), after, event.pgh_created_at))
        last[slot] = after
    return found


def stacks(changes: Iterable[Change]) -> tuple[list[Change], list[Change]]:
    """What can be undone and what can be redone, the next one last."""
    done: list[Change] = []
    undone: list[Change] = []
    for change in changes:
        way = way_of(change.after.key)
        if way is Way.UNDO and done:
            undone.append(done.pop())
        elif way is Way.REDO and undone:
            done.append(undone.pop())
        else:
            done.append(change)
            undone.clear()
    return done, undone


@transaction.atomic
def step_back(*, uid: UUID, by: User, way: Way, key: UUID) -> Saved | None:
    """Undo or redo the last change of this assignment's answers; None when there is none.

    The same ``key`` sent twice steps once.
    """
    sheet = opened_sheet(uid, by)
    step = marked(key, way)
    changes = changes_of(sheet.assignment)
    for change in changes:
        if change.after.key == step:
            return _as_saved(sheet, change.slot, change.after)
    done, undone = stacks(changes)
    stack = done if way is Way.UNDO else undone
    if not stack:
        return None
    change = stack[-1]
    wanted = change.before if way is Way.UNDO else change.after
    revision = sheet.stored[change.slot].revision + 1
    after = Stored(wanted.value, wanted.comment, revision, step)
    _check(sheet, change.slot, after)
    write(sheet, change.slot, after, Spent())
    return _as_saved(sheet, change.slot, after)


def _check(sheet: Sheet, slot: Slot, after: Stored) -> None:
    """An answer given when other questions were asked may no longer be allowed."""
    instrument, item, turn = slot
    if not after.value:
        return
    row = next(row for row in sheet.rows if row.pk == instrument)
    known = sheet.values(instrument)
    if turn is not None:
        known |= sheet.values(instrument, turn)
    try:
        definition_of(row).check_answer(item, after.value, known)
    except instruments.AnswerRefused as refused:
        raise Refused(refused.code, refused.sentence) from refused


def _as_saved(sheet: Sheet, slot: Slot, after: Stored) -> Saved:
    row = next(row for row in sheet.rows if row.pk == slot[0])
    return saved(sheet, row, Answer(row.key, slot[1], turn=slot[2]), after)


def history(*, assignment: Assignment) -> list[Change]:
    """The changes of one's own assignment, newest first."""
    return changes_of(assignment.pk)[::-1]
