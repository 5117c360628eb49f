"""ratings_wide: one row per rater and dialogue, the items in their order, then totals."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from review.actions.rating import RETURN_REASONS
from review.instrument_parts import TotalRule
from review.items import Item
from review.models import Flag
from review.tables.frame import (
    DIALOGUE,
    KIND,
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
)
from review.tables.reading import MISSING, Answers, Reader, short, values_by_work


def wide_table(frame: Frame) -> Table:
    """One row per rater and dialogue: the items in the instruments' order, then totals."""
    readers = [Reader(form) for form in frame.forms]
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

    def rows() -> Iterator[Row]:
        for works in frame.works():
            answers, flags = values_by_work(works), _flags_by_work(works)
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
        *frame.opening, work.dialogue, work.rater, work.position, work.kind, work.state,
        work.return_reason, work.opened_at, work.submitted_at,
        work.active_seconds, work.paused_seconds,
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
