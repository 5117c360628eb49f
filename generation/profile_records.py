"""What a checked client profile is, and how a problem with a profile file is told (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from generation.plain_text import as_data

MAX_BYTES = 20 * 1024 * 1024
MAX_ROWS = 200_000
MAX_COLUMNS = 1_000
MAX_PROBLEMS = 50
MAX_FREE_COLUMNS = 60
MAX_CELL = 200
MAX_LABEL = 40
MAX_COLUMN_NAME = 60
OLDEST = 120
ADULT_FROM = 18
CORE_COLUMNS = ("profile_id", "age", "gender", "condition")


@dataclass(frozen=True, slots=True)
class ProfileRecord:
    """One client as given: `age` in whole years, free `demographics` by column, `answers` by
    questionnaire key and item key. A questionnaire is either answered whole or absent.
    """

    profile_id: str
    age: int
    gender: str
    condition: str
    demographics: dict[str, str] = field(default_factory=dict)
    answers: dict[str, dict[str, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProfileFinding:
    """One thing in a profile that does not fit another; flagged, never corrected."""

    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class Checked:
    """A profile with what was noticed about it."""

    record: ProfileRecord
    findings: tuple[ProfileFinding, ...] = ()


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a file. `row` is the line of the file, the first line being 1."""

    file: str
    row: int | None
    column: str | None
    message: str

    def __str__(self) -> str:
        place = self.file
        if self.row is not None:
            place += f", row {self.row}"
        if self.column is not None:
            place += f", column {self.column}"
        return f"{place}: {self.message}"


class ProfileFileError(ValueError):
    """A profile file that was not taken. Its text is the first problem; all are in `problems`."""

    def __init__(self, problems: Sequence[Problem], *, more: bool = False) -> None:
        self.problems = tuple(problems)
        self.more = more
        super().__init__(str(self.problems[0]))


class Problems:
    """Collects problems and stops at MAX_PROBLEMS: fifty are enough to see what is wrong."""

    def __init__(self, file: str) -> None:
        self.file = as_data(file.replace("\\", "/").rsplit("/", 1)[-1], limit=100) or "file"
        self._found: list[Problem] = []
        self._names: Mapping[str, str] = {}

    def call_columns(self, names: Mapping[str, str]) -> None:
        """From now on tell of our columns by the names that the file has for them."""
        self._names = names

    def add(self, row: int | None, column: str | None, message: str, *, file: str = "") -> None:
        """Note a problem; raises ProfileFileError when there are too many to go on.

        `file` names the file inside a zip that the row is of.
        """
        name = (
            None
            if column is None
            else as_data(self._names.get(column, column), limit=MAX_COLUMN_NAME)
        )
        self._found.append(Problem(file or self.file, row, name, message))
        if len(self._found) >= MAX_PROBLEMS:
            raise ProfileFileError(self._found, more=True)

    @property
    def found(self) -> bool:
        """Whether anything is wrong so far."""
        return bool(self._found)

    def stop(self, row: int | None, message: str) -> ProfileFileError:
        """The error to raise when nothing after this problem could be read."""
        return ProfileFileError([*self._found, Problem(self.file, row, None, message)])

    def raise_any(self) -> None:
        """Raise ProfileFileError when anything was found."""
        if self._found:
            raise ProfileFileError(self._found)
