"""What of a rating form is the same for everybody, as its template reads it, with holes for the
answers. One form is rendered once per process, instruments, language and kind of page."""

import json
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from django.utils.safestring import SafeString
from django.utils.translation import gettext, override

from review.instruments import FlagForm, Instrument, Item
from review.items import NA, NOT_SURE, ShowIf
from review.views.skeleton import Skeleton, hole


@dataclass(frozen=True)
class PointShape:
    """One possible answer: stored value, what the button shows, what it means."""

    value: str
    label: str
    short: str
    anchor: str
    mark: bool
    exclusive: bool
    checked: SafeString


@dataclass(frozen=True)
class ItemShape:
    """An item of an instrument under its place in the page."""

    form: str
    number: int
    item: Item
    read_only: bool = False

    @property
    def id(self) -> str:
        """The element's id; of a turn-level item, without the turn."""
        return f"{self.form}-{self.item.key}"

    def id_at(self, turn: int | None) -> str:
        """The element's id, of a turn-level item at this turn."""
        return f"{self.id}-t{turn}" if self.at_turn else self.id

    @property
    def name(self) -> str:
        """The field's name in the whole form; of a turn-level item, without the turn."""
        return f"{self.form}:{self.item.key}"

    @property
    def tag(self) -> str:
        """What marks in the dialogue call the item."""
        return self.item.code or str(self.number)

    @property
    def at_turn(self) -> bool:
        """Whether it is asked at every turn."""
        return self.item.level == "turn"

    @property
    def show_if(self) -> str:
        """The condition under which it is asked, for the page's script."""
        return condition(self.item.show_if)

    @property
    def choices(self) -> list[PointShape]:
        """What can be chosen, the marks that are no measurement last."""
        alone = {option.value for option in self.item.options if option.exclusive}
        return [
            PointShape(
                value=point.value,
                label=str(point.label),
                short=short_label(point.value, str(point.label)),
                anchor=str(point.anchor or ""),
                mark=point.value in (NA, NOT_SURE),
                exclusive=point.value in alone or point.value in (NA, NOT_SURE),
                checked=self.hole(point.value),
            )
            for point in self.item.points + self.item.marks
        ]

    @property
    def many_points(self) -> bool:
        """Whether the answers need a line of their own below the question."""
        words = sum(len(choice.short) for choice in self.choices)
        return len(self.choices) > 6 or words > 18 or self.item.type == "text"

    def hole(self, name: str) -> SafeString:
        """The place in the markup that this item's ``name`` goes to."""
        return hole(f"{self.id}:{name}")

    @property
    def holes(self) -> dict[str, SafeString]:
        """All places but those of the choices."""
        names = ("revision", "value", "comment", "open", "hidden", "lacking", "problem", "evidence")
        return {name: self.hole(name) for name in names}


def short_label(value: str, label: str) -> str:
    """What stands on the button itself."""
    if value == NOT_SURE:
        return gettext("n/s")
    return gettext("n/a") if value == NA else label


def condition(rule: ShowIf | None) -> str:
    """A condition as JSON; empty when there is none."""
    if rule is None:
        return ""
    conditions = [[one.item, list(one.values)] for one in rule.conditions]
    return json.dumps({"all": bool(rule.all_of), "conditions": conditions})


@dataclass(frozen=True)
class SectionShape:
    """Items about the dialogue under one heading."""

    id: str
    title: str
    guideline: str
    items: tuple[ItemShape, ...]
    count: SafeString


@dataclass(frozen=True)
class FormShape:
    """The instruments of a study in one language. Equal when the definitions are the same."""

    shas: tuple[str, ...]
    language: str
    read_only: bool
    instruments: tuple[Instrument, ...] = field(compare=False)

    @cached_property
    def items(self) -> tuple[ItemShape, ...]:
        """All items of all instruments, in order."""
        return tuple(
            ItemShape(form.key, number, item, self.read_only)
            for form in self.instruments
            for number, item in enumerate(form.items, start=1)
        )

    @cached_property
    def sections(self) -> tuple[SectionShape, ...]:
        """Headings with the items about the whole dialogue."""
        shapes = {(one.form, one.item.key): one for one in self.items}
        found = []
        for form in self.instruments:
            for section in form.sections:
                asked = [one for one in section.items if one.level == "dialogue"]
                if asked:
                    name = f"{form.key}-{section.key}"
                    found.append(
                        SectionShape(
                            id=name,
                            title=str(section.title),
                            guideline=str(section.guideline or ""),
                            items=tuple(shapes[form.key, one.key] for one in asked),
                            count=hole(f"{name}:count"),
                        )
                    )
        return tuple(found)

    @cached_property
    def turn_items(self) -> tuple[ItemShape, ...]:
        """Items that are asked at every turn."""
        return tuple(one for one in self.items if one.at_turn)

    @property
    def flags(self) -> FlagForm | None:
        """The safety flags these instruments take, if any."""
        return next((one.safety for one in self.instruments if one.safety), None)

    @property
    def flag_questions(self) -> list[tuple[Item, str]]:
        """What a flag asks beyond category and severity, each with its condition."""
        questions = self.flags.questions if self.flags else ()
        return [(item, condition(item.show_if)) for item in questions]

    @property
    def introductions(self) -> list[tuple[str, str]]:
        """Title and introduction of each instrument that has one."""
        return [(str(f.title), str(f.introduction)) for f in self.instruments if f.introduction]


@lru_cache(maxsize=64)
def interned(shape: FormShape) -> FormShape:
    """The first shape equal to this one, with all that it has worked out."""
    return shape


@lru_cache(maxsize=64)
def form_skeleton(shape: FormShape) -> Skeleton:
    """The sections of the form."""
    with override(shape.language):
        return Skeleton("review/_form.html", {"form": shape})


@lru_cache(maxsize=64)
def turn_items_skeleton(shape: FormShape) -> Skeleton:
    """The items of one turn; hole ``turn`` is its number."""
    with override(shape.language):
        return Skeleton("review/_turn_items.html", {"form": shape, "turn": hole("turn")})


@lru_cache(maxsize=64)
def flag_fields_skeleton(shape: FormShape) -> Skeleton:
    """What a safety flag says; the same for every dialogue."""
    with override(shape.language):
        return Skeleton("review/_flag_fields.html", {"form": shape})
