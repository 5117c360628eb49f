"""What one rater has given for one dialogue so far, read in a handful of queries."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

from django.utils.translation import get_language, gettext

from review.actions.definitions import definition_of, instruments_of
from review.actions.sheet_rows import answers
from review.models import Assignment, AssignmentState, Evidence, Flag, Instrument
from review.views.form_shape import FormShape, ItemShape, interned
from sqpsych_site.statements import Worded

Place = tuple[str, int | None]
ANY = -1


@dataclass(frozen=True)
class Given:
    """A stored answer."""

    value: str = ""
    comment: str = ""
    revision: int = 0


NOTHING = Given()


@dataclass(frozen=True)
class Mark:
    """A turn or passage attached to an item or a flag; ``owner`` is that element's id."""

    uid: str
    owner: str
    label: str
    turn: int
    start: int | None
    end: int | None
    flag: bool = False


@dataclass(frozen=True)
class FlagView:
    """A raised flag in words."""

    uid: str
    category: str
    severity: str
    keys: Mapping[str, str]
    notified: bool
    turn: int | None
    start: int | None
    end: int | None
    note: str

    @property
    def facts(self) -> str:
        """What the flag form holds of it, for the page's script."""
        place = {"turn": self.turn, "start": self.start, "end": self.end}
        return json.dumps({**self.keys, "note": self.note, **place})

    @property
    def mark(self) -> Mark | None:
        """Where it shows in the dialogue."""
        if self.turn is None:
            return None
        label = gettext("flag: %(category)s") % {"category": self.category}
        owner = f"flag-{self.uid}"
        return Mark(self.uid, owner, label, self.turn, self.start, self.end, flag=True)


@dataclass(frozen=True)
class Sheet:
    """Answers by element id and turn; marks and flags; which items are asked."""

    shape: FormShape
    answers: Mapping[Place, Given]
    marks: tuple[Mark, ...]
    flags: tuple[FlagView, ...]

    def given(self, item: ItemShape, turn: int | None = None) -> Given:
        """The answer to an item."""
        return self.answers.get((item.id, turn), NOTHING)

    def shown(self, turn: int | None = None) -> frozenset[str]:
        """Element ids of the items that are asked; with a turn, those asked at that turn."""
        found: set[str] = set()
        given = self._values.get(None, {})
        if turn is not None:
            given = given | self._values.get(turn, {})
        for form in self.shape.instruments:
            prefix = f"{form.key}-"
            values = {k.removeprefix(prefix): v for k, v in given.items() if k.startswith(prefix)}
            found.update(prefix + item.key for item in form.visible_items(values))
        return frozenset(found)

    @cached_property
    def marks_of(self) -> Mapping[str, list[Mark]]:
        """The marks of each item and flag, by its element's id."""
        found: dict[str, list[Mark]] = {}
        for mark in self.marks:
            found.setdefault(mark.owner, []).append(mark)
        return found

    @cached_property
    def _values(self) -> dict[int | None, dict[str, str]]:
        found: dict[int | None, dict[str, str]] = {}
        for (name, turn), given in self.answers.items():
            if given.value:
                found.setdefault(turn, {})[name] = given.value
        return found


def shape_of(rows: Iterable[Instrument], *, read_only: bool = False) -> FormShape:
    """The form of some instruments in the language of this request."""
    language = get_language() or "en"
    kept = list(rows)
    shape = FormShape(
        shas=tuple(row.sha256 for row in kept),
        language=language,
        read_only=read_only,
        instruments=tuple(definition_of(row, language) for row in kept),
    )
    return interned(shape)


def sheet_of(assignment: Assignment) -> Sheet:
    """Read the assignment's answers, marks and flags."""
    rows = instruments_of(assignment)
    closed = assignment.state in (AssignmentState.SUBMITTED, AssignmentState.RETURNED)
    shape = shape_of(rows, read_only=closed)
    keys = {row.pk: row.key for row in rows}
    flags = tuple(_flags(assignment, shape))
    return Sheet(
        shape=shape,
        answers=_answers(assignment, keys),
        marks=(*_evidence(assignment, shape, keys), *(f.mark for f in flags if f.mark)),
        flags=flags,
    )


def _answers(assignment: Assignment, keys: Mapping[int, str]) -> dict[Place, Given]:
    return {
        (f"{keys[form]}-{item}", turn): Given(value, comment, revision)
        for form, item, turn, value, comment, revision in answers(assignment.pk)
        if form in keys
    }


def _evidence(assignment: Assignment, shape: FormShape, keys: Mapping[int, str]) -> Iterable[Mark]:
    items = {item.id: item for item in shape.items}
    for uid, form, item, flag, turn, start, end in _marks().fetch(assignment.pk):
        if flag is not None:
            label = gettext("flag: further words")
            yield Mark(str(uid), f"flag-{flag}", label, turn, start, end, flag=True)
            continue
        owner = items[f"{keys[form]}-{item}"]
        label = gettext("%(item)s evidence") % {"item": owner.tag}
        yield Mark(str(uid), owner.id_at(turn), label, turn, start, end)


@lru_cache(maxsize=1)
def _marks() -> Worded[Evidence]:
    rows = Evidence.objects.filter(assignment=ANY, withdrawn_at=None).values_list(
        "uid", "instrument_id", "item", "flag__uid", "turn_number", "start", "end"
    )
    return Worded(rows, [ANY])


@lru_cache(maxsize=1)
def _raised() -> Worded[Flag]:
    return Worded(Flag.objects.filter(assignment=ANY, withdrawn_at=None), [ANY])


def _flags(assignment: Assignment, shape: FormShape) -> Iterable[FlagView]:
    form = shape.flags
    if form is None:
        return
    for flag in _raised().models(assignment.pk):
        severity = form.severity(flag.severity)
        yield FlagView(
            uid=str(flag.uid),
            category=str(form.category(flag.category).label),
            severity=str(severity.label),
            keys={"category": flag.category, "severity": flag.severity, **flag.details},
            notified=severity.notify,
            turn=flag.turn_number,
            start=flag.start,
            end=flag.end,
            note=flag.note,
        )
