"""The tables of an export, made from studies and what a person chose to include."""

from review.models import StudyKind
from review.tables.adjudications import adjudications_table
from review.tables.agreement import FiguresOf, agreement_table
from review.tables.codebook import codebook_table
from review.tables.comparisons import comparisons_table
from review.tables.frame import Cell, Column, Frame, Options, Part, Row, Table, frame_of
from review.tables.key import key_table
from review.tables.long import calibration_table, long_table
from review.tables.marks import evidence_table, flags_table
from review.tables.people import raters_table, times_table
from review.tables.reading import Chunk
from review.tables.wide import wide_table

__all__ = [
    "Cell",
    "Chunk",
    "Column",
    "FiguresOf",
    "Frame",
    "Options",
    "Part",
    "Row",
    "Table",
    "frame_of",
    "key_table",
    "rating_tables",
]


def rating_tables(frame: Frame, figures_of: FiguresOf) -> list[Table]:
    """What an export of ratings is made of, in its order; the key is never among them."""
    kinds = {study.kind for study in frame.studies}
    tables = []
    if StudyKind.PAIRWISE in kinds:
        tables.append(comparisons_table(frame))
    if kinds - {StudyKind.PAIRWISE}:
        tables += [
            long_table(frame),
            wide_table(frame),
            flags_table(frame),
            evidence_table(frame),
            times_table(),
            raters_table(frame),
            adjudications_table(frame),
            calibration_table(frame),
            agreement_table(frame, figures_of),
        ]
    return [*tables, codebook_table(tables, frame.options.format)]
