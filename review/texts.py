"""Texts in several languages, and where in a TOML file a value stands. Pure."""

from __future__ import annotations

import re
from typing import Any

from pydantic import AfterValidator, BaseModel, ConfigDict, RootModel, model_validator

FALLBACK = "en"
_LANGUAGE = re.compile(r"^[a-z]{2,3}(-[a-z0-9]{2,8})*$")
_KEY = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_HEADER = re.compile(rf"^\s*(\[\[?)\s*({_KEY}(?:\s*\.\s*{_KEY})*)\s*\]\]?\s*(?:#.*)?$")
_ASSIGNMENT = re.compile(rf"^\s*({_KEY}(?:\s*\.\s*{_KEY})*)\s*=\s*(.*)$")

Path = tuple[str | int, ...]


def spelled(pattern: str, words: str) -> AfterValidator:
    """A check of keys: they match `pattern` as a whole, else the error says `words`."""

    def checked(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"must be written with {words}")
        return value

    return AfterValidator(checked)


class Frozen(BaseModel):
    """A checked value that never changes and takes no setting it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class Text(RootModel[dict[str, str]]):
    """One text in one or more languages; English is always there.

    In TOML: `label = "Paraphrasing"` or `label = { en = "Paraphrasing", de = "Paraphrasieren" }`.
    `str(text)` is the English, or the one language left by `Instrument.localised`.
    """

    model_config = ConfigDict(frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _plain_string_is_english(cls, value: Any) -> Any:
        return {FALLBACK: value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _english_and_nothing_blank(self) -> Text:
        if FALLBACK not in self.root:
            raise ValueError("needs an English text (en)")
        for language, text in self.root.items():
            if not _LANGUAGE.match(language):
                raise ValueError(f"'{language}' is not a language code such as en, de or pt-br")
            if not text.strip():
                raise ValueError(f"the text for '{language}' is blank")
        return self

    def language_for(self, language: str) -> str:
        """The language `in_language` answers in: the wanted one, its base, or English."""
        wanted = language.lower()
        for candidate in (wanted, wanted.split("-")[0]):
            if candidate in self.root:
                return candidate
        return FALLBACK

    def in_language(self, language: str) -> str:
        """The text in `language`, else in its base language ('de-at' -> 'de'), else in English."""
        return self.root[self.language_for(language)]

    def __str__(self) -> str:
        return self.root[FALLBACK]


def localise(value: Any, language: str) -> Any:
    """Copy of a model (or tuple of models) in which each Text holds only `language`."""
    if isinstance(value, Text):
        return Text({FALLBACK: value.in_language(language)})
    if isinstance(value, tuple):
        return tuple(localise(part, language) for part in value)
    if isinstance(value, Frozen):
        old = {name: getattr(value, name) for name in type(value).model_fields}
        new = {name: localise(part, language) for name, part in old.items()}
        # Rebuilt rather than copied: a copy would carry cached look-ups of the old texts.
        return value if new == old else type(value).model_construct(**new)
    return value


def line_of(toml: str, path: Path) -> int:
    """The line (from 1) where `path`, or the nearest part of it above, is written in `toml`."""
    lines = _lines(toml)
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return 1


def _parts(dotted: str) -> list[str]:
    return [part.strip("\"'") for part in re.findall(_KEY, dotted)]


def _lines(toml: str) -> dict[Path, int]:
    """Line of each table, array element and key of a valid TOML text, by its path."""
    found: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    table: Path = ()
    array: Path | None = None
    elements = 0
    quote: str | None = None
    for number, line in enumerate(toml.splitlines(), start=1):
        if quote:
            quote = None if quote in line else quote
            continue
        if array is not None:
            if line.lstrip().startswith(("{", '"', "'")):
                found[(*array, elements)] = number
                elements += 1
            array = None if line.lstrip().startswith("]") else array
        elif header := _HEADER.match(line):
            table = _open_table(header[1] == "[[", _parts(header[2]), counts)
            found[table] = number
            found.setdefault(table[:-1] if isinstance(table[-1], int) else table, number)
        elif assignment := _ASSIGNMENT.match(line):
            key = (*table, *_parts(assignment[1]))
            found[key] = number
            value = assignment[2].split("#")[0].rstrip()
            if value.startswith("[") and not value.endswith("]"):
                array, elements = key, 0
        quote = _left_open(line)
    return found


def _open_table(repeated: bool, parts: list[str], counts: dict[Path, int]) -> Path:
    """Full path of a `[table]` or `[[table]]` header, with the indexes of the arrays above it."""
    path: Path = ()
    for part in parts[:-1]:
        path = (*path, part)
        if path in counts:
            path = (*path, counts[path] - 1)
    path = (*path, parts[-1])
    if not repeated:
        return path
    counts[path] = counts.get(path, 0) + 1
    return (*path, counts[path] - 1)


def _left_open(line: str) -> str | None:
    """The triple quote that `line` opens and does not close, if any."""
    for quote in ('"""', "'''"):
        if line.count(quote) % 2:
            return quote
    return None
