"""How much each rater does, and a first arrangement with exactly these loads. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from review.design import Block, Design


def fill(
    design: Design,
    quotas: Sequence[int | None],
    done: Sequence[int],
    *,
    avoid_same_profile: bool,
) -> None:
    """Add new raters to the blocks until each has what it wants, or quotas are used up.

    `quotas` and `done` (dialogues assigned before, elsewhere included) by rater. Loads end as
    equal as quotas, earlier work and dialogues handed back allow, within one.
    """
    blocks = design.blocks
    room = [
        len(blocks) if quota is None else max(0, quota - before)
        for quota, before in zip(quotas, done, strict=True)
    ]
    for block in blocks:
        block.need = max(0, block.wanted - block.size)
    _limit_needs(design, room)
    busy = sum(block.need > 0 for block in blocks)
    left = shared_out(sum(b.need for b in blocks), done, [min(r, busy) for r in room])
    for block in blocks:
        for _ in range(block.need):
            rater = _best(design, block, left, avoid_same_profile)
            if rater is None and _make_way(design, block, left, room):
                continue
            if rater is None:
                # Nobody who should have more may have this one: somebody else has one more.
                top = max(design.loads, default=0) + 1
                free = [(top - load) * (r > 0) for load, r in zip(design.loads, room, strict=True)]
                rater = _best(design, block, free, avoid_same_profile)
            if rater is None:
                break
            design.add(block, rater)
            left[rater] -= 1
            room[rater] -= 1


def shared_out(total: int, done: Sequence[int], room: Sequence[int]) -> list[int]:
    """Parts of `total` so that done + part is as equal as `room` allows, within one."""
    parts = [0] * len(room)
    heap = [(before, rater) for rater, before in enumerate(done) if room[rater]]
    heapq.heapify(heap)
    for _ in range(total):
        if not heap:
            break
        load, rater = heapq.heappop(heap)
        parts[rater] += 1
        if parts[rater] < room[rater]:
            heapq.heappush(heap, (load + 1, rater))
    return parts


def _best(design: Design, block: Block, left: Sequence[int], avoid: bool) -> int | None:
    """The rater with most left to do; among equals, who has shared and seen least so far."""
    best, best_rank = None, None
    arm = design.arms[block.arm]
    for rater, open_work in enumerate(left):
        if open_work <= 0 or not block.takes(rater):
            continue
        pairs = design.pairs[rater]
        shared = sum(pairs[other] for other in block.members)
        met = design.profiles[rater].get(block.profile, 0) if avoid else 0
        rank = (met, -open_work, shared, arm[rater])
        if best_rank is None or rank < best_rank:
            best, best_rank = rater, rank
    return best


def _make_way(design: Design, block: Block, left: list[int], room: list[int]) -> bool:
    """When only raters who already have this block are free: swap through another block."""
    for rater in [rater for rater, open_work in enumerate(left) if open_work > 0]:
        for other in design.blocks:
            if not other.takes(rater):
                continue
            for moved in other.new:
                if block.takes(moved):
                    design.replace(other, moved, rater)
                    design.add(block, moved)
                    left[rater] -= 1
                    room[rater] -= 1
                    return True
    return False


def _limit_needs(design: Design, room: Sequence[int]) -> None:
    """Lower the needs to what quotas allow: most dialogues in full first, then parts of others."""
    open_blocks = [block for block in design.blocks if block.need]
    if _room_after(open_blocks, room) is not None:
        return
    low, high = 0, max(0, len(open_blocks) - 1)
    while low < high:
        middle = (low + high + 1) // 2
        if _room_after(open_blocks[:middle], room) is None:
            high = middle - 1
        else:
            low = middle
    left = _room_after(open_blocks[:low], room) or list(room)
    for block in open_blocks[low:]:
        takers = _roomiest(block, left)[: block.need]
        for rater in takers:
            left[rater] -= 1
        block.need = len(takers)


def _room_after(blocks: Sequence[Block], room: Sequence[int]) -> list[int] | None:
    """Room left when all these blocks are filled, or None where they cannot be.

    Taking those with most room first is exact where nobody is on a block yet (Gale 1957).
    """
    left = list(room)
    for block in blocks:
        takers = _roomiest(block, left)
        if len(takers) < block.need:
            return None
        for rater in takers[: block.need]:
            left[rater] -= 1
    return left


def _roomiest(block: Block, left: Sequence[int]) -> list[int]:
    free = [rater for rater, room in enumerate(left) if room > 0 and block.takes(rater)]
    return sorted(free, key=lambda rater: -left[rater])
