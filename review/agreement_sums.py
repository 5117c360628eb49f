"""Per-unit features and the statistics of their sums, for review.agreement. Pure, numpy.

`table` is units x categories: how many raters gave each category to each unit. Each `*_alpha` and
`*_icc` returns (features, statistic): features is units x any number, statistic maps sums of its
rows (draws x the same number) to values, NaN where undefined. See review.agreement for sources.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from review.bootstrap import Floats, Statistic

Sums = tuple[Floats, Statistic]

TINY = 1e-12


def matrix(values: ArrayLike) -> Floats:
    """Raters x units as floats; ValueError for another shape or infinite ratings."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2:
        raise ValueError("Ratings must be a table of raters x units.")
    if np.isinf(array).any():
        raise ValueError("Ratings must be finite numbers, or NaN where one is missing.")
    return array


def count_table(
    values: ArrayLike, categories: Sequence[float] | None = None
) -> tuple[Floats, Floats]:
    """The table of rated units, and the categories: those given, else the values that occur."""
    array = matrix(values)
    rated = ~np.isnan(array)
    found = np.unique(array[rated])
    scale = found if categories is None else np.unique(np.asarray(categories, dtype=np.float64))
    if not np.isin(found, scale).all():
        raise ValueError("A rating is not among the categories.")
    units, width = array.shape[1], max(1, len(scale))
    codes = np.searchsorted(scale, array[rated])
    unit = np.broadcast_to(np.arange(units), array.shape)[rated]
    counts = np.bincount(unit * width + codes, minlength=units * width)
    table = counts.reshape(units, width).astype(np.float64)
    return table[table.sum(axis=1) > 0], scale


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Quotients, NaN where the denominator vanishes."""
    safe = np.where(denominator > TINY, denominator, np.nan)
    return numerator / safe


def weight_grid(scale: Floats, kind: str) -> Floats:
    """Agreement weights (Gwet 2014, ch. 3): 1 for equal values, 0 across the whole scale."""
    if kind == "identity" or len(scale) < 2:
        return np.eye(len(scale))
    apart = np.abs(scale[:, None] - scale[None, :]) / (scale[-1] - scale[0])
    grid: Floats = 1 - (apart if kind == "linear" else apart**2)
    return grid


def pair_agreement(table: Floats, weights: Floats) -> Floats:
    """Weighted share of agreeing pairs of raters in each unit; 0 for units with one rating."""
    raters = table.sum(axis=1)
    agreeing = (table * (table @ weights - 1)).sum(axis=1)
    pairs = raters * (raters - 1)
    shares: Floats = np.divide(agreeing, pairs, out=np.zeros_like(agreeing), where=pairs > 0)
    return shares


def chance_corrected(table: Floats, weights: Floats, chance: Callable[[Floats], Floats]) -> Sums:
    """(observed - chance) / (1 - chance), with chance agreement from the category shares."""
    raters = table.sum(axis=1)
    paired = (raters >= 2).astype(np.float64)
    features = np.column_stack(
        [pair_agreement(table, weights), paired, np.ones(len(table)), table / raters[:, None]]
    )

    def statistic(sums: Floats) -> Floats:
        observed = ratio(sums[:, 0], sums[:, 1])
        expected = chance(sums[:, 3:] / sums[:, 2:3])
        return ratio(observed - expected, 1 - expected)

    return features, statistic


def two_rater_kappa(codes: NDArray[np.intp], lost: Floats) -> Sums:
    """Cohen's kappa from category numbers (2 x units) and disagreement weights."""
    count = len(lost)
    one_hot = np.eye(count)
    features = np.column_stack([lost[codes[0], codes[1]], one_hot[codes[0]], one_hot[codes[1]]])

    def statistic(sums: Floats) -> Floats:
        first, second = sums[:, 1 : count + 1], sums[:, count + 1 :]
        expected = ((first @ lost) * second).sum(axis=1)
        return 1 - ratio(sums[:, 0] * first.sum(axis=1), expected)

    return features, statistic


def nominal_alpha(table: Floats) -> Sums:
    """Disagreement 1 between different values."""
    raters = table.sum(axis=1, keepdims=True)
    apart = (table * (raters - table)).sum(axis=1) / (raters[:, 0] - 1)

    def statistic(sums: Floats) -> Floats:
        counts = sums[:, 1:]
        total = counts.sum(axis=1)
        return 1 - ratio((total - 1) * sums[:, 0], total**2 - (counts**2).sum(axis=1))

    return np.column_stack([apart, table]), statistic


def interval_alpha(table: Floats, scale: Floats) -> Sums:
    """Disagreement is the squared difference of the values."""
    scale = scale - scale.mean()
    scale = scale / max(float(np.abs(scale).max()), TINY)
    raters, total, squares = table.sum(axis=1), table @ scale, table @ scale**2
    apart = 2 * (raters * squares - total**2) / (raters - 1)

    def statistic(sums: Floats) -> Floats:
        apart, ratings, total, squares = sums.T
        return 1 - ratio((ratings - 1) * apart, 2 * (ratings * squares - total**2))

    return np.column_stack([apart, raters, total, squares]), statistic


def ordinal_alpha(table: Floats) -> Sums:
    """Disagreement is the squared distance of mid-ranks, which change with every resample."""
    count = table.shape[1]
    raters = table.sum(axis=1)
    coincidences = table[:, :, None] * table[:, None, :]
    coincidences[:, np.arange(count), np.arange(count)] -= table
    coincidences /= (raters - 1)[:, None, None]

    def statistic(sums: Floats) -> Floats:
        grid = sums.reshape(-1, count, count)
        counts = grid.sum(axis=2)
        ranks = np.cumsum(counts, axis=1) - counts / 2
        # Ranks around their middle keep the squares small and the differences exact.
        ranks = (ranks - counts.sum(axis=1, keepdims=True) / 2) / counts.sum(axis=1, keepdims=True)
        squares, total = (counts * ranks**2).sum(axis=1), counts.sum(axis=1)
        distance = (ranks[:, :, None] - ranks[:, None, :]) ** 2
        apart = (grid * distance).sum(axis=(1, 2))
        expected = 2 * (total * squares - (counts * ranks).sum(axis=1) ** 2)
        return 1 - ratio((total - 1) * apart, expected)

    return coincidences.reshape(len(table), -1), statistic


def one_way_icc(rows: Floats, *, averaged: bool) -> Sums:
    """ICC(1,1) or ICC(1,k) of raters x units with NaN, each unit with two ratings or more."""
    ratings = (~np.isnan(rows)).sum(axis=0).astype(np.float64)
    total, squares = np.nansum(rows, axis=0), np.nansum(rows**2, axis=0)
    features = np.column_stack(
        [np.ones_like(ratings), ratings, ratings**2, total, squares, total**2 / ratings]
    )

    def statistic(sums: Floats) -> Floats:
        units, ratings, ratings_squared, total, squares, between = sums.T
        within = np.maximum(squares - between, 0) / (ratings - units)
        between = (between - total**2 / ratings) / (units - 1)
        each = (ratings - ratings_squared / ratings) / (units - 1)
        below = between if averaged else between + (each - 1) * within
        return ratio(between - within, below)

    return features, statistic


def two_way_icc(rows: Floats, *, consistency: bool, averaged: bool) -> Sums:
    """ICC(2,.) or, for consistency, ICC(3,.) of a full table raters x units."""
    raters = len(rows)
    total = rows.sum(axis=0)
    features = np.column_stack([np.ones_like(total), total**2, (rows**2).sum(axis=0), rows.T])

    def statistic(sums: Floats) -> Floats:
        units, of_units, squares, by_rater = sums[:, 0], sums[:, 1], sums[:, 2], sums[:, 3:]
        middle = by_rater.sum(axis=1) ** 2 / (units * raters)
        between_units = of_units / raters - middle
        between_raters = (by_rater**2).sum(axis=1) / units - middle
        error = np.maximum(squares - middle - between_units - between_raters, 0)
        unit_square = between_units / (units - 1)
        error_square = error / ((units - 1) * (raters - 1))
        bias = 0 if consistency else (between_raters / (raters - 1) - error_square) / units
        below = (
            unit_square + bias
            if averaged
            else unit_square + (raters - 1) * error_square + raters * bias
        )
        return ratio(unit_square - error_square, below)

    return features, statistic
