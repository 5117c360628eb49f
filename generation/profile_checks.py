"""Rows of named cells -> checked profiles, or a sentence for each thing that is wrong (pure)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

from generation.plain_text import control_character, is_plain
from generation.profile_columns import (
    BAND,
    BIRTH_YEAR,
    TOTAL,
    answer_value,
    numbered_alike,
    stated_columns,
)
from generation.profile_files import Row, Table
from generation.profile_findings import Stated, contradictions
from generation.profile_identifiers import identifying_cell, identifying_header, is_full_date
from generation.profile_records import (
    ADULT_FROM,
    CORE_COLUMNS,
    MAX_CELL,
    MAX_COLUMN_NAME,
    MAX_FREE_COLUMNS,
    MAX_LABEL,
    OLDEST,
    Checked,
    Problems,
    ProfileRecord,
)
from generation.questionnaires import Definition, Item

_PROFILE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_CONDITION = re.compile(r"[^\W_][\w .,/+&()-]*")
_WHOLE = re.compile(r"([0-9]{1,4})(?:\.0+)?")  # pandas writes 2 as 2.0 beside a blank


def known_columns(definitions: Mapping[str, Definition]) -> frozenset[str]:
    """The columns whose names are ours, in small letters."""
    items = (item.key for definition in definitions.values() for item in definition.items)
    return frozenset((*CORE_COLUMNS, *items))


def check_table(
    table: Table,
    definitions: Mapping[str, Definition],
    problems: Problems,
    *,
    allow_minors: bool,
    year: int | None = None,
) -> list[Checked]:
    """All profiles of the table. Raises ProfileFileError when anything at all is wrong.

    `year` is when the clients were assessed: a year of birth stands for an age as of then.
    """
    checker = _Checker(table.columns, definitions, problems, allow_minors, year)
    checker.check_columns(table.columns)
    problems.raise_any()
    if not table.rows:
        raise problems.stop(None, "the file has column names but no profile; add one row for each.")
    records = [checker.checked(row) for row in table.rows]
    problems.raise_any()
    return records


class _Checker:
    def __init__(
        self,
        columns: Collection[str],
        definitions: Mapping[str, Definition],
        problems: Problems,
        allow_minors: bool,
        year: int | None,
    ) -> None:
        self.definitions = definitions
        self.problems = problems
        self.allow_minors = allow_minors
        self.year = year
        known = known_columns(definitions)
        foreign = [column for column in columns if column not in known]
        self.stated = stated_columns(foreign, definitions)
        self.free = [
            column for column in foreign if column not in self.stated and column != BIRTH_YEAR
        ]
        self.seen: dict[str, int] = {}

    # Columns ---------------------------------------------------------------------------------

    def check_columns(self, columns: Mapping[str, int]) -> None:
        if len(self.free) > MAX_FREE_COLUMNS:
            raise self.problems.stop(
                None,
                f"there are {len(self.free)} free columns but {MAX_FREE_COLUMNS} are allowed; "
                "remove those that no dialogue needs.",
            )
        for column in self.free:
            if message := self._free_column_fault(column):
                self.problems.add(columns[column], column, message)
        self._check_unloaded(columns)
        self._check_items(columns)

    def _free_column_fault(self, column: str) -> str | None:
        if len(column) > MAX_COLUMN_NAME:
            return f"the column name is longer than {MAX_COLUMN_NAME} characters; shorten it."
        if control_character(column) or not is_plain(column):
            return "the column name has a character that cannot be seen; type the name anew."
        if not column[:1].isalpha():
            return "the column name must begin with a letter; rename it."
        if kind := identifying_header(column):
            return f"the column looks like {kind}, which may not be stored; remove it."
        for definition in self.definitions.values():
            if _belongs(column, definition.key):
                first, last = definition.items[0].key, definition.items[-1].key
                return (
                    f"the column is no item of {definition.key}, which has {first} to {last}; "
                    "rename or remove it."
                )
        return None

    def _check_unloaded(self, columns: Mapping[str, int]) -> None:
        for first, *more in numbered_alike(self.free):
            if not self._is_ours(first):
                self.problems.add(
                    columns[first],
                    first,
                    f"this and {len(more)} more columns look like items of a questionnaire that is "
                    "not loaded; load its definition or rename the columns.",
                )

    def _is_ours(self, column: str) -> bool:
        return any(_belongs(column, key) for key in self.definitions)

    def _check_items(self, columns: Mapping[str, int]) -> None:
        answered = False
        for definition in self.definitions.values():
            missing = [item.key for item in definition.items if item.key not in columns]
            if len(missing) == len(definition.items):
                continue
            answered = True
            for key in missing:
                self.problems.add(
                    None,
                    key,
                    f"the column is missing; {definition.key} needs all "
                    f"{len(definition.items)} of its items.",
                )
        if not answered:
            names = ", ".join(d.items[0].key for d in self.definitions.values())
            self.problems.add(
                None,
                None,
                f"there is no answer column; add the items of a questionnaire ({names}).",
            )

    # Rows ------------------------------------------------------------------------------------

    def checked(self, row: Row) -> Checked:
        """The row's profile; after a problem its parts stand in for what is wrong."""
        record = self._record(row)
        if self.problems.found:
            return Checked(record)
        year = row.cells.get(BIRTH_YEAR, "")
        stated = Stated(
            totals=self._said(row, TOTAL),
            bands=self._said(row, BAND),
            birth_year=int(year) if year else None,
            year=self.year,
            age_given="age" in row.cells,
        )
        found = contradictions(record, self.definitions, stated)
        return Checked(record, (*row.findings, *found))

    def _said(self, row: Row, kind: str) -> dict[str, str]:
        """What the row states about questionnaires that it answers, by key."""
        return {
            target.removeprefix(kind): row.cells[column]
            for column, target in self.stated.items()
            if target.startswith(kind) and column in row.cells
        }

    def _record(self, row: Row) -> ProfileRecord:
        condition = row.cells.get("condition", "").lower()
        self._check_label(row, "condition", condition)
        gender = row.cells.get("gender", "")
        self._check_label(row, "gender", gender)
        if condition and not _CONDITION.fullmatch(condition):
            self._add(
                row, "condition", "the label may hold letters, digits and . , / + & ( ) - only."
            )
        demographics = {name: row.cells[name] for name in self.free if name in row.cells}
        for name, value in demographics.items():
            self._check_free(row, name, value)
        return ProfileRecord(
            profile_id=self._profile_id(row),
            age=self._age(row),
            gender=gender,
            condition=condition,
            demographics=demographics,
            answers=dict(self._answers(row)),
        )

    def _add(self, row: Row, column: str, message: str) -> None:
        self.problems.add(row.line(column), column, message, file=row.file)

    def _profile_id(self, row: Row) -> str:
        value = row.cells.get("profile_id", "")
        if not value:
            self._add(row, "profile_id", "the pseudonym is blank; give each client one.")
        elif not _PROFILE_ID.fullmatch(value):
            self._add(
                row,
                "profile_id",
                "a pseudonym has up to 64 letters, digits, hyphens, underscores or dots and begins "
                "with a letter or digit; change it.",
            )
        elif is_full_date(value):
            self._add(row, "profile_id", "the pseudonym holds a full date; use one without.")
        elif value in self.seen:
            self._add(
                row,
                "profile_id",
                f"the pseudonym was already used in row {self.seen[value]}; use another.",
            )
        self.seen.setdefault(value, row.number)
        return value

    def _age(self, row: Row) -> int:
        born = self._birth_year(row)
        if born and "age" not in row.cells:
            return self._age_from(row, born)
        match = _WHOLE.fullmatch(row.cells.get("age", ""))
        age = int(match[1]) if match else None
        if age is None or age > OLDEST:
            self._add(row, "age", f"the age must be a whole number from 0 to {OLDEST}; correct it.")
            return 0
        if age < ADULT_FROM and not self.allow_minors:
            self._add(
                row,
                "age",
                f"the client is under {ADULT_FROM} and minors are not allowed; remove the row.",
            )
        return age

    def _birth_year(self, row: Row) -> int | None:
        given = row.cells.get(BIRTH_YEAR, "")
        if not given:
            return None
        match = _WHOLE.fullmatch(given)
        latest = self.year or 9999
        if match is None or not latest - OLDEST <= int(match[1]) <= latest:
            self._add(
                row,
                BIRTH_YEAR,
                f"the year of birth must be a year from {latest - OLDEST} to {latest}; correct it.",
            )
            return None
        return int(match[1])

    def _age_from(self, row: Row, born: int) -> int:
        """The age reached in the year of assessment; who may still be under age then is."""
        age = (self.year or born) - born
        if age <= ADULT_FROM and not self.allow_minors:
            self._add(
                row,
                BIRTH_YEAR,
                f"born in {born}, the client may be under {ADULT_FROM} and minors are not allowed; "
                "give the age or remove the client.",
            )
        return age

    def _check_label(self, row: Row, column: str, value: str) -> None:
        if not value:
            self._add(row, column, "the cell is blank; write unknown if it is not known.")
        elif len(value) > MAX_LABEL:
            self._add(row, column, f"the cell is longer than {MAX_LABEL} characters; shorten it.")
        elif "\n" in value or "\r" in value:
            self._add(row, column, "the cell has a line break; write it on one line.")
        else:
            self._check_identifying(row, column, value)

    def _check_free(self, row: Row, column: str, value: str) -> None:
        if len(value) > MAX_CELL:
            self._add(row, column, f"the cell is longer than {MAX_CELL} characters; shorten it.")
        else:
            self._check_identifying(row, column, value)

    def _check_identifying(self, row: Row, column: str, value: str) -> None:
        if kind := identifying_cell(value):
            self._add(row, column, f"the cell holds {kind}, which may not be stored; remove it.")

    def _answers(self, row: Row) -> Iterator[tuple[str, dict[str, int]]]:
        for definition in self.definitions.values():
            given = [item for item in definition.items if item.key in row.cells]
            if not given:
                continue
            for item in definition.items:
                if item.key not in row.cells:
                    self._add(
                        row,
                        item.key,
                        f"the answer is blank though others of {definition.key} are given; "
                        f"fill it in or leave {definition.key} out.",
                    )
            yield definition.key, {item.key: self._value(row, item) for item in given}

    def _value(self, row: Row, item: Item) -> int:
        value = answer_value(item, row.cells[item.key])
        if value is None:
            values = [option.value for option in item.options]
            choice = f"{', '.join(map(str, values[:-1]))} or {values[-1]}"
            match = _WHOLE.fullmatch(row.cells[item.key])
            given = f"the value {match[1]}" if match else "the value"
            self._add(row, item.key, f"{given} is no answer option; use {choice}.")
        return value or 0


def _belongs(column: str, key: str) -> bool:
    """Whether a free column speaks of this questionnaire: phq9_10, PHQ-9 total, phq9."""
    pattern = r"[\W_]*".join(re.escape(character) for character in key if character != "_")
    after = r"(?![^\W\d_])" if key[-1].isalpha() else ""
    return re.match(pattern + after, column, re.IGNORECASE) is not None
