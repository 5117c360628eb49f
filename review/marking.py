"""A turn's text cut where marked passages begin and end. Pure.

Offsets count Unicode code points, as Python's strings do; the page's script converts from the
UTF-16 units of the browser.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """Characters ``start`` to ``end`` (exclusive) of a turn, marked under ``mark``."""

    start: int
    end: int
    mark: str


@dataclass(frozen=True)
class Segment:
    """A stretch of text with the marks that lie on all of it, in the order they were given."""

    text: str
    marks: tuple[str, ...] = ()


def segments(text: str, spans: Iterable[Span]) -> tuple[Segment, ...]:
    """The whole text in stretches; spans may overlap, touch or lie within one another.

    A span that reaches beyond the text is cut there; an empty one leaves no trace. Joined, the
    stretches are the text again.
    """
    kept = [
        Span(max(0, one.start), min(len(text), one.end), one.mark)
        for one in spans
        if max(0, one.start) < min(len(text), one.end)
    ]
    edges = sorted({0, len(text)} | {edge for one in kept for edge in (one.start, one.end)})
    found = []
    for start, end in zip(edges, edges[1:], strict=False):
        marks = tuple(dict.fromkeys(o.mark for o in kept if o.start <= start and end <= o.end))
        found.append(Segment(text[start:end], marks))
    return tuple(found)


def for_display(text: str) -> str:
    """The text as a browser will count it: HTML turns CR LF into one character, so both are
    replaced here, one for one, and every offset stays where it was."""
    return text.replace("\r\n", " \n").replace("\r", "\n") if "\r" in text else text


def beginning(text: str, length: int = 60) -> str:
    """The first words of a passage, for a list of marks."""
    flat = " ".join(text.split())
    return flat if len(flat) <= length else flat[: length - 1].rstrip() + "…"
