"""A study's progress and quality, read with a fixed number of queries."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
from django.db.models import Count, Sum
from django.db.models.functions import Length
from django.utils import timezone

from generation.models import Turn
from review.adjudication import plan_of
from review.bootstrap import Result
from review.figures import Lines
from review.measures import Measure, StudyTable, codes_of
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
    Done,
    RaterQuality,
    by_week,
    rater_quality,
    repeat_agreement,
    splitting,
    study_end,
)
from review.study_values import values_of
from review.tables import Options, frame_of

SPLITTING_SHOWN = 10


@dataclass(frozen=True)
class Quality:
    """What the page of progress and quality shows."""

    raters: list[RaterQuality]
    ends: date | None
    unknown: int
    done: int
    total: int
    splitting: list[tuple[Measure, int, int]]
    limit: float
    weeks: Lines
    flags: Lines


def quality_of(study: Study, today: date | None = None) -> Quality:
    """Everything about how the ratings of a study are being made."""
    table = values_of(study)
    names = dict(StudyRater.objects.filter(study=study).values_list("rater_id", "code"))
    done = _done(study, names)
    left = _left(study, names)
    day = today or timezone.localdate()
    raters = rater_quality(table, done, left, _repeats(study, table, names), day)
    ends, unknown = study_end(raters)
    limit = float(plan_of(study).limit)
    weeks, counts = by_week([(one.at.date(), one.rater) for one in done], table.raters)
    return Quality(
        raters=raters,
        ends=ends,
        unknown=unknown,
        done=len(done),
        total=len(done) + sum(left.values()),
        splitting=splitting(table, limit)[:SPLITTING_SHOWN],
        limit=limit,
        weeks=Lines(
            "Ratings submitted each week", "week from", tuple(weeks),
            tuple((rater, tuple(numbers)) for rater, numbers in counts.items()),
        ),
        flags=_flags(study, table),
    )  # fmt: skip


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


def _left(study: Study, names: Mapping[int, str]) -> dict[str, int]:
    rows = (
        Assignment.objects.filter(study=study, kind__in=DATA_KINDS)
        .exclude(state__in=[AssignmentState.SUBMITTED, AssignmentState.RETURNED])
        .order_by()
        .values_list("rater_id")
        .annotate(n=Count("pk"))
    )
    return {names[rater]: number for rater, number in rows if rater in names}


def _repeats(study: Study, table: StudyTable, names: Mapping[int, str]) -> dict[str, Result]:
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
    found = {}
    for rater in sorted({who for who, _ in works.values()}):
        pairs = []
        for one in scales:
            again = np.full(len(table.dialogues), np.nan)
            known = codes[one.instrument, one.key]
            for (who, dialogue), value in given.get((one.instrument, one.key), {}).items():
                if who == rater and value in known:
                    again[columns[dialogue]] = known[value]
            pairs.append(replace(one, values=np.array([one.values[raters[rater]], again])))
        found[rater] = repeat_agreement(pairs)
    return found


def _flags(study: Study, table: StudyTable) -> Lines:
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
    return Lines(
        "Safety flags raised each week", "week from", tuple(weeks),
        tuple((severity, tuple(numbers)) for severity, numbers in counts.items()),
    )  # fmt: skip
