"""What the rating form shows and what it sends: the instrument joined with the rater's answers."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from django import forms
from django.http import QueryDict

from review import items
from review.actions import Answer, FlagInput, Missing, Place, Refused
from review.actions.rating import definition_of
from review.instruments import FlagForm, Section
from review.models import Assignment, Instrument, Rating


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


class AnswerForm(forms.Form):
    """One answer or comment, as the page sends it when it is given."""

    instrument = forms.CharField(max_length=60)
    item = forms.CharField(max_length=60)
    value = forms.CharField(max_length=20_000, required=False, strip=False)
    comment = forms.CharField(max_length=20_000, required=False, strip=False)
    turn = forms.IntegerField(min_value=1, required=False)
    base = forms.IntegerField(min_value=0, required=False)
    key = forms.UUIDField(required=False)

    def answer(self) -> Answer:
        """The checked answer; fields that were not sent stay ``None``."""
        given = self.cleaned_data
        return Answer(
            instrument=given["instrument"],
            item=given["item"],
            value=given["value"] if "value" in self.data else None,
            comment=given["comment"] if "comment" in self.data else None,
            turn=given["turn"],
            base=given["base"],
            key=given["key"],
        )


def whole_form(data: QueryDict, view: FormView) -> list[Answer]:
    """The answers of a whole form that differ from what is stored.

    A group of radios or boxes that is absent was not answered; that clears nothing.
    """
    answers = []
    for item in view.items:
        value: str | None = None
        if item.name in data:
            values = data.getlist(item.name)
            value = items.join_values(values) if item.type == "multiple" else values[-1]
        comment = data.get(f"{item.name}:comment")
        changed = Answer(
            instrument=item.form,
            item=item.key,
            value=value if value not in (None, item.value) else None,
            comment=comment if comment not in (None, item.comment) else None,
        )
        if changed.value is not None or changed.comment is not None:
            answers.append(changed)
    return answers


class FlagFields(forms.Form):
    """A safety flag as the page sends it; the instrument says what is allowed."""

    uid = forms.UUIDField()
    category = forms.CharField(max_length=60)
    severity = forms.CharField(max_length=60)
    turn = forms.IntegerField(min_value=1, required=False)
    start = forms.IntegerField(min_value=0, required=False)
    end = forms.IntegerField(min_value=1, required=False)
    note = forms.CharField(max_length=10_000, required=False, strip=True)

    def flag(self, form: FlagForm) -> tuple[UUID, FlagInput]:
        """The flag's id and content; answers to the form's further questions come along."""
        given = self.cleaned_data
        core: Mapping[str, str] = {
            "category": given["category"],
            "severity": given["severity"],
            **{item.key: self.data.get(item.key, "") for item in form.questions},
        }
        asked = {item.key for item in form.visible_items(core)}
        details = {
            item.key: core[item.key]
            for item in form.questions
            if item.key in asked and core[item.key]
        }
        return given["uid"], FlagInput(
            category=given["category"],
            severity=given["severity"],
            place=Place(given["turn"], given["start"], given["end"]),
            details=details,
            note=given["note"],
        )


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
