"""What REDCap adds to an export: its own columns, events, checkbox columns (pure).

Raw exports (`redcap_event_name`, `meds___1`, coded values) and label exports (`Event Name`,
`Medication (choice=SSRI)`, labels) are both understood. The bookkeeping columns are dropped, so
that timestamps and survey addresses go no further.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from generation.profile_columns import plain
from generation.profile_files import Row, Table
from generation.profile_records import Problems

EVENT = "(event)"  # beside the file's own columns: brackets begin no column that we keep
_EVENT_PARTS = ("redcap event name", "event name", "redcap repeat instrument", "repeat instrument")
_INSTANCE = ("redcap repeat instance", "repeat instance")
_SURVEY = ("redcap survey identifier", "survey identifier")
_DROPPED = re.compile(
    r"(?:redcap )?(?:data access group|survey timestamp)|redcap .*|.* timestamp|timestamp"
)
_COMPLETE = re.compile(r"(?:.* )?complete(?: \d+)?")
_COMPLETE_VALUES = {"", "0", "1", "2", "incomplete", "unverified", "complete"}
_RAW_CHOICE = re.compile(r"(.+)___(-?\w+)")
_LABEL_CHOICE = re.compile(r"(.+?)\s*\(choice=(.+)\)(?: \(\d+\))?")
_CHECKED = {"1", "checked", "yes", "true", "x"}
_UNCHECKED = {"", "0", "unchecked", "no", "false"}


@dataclass(frozen=True)
class Tidied:
    """The table without REDCap's own columns; rows carry their event under EVENT."""

    table: Table
    events: tuple[str, ...]


def tidy(table: Table, problems: Problems) -> Tidied:
    """Drop bookkeeping, join checkbox columns, name each row's event."""
    if _is_redcap(table.columns):
        events, table = _without_bookkeeping(table, problems)
    else:
        events = ()
    return Tidied(_joined_choices(table), events)


def _is_redcap(columns: Iterable[str]) -> bool:
    first, *rest = [plain(column) for column in columns] or [""]
    return first == "record id" or any(each.startswith("redcap ") for each in [first, *rest])


def _without_bookkeeping(table: Table, problems: Problems) -> tuple[tuple[str, ...], Table]:
    names = {column: plain(column) for column in table.columns}
    parts = [column for column, name in names.items() if name in _EVENT_PARTS]
    instances = [column for column, name in names.items() if name in _INSTANCE]
    for column, name in names.items():
        if name in _SURVEY and any(column in row.cells for row in table.rows):
            problems.add(1, column, "the column may hold e-mail addresses; remove it.")
    problems.raise_any()
    dropped = {
        column
        for column, name in names.items()
        if column in parts + instances
        or name in _SURVEY
        or _DROPPED.fullmatch(name)
        or (_COMPLETE.fullmatch(name) and _only(table, column, _COMPLETE_VALUES))
    }
    rows, events = [], {}
    for row in table.rows:
        event = _event(row, parts, instances)
        cells = {name: value for name, value in row.cells.items() if name not in dropped}
        rows.append(replace(row, cells=cells | ({EVENT: event} if event else {})))
        events[event] = True
    columns = {name: line for name, line in table.columns.items() if name not in dropped}
    found = tuple(event for event in events if event)
    return (found if len(events) > 1 else ()), Table(columns, rows)


def _event(row: Row, parts: list[str], instances: list[str]) -> str:
    named = [row.cells[column] for column in parts if column in row.cells]
    numbers = [f"no. {row.cells[column]}" for column in instances if column in row.cells]
    return " ".join([*named, *numbers])[:100]


def _only(table: Table, column: str, values: set[str]) -> bool:
    return all(row.cells.get(column, "").casefold() in values for row in table.rows)


def _joined_choices(table: Table) -> Table:
    """Checkbox columns of one question as one column that lists what was checked."""
    groups: dict[str, dict[str, str]] = {}
    for column in table.columns:
        found = _RAW_CHOICE.fullmatch(column) or _LABEL_CHOICE.fullmatch(column)
        if found and _only(table, column, _CHECKED | _UNCHECKED):
            groups.setdefault(found[1].strip(), {})[column] = found[2].strip()
    groups = {name: choices for name, choices in groups.items() if name not in table.columns}
    if not groups:
        return table
    of = {column: name for name, choices in groups.items() for column in choices}
    columns = dict.fromkeys((of.get(column, column) for column in table.columns), 1)
    return Table(columns, [_with_choices(row, groups, of) for row in table.rows])


def _with_choices(row: Row, groups: dict[str, dict[str, str]], of: dict[str, str]) -> Row:
    cells = {name: value for name, value in row.cells.items() if name not in of}
    for name, choices in groups.items():
        checked = [
            choice
            for column, choice in choices.items()
            if row.cells.get(column, "").casefold() in _CHECKED
        ]
        if checked:
            cells[name] = ", ".join(checked)
    return replace(row, cells=cells)
