"""How far a rating is: what is asked after the answers given, what is open, what is hidden. Pure.

Items about a turn are asked once for each turn, after the answers about the dialogue and that turn.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from review.answers import visible
from review.instrument_parts import Instrument, Section
from review.items import Item


class Spot(NamedTuple):
    """Where an answer belongs: instrument, item, and the turn for items about turns."""

    instrument: str
    item: str
    turn: int | None = None

    @property
    def id(self) -> str:
        """The id on the page."""
        place = "" if self.turn is None else f"-t{self.turn}"
        return f"{self.instrument}-{self.item}{place}"


Given = Mapping[Spot, str]
Lack = Literal["answer", "evidence", "flag_missing", "flag_unexpected"]


@dataclass(frozen=True)
class Place:
    """A question at its place in the form, and whether it is asked."""

    spot: Spot
    section: Section
    item: Item
    asked: bool
    value: str

    @property
    def open(self) -> bool:
        """Whether an answer is needed and lacking."""
        return self.asked and self.item.required and not self.value.strip()


@dataclass
class Standing:
    """The state of a whole rating. ``sections``: id -> [answered, asked]."""

    open: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    sections: dict[str, list[int]] = field(default_factory=dict)


def answers_for(form: Instrument, given: Given, turn: int | None = None) -> dict[str, str]:
    """Item -> stored value of one instrument: about the dialogue, and about one turn if named."""
    found = {}
    for item in form.items:
        if item.level == "dialogue" or turn is not None:
            place = turn if item.level == "turn" else None
            value = given.get(Spot(form.key, item.key, place), "")
            if value:
                found[item.key] = value
    return found


def places(form: Instrument, given: Given, turns: Sequence[int]) -> Iterator[Place]:
    """Every question in the order of the form; one about turns stands there once for each turn."""
    levels: list[int | None] = [None]
    if any(item.level == "turn" for item in form.items):
        levels += turns
    shown = {
        turn: {item.key for item in visible(form.items, answers_for(form, given, turn))}
        for turn in levels
    }
    for section in form.sections:
        for item in section.items:
            for turn in turns if item.level == "turn" else (None,):
                spot = Spot(form.key, item.key, turn)
                asked = item.key in shown[turn]
                yield Place(spot, section, item, asked, given.get(spot, ""))


def standing(forms: Sequence[Instrument], given: Given, turns: Sequence[int]) -> Standing:
    """What the page shows beside the answers: counts, what is open, what is hidden."""
    result = Standing()
    for form in forms:
        for place in places(form, given, turns):
            counts = result.sections.setdefault(f"{form.key}-{place.section.key}", [0, 0])
            if not place.asked:
                result.hidden.append(place.spot.id)
                continue
            counts[0] += bool(place.value)
            counts[1] += 1
            if place.open:
                result.open.append(place.spot.id)
    return result


def subtotals(forms: Sequence[Instrument], given: Given) -> list[dict[str, object]]:
    """The totals as far as the answers allow, for studies that show them while rating."""
    return [
        {
            "instrument": form.key,
            "key": key,
            "label": str(total.label),
            "value": total.value,
            "maximum": total.maximum,
            "missing": total.missing,
            "band": None if total.band is None else str(total.band),
        }
        for form in forms
        for key, total in form.totals(answers_for(form, given)).items()
    ]


def lacking(
    forms: Sequence[Instrument],
    given: Given,
    turns: Sequence[int],
    *,
    marked: Collection[Spot],
    flags: int,
) -> list[tuple[Spot, Lack]]:
    """What stands between a rating and its submission, in the form's order.

    ``marked`` holds, for each passage, its item and turn; ``flags`` counts the flags that stand.
    """
    found: list[tuple[Spot, Lack]] = []
    items = {(spot.instrument, spot.item) for spot in marked}
    for form in forms:
        for place in places(form, given, turns):
            has_mark = (
                (form.key, place.spot.item) in items
                if place.spot.turn is None
                else place.spot in marked
            )
            if place.open:
                found.append((place.spot, "answer"))
            elif place.asked and place.item.needs_evidence(place.value) and not has_mark:
                found.append((place.spot, "evidence"))
        conflict = form.flag_conflict(answers_for(form, given), flags)
        if conflict and form.safety:
            found.append((Spot(form.key, form.safety.question), conflict))
    return found
