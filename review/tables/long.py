"""ratings_long: one row per rater, dialogue and item."""

from collections.abc import Iterator, Sequence

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
    Cell,
    Column,
    Frame,
    Part,
    Row,
    Table,
    Work,
)
from review.tables.reading import MISSING, Answers, Reader, answers_by_work


def long_table(frame: Frame) -> Table:
    """One row per rater, dialogue and item, unanswered items of begun dialogues included."""
    comments = frame.options.comments
    columns = (
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

    def rows() -> Iterator[Row]:
        readers = [Reader(form) for form in frame.forms]
        for works in frame.works():
            answers = answers_by_work(works)
            for work in works:
                yield from _long_rows(frame, readers, work, answers.get(work.pk, {}))

    return Table("ratings_long", columns, rows)


def _long_rows(
    frame: Frame, readers: Sequence[Reader], work: Work, answers: Answers
) -> Iterator[Row]:
    head = Part(*frame.opening, work.dialogue, work.rater, work.position, work.kind, work.state)
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
