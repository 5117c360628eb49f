"""Two raters compared over many items at once. Pure, numpy.

The items of a study share their dialogues, so resampling cells would make intervals too narrow:
whole dialogues are resampled, each with all its items. Sources as in review.agreement.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from review.agreement import DRAWS, Weights
from review.agreement_sums import TINY, ratio, two_rater_kappa, weight_grid
from review.bootstrap import Floats, Result, resampled, summarise, undefined
from review.measures import Measure

NO_COMMON = "The two raters have no dialogue in common."
NO_VARIATION = "Both raters gave one value throughout, so kappa cannot be calculated."


def pooled_pair(
    measures: Sequence[Measure],
    first: int,
    second: int,
    *,
    weights: Weights = "quadratic",
    draws: int = DRAWS,
    seed: int = 0,
) -> tuple[Result, Result]:
    """Percent agreement and weighted kappa of two raters (rows) over items of one scale or more.

    Scale points are moved to 0 (lowest) to 1 (highest) first, so a step means the same share of
    its scale everywhere. ``units`` are dialogues with at least one item rated by both.
    """
    stacked = np.array([_unit_range(one)[[first, second]] for one in measures])
    if stacked.size == 0:
        return undefined(0, NO_COMMON), undefined(0, NO_COMMON)
    both = ~np.isnan(stacked).any(axis=1)  # items x dialogues
    keep = both.any(axis=0)
    units = int(keep.sum())
    if not units:
        return undefined(0, NO_COMMON), undefined(0, NO_COMMON)
    stacked, both = stacked[:, :, keep], both[:, keep]
    scale = np.unique(stacked[:, 0][both].tolist() + stacked[:, 1][both].tolist())
    codes = np.searchsorted(scale, np.nan_to_num(stacked))
    codes = np.minimum(codes, len(scale) - 1)
    flat = codes.transpose(1, 0, 2).reshape(2, -1)
    features, kappa = two_rater_kappa(flat, 1 - weight_grid(scale, weights))
    features = features.reshape(*both.shape, -1) * both[:, :, None]
    same = (codes[:, 0] == codes[:, 1]) & both
    shares = np.column_stack([same.sum(axis=0), both.sum(axis=0)]).astype(np.float64)
    patterns = np.where(both[:, None, :], codes, -1).reshape(-1, units).T.astype(np.float64)
    agreed = _result(shares, patterns, _share, units, draws, seed)
    return agreed, _result(features.sum(axis=0), patterns, kappa, units, draws, seed)


def _unit_range(measure: Measure) -> Floats:
    low, high = measure.categories[0], measure.categories[-1]
    moved: Floats = np.round((measure.values - low) / max(high - low, TINY), 9)
    return moved


def _share(sums: Floats) -> Floats:
    return ratio(sums[:, 0], sums[:, 1])


def _result(
    features: Floats,
    patterns: Floats,
    statistic: object,
    units: int,
    draws: int,
    seed: int,
) -> Result:
    point, drawn = resampled(features, patterns, statistic, draws=draws, seed=seed)  # type: ignore[arg-type]
    if not np.isfinite(point):
        return undefined(units, NO_VARIATION)
    return summarise(point, drawn, units, [])
