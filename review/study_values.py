"""A study's submitted live ratings, read once as tables of numbers (review.measures)."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from django.db import connection

from review import measures
from review.bootstrap import Floats
from review.instruments import FlagForm
from review.measures import Measure, codes_of, item_measure, section_measures
from review.models import AssignmentKind, AssignmentState, Flag, Study, StudyRater
from review.tables import Options, frame_of
from review.tables.frame import Form, Frame, arms_of

Places = Mapping[int, tuple[int, int]]

# Every answer of one item as two arrays: far fewer rows to hand over than one for each answer.
_ANSWERS = """
    SELECT r.instrument_id, r.item, array_agg(r.assignment_id), array_agg(r.value)
    FROM review_rating r
    WHERE r.assignment_id = ANY(%s) AND r.turn_number IS NULL
    GROUP BY r.instrument_id, r.item
"""


def values_of(study: Study, frame: Frame | None = None) -> measures.StudyTable:
    """Everything that agreement and score figures are made of. A fixed number of queries.

    Of all submitted live ratings, or of those that an export's ``frame`` lets in.
    """
    frame = frame or frame_of(study, Options())
    works = list(
        frame.assignments(study, [AssignmentKind.LIVE])
        .filter(state=AssignmentState.SUBMITTED)
        .order_by()
        .values_list("pk", "rater_id", "study_dialogue__code")
    )
    names = _by_length(StudyRater.objects.filter(study=study).values_list("code", "rater_id"))
    raters = {person: row for row, (_, person) in enumerate(names)}
    arms = arms_of(study)
    dialogues = {code: column for column, code in enumerate(arms)}
    places = {pk: (raters[rater], dialogues[code]) for pk, rater, code in works if rater in raters}
    submitted = np.zeros((len(names), len(dialogues)))
    for place in places.values():
        submitted[place] = 1
    answers = _answers(list(places))
    found: list[Measure] = []
    flags = _Flags(places, submitted)
    for form in frame.forms_of[study.pk]:
        items = _items(form, answers, places, submitted.shape)
        found += [*items, *section_measures(form.definition, items)]
        if form.definition.safety:
            found += flags.measures(form, form.definition.safety)
    return measures.StudyTable(
        raters=tuple(code for code, _ in names),
        dialogues=tuple(dialogues),
        arms=tuple(arms.values()),
        submitted=submitted,
        measures=tuple(found),
        severities=tuple(flags.severities.values()),
        flags=tuple(flags.counts()),
    )


def _by_length(pairs: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    return sorted(pairs, key=lambda pair: (len(pair[0]), pair[0]))


def _answers(works: list[int]) -> dict[tuple[int, str], list[tuple[int, str]]]:
    with connection.cursor() as cursor:
        cursor.execute(_ANSWERS, [works])
        return {
            (form, item): list(zip(pks, values, strict=True))
            for form, item, pks, values in cursor.fetchall()
        }


def _items(
    form: Form,
    answers: Mapping[tuple[int, str], Sequence[tuple[int, str]]],
    places: Places,
    shape: tuple[int, ...],
) -> list[Measure]:
    found = []
    for section in form.definition.sections:
        for item in section.items:
            if item.measurement is None or item.level != "dialogue":
                continue
            values, codes = np.full(shape, np.nan), codes_of(item)
            for work, value in answers.get((form.pk, item.key), ()):
                if value in codes and work in places:
                    values[places[work]] = codes[value]
            found.append(item_measure(form.definition, item, str(section.title), values))
    return found


class _Flags:
    """The standing flags of submitted ratings; a study has one form for flags."""

    def __init__(self, places: Places, submitted: Floats) -> None:
        rows = (
            Flag.objects.filter(assignment__in=list(places), withdrawn_at=None)
            .order_by("category")
            .values_list("category", "severity", "assignment_id")
        )
        self.rows = list(rows)
        self.places = places
        self.none = np.where(submitted > 0, 0.0, np.nan)
        self.labels: dict[str, str] = {}
        self.severities: dict[str, str] = {}

    def measures(self, form: Form, safety: FlagForm) -> list[Measure]:
        """Any flag, then each kind of flag that somebody raised: 1 raised, 0 not."""
        self.labels = {one.key: f"{one.number}. {one.label}" for one in safety.categories}
        self.severities = {one.key: str(one.label) for one in safety.severities}
        raised = {category for category, _, _ in self.rows}
        self.labels = {key: label for key, label in self.labels.items() if key in raised} | {
            key: key for key in sorted(raised - set(self.labels))
        }
        wanted = [("any_flag", "Any safety flag"), *self.labels.items()]
        return [self._measure(form, key, label) for key, label in wanted]

    def _measure(self, form: Form, key: str, label: str) -> Measure:
        values = self.none.copy()
        for category, _, work in self.rows:
            if key in (category, "any_flag"):
                values[self.places[work]] = 1
        return Measure(
            kind="flag",
            instrument=form.key,
            version=form.version,
            key=key,
            label=label,
            section="",
            level="nominal",
            values=values,
            categories=(0.0, 1.0),
            answers=("not flagged", "flagged"),
            stored=("0", "1"),
        )

    def counts(self) -> list[tuple[str, tuple[int, ...]]]:
        """Kind of flag -> how many of each severity."""
        found = Counter((category, severity) for category, severity, _ in self.rows)
        return [
            (label, tuple(found[key, severity] for severity in self.severities))
            for key, label in self.labels.items()
        ]
