"""Bootstrap over units for statistics that are functions of sums over units. Pure, numpy.

Every agreement statistic here depends on the units only through sums of per-unit features (counts
of categories, squares, products). So a resample needs no unit, only how often each unit was drawn,
and units that were rated alike can be drawn as one group: their counts are multinomial with the
group sizes as weights. All draws are then one matrix product, draws x groups by groups x features.
Percentile intervals after Efron and Tibshirani (1993), chapter 13.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Floats]

FEW_UNITS = 30
LEVEL = 0.95
# Draws x groups held at once: 16 million counts are 128 MB.
CELLS_AT_ONCE = 16_000_000


@dataclass(frozen=True)
class Result:
    """A statistic with its 95 % bootstrap interval.

    `estimate` is None where the statistic is not defined and `low`, `high` are None where there is
    no interval; `note` then says why. `units` counts the units that went in. `note` is empty, or
    sentences a reader of the figure must know.
    """

    estimate: float | None
    low: float | None
    high: float | None
    units: int
    note: str = ""


def undefined(units: int, note: str) -> Result:
    """The result where nothing can be calculated."""
    return Result(None, None, None, units, note)


def resampled(
    features: Floats, patterns: Floats, statistic: Statistic, *, draws: int, seed: int
) -> tuple[float, Floats]:
    """The statistic of the sums of `features` (units x features) and of `draws` resamples.

    `patterns` (units x any number, no NaN) says which units are alike: equal patterns must mean
    equal features. Statistics of the same patterns and seed see the same resamples. `statistic`
    maps sums (any number x features) to values, NaN where undefined.
    """
    _, example, sizes = np.unique(patterns, axis=0, return_index=True, return_counts=True)
    groups, units = features[example], len(features)
    point = float(statistic((sizes[None, :] @ groups).astype(np.float64))[0])
    rng = np.random.default_rng(seed)
    step = max(1, CELLS_AT_ONCE // max(groups.shape))
    parts = [
        statistic(_counts(rng, sizes, units, min(step, draws - start)) @ groups)
        for start in range(0, draws, step)
    ]
    return point, np.concatenate(parts) if parts else np.empty(0)


def _counts(rng: np.random.Generator, sizes: NDArray[np.int_], units: int, draws: int) -> Floats:
    """How often each group is drawn in each of `draws` resamples of all units."""
    if len(sizes) * 4 < units:
        return rng.multinomial(units, sizes / units, size=draws).astype(np.float64)
    # Many small groups: drawing units and counting them is the faster way to the same numbers.
    group_of_unit = np.repeat(np.arange(len(sizes)), sizes)
    drawn = group_of_unit[rng.integers(0, units, size=(draws, units))]
    drawn += np.arange(draws)[:, None] * len(sizes)
    counts = np.bincount(drawn.ravel(), minlength=draws * len(sizes))
    return counts.reshape(draws, len(sizes)).astype(np.float64)


def summarise(point: float, drawn: Floats, units: int, notes: list[str]) -> Result:
    """Estimate and percentile interval as a Result, with the warnings every statistic shares."""
    defined = drawn[np.isfinite(drawn)]
    if units < 2 or len(defined) < 2:
        notes.append("An interval needs at least two units with differing ratings.")
        return Result(point, None, None, units, " ".join(notes))
    tail = (1 - LEVEL) / 2
    low, high = (float(edge) for edge in np.quantile(defined, [tail, 1 - tail]))
    if len(defined) < 0.99 * len(drawn):
        share = 100 * (1 - len(defined) / len(drawn))
        notes.append(f"{share:.0f} % of the resamples had no variation and were left out.")
    if low == high:
        notes.append("All resamples gave the same value, so the interval says nothing.")
    if units < FEW_UNITS:
        notes.append(f"Only {units} units: read the interval as a rough guide.")
    return Result(point, low, high, units, " ".join(notes))
