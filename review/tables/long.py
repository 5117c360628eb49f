"""ratings_long: one row per rater, dialogue and item."""

from collections.abc import Iterator, Sequence

from review.models import AssignmentKind
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
    TURN,
    Column,
    Frame,
    Part,
    Row,
    Table,
    Work,
    opening,
)
from review.tables.reading import MISSING, Chunk, Given, Reader

UNSAVED = Given("")


def long_table(frame: Frame) -> Table:
    """One row per rater, dialogue and item, unanswered items of begun dialogues included."""
    return Table("ratings_long", long_columns(frame), _LongRows(frame).of)


def calibration_table(frame: Frame) -> Table:
    """The same for the training dialogues: no data of the study, so a file of its own."""
    rows = _LongRows(frame)

    def whole() -> Iterator[Row]:
        for chunk in frame.chunks([AssignmentKind.CALIBRATION]):
            yield from rows.of(chunk)

    return Table("calibration", long_columns(frame), whole=whole)


def long_columns(frame: Frame) -> tuple[Column, ...]:
    """The columns of the long table."""
    comments = frame.options.comments
    return (
        *OPENING, DIALOGUE, RATER,
        POSITION,
        KIND,
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
        OPENED,
        SUBMITTED,
        *SECONDS,
    )  # fmt: skip


class _LongRows:
    """Rows in the order of ``long_columns``, made of parts that many rows share."""

    def __init__(self, frame: Frame) -> None:
        self.comments = frame.options.comments
        self.readers = {form.pk: Reader(form) for form in frame.forms}

    def of(self, chunk: Chunk) -> Iterator[Row]:
        """The rows of a chunk of assignments."""
        readers = [self.readers[form.pk] for form in chunk.forms]
        first = opening(chunk.study)
        for work in chunk.works:
            head = Part(*first, work.dialogue, work.rater, work.position, work.kind, work.state)
            tail = Part(work.opened_at, work.submitted_at, work.active_seconds, work.paused_seconds)
            yield from self._rows(chunk, work, readers, head, tail)

    def _rows(
        self, chunk: Chunk, work: Work, readers: Sequence[Reader], head: Part, tail: Part
    ) -> Iterator[Row]:
        answers, turns, comments = chunk.answers(work.pk), chunk.turns(work.pk), self.comments
        for reader in readers:
            shown, form = reader.shown(answers), reader.form.pk
            for item in reader.whole_items:
                key = item.key
                given = answers.get((form, key), UNSAVED)
                part = reader.part(item, given[0], shown is None or key in shown)
                if comments:
                    yield head, part, given[1], given[2], given[3], tail
                else:
                    yield head, part, given[2], given[3], tail
            for item, turn, given, asked in reader.turn_rows(answers, turns):
                cells = reader.cells(item, given.value, asked)
                rest = given[1:] if comments else given[2:]
                yield head, *reader.heads[item.key], turn, *cells, *rest, tail
