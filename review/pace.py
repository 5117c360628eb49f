"""How far a rater is and how long the rest will take, from their own pace."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any

from django.db.models import (
    Avg,
    Count,
    DurationField,
    Expression,
    ExpressionWrapper,
    F,
    Q,
    QuerySet,
    Value,
)
from django.db.models.functions import Coalesce, Least, NullIf
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from review.models import Assignment, AssignmentState
from sqpsych_site.models import User
from sqpsych_site.statements import Worded

# Somebody who leaves a dialogue open over lunch has not worked on it for two hours.
LONGEST = timedelta(minutes=45)


def spent() -> Expression:
    """Time in use where the page measured it, else from opening to submitting, cut at LONGEST."""
    measured = ExpressionWrapper(
        NullIf(F("active_seconds"), Value(0)) * Value(timedelta(seconds=1)),
        output_field=DurationField(),
    )
    between = ExpressionWrapper(F("submitted_at") - F("opened_at"), output_field=DurationField())
    return Least(Coalesce(measured, between, output_field=DurationField()), Value(LONGEST))


@dataclass(frozen=True)
class Progress:
    """Counts of one rater in one study; ``left`` is in minutes, None before the first is done."""

    position: int
    total: int
    done: int
    left: int | None

    @property
    def left_in_words(self) -> str:
        """'about 25 min left at your pace', or nothing while the pace is unknown."""
        if self.left is None or self.done == self.total:
            return ""
        if self.left < 90:
            minutes = max(1, self.left)
            words = ngettext(
                "about %(n)s min left at your pace", "about %(n)s min left at your pace", minutes
            )
            return words % {"n": minutes}
        return _("about %(n)s h left at your pace") % {"n": round(self.left / 60)}


_COUNTS = {
    "total": Count("pk"),
    "done": Count("pk", filter=Q(state=AssignmentState.SUBMITTED)),
    "pace": Avg(spent(), filter=Q(submitted_at__isnull=False)),
}


def _progress(found: Mapping[str, Any], position: int = 0) -> Progress:
    total, done = found["total"], found["done"]
    pace: timedelta | None = found["pace"]
    left = None if pace is None else round((total - done) * pace.total_seconds() / 60)
    return Progress(position, total, done, left)


def _kept(rows: QuerySet[Assignment]) -> QuerySet[Assignment]:
    return rows.exclude(state__in=[AssignmentState.RETURNED, AssignmentState.LOCKED]).order_by()


def progress_of(assignment: Assignment) -> Progress:
    """Where this assignment stands among the rater's own in its study (one query)."""
    given = (assignment.position, assignment.study_id, assignment.rater_id)
    for _study, total, done, pace, before in _standing().fetch(*given):
        return _progress({"total": total, "done": done, "pace": pace}, before + 1)
    return Progress(1, 0, 0, None)


@lru_cache(maxsize=1)
def _standing() -> Worded[Assignment]:
    position, study, rater = 1001, 1002, 1003
    mine = _kept(Assignment.objects.filter(study_id=study, rater_id=rater)).values_list("study_id")
    before = Count("pk", filter=Q(position__lt=position))
    return Worded(mine.annotate(**_COUNTS, before=before), [position, study, rater])


def progress_by_study(rater: User) -> dict[int, Progress]:
    """Study id -> how far the rater is there. One query."""
    rows = _kept(Assignment.objects.visible_to(rater)).values_list("study_id")
    found = rows.annotate(**_COUNTS)
    return {
        study: _progress({"total": total, "done": done, "pace": pace})
        for study, total, done, pace in found
    }
