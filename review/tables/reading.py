"""What raters answered, read in bounded parts and joined with the items that were asked."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from django.db.models import QuerySet

from review.items import NA, NOT_SURE, Item
from review.models import Rating
from review.tables.frame import HIDDEN, NOT_ANSWERED, Cell, Form, Part, Work, choices

MISSING = choices(
    {
        NOT_SURE: "the rater chose “not sure”",
        NA: "the rater chose “not applicable”",
        NOT_ANSWERED: "no answer",
        HIDDEN: "not asked after the rater's other answers",
    }
)


class Given(NamedTuple):
    """A stored answer as the long table needs it."""

    value: str
    comment: str = ""
    revision: int | None = None
    updated_at: datetime | None = None


Key = tuple[int, str, int | None]
Answers = dict[Key, Given]


def answers_by_work(works: Sequence[Work]) -> Mapping[int, Answers]:
    """The answers of some assignments: assignment -> (instrument, item, turn) -> answer."""
    found: dict[int, Answers] = defaultdict(dict)
    rows = _ratings(works).values_list(
        "assignment_id", "instrument_id", "item", "turn_number",
        "value", "comment", "revision", "updated_at",
    )  # fmt: skip
    for assignment, instrument, item, turn, value, comment, revision, at in rows:
        found[assignment][instrument, item, turn] = Given(value, comment, revision, at)
    return found


def values_by_work(works: Sequence[Work]) -> Mapping[int, Answers]:
    """The same without comments and times, which cost more to read than the values."""
    found: dict[int, Answers] = defaultdict(dict)
    rows = _ratings(works).filter(turn_number=None)
    for assignment, instrument, item, value in rows.values_list(
        "assignment_id", "instrument_id", "item", "value"
    ):
        found[assignment][instrument, item, None] = Given(value)
    return found


def _ratings(works: Sequence[Work]) -> QuerySet[Rating]:
    return Rating.objects.filter(assignment__in=[work.pk for work in works]).order_by()


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
        self.conditional = any(item.show_if for item in self.items)
        self.parts = {
            item.key: Part(
                form.key, form.version, form.short_hash, section.key, item.key,
                form.definition.number(item.key), str(item.label),
            )
            for section in form.definition.sections
            for item in section.items
        }  # fmt: skip
        self._known: dict[tuple[str, str], tuple[Cell, Cell, str]] = {}

    def chosen(self, answers: Answers, turn: int | None = None) -> dict[str, str]:
        """Item -> stored value: of the whole dialogue, with one turn's answers if asked for."""
        return {
            item: given.value
            for (form, item, at), given in answers.items()
            if form == self.form.pk and given.value and at in (None, turn)
        }

    def shown(self, answers: Answers, turn: int | None = None) -> frozenset[str] | None:
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

    def rows(self, answers: Answers) -> Iterator[tuple[Item, int | None, Given | None, bool]]:
        """Each item asked about the dialogue, and each turn-level answer given, in order."""
        shown = self.shown(answers)
        for item in self.items:
            if item.level == "dialogue":
                given = answers.get((self.form.pk, item.key, None))
                yield item, None, given, shown is None or item.key in shown
                continue
            turns = [t for form, key, t in answers if form == self.form.pk and key == item.key]
            for turn in sorted(turn for turn in turns if turn is not None):
                asked = self.shown(answers, turn)
                given = answers[self.form.pk, item.key, turn]
                yield item, turn, given, asked is None or item.key in asked
