"""The two rating tables: one row per answer (long) and one row per rated dialogue (wide)."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from review.actions.rating import RETURN_REASONS
from review.instrument_parts import TotalRule
from review.items import NA, NOT_SURE, Item
from review.models import Flag, Rating
from review.tables import (
    DIALOGUE,
    HIDDEN,
    NOT_ANSWERED,
    OPENING,
    RATER,
    STATE,
    TURN,
    Cell,
    Column,
    Form,
    Frame,
    Part,
    Row,
    Table,
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


class Given(NamedTuple):
    """A stored answer as the long table needs it."""

    value: str
    comment: str
    revision: int
    updated_at: datetime



Key = tuple[int, str, int | None]
Answers = dict[Key, Given]


def answers_by_work(works: Sequence[Work]) -> Mapping[int, Answers]:
    """The answers of some assignments: assignment -> (instrument, item, turn) -> answer."""
    found: dict[int, Answers] = defaultdict(dict)
    rows = Rating.objects.filter(assignment__in=[work.pk for work in works]).values_list(
        "assignment_id", "instrument_id", "item", "turn_number",
        "value", "comment", "revision", "updated_at",
    )  # fmt: skip
    for assignment, instrument, item, turn, *rest in rows.order_by().iterator():
        found[assignment][instrument, item, turn] = Given(*rest)
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


def long_table(frame: Frame) -> Table:
    """One row per rater, dialogue and item, unanswered items of begun dialogues included."""
    comments = frame.options.comments
    columns = (
        *OPENING, DIALOGUE, RATER,
        Column("position", "integer", "place of the dialogue in this rater's order, from 1"),
        STATE,
        Column("instrument", "code", "key of the instrument"),
        Column("instrument_version", "code", "version of the instrument"),
        Column("instrument_sha256", "code", "first 12 characters of the hash of its definition"),
        Column("section", "code", "section of the instrument"),
        Column("item", "code", "key of the item; ratings_wide.csv describes each in the codebook"),
        Column("item_number", "integer", "place of the item in the instrument, from 1"),
        Column("item_label", "text", "the item as raters see it, in English"),
        Column("turn", "integer", TURN, missing="empty = the item is about the whole dialogue"),
        Column(
            "value", "code", "the answer as it is stored; several chosen values are joined by |",
            missing="empty where missing is not_answered or hidden",
        ),
        Column(
            "value_number", "number",
            "the answer as a number: the scale point, yes 1 and no 0, or the score of an option",
            missing="empty where the answer is no number or missing says why there is none",
        ),
        Column("missing", "code", "why there is no measurement", MISSING, "empty = there is one"),
        *([Column("comment", "text", "the rater's comment on the item")] if comments else []),
        Column(
            "revision", "integer", "how often this answer was saved", missing="empty = never"
        ),
        Column("answered_at", "time", "when it was last saved", missing="empty = never"),
        Column("opened_at", "time", "when the rater first opened the dialogue"),
        Column("submitted_at", "time", "when the rater submitted it", missing="empty = not yet"),
        *SECONDS,
    )  # fmt: skip

    def rows() -> Iterator[Row]:
        readers = [Reader(form) for form in frame.forms]
        for works in frame.works():
            answers = answers_by_work(works)
            for work in works:
                yield from _long_rows(frame, readers, work, answers.get(work.pk, {}))

    return Table("ratings_long", columns, rows)


SECONDS = (
    Column("active_seconds", "integer", "seconds the rating page was in use", missing="0 = unknown"),
    Column("paused_seconds", "integer", "seconds it was open but left alone"),
)


def _long_rows(
    frame: Frame, readers: Sequence[Reader], work: Work, answers: Answers
) -> Iterator[Row]:
    head = Part(*frame.opening, work.dialogue, work.rater, work.position, work.state)
    tail = Part(work.opened_at, work.submitted_at, work.active_seconds, work.paused_seconds)
    comments = frame.options.comments
    for reader in readers:
        parts = reader.parts
        for item, turn, given, asked in reader.rows(answers):
            if given is None:
                cells = reader.cells(item, "", asked)
                rest: tuple[Cell, ...] = ("", None, None) if comments else (None, None)
            else:
                cells = reader.cells(item, given.value, asked)
                rest = given[1:] if comments else given[2:]
            yield (head, parts[item.key], turn, *cells, *rest, tail)


def wide_table(frame: Frame) -> Table:
    """One row per rater and dialogue: the items in the instruments' order, then totals."""
    readers = [Reader(form) for form in frame.forms]
    names = column_names(frame)
    columns = [
        *OPENING, DIALOGUE, RATER,
        Column("position", "integer", "place of the dialogue in this rater's order, from 1"),
        STATE,
        Column("return_reason", "code", "why it was handed back", choices(RETURN_REASONS)),
        Column("opened_at", "time", "when the rater first opened the dialogue"),
        Column("submitted_at", "time", "when the rater submitted it", missing="empty = not yet"),
        *SECONDS,
    ]  # fmt: skip
    for form in frame.forms:
        columns += [_item_column(form, item, names[form.pk, item.key]) for item in _asked(form)]
        for rule in form.definition.total_rules:
            columns += _total_columns(form, rule, names[form.pk, f"total {rule.key}"])
    columns += [
        Column("missing_items", "text", "item=code for each item without a measurement", MISSING),
        Column("flags", "integer", "number of safety flags that stand"),
    ]
    if frame.options.comments:
        columns.append(Column("comment", "text", "the rater's words about the whole dialogue"))

    def rows() -> Iterator[Row]:
        for works in frame.works():
            answers, flags = answers_by_work(works), _flags_by_work(works)
            for work in works:
                given = answers.get(work.pk, {})
                yield _wide_row(frame, readers, names, work, given, flags[work.pk])

    return Table("ratings_wide", tuple(columns), rows)


def _asked(form: Form) -> list[Item]:
    return [item for item in form.definition.items if item.level == "dialogue"]


def column_names(frame: Frame) -> dict[tuple[int, str], str]:
    """(instrument, item or 'total KEY') -> column; two instruments' names are told apart."""
    plain: list[tuple[Form, str, str]] = []
    for form in frame.forms:
        plain += [(form, item.key, item.key) for item in _asked(form)]
        rules = form.definition.total_rules
        plain += [(form, f"total {rule.key}", f"total_{rule.key}") for rule in rules]
    used = Counter(name for _, _, name in plain)
    return {
        (form.pk, key): name if used[name] == 1 and name not in RESERVED else _prefixed(form, name)
        for form, key, name in plain
    }


RESERVED = frozenset(
    {"data", "study", "study_id", "dialogue", "rater", "position", "assignment_state",
     "return_reason", "opened_at", "submitted_at", "active_seconds", "paused_seconds",
     "missing_items", "flags", "comment"}
)  # fmt: skip


def _prefixed(form: Form, name: str) -> str:
    return f"{form.key.replace('-', '_')}__{name}"


def _item_column(form: Form, item: Item, name: str) -> Column:
    meaning = ": ".join(str(part) for part in (item.label, item.definition) if part)
    points = [
        (point.value, ": ".join(dict.fromkeys(_words(point.value, point.label, point.anchor))))
        for point in item.points
    ]
    if item.type == "text":
        values = f"text of up to {item.max_length:,} characters"
    else:
        values = choices(points)
    if item.type == "scale":
        return Column(name, "number", meaning, values, "empty; missing_items says why", form)
    marks = [(mark.value, str(mark.label)) for mark in item.marks]
    missing = choices([*marks, ("empty", "not answered, or not asked; see missing_items")])
    return Column(name, "text" if item.type == "text" else "code", meaning, values, missing, form)


def _words(value: str, label: object, anchor: object) -> Iterator[str]:
    yield from (str(part) for part in (label, anchor) if part and str(part) != value)


def _total_columns(form: Form, rule: TotalRule, name: str) -> list[Column]:
    how = "mean" if rule.method == "mean" else "sum"
    missing = "empty while an item asked has no answer, or none gives a number"
    columns = [
        Column(name, "number", f"{rule.label}: {how} over the scored items", "", missing, form),
        Column(f"{name}_max", "number", f"most that the scored items of {name} could give", form=form),
    ]
    if rule.cut_offs:
        bands = choices([(str(cut.label), f"from {cut.at}") for cut in rule.cut_offs])
        columns.append(
            Column(f"{name}_band", "text", f"cut-off that {name} reached", bands, form=form)
        )
    return columns


def _flags_by_work(works: Sequence[Work]) -> Counter[int]:
    standing = Flag.objects.filter(assignment__in=[w.pk for w in works], withdrawn_at=None)
    return Counter(standing.order_by().values_list("assignment_id", flat=True))


def _wide_row(
    frame: Frame,
    readers: Sequence[Reader],
    names: Mapping[tuple[int, str], str],
    work: Work,
    answers: Answers,
    flags: int,
) -> Row:
    cells: list[Cell] = [
        *frame.opening, work.dialogue, work.rater, work.position, work.state, work.return_reason,
        work.opened_at, work.submitted_at, work.active_seconds, work.paused_seconds,
    ]  # fmt: skip
    missing = []
    for reader in readers:
        for item, turn, given, asked in reader.rows(answers):
            if turn is not None:
                continue
            value, _, code = reader.cells(item, given.value if given else "", asked)
            cells.append(None if code and item.type == "scale" else value)
            if code:
                missing.append(f"{names[reader.form.pk, item.key]}={code}")
        cells += _totals(reader, answers)
    cells += [" ".join(missing), flags]
    if frame.options.comments:
        cells.append(work.comment)
    return cells


def _totals(reader: Reader, answers: Answers) -> Iterator[Cell]:
    definition = reader.form.definition
    if not definition.total_rules:
        return
    found = definition.totals(reader.chosen(answers))
    for rule in definition.total_rules:
        total = found[rule.key]
        yield None if total.value is None else short(round(total.value, 6))
        yield short(round(total.maximum, 6))
        if rule.cut_offs:
            yield str(total.band) if total.band else None
