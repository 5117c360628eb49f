"""Which two dialogues are compared, and which of them stands on the left. Pure.

Two dialogues are compared when they come from different arms and have the same origin (a client
profile, or the id that an imported corpus shares between its variants): what differs is then the
arm alone. Sides are balanced three times, each within one: for every rater and pair of arms, and,
where several raters compare the same two dialogues, for the pair; chance, from the seed, decides
what balance leaves open.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations


@dataclass(frozen=True)
class Candidate:
    """A dialogue that may be compared with others of the same ``group`` and another ``arm``."""

    id: str
    group: str
    arm: str


@dataclass(frozen=True)
class Pair:
    """Two dialogues of one group; ``one`` comes from the arm that sorts first."""

    one: str
    other: str
    group: str
    arms: tuple[str, str]

    @property
    def id(self) -> str:
        """A name of the pair, the same whoever makes it."""
        return f"{self.one} {self.other}"


def pairs_of(
    candidates: Iterable[Candidate], *, seed: int, per_arms: int | None = None
) -> list[Pair]:
    """Every comparison that the candidates allow, in an order of chance.

    Where an arm has several dialogues of a group, they are matched one to one with those of the
    other arm. ``per_arms`` keeps at most that many pairs of each two arms, drawn by ``seed``.
    """
    shuffle = random.Random(f"{seed} pairs")
    groups: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for one in sorted(candidates, key=lambda each: (each.group, each.arm, each.id)):
        groups[one.group][one.arm].append(one.id)
    found: dict[tuple[str, str], list[Pair]] = defaultdict(list)
    for group, arms in groups.items():
        for ids in arms.values():
            shuffle.shuffle(ids)
        for first, second in combinations(sorted(arms), 2):
            found[first, second] += [
                Pair(left, right, group, (first, second))
                for left, right in zip(arms[first], arms[second], strict=False)
            ]
    kept: list[Pair] = []
    for pairs in found.values():
        shuffle.shuffle(pairs)
        kept += pairs[:per_arms]
    shuffle.shuffle(kept)
    return kept


def sides(given: Sequence[tuple[str, str]], pairs: Iterable[Pair], *, seed: int) -> list[bool]:
    """For each (pair id, rater) whether the pair's ``other`` dialogue stands on the left."""
    chance = random.Random(f"{seed} sides")
    arms = {pair.id: pair.arms for pair in pairs}
    by_rater: Counter[tuple[str, tuple[str, str]]] = Counter()
    by_pair: Counter[str] = Counter()
    swapped = []
    for pair, rater in given:
        # Above zero: the first arm stood on the left more often, so now the second does.
        lead = by_rater[rater, arms[pair]] or by_pair[pair]
        swap = lead > 0 if lead else chance.random() < 0.5
        swapped.append(swap)
        step = -1 if swap else 1
        by_rater[rater, arms[pair]] += step
        by_pair[pair] += step
    return swapped
