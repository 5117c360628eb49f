"""flags and evidence: what raters marked, where, without a word of the dialogue."""

from collections.abc import Iterator

from review.instruments import FlagForm
from review.items import Item
from review.models import Flag
from review.tables.frame import (
    DIALOGUE,
    KIND,
    OPENING,
    RATER,
    STATE,
    TURN,
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
from review.tables.reading import Chunk

SPAN = "characters (Unicode code points) from the beginning of the turn, from 0"
WHOLE = "empty = the whole turn"


def flags_table(frame: Frame) -> Table:
    """One row per safety flag that stands; withdrawn flags stay in the database only."""
    form = next((form for form in frame.forms if form.definition.safety), None)
    safety = form.definition.safety if form else None
    questions = safety.questions if safety else ()
    columns = (
        *OPENING, DIALOGUE, RATER, KIND, STATE,
        Column("flag", "code", "id of the flag"),
        *_kinds(form, safety),
        Column("turn", "integer", TURN, missing="empty = about the whole dialogue"),
        Column("start", "integer", f"first character: {SPAN}", missing=WHOLE),
        Column("end", "integer", f"character after the last: {SPAN}", missing=WHOLE),
        *(_question(form, item) for item in questions),
        *([Column("note", "text", "the rater's note")] if frame.options.comments else []),
        Column("created_at", "time", "when it was raised"),
        Column("updated_at", "time", "when it was last changed"),
    )  # fmt: skip

    def rows(chunk: Chunk) -> Iterator[Row]:
        for work in chunk.works if safety else ():
            for flag in chunk.flags.get(work.pk, ()):
                yield _flag_row(chunk, safety, work, flag)

    return Table("flags", columns, rows)


def _kinds(form: Form | None, safety: FlagForm | None) -> list[Column]:
    kinds = safety.categories if safety else ()
    grades = safety.severities if safety else ()
    categories = choices([(one.key, f"{one.label}: {one.description}") for one in kinds])
    severities = choices([(one.key, f"{one.label}: {one.definition}") for one in grades])
    return [
        Column("category", "code", "kind of problem", categories, form=form),
        Column("category_number", "integer", "number of the kind in the instrument", form=form),
        Column("category_label", "text", "the kind as raters see it, in English", form=form),
        Column("severity", "code", "how bad it is", severities, form=form),
        Column("severity_label", "text", "the severity as raters see it, in English", form=form),
    ]


def _question(form: Form | None, item: Item) -> Column:
    points = [*item.points, *item.marks]
    values = choices([(point.value, str(point.label)) for point in points])
    missing = "empty = not asked for this flag, or not answered"
    return Column(f"detail_{item.key}", "code", str(item.label), values, missing, form)


def _flag_row(chunk: Chunk, safety: FlagForm | None, work: Work, flag: Flag) -> Row:
    kinds = {one.key: one for one in safety.categories} if safety else {}
    grades = {one.key: str(one.label) for one in safety.severities} if safety else {}
    kind = kinds.get(flag.category)
    cells: list[Cell] = [
        *opening(chunk.study), work.dialogue, work.rater, work.kind, work.state, str(flag.uid),
        flag.category, kind.number if kind else None, str(kind.label) if kind else None,
        flag.severity, grades.get(flag.severity), flag.turn_number, flag.start, flag.end,
        *(flag.details.get(item.key) for item in (safety.questions if safety else ())),
    ]  # fmt: skip
    if chunk.frame.options.comments:
        cells.append(flag.note)
    return [*cells, flag.created_at, flag.updated_at]


OF_AN_ITEM = "empty: the passage belongs to an item"
OF_A_FLAG = "empty: the passage belongs to a flag"


def evidence_table(frame: Frame) -> Table:
    """One row per passage that a rater attached to an item or a flag and did not take back."""
    columns = (
        *OPENING, DIALOGUE, RATER, KIND, STATE,
        Column("evidence", "code", "id of the mark"),
        Column("flag", "code", "id of the flag that the passage belongs to", missing=OF_AN_ITEM),
        Column("instrument", "code", "key of the instrument", missing=OF_A_FLAG),
        Column("instrument_version", "code", "version of the instrument", missing=OF_A_FLAG),
        Column("item", "code", "item that the passage is evidence for", missing=OF_A_FLAG),
        Column("turn", "integer", TURN),
        Column("start", "integer", f"first character: {SPAN}", missing=WHOLE),
        Column("end", "integer", f"character after the last: {SPAN}", missing=WHOLE),
        Column("created_at", "time", "when it was marked"),
    )  # fmt: skip

    forms = {form.pk: form for form in frame.forms}
    safe = any(form.definition.safety for form in frame.forms)

    def rows(chunk: Chunk) -> Iterator[Row]:
        for work in chunk.works:
            for mark in chunk.evidence.get(work.pk, ()):
                form = forms.get(mark.instrument_id or 0)
                if form is None and (mark.flag is None or not safe):
                    continue
                yield [
                    *opening(chunk.study), work.dialogue, work.rater, work.kind, work.state,
                    str(mark.uid), str(mark.flag.uid) if mark.flag else None,
                    *((form.key, form.version) if form else (None, None)), mark.item,
                    mark.turn_number, mark.start, mark.end, mark.created_at,
                ]  # fmt: skip

    return Table("evidence", columns, rows)
