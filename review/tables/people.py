"""times and raters: how the work was done, under pseudonyms."""

from collections.abc import Iterator

from django.db import connection
from django.db.models import Count, Max, Min, Q
from django.db.models.functions import Length

from review.models import DATA_KINDS, AssignmentState, StudyRater
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
    Frame,
    Row,
    Table,
    opening,
)
from review.tables.reading import Chunk

_SUBMITTED = """
    SELECT pgh_obj_id, count(DISTINCT submitted_at) FROM review_assignmentevent
    WHERE pgh_obj_id = ANY(%s) AND submitted_at IS NOT NULL GROUP BY pgh_obj_id
"""


def times_table() -> Table:
    """One row per rater and dialogue: when and how long."""
    columns = (
        *OPENING, DIALOGUE, RATER, POSITION, KIND, STATE, OPENED,
        Column("first_saved_at", "time", "first answer still standing was last saved",
               missing="empty = no answer"),
        Column("last_saved_at", "time", "last answer was saved", missing="empty = no answer"),
        SUBMITTED, *SECONDS,
        Column("answers", "integer", "answers that stand"),
        Column("saves", "integer", "how often an answer was saved, changes included"),
        Column("submissions", "integer", "how often it was handed in; above 1 it was reopened"),
    )  # fmt: skip

    def rows(chunk: Chunk) -> Iterator[Row]:
        with connection.cursor() as cursor:
            cursor.execute(_SUBMITTED, [chunk.pks])
            submissions = dict(cursor.fetchall())
        for work in chunk.works:
            given = list(chunk.answers(work.pk).values())
            given += [one for turn in chunk.turns(work.pk).values() for one in turn.values()]
            saved = [one.updated_at for one in given if one.updated_at]
            yield [
                *opening(chunk.study), work.dialogue, work.rater, work.position, work.kind,
                work.state, work.opened_at,
                min(saved, default=None), max(saved, default=None),
                work.submitted_at, work.active_seconds, work.paused_seconds,
                sum(1 for one in given if one.value), sum(one.revision or 0 for one in given),
                submissions.get(work.pk, 0),
            ]  # fmt: skip

    return Table("times", columns, rows)


def raters_table(frame: Frame) -> Table:
    """One row per rater of a study, under the pseudonym."""
    columns = (
        *OPENING, RATER,
        Column("active", "code", "whether the rater still takes part", "yes; no"),
        Column("profession", "text", "profession, as the coordinator noted it",
               missing="empty = not noted"),
        Column("years", "integer", "years of practice", missing="empty = not noted"),
        Column("assigned", "integer", "dialogues given to the rater, hidden repeats included"),
        Column("submitted", "integer", "dialogues handed in"),
        Column("returned", "integer", "dialogues handed back"),
        Column("repeats", "integer", "hidden repeats handed in"),
        Column("flags", "integer", "safety flags that stand, in what was handed in"),
        Column("first_opened_at", "time", "when the first dialogue was opened"),
        Column("last_submitted_at", "time", "when the last dialogue was handed in"),
    )  # fmt: skip

    def rows() -> Iterator[Row]:
        for study in frame.studies:
            yield from _rater_rows(frame, study.pk, opening(study))

    return Table("raters", columns, whole=rows)


def _rater_rows(frame: Frame, study: int, first: tuple[Cell, ...]) -> Iterator[Row]:
    mine = Q(
        rater__assignments__study=study, rater__assignments__kind__in=[str(k) for k in DATA_KINDS]
    )
    done = mine & Q(rater__assignments__state=AssignmentState.SUBMITTED)
    found = StudyRater.objects.filter(study=study).order_by(Length("code"), "code")
    if frame.options.raters:
        found = found.filter(code__in=frame.options.raters)
    flags = Q(rater__assignments__flags__isnull=False, rater__assignments__flags__withdrawn_at=None)
    found = found.annotate(
        assigned=Count("rater__assignments", filter=mine, distinct=True),
        submitted=Count("rater__assignments", filter=done, distinct=True),
        returned=Count(
            "rater__assignments",
            filter=mine & Q(rater__assignments__state=AssignmentState.RETURNED),
            distinct=True,
        ),
        repeats=Count(
            "rater__assignments", filter=done & Q(rater__assignments__kind="repeat"), distinct=True
        ),
        flags=Count("rater__assignments__flags", filter=done & flags, distinct=True),
        first=Min("rater__assignments__opened_at", filter=mine),
        last=Max("rater__assignments__submitted_at", filter=mine),
    )
    for one in found:
        yield [
            *first, one.code, "yes" if one.active else "no", one.profession, one.years,
            one.assigned, one.submitted, one.returned, one.repeats, one.flags, one.first, one.last,
        ]  # fmt: skip
