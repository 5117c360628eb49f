"""Writes of the review side: one keyword-only function each, ``by=`` the acting person."""

from review.actions.calibration import after_submit, clear_rater, set_references
from review.actions.comparison_studies import create_comparison_study
from review.actions.comparisons import (
    hand_back_comparison,
    next_comparison,
    open_comparison,
    reopen_comparison,
    save_comparison,
    submit_comparison,
)
from review.actions.errors import Closed, Conflict, Refused
from review.actions.instruments import add_instrument, current_instruments, sync_instruments
from review.actions.rating import (
    RETURN_REASONS,
    Missing,
    Submission,
    hand_back,
    next_assignment,
    open_assignment,
    reopen,
    submit,
)
from review.actions.saving import Saved, save
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
    "Closed",
    "Conflict",
    "Missing",
    "Refused",
    "Saved",
    "StudyTexts",
    "Submission",
    "add_instrument",
    "after_submit",
    "change_study",
    "clear_rater",
    "create_comparison_study",
    "create_study",
    "current_instruments",
    "hand_back",
    "hand_back_comparison",
    "mark_flag_seen",
    "next_assignment",
    "next_comparison",
    "open_assignment",
    "open_comparison",
    "raise_flag",
    "reopen",
    "reopen_comparison",
    "save",
    "save_answer",
    "save_comment",
    "save_comparison",
    "set_references",
    "submit",
    "submit_comparison",
    "sync_instruments",
]
