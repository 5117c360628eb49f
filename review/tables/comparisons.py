"""comparisons: which of two dialogues each rater preferred, under codes."""

from collections.abc import Iterator

from django.db.models import OuterRef, Subquery
from django.db.models.functions import Length

from review.actions.comparisons import as_side, reasons_of
from review.models import AssignmentState, Comparison, Study, StudyKind, StudyRater
from review.tables.frame import (
    OPENED,
    OPENING,
    POSITION,
    RATER,
    STATE,
    SUBMITTED,
    Cell,
    Column,
    Frame,
    Row,
    Table,
    choices,
    opening,
)

FIELDS = (
    "pair__code",
    "pair__one__code",
    "pair__other__code",
    "rater_code",
    "position",
    "state",
    "swapped",
    "choice",
    "reasons",
    "comment",
    "opened_at",
    "submitted_at",
)


def comparisons_table(frame: Frame) -> Table:
    """One row per rater and pair that was opened; the arms are in the blinding key alone."""
    studies = [study for study in frame.studies if study.kind == StudyKind.PAIRWISE]
    reasons = {key: label for study in studies for key, label in reasons_of(study).items()}
    left = choices({"one": "one_dialogue stood on the left", "other": "other_dialogue did"})
    chosen = choices({"one": "one_dialogue", "other": "other_dialogue", "tie": "both alike"})
    yes = choices({"1": "the rater gave this reason", "0": "the rater did not"})
    columns = (
        *OPENING,
        Column("pair", "code", "code of the pair in this study; tells nothing about it"),
        Column("one_dialogue", "code", "code of the pair's first dialogue"),
        Column("other_dialogue", "code", "code of the pair's second dialogue"),
        RATER, POSITION, STATE,
        Column("left", "code", "which of the two stood on the left", left),
        Column("choice", "code", "which one the rater preferred", chosen, "empty = no choice yet"),
        Column("side", "code", "the same as the rater saw it", "left; right; tie"),
        *(Column(f"reason_{key}", "integer", f"because it {label}", yes)
          for key, label in reasons.items()),
        *([Column("comment", "text", "the rater's comment")] if frame.options.comments else []),
        OPENED, SUBMITTED,
    )  # fmt: skip

    def rows() -> Iterator[Row]:
        for study in studies:
            for *names, swapped, choice, given, comment, opened, submitted in _stored(study):
                cells: list[Cell] = [
                    *opening(study), *names,
                    "other" if swapped else "one", choice, as_side(choice, swapped),
                    *(int(key in given) for key in reasons),
                ]  # fmt: skip
                if frame.options.comments:
                    cells.append(comment)
                yield [*cells, opened, submitted]

    return Table("comparisons", columns, whole=rows)


def _stored(study: Study) -> Iterator[tuple]:  # type: ignore[type-arg]  # as FIELDS says
    code = StudyRater.objects.filter(study=study, rater=OuterRef("rater"))
    return (
        Comparison.objects.filter(study=study)
        .exclude(state=AssignmentState.DUE)
        .annotate(rater_code=Subquery(code.values("code")[:1]))
        .order_by(Length("pair__code"), "pair__code", Length("rater_code"), "rater_code")
        .values_list(*FIELDS)
        .iterator(chunk_size=2000)
    )
