"""A study's progress and quality: signs are kept with the figures, counts are read anew."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, time
from typing import Any

import numpy as np
from django.db.models import Count, Min, Q, Sum
from django.db.models.functions import Length
from django.utils import timezone

from generation.models import Turn
from review.adjudication import plan_of
from review.figures import Lines
from review.measures import StudyTable, codes_of
from review.models import (
    DATA_KINDS,
    Assignment,
    AssignmentKind,
    AssignmentState,
    Flag,
    Rating,
    Study,
    StudyRater,
)
from review.quality import (
    RECENT,
    Done,
    RaterQuality,
    by_week,
    forecast,
    rater_quality,
    repeat_agreement,
    splitting,
)
from review.study_consistency import steadiness_of
from review.summary import figure
from review.tables import Options, frame_of

SPLITTING_SHOWN = 10
OVER = [AssignmentState.SUBMITTED, AssignmentState.RETURNED]


@dataclass(frozen=True)
class Pace:
    """How far a rater is: dialogues done and left, and the day of the last at the present pace."""

    rater: str
    done: int
    left: int
    ends: date | None


# -- how far: read anew for every look ------------------------------------------------------------


def paces_of(study: Study, today: date | None = None) -> list[Pace]:
    """Each rater's pace. One query, whatever the size."""
    day = today or timezone.localdate()
    begin = timezone.make_aware(datetime.combine(day - RECENT, time.max))
    work = "rater__assignments"
    mine = Q(**{f"{work}__study": study})
    live = mine & Q(
        **{f"{work}__kind": AssignmentKind.LIVE, f"{work}__state": AssignmentState.SUBMITTED}
    )
    recent = live & Q(**{f"{work}__submitted_at__gt": begin})
    to_do = mine & Q(**{f"{work}__kind__in": [str(kind) for kind in DATA_KINDS]})
    rows = StudyRater.objects.filter(study=study).annotate(
        done=Count(work, filter=live),
        left=Count(work, filter=to_do & ~Q(**{f"{work}__state__in": OVER})),
        recent=Count(work, filter=recent),
        first=Min(f"{work}__submitted_at", filter=recent),
    )
    found = []
    for one in rows.order_by(Length("code"), "code"):
        first = timezone.localdate(one.first) if one.first else None
        ends = forecast(one.recent, first, one.left, day)
        found.append(Pace(one.code, one.done, one.left, ends))
    return found


def study_end(paces: Sequence[Pace]) -> tuple[date | None, int]:
    """The last rater's day, and for how many with work left no pace is known."""
    waiting = [one for one in paces if one.left]
    days = [one.ends for one in waiting if one.ends]
    return max(days, default=None), sum(one.ends is None for one in waiting)


# -- how well: kept with the figures --------------------------------------------------------------


def quality_figures(study: Study, table: StudyTable) -> dict[str, Any]:
    """Signs of each rater, items that split the raters, what was done each week; as JSON values."""
    names = dict(StudyRater.objects.filter(study=study).values_list("rater_id", "code"))
    done = _done(study, names)
    steady = {one.rater: one for one in steadiness_of(study)}
    raters = rater_quality(table, done, _repeats(study, table, names), steady)
    limit = float(plan_of(study).limit)
    weeks, counts = by_week([(one.at.date(), one.rater) for one in done], table.raters)
    return {
        "raters": [asdict(one) for one in raters],
        "limit": limit,
        "splitting": [
            {
                **{name: getattr(one, name) for name in ("kind", "instrument", "key", "label")},
                "section": one.section,
                "apart": apart,
                "units": units,
            }
            for one, apart, units in splitting(table, limit)[:SPLITTING_SHOWN]
        ],
        "weeks": {"steps": weeks, "lines": list(counts.items())},
        "flag_weeks": _flags(study, table),
    }


def raters_in(quality: Mapping[str, Any]) -> dict[str, RaterQuality]:
    """The kept signs by rater."""
    return {row["rater"]: RaterQuality(**row) for row in quality["raters"]}


WEEKS = {"weeks": "Ratings submitted each week", "flag_weeks": "Safety flags raised each week"}


def lines_in(quality: Mapping[str, Any], name: str) -> Lines:
    """One of ``WEEKS`` as a figure."""
    kept = quality[name]
    lines = tuple((label, tuple(counts)) for label, counts in kept["lines"])
    return Lines(WEEKS[name], "week from", tuple(kept["steps"]), lines)


def _done(study: Study, names: Mapping[int, str]) -> list[Done]:
    signs = dict(
        Turn.objects.filter(dialogue__in=study.study_dialogues.values("dialogue"))
        .order_by()
        .values_list("dialogue")
        .annotate(signs=Sum(Length("text")))
    )
    rows = Assignment.objects.filter(
        study=study, kind=AssignmentKind.LIVE, state=AssignmentState.SUBMITTED
    ).values_list(
        "rater_id", "study_dialogue__code", "position", "submitted_at", "active_seconds",
        "study_dialogue__dialogue_id",
    )  # fmt: skip
    return [
        Done(names[rater], code, position, at, seconds, signs.get(dialogue, 0))
        for rater, code, position, at, seconds, dialogue in rows.order_by("submitted_at", "pk")
        if rater in names and at
    ]


def _repeats(study: Study, table: StudyTable, names: Mapping[int, str]) -> dict[str, Sequence[Any]]:
    """Each rater's agreement with themselves on hidden repeats."""
    works = {
        pk: (names[rater], code)
        for pk, rater, code in Assignment.objects.filter(
            study=study, kind=AssignmentKind.REPEAT, state=AssignmentState.SUBMITTED
        ).values_list("pk", "rater_id", "study_dialogue__code")
        if rater in names
    }
    given: dict[tuple[str, str], dict[tuple[str, str], str]] = defaultdict(dict)
    rows = Rating.objects.filter(assignment__in=list(works), turn_number=None).order_by()
    for work, form, item, value in rows.values_list(
        "assignment", "instrument__key", "item", "value"
    ):
        given[form, item][works[work]] = value
    codes = {
        (form.key, item.key): codes_of(item)
        for form in frame_of(study, Options()).forms
        for item in form.definition.items
    }
    raters = {code: row for row, code in enumerate(table.raters)}
    columns = {code: column for column, code in enumerate(table.dialogues)}
    scales = [one for one in table.measures if one.kind == "item" and one.level == "ordinal"]
    found: dict[str, Sequence[Any]] = {}
    for rater in sorted({who for who, _ in works.values()}):
        pairs = []
        for one in scales:
            again = np.full(len(table.dialogues), np.nan)
            known = codes[one.instrument, one.key]
            for (who, dialogue), value in given.get((one.instrument, one.key), {}).items():
                if who == rater and value in known:
                    again[columns[dialogue]] = known[value]
            pairs.append(replace(one, values=np.array([one.values[raters[rater]], again])))
        found[rater] = figure(repeat_agreement(pairs))
    return found


def _flags(study: Study, table: StudyTable) -> dict[str, Any]:
    """Standing flags of each severity by the week in which they were raised."""
    rows = Flag.objects.filter(
        assignment__study=study, assignment__kind=AssignmentKind.LIVE, withdrawn_at=None
    ).values_list("created_at", "severity")
    labels = {
        one.key: str(one.label)
        for form in frame_of(study, Options()).forms
        for one in (form.definition.safety.severities if form.definition.safety else ())
    }
    weeks, counts = by_week(
        [(at.date(), labels.get(severity, severity)) for at, severity in rows],
        list(table.severities),
    )
    return {"steps": weeks, "lines": list(counts.items())}
