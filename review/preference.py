"""What pairwise judgments say: a win-tie-loss table and Bradley-Terry strengths. Pure, numpy.

Strengths are log-abilities theta with sum zero in Davidson's extension of the Bradley-Terry model
to ties: the three outcomes of a comparison of i with j have weights exp(theta_i), exp(theta_j) and
exp(delta + (theta_i + theta_j) / 2). The log-likelihood is concave, so Newton's method finds its
maximum where one exists: when no group of arms never lost or tied against the rest (Ford 1957).
Intervals are 95 % Wald intervals with a covariance that is robust to judgments of the same client
profile being alike (sandwich, clusters = profiles, with the factor G / (G - 1)).

References
  Bradley and Terry 1952, Biometrika 39:324. Davidson 1970, J Am Stat Assoc 65:317 (ties).
  Ford 1957, Am Math Mon 64(8):28 (existence). Liang and Zeger 1986, Biometrika 73:13 (sandwich).
  Wilson 1927, J Am Stat Assoc 22:209 (interval of a share).
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Result = Literal["one", "other", "tie"]

Z = 1.959963984540054
FEW_COMPARISONS = 30
FEW_CLUSTERS = 10
_STEPS = 100
_TINY = 1e-10


@dataclass(frozen=True)
class Judgment:
    """One rater's choice between a dialogue of arm ``one`` and one of arm ``other``."""

    one: str
    other: str
    result: Result
    cluster: str = ""


@dataclass(frozen=True)
class Tally:
    """How two arms did against each other, from the first one's side.

    ``share`` is (wins + ties / 2) / judgments, ``low`` and ``high`` its 95 % Wilson interval.
    """

    one: str
    other: str
    wins: int
    ties: int
    losses: int
    share: float
    low: float
    high: float

    @property
    def judgments(self) -> int:
        """How often the two were compared."""
        return self.wins + self.ties + self.losses


@dataclass(frozen=True)
class Strength:
    """An arm's log-ability, its 95 % interval, and what it means: the chance to win against an
    average arm when there is no tie."""

    arm: str
    estimate: float
    low: float
    high: float

    @property
    def against_average(self) -> float:
        """Between 0 and 1; one half is average."""
        return 1 / (1 + math.exp(-self.estimate))


@dataclass(frozen=True)
class Strengths:
    """All arms, the strongest first; empty with a ``note`` where there is no estimate."""

    arms: tuple[Strength, ...]
    judgments: int
    clusters: int
    note: str = ""


def wilson(successes: float, trials: int) -> tuple[float, float]:
    """95 % interval of a share. ``trials`` must not be zero."""
    share = successes / trials
    centre = share + Z * Z / (2 * trials)
    spread = Z * math.sqrt(share * (1 - share) / trials + Z * Z / (4 * trials * trials))
    scale = 1 + Z * Z / trials
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def win_tie_loss(judgments: Iterable[Judgment]) -> list[Tally]:
    """One row for each two arms that were compared, names in order."""
    counts: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    for each in judgments:
        place = {"one": 0, "tie": 1, "other": 2}[each.result]
        if each.one > each.other:
            counts[each.other, each.one][2 - place] += 1
        else:
            counts[each.one, each.other][place] += 1
    rows = []
    for (one, other), (wins, ties, losses) in sorted(counts.items()):
        total = wins + ties + losses
        score = wins + ties / 2
        rows.append(Tally(one, other, wins, ties, losses, score / total, *wilson(score, total)))
    return rows


def strengths(judgments: Sequence[Judgment]) -> Strengths:
    """Maximum-likelihood strengths of all arms named."""
    arms = sorted({name for each in judgments for name in (each.one, each.other)})
    clusters = sorted({each.cluster for each in judgments})
    if len(arms) < 2:
        return Strengths((), len(judgments), len(clusters), "There is nothing to compare yet.")
    unbeaten = _unbeaten(arms, judgments)
    if unbeaten:
        names = ", ".join(unbeaten)
        note = f"No estimate: {names} never lost or tied against the others, or was never compared."
        return Strengths((), len(judgments), len(clusters), note)
    if all(each.result == "tie" for each in judgments):
        return Strengths((), len(judgments), len(clusters), "No estimate: every judgment is a tie.")
    weights = _features(arms, judgments)
    theta, covariance = _fitted(weights, len(arms), [each.cluster for each in judgments])
    errors = np.sqrt(np.diag(covariance))
    rows = [
        Strength(arm, float(value), float(value - Z * error), float(value + Z * error))
        for arm, value, error in zip(arms, theta, errors, strict=True)
    ]
    notes = []
    if len(judgments) < FEW_COMPARISONS:
        notes.append(f"Only {len(judgments)} judgments: read the intervals as a rough guide.")
    if len(clusters) < FEW_CLUSTERS:
        notes.append(f"Only {len(clusters)} profiles: the intervals are likely too narrow.")
    rows.sort(key=lambda row: (-row.estimate, row.arm))
    return Strengths(tuple(rows), len(judgments), len(clusters), " ".join(notes))


def _unbeaten(arms: Sequence[str], judgments: Sequence[Judgment]) -> list[str]:
    """Arms of a group that nobody outside ever beat or tied, or nothing when there is none."""
    beaten_by: dict[str, set[str]] = defaultdict(set)
    for each in judgments:
        if each.result in {"one", "tie"}:
            beaten_by[each.other].add(each.one)
        if each.result in {"other", "tie"}:
            beaten_by[each.one].add(each.other)
    for start in arms:
        reached, waiting = {start}, [start]
        while waiting:
            for name in beaten_by[waiting.pop()] - reached:
                reached.add(name)
                waiting.append(name)
        if len(reached) < len(arms):
            return sorted(reached)
    return []


def _features(arms: Sequence[str], judgments: Sequence[Judgment]) -> Floats:
    """Judgments x 3 outcomes x parameters; the outcome that happened comes first.

    The parameters are theta of every arm but the last, which is zero, then delta where there are
    ties.
    """
    place = {arm: number for number, arm in enumerate(arms)}
    ties = any(each.result == "tie" for each in judgments)
    # Without a tie the likelihood wants delta at minus infinity: that outcome is then left out.
    outcomes: list[Result] = ["one", "other", "tie"] if ties else ["one", "other"]
    table = np.zeros((len(judgments), len(outcomes), len(arms) + ties))
    for row, each in enumerate(judgments):
        first, second = place[each.one], place[each.other]
        order = [each.result, *(outcome for outcome in outcomes if outcome != each.result)]
        for column, outcome in enumerate(order):
            if outcome == "one":
                table[row, column, first] = 1
            elif outcome == "other":
                table[row, column, second] = 1
            else:
                table[row, column, [first, second]] = 0.5
                table[row, column, -1] = 1
    return np.delete(table, len(arms) - 1, axis=2)


def _fitted(features: Floats, arms: int, clusters: Sequence[str]) -> tuple[Floats, Floats]:
    """Centred strengths and their robust covariance."""
    beta = np.zeros(features.shape[2])
    for _ in range(_STEPS):
        scores, information = _slopes(features, beta)
        step = np.linalg.solve(information, scores.sum(axis=0))
        size = 1.0
        while _log_likelihood(features, beta + size * step) < _log_likelihood(features, beta):
            size /= 2
            if size < _TINY:
                break
        beta = beta + size * step
        if np.max(np.abs(step)) < _TINY:
            break
    scores, information = _slopes(features, beta)
    names = sorted(set(clusters))
    sums = np.zeros((len(names), len(beta)))
    np.add.at(sums, np.searchsorted(names, clusters), scores)
    bread = np.linalg.inv(information)
    robust = bread @ (sums.T @ sums) @ bread
    if len(names) > 1:
        robust *= len(names) / (len(names) - 1)
    centre = np.vstack([np.eye(arms - 1), np.zeros(arms - 1)])
    centre = centre - centre.mean(axis=0)
    own = slice(0, arms - 1)
    return centre @ beta[own], centre @ robust[own, own] @ centre.T


def _log_likelihood(features: Floats, beta: Floats) -> float:
    logits = features @ beta
    return float((logits[:, 0] - np.logaddexp.reduce(logits, axis=1)).sum())


def _slopes(features: Floats, beta: Floats) -> tuple[Floats, Floats]:
    """Score of each judgment, and the observed information."""
    logits = features @ beta
    chances = np.exp(logits - np.logaddexp.reduce(logits, axis=1)[:, None])
    means = np.einsum("no,nop->np", chances, features)
    scores = features[:, 0] - means
    second = np.einsum("no,nop,noq->pq", chances, features, features)
    return scores, second - means.T @ means
