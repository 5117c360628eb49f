"""How alike two ratings of one dialogue are, item by item. Pure.

An answer counts 1 when it is the same. On a scale it loses in proportion to the distance, as in
linear weights for kappa (Cicchetti & Allison 1971): one point off on a scale from 0 to 2 counts
one half. Chosen sets count by what they share (Jaccard 1901). NA and not sure are alike only to
themselves. Texts are not compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from review.items import NA, NOT_SURE, Item

MARKS = frozenset({NA, NOT_SURE})


@dataclass(frozen=True)
class Compared:
    """Two answers to one item and how alike they are, from 0 to 1."""

    item: Item
    own: str
    other: str
    likeness: float

    @property
    def same(self) -> bool:
        """Whether the answers are the same."""
        return self.own == self.other


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


def agreement(compared: Iterable[Compared]) -> float | None:
    """The mean likeness; None when there is nothing to compare."""
    values = [one.likeness for one in compared]
    return sum(values) / len(values) if values else None


def same_share(compared: Iterable[Compared]) -> float | None:
    """The part of the answers that are the same; None when there is nothing to compare."""
    values = [one.same for one in compared]
    return sum(values) / len(values) if values else None
