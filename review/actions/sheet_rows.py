"""The statements behind a save: they run for every answer that every rater gives.

Reading takes three, writing one, however many answers come at once.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from review.models import Assignment, Step
from review.standing import Spot
from sqpsych_site.statements import AUTHOR, Row, author, fetch

if TYPE_CHECKING:
    from review.actions.sheet import Entry

_ANSWERS = """
SELECT instrument_id, item, turn_number, value, comment, revision
FROM review_rating WHERE assignment_id = %s
"""
_KEYS = """
SELECT key FROM review_step WHERE assignment_id = %s AND key = ANY(%s::uuid[])
"""
# The triggers run when the whole statement is done.
_WRITE = f"""{AUTHOR}, answers AS (
    INSERT INTO review_rating (assignment_id, instrument_id, item, turn_number, value, comment,
        revision, saved_by_key, created_at, updated_at)
    SELECT %s, new.*, now(), now()
    FROM unnest(%s::bigint[], %s::text[], %s::int[], %s::text[], %s::text[], %s::int[],
        %s::uuid[]) AS new, author
    ON CONFLICT (assignment_id, instrument_id, item, turn_number) DO UPDATE
    SET value = excluded.value, comment = excluded.comment, revision = excluded.revision,
        saved_by_key = excluded.saved_by_key, updated_at = excluded.updated_at
), steps AS (
    INSERT INTO review_step (assignment_id, number, parent, key, kind, instrument_id, item,
        turn_number, mark, value_before, comment_before, value, comment, revision, at)
    SELECT %s, new.*, now()
    FROM unnest(%s::int[], %s::int[], %s::uuid[], %s::text[], %s::bigint[], %s::text[],
        %s::int[], %s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[], %s::int[]) AS new
)
UPDATE review_assignment
SET revision = %s, undo_step = %s, redo_step = %s, state = %s, opened_at = %s, comment = %s,
    comment_revision = %s
FROM author WHERE id = %s
"""  # noqa: S608 - fixed text of our own
_OPEN = f"""{AUTHOR}
UPDATE review_assignment SET opened_at = %s, state = 'started'
FROM author WHERE id = %s AND opened_at IS NULL
RETURNING id
"""  # noqa: S608 - fixed text of our own
_SUBMIT = f"""{AUTHOR}
UPDATE review_assignment SET submitted_at = %s, state = 'submitted' FROM author WHERE id = %s
"""  # noqa: S608 - fixed text of our own
_FLAGS = "SELECT count(*) FROM review_flag WHERE assignment_id = %s AND withdrawn_at IS NULL"


def answers(assignment: int) -> list[Row]:
    """Instrument, item, turn, value, comment and revision of every answer."""
    return fetch(_ANSWERS, [assignment])


def write(
    row: Assignment, changed: Sequence[tuple[int, Spot, "Entry"]], steps: Sequence[Step]
) -> None:
    """Insert or change answers, append steps, and bring the assignment up to date."""
    given = [
        (number, spot.item, spot.turn, one.value, one.comment, one.revision, one.key)
        for number, spot, one in changed
    ]
    done = [
        (
            *(one.number, one.parent, one.key, one.kind, one.instrument_id, one.item),
            *(one.turn_number, one.mark, one.value_before, one.comment_before),
            *(one.value, one.comment, one.revision),
        )
        for one in steps
    ]
    parameters = [
        *author(),
        *(row.pk, *_columns(given, 7)),
        *(row.pk, *_columns(done, 13)),
        *(row.revision, row.undo_step, row.redo_step, row.state, row.opened_at, row.comment),
        *(row.comment_revision, row.pk),
    ]
    fetch(_WRITE, parameters)


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    return [[row[column] for row in rows] for column in range(width)]


def steps_by_key(assignment: int, keys: Iterable[UUID]) -> dict[UUID, Step]:
    """Steps that carry one of these keys."""
    seen = [key for (key,) in fetch(_KEYS, [assignment, list(keys)])]
    if not seen:
        return {}
    return {step.key: step for step in Step.objects.filter(assignment=assignment, key__in=seen)}


def open_flags(assignment: int) -> int:
    """How many flags are raised and not withdrawn."""
    return int(fetch(_FLAGS, [assignment])[0][0])


def mark_opened(assignment: int, at: datetime) -> bool:
    """Note when the dialogue was first seen; False when it was before, or is not there."""
    return bool(fetch(_OPEN, [*author(), at, assignment]))


def mark_submitted(assignment: int, at: datetime) -> None:
    """Close the rating."""
    fetch(_SUBMIT, [*author(), at, assignment])
