"""The statements behind a save, written out: they run for every answer that every rater gives.

Each is one statement however many rows it moves, and always the same text. The ORM would take
longer to word these than the database takes to run them.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import connection

from review.models import Assignment, Step
from review.standing import Spot

if TYPE_CHECKING:
    from review.actions.sheet import Entry

_ANSWERS = """
SELECT instrument_id, item, turn_number, value, comment, revision
FROM review_rating WHERE assignment_id = %s
"""
_WRITE_ANSWERS = """
INSERT INTO review_rating AS old (assignment_id, instrument_id, item, turn_number, value, comment,
    revision, saved_by_key, created_at, updated_at)
SELECT %s, new.*, now(), now()
FROM unnest(%s::bigint[], %s::text[], %s::int[], %s::text[], %s::text[], %s::int[], %s::uuid[])
    AS new
ON CONFLICT (assignment_id, instrument_id, item, turn_number) DO UPDATE
SET value = excluded.value, comment = excluded.comment, revision = excluded.revision,
    saved_by_key = excluded.saved_by_key, updated_at = excluded.updated_at
"""
_KEYS = """
SELECT key FROM review_step WHERE assignment_id = %s AND key = ANY(%s::uuid[])
"""
_WRITE_STEPS = """
INSERT INTO review_step (assignment_id, number, parent, key, kind, instrument_id, item,
    turn_number, mark, value_before, comment_before, value, comment, revision, at)
SELECT %s, new.*, now()
FROM unnest(%s::int[], %s::int[], %s::uuid[], %s::text[], %s::bigint[], %s::text[], %s::int[],
    %s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[], %s::int[]) AS new
"""
_WRITE_ASSIGNMENT = """
UPDATE review_assignment
SET revision = %s, undo_step = %s, redo_step = %s, state = %s, opened_at = %s, comment = %s,
    comment_revision = %s
WHERE id = %s
"""

AnswerRow = tuple[int, str, int | None, str, str, int]


def answers(assignment: int) -> list[AnswerRow]:
    """Instrument, item, turn, value, comment and revision of every answer."""
    with connection.cursor() as cursor:
        cursor.execute(_ANSWERS, [assignment])
        return list(cursor.fetchall())


def write_answers(assignment: int, rows: Sequence[tuple[int, Spot, "Entry"]]) -> None:
    """Insert or change answers; triggers keep what they were."""
    columns = zip(
        *(
            (number, spot.item, spot.turn, one.value, one.comment, one.revision, one.key)
            for number, spot, one in rows
        ),
        strict=True,
    )
    with connection.cursor() as cursor:
        cursor.execute(_WRITE_ANSWERS, [assignment, *map(list, columns)])


def write_steps(assignment: int, steps: Sequence[Step]) -> None:
    """Append steps."""
    columns = zip(
        *(
            (
                *(one.number, one.parent, one.key, one.kind, one.instrument_id, one.item),
                *(one.turn_number, one.mark, one.value_before, one.comment_before),
                *(one.value, one.comment, one.revision),
            )
            for one in steps
        ),
        strict=True,
    )
    with connection.cursor() as cursor:
        cursor.execute(_WRITE_STEPS, [assignment, *map(list, columns)])


def write_assignment(row: Assignment) -> None:
    """Store what a save can change about an assignment."""
    values = (
        *(row.revision, row.undo_step, row.redo_step, row.state, row.opened_at),
        *(row.comment, row.comment_revision, row.pk),
    )
    with connection.cursor() as cursor:
        cursor.execute(_WRITE_ASSIGNMENT, values)


def steps_by_key(assignment: int, keys: Iterable[UUID]) -> dict[UUID, Step]:
    """Steps that carry one of these keys."""
    with connection.cursor() as cursor:
        cursor.execute(_KEYS, [assignment, list(keys)])
        seen = [key for (key,) in cursor.fetchall()]
    if not seen:
        return {}
    return {step.key: step for step in Step.objects.filter(assignment=assignment, key__in=seen)}
