"""The kept figures of a study as rows and figures for pages and files. Pure.

``figures`` here and below is what ``review.summary.summary`` gave, read back from JSON.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from review.figures import Bars, Estimate, Figure, Grid, Intervals
from review.summary import HEADLINE, STATISTICS

Figures = Mapping[str, Any]
COLUMNS = {
    "percent": "Percent agreement",
    "alpha": "Krippendorff's alpha",
    "gwet": "Gwet's AC",
    "icc": "ICC(1,1)",
}
HEADINGS = {"item": "Items", "section": "Totals", "flag": "Safety flags"}
KAPPAS = {
    "percent": "Percent agreement",
    "kappa_identity": "Cohen's kappa",
    "kappa_linear": "linear weights",
    "kappa_quadratic": "quadratic weights",
}


@dataclass(frozen=True)
class Shown:
    """One figure in words: ``0.71``, its interval, what a reader must know about it."""

    text: str
    interval: str = ""
    note: str = ""
    units: int = 0


@dataclass(frozen=True)
class Line:
    """One row of the table of results."""

    measure: Figures
    label: str
    units: int
    ratings: int
    cells: tuple[Shown | None, ...]

    @property
    def notes(self) -> list[str]:
        """What must be known about the row's figures, each sentence once."""
        sentences = [cell.note for cell in self.cells if cell and cell.note]
        return list(dict.fromkeys(sentences))


def shown(figure: Sequence[Any] | None, *, percent: bool = False) -> Shown | None:
    """A kept figure in words; None where this measure has no such figure."""
    if figure is None:
        return None
    estimate, low, high, units, note = figure
    if estimate is None:
        return Shown("–", note=note, units=units)
    interval = "" if low is None or high is None else f"{say(low, percent)} to {say(high, percent)}"
    return Shown(say(estimate, percent), interval, note, units)


def say(value: float, percent: bool = False) -> str:
    """``83 %`` or ``0.71``; never ``-0.00``."""
    return f"{100 * value:.0f} %" if percent else f"{value + 0:.2f}".replace("-0.00", "0.00")


def of_arm(measure: Figures, arm: str) -> tuple[Mapping[str, Any], int]:
    """The headline figures by column, and the number of ratings: of all arms or of one."""
    if arm:
        part = measure["arms"].get(arm)
        return (part["figures"], part["ratings"]) if part else ({}, 0)
    names = HEADLINE[measure["level"]]
    figures = {column: measure["figures"][name] for column, name in names.items()}
    return figures, measure["ratings"]


def lines(figures: Figures, kind: str, arm: str = "") -> list[Line]:
    """The rows of one part of the table of results."""
    found, labels = [], names(figures)
    for place, measure in enumerate(figures["measures"]):
        if measure["kind"] != kind:
            continue
        given, ratings = of_arm(measure, arm)
        cells = tuple(shown(given.get(name), percent=name == "percent") for name in COLUMNS)
        units = max([cell.units for cell in cells if cell] + [0])
        found.append(Line(measure, labels[place], units, ratings, cells))
    return found


def names(figures: Figures) -> dict[int, str]:
    """Place of a measure -> its label, with the section before it where two share a label."""
    used = Counter(one["label"] for one in figures["measures"])
    return {
        place: f"{one['section']}: {one['label']}"
        if used[one["label"]] > 1 and one["section"]
        else one["label"]
        for place, one in enumerate(figures["measures"])
    }


def find_measure(figures: Figures, kind: str, instrument: str, key: str) -> Figures | None:
    """The measure called so, or None."""
    for measure in figures["measures"]:
        if (measure["kind"], measure["instrument"], measure["key"]) == (kind, instrument, key):
            found: Figures = measure
            return found
    return None


def agreement_figure(figures: Figures, column: str, arm: str = "") -> Intervals:
    """Agreement per item with intervals."""
    rows, labels = [], names(figures)
    for place, measure in enumerate(figures["measures"]):
        given, _ = of_arm(measure, arm)
        if column not in given:
            continue
        estimate, low, high, units, note = given[column]
        rows.append(Estimate(labels[place], estimate, low, high, units, note))
    lowest = min([row.low for row in rows if row.low is not None] + [0.0])
    title = f"{COLUMNS[column]}, with 95 % intervals" + (f": {arm}" if arm else "")
    low = 0.0 if column == "percent" or lowest >= 0 else max(-1.0, -0.2 * int(-lowest / 0.2 + 1))
    return Intervals(title, COLUMNS[column], tuple(rows), low=low)


def arms_of(measure: Figures) -> list[tuple[str, Any]]:
    """The measure's arms by name (JSON keeps no order)."""
    return sorted(measure["arms"].items())


def score_figure(measure: Figures) -> Bars:
    """How often each answer was given, by arm."""
    rows = [(arm, tuple(part["counts"])) for arm, part in arms_of(measure)]
    return Bars(
        title=f"{measure['label']}: answers by arm",
        parts=tuple(measure["answers"]),
        rows=tuple(rows),
        share=True,
        ordered=measure["level"] == "ordinal",
    )


def arm_figure(figures: Figures, arm: str) -> list[Bars]:
    """Answers to all items of one arm (or of all), one figure for items of the same answers."""
    groups: dict[tuple[str, ...], list[tuple[str, Figures]]] = {}
    labels = names(figures)
    for place, measure in enumerate(figures["measures"]):
        if measure["kind"] == "item":
            groups.setdefault(tuple(measure["answers"]), []).append((labels[place], measure))
    return [
        Bars(
            title=f"Scores: {arm}" if arm else "Scores, all arms",
            parts=answers,
            rows=tuple((label, _counts(one, arm)) for label, one in group),
            share=True,
            ordered=group[0][1]["level"] == "ordinal",
        )
        for answers, group in groups.items()
    ]


def _counts(measure: Figures, arm: str) -> tuple[float, ...]:
    parts = [part for name, part in measure["arms"].items() if arm in ("", name)]
    return tuple(
        sum(part["counts"][place] for part in parts) for place in range(len(measure["answers"]))
    )


def mean_rows(
    figures: Figures,
) -> Iterator[tuple[str, Figures, list[tuple[float | None, float | None]]]]:
    """Each scale and total with mean and standard deviation in every arm."""
    arms, labels = [one["name"] for one in figures["arms"]], names(figures)
    for place, measure in enumerate(figures["measures"]):
        if measure["level"] != "nominal":
            parts = [measure["arms"].get(arm, {}) for arm in arms]
            yield labels[place], measure, [(part.get("mean"), part.get("sd")) for part in parts]


def rater_figure(figures: Figures) -> Grid:
    """Each pair of raters: weighted kappa over all scale items."""
    pairs = figures["pairs"]
    lowest = min([pair["kappa"][0] for pair in pairs if pair["kappa"][0] is not None] + [0.0])
    return Grid(
        title="Weighted kappa of each pair of raters, all scale items together",
        names=tuple(figures["raters"]),
        cells=tuple((*pair["raters"], pair["kappa"][0]) for pair in pairs),
        low=min(0.0, lowest),
        value_name="weighted kappa",
    )


def flag_figure(figures: Figures) -> Bars:
    """Flags by kind and severity."""
    given = figures["flags"]
    return Bars(
        title="Safety flags by kind and severity",
        parts=tuple(given["severities"]),
        rows=tuple((row["label"], tuple(row["counts"])) for row in given["rows"]),
        unit="flags",
    )


def named_figure(figures: Figures, name: str, arm: str, key: str) -> list[Figure]:
    """The figures called ``name``, for a page or a download; empty where there is no such."""
    if name.startswith("agreement_") and name.removeprefix("agreement_") in COLUMNS:
        return [agreement_figure(figures, name.removeprefix("agreement_"), arm)]
    if name == "scores":
        return list(arm_figure(figures, arm))
    if name == "raters":
        return [rater_figure(figures)]
    if name == "flags":
        return [flag_figure(figures)]
    if name == "answers":
        items = [one for one in figures["measures"] if one["kind"] == "item"]
        found = [one for one in items if f"{one['instrument']}.{one['key']}" == key]
        return [score_figure(one) for one in found]
    return []


def statistics(measure: Figures) -> list[tuple[str, Shown | None]]:
    """Every statistic of a measure by its full name."""
    return [
        (title, shown(measure["figures"][name], percent=name == "percent"))
        for name, (title, _) in STATISTICS.items()
        if name in measure["figures"]
    ]
