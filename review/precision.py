"""How wide the interval of an agreement figure will be, before anybody has rated. Pure.

For the intraclass correlation (and, near enough, Krippendorff's interval alpha, which estimates
the same thing) after Bonett, D. G. (2002), Sample size requirements for estimating intraclass
correlations with desired precision, Statistics in Medicine 21, 1331-1335: with k raters for each
of n dialogues the width is about

    2 z (1 - r) (1 + (k - 1) r) sqrt(2 / (k (k - 1) (n - 1)))

For a part (such as the part of the dialogues on which two raters agree about a flag) it is the
normal interval of a proportion, 2 z sqrt(p (1 - p) / n); where p is near 0 or 1 that is too good.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

Z = 1.959964
EXPECTED = (0.4, 0.6, 0.8)
FEW = 30


@dataclass(frozen=True)
class Width:
    """The expected width of a 95 % interval where the figure itself is ``expected``."""

    expected: float
    width: float

    @property
    def low(self) -> float:
        """Where the interval would begin."""
        return max(-1.0, self.expected - self.width / 2)

    @property
    def high(self) -> float:
        """Where it would end."""
        return min(1.0, self.expected + self.width / 2)


def agreement_width(expected: float, *, raters: int, dialogues: int) -> Width | None:
    """The width for an agreement of ``expected``; None with fewer than two of either."""
    if raters < 2 or dialogues < 2:
        return None
    return Width(expected, 2 * Z * _spread(expected, raters) / math.sqrt(dialogues - 1))


def dialogues_needed(expected: float, *, raters: int, width: float) -> int | None:
    """The fewest dialogues for an interval no wider than ``width``; None with one rater.

    Bonett adds 5 r for two raters and high agreement, where the plain formula is too good.
    """
    if raters < 2 or width <= 0:
        return None
    exact = (2 * Z * _spread(expected, raters) / width) ** 2 + 1
    if raters == 2 and expected >= 0.7:
        exact += 5 * expected
    return max(2, math.ceil(exact - 1e-9))


def _spread(expected: float, raters: int) -> float:
    shared = (1 - expected) * (1 + (raters - 1) * expected)
    return shared * math.sqrt(2 / (raters * (raters - 1)))


def part_width(expected: float, *, dialogues: int) -> Width | None:
    """The width for a part of ``expected``; None without a dialogue."""
    if dialogues < 1:
        return None
    return Width(expected, 2 * Z * math.sqrt(expected * (1 - expected) / dialogues))
