"""What a rating page asks for in one request: operations in order, each happening once.

An operation that is refused changes nothing and does not stop the ones after it. Everything that
was accepted is stored when :func:`save` returns, or nothing is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Sum
from django.utils.translation import gettext as _

from review import wire
from review.actions import answering, marks, sheet_rows
from review.actions.errors import Closed, Conflict, Refused
from review.actions.sheet import Entry, Sheet, check_takes_ratings, take_sheet
from review.models import Assignment, Step, StepKind, Visit
from review.standing import Spot
from sqpsych_site.models import User

Result = dict[str, Any]


@dataclass(frozen=True)
class Saved:
    """What came of a request: the sheet as it stands now, and a result for each operation."""

    sheet: Sheet
    results: list[Result]


@transaction.atomic
def save(*, uid: UUID, by: User, operations: Sequence[wire.AnyOperation | wire.Malformed]) -> Saved:
    """Carry out the operations on one assignment.

    Raises Refused for the request as a whole when the assignment is not this rater's (404) or
    takes nothing now (409); nothing is changed then.
    """
    sheet = take_sheet(uid, by)
    results = carry_out(sheet, operations)
    sheet.write()
    return Saved(sheet, results)


def carry_out(
    sheet: Sheet, operations: Sequence[wire.AnyOperation | wire.Malformed]
) -> list[Result]:
    """Apply operations to a sheet, in order; what was refused is told in its result."""
    keys = [one.key for one in operations if isinstance(one, wire.Operation)]
    sheet.made.update(sheet_rows.steps_by_key(sheet.assignment.pk, keys))
    results = []
    for operation in operations:
        if isinstance(operation, wire.Malformed):
            result: Result = {"status": 400, "code": "malformed", "sentence": operation.sentence}
        elif operation.key in sheet.made:
            result = _told_before(sheet, sheet.made[operation.key])
        else:
            result = _tried(sheet, operation)
        results.append({"key": operation.key and str(operation.key), **result})
    return results


def _tried(sheet: Sheet, operation: wire.AnyOperation) -> Result:
    try:
        return {"status": 200, **_carry_out(sheet, operation)}
    except Closed:
        raise
    except Conflict as conflict:
        return {
            **_refusal(conflict),
            "stored": {"value": conflict.value, "comment": conflict.comment},
            "revision": conflict.revision,
        }
    except Refused as refused:
        return _refusal(refused)


def _refusal(refused: Refused) -> Result:
    return {"status": refused.status, "code": refused.code, "sentence": refused.sentence}


def _carry_out(sheet: Sheet, operation: wire.AnyOperation) -> Result:
    match operation:
        case wire.Answer():
            return _answer(sheet, answering.give_answer(sheet, operation))
        case wire.Undo():
            return _answer(sheet, answering.undo(sheet, operation))
        case wire.Redo():
            return _answer(sheet, answering.redo(sheet, operation))
        case wire.Comment():
            answering.give_comment(sheet, operation)
            assignment = sheet.assignment
            return {"comment": assignment.comment, "revision": assignment.comment_revision}
        case wire.Evidence():
            return {"uid": str(marks.add_evidence(sheet, operation).uid)}
        case wire.Flag():
            return {"uid": str(marks.raise_flag(sheet, operation).uid)}
        case wire.Unmark():
            marks.withdraw_evidence(sheet, operation)
            return {"uid": str(operation.uid)}
        case wire.Unflag():
            marks.withdraw_flag(sheet, operation)
            return {"uid": str(operation.uid)}
        case wire.Time():
            note_time(sheet.assignment, operation)
            return {}


def _answer(sheet: Sheet, spot: Spot) -> Result:
    entry = sheet.entries.get(spot, Entry())
    return _answer_result(spot, entry.value, entry.comment, entry.revision)


def _answer_result(spot: Spot, value: str, comment: str, revision: int) -> Result:
    return {
        "instrument": spot.instrument,
        "item": spot.item,
        "turn": spot.turn,
        "value": value,
        "comment": comment,
        "revision": revision,
    }


def _told_before(sheet: Sheet, step: Step) -> Result:
    """The answer that the operation with this key got when it was carried out."""
    if step.kind in (StepKind.ANSWER, StepKind.UNDO, StepKind.REDO):
        keys = {row.pk: key for key, row in sheet.rows.items()}
        spot = Spot(keys[step.instrument_id or 0], step.item, step.turn_number)
        told = _answer_result(spot, step.value, step.comment, step.revision)
    elif step.kind == StepKind.COMMENT:
        told = {"comment": step.comment, "revision": step.revision}
    else:
        told = {"uid": str(step.mark)}
    return {"status": 200, **told}


def note_time(assignment: Assignment, told: wire.Time) -> None:
    """Store how long the rater has been at it in this look; totals never go down."""
    check_takes_ratings(assignment)
    visit, _made = Visit.objects.get_or_create(uid=told.visit, defaults={"assignment": assignment})
    if visit.assignment_id != assignment.pk:
        raise Refused("not_yours", _("This visit belongs to another rating."), status=404)
    visit.active_seconds = max(visit.active_seconds, told.active)
    visit.paused_seconds = max(visit.paused_seconds, told.paused)
    visit.save()
    sums = assignment.visits.aggregate(active=Sum("active_seconds"), paused=Sum("paused_seconds"))
    Assignment.objects.filter(pk=assignment.pk).update(
        active_seconds=sums["active"], paused_seconds=sums["paused"]
    )
