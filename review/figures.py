"""Figures as plain values: what is drawn, and the same numbers as a table. Pure.

Three kinds carry all figures of a study: stacked bars, intervals along one axis, and a grid of
pairs. ``review.drawing`` turns them into shapes for a page, ``review.figure_files`` into files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Cell = str | int | float | None


@dataclass(frozen=True)
class Numbers:
    """A table: the numbers behind a figure."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Bars:
    """Stacked horizontal bars, one for each row; ``share`` draws each as parts of 100 %.

    ``ordered`` says that the parts have an order (a scale), so their shades do too.
    """

    title: str
    parts: tuple[str, ...]
    rows: tuple[tuple[str, tuple[float, ...]], ...]
    share: bool = False
    ordered: bool = True
    unit: str = "ratings"

    @property
    def numbers(self) -> Numbers:
        """Counts, with the percentages where shares are drawn."""
        if not self.share:
            return Numbers(("", *self.parts), tuple((name, *given) for name, given in self.rows))
        columns = ["", self.unit]
        for part in self.parts:
            columns += [part, f"{part} %"]
        rows = []
        for name, given in self.rows:
            total = sum(given)
            cells: list[Cell] = [name, total]
            for count in given:
                cells += [count, round(100 * count / total, 1) if total else None]
            rows.append(tuple(cells))
        return Numbers(tuple(columns), tuple(rows))


@dataclass(frozen=True)
class Estimate:
    """A point with its interval; None where it is not defined."""

    label: str
    value: float | None
    low: float | None = None
    high: float | None = None
    units: int | None = None
    note: str = ""


@dataclass(frozen=True)
class Intervals:
    """Estimates with intervals, one below the other, along an axis from ``low`` to ``high``."""

    title: str
    axis: str
    rows: tuple[Estimate, ...]
    low: float = -0.2
    high: float = 1.0
    lines: tuple[float, ...] = (0.0,)

    @property
    def numbers(self) -> Numbers:
        """Estimate, interval and number of units."""
        return Numbers(
            ("", "estimate", "95 % interval, low", "95 % interval, high", "units", "note"),
            tuple((r.label, r.value, r.low, r.high, r.units, r.note) for r in self.rows),
        )


@dataclass(frozen=True)
class Grid:
    """A value for each pair of names: ``cells`` maps (row, column) to it, one half is enough."""

    title: str
    names: tuple[str, ...]
    cells: tuple[tuple[str, str, float | None], ...]
    low: float = 0.0
    high: float = 1.0
    value_name: str = "value"

    @property
    def numbers(self) -> Numbers:
        """One row for each pair."""
        return Numbers(("first", "second", self.value_name), self.cells)

    def value(self, row: str, column: str) -> float | None:
        """The pair's value, whichever way round it was given."""
        for first, second, value in self.cells:
            if {first, second} == {row, column}:
                return value
        return None


@dataclass(frozen=True)
class Lines:
    """Values over steps of time or of place, one line for each name; None leaves a gap."""

    title: str
    axis: str
    steps: tuple[str, ...]
    lines: tuple[tuple[str, tuple[float | None, ...]], ...]

    @property
    def numbers(self) -> Numbers:
        """One row for each step."""
        columns = (self.axis, *(name for name, _ in self.lines))
        rows = tuple(
            (step, *(values[place] for _, values in self.lines))
            for place, step in enumerate(self.steps)
        )
        return Numbers(columns, rows)


Figure = Bars | Intervals | Grid | Lines


def top_of(values: Sequence[float]) -> float:
    """A round number at or above all values: 1, 2 or 5 times a power of ten."""
    highest = max([*values, 1.0])
    size = 1.0
    while True:
        for factor in (1, 2, 5):
            if highest <= factor * size:
                return factor * size
        size *= 10
