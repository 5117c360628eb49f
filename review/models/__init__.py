"""Rows of the review side: studies, assignments, and every judgment with its history.

Ratings, evidence and flags are written one by one as the rater gives them; database triggers
(django-pghistory) keep every earlier value with its author in the same transaction.
"""

from review.models.adjudication import Adjudication, AdjudicationPlan, Adjudicator
from review.models.calibration import Reference
from review.models.comparisons import Choice, Comparison, ComparisonPair, ComparisonQuerySet
from review.models.ratings import (
    DATA_KINDS,
    Assignment,
    AssignmentKind,
    AssignmentQuerySet,
    AssignmentState,
    Evidence,
    Flag,
    Rating,
)
from review.models.results import KeptFigures
from review.models.steps import Step, StepKind, Visit
from review.models.studies import (
    IMMUTABLE,
    Instrument,
    RatingOrder,
    Study,
    StudyDialogue,
    StudyInstrument,
    StudyKind,
    StudyQuerySet,
    StudyRater,
    StudyState,
    blank_settings,
)

__all__ = [
    "DATA_KINDS",
    "IMMUTABLE",
    "Adjudication",
    "AdjudicationPlan",
    "Adjudicator",
    "Assignment",
    "AssignmentKind",
    "AssignmentQuerySet",
    "AssignmentState",
    "Choice",
    "Comparison",
    "ComparisonPair",
    "ComparisonQuerySet",
    "Evidence",
    "Flag",
    "Instrument",
    "KeptFigures",
    "Rating",
    "RatingOrder",
    "Reference",
    "Step",
    "StepKind",
    "Study",
    "StudyDialogue",
    "StudyInstrument",
    "StudyKind",
    "StudyQuerySet",
    "StudyRater",
    "StudyState",
    "Visit",
    "blank_settings",
]
