"""An instrument and what it is made of: sections, totals, safety flags. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import Field, StrictBool, StringConstraints

from review.answers import Answers, check, unanswered, visible
from review.items import NA, NOT_SURE, Choice, Item, Key, Level, scale_values
from review.texts import Frozen, Text, localise, spelled

CATEGORY = "category"
SEVERITY = "severity"
NO_FLAG = "none"  # where a judgment about a kind of flag is that there is none

InstrumentKey = Annotated[
    str, spelled(r"[a-z][a-z0-9-]{0,59}", "small letters, digits and '-', a letter first")
]
Version = Annotated[
    str, spelled(r"[0-9A-Za-z][0-9A-Za-z.-]{0,19}", "up to 20 letters, digits, '.' and '-'")
]
Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Conflict = Literal["flag_missing", "flag_unexpected"]


class Section(Frozen):
    """Items under one heading."""

    key: Key
    title: Text
    guideline: Text | None = None
    items: tuple[Item, ...] = Field(min_length=1)


class CutOff(Frozen):
    """From `at` points on, a total carries this label."""

    at: Decimal = Field(ge=-100_000, le=100_000)
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
    category_label: Text = Text({"en": "Category", "de": "Kategorie"})
    severity_label: Text = Text({"en": "Severity", "de": "Schweregrad"})
    none_label: Text = Text({"en": "No flag", "de": "Kein Hinweis"})

    @cached_property
    def items(self) -> tuple[Item, ...]:
        """Category and severity as choice items, then the questions: one form for all."""
        categories = [
            Choice(value=one.key, label=one.label, anchor=one.description)
            for one in self.categories
        ]
        severities = [
            Choice(value=one.key, label=one.label, anchor=one.definition) for one in self.severities
        ]
        return (
            _choice(CATEGORY, self.category_label, categories),
            _choice(SEVERITY, self.severity_label, severities),
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

    def verdict(self, kind: FlagCategory) -> Item:
        """A kind of flag as an item: no flag, or one of the severities."""
        grades = [Choice(value=one.key, label=one.label) for one in self.severities]
        none = Choice(value=NO_FLAG, label=self.none_label)
        return Item(key=kind.key, type="choice", label=kind.label, options=(none, *grades))

    def grade(self, severity: str) -> int:
        """The place of a severity, the mildest being 0; an unknown one counts as the mildest."""
        keys = [one.key for one in self.severities]
        return keys.index(severity) if severity in keys else 0

    def severity(self, key: str) -> Severity:
        """The severity called `key`; KeyError if there is none."""
        return {one.key: one for one in self.severities}[key]


def _choice(key: str, label: Text, options: list[Choice]) -> Item:
    return Item(key=key, type="choice", label=label, options=tuple(options))


def total(rule: TotalRule, items: list[Item], answers: Answers) -> Total:
    """One total over the items asked; see Total."""
    given = [answers.get(item.key, "") for item in items]
    numbers = [item.number(value) for item, value in zip(items, given, strict=True)]
    scored = [number for number in numbers if number is not None]
    most = [highest(i) for i, number in zip(items, numbers, strict=True) if number is not None]
    missing = sum(not value.strip() for value in given)
    share = len(scored) if rule.method == "mean" and scored else 1
    value = sum(scored) / share if scored and not missing else None
    complete = value is not None and len(scored) == len(items)
    return Total(
        key=rule.key,
        label=rule.label,
        value=value,
        maximum=sum(most) / share,
        scored=len(scored),
        not_applicable=given.count(NA),
        not_sure=given.count(NOT_SURE),
        missing=missing,
        band=band(rule, value) if complete else None,
    )


def band(rule: TotalRule, value: float | None) -> Text | None:
    """The label of the highest cut-off that a total reached."""
    reached = [cut for cut in rule.cut_offs if value is not None and value >= cut.at]
    return max(reached, key=lambda cut: cut.at).label if reached else None


def highest(item: Item) -> float:
    """The most that an item's answer can count."""
    if item.type == "scale":
        return float(scale_values(item)[-1])
    return max(item.number(point.value) or 0.0 for point in item.points)


class Instrument(Frozen):
    """A whole rating form. `answers` below map item keys to stored values (see review.items)."""

    key: InstrumentKey
    version: Version
    title: Text
    licence: Line
    attribution: Line
    source: Line
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
            rule.key: total(rule, [i for i in self.counted(rule) if i.key in shown], answers)
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
