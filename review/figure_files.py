"""Figures as files to print: SVG, PNG and PDF by matplotlib, CSV of the numbers. No Django.

The same figure gives the same bytes: no date is written, ids come from a fixed salt.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, cast

import matplotlib as mpl
from matplotlib.figure import Figure as Canvas

from review.cells import cell
from review.figures import Bars, Figure, Grid, Intervals, Lines, Numbers

FORMATS = {
    "svg": "image/svg+xml",
    "png": "image/png",
    "pdf": "application/pdf",
    "csv": "text/csv; charset=utf-8",
}
DPI = 200
INCHES = 7.2
RAMP = ("#d5ebea", "#aed6d5", "#85bfbf", "#5ba6a7", "#368b8e", "#1d6d71", "#0e4b50")
HUES = ("#1d6d71", "#c9772b", "#5b5ea6", "#9b2d4f", "#6b8e23", "#7a5c3e", "#4d4d4d")
_SETTINGS: dict[str, Any] = {
    "svg.hashsalt": "sqpsych",
    "svg.fonttype": "none",
    "pdf.fonttype": 3,
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.parse_math": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
}
cast(dict[str, Any], mpl.rcParams).update(_SETTINGS)


def figure_file(figure: Figure, kind: str) -> bytes:
    """The figure as a file of one of ``FORMATS``."""
    if kind == "csv":
        return numbers_csv(figure.numbers)
    about: dict[str, str | None] = {"Title": figure.title}
    about |= {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind, {})
    out = io.BytesIO()
    _drawn(figure).savefig(out, format=kind, metadata=about)
    return out.getvalue()


def numbers_csv(numbers: Numbers) -> bytes:
    """The numbers of a figure as CSV, written as the exports write theirs."""
    rows = [numbers.columns, *numbers.rows]
    return ("\ufeff" + "".join(",".join(map(cell, row)) + "\r\n" for row in rows)).encode()


def _drawn(figure: Figure) -> Canvas:
    rows = {Bars: 0.32, Intervals: 0.28}.get(type(figure), 0.0)
    if isinstance(figure, Bars | Intervals):
        height = 1.3 + rows * max(1, len(figure.rows))
    elif isinstance(figure, Grid):
        height = min(INCHES, 1.2 + 0.55 * len(figure.names))
    else:
        height = 3.4
    canvas = Canvas(figsize=(INCHES, height), dpi=DPI, layout="constrained")
    axes = canvas.add_subplot()
    axes.set_title(figure.title)
    if isinstance(figure, Bars):
        _bars(axes, figure)
    elif isinstance(figure, Intervals):
        _intervals(axes, figure)
    elif isinstance(figure, Grid):
        _grid(axes, figure)
    else:
        _lines(axes, figure)
    return canvas


def _colour(place: int, count: int, *, ordered: bool) -> str:
    if not ordered:
        return HUES[place % len(HUES)]
    return RAMP[round(place * (len(RAMP) - 1) / max(1, count - 1))]


def _names(axes: Any, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()


def _bars(axes: Any, figure: Bars) -> None:
    starts = [0.0] * len(figure.rows)
    for place, part in enumerate(figure.parts):
        widths = []
        for _, given in figure.rows:
            total = sum(given)
            share = 100 * given[place] / total if total else 0.0
            widths.append(share if figure.share else given[place])
        colour = _colour(place, len(figure.parts), ordered=figure.ordered)
        axes.barh(
            range(len(figure.rows)), widths, left=starts, height=0.7, color=colour, label=part
        )
        starts = [start + width for start, width in zip(starts, widths, strict=True)]
    _names(axes, [name for name, _ in figure.rows])
    axes.set_xlabel(f"% of {figure.unit}" if figure.share else figure.unit)
    if figure.share:
        axes.set_xlim(0, 100)
    if figure.parts:
        axes.legend(
            loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, fontsize=8, borderaxespad=0
        )


def _intervals(axes: Any, figure: Intervals) -> None:
    for line in figure.lines:
        axes.axvline(line, color="#999999", linewidth=0.8)
    for place, row in enumerate(figure.rows):
        if row.value is None:
            axes.annotate("not defined", (figure.low, place), fontsize=7, va="center")
            continue
        if row.low is not None and row.high is not None:
            axes.plot([row.low, row.high], [place, place], color=HUES[0], linewidth=1.4)
        axes.plot(
            row.value, place, marker="o", markersize=5, color=HUES[0],
            markerfacecolor="white" if row.note else HUES[0],
        )  # fmt: skip
    _names(axes, [row.label for row in figure.rows])
    axes.set_ylim(len(figure.rows) - 0.4, -0.6)
    axes.set_xlim(figure.low, figure.high)
    axes.set_xlabel(figure.axis)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)


def _grid(axes: Any, figure: Grid) -> None:
    from matplotlib.colors import ListedColormap

    names = figure.names
    values = [
        [None if row == column else figure.value(row, column) for column in names] for row in names
    ]
    numbers = [[float("nan") if value is None else value for value in row] for row in values]
    axes.imshow(numbers, cmap=ListedColormap(RAMP), vmin=figure.low, vmax=figure.high)
    for y, row in enumerate(values):
        for x, value in enumerate(row):
            if value is not None:
                dark = (value - figure.low) / (figure.high - figure.low) > 0.6
                colour = "white" if dark else "black"
                axes.text(x, y, f"{value:.2f}", ha="center", va="center", color=colour, fontsize=7)
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)


def _lines(axes: Any, figure: Lines) -> None:
    for place, (name, values) in enumerate(figure.lines):
        points = [(at, value) for at, value in enumerate(values) if value is not None]
        axes.plot(
            [at for at, _ in points], [value for _, value in points],
            marker="o", markersize=3, color=HUES[place % len(HUES)], label=name,
        )  # fmt: skip
    every = max(1, len(figure.steps) // 8)
    axes.set_xticks(range(0, len(figure.steps), every), figure.steps[::every])
    axes.set_xlabel(figure.axis)
    axes.set_ylim(bottom=0)
    if figure.lines:
        axes.legend(frameon=False, fontsize=8)
