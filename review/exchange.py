"""Exchanges between blocks that keep every load and even out the rest. Pure, seeded.

Two blocks swap one rater each. The cost is a sum of squares, so a design is at its best exactly
when counts are as equal as they can be: dialogues shared by two raters, dialogues of an arm per
rater around their even spread, and, far dearer, a rater meeting one profile twice. Simulated
annealing (Kirkpatrick et al. 1983) in short rounds, each ending cold; the best round is kept.
"""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict

from review.design import Block, Design

REPEAT_COST = 50.0
WARMTHS = (0.3, 0.3, 0.8, 2.0, 0.8, 4.0, 1.2, 2.0, 0.8, 1.2)
COLD_PART = 0.3
STEPS_PER_SLOT = 200
ROUND_STEPS = 24_000
ROUND_STEPS_PER_SLOT = 8
ALL_STEPS = 250_000


def improve(design: Design, *, avoid_same_profile: bool, seed: str) -> None:
    """Exchange raters until the design is even, or until no round brings more."""
    search = _Search(design, avoid_same_profile, random.Random(seed))
    for warmth in WARMTHS:
        if not search.slots or search.even() or search.steps >= ALL_STEPS:
            break
        search.round(warmth)
    search.restore_best()


Slot = tuple[Block, int]


class _Search:
    def __init__(self, design: Design, avoid: bool, rng: random.Random) -> None:
        self.design = design
        self.avoid = avoid
        self.rng = rng
        self.even_arms = design.arm_shares()
        self.slots = [
            (block, place)
            for block in design.blocks
            for place in range(block.frozen, len(block.members))
        ]
        by_profile: dict[str, list[Slot]] = defaultdict(list)
        for slot in self.slots:
            by_profile[slot[0].profile].append(slot)
        blocks = Counter(block.profile for block in design.blocks)
        self.siblings = {key: part for key, part in by_profile.items() if avoid and blocks[key] > 1}
        self.steps = 0
        self.tense: list[Slot] = []
        self.best: list[list[int]] = []
        self.best_cost = math.inf

    def even(self) -> bool:
        """Whether nothing is left to even out."""
        low, high = self.design.pair_spread()
        if high - low > 1 or self.design.uneven_arms():
            return False
        return not (self.avoid and self.design.repeats())

    def round(self, warmth: float) -> None:
        """One cooling from warm to cold, then a look whether it was the best so far."""
        count = len(self.slots)
        steps = min(ROUND_STEPS + ROUND_STEPS_PER_SLOT * count, STEPS_PER_SLOT * count)
        self.steps += steps
        look_every = max(100, len(self.design.raters) ** 2 // 8, count // 4)
        for step in range(steps):
            left = 1 - step / steps / (1 - COLD_PART)
            self.try_exchange(warmth * max(left, 0.0))
            if step % look_every == 0:
                if self.even():
                    return
                self.tense = self.where_tense()
        cost = self.cost()
        if cost > self.best_cost:
            self.design.arrange(self.best)
        else:
            self.best_cost = cost
            self.best = [list(block.members) for block in self.design.blocks]

    def where_tense(self) -> list[Slot]:
        """The slots whose rater shares too much with a neighbour or has too much of the arm."""
        design, even_arms = self.design, self.even_arms
        most = design.pair_spread()[0] + 1
        found = []
        for block, place in self.slots:
            rater = block.members[place]
            row = design.pairs[rater]
            if design.arms[block.arm][rater] - even_arms[block.arm][rater] > 1 + 1e-9 or any(
                row[other] > most for other in block.members
            ):
                found.append((block, place))
        return found

    def restore_best(self) -> None:
        """Go back to the best round, unless the design is even now."""
        if self.best and not self.even():
            self.design.arrange(self.best)

    def cost(self) -> float:
        """What the exchanges lower."""
        design = self.design
        pairs = sum(count * count for _, _, count in design.pair_counts())
        arms = sum(
            (count - share) ** 2
            for arm, counts in design.arms.items()
            for count, share in zip(counts, self.even_arms[arm], strict=True)
        )
        return pairs + arms + (REPEAT_COST * design.repeats() if self.avoid else 0)

    def try_exchange(self, warmth: float) -> None:
        """Propose one exchange and take it if it helps, or by chance while it is warm."""
        slots, chance = self.slots, self.rng.random
        tense = self.tense if self.tense and chance() < 0.5 else slots
        one, place_one = tense[int(chance() * len(tense))]
        if one.profile in self.siblings and chance() < 0.5:
            # Within a profile an exchange can never bring raters together with it twice.
            slots = self.siblings[one.profile]
        two, place_two = slots[int(chance() * len(slots))]
        a, b = one.members[place_one], two.members[place_two]
        if a == b or not two.takes(a) or not one.takes(b):
            return
        rise = self.rise(one, a, two, b)
        if rise <= 0 or chance() < math.exp(-rise / max(warmth, 1e-9)):
            self.design.replace(one, a, b)
            self.design.replace(two, b, a)

    def rise(self, one: Block, a: int, two: Block, b: int) -> float:
        """By how much the cost rises when `a` leaves `one` for `two` and `b` the other way."""
        of_a, of_b = self.design.pairs[a], self.design.pairs[b]
        rise = 0.0
        for other in one.members:
            if other != a and other not in two.members:
                rise += 2 * (of_b[other] - of_a[other]) + 2
        for other in two.members:
            if other != b and other not in one.members:
                rise += 2 * (of_a[other] - of_b[other]) + 2
        if one.arm != two.arm:
            rise += self._arm_rise(one.arm, a, b) + self._arm_rise(two.arm, b, a)
        if self.avoid and one.profile != two.profile:
            seen_a, seen_b = self.design.profiles[a], self.design.profiles[b]
            more = seen_b.get(one.profile, 0) + seen_a.get(two.profile, 0)
            less = seen_a[one.profile] + seen_b[two.profile] - 2
            rise += REPEAT_COST * (more - less)
        return rise

    def _arm_rise(self, arm: str, loses: int, gains: int) -> float:
        counts, even = self.design.arms[arm], self.even_arms[arm]
        return 2 * (counts[gains] - even[gains]) - 2 * (counts[loses] - even[loses]) + 2
