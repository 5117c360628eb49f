"""Judgments of dialogues as values to compare: what raters gave, and what the references say."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from django.db.models import QuerySet

from review.instruments import Instrument as Definition
from review.likeness import Sight
from review.models import Assignment, Flag, Rating, Reference, Study

Sights = dict[int, Sight]  # by instrument


def sights_of(works: QuerySet[Assignment], forms: Mapping[int, Definition]) -> Mapping[int, Sights]:
    """Assignment -> instrument -> what its rater gave. Two queries."""
    answers: dict[tuple[int, int], dict[tuple[str, int | None], str]] = defaultdict(dict)
    rows = Rating.objects.filter(assignment__in=works).exclude(value="").order_by()
    for work, form, item, turn, value in rows.values_list(
        "assignment_id", "instrument_id", "item", "turn_number", "value"
    ):
        answers[work, form][item, turn] = value
    flags: dict[tuple[int, int], dict[str, str]] = defaultdict(dict)
    raised = Flag.objects.filter(assignment__in=works, withdrawn_at=None).order_by()
    owner = next((pk for pk, form in forms.items() if form.safety), 0)
    for work, kind, severity in raised.values_list("assignment_id", "category", "severity"):
        there = flags[work, owner]
        there[kind] = worse(forms[owner], there.get(kind), severity) if owner else severity
    found: dict[int, Sights] = defaultdict(dict)
    for work, form in {*answers, *flags}:
        found[work][form] = Sight(answers.get((work, form), {}), flags.get((work, form), {}))
    return found


def worse(form: Definition, one: str | None, other: str) -> str:
    """The worse of two severities."""
    if one is None or form.safety is None:
        return other
    return max(one, other, key=form.safety.grade)


def references_of(study: Study) -> dict[int, dict[int, list[Reference]]]:
    """Training dialogue -> instrument -> its references. One query."""
    found: dict[int, dict[int, list[Reference]]] = {}
    for row in Reference.objects.filter(study_dialogue__study=study, study_dialogue__training=True):
        forms = found.setdefault(row.study_dialogue_id, {})
        forms.setdefault(row.instrument_id, []).append(row)
    return found


def reference_sights(study: Study) -> dict[int, Sights]:
    """Training dialogue -> instrument -> what the references say. One query."""
    return {
        place: {form: reference_sight(rows) for form, rows in forms.items()}
        for place, forms in references_of(study).items()
    }


def reference_sight(rows: Iterable[Reference]) -> Sight:
    """References of one dialogue and one instrument as a judgment."""
    kept = list(rows)
    return Sight(
        {(row.item, row.turn_number): row.value for row in kept if row.item},
        {row.category: row.value for row in kept if row.category},
    )


def lacking_references(study: Study) -> list[str]:
    """Codes of the training dialogues without a reference."""
    rows = study.study_dialogues.filter(training=True, references=None).order_by("code")
    return list(rows.values_list("code", flat=True))
