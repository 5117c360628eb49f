"""Writes of the review side: one keyword-only function each, ``by=`` the acting person."""

from review.actions.errors import Conflict, Refused
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

__all__ = [
    "RETURN_REASONS",
    "Answer",
    "Conflict",
    "FlagInput",
    "Missing",
    "Place",
    "Refused",
    "add_evidence",
    "hand_back",
    "missing_items",
    "next_assignment",
    "open_assignment",
    "raise_flag",
    "reopen",
    "save_answer",
    "save_comment",
    "submit",
    "withdraw_evidence",
    "withdraw_flag",
]
