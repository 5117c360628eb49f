"""How far a rater is and how long the rest will take, from their own pace."""

from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Avg, Count, ExpressionWrapper, F, Q, fields
from django.db.models.functions import Least

from review.models import Assignment, AssignmentState

# Somebody who leaves a dialogue open over lunch has not worked on it for two hours.
LONGEST = timedelta(minutes=45)


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
        if self.left is None:
            return ""
        if self.left < 90:
            return f"about {max(1, self.left)} min left at your pace"
        return f"about {round(self.left / 60)} h left at your pace"


def progress_of(assignment: Assignment) -> Progress:
    """Where this assignment stands among the rater's own in its study (one query)."""
    duration = ExpressionWrapper(
        F("submitted_at") - F("opened_at"), output_field=fields.DurationField()
    )
    mine = Assignment.objects.filter(study_id=assignment.study_id, rater_id=assignment.rater_id)
    found = mine.exclude(state=AssignmentState.RETURNED).aggregate(
        total=Count("pk"),
        done=Count("pk", filter=Q(state=AssignmentState.SUBMITTED)),
        before=Count("pk", filter=Q(position__lt=assignment.position)),
        pace=Avg(Least(duration, LONGEST), filter=Q(submitted_at__isnull=False)),
    )
    pace: timedelta | None = found["pace"]
    rest = found["total"] - found["done"]
    return Progress(
        position=found["before"] + 1,
        total=found["total"],
        done=found["done"],
        left=None if pace is None else round(rest * pace.total_seconds() / 60),
    )
