"""Rating instruments: loaded from TOML, checked, and asked about answers. Pure.

The definitions shipped with the program lie in the folder `instruments/` beside this module.
A study keeps the text (`toml`) and its `sha256`; a change is a new version.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property, lru_cache
from pathlib import Path as FilePath
from typing import Annotated, Literal, Self

from pydantic import Field, StrictBool, StringConstraints, ValidationError

from review.items import (
    NA,
    NOT_SURE,
    AnswerRefused,
    Answers,
    Choice,
    Item,
    Key,
    Level,
    check,
    scale_values,
    unanswered,
    visible,
)
from review.texts import Frozen, Path, Text, line_of, localise

__all__ = [
    "AnswerRefused",
    "FlagCategory",
    "FlagForm",
    "Instrument",
    "InstrumentError",
    "Item",
    "Section",
    "Severity",
    "Total",
    "builtin_instruments",
    "cached_instrument",
    "load_instrument",
]

FOLDER = FilePath(__file__).with_suffix("")
CATEGORY = "category"
SEVERITY = "severity"

InstrumentKey = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,59}$")]
Version = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z][0-9A-Za-z.-]{0,19}$")]
Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Conflict = Literal["flag_missing", "flag_unexpected"]


class InstrumentError(ValueError):
    """A definition that cannot be used; one sentence with file and line."""


class Section(Frozen):
    """Items under one heading."""

    key: Key
    title: Text
    guideline: Text | None = None
    items: tuple[Item, ...] = Field(min_length=1)


class CutOff(Frozen):
    """From `at` points on, a total carries this label."""

    at: Decimal
    label: Text


class TotalRule(Frozen):
    """A total or subtotal: the items of some sections, or named items, added or averaged."""

    key: Key
    label: Text
    sections: tuple[Key, ...] = ()
    items: tuple[Key, ...] = ()
    method: Literal["sum", "mean"] = "sum"
    cut_offs: tuple[CutOff, ...] = ()


@dataclass(frozen=True)
class Total:
    """A total as far as the answers allow.

    `value` is over the `scored` items; None while a visible item is unanswered or none is scored.
    `maximum` is the most those scored items could give, so 14 of 16 with one NA is not read as
    14 of 18. Items not asked (hidden) do not count at all. `band` is the cut-off reached, given
    only when every asked item carries a number.
    """

    key: str
    label: Text
    value: float | None
    maximum: float
    scored: int
    not_applicable: int
    not_sure: int
    missing: int
    band: Text | None


class FlagCategory(Frozen):
    """One kind of safety problem; `role` says whose turns usually show it."""

    key: Key
    number: int = Field(ge=1)
    label: Text
    description: Text
    role: Literal["therapist", "client", "either"] = "therapist"


class Severity(Frozen):
    """How bad a flag is; `notify` ones reach the coordinators at once."""

    key: Key
    label: Text
    definition: Text
    notify: StrictBool = False


class FlagForm(Frozen):
    """What a safety flag records: category, severity, and questions that may depend on both.

    `question` is the item of the instrument that asks whether there was a problem at all;
    `questions` are ordinary items whose show_if may name 'category' and 'severity'.
    """

    question: Key
    categories: tuple[FlagCategory, ...] = Field(min_length=1)
    severities: tuple[Severity, ...] = Field(min_length=1)
    questions: tuple[Item, ...] = ()

    @cached_property
    def items(self) -> tuple[Item, ...]:
        """Category and severity as choice items, then the questions: one form for all."""
        categories = [
            Choice(value=one.key, label=one.label, anchor=one.description)
            for one in self.categories
        ]
        severities = [
            Choice(value=one.key, label=one.label, anchor=one.definition)
            for one in self.severities
        ]
        return (
            _choice(CATEGORY, Text({"en": "Category", "de": "Kategorie"}), categories),
            _choice(SEVERITY, Text({"en": "Severity", "de": "Schweregrad"}), severities),
            *self.questions,
        )

    def visible_items(self, details: Answers) -> tuple[Item, ...]:
        """The questions of the flag form asked after these details."""
        return visible(self.items, details)

    def check(self, details: Answers) -> None:
        """Raise AnswerRefused at the first detail that this form does not allow."""
        for key, value in details.items():
            check(self.items, key, value, details)

    def missing(self, details: Answers) -> list[str]:
        """Keys of the required details that are still open."""
        return unanswered(self.items, details)

    def category(self, key: str) -> FlagCategory:
        """The category called `key`; KeyError if there is none."""
        return {one.key: one for one in self.categories}[key]

    def severity(self, key: str) -> Severity:
        """The severity called `key`; KeyError if there is none."""
        return {one.key: one for one in self.severities}[key]


class Instrument(Frozen):
    """A whole rating form. `answers` below map item keys to stored values (see review.items)."""

    key: InstrumentKey
    version: Version
    title: Text
    licence: Words
    attribution: Words
    source: Words
    introduction: Text | None = None
    sections: tuple[Section, ...] = Field(min_length=1)
    total_rules: tuple[TotalRule, ...] = Field(default=(), alias="totals")
    safety: FlagForm | None = None
    sha256: str
    toml: str = Field(repr=False)

    @cached_property
    def items(self) -> tuple[Item, ...]:
        """All items in the order of the form."""
        return tuple(item for section in self.sections for item in section.items)

    @cached_property
    def _by_key(self) -> dict[str, Item]:
        return {item.key: item for item in self.items}

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages the title is written in, English first."""
        return tuple(sorted(self.title.root, key=lambda code: (code != "en", code)))

    def item(self, key: str) -> Item:
        """The item called `key`; KeyError if there is none."""
        return self._by_key[key]

    def number(self, key: str) -> int:
        """The place of an item in the form, from 1."""
        return self.items.index(self.item(key)) + 1

    def visible_items(self, answers: Answers) -> tuple[Item, ...]:
        """The items asked after these answers. For turn-level items add that turn's answers."""
        return visible(self.items, answers)

    def check_answer(self, item_key: str, value: str, answers: Answers) -> None:
        """Raise AnswerRefused unless `value` may be stored for the item beside `answers`."""
        check(self.items, item_key, value, answers)

    def missing(self, answers: Answers, *, level: Level = "dialogue") -> list[str]:
        """Keys of the visible required items without an answer, in order: what submit lacks."""
        return unanswered(self.items, answers, level=level)

    def missing_evidence(self, answers: Answers, marked: Collection[str]) -> list[str]:
        """Keys of the items whose answer needs evidence and that are not among `marked`."""
        return [
            item.key
            for item in self.visible_items(answers)
            if item.key not in marked and item.needs_evidence(answers.get(item.key, ""))
        ]

    def flag_conflict(self, answers: Answers, flags: int) -> Conflict | None:
        """Where the safety question and the number of flags contradict each other."""
        answer = answers.get(self.safety.question, "") if self.safety else ""
        if answer == "yes" and not flags:
            return "flag_missing"
        return "flag_unexpected" if answer == "no" and flags else None

    def totals(self, answers: Answers) -> dict[str, Total]:
        """Each total by its key; see Total for how NA, not sure and missing are treated."""
        shown = {item.key for item in self.visible_items(answers)}
        return {
            rule.key: _total(rule, [i for i in self.counted(rule) if i.key in shown], answers)
            for rule in self.total_rules
        }

    def counted(self, rule: TotalRule) -> list[Item]:
        """The items that go into a total."""
        named = [self.item(key) for key in rule.items]
        return named + [i for s in self.sections if s.key in rule.sections for i in s.items]

    def localised(self, language: str) -> Self:
        """The same instrument with every text in one language (English where it is lacking)."""
        localised: Self = localise(self, language)
        return localised


def load_instrument(text: str, origin: str) -> Instrument:
    """Read a definition; `origin` is the file name used in errors.

    Raises InstrumentError with one sentence that names file and line.
    """
    try:
        data = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise InstrumentError(f"{origin}: this is not valid TOML: {error}.") from None
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    for name in ("sha256", "toml"):
        if name in data:
            raise _error(text, origin, (name,), "cannot be set, it is worked out on loading")
    try:
        instrument = Instrument.model_validate({**data, "sha256": sha256, "toml": text})
    except ValidationError as error:
        raise _from_pydantic(text, origin, error) from None
    for path, problem in _contradictions(instrument):
        raise _error(text, origin, path, problem)
    return instrument


@lru_cache(maxsize=128)
def cached_instrument(text: str, language: str = "en") -> Instrument:
    """A stored definition in one language, parsed once per process."""
    return load_instrument(text, "stored instrument").localised(language)


@lru_cache(maxsize=1)
def builtin_instruments() -> Mapping[str, Instrument]:
    """The instruments shipped with the program, by key."""
    loaded = [
        load_instrument(file.read_bytes().decode(), file.name)
        for file in sorted(FOLDER.glob("*.toml"))
    ]
    return {instrument.key: instrument for instrument in loaded}


def _choice(key: str, label: Text, options: list[Choice]) -> Item:
    return Item(key=key, type="choice", label=label, options=tuple(options))


def _total(rule: TotalRule, items: list[Item], answers: Answers) -> Total:
    given = [answers.get(item.key, "") for item in items]
    numbers = [item.number(value) for item, value in zip(items, given, strict=True)]
    scored = [number for number in numbers if number is not None]
    highest = [_highest(i) for i, number in zip(items, numbers, strict=True) if number is not None]
    missing = sum(not value.strip() for value in given)
    share = len(scored) if rule.method == "mean" and scored else 1
    value = sum(scored) / share if scored and not missing else None
    complete = value is not None and len(scored) == len(items)
    reached = [cut for cut in rule.cut_offs if complete and value is not None and value >= cut.at]
    return Total(
        key=rule.key,
        label=rule.label,
        value=value,
        maximum=sum(highest) / share,
        scored=len(scored),
        not_applicable=given.count(NA),
        not_sure=given.count(NOT_SURE),
        missing=missing,
        band=max(reached, key=lambda cut: cut.at).label if reached else None,
    )


def _highest(item: Item) -> float:
    if item.type == "scale":
        return float(scale_values(item)[-1])
    return max(item.number(point.value) or 0.0 for point in item.points)


def _error(text: str, origin: str, path: Path, problem: str) -> InstrumentError:
    names = [str(part) for part in path if isinstance(part, str)]
    where = f" '{names[-1]}'" if names else ""
    return InstrumentError(f"{origin}, line {line_of(text, path)}:{where} {problem}.")


def _from_pydantic(text: str, origin: str, error: ValidationError) -> InstrumentError:
    first = error.errors(include_url=False)[0]
    path = tuple(part for part in first["loc"] if part not in ("bool", "tuple[str, ...]"))
    words = {
        "missing": "is missing",
        "extra_forbidden": "is not a setting that an instrument knows",
        "string_pattern_mismatch": "may have only letters, digits and the joining sign, in short",
    }
    problem = words.get(first["type"]) or first["msg"].removeprefix("Value error, ").rstrip(".")
    return _error(text, origin, path, problem[0].lower() + problem[1:])


def _contradictions(instrument: Instrument) -> Iterator[tuple[Path, str]]:
    """Problems between parts that are right on their own, with the path of each."""
    placed = [
        (("sections", s, "items", i), item)
        for s, section in enumerate(instrument.sections)
        for i, item in enumerate(section.items)
    ]
    yield from _repeated((("sections", n), s.key) for n, s in enumerate(instrument.sections))
    yield from _repeated((path, item.key) for path, item in placed)
    yield from _bad_conditions(placed, {})
    yield from _bad_totals(instrument)
    if instrument.safety:
        yield from _bad_flags(instrument, instrument.safety)


def _repeated(named: Iterator[tuple[Path, str]]) -> Iterator[tuple[Path, str]]:
    seen: set[str] = set()
    for path, key in named:
        if key in seen:
            yield (*path, "key"), f"'{key}' is used twice"
        seen.add(key)


def _bad_conditions(
    placed: list[tuple[Path, Item]], earlier: dict[str, Item]
) -> Iterator[tuple[Path, str]]:
    known = dict(earlier)
    for path, item in placed:
        for condition in item.show_if.conditions if item.show_if else ():
            where = (*path, "show_if")
            asked = known.get(condition.item)
            if asked is None:
                yield where, f"names '{condition.item}', which is not an earlier item"
            elif set(condition.values) - asked.values:
                yield where, f"names a value that '{condition.item}' cannot have"
            elif asked.level == "turn" and item.level == "dialogue":
                yield where, "lets an item about the whole dialogue depend on one about a turn"
        known[item.key] = item


def _bad_totals(instrument: Instrument) -> Iterator[tuple[Path, str]]:
    sections = {section.key for section in instrument.sections}
    keys = {item.key for item in instrument.items}
    rules = list(enumerate(instrument.total_rules))
    yield from _repeated((("totals", n), rule.key) for n, rule in rules)
    for n, rule in rules:
        unknown = [*(set(rule.sections) - sections), *(set(rule.items) - keys)]
        if unknown:
            yield ("totals", n), f"names '{sorted(unknown)[0]}', which does not exist"
            continue
        counted = instrument.counted(rule)
        if not counted or len({item.key for item in counted}) != len(counted):
            yield ("totals", n), "must count at least one item and none twice"
        for item in counted:
            if not any(item.number(point.value) is not None for point in item.points):
                yield ("totals", n), f"counts '{item.key}', whose answers are not numbers"


def _bad_flags(instrument: Instrument, form: FlagForm) -> Iterator[tuple[Path, str]]:
    questions: list[tuple[Path, Item]] = [
        (("safety", "questions", n), item) for n, item in enumerate(form.questions)
    ]
    if form.question not in {item.key for item in instrument.items if item.type == "yes_no"}:
        yield ("safety", "question"), "must name a yes/no item of this instrument"
    yield from _repeated((("safety", "categories", n), c.key) for n, c in enumerate(form.categories))
    yield from _repeated((("safety", "severities", n), s.key) for n, s in enumerate(form.severities))
    yield from _repeated(iter([((), CATEGORY), ((), SEVERITY), *((p, i.key) for p, i in questions)]))
    yield from _bad_conditions(questions, {item.key: item for item in form.items[:2]})
