"""What the rating form shows: the instrument joined with the rater's answers."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from uuid import UUID

from review import items
from review.actions.rating import Missing, definition_of
from review.instruments import FlagForm, cached_instrument
from review.models import Assignment, Instrument, Rating
from review.standing import Given, Standing, element, standing

SHORT_MARKS = {items.NOT_SURE: "n/s", items.NA: "n/a"}


@dataclass(frozen=True)
class PointView:
    """One possible answer: stored value, label on the button, what it means."""

    value: str
    label: str
    short: str
    anchor: str
    is_mark: bool


# Compared by identity: there is one question per instrument, language and item in a process.
@dataclass(frozen=True, eq=False)
class Question:
    """What never changes about an item: its words and its possible answers."""

    form: str
    key: str
    number: int
    type: str
    level: str
    label: str
    definition: str
    guideline: str
    example: str
    points: tuple[PointView, ...]
    required: bool
    max_length: int
    takes_evidence: bool
    needs_evidence: bool


@dataclass(frozen=True)
class EvidenceView:
    """A marked turn or passage; ``words`` is the beginning of the passage, if there is one."""

    uid: UUID
    turn: int
    words: str = ""


@dataclass(frozen=True)
class ItemView:
    """One item with its answer so far."""

    question: Question
    value: str = ""
    comment: str = ""
    revision: int = 0
    visible: bool = True
    problem: str = ""
    turn: int | None = None
    evidence: tuple[EvidenceView, ...] = ()

    @property
    def id(self) -> str:
        """The element's id."""
        return element(self.question.form, self.question.key, self.turn)

    @property
    def name(self) -> str:
        """The field's name in the whole form."""
        name = f"{self.question.form}:{self.question.key}"
        return name if self.turn is None else f"{name}:{self.turn}"

    @property
    def chosen(self) -> list[str]:
        """The single values in the answer."""
        return self.value.split(items.SEPARATOR) if self.value else []

    @property
    def answered(self) -> bool:
        """Whether there is an answer (a comment alone is none)."""
        return bool(self.value)

    @property
    def is_plain(self) -> bool:
        """Whether it looks the same for every rater who gave this answer: no words of their own."""
        own_words = self.comment or (self.question.type == "text" and self.value)
        return not (own_words or self.problem or self.evidence) and self.revision < 10


@dataclass(frozen=True)
class SectionView:
    """Items under one heading, with how many are answered."""

    id: str
    title: str
    guideline: str
    items: tuple[ItemView, ...]
    asked: int
    answered: int


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


@dataclass(frozen=True)
class FormView:
    """The whole form of an assignment; ``turn_items`` are asked along the dialogue."""

    sections: tuple[SectionView, ...]
    standing: Standing
    turn_items: Mapping[int, tuple[ItemView, ...]]
    flag_form: FlagForm | None = None
    safety: ItemView | None = None
    problems: tuple[Missing, ...] = field(default=())

    @property
    def items(self) -> tuple[ItemView, ...]:
        """All items: the form's in order, then those along the dialogue."""
        of_form = tuple(item for section in self.sections for item in section.items)
        return of_form + tuple(item for row in self.turn_items.values() for item in row)

    @property
    def open(self) -> int:
        """How many required, visible items lack an answer."""
        return self.standing.open

    @property
    def flag_questions(self) -> list[FlagQuestion]:
        """What a flag asks beyond category and severity."""
        return [FlagQuestion(item) for item in self.flag_form.questions] if self.flag_form else []


@lru_cache(maxsize=128)
def questions(toml: str, language: str) -> Mapping[str, Question]:
    """Item key -> question of a stored instrument, in one language."""
    form = cached_instrument(toml, language)
    return {
        item.key: _question(form.key, item, number)
        for number, item in enumerate(form.items, start=1)
    }


def _question(form: str, item: items.Item, number: int) -> Question:
    return Question(
        form=form,
        key=item.key,
        number=number,
        type=item.type,
        level=item.level,
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
                is_mark=point.value in SHORT_MARKS,
            )
            for point in item.points + item.marks
        ),
        required=item.required,
        max_length=item.max_length,
        takes_evidence=item.level == "dialogue",
        needs_evidence=bool(item.requires_evidence),
    )


EvidenceByItem = Mapping[tuple[str, str], tuple[EvidenceView, ...]]


def form_view(
    rows: Iterable[Instrument],
    ratings: Iterable[Rating],
    *,
    turns: int = 0,
    language: str = "en",
    problems: Iterable[Missing] = (),
    evidence: EvidenceByItem | None = None,
) -> FormView:
    """Join instruments with the ratings given so far to a dialogue of ``turns`` turns."""
    rows = list(rows)
    given = {(one.instrument_id, one.item, one.turn_number): one for one in ratings}
    stands = standing([_given(row, given.values()) for row in rows], turns)
    told = {(one.instrument, one.item, one.turn): one.sentence for one in problems}
    joined = _Joined(given, stands, told, evidence or {})
    sections: list[SectionView] = []
    along: dict[int, tuple[ItemView, ...]] = {}
    flag_form, safety = None, None
    for row in rows:
        form, asked = definition_of(row, language), questions(row.toml, language)
        for section in form.sections:
            count = stands.count(f"{row.key}-{section.key}")
            views = tuple(
                joined.item(row, asked[item.key]) for item in section.items if item.level != "turn"
            )
            sections.append(
                SectionView(
                    id=count.section,
                    title=str(section.title),
                    guideline=str(section.guideline or ""),
                    items=views,
                    asked=count.asked,
                    answered=count.answered,
                )
            )
        at_turns = [one for one in asked.values() if one.level == "turn"]
        for turn in range(1, turns + 1) if at_turns else ():
            views = tuple(joined.item(row, one, turn) for one in at_turns)
            along[turn] = along.get(turn, ()) + views
        if flag_form is None and form.safety is not None:
            flag_form, safety = form.safety, joined.item(row, asked[form.safety.question])
    return FormView(tuple(sections), stands, along, flag_form, safety, tuple(problems))


def _given(row: Instrument, ratings: Iterable[Rating]) -> Given:
    values: dict[str, str] = {}
    turns: dict[int, dict[str, str]] = {}
    for one in ratings:
        if one.instrument_id == row.pk and one.value:
            place = values if one.turn_number is None else turns.setdefault(one.turn_number, {})
            place[one.item] = one.value
    return Given(definition_of(row), values, turns)


@dataclass(frozen=True)
class _Joined:
    """Everything that is known about this rater's items, by form, item and turn."""

    ratings: Mapping[tuple[int, str, int | None], Rating]
    standing: Standing
    told: Mapping[tuple[str, str, int | None], str]
    evidence: EvidenceByItem

    def item(self, row: Instrument, question: Question, turn: int | None = None) -> ItemView:
        rating = self.ratings.get((row.pk, question.key, turn))
        return ItemView(
            question=question,
            value=rating.value if rating else "",
            comment=rating.comment if rating else "",
            revision=rating.revision if rating else 0,
            visible=element(row.key, question.key, turn) not in self.standing.hidden,
            problem=self.told.get((row.key, question.key, turn), ""),
            turn=turn,
            evidence=self.evidence.get((row.key, question.key), ()) if turn is None else (),
        )


def turn_count(assignment: Assignment) -> int:
    """How many turns its dialogue has."""
    return assignment.study_dialogue.dialogue.turn_count
