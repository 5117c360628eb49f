"""Agreement between raters, each figure with a 95 % bootstrap interval. Pure, numpy.

`values` is raters x units, a float array with NaN where a rater did not rate a unit; callers turn
'not sure' and 'not applicable' into NaN. Categories are compared by value, so 0, 1, 2 and half
marks keep their distances. Nothing here raises for poor data: an undefined figure comes back with
estimate None and a note. ValueError is only for a wrong call (shape, name of a level or form).

References
  Cohen 1960, Educ Psychol Meas 20:37; Cohen 1968, Psychol Bull 70:213 (weighted).
  Fleiss 1971, Psychol Bull 76:378. Gwet 2008, Br J Math Stat Psychol 61:29; Gwet 2014, Handbook
  of Inter-Rater Reliability, 4th ed., chapters 2 to 5 (missing ratings, weights).
  Krippendorff 2011, Computing Krippendorff's Alpha-Reliability.
  Shrout and Fleiss 1979, Psychol Bull 86:420. McGraw and Wong 1996, Psychol Methods 1:30.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from review.agreement_sums import (
    TINY,
    Sums,
    chance_corrected,
    count_table,
    interval_alpha,
    matrix,
    nominal_alpha,
    one_way_icc,
    ordinal_alpha,
    pair_agreement,
    ratio,
    two_rater_kappa,
    two_way_icc,
    weight_grid,
)
from review.bootstrap import Floats, Result, resampled, summarise, undefined

__all__ = [
    "Form",
    "Level",
    "Result",
    "Weights",
    "cohen_kappa",
    "fleiss_kappa",
    "gwet_ac",
    "icc",
    "krippendorff_alpha",
    "percent_agreement",
]

Level = Literal["nominal", "ordinal", "interval"]
Weights = Literal["identity", "linear", "quadratic"]
Form = Literal["1,1", "2,1", "3,1", "1,k", "2,k", "3,k"]

DRAWS = 1000
PREVALENT = 0.9
NO_PAIRS = "No unit was rated by two or more raters, so there is nothing to compare."
NO_VARIATION = (
    "Every rating has the same value, so agreement beyond chance cannot be calculated;"
    " see percent agreement."
)
ONE_CATEGORY = "Only one value was used; give all categories of the scale to calculate this."
PREVALENT_NOTE = (
    "have the same value; figures corrected for chance are unsteady then,"
    " read this one beside percent agreement and Gwet's AC1."
)


def krippendorff_alpha(
    values: ArrayLike, level: Level, *, draws: int = DRAWS, seed: int = 0
) -> Result:
    """Krippendorff's alpha (2011): 1 - observed / expected disagreement of pairable values.

    With n_c the pairable ratings of value c, n their sum and o_ck the coincidences,
    alpha = 1 - (n - 1) sum o_ck d_ck / sum n_c n_k d_ck. The difference d is 0 or 1 (nominal),
    (c - k)^2 (interval), or the squared number of ratings between c and k, the two ends counted
    half (ordinal): that is interval on the mid-ranks of the pooled ratings.
    """
    _one_of(level, Level, "level")
    table, scale = count_table(values)
    table = table[table.sum(axis=1) >= 2]
    if not len(table):
        return undefined(0, NO_PAIRS)
    if level == "interval":
        sums = interval_alpha(table, scale)
    else:
        sums = nominal_alpha(table) if level == "nominal" else ordinal_alpha(table)
    return _result(sums, table, len(table), draws=draws, seed=seed, prevalence=table)


def fleiss_kappa(values: ArrayLike, *, draws: int = DRAWS, seed: int = 0) -> Result:
    """Fleiss' kappa (1971) for any number of interchangeable raters and nominal categories.

    With missing ratings as in Gwet (2014, ch. 2): agreement over units with two ratings or more,
    category shares over all rated units, each unit counting once.
    """
    table, scale = count_table(values)
    paired = int((table.sum(axis=1) >= 2).sum())
    if not paired:
        return undefined(0, NO_PAIRS)
    sums = chance_corrected(table, np.eye(len(scale)), lambda shares: (shares**2).sum(axis=1))
    return _result(sums, table, paired, draws=draws, seed=seed, prevalence=table)


def gwet_ac(
    values: ArrayLike,
    weights: Weights = "identity",
    *,
    categories: Sequence[float] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> Result:
    """Gwet's AC1 (identity weights) or AC2 (linear, quadratic); steady when one value prevails.

    Chance agreement is T / (q (q - 1)) sum p_k (1 - p_k), T the sum of all weights. It depends on
    q, the number of categories: give the whole scale in `categories` where some values may not
    have been used. Weights fall with the distance of the values, over the range of the scale.
    """
    _one_of(weights, Weights, "weights")
    table, scale = count_table(values, categories)
    paired, count = int((table.sum(axis=1) >= 2).sum()), len(scale)
    if not paired:
        return undefined(0, NO_PAIRS)
    if count < 2:
        return undefined(paired, ONE_CATEGORY)
    grid = weight_grid(scale, weights)
    factor = grid.sum() / (count * (count - 1))
    sums = chance_corrected(
        table, grid, lambda shares: factor * (shares * (1 - shares)).sum(axis=1)
    )
    return _result(sums, table, paired, draws=draws, seed=seed)


def percent_agreement(values: ArrayLike, *, draws: int = DRAWS, seed: int = 0) -> Result:
    """Share of agreeing pairs of raters, averaged over the units with two ratings or more (0-1)."""
    table, scale = count_table(values)
    table = table[table.sum(axis=1) >= 2]
    if not len(table):
        return undefined(0, NO_PAIRS)
    agreeing = pair_agreement(table, np.eye(len(scale)))
    features = np.column_stack([agreeing, np.ones(len(table))])
    return _result((features, _mean), table, len(table), draws=draws, seed=seed)


def cohen_kappa(
    a: ArrayLike,
    b: ArrayLike,
    weights: Weights = "identity",
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> Result:
    """Cohen's kappa (1960) of two raters, or weighted kappa (1968).

    Linear weights fall with |a - b|, quadratic with (a - b)^2. Units that one of the two did not
    rate are left out. Each rater keeps their own category shares.
    """
    _one_of(weights, Weights, "weights")
    both = matrix([np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)])
    both = both[:, ~np.isnan(both).any(axis=0)]
    units = both.shape[1]
    if not units:
        return undefined(0, "The two raters have no unit in common.")
    scale = np.unique(both)
    codes = np.searchsorted(scale, both)
    table = np.eye(len(scale))[codes].sum(axis=0)
    sums = two_rater_kappa(codes, 1 - weight_grid(scale, weights))
    return _result(sums, codes.T, units, draws=draws, seed=seed, prevalence=table)


def icc(values: ArrayLike, form: Form, *, draws: int = DRAWS, seed: int = 0) -> Result:
    """Intraclass correlation of Shrout and Fleiss (1979), as ratios of mean squares.

    '1': each unit has its own raters; '2': the same raters, a sample of all; '3': these raters
    only (consistency). ',1' is one rater, ',k' the mean of the raters of a unit. Forms 2 and 3
    use only units rated by everybody. Form 1 takes units with two ratings or more; with unequal
    numbers k is the usual k0 = (N - sum k_i^2 / N) / (n - 1).
    """
    _one_of(form, Form, "form")
    rows = matrix(values)
    one_way, averaged = form.startswith("1"), form.endswith("k")
    rated = (~np.isnan(rows)).sum(axis=0)
    keep = rated >= 2 if one_way else rated == max(2, len(rows))
    notes = []
    if dropped := int((rated >= 2).sum() - keep.sum()):
        many = f"{dropped} units were" if dropped > 1 else "1 unit was"
        notes.append(f"{many} left out because not every rater rated all units.")
    rows = rows[:, keep]
    units = rows.shape[1]
    if units < 2:
        what = "with two ratings or more" if one_way else "rated by every rater"
        return undefined(units, " ".join([*notes, f"At least two units {what} are needed."]))
    patterns = np.where(np.isnan(rows), np.inf, rows)
    # Centred and scaled, so that rounding stays far below what counts as no variation.
    rows = rows - np.nanmean(rows)
    rows = rows / max(float(np.nanmax(np.abs(rows))), TINY)
    if one_way:
        patterns.sort(axis=0)
        sums = one_way_icc(rows, averaged=averaged)
    else:
        sums = two_way_icc(rows, consistency=form.startswith("3"), averaged=averaged)
    return _result(sums, patterns.T, units, draws=draws, seed=seed, notes=notes)


def _mean(sums: Floats) -> Floats:
    return ratio(sums[:, 0], sums[:, 1])


def _result(
    sums: Sums,
    patterns: NDArray[np.floating | np.integer],
    units: int,
    *,
    draws: int,
    seed: int,
    prevalence: Floats | None = None,
    notes: Sequence[str] = (),
) -> Result:
    """Estimate, interval and notes; one value prevailing in `prevalence` (a table) gets a note."""
    features, statistic = sums
    point, drawn = resampled(
        features, patterns.astype(np.float64), statistic, draws=draws, seed=seed
    )
    if not np.isfinite(point):
        return undefined(units, " ".join([*notes, NO_VARIATION]))
    found = list(notes)
    if prevalence is not None:
        share = float(prevalence.sum(axis=0).max() / prevalence.sum())
        if share >= PREVALENT:
            found.append(f"{100 * share:.0f} % of the ratings {PREVALENT_NOTE}")
    return summarise(point, drawn, units, found)


def _one_of(value: str, allowed: object, what: str) -> None:
    names = get_args(allowed)
    if value not in names:
        raise ValueError(f"The {what} must be one of {', '.join(names)}.")
