"""All figures of a study's results, from its table of ratings to plain JSON values. Pure.

Each figure is a list ``[estimate, low, high, units, note]``: see review.bootstrap.Result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from review.agreement import (
    DRAWS,
    Weights,
    cohen_kappa,
    fleiss_kappa,
    gwet_ac,
    icc,
    krippendorff_alpha,
    percent_agreement,
)
from review.bootstrap import Floats, Result
from review.measures import Measure, Scale, StudyTable
from review.pooling import pooled_pair

Figure = list[Any]
Statistic = Callable[[Measure, int], Result]

# Name -> what it is called, and how it is calculated from a measure and a number of draws.
STATISTICS: dict[str, tuple[str, Statistic]] = {
    "percent": ("Percent agreement", lambda m, n: percent_agreement(m.values, draws=n)),
    "alpha_nominal": (
        "Krippendorff's alpha, nominal",
        lambda m, n: krippendorff_alpha(m.values, "nominal", draws=n),
    ),
    "alpha_ordinal": (
        "Krippendorff's alpha, ordinal",
        lambda m, n: krippendorff_alpha(m.values, "ordinal", draws=n),
    ),
    "alpha_interval": (
        "Krippendorff's alpha, interval",
        lambda m, n: krippendorff_alpha(m.values, "interval", draws=n),
    ),
    "ac1": ("Gwet's AC1", lambda m, n: gwet_ac(m.values, categories=m.categories, draws=n)),
    "ac2_linear": (
        "Gwet's AC2, linear weights",
        lambda m, n: gwet_ac(m.values, "linear", categories=m.categories, draws=n),
    ),
    "ac2_quadratic": (
        "Gwet's AC2, quadratic weights",
        lambda m, n: gwet_ac(m.values, "quadratic", categories=m.categories, draws=n),
    ),
    "fleiss": ("Fleiss' kappa", lambda m, n: fleiss_kappa(m.values, draws=n)),
    "icc_1_1": ("ICC(1,1)", lambda m, n: icc(m.values, "1,1", draws=n)),
    "icc_2_1": ("ICC(2,1)", lambda m, n: icc(m.values, "2,1", draws=n)),
    "icc_3_1": ("ICC(3,1)", lambda m, n: icc(m.values, "3,1", draws=n)),
    "icc_1_k": ("ICC(1,k)", lambda m, n: icc(m.values, "1,k", draws=n)),
    "icc_2_k": ("ICC(2,k)", lambda m, n: icc(m.values, "2,k", draws=n)),
    "icc_3_k": ("ICC(3,k)", lambda m, n: icc(m.values, "3,k", draws=n)),
}
_ICC = tuple(name for name in STATISTICS if name.startswith("icc"))
ALL: dict[Scale, tuple[str, ...]] = {
    "nominal": ("percent", "alpha_nominal", "ac1", "fleiss"),
    "ordinal": (
        *("percent", "alpha_nominal", "alpha_ordinal", "alpha_interval"),
        *("ac1", "ac2_linear", "ac2_quadratic", "fleiss"),
        *_ICC,
    ),
    "interval": ("percent", "alpha_interval", *_ICC),
}
# The columns of the table of results: what stands there depends on the level of the measure.
HEADLINE: dict[Scale, dict[str, str]] = {
    "nominal": {"percent": "percent", "alpha": "alpha_nominal", "gwet": "ac1"},
    "ordinal": {
        "percent": "percent",
        "alpha": "alpha_ordinal",
        "gwet": "ac2_quadratic",
        "icc": "icc_1_1",
    },
    "interval": {"percent": "percent", "alpha": "alpha_interval", "icc": "icc_1_1"},
}


def figure(result: Result) -> Figure:
    """A result as JSON."""
    return [result.estimate, result.low, result.high, result.units, result.note]


def summary(table: StudyTable, *, draws: int = DRAWS) -> dict[str, Any]:
    """Everything the pages of results show, and the export of agreement."""
    arms = [{"name": arm, "dialogues": len(table.columns_of(arm))} for arm in table.arm_names]
    return {
        "raters": list(table.raters),
        "dialogues": len(table.dialogues),
        "rated": int((table.submitted.sum(axis=0) > 0).sum()),
        "paired": int((table.submitted.sum(axis=0) > 1).sum()),
        "submitted": int(table.submitted.sum()),
        "draws": draws,
        "arms": arms,
        "measures": [_measure(one, table, draws) for one in table.measures],
        "pairs": list(_pairs(table, draws)),
        "flags": {
            "severities": list(table.severities),
            "rows": [{"label": label, "counts": list(counts)} for label, counts in table.flags],
        },
    }


def _measure(one: Measure, table: StudyTable, draws: int) -> dict[str, Any]:
    return {
        "kind": one.kind,
        "instrument": one.instrument,
        "version": one.version,
        "key": one.key,
        "label": one.label,
        "section": one.section,
        "level": one.level,
        "ratings": one.ratings,
        "answers": list(one.answers),
        "categories": list(one.stored),
        "figures": {name: figure(STATISTICS[name][1](one, draws)) for name in ALL[one.level]},
        "arms": {
            arm: _arm(one.of(columns), draws)
            for arm in table.arm_names
            if (columns := table.columns_of(arm))
        },
        "pairs": list(_item_pairs(one, table, draws)),
    }


def _arm(one: Measure, draws: int) -> dict[str, Any]:
    """Headline figures of one arm, and how often each answer was given there."""
    given = one.values[~np.isnan(one.values)]
    return {
        "ratings": one.ratings,
        "mean": float(given.mean()) if given.size else None,
        "sd": float(given.std(ddof=1)) if given.size > 1 else None,
        "counts": [int((given == value).sum()) for value in one.categories],
        "figures": {
            column: figure(STATISTICS[name][1](one, draws))
            for column, name in HEADLINE[one.level].items()
        },
    }


def _common(table: StudyTable) -> Iterator[tuple[int, int]]:
    """Pairs of raters who both handed in a dialogue."""
    for first, second in combinations(range(len(table.raters)), 2):
        if ((table.submitted[first] > 0) & (table.submitted[second] > 0)).any():
            yield first, second


def _item_pairs(one: Measure, table: StudyTable, draws: int) -> Iterator[dict[str, Any]]:
    """Cohen's kappa of each pair of raters; weighted too where the answers have an order."""
    if one.level == "interval":
        return
    for first, second in _common(table):
        both: Floats = one.values[[first, second]]
        if np.isnan(both).any(axis=0).all():
            continue
        kinds: tuple[Weights, ...] = ("identity",)
        if one.level == "ordinal":
            kinds = ("identity", "linear", "quadratic")
        yield {
            "raters": [table.raters[first], table.raters[second]],
            "percent": figure(percent_agreement(both, draws=draws)),
            **{
                f"kappa_{kind}": figure(cohen_kappa(both[0], both[1], kind, draws=draws))
                for kind in kinds
            },
        }


def _pairs(table: StudyTable, draws: int) -> Iterator[dict[str, Any]]:
    """Each pair of raters over all scale items together; other items where there are no scales."""
    items = [one for one in table.measures if one.kind == "item"]
    scales: Sequence[Measure] = [one for one in items if one.level == "ordinal"] or items
    for first, second in _common(table):
        percent, kappa = pooled_pair(scales, first, second, draws=draws)
        yield {
            "raters": [table.raters[first], table.raters[second]],
            "percent": figure(percent),
            "kappa": figure(kappa),
        }
