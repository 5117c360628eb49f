"""What the rating form shows and what it sends: the instrument joined with the rater's answers."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext as _

from review import items, wire
from review.actions import Missing, Refused
from review.actions.rating import definition_of
from review.instruments import FlagForm, Section
from review.instruments import Instrument as Definition
from review.models import Assignment, Instrument, Rating
from review.standing import Spot


@dataclass(frozen=True)
class PointView:
    """One possible answer: stored value, label on the button, what it means."""

    value: str
    label: str
    short: str
    anchor: str
    checked: bool
    is_mark: bool


@dataclass(frozen=True)
class ItemView:
    """One item with its answer so far."""

    form: str
    key: str
    number: int
    type: str
    label: str
    definition: str
    guideline: str
    example: str
    points: tuple[PointView, ...]
    value: str
    comment: str
    revision: int
    required: bool
    visible: bool
    problem: str = ""

    @property
    def id(self) -> str:
        """The element's id."""
        return f"{self.form}-{self.key}"

    @property
    def name(self) -> str:
        """The field's name in the whole form."""
        return f"{self.form}:{self.key}"

    @property
    def answered(self) -> bool:
        """Whether there is an answer (a comment alone is none)."""
        return bool(self.value)


@dataclass(frozen=True)
class SectionView:
    """Items under one heading, with how many are answered."""

    id: str
    title: str
    guideline: str
    items: tuple[ItemView, ...]
    flags: FlagForm | None = None

    @property
    def asked(self) -> int:
        """Items that are asked after the answers given."""
        return sum(item.visible for item in self.items)

    @property
    def answered(self) -> int:
        """How many of them have an answer."""
        return sum(item.visible and item.answered for item in self.items)


@dataclass(frozen=True)
class FormView:
    """The whole form of an assignment."""

    sections: tuple[SectionView, ...]
    problems: tuple[Missing, ...] = field(default=())

    @property
    def items(self) -> tuple[ItemView, ...]:
        """All items in order."""
        return tuple(item for section in self.sections for item in section.items)

    @property
    def open(self) -> int:
        """How many required, visible items lack an answer."""
        return sum(i.visible and i.required and not i.answered for i in self.items)

    @property
    def flag_form(self) -> FlagForm | None:
        """The safety flags this study takes, if any."""
        return next((section.flags for section in self.sections if section.flags), None)

    @property
    def flag_questions(self) -> list["FlagQuestion"]:
        """What a flag asks beyond category and severity."""
        return [FlagQuestion(item) for item in self.flag_form.questions] if self.flag_form else []


SHORT_MARKS = {items.NOT_SURE: "n/s", items.NA: "n/a"}


def form_view(
    rows: Iterable[Instrument],
    ratings: Iterable[Rating],
    *,
    language: str = "en",
    problems: Iterable[Missing] = (),
) -> FormView:
    """Join instruments with the ratings given so far."""
    given: dict[tuple[int, str], Rating] = {
        (rating.instrument_id, rating.item): rating
        for rating in ratings
        if rating.turn_number is None
    }
    told = {(one.instrument, one.item): one.sentence for one in problems}
    sections = []
    for row in rows:
        form = definition_of(row, language)
        answers = {key: r.value for (pk, key), r in given.items() if pk == row.pk and r.value}
        shown = {item.key for item in form.visible_items(answers)}
        for section in form.sections:
            views = tuple(
                _item_view(
                    row.key,
                    item,
                    form.number(item.key),
                    given.get((row.pk, item.key)),
                    item.key in shown,
                    told.get((row.key, item.key), ""),
                )
                for item in section.items
                if item.level == "dialogue"
            )
            flags = form.safety if _asks_for_flags(form.safety, section) else None
            sections.append(
                SectionView(
                    id=f"{row.key}-{section.key}",
                    title=str(section.title),
                    guideline=str(section.guideline or ""),
                    items=views,
                    flags=flags,
                )
            )
    return FormView(tuple(sections), tuple(problems))


def _asks_for_flags(form: FlagForm | None, section: Section) -> bool:
    return form is not None and any(item.key == form.question for item in section.items)


def _item_view(
    form: str,
    item: items.Item,
    number: int,
    rating: Rating | None,
    shown: bool,
    problem: str,
) -> ItemView:
    value = rating.value if rating else ""
    chosen = item.chosen(value)
    return ItemView(
        form=form,
        key=item.key,
        number=number,
        type=item.type,
        label=str(item.label),
        definition=str(item.definition or ""),
        guideline=str(item.guideline or ""),
        example=str(item.example or ""),
        points=tuple(
            PointView(
                value=point.value,
                label=str(point.label),
                short=SHORT_MARKS.get(point.value, str(point.label)),
                anchor=str(point.anchor or ""),
                checked=point.value in chosen,
                is_mark=point.value in SHORT_MARKS,
            )
            for point in item.points + item.marks
        ),
        value=value,
        comment=rating.comment if rating else "",
        revision=rating.revision if rating else 0,
        required=item.required,
        visible=shown,
        problem=problem,
    )


@dataclass(frozen=True)
class FlagQuestion:
    """A further question about a flag, and when the page asks it."""

    item: items.Item

    @property
    def ask_if(self) -> str:
        """The condition as JSON for the page's script; empty when always asked."""
        rule = self.item.show_if
        if rule is None:
            return ""
        conditions = [[one.item, list(one.values)] for one in rule.conditions]
        return json.dumps({"all": bool(rule.all_of), "conditions": conditions})


def whole_form(
    data: QueryDict, forms: Iterable[Definition]
) -> list[wire.AnyOperation | wire.Malformed]:
    """The answers of a whole form as operations; what stands already changes nothing.

    A field is called ``instrument:item``, with ``:t3`` for turn 3 of an item about turns, and
    ``:comment`` or ``:base`` at the end for its comment and the revision that was shown. A group
    of radios or boxes that is absent was not answered; that clears nothing, unless boxes are said
    to have been shown (``:shown``).
    """
    multiple = {
        (form.key, one.key) for form in forms for one in form.items if one.type == "multiple"
    }
    found: dict[Spot, dict[str, Any]] = {}
    for name, values in data.lists():
        match = FIELD.fullmatch(name)
        if match is None or not values:
            continue
        instrument, item, turn, part = match.groups()
        given = found.setdefault(Spot(instrument, item, int(turn) if turn else None), {})
        last = str(values[-1])
        if part is None:
            several = (instrument, item) in multiple
            given["value"] = items.join_values(map(str, values)) if several else last
        elif part == "shown":
            given.setdefault("value", "")
        else:
            given[part] = int(last) if part == "base" and last.isdecimal() else last
    operations: list[dict[str, Any]] = [
        {"kind": "answer", **spot._asdict(), **given} for spot, given in found.items()
    ]
    if "comment" in data:
        operations.append({"kind": "comment", "text": data["comment"]})
    return [wire.read_one({"key": uuid4(), **one}) for one in operations]


def one_answer(data: QueryDict) -> wire.AnyOperation | wire.Malformed:
    """One answer or comment as its own fields say it."""
    given: dict[str, Any] = {"kind": "answer", "key": uuid4(), **data.dict()}
    for name in ("turn", "base"):
        text = given.pop(name, "")
        if text:
            given[name] = int(text) if text.isdecimal() else text
    given.pop("csrfmiddlewaretoken", None)
    return wire.read_one(given)


def refused_answers(
    refused: Iterable[tuple[wire.AnyOperation | wire.Malformed, Mapping[str, Any]]],
) -> list[Missing]:
    """What was refused, to be shown at its item; with a conflict, both versions."""
    found = []
    for asked, told in refused:
        if isinstance(asked, wire.Answer):
            sentence = told["sentence"]
            if "stored" in told:
                part = "comment" if asked.value is None else "value"
                both = {"stored": told["stored"][part], "given": getattr(asked, part)}
                sentence += " " + _("Stored: %(stored)s. Yours: %(given)s.") % both
            found.append(Missing(asked.instrument, asked.item, sentence, asked.turn))
    return found


FIELD = re.compile(
    r"([a-z][a-z0-9-]{0,59}):([a-z][a-z0-9_]{0,59})(?::t(\d{1,6}))?(?::(comment|base|shown))?"
)


class FlagFields(forms.Form):
    """A safety flag as the plain form sends it; the instrument says what is allowed."""

    uid = forms.UUIDField()
    category = forms.CharField(max_length=60)
    severity = forms.CharField(max_length=60)
    turn = forms.IntegerField(min_value=1, max_value=10**9, required=False)
    start = forms.IntegerField(min_value=0, max_value=10**9, required=False)
    end = forms.IntegerField(min_value=1, max_value=10**9, required=False)
    note = forms.CharField(max_length=10_000, required=False, strip=True)

    def operation(self, form: FlagForm) -> wire.AnyOperation | wire.Malformed:
        """The flag with the answers to those of the form's questions that are asked after them."""
        given = self.cleaned_data
        core = {"category": given["category"], "severity": given["severity"]}
        core |= {item.key: self.data.get(item.key, "") for item in form.questions}
        asked = {item.key for item in form.visible_items(core)}
        details = {item.key: core[item.key] for item in form.questions if item.key in asked}
        return wire.read_one({"kind": "flag", "key": uuid4(), "details": details, **given})


def sentence_of(form: forms.Form) -> str:
    """The first problem of a form in one sentence."""
    field_name, problems = next(iter(form.errors.items()))
    return f"{field_name}: {problems[0]}"


def checked(form: forms.Form) -> None:
    """Refuse a malformed request in one sentence."""
    if not form.is_valid():
        raise Refused("malformed", sentence_of(form), status=400)


def stored_view(
    assignment: Assignment, rows: Iterable[Instrument], problems: Iterable[Missing] = ()
) -> FormView:
    """The form with what is stored now."""
    return form_view(rows, assignment.ratings.all(), problems=problems)
