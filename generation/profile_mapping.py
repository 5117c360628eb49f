"""Which column of a foreign file is what of ours: guessed, corrected, applied (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from generation.plain_text import as_data
from generation.profile_checks import check_table, known_columns
from generation.profile_columns import (
    BIRTH_YEAR,
    FACT,
    ITEM,
    LEAVE_OUT,
    core_meaning,
    meaning,
    numbered_alike,
)
from generation.profile_files import Row, Table
from generation.profile_records import (
    CORE_COLUMNS,
    MAX_COLUMN_NAME,
    MAX_FREE_COLUMNS,
    Checked,
    Problems,
)
from generation.profile_redcap import EVENT
from generation.profile_sources import Source
from generation.questionnaires import Definition

CODED = ("gender", "condition")  # what exports hold as codes, and what may be the same for all
MOST_CODES = 12


@dataclass(frozen=True)
class Choice:
    """How a file is read: column -> target (a core column, `item:`, `total:`, `band:`, `fact`).

    `codes` say what a value of gender or condition means; `same` is their value for all clients
    where no column holds them; `event` is the one whose answers count; `year` is when the clients
    were assessed.
    """

    targets: Mapping[str, str]
    codes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    same: Mapping[str, str] = field(default_factory=dict)
    event: str = ""
    year: int | None = None


def guessed(source: Source, definitions: Mapping[str, Definition]) -> dict[str, str]:
    """What each column probably is; the first of two that look alike wins."""
    columns = list(source.table.columns)
    unloaded = {column for group in numbered_alike(columns) for column in group}
    targets: dict[str, str] = {}
    taken: set[str] = set()
    facts = 0
    for column in columns:
        target = meaning(column, definitions.values()) or core_meaning(column)
        if target is None or target in taken:
            keep = column not in unloaded and _may_be_fact(column) and facts < MAX_FREE_COLUMNS
            target = FACT if keep else LEAVE_OUT
            facts += keep
        else:
            taken.add(target)
        targets[column] = target
    return targets


def target_choices(definitions: Mapping[str, Definition]) -> list[tuple[str, str]]:
    """Every target with its words: `phq9_1`, `total of phq9` ..."""
    items = [
        (ITEM + item.key, f"{item.key} ({item.topic})")
        for definition in definitions.values()
        for item in definition.items
    ]
    stated = [
        (f"{kind}:{key}", f"{kind} of {key}") for key in definitions for kind in ("total", "band")
    ]
    return [
        (LEAVE_OUT, "leave out"),
        (FACT, "a fact of the client’s life"),
        ("profile_id", "profile_id (pseudonym)"),
        ("age", "age"),
        (BIRTH_YEAR, "year of birth"),
        ("gender", "gender"),
        ("condition", "condition"),
        *items,
        *stated,
    ]


def codes_of(source: Source, choice: Choice, target: str) -> list[str]:
    """The different values of the column chosen for a target; empty when there are many."""
    column = _column_of(choice, target)
    if column is None:
        return []
    rows = source.table.rows
    found = list(dict.fromkeys(row.cells[column] for row in rows if column in row.cells))
    return found if len(found) <= MOST_CODES else []


def check_source(
    source: Source,
    choice: Choice,
    definitions: Mapping[str, Definition],
    problems: Problems,
    *,
    allow_minors: bool,
) -> list[Checked]:
    """The source's profiles as chosen. Raises ProfileFileError with every problem."""
    _check_choice(source, choice, definitions, problems)
    names = {_our_name(column, target): column for column, target in choice.targets.items()}
    problems.call_columns(names)
    table = _mapped(source, choice)
    return check_table(table, definitions, problems, allow_minors=allow_minors, year=choice.year)


def _check_choice(
    source: Source, choice: Choice, definitions: Mapping[str, Definition], problems: Problems
) -> None:
    known = {target for target, _ in target_choices(definitions)}
    ours = known_columns(definitions) | {BIRTH_YEAR}
    first: dict[str, str] = {}
    for column, target in choice.targets.items():
        if target not in known:
            problems.add(None, column, f"“{as_data(target, limit=60)}” is nothing a column can be.")
        elif target not in {FACT, LEAVE_OUT} and target in first:
            other = as_data(first[target], limit=60)
            problems.add(None, column, f"the column “{other}” is {target} already; choose one.")
        elif target == FACT and column.casefold() in ours:
            problems.add(None, column, "a fact cannot have this name, which is ours; leave it out.")
        first.setdefault(target, column)
    for core in CORE_COLUMNS:
        if core in first or choice.same.get(core) or (core == "age" and BIRTH_YEAR in first):
            continue
        problems.add(None, core, "no column was recognised for it; choose one.")
    if source.events and choice.event not in source.events:
        problems.add(
            None, None, "the file has several events for a client; choose the one to take."
        )
    problems.raise_any()


def _mapped(source: Source, choice: Choice) -> Table:
    rows = source.table.rows
    if source.events:
        rows = list(_one_row_each(rows, choice))
    columns = {
        _our_name(column, target): source.table.columns[column]
        for column, target in choice.targets.items()
        if target != LEAVE_OUT and column in source.table.columns
    }
    columns |= {core: 1 for core in CODED if choice.same.get(core) and core not in columns}
    return Table(columns, [_row(row, choice) for row in rows])


def _row(row: Row, choice: Choice) -> Row:
    cells: dict[str, str] = {core: value for core, value in choice.same.items() if value}
    lines: dict[str, int] = {}
    for column, target in choice.targets.items():
        if target == LEAVE_OUT or column not in row.cells:
            continue
        name, value = _our_name(column, target), row.cells[column]
        cells[name] = choice.codes.get(target, {}).get(value) or value
        lines[name] = row.line(column)
    return replace(row, cells=cells, lines=lines)


def _one_row_each(rows: Iterable[Row], choice: Choice) -> Iterable[Row]:
    """The chosen event's row of each client; what it leaves blank, but for answers, comes from
    the client's other rows, since many studies ask for it once."""
    identity = _column_of(choice, "profile_id") or ""
    clients: dict[str, list[Row]] = {}
    for row in rows:
        clients.setdefault(row.cells.get(identity, ""), []).append(row)
    asked_once = [
        column
        for column, target in choice.targets.items()
        if target in {FACT, BIRTH_YEAR, *CORE_COLUMNS}
    ]
    for found in clients.values():
        for row in found:
            if row.cells.get(EVENT) != choice.event:
                continue
            filled = {
                column: other.cells[column]
                for other in reversed(found)
                for column in asked_once
                if column in other.cells
            }
            yield replace(row, cells=filled | row.cells)


def _our_name(column: str, target: str) -> str:
    """The column's name in the table that is checked: ours, or the fact's own."""
    if target == FACT:
        return column
    if target.startswith(ITEM):
        return target.removeprefix(ITEM)
    kind, _, key = target.partition(":")
    return f"{key} {kind}" if key else target


def _column_of(choice: Choice, target: str) -> str | None:
    return next((column for column, chosen in choice.targets.items() if chosen == target), None)


def _may_be_fact(column: str) -> bool:
    return column[:1].isalpha() and len(column) <= MAX_COLUMN_NAME
