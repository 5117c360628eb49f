"""Where raters of one dialogue disagree beyond a limit. Pure.

A dispute is about one item (of one turn, where the item is about turns), or about one kind of flag
that some raised and others did not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from review.instrument_parts import NO_FLAG
from review.instruments import Instrument
from review.items import NA, NOT_SURE, Item

Spot = tuple[str, int | None]  # an item, and the turn for items about turns
MARKS = frozenset({NA, NOT_SURE})


@dataclass(frozen=True)
class Dispute:
    """One disagreement. ``answers`` are rater -> stored value; for a flag the worst severity.

    ``spread`` sorts disputes: the share of the scale between the highest and the lowest rating,
    1 for answers without an order, 2 to 3 for flags, by severity.
    """

    instrument: str
    item: str
    category: str
    label: str
    choices: tuple[tuple[str, str], ...]
    answers: Mapping[str, str]
    spread: float
    turn: int | None = None

    @property
    def key(self) -> str:
        """Its name on a page and in an address."""
        return dispute_key(self.instrument, self.item, self.category, self.turn)

    def said(self, value: str) -> str:
        """A stored value in words."""
        return dict(self.choices).get(value, value)


def dispute_key(instrument: str, item: str, category: str, turn: int | None) -> str:
    """What a dispute about this is called."""
    place = "" if turn is None else f".turn{turn}"
    return f"{instrument}.{item or f'flag.{category}'}{place}"


def item_disputes(
    form: Instrument, answers: Mapping[Spot, Mapping[str, str]], limit: Decimal
) -> list[Dispute]:
    """Items whose ratings differ: by more than ``limit`` points on a scale, at all elsewhere.

    ``answers`` maps a spot to its raters' stored values. "Not sure" and "not applicable" are no
    measurement: they neither make a dispute nor end one.
    """
    turns: dict[str, list[int]] = {}
    for key, turn in answers:
        if turn is not None:
            turns.setdefault(key, []).append(turn)
    found = []
    for item in form.items:
        if item.measurement is None:
            continue
        places = [None] if item.level == "dialogue" else sorted(turns.get(item.key, ()))
        for turn in places:
            given = answers.get((item.key, turn), {})
            spread = spread_of(item, [value for value in given.values() if value], limit)
            if spread:
                found.append(_item_dispute(form, item, turn, given, spread))
    return found


def _item_dispute(
    form: Instrument, item: Item, turn: int | None, given: Mapping[str, str], spread: float
) -> Dispute:
    choices = tuple((one.value, _words(one)) for one in (*item.points, *item.marks))
    return Dispute(form.key, item.key, "", str(item.label), choices, given, spread, turn)


def spread_of(item: Item, values: Sequence[str], limit: Decimal) -> float:
    """How far apart the measurements are, from 0 (within the limit) to 1."""
    measured = [value for value in values if value not in MARKS]
    if item.type != "scale":
        return 1.0 if len(set(measured)) > 1 else 0.0
    points = [Decimal(value) for value in measured]
    apart = max(points) - min(points) if points else Decimal(0)
    if apart <= limit or item.maximum is None or item.minimum is None:
        return 0.0
    return float(apart / (item.maximum - item.minimum))


def flag_disputes(
    form: Instrument, raters: Sequence[str], flags: Mapping[str, Mapping[str, str]]
) -> list[Dispute]:
    """Kinds of flag that some of ``raters`` raised; ``flags`` maps a category to rater -> worst."""
    safety = form.safety
    if safety is None:
        return []
    grades = [one.key for one in safety.severities]
    choices = [(NO_FLAG, "No flag"), *((one.key, str(one.label)) for one in safety.severities)]
    found = []
    for kind in safety.categories:
        given = {rater: flags.get(kind.key, {}).get(rater, NO_FLAG) for rater in raters}
        raised = [value for value in given.values() if value != NO_FLAG]
        if raised and len(raised) < len(given):
            worst = max(grades.index(value) if value in grades else 0 for value in raised)
            found.append(
                Dispute(
                    form.key, "", kind.key, f"Flag: {kind.label}", tuple(choices), given,
                    2 + worst / max(1, len(grades) - 1),
                )
            )  # fmt: skip
    return found


def _words(point: object) -> str:
    value, label = str(getattr(point, "value", "")), str(getattr(point, "label", ""))
    anchor = getattr(point, "anchor", None)
    text = label if label != value else value
    return f"{text}: {anchor}" if anchor else text
