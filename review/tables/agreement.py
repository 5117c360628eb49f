"""agreement: the table of results, every statistic with its interval."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from review.models import Study, StudyKind
from review.tables.frame import OPENING, Column, Frame, Row, Table, opening

COLUMNS = (
    *OPENING,
    Column("measure", "code", "what is compared",
           "item; section = a total; flag = a kind of safety flag"),
    Column("instrument", "code", "key of the instrument"),
    Column("instrument_version", "code", "version of the instrument"),
    Column("key", "code", "key of the item, section, total or kind of flag"),
    Column("label", "text", "the same in words, in English"),
    Column("level", "code", "level of measurement", "nominal; ordinal; interval"),
    Column("categories", "text", "all values that can occur, joined by |; for a section its items"),
    Column("first_rater", "code", "pseudonym, where two raters are compared",
           missing="empty = all raters"),
    Column("second_rater", "code", "pseudonym, where two raters are compared",
           missing="empty = all raters"),
    Column("statistic", "code", "what was calculated",
           "percent = percent agreement (0 to 1); alpha_nominal, alpha_ordinal, alpha_interval ="
           " Krippendorff's alpha; ac1, ac2_linear, ac2_quadratic = Gwet's AC; fleiss = Fleiss'"
           " kappa; kappa_identity, kappa_linear, kappa_quadratic = Cohen's kappa; icc_1_1 to"
           " icc_3_k = intraclass correlations of Shrout and Fleiss"),
    Column("estimate", "number", "the figure", missing="empty = not defined; note says why"),
    Column("low", "number", "lower end of the 95 % bootstrap interval",
           missing="empty = no interval"),
    Column("high", "number", "upper end of it", missing="empty = no interval"),
    Column("units", "integer", "dialogues that went in"),
    Column("note", "text", "what a reader of the figure must know"),
)  # fmt: skip

FiguresOf = Callable[[Study], Mapping[str, Any]]


def agreement_table(frame: Frame, figures_of: FiguresOf) -> Table:
    """Agreement over submitted live ratings, as the pages show it."""

    def rows() -> Iterator[Row]:
        for study in frame.studies:
            if study.kind == StudyKind.PAIRWISE:
                continue
            for measure in figures_of(study)["measures"]:
                yield from _rows(study, measure)

    return Table("agreement", COLUMNS, whole=rows)


def _rows(study: Study, measure: Mapping[str, Any]) -> Iterator[Row]:
    head = [
        *opening(study), measure["kind"], measure["instrument"], measure["version"],
        measure["key"], measure["label"], measure["level"], "|".join(measure["categories"]),
    ]  # fmt: skip
    for name, figure in sorted(measure["figures"].items()):
        yield [*head, None, None, name, *figure]
    for pair in measure["pairs"]:
        raters = pair["raters"]
        for name, figure in sorted(pair.items()):
            if name != "raters":
                yield [*head, *raters, name, *figure]
