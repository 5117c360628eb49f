"""How far studies are, read from their rows with a fixed number of queries whatever their size."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import (
    Aggregate,
    CharField,
    Count,
    DurationField,
    Exists,
    ExpressionWrapper,
    F,
    Max,
    OuterRef,
    Q,
    QuerySet,
    Value,
)
from django.db.models.functions import Cast, Coalesce, Concat, NullIf

from review.actions.rating import RETURN_REASONS, definition_of
from review.actions.studies import FLAG_SEEN
from review.models import (
    DATA_KINDS,
    Assignment,
    AssignmentState,
    Comparison,
    Flag,
    Instrument,
    Rating,
    Study,
    StudyRater,
)
from sqpsych_site.models import AuditEntry

MARKS_SHOWN = 100


@dataclass(frozen=True)
class Counts:
    """Assignments by state."""

    due: int = 0
    started: int = 0
    submitted: int = 0
    returned: int = 0
    locked: int = 0

    @property
    def total(self) -> int:
        """All assignments."""
        return self.due + self.started + self.submitted + self.returned + self.locked

    @property
    def in_words(self) -> str:
        """``3 done, 1 in progress, 4 to do``."""
        said = [
            f"{self.submitted:,} done",
            f"{self.started:,} in progress",
            f"{self.due:,} to do",
        ]
        return ", ".join([*said, f"{self.returned:,} handed back"] if self.returned else said)


def counts_by_study(studies: Iterable[int]) -> dict[int, Counts]:
    """Study id -> assignments, or comparisons of two, by state. One query, from indexes alone."""
    chosen = list(studies)
    works, pairs = (
        rows.order_by().values_list("study_id", "state").annotate(n=Count("*"))
        for rows in (
            Assignment.objects.filter(study__in=chosen, kind__in=DATA_KINDS),
            Comparison.objects.filter(study__in=chosen),
        )
    )
    found: dict[int, dict[str, int]] = {}
    for study_id, state, number in works.union(pairs, all=True):
        found.setdefault(study_id, {})[state] = number
    return {study_id: Counts(**states) for study_id, states in found.items()}


@dataclass(frozen=True)
class RaterProgress:
    """One rater: counts, the median minutes for a dialogue, and the last sign of work."""

    rater_id: int
    code: str
    name: str
    active: bool
    counts: Counts
    minutes: float | None
    last_at: datetime | None


class Median(Aggregate):
    """PostgreSQL's continuous median of a duration."""

    template = "percentile_cont(0.5) WITHIN GROUP (ORDER BY %(expressions)s)"
    output_field = DurationField()


# Time in use where the page measured it, else from opening to submitting.
_SPENT = Coalesce(
    ExpressionWrapper(
        NullIf(F("active_seconds"), Value(0)) * Value(timedelta(seconds=1)),
        output_field=DurationField(),
    ),
    ExpressionWrapper(F("submitted_at") - F("opened_at"), output_field=DurationField()),
    output_field=DurationField(),
)


def raters_of(study: Study) -> list[RaterProgress]:
    """The study's raters by code, each with their progress. Four queries."""
    states: dict[int, dict[str, int]] = {}
    worked: dict[int, list[datetime]] = {}
    mine = Assignment.objects.filter(study=study, kind__in=DATA_KINDS).order_by()
    rows = mine.values_list("rater_id", "state").annotate(
        n=Count("*"), opened=Max("opened_at"), submitted=Max("submitted_at")
    )
    for rater_id, state, number, *times in rows:
        states.setdefault(rater_id, {})[state] = number
        worked.setdefault(rater_id, []).extend(at for at in times if at)
    done = mine.filter(state=AssignmentState.SUBMITTED).values_list("rater_id")
    minutes = dict(done.annotate(spent=Median(_SPENT)))
    answers = Rating.objects.filter(
        assignment__study=study, assignment__kind__in=DATA_KINDS
    ).order_by()
    for rater_id, at in answers.values_list("assignment__rater_id").annotate(at=Max("updated_at")):
        worked.setdefault(rater_id, []).append(at)
    found = [
        RaterProgress(
            rater_id=row.rater_id,
            code=row.code,
            name=row.rater.username,
            active=row.active and row.rater.is_active,
            counts=Counts(**states.get(row.rater_id, {})),
            minutes=_minutes(minutes.get(row.rater_id)),
            last_at=max(worked.get(row.rater_id, ()), default=None),
        )
        for row in StudyRater.objects.filter(study=study).select_related("rater")
    ]
    return sorted(found, key=lambda one: (len(one.code), one.code))


def _minutes(spent: timedelta | None) -> float | None:
    return None if spent is None else spent.total_seconds() / 60


@dataclass(frozen=True)
class SevereFlag:
    """A safety flag that wants a coordinator's eyes, in words."""

    flag: Flag
    code: str
    rater: RaterProgress | None
    category: str
    severity: str
    seen: bool


@dataclass(frozen=True)
class HandedBack:
    """A dialogue that a rater gave back, and why."""

    code: str
    dialogue_uid: UUID
    rater: RaterProgress | None
    reason: str
    note: str


@dataclass(frozen=True)
class Live:
    """What the study page asks for again and again."""

    counts: Counts
    raters: list[RaterProgress]
    flags: list[SevereFlag]
    returned: list[HandedBack]

    @property
    def unseen(self) -> int:
        """Severe flags that nobody has looked at."""
        return sum(not one.seen for one in self.flags)


def live(study: Study, instruments: Sequence[Instrument]) -> Live:
    """All of it. Six queries."""
    raters = raters_of(study)
    parts = [one.counts for one in raters]
    total = Counts(
        due=sum(one.due for one in parts),
        started=sum(one.started for one in parts),
        submitted=sum(one.submitted for one in parts),
        returned=sum(one.returned for one in parts),
        locked=sum(one.locked for one in parts),
    )
    people = {one.rater_id: one for one in raters}
    return Live(total, raters, _flags(study, instruments, people), _returned(study, people))


def _seen() -> Exists:
    entries = AuditEntry.objects.filter(
        action=FLAG_SEEN,
        target=Concat(Value("flag "), Cast(OuterRef("uid"), CharField())),
        at__gte=OuterRef("updated_at"),
    )
    return Exists(entries)


def notifying(instruments: Iterable[Instrument]) -> Q:
    """Flags whose severity their study's instrument wants told at once; matches none if none."""
    wanted = Q(pk__in=[])
    for row in instruments:
        safety = definition_of(row).safety
        keys = [one.key for one in safety.severities if one.notify] if safety else []
        if keys:
            wanted |= Q(assignment__study__study_instruments__instrument=row, severity__in=keys)
    return wanted


def severe_flags(instruments: Iterable[Instrument]) -> QuerySet[Flag]:
    """Standing flags that must be looked at, newest first; ``unseen()`` leaves the open ones."""
    wanted = Flag.objects.filter(
        notifying(instruments), withdrawn_at=None, assignment__kind__in=DATA_KINDS
    )
    return wanted.order_by("-created_at", "-pk")


def unseen(flags: QuerySet[Flag]) -> QuerySet[Flag]:
    """Those that nobody has looked at since they were last changed."""
    return flags.filter(~_seen())


def _flags(
    study: Study, instruments: Sequence[Instrument], people: Mapping[int, RaterProgress]
) -> list[SevereFlag]:
    forms = [definition_of(row).safety for row in instruments]
    safety = next((form for form in forms if form), None)
    categories = {one.key: str(one.label) for one in safety.categories} if safety else {}
    severities = {one.key: str(one.label) for one in safety.severities} if safety else {}
    rows = (
        severe_flags(instruments)
        .filter(assignment__study=study)
        .annotate(is_seen=_seen())
        .select_related("assignment__study_dialogue__dialogue")
        .order_by("is_seen", "-created_at", "-pk")
    )
    return [
        SevereFlag(
            flag=flag,
            code=flag.assignment.study_dialogue.code,
            rater=people.get(flag.assignment.rater_id),
            category=categories.get(flag.category, flag.category),
            severity=severities.get(flag.severity, flag.severity),
            seen=flag.is_seen,
        )
        for flag in rows[:MARKS_SHOWN]
    ]


def _returned(study: Study, people: Mapping[int, RaterProgress]) -> list[HandedBack]:
    rows = (
        Assignment.objects.filter(study=study, state=AssignmentState.RETURNED, kind__in=DATA_KINDS)
        .select_related("study_dialogue__dialogue")
        .order_by("study_dialogue__code", "pk")
    )
    return [
        HandedBack(
            code=row.study_dialogue.code,
            dialogue_uid=row.study_dialogue.dialogue.uid,
            rater=people.get(row.rater_id),
            reason=RETURN_REASONS.get(row.return_reason, row.return_reason),
            note=row.return_note,
        )
        for row in rows[:MARKS_SHOWN]
    ]
