"""The plots of the batch page: lines drawn by the server, each with its words and its table."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from generation import words
from generation.models import Batch, Endpoint
from generation.plots import CacheUse, cache_use, in_flight
from generation.progress import SHOWN, Speed, polyline

TABLE_ROWS = 12
_NAMED = 4
_SLOTS = (timedelta(seconds=10), timedelta(minutes=1))
_FINE_UP_TO = timedelta(minutes=12)


@dataclass(frozen=True)
class Plot:
    """One plot: ``lines`` as points of SVG polylines, ``rows`` of its table with the moment first.

    ``words`` say what the lines show: also the picture's name.
    """

    key: str
    title: str
    words: str
    lines: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[datetime, tuple[str, ...]], ...]


def plots(batch: Batch, speed: Speed, *, until: datetime) -> list[Plot]:
    """Speed and what was in flight in the last hour of work. One query."""
    return [_speed_plot(speed), _flight_plot(batch, until)]


def caches_in_words(batch: Batch, servers: Sequence[Endpoint], *, until: datetime) -> str:
    """What the servers' prefix caches served in the time of the plots, by vLLM's own counters:
    whoever asked. Nothing where no server told twice. One query."""
    since = max(until - SHOWN, batch.created_at)
    found = cache_use(servers, since=since, until=until)
    whole = sum(found.values(), CacheUse())
    if whole.share is None:
        return ""
    said = f"Prefix caches, as vLLM counts: {_percent(whole)} of prompt tokens in this time"
    told = [row for row in servers if row.pk in found and found[row.pk].looked_up]
    if len(told) > 1:
        each = ", ".join(f"{row.name} {_percent(found[row.pk])}" for row in told[:_NAMED])
        more = len(told) - _NAMED
        said += f" ({each}{f', {more} more' if more > 0 else ''})"
    return f"{said}."


def _percent(use: CacheUse) -> str:
    return words.share(use.found, use.looked_up)


def _speed_plot(speed: Speed) -> Plot:
    points = [(point.at, (point.per_minute,)) for point in speed.points]
    said = "No turn in this time."
    if points:
        said = f"{_span(points)}; at most {words.rate(speed.peak)} turns per minute."
    lines = (speed.polyline,) if speed.polyline else ()
    return Plot(
        "speed", "Turns per minute", said, lines, ("Turns per minute",), _rows(points, words.rate)
    )


def _flight_plot(batch: Batch, until: datetime) -> Plot:
    begun = max(until - SHOWN, batch.created_at)
    width = _SLOTS[until - begun > _FINE_UP_TO]
    seen = in_flight(batch, since=begun, width=width)
    points = [(each.at, (each.dialogues, each.requests)) for each in seen if each.at <= until]
    top = max((max(values) for _, values in points), default=0.0)
    said = "Nothing was in flight in this time."
    if points:
        said = f"{_span(points)}; at most {top:.0f} at once. Dashed: requests sent."
    columns = [[values[place] for _, values in points] for place in (0, 1)]
    lines = tuple(line for line in (polyline(column, top=top) for column in columns) if line)
    return Plot(
        "flight",
        "Dialogues in flight",
        said,
        lines,
        ("Dialogues", "Requests"),
        _rows(points, lambda value: f"{value:.0f}"),
    )


_Points = Sequence[tuple[datetime, tuple[float, ...]]]


def _span(points: _Points) -> str:
    first, last = (timezone.localtime(points[place][0]) for place in (0, -1))
    return f"{first:%H:%M} to {last:%H:%M}"


def _rows(
    points: _Points, spell: Callable[[float], str]
) -> tuple[tuple[datetime, tuple[str, ...]], ...]:
    """At most twelve rows: the means of as many equal parts."""
    step = -(-len(points) // TABLE_ROWS) or 1
    parts = [points[at : at + step] for at in range(0, len(points), step)]
    return tuple(
        (
            part[0][0],
            tuple(
                spell(sum(column) / len(part))
                for column in zip(*(values for _, values in part), strict=True)
            ),
        )
        for part in parts
    )
