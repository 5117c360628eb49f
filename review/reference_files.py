"""Reference ratings as a CSV file: read with a sentence for what is wrong, and written. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass

from review.cells import text_cell, unguard

COLUMNS = ("dialogue", "instrument", "item", "value", "reason")
WRITTEN = ("dialogue", "instrument", "item", "turn", "flag", "value", "reason")
MAX_BYTES = 2 * 1024 * 1024
MAX_REASON = 4000


class ReferenceFileError(ValueError):
    """The file cannot be used; one sentence with the line."""


@dataclass(frozen=True)
class ReferenceLine:
    """One reference answer as written in a file; ``line`` counts from 1, the header included.

    ``turn`` is that of an item about turns. A ``flag`` (a kind of flag) stands instead of an item;
    its value is a severity, or ``none``. Files without these two columns are read as well.
    """

    dialogue: str
    instrument: str
    item: str
    value: str
    reason: str
    line: int = 0
    turn: int | None = None
    flag: str = ""


def read_references(content: bytes) -> list[ReferenceLine]:
    """The lines that carry a value, in order. Raises ReferenceFileError."""
    if len(content) > MAX_BYTES:
        raise ReferenceFileError("The file is larger than 2 MB; reference ratings are small.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ReferenceFileError("The file is not UTF-8 text; save it as CSV in UTF-8.") from None
    if "\x00" in text:
        raise ReferenceFileError("The file is no text: it holds a zero byte.")
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=_delimiter(text))
    missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise ReferenceFileError(
            f"The first line lacks the column “{missing[0]}”; wanted: {', '.join(COLUMNS)}."
        )
    found: list[ReferenceLine] = []
    seen: dict[tuple[object, ...], int] = {}
    try:
        for row in reader:
            cells = {name: unguard((row.get(name) or "").strip()) for name in WRITTEN}
            turn, line = cells.pop("turn"), reader.line_num
            if turn and not (turn.isdecimal() and len(turn) < 7):
                raise ReferenceFileError(f"Line {line}: the turn is no whole number.")
            one = ReferenceLine(**cells, line=line, turn=int(turn) if turn else None)
            if one.value:
                _check(one, seen)
                found.append(one)
    except csv.Error:
        raise ReferenceFileError(f"Line {reader.line_num}: this is not valid CSV.") from None
    return found


def _delimiter(text: str) -> str:
    first = text.partition("\n")[0]
    return ";" if first.count(";") > first.count(",") else ","


def _check(one: ReferenceLine, seen: dict[tuple[object, ...], int]) -> None:
    if bool(one.item) == bool(one.flag):
        raise ReferenceFileError(f"Line {one.line}: name either an item or a kind of flag.")
    if len(one.reason) > MAX_REASON:
        raise ReferenceFileError(
            f"Line {one.line}: a reason has at most {MAX_REASON:,} characters."
        )
    key = one.dialogue, one.instrument, one.item, one.flag, one.turn
    if key in seen:
        raise ReferenceFileError(
            f"Line {one.line}: this item was given on line {seen[key]} already."
        )
    seen[key] = one.line


def write_references(lines: Iterable[ReferenceLine]) -> str:
    """The file to fill in or to keep."""
    rows = [WRITTEN, *([str(getattr(one, name) or "") for name in WRITTEN] for one in lines)]
    return "".join(",".join(map(text_cell, row)) + "\r\n" for row in rows)
