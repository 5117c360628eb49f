"""What a rating form can ask, and how an answer is stored. Pure.

An answer is stored as a string: '0', '1.5', 'yes', 'no', an option's value, option values sorted
and joined with '|', free text, or one of the two marks that are no measurement and never mixed up
with one: NA ('na', the item does not apply) and NOT_SURE ('not_sure', the rater cannot tell).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field, StrictBool, model_validator

from review.texts import Frozen, Text, spelled

NA = "na"
NOT_SURE = "not_sure"
YES = "yes"
NO = "no"
SEPARATOR = "|"
MAX_POINTS = 101

ScalePoint = Annotated[Decimal, Field(ge=-1000, le=1000, decimal_places=2)]
Key = Annotated[
    str, spelled(r"[a-z][a-z0-9_]{0,59}", "small letters, digits and '_', a letter first")
]
OptionValue = Annotated[str, spelled(r"[a-z0-9][a-z0-9_]{0,59}", "small letters, digits and '_'")]
ItemType = Literal["scale", "yes_no", "choice", "multiple", "text"]
Level = Literal["dialogue", "turn"]
Measurement = Literal["nominal", "ordinal"]


class Anchor(Frozen):
    """What one point of a scale means: an optional short name and the description."""

    value: ScalePoint
    label: Text | None = None
    text: Text


class Choice(Frozen):
    """One thing a rater can choose; `exclusive` (in a multiple item) stands alone."""

    value: OptionValue
    label: Text
    anchor: Text | None = None
    score: float | None = Field(default=None, allow_inf_nan=False)
    exclusive: StrictBool = False


class Point(Frozen):
    """One answer of any item but text, as a form shows it: stored value, label, description."""

    value: str
    label: Text
    anchor: Text | None = None


class Condition(Frozen):
    """True when an earlier, visible item was answered with one of `values`."""

    item: Key
    values: tuple[str, ...] = Field(alias="in", min_length=1)


class ShowIf(Frozen):
    """All of, or any of, some conditions. `{ item = .., in = [..] }` alone is the short form."""

    all_of: tuple[Condition, ...] = Field(default=(), alias="all")
    any_of: tuple[Condition, ...] = Field(default=(), alias="any")

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"all": [value]} if isinstance(value, dict) and "item" in value else value

    @model_validator(mode="after")
    def _one_kind(self) -> ShowIf:
        if bool(self.all_of) == bool(self.any_of):
            raise ValueError("needs either conditions under 'all' or conditions under 'any'")
        return self

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """Every condition, of whichever kind."""
        return self.all_of or self.any_of

    def holds(self, chosen: Mapping[str, frozenset[str]]) -> bool:
        """Whether it is true for the values chosen so far, by item."""
        met = [not chosen.get(c.item, frozenset()).isdisjoint(c.values) for c in self.conditions]
        return all(met) if self.all_of else any(met)


class Words(Frozen):
    """How the answers common to all instruments are worded."""

    yes: Text = Text({"en": "Yes", "de": "Ja"})
    no: Text = Text({"en": "No", "de": "Nein"})
    na: Text = Text({"en": "Not applicable", "de": "Nicht anwendbar"})
    not_sure: Text = Text({"en": "Not sure", "de": "Nicht sicher"})


class Item(Frozen):
    """One question of an instrument.

    Units: `minimum`, `maximum`, `step` in scale points (`min`, `max` in TOML; step 0.5 gives half
    marks). `requires_evidence` is true (for every real answer) or the list of values that need a
    marked turn or span. Text items take neither NA nor not sure: leave them optional instead.
    """

    key: Key
    type: ItemType
    label: Text
    code: str = Field(default="", max_length=8)
    definition: Text | None = None
    guideline: Text | None = None
    example: Text | None = None
    minimum: ScalePoint | None = Field(default=None, alias="min")
    maximum: ScalePoint | None = Field(default=None, alias="max")
    step: ScalePoint = Decimal(1)
    anchors: tuple[Anchor, ...] = ()
    options: tuple[Choice, ...] = ()
    max_length: int = Field(default=4000, ge=1, le=20_000)
    allow_na: StrictBool = False
    allow_not_sure: StrictBool = False
    required: StrictBool = True
    requires_evidence: StrictBool | tuple[str, ...] = False
    show_if: ShowIf | None = None
    level: Level = "dialogue"
    words: Words = Words()

    @model_validator(mode="after")
    def _fits_its_type(self) -> Item:
        problem = _scale_problem(self) if self.type == "scale" else _other_problem(self)
        if problem is None and not isinstance(self.requires_evidence, bool):
            allowed = {point.value for point in self.points}
            if set(self.requires_evidence) - allowed:
                problem = "'requires_evidence' names a value that the item does not have"
        if problem:
            raise ValueError(problem)
        return self

    @cached_property
    def points(self) -> tuple[Point, ...]:
        """The measuring answers in order, without NA and not sure; empty for text."""
        if self.type == "scale":
            anchors = {anchor.value: anchor for anchor in self.anchors}
            return tuple(_scale_point(value, anchors.get(value)) for value in scale_values(self))
        if self.type == "yes_no":
            notes = {option.value: option.anchor for option in self.options}
            return (
                Point(value=YES, label=self.words.yes, anchor=notes.get(YES)),
                Point(value=NO, label=self.words.no, anchor=notes.get(NO)),
            )
        return tuple(Point(value=o.value, label=o.label, anchor=o.anchor) for o in self.options)

    @cached_property
    def marks(self) -> tuple[Point, ...]:
        """The answers that are no measurement: not sure, not applicable, where allowed."""
        marks = []
        if self.allow_not_sure:
            marks.append(Point(value=NOT_SURE, label=self.words.not_sure))
        if self.allow_na:
            marks.append(Point(value=NA, label=self.words.na))
        return tuple(marks)

    @cached_property
    def values(self) -> frozenset[str]:
        """Every single value that may be stored (for multiple: each part); empty for text."""
        return frozenset(point.value for point in self.points + self.marks)

    @property
    def measurement(self) -> Measurement | None:
        """Level for agreement statistics; None where an answer is not one value (text, several)."""
        if self.type == "scale":
            return "ordinal"
        return "nominal" if self.type in ("yes_no", "choice") else None

    def number(self, value: str) -> float | None:
        """The number an answer counts as: the point, yes 1 / no 0, an option's score; else None."""
        if value in (NA, NOT_SURE, ""):
            return None
        if self.type == "scale":
            return float(value) if value in self.values else None
        if self.type == "yes_no":
            return {YES: 1.0, NO: 0.0}.get(value)
        return next((o.score for o in self.options if o.value == value), None)

    def needs_evidence(self, value: str) -> bool:
        """Whether this answer must come with a marked turn or span."""
        if isinstance(self.requires_evidence, bool):
            return self.requires_evidence and value not in (NA, NOT_SURE, "")
        return not self.chosen(value).isdisjoint(self.requires_evidence)

    def chosen(self, value: str) -> frozenset[str]:
        """The single values in a stored answer."""
        if self.type == "multiple":
            return frozenset(value.split(SEPARATOR)) - {""}
        return frozenset({value}) - {""}


def scale_values(item: Item) -> list[Decimal]:
    """All points of a scale, lowest first."""
    if item.minimum is None or item.maximum is None:
        return []
    count = int((item.maximum - item.minimum) / item.step) + 1
    return [item.minimum + item.step * index for index in range(count)]


def written(value: Decimal) -> str:
    """A scale point as it is stored: '0', '1.5', '10'."""
    return format(value.normalize() + 0, "f")


def join_values(values: Iterable[str]) -> str:
    """Several chosen values as one stored answer: sorted, joined with '|'."""
    return SEPARATOR.join(sorted(set(values)))


def _scale_point(value: Decimal, anchor: Anchor | None) -> Point:
    stored = written(value)
    label = (anchor.label if anchor else None) or Text({"en": stored})
    return Point(value=stored, label=label, anchor=anchor.text if anchor else None)


def _scale_problem(item: Item) -> str | None:
    if item.options:
        return "a scale takes 'min', 'max', 'step' and 'anchors', not 'options'"
    if item.minimum is None or item.maximum is None:
        return "a scale needs 'min' and 'max'"
    if item.step <= 0 or item.maximum <= item.minimum:
        return "'max' must be above 'min' and 'step' above 0"
    if (item.maximum - item.minimum) % item.step:
        return "'step' must divide the range from 'min' to 'max'"
    if (item.maximum - item.minimum) / item.step >= MAX_POINTS:
        return f"a scale has at most {MAX_POINTS} points"
    points = [anchor.value for anchor in item.anchors]
    if len(set(points)) != len(points):
        return "a scale point is anchored twice"
    if set(points) - set(scale_values(item)):
        return "an anchor stands at a value that is not on the scale"
    return None


def _other_problem(item: Item) -> str | None:
    values = [option.value for option in item.options]
    if item.minimum is not None or item.maximum is not None or item.anchors:
        return "only a scale takes 'min', 'max' and 'anchors'"
    if len(set(values)) != len(values):
        return "an option's value is given twice"
    if {NA, NOT_SURE} & set(values):
        return f"'{NA}' and '{NOT_SURE}' are set by 'allow_na' and 'allow_not_sure'"
    if item.type == "yes_no":
        return (
            "a yes/no item takes options 'yes' and 'no' only" if set(values) - {YES, NO} else None
        )
    if item.type == "text":
        if item.options or item.allow_na or item.allow_not_sure:
            return "a text item takes no options, NA or not sure; leave it optional instead"
        return None
    if len(values) < 2:
        return "needs at least two options"
    if item.type == "choice" and any(option.exclusive for option in item.options):
        return "only a multiple item takes 'exclusive' options"
    return None
