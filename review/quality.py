"""Signs of trouble in how ratings were made: pace, rushing, straight lines, drift. Pure.

They are reasons to look, not verdicts: an honest rater can be quick, or find every item a 2.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from statistics import median
from typing import Any

import numpy as np

from review.bootstrap import Floats, Result
from review.consistency import Steadiness
from review.measures import Measure, StudyTable
from review.pooling import pooled_pair

# Adults read English prose at about 238 words a minute (Brysbaert 2019, J Mem Lang 109:104047);
# twice that is skimming. A letter count is turned into words at 5.7 signs a word, blank included.
SKIMMING = 2 * 238 / 60
SIGNS_A_WORD = 5.7
RECENT = timedelta(days=14)
MIN_LINE = 5
MIN_DRIFT = 6
STEPS = 24
# Shares and changes from which a rater is marked for a look.
MANY_RUSHED = 0.2
MANY_LINES = 0.2
MUCH_DRIFT = 0.15
# Below "substantial" in Landis and Koch (1977, Biometrics 33:159), once a few were rated twice.
STEADY = 0.6
FEW_REPEATS = 5


@dataclass(frozen=True)
class Done:
    """One submitted live rating; ``seconds`` of use (0: not measured), ``signs`` of dialogue."""

    rater: str
    dialogue: str
    position: int
    at: datetime
    seconds: int
    signs: int

    @property
    def rushed(self) -> bool | None:
        """Whether the dialogue cannot even have been skimmed; None where no time was measured."""
        if not self.seconds or not self.signs:
            return None
        return self.seconds < self.signs / SIGNS_A_WORD / SKIMMING


@dataclass(frozen=True)
class Sign:
    """Something worth a look: a word for it, and the figure beside its limit."""

    word: str
    why: str


def _percent(share: float | None) -> str:
    return f"{100 * (share or 0):.0f} %"


def _change(share: float) -> str:
    return f"{100 * share:+.0f} %"


@dataclass(frozen=True)
class RaterQuality:
    """What is known of one rater. Shares are 0 to 1, None where there is nothing to tell from.

    ``early`` and ``late`` say how far the rater's scores lay above those of the others on the same
    dialogues, in shares of the scale, in the first and in the last third of their work.
    ``repeats`` (``[estimate, low, high, units, note]``) is the weighted kappa of the rater with
    themselves over hidden repeats; ``shift`` how far the second answers lie above the first.
    """

    rater: str
    minutes: float | None = None
    rushed: float | None = None
    lines: float | None = None
    early: float | None = None
    late: float | None = None
    repeats: Sequence[Any] | None = None
    shift: float | None = None
    shift_low: float | None = None
    shift_high: float | None = None

    @property
    def drift(self) -> float | None:
        """How far the rater moved against the others."""
        return None if self.early is None or self.late is None else self.late - self.early

    @property
    def signs(self) -> list[Sign]:
        """What is worth a look, in words, with the figure and the limit."""
        found = []
        if (self.rushed or 0) >= MANY_RUSHED:
            found.append(
                Sign("rushes", f"{_percent(self.rushed)} rushed; limit {_percent(MANY_RUSHED)}")
            )
        if (self.lines or 0) >= MANY_LINES:
            why = f"{_percent(self.lines)} of the ratings; limit {_percent(MANY_LINES)}"
            found.append(Sign("straight lines", why))
        drift = self.drift or 0
        if abs(drift) >= MUCH_DRIFT:
            why = f"{_change(drift)} of the scale against the others; limit {_percent(MUCH_DRIFT)}"
            found.append(Sign("grows milder" if drift > 0 else "grows stricter", why))
        return found + self._signs_of_repeats()

    def _signs_of_repeats(self) -> list[Sign]:
        found = []
        kappa, units = (self.repeats[0], self.repeats[3]) if self.repeats else (None, 0)
        if kappa is not None and units >= FEW_REPEATS and kappa < STEADY:
            why = f"kappa {kappa:.2f} with themselves on {units} repeats; limit {STEADY:.2f}"
            found.append(Sign("unsteady", why))
        low, high, shift = self.shift_low, self.shift_high, self.shift or 0
        if low is not None and high is not None and not low <= 0 <= high:
            word = "milder on repeats" if shift > 0 else "stricter on repeats"
            interval = f"{_change(low)} to {_change(high)}"
            why = f"{_change(shift)} of the scale; its 95 % interval, {interval}, lacks 0"
            found.append(Sign(word, why))
        return found


def rater_quality(
    table: StudyTable,
    done: Sequence[Done],
    repeats: Mapping[str, Sequence[Any]],
    steady: Mapping[str, Steadiness],
) -> list[RaterQuality]:
    """Every rater of the study, in its order."""
    scales = _scales(table)
    columns = {code: place for place, code in enumerate(table.dialogues)}
    found = []
    for row, rater in enumerate(table.raters):
        mine = sorted((one for one in done if one.rater == rater), key=lambda one: one.position)
        places = [columns[one.dialogue] for one in mine]
        early, late = drift_of(scales, row, places)
        timed = [one.rushed for one in mine if one.rushed is not None]
        seconds = [one.seconds for one in mine if one.seconds]
        again = steady.get(rater)
        found.append(
            RaterQuality(
                rater=rater,
                minutes=median(seconds) / 60 if seconds else None,
                rushed=sum(timed) / len(timed) if timed else None,
                lines=straight_lines(scales[:, row, places]) if scales.size else None,
                early=early,
                late=late,
                repeats=repeats.get(rater),
                shift=again.shift if again else None,
                shift_low=again.low if again else None,
                shift_high=again.high if again else None,
            )
        )
    return found


def _scales(table: StudyTable) -> Floats:
    """Items x raters x dialogues of all scale items, each moved to 0 (lowest) to 1 (highest)."""
    items = [one for one in table.measures if one.kind == "item" and one.level == "ordinal"]
    moved = [
        (one.values - one.categories[0]) / (one.categories[-1] - one.categories[0]) for one in items
    ]
    return np.array(moved) if moved else np.empty((0, len(table.raters), len(table.dialogues)))


def straight_lines(values: Floats) -> float | None:
    """Share of ratings (columns) in which all of five scale items or more have one value."""
    answered = (~np.isnan(values)).sum(axis=0)
    long_enough = values[:, answered >= MIN_LINE]
    if not long_enough.shape[1]:
        return None
    same = np.nanmax(long_enough, axis=0) == np.nanmin(long_enough, axis=0)
    return float(same.mean())


def drift_of(scales: Floats, row: int, places: Sequence[int]) -> tuple[float | None, float | None]:
    """How far the rater lies above the others on shared dialogues: first third, last third."""
    if not scales.size or len(places) < MIN_DRIFT:
        return None, None
    others = np.delete(scales, row, axis=1)
    counted = (~np.isnan(others)).sum(axis=1)
    mean = np.divide(
        np.nansum(others, axis=1), counted, out=np.full(counted.shape, np.nan), where=counted > 0
    )
    above = scales[:, row] - mean
    third = max(2, len(places) // 3)
    return _mean(above[:, places[:third]]), _mean(above[:, places[-third:]])


def _mean(values: Floats) -> float | None:
    given = values[~np.isnan(values)]
    return float(given.mean()) if given.size else None


def forecast(recent: int, first: date | None, left: int, today: date) -> date | None:
    """The day on which ``left`` dialogues will be done at the pace of the last two weeks.

    ``recent`` is how many were done in them, ``first`` the first day of those.
    """
    if not left or not recent or first is None:
        return None
    days = min((today - first).days + 1, RECENT.days)
    return today + timedelta(days=int(np.ceil(left * days / recent)))


def splitting(table: StudyTable, limit: float) -> list[tuple[Measure, int, int]]:
    """Items by the share of dialogues whose raters lie apart: (item, apart, dialogues of two).

    Apart are scale points further than ``limit`` from each other, and any other answers that
    differ. Items on which nobody differs are left out.
    """
    found = []
    for one in table.measures:
        if one.kind != "item":
            continue
        paired = one.values[:, (~np.isnan(one.values)).sum(axis=0) > 1]
        if not paired.shape[1]:
            continue
        spread = np.nanmax(paired, axis=0) - np.nanmin(paired, axis=0)
        apart = int((spread > (limit if one.level == "ordinal" else 0)).sum())
        if apart:
            found.append((one, apart, paired.shape[1]))
    return sorted(found, key=lambda row: -row[1] / row[2])


def repeat_agreement(items: Sequence[Measure]) -> Result:
    """How far a rater agrees with themselves: row 0 the rating, row 1 the hidden repeat."""
    return pooled_pair(items, 0, 1)[1]


def by_week(
    moments: Sequence[tuple[date, str]], kinds: Sequence[str]
) -> tuple[list[str], dict[str, list[int]]]:
    """Counts of each kind in every week from the first to the last, named by its Monday."""
    if not moments:
        return [], {kind: [] for kind in kinds}
    mondays = [day - timedelta(days=day.weekday()) for day, _ in moments]
    first, last = min(mondays), max(mondays)
    weeks = [first + timedelta(weeks=n) for n in range((last - first).days // 7 + 1)]
    counted = Counter(zip(mondays, (kind for _, kind in moments), strict=True))
    names = [f"{week:%d %b}" for week in weeks]
    return names, {kind: [counted[week, kind] for week in weeks] for kind in kinds}
