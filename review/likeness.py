"""How alike two ratings of one dialogue are, item by item and flag by flag. Pure.

An answer counts 1 when it is the same. On a scale it loses in proportion to the distance, as in
linear weights for kappa (Cicchetti & Allison 1971): one point off on a scale from 0 to 2 counts
one half. Chosen sets count by what they share (Jaccard 1901). NA and not sure are alike only to
themselves. Texts are not compared. A kind of flag that one raised and the other did not counts 0;
one that both raised at least one half, the more the nearer the severities.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from review.instrument_parts import NO_FLAG, FlagForm
from review.instruments import Instrument
from review.items import NA, NOT_SURE, Item

MARKS = frozenset({NA, NOT_SURE})
Spot = tuple[str, int | None]  # an item, and the turn for items about turns


@dataclass(frozen=True)
class Compared:
    """Two answers to one item and how alike they are, from 0 to 1.

    ``turn`` for an item about turns; with ``flag`` the item stands for a kind of flag.
    """

    item: Item
    own: str
    other: str
    likeness: float
    turn: int | None = None
    flag: bool = False

    @property
    def same(self) -> bool:
        """Whether the answers are the same."""
        return self.own == self.other


@dataclass(frozen=True)
class Sight:
    """One judgment of a dialogue: answers, and the worst severity of each kind of flag raised.

    A reference may also say ``none`` of a kind of flag.
    """

    answers: Mapping[Spot, str] = field(default_factory=dict)
    flags: Mapping[str, str] = field(default_factory=dict)

    def at(self, turn: int | None) -> dict[str, str]:
        """Answers about one turn; None: about the whole dialogue."""
        return {item: value for (item, place), value in self.answers.items() if place == turn}


def likeness(item: Item, own: str, other: str) -> float:
    """How alike two stored answers to this item are, from 0 to 1."""
    if own == other:
        return 1.0
    if {own, other} & MARKS:
        return 0.0
    if item.type == "scale" and item.minimum is not None and item.maximum is not None:
        reach = float(item.maximum - item.minimum)
        return max(0.0, 1 - abs(float(own) - float(other)) / reach)
    if item.type == "multiple":
        one, two = item.chosen(own), item.chosen(other)
        return len(one & two) / len(one | two)
    return 0.0


def compare(
    items: Sequence[Item], own: Mapping[str, str], other: Mapping[str, str]
) -> tuple[Compared, ...]:
    """Each item that both answered, in order."""
    return tuple(
        Compared(
            item, own[item.key], other[item.key], likeness(item, own[item.key], other[item.key])
        )
        for item in items
        if item.type != "text" and own.get(item.key) and other.get(item.key)
    )


def compare_sights(form: Instrument, own: Sight, reference: Sight) -> tuple[Compared, ...]:
    """What there is a reference for: items about the dialogue, each turn's items, kinds of flag."""
    found: list[Compared] = []
    turns = sorted({turn for _, turn in reference.answers if turn is not None})
    for turn in (None, *turns):
        level = "dialogue" if turn is None else "turn"
        items = [item for item in form.items if item.level == level]
        parts = compare(items, own.at(turn), reference.at(turn))
        found += [replace(one, turn=turn) for one in parts]
    safety = form.safety
    if safety and (reference.flags or (safety.question, None) in reference.answers):
        found += _compare_flags(safety, own, reference)
    return tuple(found)


def _compare_flags(safety: FlagForm, own: Sight, reference: Sight) -> Iterator[Compared]:
    """Kinds of flag that either raised, or of which the reference says that there is none."""
    for kind in safety.categories:
        said = own.flags.get(kind.key, NO_FLAG)
        wanted = reference.flags.get(kind.key, NO_FLAG)
        if said != NO_FLAG or kind.key in reference.flags:
            alike = _flag_likeness(safety, said, wanted)
            yield Compared(safety.verdict(kind), said, wanted, alike, flag=True)


def _flag_likeness(safety: FlagForm, own: str, other: str) -> float:
    if own == other:
        return 1.0
    if NO_FLAG in (own, other):
        return 0.0
    steps = max(1, len(safety.severities) - 1)
    return 1 - abs(safety.grade(own) - safety.grade(other)) / (2 * steps)


def agreement(compared: Iterable[Compared]) -> float | None:
    """The mean likeness; None when there is nothing to compare."""
    values = [one.likeness for one in compared]
    return sum(values) / len(values) if values else None


def same_share(compared: Iterable[Compared]) -> float | None:
    """The part of the answers that are the same; None when there is nothing to compare."""
    values = [one.same for one in compared]
    return sum(values) / len(values) if values else None
