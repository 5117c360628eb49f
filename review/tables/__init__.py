"""The tables of an export, made from a study and what a person chose to include."""

from review.models import StudyKind
from review.tables.codebook import codebook_table
from review.tables.comparisons import comparisons_table
from review.tables.frame import Cell, Column, Frame, Options, Part, Row, Table, frame_of
from review.tables.key import key_table
from review.tables.long import long_table
from review.tables.marks import evidence_table, flags_table
from review.tables.wide import wide_table

__all__ = [
    "Cell",
    "Column",
    "Frame",
    "Options",
    "Part",
    "Row",
    "Table",
    "frame_of",
    "key_table",
    "rating_tables",
]


def rating_tables(frame: Frame) -> list[Table]:
    """What a study's export of ratings is made of, in its order; the key is never among them."""
    if frame.study.kind == StudyKind.PAIRWISE:
        comparisons = comparisons_table(frame)
        return [comparisons, codebook_table([comparisons])]
    tables = [long_table(frame), wide_table(frame), flags_table(frame), evidence_table(frame)]
    return [*tables, codebook_table(tables)]
