"""A pairwise study's submitted judgments, read from its rows and handed to the statistics."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from django.db.models import Count
from numpy.typing import NDArray

from review.actions.comparison_studies import arm_label, group_key
from review.actions.comparisons import reasons_of
from review.agreement import Result as Figure
from review.agreement import gwet_ac, percent_agreement
from review.models import AssignmentState, Choice, Comparison, Study, StudyDialogue
from review.preference import Judgment, Strengths, Tally, strengths, wilson, win_tie_loss
from review.progress import Counts

NUMBER = {Choice.ONE: 0.0, Choice.TIE: 1.0, Choice.OTHER: 2.0}


@dataclass(frozen=True)
class Share:
    """A count out of a number, with the share and its 95 % Wilson interval."""

    count: int
    of: int
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class ComparisonResults:
    """Everything the results page and the files show. Arms are named by their labels."""

    judgments: int
    tallies: list[Tally]
    strengths: Strengths
    reasons: list[tuple[str, int]]
    left: Share | None
    agreement: Figure
    ac1: Figure


def arms_of(study: Study) -> dict[int, tuple[str, str]]:
    """Study dialogue -> label of its arm (no two arms share one) and the client it is about."""
    rows = StudyDialogue.objects.filter(study=study).select_related(
        "dialogue__arm__batch", "dialogue__batch"
    )
    return {row.pk: (arm_label(row.dialogue), group_key(row.dialogue)) for row in rows}


def results_of(study: Study) -> ComparisonResults:
    """Five queries, whatever the size."""
    arms = arms_of(study)
    rows = (
        Comparison.objects.filter(study=study, state=AssignmentState.SUBMITTED)
        .order_by("pair_id", "rater_id")
        .values_list(
            "pair_id", "pair__one_id", "pair__other_id", "rater_id", "choice", "reasons", "swapped"
        )
    )
    judgments: list[Judgment] = []
    by_pair: dict[int, dict[int, float]] = defaultdict(dict)
    reasons: Counter[str] = Counter()
    left = decided = 0
    for pair, one, other, rater, choice, given, swapped in rows:
        judged = Choice(choice)
        judgments.append(_judgment(arms, one, other, judged))
        by_pair[pair][rater] = NUMBER[judged]
        reasons.update(given)
        if judged != Choice.TIE:
            decided += 1
            left += (judged == Choice.ONE) != swapped
    values = _matrix(by_pair)
    return ComparisonResults(
        judgments=len(judgments),
        tallies=win_tie_loss(judgments),
        strengths=strengths(judgments),
        reasons=[(label, reasons[key]) for key, label in reasons_of(study).items()],
        left=Share(left, decided, left / decided, *wilson(left, decided)) if decided else None,
        agreement=percent_agreement(values),
        ac1=gwet_ac(values, "identity"),
    )


def _judgment(
    arms: Mapping[int, tuple[str, str]], one: int, other: int, choice: Choice
) -> Judgment:
    (first, group), (second, _) = arms[one], arms[other]
    if choice == Choice.TIE:
        return Judgment(first, second, "tie", group)
    return Judgment(first, second, "one" if choice == Choice.ONE else "other", group)


def _matrix(
    by_pair: Mapping[int, Mapping[int, float]],
) -> NDArray[np.float64]:
    """Raters x pairs."""
    raters = sorted({rater for given in by_pair.values() for rater in given})
    place = {rater: row for row, rater in enumerate(raters)}
    values = np.full((max(len(raters), 1), max(len(by_pair), 1)), np.nan)
    for column, given in enumerate(by_pair.values()):
        for rater, number in given.items():
            values[place[rater], column] = number
    return values


def counts_by_rater(study: Study) -> list[tuple[str, Counts]]:
    """Each rater's code with how far they are. Two queries."""
    found: dict[int, dict[str, int]] = {}
    rows = Comparison.objects.filter(study=study).order_by().values_list("rater_id", "state")
    for rater, state, number in rows.annotate(n=Count("*")):
        found.setdefault(rater, {})[state] = number
    raters = study.study_raters.values_list("rater_id", "code")
    codes = sorted(raters, key=lambda row: (len(row[1]), row[1]))
    return [(code, Counts(**found.get(rater, {}))) for rater, code in codes]
