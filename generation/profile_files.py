"""Bytes of a CSV or JSONL file -> rows of named cells, with the line each row began on (pure).

What a cell may hold is decided in `profile_checks`; here is only what makes a file unreadable.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from generation.plain_text import control_character
from generation.profile_records import (
    CORE_COLUMNS,
    MAX_BYTES,
    MAX_COLUMNS,
    MAX_ROWS,
    Problems,
    ProfileFinding,
)

TOO_LARGE = "the file is larger than 20 MB; split it into smaller files."
_DELIMITERS = (",", ";", "\t")
# A spreadsheet would run a cell that begins like this; an apostrophe before it makes it text.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")


@dataclass(frozen=True, slots=True)
class Row:
    """One profile as text: the line it began on and its non-blank cells by column.

    A row of a text file has a line for each cell, the file's name inside a zip, and what was
    noticed while reading.
    """

    number: int
    cells: dict[str, str]
    file: str = ""
    lines: Mapping[str, int] = field(default_factory=dict)
    findings: tuple[ProfileFinding, ...] = ()

    def line(self, column: str) -> int:
        """The line on which the cell of a column stands."""
        return self.lines.get(column, self.number)


@dataclass(frozen=True, slots=True)
class Table:
    """A whole file. `columns` maps each column to the row that first named it."""

    columns: dict[str, int]
    rows: list[Row]


def read_table(filename: str, content: bytes, known: frozenset[str], problems: Problems) -> Table:
    """Read the file by its name's ending; `known` columns are matched whatever their case.

    Adds problems to `problems`, or raises ProfileFileError when nothing can be read.
    """
    text = decoded(content, problems)
    ending = filename.lower().rsplit(".", 1)[-1]
    if ending in {"csv", "tsv", "txt"}:
        return _read_csv(text, known, problems)
    if ending in {"jsonl", "ndjson"}:
        return _read_jsonl(text, known, problems)
    raise problems.stop(
        None, "the file name must end in .csv or .jsonl; save it in one of the two."
    )


def read_any_table(filename: str, content: bytes, problems: Problems) -> Table:
    """Read a CSV or JSONL file whose columns are not ours, to be mapped: names as they stand.

    A name that is there twice gets a number, since labels of questions repeat in exports.
    """
    text = decoded(content, problems)
    if filename.lower().rsplit(".", 1)[-1] in {"jsonl", "ndjson"}:
        return _read_jsonl(text, frozenset(), problems, needed=())
    rows = _records(text, _delimiter(text), problems)
    _, header = next(rows)
    if not header:
        raise problems.stop(1, "the first row is blank; put the column names there.")
    if len(header) > MAX_COLUMNS:
        raise problems.stop(1, f"there are {len(header)} columns; keep up to {MAX_COLUMNS}.")
    names = _told_apart(header)
    columns = dict.fromkeys(names, 1)
    return Table(columns, list(_cells(rows, names, problems)))


def _told_apart(header: Sequence[str]) -> list[str]:
    names: list[str] = []
    for position, name in enumerate(header, start=1):
        given = found = name.strip() or f"column {position}"
        number = 1
        while found in names:
            number += 1
            found = f"{given} ({number})"
        names.append(found)
    return names


def guard_formula(value: str) -> str:
    """The value as a CSV cell that no spreadsheet runs as a formula; undone when read again."""
    return "'" + value if _FORMULA.match(value) else value


def _unguard(value: str) -> str:
    return value[1:] if value.startswith("'") and _FORMULA.match(value) else value


def decoded(content: bytes, problems: Problems) -> str:
    """The file's text. Raises ProfileFileError when it is no text in UTF-8."""
    if len(content) > MAX_BYTES:
        raise problems.stop(None, TOO_LARGE)
    if content.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise problems.stop(None, "the file is a spreadsheet; save it as CSV in UTF-8.")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise problems.stop(None, "the file is in UTF-16; save it in UTF-8.")
    if b"\0" in content:
        row = content.count(b"\n", 0, content.index(b"\0")) + 1
        raise problems.stop(row, "there is a NUL byte; save the file again as text in UTF-8.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = content.count(b"\n", 0, error.start) + 1
        raise problems.stop(row, "the text is not in UTF-8; save the file in UTF-8.") from None
    if not text.strip():
        raise problems.stop(None, "the file is empty; choose a file with at least one profile.")
    return text


def canonical(name: str, known: frozenset[str]) -> str:
    """A column's name: our own spelling for known columns, as given for free ones."""
    stripped = name.strip()
    return stripped.casefold() if stripped.casefold() in known else stripped


def _read_csv(text: str, known: frozenset[str], problems: Problems) -> Table:
    rows = _records(text, _delimiter(text), problems)
    _, header = next(rows)
    if not header:
        raise problems.stop(1, "the first row is blank; put the column names there.")
    if len(header) > MAX_COLUMNS:
        raise problems.stop(1, f"there are {len(header)} columns; keep up to {MAX_COLUMNS}.")
    names = [canonical(name, known) for name in header]
    for required in CORE_COLUMNS:
        if required not in names:
            problems.add(1, required, "the column is missing; add it to the first row.")
    # Without these columns the first row may be data, so no later message may quote a name.
    problems.raise_any()
    _check_names(names, problems)
    columns = dict.fromkeys(names, 1)
    return Table(columns, list(_cells(rows, names, problems)))


def _check_names(names: list[str], problems: Problems) -> None:
    seen: set[str] = set()
    for position, name in enumerate(names, start=1):
        if not name:
            problems.add(1, None, f"column {position} has no name; name it or remove it.")
        elif name.casefold() in seen:
            problems.add(1, name, "the column is there twice; keep one of the two.")
        seen.add(name.casefold())
    problems.raise_any()


def _cells(
    rows: Iterator[tuple[int, list[str]]], names: list[str], problems: Problems
) -> Iterator[Row]:
    for number, row in _counted(rows, problems):
        if len(row) != len(names):
            problems.add(
                number,
                None,
                f"the row has {len(row)} cells but the first row has {len(names)}; "
                "repair the separators or quotes.",
            )
        else:
            cells = dict(_clean_cells(zip(names, row, strict=True), number, problems))
            if cells:
                yield Row(number, {name: _unguard(value) for name, value in cells.items()})


def _counted(
    rows: Iterator[tuple[int, list[str]]], problems: Problems
) -> Iterator[tuple[int, list[str]]]:
    count = 0
    for number, row in rows:
        if not row:
            continue
        count += 1
        if count > MAX_ROWS:
            raise problems.stop(number, "there are more than 200,000 rows; split the file.")
        yield number, row


def _clean_cells(
    pairs: Iterable[tuple[str, str]], number: int, problems: Problems
) -> Iterator[tuple[str, str]]:
    for name, value in pairs:
        if code := control_character(value, allowed="\t\r\n"):
            problems.add(number, name, f"the cell has the control character {code}; remove it.")
        elif value := value.strip():
            yield name, value


def _delimiter(text: str) -> str:
    """The separator under which the first record has a profile_id, else the most frequent one."""
    widths: dict[str, int] = {}
    for delimiter in _DELIMITERS:
        try:
            header = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), [])
        except csv.Error:
            header = []
        if "profile_id" in {name.strip().casefold() for name in header}:
            return delimiter
        widths[delimiter] = len(header)
    return max(_DELIMITERS, key=lambda delimiter: widths[delimiter])


def _records(text: str, delimiter: str, problems: Problems) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        # The line a record begins on: with line breaks inside quotes it is not the row's count.
        number = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise problems.stop(number, _csv_fault(str(error))) from None
        yield number, row


def _csv_fault(message: str) -> str:
    if "field limit" in message:
        return "a cell is far too long; a quote is probably not closed."
    if "end of data" in message:
        return "a quote is opened but never closed; close it."
    return "text follows a closing quote; double the quotes inside a cell."


def _read_jsonl(
    text: str,
    known: frozenset[str],
    problems: Problems,
    *,
    needed: Sequence[str] = CORE_COLUMNS,
) -> Table:
    columns: dict[str, int] = {}
    rows: list[Row] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        if len(rows) >= MAX_ROWS:
            raise problems.stop(number, "there are more than 200,000 rows; split the file.")
        found = _json_object(line, number, problems)
        if found is None:
            continue
        if len(found) > MAX_COLUMNS:
            raise problems.stop(number, f"there are {len(found)} keys; keep up to {MAX_COLUMNS}.")
        cells: dict[str, str] = {}
        for name, value in _clean_cells(_json_cells(found, number, problems), number, problems):
            cells[canonical(name, known)] = value
        for name in found:
            columns.setdefault(canonical(name, known), number)
        _check_keys(found, number, known, problems, needed)
        rows.append(Row(number, cells))
    return Table(columns, rows)


def _check_keys(
    found: dict[str, Any],
    number: int,
    known: frozenset[str],
    problems: Problems,
    needed: Sequence[str],
) -> None:
    names = [canonical(name, known) for name in found]
    for required in needed:
        if required not in names:
            problems.add(number, required, "the key is missing; add it.")
    times = Counter(name.casefold() for name in names)
    for name in {name.casefold(): name for name in names}.values():
        if not name:
            problems.add(number, None, "a key has no name; name it or remove it.")
        elif times[name.casefold()] > 1:
            problems.add(number, name, "the key is there twice; keep one of the two.")


class _DuplicateKeyError(ValueError):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _DuplicateKeyError
    return found


def _no_constant(_name: str) -> NoReturn:
    raise ValueError


def _json_object(line: str, number: int, problems: Problems) -> dict[str, Any] | None:
    try:
        found = json.loads(line, object_pairs_hook=_unique, parse_constant=_no_constant)
    except _DuplicateKeyError:
        problems.add(number, None, "a key is there twice; keep one of the two.")
        return None
    except (ValueError, RecursionError):
        problems.add(number, None, "the line is not valid JSON; write one object per line.")
        return None
    if not isinstance(found, dict):
        problems.add(number, None, "the line is no JSON object; write one object per line.")
        return None
    return found


def _json_cells(
    found: dict[str, Any], number: int, problems: Problems
) -> Iterator[tuple[str, str]]:
    for name, value in found.items():
        if isinstance(value, dict | list):
            problems.add(number, name, "the value is a list or object; use text or a number.")
        elif isinstance(value, bool):
            yield name, "true" if value else "false"
        elif value is not None:
            yield name, str(value)
