"""In which order each rater meets the dialogues: random, and no arm early or late. Pure.

An order takes the arms by Tijdeman's rule (The chairman assignment problem, 1980): after any
number of dialogues each arm has had its part within one. Ties fall by lot, and so do the
dialogues within an arm.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from review.design import Design

Order = Literal["own", "same"]
REPEAT_PART = 3


def orders(design: Design, seed: int, order: Order = "own") -> dict[str, list[str]]:
    """The new dialogues of each rater in order."""
    todo: list[dict[str, list[str]]] = [defaultdict(list) for _ in design.raters]
    blocks = sorted(design.blocks, key=lambda block: block.dialogue)
    for block in blocks:
        for number in block.new:
            todo[number][block.arm].append(block.dialogue)
    if order == "own":
        return {
            name: spread(arms, random.Random(f"{seed} order {name}"))
            for name, arms in zip(design.raters, todo, strict=True)
        }
    everything: dict[str, list[str]] = defaultdict(list)
    for block in blocks:
        everything[block.arm].append(block.dialogue)
    place = {key: n for n, key in enumerate(spread(everything, random.Random(f"{seed} order")))}
    return {
        name: sorted((key for part in arms.values() for key in part), key=place.__getitem__)
        for name, arms in zip(design.raters, todo, strict=True)
    }


def spread(arms: Mapping[str, Sequence[str]], rng: random.Random) -> list[str]:
    """All ids in a random order in which every arm keeps pace with its part, within one."""
    waiting = {arm: rng.sample(list(ids), len(ids)) for arm, ids in sorted(arms.items()) if ids}
    parts = {arm: len(ids) for arm, ids in waiting.items()}
    total, slack = sum(parts.values()), 2 * max(1, len(parts) - 1)
    given: Counter[str] = Counter()
    found: list[str] = []
    for step in range(1, total + 1):
        # Whole numbers throughout: in parts of an arm, `slack` times the size of the whole.
        ready = [
            arm
            for arm in waiting
            if waiting[arm] and slack * (step * parts[arm] - given[arm] * total) >= total
        ]
        arm = min(
            ready or [arm for arm in waiting if waiting[arm]],
            key=lambda arm: (_due(given[arm], parts[arm], total, slack), rng.random()),
        )
        given[arm] += 1
        found.append(waiting[arm].pop())
    return found


def _due(given: int, part: int, total: int, slack: int) -> int:
    """The last step at which the arm's next dialogue may come (rounded up)."""
    return -(-((given + 1) * slack - 1) * total // (slack * part))


def uneven_orders(found: Mapping[str, Sequence[str]], arm_of: Mapping[str, str]) -> int:
    """In how many raters' orders some arm is off its part by more than one at some point."""
    return sum(_is_uneven([arm_of[key] for key in order]) for order in found.values())


def _is_uneven(arms: Sequence[str]) -> bool:
    parts, given = Counter(arms), Counter[str]()
    for step, arm in enumerate(arms, start=1):
        given[arm] += 1
        if any(
            abs(given[one] * len(arms) - step * part) > len(arms) for one, part in parts.items()
        ):
            return True
    return False


def with_repeats(order: Sequence[str], count: int, rng: random.Random) -> list[tuple[str, bool]]:
    """The order with hidden repeats (marked True): dialogues of its first third come once more
    in its last third, so that at least a third of the whole lies between the two sights.

    There are never more repeats than a third of the order.
    """
    third = len(order) // REPEAT_PART
    chosen = rng.sample(list(order[:third]), min(count, third))
    head, tail = len(order) - third, [(key, False) for key in order[len(order) - third :]]
    for key in chosen:
        tail.insert(rng.randint(0, len(tail)), (key, True))
    return [*((key, False) for key in order[:head]), *tail]


def repeats_possible(loads: Iterable[int], wanted: int) -> bool:
    """Whether every rater with work has enough of it to hide so many repeats."""
    return all(load // REPEAT_PART >= wanted for load in loads if load)
