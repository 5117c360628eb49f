"""What a questionnaire definition is made of; loading and scoring are in `questionnaires.py`."""

from __future__ import annotations

import re
from typing import Annotated, Literal, LiteralString

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from generation.plain_text import is_plain


def _line(value: str) -> str:
    if value != value.strip() or not value or len(value) > 500 or not is_plain(value):
        raise PydanticCustomError(
            "form",
            "must be one line of 1 to 500 plain characters, without spaces at its ends",
        )
    return value


def _matching(pattern: str, words: LiteralString) -> AfterValidator:
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if len(value) > 40 or not compiled.fullmatch(value):
            raise PydanticCustomError("form", words)
        return value

    return AfterValidator(check)


Line = Annotated[str, AfterValidator(_line)]
Key = Annotated[
    str,
    _matching(
        r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*",
        "must be up to 40 small letters, digits and single underscores, a letter first",
    ),
]
Version = Annotated[
    str,
    _matching(r"[0-9A-Za-z][0-9A-Za-z.+-]*", "must be a short version such as 1.0"),
]
Language = Annotated[
    str,
    _matching(r"[a-z]{2,3}(?:-[A-Za-z0-9]{2,8})*", "must be a language tag such as en or de-DE"),
]
NOT_SHOWN = "(not shown: the licence does not allow it)"
Points = Annotated[int, Field(ge=0, le=10_000)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


Names = Annotated[tuple[Line, ...], Field(strict=False, max_length=50)]


class Option(_Strict):
    """One answer option; `sentence` is what the client agent is told about itself.

    `value` is the code in files; `points` is what it adds to the total, where that differs.
    `accepts` are other words for it in files.
    """

    value: Points
    label: Line
    sentence: Line
    points: Points | None = None
    accepts: Names = ()

    @property
    def counts(self) -> int:
        """What the option adds to the total."""
        return self.value if self.points is None else self.points


class Item(_Strict):
    """One question; an answer of `risk_from` or more makes the profile risk-positive.

    An item that is not `scored` adds nothing to the total. `accepts` are its other names in files.
    """

    key: Key
    number: Annotated[int, Field(ge=1, le=500)]
    text: Line
    topic: Line
    options: Annotated[tuple[Option, ...], Field(strict=False, min_length=2, max_length=50)]
    risk_from: Annotated[int, Field(ge=1)] | None = None
    scored: bool = True
    accepts: Names = ()


class Band(_Strict):
    """A severity band; both limits belong to it.

    `level` makes bands of several scales comparable: 0 none or minimal, 1 mild, 2 moderate,
    3 severe.
    """

    low: Points
    high: Points
    label: Line
    level: Annotated[int, Field(ge=0, le=3)] | None = None


class Scoring(_Strict):
    """How a total is made; there is no prorating, so a missing answer means no total."""

    method: Literal["sum"] = "sum"
    prorating: Literal["none"] = "none"


class Definition(_Strict):
    """A checked questionnaire. `toml` is its normalised source and `sha256` the hash of that.

    `names` are what files call it. `measures` and the bands' levels are what a diagnosis is
    compared with.
    """

    key: Key
    version: Version
    title: Line
    licence: Line
    source: Line
    language: Language
    recall: Line
    show_text: bool
    names: Names = ()
    measures: Literal["depression", "anxiety"] | None = None
    bands_source: Line | None = None
    scoring: Scoring = Scoring()
    items: Annotated[tuple[Item, ...], Field(strict=False, min_length=1, max_length=500)]
    bands: Annotated[tuple[Band, ...], Field(strict=False, max_length=50)] = ()
    sha256: str
    toml: str

    @property
    def maximum(self) -> int:
        """The highest total that the options allow."""
        return sum(
            max(option.counts for option in item.options) for item in self.items if item.scored
        )

    def display_text(self, item: Item) -> str:
        """The item's wording for a page or an export; its topic alone where the licence forbids."""
        return item.text if self.show_text else f"Item {item.number} ({item.topic})"

    def display_label(self, option: Option) -> str:
        """The option's wording, or its value alone where the licence forbids showing text."""
        return option.label if self.show_text else str(option.value)

    def display_sentence(self, option: Option) -> str:
        """What the client agent is told, or a stand-in: the sentence may be the scale's own."""
        return option.sentence if self.show_text else NOT_SHOWN
