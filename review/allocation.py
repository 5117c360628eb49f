"""Who rates which dialogue, in which order: balanced, seeded, explained. Pure.

The design is a set of blocks (a dialogue and its raters). Loads come first: each rater's share is
worked out by levelling, and dialogues take the raters who still have most to do. Exchanges between
blocks, which keep every load, then even out who rates with whom and who sees which arm
(review.exchange). Orders come last (review.orders). The result depends on the ids and the seed
alone, not on the order of the input.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from review.design import Block, Design, DesignReport, describe
from review.exchange import improve
from review.loads import fill
from review.orders import Order, orders, uneven_orders

__all__ = [
    "Allocation",
    "Assigned",
    "DesignReport",
    "DialogueUnit",
    "RaterSlot",
    "allocate",
]

ExistingAssignment = tuple[str, str, int]


@dataclass(frozen=True)
class DialogueUnit:
    """A dialogue to rate; `profile` and `arm` are only compared, never shown.

    `wanted` is the number of raters it should have where that was settled before; None lets
    overlap and share decide.
    """

    id: str
    profile: str
    arm: str
    wanted: int | None = None


@dataclass(frozen=True)
class RaterSlot:
    """A rater; `quota` is the most dialogues in all, those already assigned included."""

    id: str
    quota: int | None = None


@dataclass(frozen=True)
class Assigned:
    """A new assignment; `position` is the place in the rater's order, from 1."""

    dialogue: str
    rater: str
    position: int


@dataclass(frozen=True)
class Allocation:
    """The new assignments (existing ones are not repeated), how many raters each dialogue should
    have, and what the whole design looks like."""

    assignments: tuple[Assigned, ...]
    wanted: Mapping[str, int]
    report: DesignReport


def allocate(
    dialogues: Sequence[DialogueUnit],
    raters: Sequence[RaterSlot],
    *,
    overlap: int,
    seed: int,
    share: float = 1.0,
    avoid_same_profile: bool = True,
    order: Order = "own",
    existing: Sequence[ExistingAssignment] = (),
    barred: Collection[tuple[str, str]] = (),
) -> Allocation:
    """Give dialogues to raters.

    `share` (0 to 1) of the dialogues get `overlap` different raters, the others one. `existing`
    (dialogue, rater, position) is never changed; new work is placed after it. Raters who appear
    only there get nothing new, but what they did counts. `barred` (dialogue, rater) are never put
    together: somebody handed it back. Loads are equal within one, pairs of
    raters share equally many dialogues within one, arms are spread evenly over raters and
    positions (at any point of an order each arm is within one of its part); with `order` "same"
    all raters keep one order. Where a wish cannot be had, `report.unmet` says so in a sentence.

    Raises ValueError for an overlap below 1, a share outside 0 to 1, or a repeated id.
    """
    _check(dialogues, raters, overlap, share, existing)
    place = _places(seed)
    units = sorted(dialogues, key=lambda unit: place(unit.id))
    slots = sorted(raters, key=lambda rater: place(rater.id))
    quotas = [rater.quota for rater in slots]
    done = Counter(rater for _, rater, _ in existing)
    design = _start(
        units,
        [rater.id for rater in slots],
        existing,
        frozenset(barred),
        overlap=overlap,
        share=share,
    )
    fill(
        design,
        quotas,
        [done[rater.id] for rater in slots],
        avoid_same_profile=avoid_same_profile,
    )
    improve(design, avoid_same_profile=avoid_same_profile, seed=f"{seed} exchange")
    found = orders(design, seed, order)
    return Allocation(
        assignments=_numbered(found, existing),
        wanted={block.dialogue: block.wanted for block in design.blocks},
        report=describe(
            design,
            quotas=quotas,
            avoid=avoid_same_profile,
            uneven_orders=uneven_orders(found, {unit.id: unit.arm for unit in units}),
        ),
    )


def _numbered(
    found: Mapping[str, Sequence[str]], existing: Sequence[ExistingAssignment]
) -> tuple[Assigned, ...]:
    """Each rater's new dialogues in order, after what is there."""
    last: Counter[str] = Counter()
    for _, rater, position in existing:
        last[rater] = max(last[rater], position)
    return tuple(
        Assigned(dialogue, rater, position)
        for rater, dialogues in found.items()
        for position, dialogue in enumerate(dialogues, start=last[rater] + 1)
    )


def _check(
    dialogues: Sequence[DialogueUnit],
    raters: Sequence[RaterSlot],
    overlap: int,
    share: float,
    existing: Sequence[ExistingAssignment],
) -> None:
    if overlap < 1:
        raise ValueError("The overlap must be at least 1.")
    if not 0 <= share <= 1:
        raise ValueError("The share of dialogues with overlap must lie between 0 and 1.")
    for what, ids in (
        ("A dialogue", [unit.id for unit in dialogues]),
        ("A rater", [rater.id for rater in raters]),
        ("An existing assignment", [entry[:2] for entry in existing]),
    ):
        if len(set(ids)) != len(ids):
            raise ValueError(f"{what} is given twice.")


def _places(seed: int) -> Callable[[str], bytes]:
    """A random order of ids that depends on seed and id alone, whatever else is there."""
    return lambda key: hashlib.sha256(f"{seed} {key}".encode()).digest()


def _start(
    units: Sequence[DialogueUnit],
    raters: Sequence[str],
    existing: Sequence[ExistingAssignment],
    barred: Collection[tuple[str, str]],
    *,
    overlap: int,
    share: float,
) -> Design:
    """Blocks with the raters they have and the number they want; dialogues with overlap first.

    Dialogues of one profile stand together: taking the least busy raters then parts them.
    """
    index = {rater: number for number, rater in enumerate(raters)}
    fixed: dict[str, list[str]] = defaultdict(list)
    for dialogue, rater, _ in existing:
        fixed[dialogue].append(rater)
    never: dict[str, set[int]] = defaultdict(set)
    for dialogue, rater in barred:
        if rater in index:
            never[dialogue].add(index[rater])
    wanted = _wanted(units, fixed, overlap=overlap, share=share)
    blocks = []
    for unit in units:
        here = [index[rater] for rater in fixed[unit.id] if rater in index]
        blocks.append(
            Block(
                dialogue=unit.id,
                profile=unit.profile,
                arm=unit.arm,
                wanted=wanted[unit.id],
                members=here,
                frozen=len(here),
                away=len(fixed[unit.id]) - len(here),
                barred=frozenset(never[unit.id]),
            )
        )
    first: dict[str, int] = {}
    for number, unit in enumerate(units):
        first.setdefault(unit.profile, number)
    blocks.sort(key=lambda block: (block.wanted == 1, first[block.profile]))
    return Design(raters, blocks)


def _wanted(
    units: Sequence[DialogueUnit],
    fixed: Mapping[str, Sequence[str]],
    *,
    overlap: int,
    share: float,
) -> dict[str, int]:
    """How many raters each dialogue should have: overlap for the share of each arm, else one."""
    arms: dict[str, list[str]] = defaultdict(list)
    for unit in units:
        if unit.wanted is None:
            arms[unit.arm].append(unit.id)
    chosen = _rounded({arm: share * len(ids) for arm, ids in sorted(arms.items())})
    wanted = {unit.id: 1 if unit.wanted is None else unit.wanted for unit in units}
    for arm, ids in arms.items():
        # A dialogue that already has several raters was chosen before and stays chosen.
        ids.sort(key=lambda key: len(fixed.get(key, ())) < 2)
        wanted.update(dict.fromkeys(ids[: chosen[arm]], overlap))
    return wanted


def _rounded(parts: Mapping[str, float]) -> dict[str, int]:
    """Whole numbers near the parts that add up to the rounded sum (largest remainder)."""
    whole = {key: int(part) for key, part in parts.items()}
    left = round(sum(parts.values())) - sum(whole.values())
    for key in sorted(parts, key=lambda key: whole[key] - parts[key])[:left]:
        whole[key] += 1
    return whole
