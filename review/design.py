"""A design while it is being made: blocks (a dialogue and its raters) and running counts. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

NO_CLOSER = "because no closer arrangement was found for these numbers"


@dataclass
class Block:
    """A dialogue with its raters as places in `Design.raters`; the first `frozen` never change.

    `away` counts raters who rated it but take no new work; `wanted` is the number of raters it
    should have, `need` how many of them can still be given; `barred` must never have it.
    """

    dialogue: str
    profile: str
    arm: str
    wanted: int
    members: list[int] = field(default_factory=list)
    frozen: int = 0
    away: int = 0
    need: int = 0
    barred: frozenset[int] = frozenset()

    def takes(self, rater: int) -> bool:
        """Whether this rater may be added."""
        return rater not in self.members and rater not in self.barred

    @property
    def size(self) -> int:
        """Raters it has, those who left included."""
        return len(self.members) + self.away

    @property
    def new(self) -> list[int]:
        """The raters that this allocation adds."""
        return self.members[self.frozen :]


class Design:
    """Blocks with counts per pair of raters, per arm and rater, and per profile and rater."""

    def __init__(self, raters: Sequence[str], blocks: Sequence[Block]) -> None:
        self.raters = list(raters)
        self.blocks = list(blocks)
        self.arrange([block.members for block in blocks])

    def arrange(self, members: Sequence[Sequence[int]]) -> None:
        """Set the raters of every block, in order, and count afresh."""
        size = len(self.raters)
        self.loads = [0] * size
        self.pairs = [[0] * size for _ in range(size)]
        self.arms: dict[str, list[int]] = {block.arm: [0] * size for block in self.blocks}
        self.profiles: list[dict[str, int]] = [defaultdict(int) for _ in range(size)]
        for block, raters in zip(self.blocks, [list(part) for part in members], strict=True):
            block.members = []
            for rater in raters:
                self.add(block, rater)

    def add(self, block: Block, rater: int) -> None:
        """Give the block to one more rater."""
        self._count(block, rater, 1)
        block.members.append(rater)

    def replace(self, block: Block, old: int, new: int) -> None:
        """Give the block to `new` instead of `old`, in the same place."""
        place = block.members.index(old)
        block.members.pop(place)
        self._count(block, old, -1)
        self._count(block, new, 1)
        block.members.insert(place, new)

    def _count(self, block: Block, rater: int, step: int) -> None:
        row = self.pairs[rater]
        for other in block.members:
            row[other] += step
            self.pairs[other][rater] += step
        self.loads[rater] += step
        self.arms[block.arm][rater] += step
        self.profiles[rater][block.profile] += step

    def pair_counts(self) -> Iterator[tuple[int, int, int]]:
        """Each pair of raters with the number of dialogues they share."""
        for one, row in enumerate(self.pairs):
            for other in range(one + 1, len(row)):
                yield one, other, row[other]

    def pair_spread(self) -> tuple[int, int]:
        """The fewest and the most dialogues any two raters share; (0, 0) without a pair."""
        counts = [count for _, _, count in self.pair_counts()]
        return (min(counts), max(counts)) if counts else (0, 0)

    def repeats(self) -> int:
        """How often a rater meets a profile again: pairs of dialogues of one profile."""
        return sum(n * (n - 1) // 2 for seen in self.profiles for n in seen.values())

    def arm_shares(self) -> dict[str, list[float]]:
        """The even spread: each rater's load times the arm's part of all ratings."""
        total = sum(self.loads) or 1
        return {
            arm: [load * sum(counts) / total for load in self.loads]
            for arm, counts in self.arms.items()
        }

    def uneven_arms(self) -> int:
        """Cells of the arm by rater table that are off the even spread by one or more."""
        even = self.arm_shares()
        return sum(
            abs(count - share) > 1 + 1e-9
            for arm, counts in self.arms.items()
            for count, share in zip(counts, even[arm], strict=True)
        )


@dataclass(frozen=True)
class DesignReport:
    """What a design looks like, earlier work included; ids as given.

    `loads`: dialogues per rater. `pairs`: dialogues two raters share. `arms`: arm -> rater ->
    dialogues. `raters_per_dialogue`: number of raters -> number of dialogues. `unmet`: one
    sentence for each wish that could not be met, with the reason.
    """

    loads: Mapping[str, int]
    pairs: Mapping[tuple[str, str], int]
    arms: Mapping[str, Mapping[str, int]]
    raters_per_dialogue: Mapping[int, int]
    unmet: tuple[str, ...]


def describe(
    design: Design, *, quotas: Iterable[int | None], avoid: bool, uneven_orders: int = 0
) -> DesignReport:
    """The report on a finished design."""
    names = design.raters
    sizes = sorted(block.size for block in design.blocks)
    return DesignReport(
        loads=dict(zip(names, design.loads, strict=True)),
        pairs={(names[a], names[b]): count for a, b, count in design.pair_counts()},
        arms={
            arm: dict(zip(names, counts, strict=True))
            for arm, counts in sorted(design.arms.items())
        },
        raters_per_dialogue={size: sizes.count(size) for size in sorted(set(sizes))},
        unmet=tuple(
            _unmet(design, any(quota is not None for quota in quotas), avoid, uneven_orders)
        ),
    )


def _unmet(design: Design, quotas: bool, avoid: bool, uneven_orders: int) -> Iterator[str]:
    frozen = any(block.frozen or block.away for block in design.blocks)
    causes = [
        cause
        for cause, there in (
            ("the raters' quotas", quotas),
            ("work assigned before", frozen),
        )
        if there
    ]
    reason = f"because of {' and '.join(causes)}" if causes else NO_CLOSER
    yield from _short_blocks(design, quotas)
    if design.loads and max(design.loads) - min(design.loads) > 1:
        low, high = min(design.loads), max(design.loads)
        yield f"Raters have from {low} to {high} dialogues each, {reason}."
    if avoid and (repeats := design.repeats()):
        few = "because there are too few raters to keep its dialogues apart"
        yield f"{_times(repeats)} a rater sees two dialogues of one profile, {few}."
    low, high = design.pair_spread()
    if high - low > 1:
        yield f"Two raters share from {low} to {high} dialogues, {reason}."
    if uneven := design.uneven_arms():
        yield f"{_times(uneven)} a rater's part of an arm is off the even spread, {reason}."
    if uneven_orders:
        same = "because all raters keep the same order"
        yield f"{_times(uneven_orders)} a rater meets an arm early or late, {same}."


def _short_blocks(design: Design, quotas: bool) -> Iterator[str]:
    short = [block for block in design.blocks if block.size < block.wanted]
    if not short:
        return
    wanted = max(block.wanted for block in short)
    count = f"{len(short)} of {len(design.blocks)} dialogues"
    if wanted > len(design.raters) and not quotas:
        there = f"there are only {len(design.raters)}"
        yield f"{count} should have {wanted} raters but {there}; add raters or lower the overlap."
    elif any(block.barred for block in short):
        away = "because those who could still rate them handed them back"
        yield f"{count} have fewer raters than wanted, {away}."
    else:
        yield f"{count} have fewer raters than wanted, because the raters' quotas are used up."


def _times(count: int) -> str:
    return "Once" if count == 1 else f"{count} times"
