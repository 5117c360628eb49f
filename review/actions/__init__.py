"""Writes of the review side: one keyword-only function each, ``by=`` the acting person."""

from review.actions.adjudication import decide, plan_adjudication
from review.actions.calibration import after_submit
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
from review.actions.gate import clear_rater
from review.actions.instruments import add_instrument, current_instruments, sync_instruments
from review.actions.practice import start_practice
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
from review.actions.references import set_reference, set_references
from review.actions.saving import Saved, save
from review.actions.studies import (
    CHANGES,
    begin_study,
    change_study,
    create_study,
    discard_study,
    draft_study,
    duplicate_study,
    mark_flag_seen,
    revise_study,
    set_texts,
)
from review.actions.study_choices import Choices, StudyTexts
from review.actions.study_design import Wishes
from review.actions.study_people import (
    add_dialogues,
    add_raters,
    describe_rater,
    limit_rater,
    make_up,
    remove_rater,
)

__all__ = [
    "CHANGES",
    "RETURN_REASONS",
    "Choices",
    "Closed",
    "Conflict",
    "Missing",
    "Refused",
    "Saved",
    "StudyTexts",
    "Submission",
    "Wishes",
    "add_dialogues",
    "add_instrument",
    "add_raters",
    "after_submit",
    "begin_study",
    "change_study",
    "clear_rater",
    "create_comparison_study",
    "create_study",
    "current_instruments",
    "decide",
    "describe_rater",
    "discard_study",
    "draft_study",
    "duplicate_study",
    "hand_back",
    "hand_back_comparison",
    "limit_rater",
    "make_up",
    "mark_flag_seen",
    "next_assignment",
    "next_comparison",
    "open_assignment",
    "open_comparison",
    "plan_adjudication",
    "remove_rater",
    "reopen",
    "reopen_comparison",
    "revise_study",
    "save",
    "save_comparison",
    "set_reference",
    "set_references",
    "set_texts",
    "start_practice",
    "submit",
    "submit_comparison",
    "sync_instruments",
]
