"""What the rating page shows. Nothing here tells model, condition or another rater's judgment."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from review.actions import Missing
from review.actions.rating import instruments_of
from review.forms import FormView, stored_view
from review.instruments import FlagForm
from review.models import Assignment, AssignmentState, Flag
from review.pace import progress_of
from review.permissions import visible_in


@dataclass(frozen=True)
class FlagView:
    """A raised flag in words."""

    uid: UUID
    category: str
    severity: str
    notified: bool
    turn: int | None
    note: str


@dataclass(frozen=True)
class TurnView:
    """An utterance with the flags raised on it."""

    number: int
    role: str
    text: str
    flags: tuple[str, ...]


def flag_views(flags: Iterable[Flag], form: FlagForm | None) -> list[FlagView]:
    """The assignment's flags in the instrument's words."""
    if form is None:
        return []
    categories = {one.key: str(one.label) for one in form.categories}
    severities = {one.key: one for one in form.severities}
    return [
        FlagView(
            uid=flag.uid,
            category=categories.get(flag.category, flag.category),
            severity=str(severities[flag.severity].label),
            notified=severities[flag.severity].notify,
            turn=flag.turn_number,
            note=flag.note,
        )
        for flag in flags
    ]


def turn_views(assignment: Assignment, flags: Iterable[FlagView]) -> list[TurnView]:
    """The dialogue's turns in order."""
    raised: dict[int, list[str]] = {}
    for flag in flags:
        if flag.turn is not None:
            raised.setdefault(flag.turn, []).append(flag.category)
    rows = assignment.study_dialogue.dialogue.turns.values_list("number", "role", "text")
    return [
        TurnView(number, role, text, tuple(raised.get(number, ()))) for number, role, text in rows
    ]


def rating_context(
    assignment: Assignment, *, problems: Iterable[Missing] = (), **more: Any
) -> dict[str, Any]:
    """Everything the rating page needs."""
    form: FormView = stored_view(assignment, instruments_of(assignment), problems)
    flags = flag_views(assignment.flags.filter(withdrawn_at=None), form.flag_form)
    turns = turn_views(assignment, flags)
    return {
        "assignment": assignment,
        "study": assignment.study,
        "code": assignment.code,
        "visible": visible_in(assignment.study),
        "turns": turns,
        "last_turn": len(turns),
        "form": form,
        "flags": flags,
        "flag_uid": uuid4(),
        "progress": progress_of(assignment),
        "read_only": assignment.state in (AssignmentState.SUBMITTED, AssignmentState.RETURNED),
        **more,
    }
