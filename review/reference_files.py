"""Reference ratings as a CSV file: read with a sentence for what is wrong, and written. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import astuple, dataclass

from review.cells import text_cell, unguard

COLUMNS = ("dialogue", "instrument", "item", "value", "reason")
MAX_BYTES = 2 * 1024 * 1024
MAX_REASON = 4000


class ReferenceFileError(ValueError):
    """The file cannot be used; one sentence with the line."""


@dataclass(frozen=True)
class ReferenceLine:
    """One reference answer as written in a file; ``line`` counts from 1, the header included."""

    dialogue: str
    instrument: str
    item: str
    value: str
    reason: str
    line: int


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
    seen: dict[tuple[str, str, str], int] = {}
    try:
        for row in reader:
            cells = [unguard((row[name] or "").strip()) for name in COLUMNS]
            dialogue, instrument, item, value, reason = cells
            one = ReferenceLine(dialogue, instrument, item, value, reason, reader.line_num)
            if one.value:
                _check(one, seen)
                found.append(one)
    except csv.Error:
        raise ReferenceFileError(f"Line {reader.line_num}: this is not valid CSV.") from None
    return found


def _delimiter(text: str) -> str:
    first = text.partition("\n")[0]
    return ";" if first.count(";") > first.count(",") else ","


def _check(one: ReferenceLine, seen: dict[tuple[str, str, str], int]) -> None:
    if len(one.reason) > MAX_REASON:
        raise ReferenceFileError(
            f"Line {one.line}: a reason has at most {MAX_REASON:,} characters."
        )
    key = one.dialogue, one.instrument, one.item
    if key in seen:
        raise ReferenceFileError(
            f"Line {one.line}: this item was given on line {seen[key]} already."
        )
    seen[key] = one.line


def write_references(lines: Iterable[ReferenceLine]) -> str:
    """The file to fill in or to keep."""
    rows = [COLUMNS, *(astuple(one)[:-1] for one in lines)]
    return "".join(",".join(map(text_cell, row)) + "\r\n" for row in rows)
