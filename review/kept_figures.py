"""A study's figures: kept while the data stay the same, made again when they change."""

import hashlib
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.utils import timezone

from review.models import DATA_KINDS, AssignmentKind, AssignmentState, KeptFigures, Study
from review.snapshots import snapshot
from review.study_quality import quality_figures
from review.study_values import values_of
from review.summary import summary
from sqpsych_site.calls import call_worker

FORM = 3  # of the kept JSON; raise it when the figures or their names change
# Up to so many submitted ratings of a dialogue the figures are made while the page waits.
AT_ONCE = 60
ASKED_SECONDS = 120

# Submitted ratings can only change by being reopened and submitted again, so their moments and
# revisions stand for every answer in them; flags are dated themselves. Hidden repeats and the rule
# of adjudication go into the signs of quality.
_STATE = """
    WITH work AS (
        SELECT id, kind, revision, submitted_at FROM review_assignment
        WHERE study_id = %(study)s AND kind = ANY(%(kinds)s) AND state = %(state)s
    )
    SELECT
        (SELECT string_agg(kind || id || ' ' || revision || ' ' || submitted_at, ',' ORDER BY id)
         FROM work),
        (SELECT count(*) || ' ' || max(f.updated_at)::text || ' ' || count(f.withdrawn_at)
         FROM review_flag f JOIN work ON work.id = f.assignment_id),
        (SELECT "limit"::text FROM review_adjudicationplan WHERE study_id = %(study)s),
        (SELECT count(*) FROM work WHERE kind = %(live)s)
"""


@dataclass(frozen=True)
class Results:
    """What there is to show: ``fresh`` says whether it is of the data as they are now."""

    figures: dict[str, Any] | None
    made_at: datetime | None
    fresh: bool
    submitted: int


def data_state(study: Study) -> tuple[str, int]:
    """A hash of everything that goes into the figures, and how many ratings are submitted."""
    with connection.cursor() as cursor:
        cursor.execute(
            _STATE,
            {
                "study": study.pk,
                "kinds": [str(kind) for kind in DATA_KINDS],
                "live": AssignmentKind.LIVE,
                "state": AssignmentState.SUBMITTED,
            },
        )
        *parts, submitted = cursor.fetchone()
    text = f"{FORM} {settings.VERSION} {parts}"
    return hashlib.sha256(text.encode()).hexdigest(), int(submitted)


def make_figures(study: Study) -> dict[str, Any]:
    """Calculate the figures from one view of the data and keep them; kept ones are returned."""
    kept = KeptFigures.objects.filter(study=study).first()
    begun = time.perf_counter()
    with snapshot():
        state, _ = data_state(study)
        if kept is not None and kept.state == state:
            return dict(kept.figures)
        table = values_of(study)
        quality = quality_figures(study, table)
    figures = {**summary(table), "quality": quality}
    KeptFigures.objects.update_or_create(
        study=study,
        defaults={
            "state": state,
            "figures": figures,
            "seconds": time.perf_counter() - begun,
            "made_at": timezone.now(),
        },
    )
    return figures


def current_figures(study: Study) -> dict[str, Any] | None:
    """The kept figures, if they are of the data as they are now."""
    kept = KeptFigures.objects.filter(study=study).first()
    return dict(kept.figures) if kept and kept.state == data_state(study)[0] else None


def results_of(study: Study) -> Results:
    """The figures, made at once where that is quick; else those kept, and a worker is asked.

    Figures that are older than the data are never passed off as new: ``fresh`` is False then.
    """
    state, submitted = data_state(study)
    kept = KeptFigures.objects.filter(study=study).first()
    if kept is not None and kept.state == state:
        return Results(kept.figures, kept.made_at, True, submitted)
    if submitted <= AT_ONCE:
        return Results(make_figures(study), timezone.now(), True, submitted)
    _ask(study, state)
    if kept is None:
        return Results(None, None, False, submitted)
    return Results(kept.figures, kept.made_at, False, submitted)


def _ask(study: Study, state: str) -> None:
    """Ask a worker, once in two minutes for the same data."""
    if cache.add(f"figures-{study.pk}-{state}", 1, ASKED_SECONDS):
        call_worker("review.tasks.make_results", study.pk)
