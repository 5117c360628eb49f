"""Hidden repeats of a study: each rater's second answers beside the first."""

from collections import defaultdict
from collections.abc import Mapping

from review.actions.definitions import definition_of
from review.consistency import Steadiness, TwoSights, steadiness
from review.models import Assignment, AssignmentKind, AssignmentState, Rating, Study


def steadiness_of(study: Study) -> list[Steadiness]:
    """Each rater's steadiness by pseudonym, over repeats of which both sights are submitted.

    Four queries, whatever the size.
    """
    forms = {
        link.instrument_id: definition_of(link.instrument)
        for link in study.study_instruments.select_related("instrument").order_by("position")
    }
    codes = dict(study.study_raters.values_list("rater_id", "code"))
    done = study.assignments.filter(state=AssignmentState.SUBMITTED)
    again = done.filter(kind=AssignmentKind.REPEAT)
    places = again.values("study_dialogue")
    sights = Assignment.objects.filter(pk__in=done.filter(study_dialogue__in=places)).filter(
        kind__in=[AssignmentKind.LIVE, AssignmentKind.REPEAT]
    )
    given: dict[int, dict[int, dict[str, str]]] = defaultdict(lambda: defaultdict(dict))
    rows = Rating.objects.filter(assignment__in=sights, turn_number=None).order_by()
    cells = rows.values_list("assignment_id", "instrument_id", "item", "value")
    for assignment_id, instrument_id, item, value in cells:
        given[assignment_id][instrument_id][item] = value
    pairs: dict[tuple[int, int], dict[str, int]] = defaultdict(dict)
    for pk, kind, rater, place in sights.values_list("pk", "kind", "rater_id", "study_dialogue_id"):
        pairs[rater, place][kind] = pk
    # One list for all forms: an item is known by its form and key.
    items = [
        item.model_copy(update={"key": f"{pk}:{item.key}"})
        for pk, form in forms.items()
        for item in form.items
    ]
    return steadiness(
        TwoSights(
            rater=codes[rater],
            items=items,
            first=_flat(given[both[AssignmentKind.LIVE]]),
            second=_flat(given[both[AssignmentKind.REPEAT]]),
        )
        for (rater, _place), both in pairs.items()
        if len(both) == 2
    )


def _flat(answers: Mapping[int, Mapping[str, str]]) -> dict[str, str]:
    return {f"{pk}:{item}": value for pk, part in answers.items() for item, value in part.items()}
