"""How far a rating is: what is asked, what is open, what is hidden by a condition. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from review.instrument_parts import Instrument

Values = Mapping[str, str]


@dataclass(frozen=True)
class Given:
    """The answers to one form: item -> stored value, and the same for each turn that has some."""

    form: Instrument
    values: Values
    turns: Mapping[int, Values] = field(default_factory=dict)


@dataclass(frozen=True)
class Count:
    """How many of a section's dialogue-level items are answered, of those asked."""

    section: str
    answered: int
    asked: int


@dataclass(frozen=True)
class Standing:
    """``open`` counts required answers still lacking; ``hidden`` holds ids of items not asked.

    ``conditional`` tells whether any item depends on another answer at all.
    """

    open: int
    counts: tuple[Count, ...]
    hidden: frozenset[str]
    conditional: bool = False

    def count(self, section: str) -> Count:
        """The count of one section; KeyError if there is none."""
        return {one.section: one for one in self.counts}[section]


def element(form: str, item: str, turn: int | None = None) -> str:
    """The id of an item's element on the page."""
    return f"{form}-{item}" if turn is None else f"{form}-{item}-t{turn}"


def standing(given: Iterable[Given], turns: int = 0) -> Standing:
    """Work out where a rating of a dialogue of ``turns`` turns stands."""
    still_open = 0
    counts: list[Count] = []
    hidden: set[str] = set()
    conditional = False
    for one in given:
        form, values = one.form, one.values
        asked = {item.key for item in form.visible_items(values)}
        for section in form.sections:
            items = [item for item in section.items if item.level == "dialogue"]
            shown = [item for item in items if item.key in asked]
            answered = sum(bool(values.get(item.key)) for item in shown)
            still_open += sum(item.required and not values.get(item.key) for item in shown)
            counts.append(Count(f"{form.key}-{section.key}", answered, len(shown)))
            hidden.update(element(form.key, i.key) for i in items if i.key not in asked)
        if any(item.level == "turn" for item in form.items):
            for turn in range(1, turns + 1):
                lacking, away = _turn(one, turn)
                still_open += lacking
                hidden |= away
        conditional = conditional or any(item.show_if for item in form.items)
    return Standing(still_open, tuple(counts), frozenset(hidden), conditional)


def _turn(given: Given, turn: int) -> tuple[int, set[str]]:
    """How many required answers a turn lacks, and which of its items are not asked."""
    answers = {**given.values, **given.turns.get(turn, {})}
    items = [item for item in given.form.items if item.level == "turn"]
    asked = {item.key for item in given.form.visible_items(answers)}
    hidden = {element(given.form.key, i.key, turn) for i in items if i.key not in asked}
    return len(given.form.missing(answers, level="turn")), hidden
