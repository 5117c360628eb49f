"""What raters answered, read in bounded parts and joined with the items that were asked."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from django.db import connection

from review.items import NA, NOT_SURE, Item
from review.models import Evidence, Flag, Study
from review.tables.frame import (
    HIDDEN,
    NOT_ANSWERED,
    Cell,
    Form,
    Frame,
    Part,
    Work,
    choices,
)

MISSING = choices(
    {
        NOT_SURE: "the rater chose “not sure”",
        NA: "the rater chose “not applicable”",
        NOT_ANSWERED: "no answer",
        HIDDEN: "not asked after the rater's other answers",
    }
)
# The same form as review.cells.moment_cell; the database writes it at a tenth of the cost.
_ANSWERS = """
    SELECT assignment_id, instrument_id, item, turn_number, value, comment, revision,
           to_char(updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
    FROM review_rating WHERE assignment_id = ANY(%s)
"""


class Given(NamedTuple):
    """A stored answer."""

    value: str
    comment: str = ""
    revision: int | None = None
    updated_at: str | None = None


Answers = dict[tuple[int, str], Given]
NOTHING: Mapping[tuple[int, str], Given] = {}


class Chunk:
    """Some assignments of one study; their answers, flags and marks are read when asked for."""

    def __init__(self, frame: Frame, study: Study, works: Sequence[Work]) -> None:
        self.frame = frame
        self.study = study
        self.works = works
        self.forms = frame.forms_of[study.pk]
        self.pks = [work.pk for work in works]

    @cached_property
    def _read(self) -> tuple[dict[int, Answers], dict[int, dict[int, Answers]]]:
        """Answers about whole dialogues by assignment; about turns by assignment and turn."""
        whole: dict[int, Answers] = defaultdict(dict)
        turns: dict[int, dict[int, Answers]] = defaultdict(dict)
        with connection.cursor() as cursor:
            cursor.execute(_ANSWERS, [self.pks])
            for work, form, item, turn, *given in cursor.fetchall():
                if turn is None:
                    whole[work][form, item] = Given._make(given)
                else:
                    turns[work].setdefault(turn, {})[form, item] = Given._make(given)
        return whole, turns

    def answers(self, work: int) -> Mapping[tuple[int, str], Given]:
        """(instrument, item) -> answer about the whole dialogue."""
        return self._read[0].get(work, NOTHING)

    def turns(self, work: int) -> Mapping[int, Answers]:
        """Turn -> (instrument, item) -> answer about that turn."""
        return self._read[1].get(work, {})

    @cached_property
    def flags(self) -> Mapping[int, list[Flag]]:
        """Standing flags by assignment, oldest first."""
        found: dict[int, list[Flag]] = defaultdict(list)
        rows = Flag.objects.filter(assignment__in=self.pks, withdrawn_at=None)
        for flag in rows.order_by("created_at", "pk"):
            found[flag.assignment_id].append(flag)
        return found

    @cached_property
    def evidence(self) -> Mapping[int, list[Evidence]]:
        """Standing marks by assignment, oldest first."""
        found: dict[int, list[Evidence]] = defaultdict(list)
        rows = Evidence.objects.filter(assignment__in=self.pks, withdrawn_at=None)
        for mark in rows.select_related("flag").order_by("created_at", "pk"):
            found[mark.assignment_id].append(mark)
        return found


def cell_of(item: Item, value: str) -> Cell:
    """A stored value as a cell: a scale point as a number, everything else as it is stored."""
    number = item.number(value) if item.type == "scale" else None
    return value if number is None else short(number)


def short(number: float) -> int | float:
    """2 for 2.0, 1.5 for 1.5."""
    return int(number) if number == int(number) else number


class Reader:
    """One instrument of the export, with what is the same for every assignment worked out."""

    def __init__(self, form: Form) -> None:
        self.form = form
        self.items = form.definition.items
        self.whole_items = [item for item in self.items if item.level == "dialogue"]
        self.turn_items = [item for item in self.items if item.level == "turn"]
        self.conditional = any(item.show_if for item in self.items)
        self.heads: dict[str, tuple[Cell, ...]] = {
            item.key: (
                form.key, form.version, form.short_hash, section.key, item.key,
                form.definition.number(item.key), str(item.label),
            )
            for section in form.definition.sections
            for item in section.items
        }  # fmt: skip
        self._known: dict[tuple[str, str], tuple[Cell, Cell, str]] = {}
        self._parts: dict[tuple[str, str | None], Part] = {}

    def chosen(
        self, answers: Mapping[tuple[int, str], Given], turn: Answers | None = None
    ) -> dict[str, str]:
        """Item -> stored value: of the whole dialogue, with one turn's answers if given."""
        pk = self.form.pk
        return {
            item: given.value
            for source in (answers, turn or {})
            for (form, item), given in source.items()
            if form == pk and given.value
        }

    def shown(
        self, answers: Mapping[tuple[int, str], Given], turn: Answers | None = None
    ) -> frozenset[str] | None:
        """Keys of the items asked, or None where all are."""
        if not self.conditional:
            return None
        visible = self.form.definition.visible_items(self.chosen(answers, turn))
        return frozenset(item.key for item in visible)

    def cells(self, item: Item, value: str, asked: bool) -> tuple[Cell, Cell, str]:
        """Value, value as a number, and the code that says why there is none."""
        if not asked:
            return None, None, HIDDEN
        if not value:
            return None, None, NOT_ANSWERED
        if value in (NA, NOT_SURE) and item.type != "text":
            return value, None, value
        if item.type == "text":
            return value, None, ""
        known = self._known.get((item.key, value))
        if known is None:
            number = item.number(value)
            known = (cell_of(item, value), None if number is None else short(number), "")
            self._known[item.key, value] = known
        return known

    def part(self, item: Item, value: str, asked: bool) -> Part:
        """The cells from the instrument's key to the missing code, for a whole dialogue."""
        if item.type == "text":
            return Part(*self.heads[item.key], None, *self.cells(item, value, asked))
        key = (item.key, value if asked else None)
        part = self._parts.get(key)
        if part is None:
            part = Part(*self.heads[item.key], None, *self.cells(item, value, asked))
            self._parts[key] = part
        return part

    def turn_rows(
        self, answers: Mapping[tuple[int, str], Given], turns: Mapping[int, Answers]
    ) -> Iterator[tuple[Item, int, Given, bool]]:
        """Each answer about a turn, by item and turn, and whether it was asked for there."""
        for item in self.turn_items:
            for turn in sorted(turns):
                given = turns[turn].get((self.form.pk, item.key))
                if given is not None:
                    asked = self.shown(answers, turns[turn])
                    yield item, turn, given, asked is None or item.key in asked
