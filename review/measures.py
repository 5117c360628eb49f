"""What is compared between raters: items, sections and kinds of flag as tables of numbers. Pure.

A measure is raters x dialogues with NaN where there is no rating. Only submitted, live ratings go
in; "not sure" and "not applicable" are missing, never a number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from review.bootstrap import Floats
from review.instruments import Instrument
from review.items import Item, scale_values

Kind = Literal["item", "section", "flag"]
Scale = Literal["nominal", "ordinal", "interval"]
MIN_SECTION_ITEMS = 2


@dataclass(frozen=True)
class Measure:
    """One row of the results: ``values`` is raters x dialogues.

    ``categories`` are all numbers that can occur, ``answers`` what each is called; both are empty
    where any number can (a section's total). ``stored`` is how each is stored, for a total the keys
    of its items. ``section`` is the heading that an item stands under.
    """

    kind: Kind
    instrument: str
    version: str
    key: str
    label: str
    section: str
    level: Scale
    values: Floats
    categories: tuple[float, ...] = ()
    answers: tuple[str, ...] = ()
    stored: tuple[str, ...] = ()

    def of(self, dialogues: Floats | Sequence[int]) -> Measure:
        """The same for some dialogues only (their columns)."""
        return replace(self, values=self.values[:, dialogues])

    @property
    def ratings(self) -> int:
        """How many numbers there are."""
        return int((~np.isnan(self.values)).sum())


@dataclass(frozen=True)
class StudyTable:
    """A study's submitted ratings: names of raters and dialogues (codes), arm of each dialogue.

    ``submitted`` is raters x dialogues, 1 where it was handed in. ``flags`` counts flags:
    (label of the kind, then one count for each of ``severities``).
    """

    raters: tuple[str, ...]
    dialogues: tuple[str, ...]
    arms: tuple[str, ...]
    submitted: Floats
    measures: tuple[Measure, ...]
    severities: tuple[str, ...] = ()
    flags: tuple[tuple[str, tuple[int, ...]], ...] = ()

    @property
    def arm_names(self) -> list[str]:
        """The arms in alphabetical order."""
        return sorted(set(self.arms))

    def columns_of(self, arm: str) -> list[int]:
        """The columns of an arm's dialogues."""
        return [column for column, name in enumerate(self.arms) if name == arm]


def codes_of(item: Item) -> dict[str, float]:
    """Stored value -> number, in order; scale points are their own number, others their place."""
    if item.type == "scale":
        return {point.value: float(point.value) for point in item.points}
    return {point.value: float(place) for place, point in enumerate(item.points)}


def item_measure(form: Instrument, item: Item, section: str, values: Floats) -> Measure:
    """An item that measures one value."""
    ordinal = item.measurement == "ordinal"
    return Measure(
        kind="item",
        instrument=form.key,
        version=form.version,
        key=item.key,
        label=str(item.label),
        section=section,
        level="ordinal" if ordinal else "nominal",
        values=values,
        categories=tuple(
            [float(value) for value in scale_values(item)]
            if ordinal
            else [float(place) for place in range(len(item.points))]
        ),
        answers=tuple(str(point.label) for point in item.points),
        stored=tuple(point.value for point in item.points),
    )


def section_measures(form: Instrument, items: Iterable[Measure]) -> list[Measure]:
    """Totals: each section of two scales or more, and the instrument's totals over several.

    A rater's total counts only where every one of its items has a number.
    """
    known = {one.key: one for one in items if one.instrument == form.key and one.level == "ordinal"}
    wanted: list[tuple[str, str, list[str]]] = []
    for section in form.sections:
        keys = [item.key for item in section.items if item.key in known]
        wanted.append((section.key, str(section.title), keys))
    taken = [keys for _, _, keys in wanted]
    for rule in form.total_rules:
        keys = [item.key for item in form.counted(rule) if item.key in known]
        if keys not in taken:
            wanted.append((f"total_{rule.key}", str(rule.label), keys))
    return [
        _total(form, key, label, [known[one] for one in keys])
        for key, label, keys in wanted
        if len(keys) >= MIN_SECTION_ITEMS
    ]


def _total(form: Instrument, key: str, label: str, items: Sequence[Measure]) -> Measure:
    return Measure(
        kind="section",
        instrument=form.key,
        version=form.version,
        key=key,
        label=label,
        section="",
        level="interval",
        values=np.sum([one.values for one in items], axis=0),
        stored=tuple(one.key for one in items),
    )
