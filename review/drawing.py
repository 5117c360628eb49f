"""A figure as shapes for a page: one SVG template draws them, the style sheet colours them. Pure.

No colour, font or style is written here: shapes carry class names only, so that light, dark and
high-contrast themes, print and a strict content policy all work.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from review.figures import Bars, Estimate, Figure, Grid, Intervals, Lines, top_of

WIDTH = 720
ROW = 30
LEFT = 230
RIGHT = 24
TOP = 8
AXIS = 38
LETTER = 6.6  # a letter's width at the size used, on the safe side
SHADES = 7


@dataclass(frozen=True)
class Shape:
    """One mark: ``kind`` is rect, line, dot (radius ``width``) or text; ``look``: classes."""

    kind: str
    look: str
    x: float
    y: float
    width: float = 0
    height: float = 0
    text: str = ""

    @property
    def to_x(self) -> float:
        """Where a line ends."""
        return self.x + self.width

    @property
    def to_y(self) -> float:
        """Where a line ends."""
        return self.y + self.height


@dataclass(frozen=True)
class Drawing:
    """A picture in its own units, with the key to its shades."""

    title: str
    width: int
    height: int
    shapes: tuple[Shape, ...]
    key: tuple[tuple[str, str], ...] = ()


def drawing_of(figure: Figure) -> Drawing:
    """The figure as shapes."""
    if isinstance(figure, Bars):
        return _bars(figure)
    if isinstance(figure, Intervals):
        return _intervals(figure)
    return _grid(figure) if isinstance(figure, Grid) else _lines(figure)


def shade(place: int, count: int, *, ordered: bool) -> str:
    """The class of one of ``count`` parts: a step of one ramp, or a hue of its own."""
    if not ordered:
        return f"hue{place % SHADES}"
    return f"step{round(place * (SHADES - 1) / max(1, count - 1))}"


def short(text: str, width: float) -> str:
    """The text, cut with an ellipsis where it would not fit into ``width``."""
    room = int(width / LETTER)
    return text if len(text) <= room else f"{text[: max(1, room - 1)]}…"


def _number(value: float) -> str:
    return f"{value:g}" if value == int(value) else f"{value:.2f}".rstrip("0").rstrip(".")


def _row_labels(names: Sequence[str]) -> Iterator[Shape]:
    for place, name in enumerate(names):
        text = short(name, LEFT - 16)
        yield Shape("text", "label end", LEFT - 10, TOP + place * ROW + ROW / 2, text=text)


def _axis(low: float, high: float, ticks: Sequence[float], rows: int, unit: str) -> Iterator[Shape]:
    bottom = TOP + rows * ROW
    for tick in ticks:
        x = LEFT + (tick - low) / (high - low) * (WIDTH - LEFT - RIGHT)
        yield Shape("line", "grid", x, TOP, 0, rows * ROW)
        yield Shape("text", "tick middle", x, bottom + 14, text=f"{_number(tick)}{unit}")


def _bars(figure: Bars) -> Drawing:
    totals = [sum(given) for _, given in figure.rows]
    top = 100.0 if figure.share else top_of(totals)
    ticks = [top * part / 4 for part in range(5)]
    shapes = list(_axis(0, top, ticks, len(figure.rows), " %" if figure.share else ""))
    shapes += _row_labels([name for name, _ in figure.rows])
    for place, (_, given) in enumerate(figure.rows):
        shapes += _bar(figure, given, place, top)
    looks = [
        shade(place, len(figure.parts), ordered=figure.ordered)
        for place in range(len(figure.parts))
    ]
    return Drawing(
        figure.title,
        WIDTH,
        TOP + len(figure.rows) * ROW + 26,
        tuple(shapes),
        tuple(zip(looks, figure.parts, strict=True)),
    )


def _bar(figure: Bars, given: Sequence[float], row: int, top: float) -> Iterator[Shape]:
    total, x = sum(given), float(LEFT)
    scale = (WIDTH - LEFT - RIGHT) / top
    y = TOP + row * ROW + 5
    for place, count in enumerate(given):
        value = (100 * count / total if total else 0.0) if figure.share else count
        width = value * scale
        if width <= 0:
            continue
        look = shade(place, len(given), ordered=figure.ordered)
        yield Shape("rect", look, x, y, width, ROW - 10)
        text = f"{value:.0f}"
        if width >= LETTER * (len(text) + 1):
            yield Shape("text", f"in middle on-{look}", x + width / 2, y + ROW / 2 - 5, text=text)
        x += width


def _intervals(figure: Intervals) -> Drawing:
    low, high = figure.low, figure.high
    count = round((high - low) / 0.2) if high - low <= 2 else 4
    ticks = [round(low + (high - low) * part / count, 6) for part in range(count + 1)]
    shapes = list(_axis(low, high, ticks, len(figure.rows), ""))
    shapes += _row_labels([row.label for row in figure.rows])
    for line in figure.lines:
        x = LEFT + (line - low) / (high - low) * (WIDTH - LEFT - RIGHT)
        shapes.append(Shape("line", "zero", x, TOP, 0, len(figure.rows) * ROW))
    for place, row in enumerate(figure.rows):
        shapes += _interval(figure, row, TOP + place * ROW + ROW / 2)
    height = TOP + len(figure.rows) * ROW + AXIS
    shapes.append(
        Shape("text", "axis middle", (LEFT + WIDTH - RIGHT) / 2, height - 8, text=figure.axis)
    )
    return Drawing(figure.title, WIDTH, height, tuple(shapes))


def _interval(figure: Intervals, row: Estimate, y: float) -> Iterator[Shape]:
    def at(value: float) -> float:
        inside = min(max(value, figure.low), figure.high)
        return LEFT + (inside - figure.low) / (figure.high - figure.low) * (WIDTH - LEFT - RIGHT)

    if row.value is None:
        yield Shape("text", "tick", LEFT + 6, y, text="not defined")
        return
    if row.low is not None and row.high is not None:
        start, end = at(row.low), at(row.high)
        yield Shape("line", "whisker", start, y, end - start, 0)
        for edge in (start, end):
            yield Shape("line", "whisker", edge, y - 4, 0, 8)
    yield Shape("dot", "doubtful" if row.note else "point", at(row.value), y, 5)


def _grid(figure: Grid) -> Drawing:
    count = len(figure.names)
    size = max(26.0, min(64.0, (WIDTH - 100) / max(1, count)))
    left = 12 + LETTER * max([len(name) for name in figure.names] + [2])
    shapes: list[Shape] = []
    for place, name in enumerate(figure.names):
        middle = 26 + place * size + size / 2
        shapes.append(Shape("text", "label end", left - 6, middle, text=name))
        shapes.append(Shape("text", "label middle", left + place * size + size / 2, 14, text=name))
    for y, row in enumerate(figure.names):
        for x, column in enumerate(figure.names):
            shapes += _cell(figure, row, column, left + x * size, 26 + y * size, size)
    width = max(int(left + count * size + RIGHT), 240)
    return Drawing(figure.title, width, int(26 + count * size + 8), tuple(shapes))


def _cell(figure: Grid, row: str, column: str, x: float, y: float, size: float) -> Iterator[Shape]:
    value = None if row == column else figure.value(row, column)
    if value is None:
        yield Shape("rect", "none", x + 1, y + 1, size - 2, size - 2)
        return
    part = (min(max(value, figure.low), figure.high) - figure.low) / (figure.high - figure.low)
    look = f"step{round(part * (SHADES - 1))}"
    yield Shape("rect", look, x + 1, y + 1, size - 2, size - 2)
    middle = (x + size / 2, y + size / 2)
    yield Shape("text", f"in middle on-{look}", *middle, text=f"{value:.2f}".replace("0.", "."))


def _lines(figure: Lines) -> Drawing:
    height, left = 220.0, 56.0
    given = [value for _, values in figure.lines for value in values if value is not None]
    top = top_of(given)
    shapes: list[Shape] = []
    for part in range(5):
        y = TOP + height - height * part / 4
        shapes.append(Shape("line", "grid", left, y, WIDTH - left - RIGHT, 0))
        shapes.append(Shape("text", "tick end", left - 6, y, text=_number(top * part / 4)))
    step = (WIDTH - left - RIGHT) / max(1, len(figure.steps))
    every = max(1, len(figure.steps) // 8)
    for place, name in enumerate(figure.steps):
        if place % every == 0:
            x = left + step * (place + 0.5)
            shapes.append(Shape("text", "tick middle", x, TOP + height + 14, text=name))
    for place, (_, values) in enumerate(figure.lines):
        look = f"hue{place % SHADES}"
        points = [
            (left + step * (at + 0.5), TOP + height - height * value / top)
            for at, value in enumerate(values)
            if value is not None
        ]
        for (x, y), (to_x, to_y) in pairwise(points):
            shapes.append(Shape("line", f"stroke {look}", x, y, to_x - x, to_y - y))
        shapes += [Shape("dot", look, x, y, 4) for x, y in points]
    shapes.append(
        Shape("text", "axis middle", WIDTH / 2, TOP + height + AXIS - 8, text=figure.axis)
    )
    key = tuple((f"hue{place % SHADES}", name) for place, (name, _) in enumerate(figure.lines))
    return Drawing(figure.title, WIDTH, int(TOP + height + AXIS), tuple(shapes), key)
