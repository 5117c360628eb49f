"""ratings_wide: one row per rater and dialogue, the items in their order, then totals."""

from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence

from review.actions.rating import RETURN_REASONS
from review.instrument_parts import TotalRule, band, highest
from review.items import Item
from review.tables.frame import (
    DIALOGUE,
    KIND,
    NOT_ANSWERED,
    OPENED,
    OPENING,
    POSITION,
    RATER,
    SECONDS,
    STATE,
    SUBMITTED,
    Cell,
    Column,
    Form,
    Frame,
    Row,
    Table,
    Work,
    choices,
    opening,
)
from review.tables.reading import MISSING, Chunk, Given, Reader, short


def wide_table(frame: Frame) -> Table:
    """One row per rater and dialogue: the items in the instruments' order, then totals."""
    readers = {form.pk: WideReader(form) for form in frame.forms}
    names = column_names(frame)
    columns = [
        *OPENING, DIALOGUE, RATER,
        POSITION,
        KIND,
        STATE,
        Column("return_reason", "code", "why it was handed back", choices(RETURN_REASONS)),
        OPENED,
        SUBMITTED,
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

    def rows(chunk: Chunk) -> Iterator[Row]:
        own = {form.pk for form in chunk.forms}
        for work in chunk.works:
            yield _wide_row(chunk, list(readers.values()), own, names, work)

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
    {"data", "study", "study_id", "dialogue", "rater", "position", "kind", "assignment_state",
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
        Column(
            f"{name}_max", "number", f"most that the scored items of {name} could give", form=form
        ),
    ]
    if rule.cut_offs:
        bands = choices([(str(cut.label), f"from {cut.at}") for cut in rule.cut_offs])
        columns.append(
            Column(f"{name}_band", "text", f"cut-off that {name} reached", bands, form=form)
        )
    return columns


class WideReader(Reader):
    """An instrument with its totals worked out as far as they are the same for everybody."""

    def __init__(self, form: Form) -> None:
        super().__init__(form)
        places = {item.key: place for place, item in enumerate(self.whole_items)}
        # Each rule with the place and the most of its items; an item about turns has no place.
        self.rules = [
            (rule, [(places.get(i.key), highest(i)) for i in form.definition.counted(rule)])
            for rule in form.definition.total_rules
        ]

    def width(self) -> int:
        """How many cells the instrument fills."""
        bands = sum(bool(rule.cut_offs) for rule, _ in self.rules)
        return len(self.whole_items) + 2 * len(self.rules) + bands

    def totals(
        self, answers: Mapping[tuple[int, str], Given], numbers: Sequence[Cell], missing: set[int]
    ) -> Iterator[Cell]:
        """Each total, the most it could be, and its band; the same as ``Instrument.totals``.

        ``numbers`` are what the items count, in their order; ``missing`` the unanswered places.
        """
        if self.conditional:
            yield from self._asked_totals(answers)
            return
        for rule, items in self.rules:
            total, most, scored, lacking = 0.0, 0.0, 0, False
            for place, top in items:
                if place is None or place in missing:
                    lacking = True
                elif isinstance(number := numbers[place], int | float):
                    total, most, scored = total + number, most + top, scored + 1
            share = scored if rule.method == "mean" and scored else 1
            value = None if lacking or not scored else total / share
            yield None if value is None else short(round(value, 6))
            yield short(round(most / share, 6))
            if rule.cut_offs:
                reached = band(rule, value if scored == len(items) else None)
                yield str(reached) if reached else None

    def _asked_totals(self, answers: Mapping[tuple[int, str], Given]) -> Iterator[Cell]:
        found = self.form.definition.totals(self.chosen(answers))
        for rule, _ in self.rules:
            total = found[rule.key]
            yield None if total.value is None else short(round(total.value, 6))
            yield short(round(total.maximum, 6))
            if rule.cut_offs:
                yield str(total.band) if total.band else None


def _wide_row(
    chunk: Chunk,
    readers: Sequence[WideReader],
    own: Container[int],
    names: Mapping[tuple[int, str], str],
    work: Work,
) -> Row:
    cells: list[Cell] = [
        *opening(chunk.study), work.dialogue, work.rater, work.position, work.kind, work.state,
        work.return_reason, work.opened_at, work.submitted_at,
        work.active_seconds, work.paused_seconds,
    ]  # fmt: skip
    missing, answers = [], chunk.answers(work.pk)
    for reader in readers:
        pk = reader.form.pk
        if pk not in own:
            cells += [None] * reader.width()
            continue
        shown = reader.shown(answers)
        numbers: list[Cell] = []
        lacking: set[int] = set()
        for place, item in enumerate(reader.whole_items):
            given = answers.get((pk, item.key))
            asked = shown is None or item.key in shown
            value, number, code = reader.cells(item, given[0] if given else "", asked)
            cells.append(None if code and item.type == "scale" else value)
            numbers.append(number)
            if code:
                missing.append(f"{names[pk, item.key]}={code}")
                if code == NOT_ANSWERED:
                    lacking.add(place)
        cells += reader.totals(answers, numbers, lacking)
    cells += [" ".join(missing), len(chunk.flags.get(work.pk, ()))]
    if chunk.frame.options.comments:
        cells.append(work.comment)
    return cells
