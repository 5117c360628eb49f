"""Storing one answer: the act that happens once for every click, so its cost counts.

Three statements in one transaction: the assignment's row is locked, its answers are read, and the
rating and the assignment are written together. They are written out in SQL because building them
from the ORM costs several times what the database needs to run them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F

from review import instruments
from review.actions.errors import Conflict, Refused
from review.actions.rating import (
    Spent,
    check_open,
    check_state,
    definition_of,
    known_item,
    locked,
    study_instruments,
)
from review.models import Assignment, AssignmentState, Instrument
from review.standing import Given, Standing, element, standing
from sqpsych_site.models import User

MAX_COMMENT = 10_000

LOCK = """
SELECT a.id, a.study_id, a.state, s.state, d.turn_count
FROM review_assignment a
JOIN review_study s ON s.id = a.study_id
JOIN review_studydialogue l ON l.id = a.study_dialogue_id
JOIN generation_dialogue d ON d.id = l.dialogue_id
WHERE a.uid = %s AND a.rater_id = %s AND s.state NOT IN ('draft', 'archived')
FOR UPDATE OF a
"""
# A second statement, so that it sees what another window committed while the lock was awaited.
READ = """
SELECT instrument_id, item, turn_number, value, revision, saved_by_key,
       CASE WHEN item = %s THEN comment ELSE '' END
FROM review_rating WHERE assignment_id = %s
"""
WRITE = """
WITH stored AS (
  INSERT INTO review_rating (assignment_id, instrument_id, item, turn_number, value, comment,
                             revision, saved_by_key, created_at, updated_at)
  VALUES (%(assignment)s, %(instrument)s, %(item)s, %(turn)s, %(value)s, %(comment)s,
          %(revision)s, %(key)s, now(), now())
  ON CONFLICT ON CONSTRAINT rating_once_per_item DO UPDATE
  SET value = excluded.value, comment = excluded.comment, revision = excluded.revision,
      saved_by_key = excluded.saved_by_key, updated_at = excluded.updated_at
)
UPDATE review_assignment
SET revision = revision + 1, state = 'started', opened_at = coalesce(opened_at, now()),
    active_seconds = active_seconds + %(active)s, paused_seconds = paused_seconds + %(paused)s
WHERE id = %(assignment)s
"""


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
    spent: Spent = Spent()

    @property
    def element(self) -> str:
        """The id of the item's element on the page."""
        return element(self.instrument, self.item, self.turn)


@dataclass(frozen=True)
class Stored:
    """What the database holds for one item: value, comment, revision (0: nothing yet)."""

    value: str = ""
    comment: str = ""
    revision: int = 0
    key: UUID | None = None


@dataclass(frozen=True)
class Saved:
    """An answer as it is stored now, and how far the rating is with it."""

    element: str
    section: str
    stored: Stored
    standing: Standing


Slot = tuple[int, str, int | None]


@dataclass(frozen=True)
class Sheet:
    """A locked assignment with its study's forms and every answer given so far."""

    assignment: int
    rows: tuple[Instrument, ...]
    stored: Mapping[Slot, Stored]
    turns: int

    def row(self, key: str) -> Instrument:
        """The study's form called ``key``, or a refusal in words."""
        for row in self.rows:
            if row.key == key:
                return row
        raise Refused("unknown_item", "This study has no such form.")

    def values(self, instrument: int, turn: int | None = None) -> dict[str, str]:
        """Item -> stored value of one form, for the dialogue or for one turn."""
        return {
            item: one.value
            for (pk, item, number), one in self.stored.items()
            if pk == instrument and number == turn and one.value
        }

    def standing(self) -> Standing:
        """How far the rating is."""
        turns = {turn for _, _, turn in self.stored if turn is not None}
        given = [
            Given(
                definition_of(row),
                self.values(row.pk),
                {turn: self.values(row.pk, turn) for turn in turns},
            )
            for row in self.rows
        ]
        return standing(given, self.turns)


def opened_sheet(uid: UUID, by: User, item: str = "") -> Sheet:
    """Lock the rater's assignment and read its answers (the comment of ``item`` only)."""
    with connection.cursor() as cursor:
        cursor.execute(LOCK, [uid, by.pk])
        found = cursor.fetchone()
        if found is None:
            raise Refused("not_yours", "This dialogue is not in your queue.", status=404)
        pk, study_id, state, study_state, turns = found
        check_state(state=state, study_state=study_state)
        cursor.execute(READ, [item, pk])
        stored = {
            (instrument, key, turn): Stored(value, comment, revision, saved_by)
            for instrument, key, turn, value, revision, saved_by, comment in cursor.fetchall()
        }
    return Sheet(pk, study_instruments(study_id), stored, turns)


@transaction.atomic
def save_answer(*, uid: UUID, by: User, answer: Answer) -> Saved:
    """Store one answer or comment; the same request sent twice changes nothing more.

    ``answer.base`` is the revision of this rating that the page last saw (0: none); when the
    stored one is newer and different, :class:`Conflict` is raised and nothing is written.
    """
    sheet = opened_sheet(uid, by, answer.item)
    row = sheet.row(answer.instrument)
    _check_allowed(sheet, row, answer)
    slot: Slot = (row.pk, answer.item, answer.turn)
    before = sheet.stored.get(slot, Stored())
    after = _changed(before, answer)
    if after != before:
        write(sheet, slot, after, answer.spent)
    return saved(sheet, row, answer, after)


def _changed(before: Stored, answer: Answer) -> Stored:
    """What is to be stored; ``before`` itself when nothing changes."""
    if answer.key is not None and before.key == answer.key:
        return before
    value = before.value if answer.value is None else answer.value
    comment = before.comment if answer.comment is None else answer.comment
    if before.revision and (before.value, before.comment) == (value, comment):
        return before
    if answer.base is not None and answer.base != before.revision:
        raise Conflict(
            stored=before.value if answer.value is not None else before.comment,
            given=value if answer.value is not None else comment,
            revision=before.revision,
        )
    return Stored(value, comment, before.revision + 1, answer.key)


def write(sheet: Sheet, slot: Slot, stored: Stored, spent: Spent) -> None:
    """Write one rating and the assignment's own counters."""
    instrument, item, turn = slot
    seconds = spent.within_reason()
    with connection.cursor() as cursor:
        cursor.execute(
            WRITE,
            {
                "assignment": sheet.assignment,
                "instrument": instrument,
                "item": item,
                "turn": turn,
                "value": stored.value,
                "comment": stored.comment,
                "revision": stored.revision,
                "key": stored.key,
                "active": seconds.active,
                "paused": seconds.paused,
            },
        )


def saved(sheet: Sheet, row: Instrument, answer: Answer, after: Stored) -> Saved:
    """What the page is told: the answer as stored, and where the rating stands with it."""
    slot: Slot = (row.pk, answer.item, answer.turn)
    now = Sheet(sheet.assignment, sheet.rows, {**sheet.stored, slot: after}, sheet.turns)
    return Saved(answer.element, section_of(row, answer.item), after, now.standing())


def section_of(row: Instrument, item: str) -> str:
    """The id of the section an item stands in."""
    for section in definition_of(row).sections:
        if any(one.key == item for one in section.items):
            return f"{row.key}-{section.key}"
    raise KeyError(item)


def _check_allowed(sheet: Sheet, row: Instrument, answer: Answer) -> None:
    if answer.comment is not None and len(answer.comment) > MAX_COMMENT:
        raise Refused("too_long", f"A comment may have at most {MAX_COMMENT:,} characters.")
    item = known_item(row, answer.item)
    if (item.level == "turn") != (answer.turn is not None):
        raise Refused("bad_place", f"“{item.label}” is asked about {item.level}s.")
    if answer.turn is not None and not 1 <= answer.turn <= sheet.turns:
        raise Refused("unknown_turn", "This dialogue has no such turn.")
    if not answer.value:
        return
    known = sheet.values(row.pk)
    if answer.turn is not None:
        known |= sheet.values(row.pk, answer.turn)
    try:
        definition_of(row).check_answer(answer.item, answer.value, known)
    except instruments.AnswerRefused as refused:
        raise Refused(refused.code, refused.sentence) from refused


@transaction.atomic
def save_comment(*, uid: UUID, by: User, comment: str, spent: Spent = Spent()) -> None:
    """Store the rater's words about the dialogue as a whole."""
    assignment = locked(uid, by)
    check_open(assignment)
    if len(comment) > MAX_COMMENT:
        raise Refused("too_long", f"A comment may have at most {MAX_COMMENT:,} characters.")
    if assignment.comment == comment:
        return
    seconds = spent.within_reason()
    Assignment.objects.filter(pk=assignment.pk).update(
        comment=comment,
        state=AssignmentState.STARTED,
        revision=F("revision") + 1,
        active_seconds=F("active_seconds") + seconds.active,
        paused_seconds=F("paused_seconds") + seconds.paused,
    )
