"""Agreement in a study: submitted ratings as raters x dialogues, one item at a time."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from review.agreement import gwet_ac, krippendorff_alpha, percent_agreement
from review.bootstrap import Result
from review.items import Item, scale_values
from review.models import AssignmentKind, AssignmentState, Rating, Study
from review.tables import Options, frame_of
from review.tables.frame import Form


@dataclass(frozen=True)
class ItemAgreement:
    """Figures of one item: ``units`` dialogues were rated by two raters or more."""

    instrument: str
    instrument_version: str
    item: str
    label: str
    level: str
    ratings: int
    percent_agreement: Result
    krippendorff_alpha: Result
    gwet_ac: Result

    @property
    def units(self) -> int:
        """Dialogues that went in."""
        return self.krippendorff_alpha.units

    def as_json(self) -> dict[str, Any]:
        """For a program."""
        return asdict(self) | {"units": self.units}


def agreement_of(study: Study) -> Iterator[ItemAgreement]:
    """Each item that measures one value, in the instruments' order.

    Scales are compared as ordinal, choices and yes/no as nominal values. "Not sure" and "not
    applicable" count as missing. Two queries, whatever the size.
    """
    values = _values(study)
    for form in frame_of(study, Options()).forms:
        for item in form.definition.items:
            if item.measurement is not None and item.level == "dialogue":
                yield _of_item(form, item, values.get((form.pk, item.key), {}))


def _values(study: Study) -> Mapping[tuple[int, str], dict[tuple[int, int], str]]:
    """(instrument, item) -> (rater, dialogue) -> stored value, of what was submitted live."""
    found: dict[tuple[int, str], dict[tuple[int, int], str]] = defaultdict(dict)
    rows = Rating.objects.filter(
        assignment__study=study,
        assignment__kind=AssignmentKind.LIVE,
        assignment__state=AssignmentState.SUBMITTED,
        turn_number=None,
    ).values_list(
        "instrument_id", "item", "assignment__rater_id", "assignment__study_dialogue_id", "value"
    )
    for instrument, item, rater, dialogue, value in rows.order_by().iterator():
        found[instrument, item][rater, dialogue] = value
    return found


def _of_item(form: Form, item: Item, given: Mapping[tuple[int, int], str]) -> ItemAgreement:
    matrix, categories = _matrix(item, given)
    ordinal = item.measurement == "ordinal"
    return ItemAgreement(
        instrument=form.key,
        instrument_version=form.version,
        item=item.key,
        label=str(item.label),
        level="ordinal" if ordinal else "nominal",
        ratings=int((~np.isnan(matrix)).sum()),
        percent_agreement=percent_agreement(matrix),
        krippendorff_alpha=krippendorff_alpha(matrix, "ordinal" if ordinal else "nominal"),
        gwet_ac=gwet_ac(matrix, "quadratic" if ordinal else "identity", categories=categories),
    )


def _matrix(
    item: Item, given: Mapping[tuple[int, int], str]
) -> tuple[NDArray[np.float64], list[float]]:
    """Raters x dialogues with NaN for missing, and all values that the item can take."""
    if item.type == "scale":
        codes = {point.value: float(point.value) for point in item.points}
        categories = [float(value) for value in scale_values(item)]
    else:
        codes = {point.value: float(place) for place, point in enumerate(item.points)}
        categories = list(codes.values())
    raters = {rater: row for row, rater in enumerate(sorted({key[0] for key in given}))}
    dialogues = {one: column for column, one in enumerate(sorted({key[1] for key in given}))}
    matrix = np.full((max(1, len(raters)), len(dialogues)), np.nan)
    for (rater, dialogue), value in given.items():
        matrix[raters[rater], dialogues[dialogue]] = codes.get(value, np.nan)
    return matrix, categories
