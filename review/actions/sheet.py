"""One rater's sheet: an assignment under its row's lock, with every answer given so far.

Whoever changes a rating takes its sheet first, so two windows, two devices and a replayed request
are dealt with one after the other. Answers are changed in memory and written together by
:meth:`Sheet.write`, a few statements however many they are, before the transaction ends.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from uuid import UUID

from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from generation.models import Turn
from review import instruments, standing
from review.actions import sheet_rows
from review.actions.definitions import definition_of, instruments_of
from review.actions.errors import Closed, Refused
from review.models import (
    Assignment,
    AssignmentState,
    Instrument,
    Step,
    StudyState,
)
from review.permissions import own_assignment
from review.standing import Spot
from sqpsych_site.models import User


@dataclass(slots=True)
class Entry:
    """What is stored for one question. Revision 0: nothing yet."""

    value: str = ""
    comment: str = ""
    revision: int = 0
    key: UUID | None = None


@dataclass
class Sheet:
    """See above. ``entries`` is what stands; ``changed`` and ``steps`` wait to be written.

    ``made`` holds the steps of this request by their keys.
    """

    assignment: Assignment
    rows: dict[str, Instrument]
    entries: dict[Spot, Entry]
    changed: set[Spot] = field(default_factory=set)
    steps: list[Step] = field(default_factory=list)
    made: dict[UUID, Step] = field(default_factory=dict)

    @cached_property
    def forms(self) -> list[instruments.Instrument]:
        """The study's instruments in their order, in the rater's language."""
        language = get_language() or "en"
        return [definition_of(row, language) for row in self.rows.values()]

    @cached_property
    def turns(self) -> Sequence[int]:
        """The dialogue's turn numbers, where questions are asked about turns."""
        if all(item.level == "dialogue" for form in self.forms for item in form.items):
            return ()
        rows = Turn.objects.filter(dialogue=self.assignment.study_dialogue.dialogue_id)
        return list(rows.order_by("number").values_list("number", flat=True))

    @property
    def given(self) -> dict[Spot, str]:
        """The answers as values; cleared ones are left out."""
        return {spot: entry.value for spot, entry in self.entries.items() if entry.value}

    def standing(self) -> standing.Standing:
        """What is asked, open and hidden now."""
        return standing.standing(self.forms, self.given, self.turns)

    def form(self, key: str) -> instruments.Instrument:
        """The instrument called ``key``, or a refusal."""
        found = next((form for form in self.forms if form.key == key), None)
        if found is None:
            raise Refused("unknown_item", _("This study has no such form."))
        return found

    def item(self, instrument: str, key: str) -> instruments.Item:
        """The item called ``key``, or a refusal."""
        try:
            return self.form(instrument).item(key)
        except KeyError:
            raise Refused("unknown_item", _("This form has no such item.")) from None

    def check_open(self) -> None:
        """Refuse, for the whole request, when the study or the assignment takes no answers now."""
        check_takes_ratings(self.assignment)
        if self.assignment.state == AssignmentState.SUBMITTED:
            sentence = _("This dialogue is already submitted. Reopen it to change an answer.")
            raise Closed("submitted", sentence)
        if self.assignment.state == AssignmentState.RETURNED:
            raise Closed("returned", _("You handed this dialogue back. Take it up again first."))

    def note(self, step: Step) -> None:
        """Number a step and keep it for writing."""
        self.assignment.revision += 1
        step.assignment = self.assignment
        step.number = self.assignment.revision
        self.steps.append(step)
        self.made[step.key] = step

    def change(self, spot: Spot, entry: Entry, step: Step) -> None:
        """Put an entry in the place of the one that stands, as a step of its own.

        The history keeps one row for each change, so a second change to the same answer waits
        until the first is written.
        """
        if spot in self.changed:
            self.write()
        before = self.entries.get(spot, Entry())
        self.note(step)
        step.instrument = self.rows[spot.instrument]
        step.item, step.turn_number = spot.item, spot.turn
        step.value_before, step.comment_before = before.value, before.comment
        step.value, step.comment = entry.value, entry.comment
        step.revision = before.revision + 1
        self.entries[spot] = Entry(entry.value, entry.comment, before.revision + 1, step.key)
        self.changed.add(spot)

    def move(self, *, undo: int, redo: int) -> None:
        """Say which steps undo and redo would take next (0: none)."""
        self.assignment.undo_step, self.assignment.redo_step = undo, redo

    def write(self) -> None:
        """Write what was changed since the last time."""
        if not self.steps:
            return
        if self.assignment.state == AssignmentState.DUE:
            self.assignment.state = AssignmentState.STARTED
        if self.assignment.opened_at is None:
            self.assignment.opened_at = timezone.now()
        changed = [
            (self.rows[spot.instrument].pk, spot, self.entries[spot]) for spot in self.changed
        ]
        sheet_rows.write(self.assignment, changed, self.steps)
        self.changed.clear()
        self.steps.clear()


def check_takes_ratings(assignment: Assignment) -> None:
    """Refuse, for the whole request, when the study takes no answers now."""
    if not StudyState(assignment.study.state).takes_ratings:
        sentence = _("This study takes no answers at the moment. Nothing was changed.")
        raise Closed("closed_study", sentence)


def lock_assignment(uid: UUID, by: User) -> Assignment:
    """This rater's assignment, its row locked until the transaction ends.

    Raises Refused (404) when it is not theirs.
    """
    return _found(own_assignment(by, uid, lock=True))


def take_sheet(uid: UUID, by: User) -> Sheet:
    """The sheet of an assignment, to be changed: locked, so only in a transaction."""
    return _sheet(lock_assignment(uid, by))


def look_at_sheet(uid: UUID, by: User) -> Sheet:
    """The sheet of an assignment, only to be read."""
    return _sheet(_found(own_assignment(by, uid)))


def _found(assignment: Assignment | None) -> Assignment:
    if assignment is None:
        raise Refused("not_yours", _("This dialogue is not in your queue."), status=404)
    return assignment


def _sheet(assignment: Assignment) -> Sheet:
    rows = {row.key: row for row in instruments_of(assignment)}
    keys = {row.pk: row.key for row in rows.values()}
    # Read after the lock was taken: whoever held it before may have written.
    entries = {
        Spot(keys[instrument], item, turn): Entry(value, comment, revision)
        for instrument, item, turn, value, comment, revision in sheet_rows.answers(assignment.pk)
        if instrument in keys
    }
    return Sheet(assignment, rows, entries)
