"""Figures of a pairwise study: wins, ties and losses; share won; strengths. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from review.figures import Bars, Estimate, Intervals
from review.preference import Strengths, Tally

FIGURES = ("win_tie_loss", "win_rates", "strengths")


def win_figure(tallies: Sequence[Tally]) -> Bars:
    """How often the first of two arms won, tied and lost."""
    return Bars(
        title="Wins, ties and losses",
        parts=("won", "tied", "lost"),
        rows=tuple((_pair(row), (row.wins, row.ties, row.losses)) for row in tallies),
        share=True,
        unit="judgments",
    )


def rate_figure(tallies: Sequence[Tally]) -> Intervals:
    """The share of judgments that the first of two arms won, ties counted half."""
    return Intervals(
        title="Share won, ties counted half",
        axis="share won",
        rows=tuple(
            Estimate(_pair(row), row.share, row.low, row.high, row.judgments) for row in tallies
        ),
        low=0.0,
        high=1.0,
        lines=(0.5,),
    )


def strength_figure(strengths: Strengths) -> Intervals:
    """Bradley-Terry strengths, the strongest arm first; 0 is an average arm."""
    arms = strengths.arms
    furthest = max([abs(end) for one in arms for end in (one.low, one.high)], default=0.0)
    reach = max(1.0, math.ceil(2 * furthest) / 2)
    return Intervals(
        title="Strength of each arm",
        axis="Bradley-Terry strength, log scale",
        rows=tuple(
            Estimate(one.arm, one.estimate, one.low, one.high, strengths.judgments) for one in arms
        ),
        low=-reach,
        high=reach,
    )


def named_figure(name: str, tallies: Sequence[Tally], strengths: Strengths) -> Bars | Intervals:
    """One of ``FIGURES``."""
    if name == "win_tie_loss":
        return win_figure(tallies)
    return rate_figure(tallies) if name == "win_rates" else strength_figure(strengths)


def _pair(row: Tally) -> str:
    return f"{row.one} vs {row.other}"
