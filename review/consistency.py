"""How steady raters are with themselves: hidden repeats beside the first sight. Pure.

``agreement`` is the mean likeness of the two answers (review.likeness). ``shift`` is the mean
second answer less the first, in parts of the scale: above 0 the rater has become milder (higher
values), below 0 stricter. Dialogues, not answers, are the independent units, so its interval is a
t interval over dialogues.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from review.items import Item
from review.likeness import MARKS, agreement, compare, same_share

FEW = 5
# 97.5 % points of Student's t for 1 to 30 degrees of freedom, then the normal one.
_T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
    2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
    2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
_NORMAL = 1.96


@dataclass(frozen=True)
class TwoSights:
    """One dialogue that a rater judged twice; answers by item, in the stored form."""

    rater: str
    items: Sequence[Item]
    first: Mapping[str, str]
    second: Mapping[str, str]


@dataclass(frozen=True)
class Steadiness:
    """One rater's figures. ``low`` and ``high`` bound the shift; None with under 5 dialogues."""

    rater: str
    dialogues: int
    answers: int
    agreement: float | None
    same: float | None
    shift: float | None
    low: float | None
    high: float | None

    @property
    def drifts(self) -> bool:
        """Whether the shift is too large to be chance."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


def steadiness(sights: Iterable[TwoSights]) -> list[Steadiness]:
    """Each rater's steadiness, by rater."""
    by_rater: dict[str, list[TwoSights]] = {}
    for sight in sights:
        by_rater.setdefault(sight.rater, []).append(sight)
    return [_of(rater, by_rater[rater]) for rater in sorted(by_rater, key=lambda r: (len(r), r))]


def _of(rater: str, sights: Sequence[TwoSights]) -> Steadiness:
    compared = [one for sight in sights for one in compare(sight.items, sight.first, sight.second)]
    shifts = [shift for sight in sights if (shift := _shift(sight)) is not None]
    low, high = _interval(shifts)
    return Steadiness(
        rater=rater,
        dialogues=len(sights),
        answers=len(compared),
        agreement=agreement(compared),
        same=same_share(compared),
        shift=statistics.fmean(shifts) if shifts else None,
        low=low,
        high=high,
    )


def _shift(sight: TwoSights) -> float | None:
    """The mean change over the scales of one dialogue, in parts of each scale."""
    changes = []
    for one in compare(sight.items, sight.first, sight.second):
        item = one.item
        if item.minimum is None or item.maximum is None or {one.own, one.other} & MARKS:
            continue
        changes.append((float(one.other) - float(one.own)) / float(item.maximum - item.minimum))
    return statistics.fmean(changes) if changes else None


def _interval(values: Sequence[float]) -> tuple[float | None, float | None]:
    if len(values) < FEW:
        return None, None
    mean, freedom = statistics.fmean(values), len(values) - 1
    quantile = _T[freedom - 1] if freedom <= len(_T) else _NORMAL
    reach = quantile * statistics.stdev(values) / math.sqrt(len(values))
    return mean - reach, mean + reach
