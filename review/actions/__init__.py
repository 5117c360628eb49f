"""Writes of the review side: one keyword-only function each, ``by=`` the acting person."""

from review.actions.calibration import after_submit, clear_rater, set_references
from review.actions.errors import Conflict, Refused
from review.actions.instruments import add_instrument, current_instruments, sync_instruments
from review.actions.marks import (
    FlagInput,
    Place,
    add_evidence,
    raise_flag,
    withdraw_evidence,
    withdraw_flag,
)
from review.actions.rating import (
    RETURN_REASONS,
    Answer,
    Missing,
    hand_back,
    missing_items,
    next_assignment,
    open_assignment,
    reopen,
    save_answer,
    save_comment,
    submit,
)
from review.actions.studies import (
    CHANGES,
    StudyTexts,
    change_study,
    create_study,
    mark_flag_seen,
)

__all__ = [
    "CHANGES",
    "RETURN_REASONS",
    "Answer",
    "Conflict",
    "FlagInput",
    "Missing",
    "Place",
    "Refused",
    "StudyTexts",
    "add_evidence",
    "add_instrument",
    "after_submit",
    "change_study",
    "clear_rater",
    "create_study",
    "current_instruments",
    "hand_back",
    "mark_flag_seen",
    "missing_items",
    "next_assignment",
    "open_assignment",
    "raise_flag",
    "reopen",
    "save_answer",
    "save_comment",
    "set_references",
    "submit",
    "sync_instruments",
    "withdraw_evidence",
    "withdraw_flag",
]
