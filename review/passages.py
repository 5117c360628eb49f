"""Marked passages of an utterance: overlapping spans to pieces of text. Pure.

Offsets count Unicode code points, start inclusive and end exclusive, as in Python.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """A marked passage; ``uid`` names the mark that it belongs to."""

    uid: str
    start: int
    end: int


@dataclass(frozen=True)
class Piece:
    """A stretch of text under the same marks throughout."""

    text: str
    marks: tuple[str, ...] = ()


def pieces(text: str, spans: Iterable[Span]) -> list[Piece]:
    """Cut a text at the borders of its marks; the pieces joined are the text again.

    Spans are cut to the text; empty ones are left out.
    """
    kept = [
        Span(one.uid, max(0, one.start), min(len(text), one.end))
        for one in spans
        if one.start < min(len(text), one.end)
    ]
    borders = sorted({0, len(text)} | {at for one in kept for at in (one.start, one.end)})
    return [_piece(text, kept, start, end) for start, end in itertools.pairwise(borders)]


def _piece(text: str, spans: Sequence[Span], start: int, end: int) -> Piece:
    over = tuple(one.uid for one in spans if one.start <= start and end <= one.end)
    return Piece(text[start:end], over)
