"""The text form of Vu et al. 2025 -> rows of named cells, one row a client (pure).

A client begins with `# Patient information` and `Key: value` lines. `## Questionnaire NAME` opens a
questionnaire of `Question ID: text` and `Answer: ...` lines, and a line with the total and its
severity. What a loaded questionnaire knows gets our column names; other answers are columns
`NAME ID`, for the mapping to decide on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from generation.plain_text import as_data, control_character
from generation.profile_columns import item_of, names_of, plain
from generation.profile_files import Row
from generation.profile_findings import DUPLICATE
from generation.profile_records import MAX_ROWS, Problems, ProfileFinding
from generation.questionnaires import Definition, Item

_QUESTIONNAIRE = re.compile(r"#{2,}\s*(?:questionnaire\b[\s:]*)?(.*?)\s*:?\s*", re.IGNORECASE)
_PAIR = re.compile(r"(?:[-*]\s+)?([^:]{1,120}?)\s*:\s*(.*)")
_QUESTION = re.compile(
    r"(?:question\s+(?:id\s*:\s*)?)?([\w.-][\w. -]{0,39}?)\s*:\s*(.*)", re.IGNORECASE
)
_IDENTITY = re.compile(r"(?:\w+ ){0,3}\w*\d{1,3}")
_ANSWER = re.compile(r"answer\s*:\s*(.*)", re.IGNORECASE)
_TOTAL = re.compile(r"\b(?:total|sum|score)\b.*?(\d+(?:[.,]\d+)?)(?!.*\btotal\b)", re.IGNORECASE)
_TOTAL_WORD = re.compile(r"\b(?:total|sum ?score|overall score|sum)\b", re.IGNORECASE)


def is_text_form(text: str) -> bool:
    """Whether a text begins like the form: with a heading."""
    return text.lstrip().startswith("#")


def read_text_form(
    text: str, definitions: Mapping[str, Definition], problems: Problems, *, file: str = ""
) -> list[Row]:
    """The clients of one file. Adds what cannot be read to `problems`, with its line."""
    reader = _Reader(definitions, problems, file)
    for number, line in enumerate(text.split("\n"), start=1):
        if code := control_character(line, allowed="\t\r"):
            problems.add(
                number, None, f"there is the control character {code}; remove it.", file=file
            )
        else:
            reader.line(number, line.strip())
    return reader.finish()


@dataclass
class _Client:
    number: int
    cells: dict[str, str] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    findings: list[ProfileFinding] = field(default_factory=list)


class _Reader:
    """Reads line by line; `section` is None before the first client, then "" or a name."""

    def __init__(
        self, definitions: Mapping[str, Definition], problems: Problems, file: str
    ) -> None:
        self.definitions = definitions
        self.problems = problems
        self.file = file
        self.clients: list[_Client] = []
        self.section: str | None = None
        self.definition: Definition | None = None
        self.column = ""
        self.question = 0

    def finish(self) -> list[Row]:
        self._close_question()
        return [
            Row(
                each.number,
                {name: value for name, value in each.cells.items() if value},
                self.file,
                each.lines,
                tuple(each.findings),
            )
            for each in self.clients
        ]

    def line(self, number: int, line: str) -> None:
        if not line:
            return
        if line.startswith("##") and (heading := _QUESTIONNAIRE.fullmatch(line)):
            self._open(number, heading[1])
        elif line.startswith("#"):
            self._begin(number)
        elif self.section is None:
            self._add(number, "the text must begin with “# Patient information”; add the heading.")
        elif not self.section:
            self._fact(number, line)
        else:
            self._answer(number, line)

    def _add(self, number: int, message: str) -> None:
        self.problems.add(number, None, message, file=self.file)

    def _begin(self, number: int) -> None:
        self._close_question()
        if len(self.clients) >= MAX_ROWS:
            raise self.problems.stop(number, "there are more than 200,000 clients; split the file.")
        self.clients.append(_Client(number))
        self.section, self.column = "", ""

    def _open(self, number: int, name: str) -> None:
        self._close_question()
        if self.section is None:
            self._add(
                number, "a questionnaire stands before “# Patient information”; put it after."
            )
            return
        if not name:
            self._add(number, "the questionnaire has no name; write it into the heading.")
        self.section, self.column = name or "questionnaire", ""
        wanted = plain(name)
        self.definition = next(
            (
                each
                for each in self.definitions.values()
                if wanted in {plain(known) for known in names_of(each)}
            ),
            None,
        )

    # Facts -----------------------------------------------------------------------------------

    def _fact(self, number: int, line: str) -> None:
        pair = _PAIR.fullmatch(line)
        client = self.clients[-1]
        if pair:
            self.column = ""
            if self._set(pair[1].strip(), pair[2].strip(), number):
                self.column = pair[1].strip()
        elif self.column:
            client.cells[self.column] = f"{client.cells[self.column]} {line}".strip()
        else:
            self._add(number, "the line is no “Key: value”; add the key or remove the line.")

    def _set(self, column: str, value: str, number: int) -> bool:
        """Note a cell; a key that was there keeps its first value, and a finding says so."""
        client = self.clients[-1]
        before = client.cells.get(column)
        if before is None:
            client.cells[column], client.lines[column] = value, number
            return True
        same = "the same value" if before == value else f"“{as_data(value, limit=60)}”"
        client.findings.append(
            ProfileFinding(
                DUPLICATE,
                f"“{as_data(column, limit=60)}” is there twice: “{as_data(before, limit=60)}” is "
                f"kept, line {number} has {same}.",
            )
        )
        return False

    # Answers ---------------------------------------------------------------------------------

    def _answer(self, number: int, line: str) -> None:
        if given := _ANSWER.fullmatch(line):
            if not self.column:
                self._add(number, "an answer stands without its question; put the question before.")
                return
            self._set(self.column, given[1].strip(), number)
            self.column, self.question = "", 0
        elif _is_total(line):
            self._close_question()
            self._total(number, line)
        elif (question := _QUESTION.fullmatch(line)) and self._opens(question[1]):
            self._close_question()
            self.column, self.question = self._item_column(question[1], question[2]), number
        elif not self.question:
            self._severity(number, line)
        # Else the question's text goes on, or is on a line of its own.

    def _opens(self, identity: str) -> bool:
        """Whether a line that begins so is a question, and not more words of the one before."""
        words = plain(identity)
        if words.startswith("severity"):
            return False
        return not self.question or bool(_IDENTITY.fullmatch(words))

    def _close_question(self) -> None:
        if self.question:
            self._add(self.question, "the question has no “Answer:” line; add it.")
        self.column, self.question = "", 0

    def _item_column(self, identity: str, text: str) -> str:
        if self.definition is None:
            return f"{self.section} {identity.strip()}"
        item = _item(self.definition, identity, text)
        return item.key if item else f"{self.definition.key} {identity.strip()}"

    def _total(self, number: int, line: str) -> None:
        prefix = self.definition.key if self.definition else self.section
        for name in names_of(self.definition) if self.definition else [self.section or ""]:
            line = re.sub(re.escape(name), " ", line, flags=re.IGNORECASE)
        if found := _TOTAL.search(line):
            self._set(f"{prefix} total", found[1], number)
        self._severity(number, line)

    def _severity(self, number: int, line: str) -> None:
        """The band that a line names; lines that name none say nothing that we keep."""
        if self.definition is None:
            return
        words = f" {plain(line)} "
        labels = sorted((band.label for band in self.definition.bands), key=len, reverse=True)
        label = next((each for each in labels if f" {plain(each)} " in words), None)
        if label is not None:
            self._set(f"{self.definition.key} severity", label, number)


def _is_total(line: str) -> bool:
    return bool(_TOTAL_WORD.search(line)) and any(character.isdigit() for character in line)


def _item(definition: Definition, identity: str, text: str) -> Item | None:
    """The item by its name, its other names, its wording, or the number it ends in."""
    for item in definition.items:
        known = {plain(name) for name in (item.key, item.text, *item.accepts)}
        if plain(identity) in known or (text and plain(text) in known):
            return item
    number = re.search(r"(\d{1,3})\s*$", identity)
    return item_of(definition, number[1]) if number else None
