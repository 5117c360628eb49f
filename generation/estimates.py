"""What a batch would take before it is made: requests, tokens, hours, money. Pure.

Where dialogues with the same models were made here before, their means are used; else a rule of
thumb from the protocol's limits, and then nothing is said of hours and money.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Final

TOKENS_PER_WORD: Final = 1.35  # English prose with current tokenisers
_HOUR_S: Final = 3600


@dataclass(frozen=True, slots=True)
class Range:
    """From the least to the most to expect."""

    low: float = 0.0
    high: float = 0.0

    def __add__(self, other: "Range") -> "Range":
        return Range(self.low + other.low, self.high + other.high)

    def times(self, factor: float) -> "Range":
        """Both ends so many times."""
        return Range(self.low * factor, self.high * factor)


@dataclass(frozen=True, slots=True)
class Measured:
    """What finished dialogues with the same models took, added up; times in seconds."""

    dialogues: int = 0
    turns: int = 0
    requests: int = 0
    read: int = 0
    written: int = 0
    reply_s: float = 0.0
    gpu_s: float = 0.0
    unpriced_s: float = 0.0
    cost: Decimal = Decimal(0)

    def __add__(self, other: "Measured") -> "Measured":
        return Measured(
            *(getattr(self, each.name) + getattr(other, each.name) for each in fields(Measured))
        )


@dataclass(frozen=True, slots=True)
class Servers:
    """What the enabled servers of one model bear together: requests at once, and their GPUs."""

    slots: int = 0
    gpus: int = 0


@dataclass(frozen=True, slots=True)
class ArmPlan:
    """What decides how much an arm takes.

    ``turns``: how many a dialogue may have; ``prompt_tokens``: a role's instructions and case, the
    mean of both roles; ``turn_tokens``: one turn as long as the roles may make it.
    """

    label: str
    models: tuple[str, str]
    turns: Range
    prompt_tokens: float
    turn_tokens: float
    measured: Measured = Measured()


@dataclass(frozen=True, slots=True)
class Amount:
    """What an arm or a batch takes. ``gpu_hours`` and ``money`` are None where nothing is known;
    ``unpriced``: a part of the GPU time has no price."""

    dialogues: int
    requests: Range
    read: Range
    written: Range
    gpu_hours: float | None
    money: Decimal | None
    unpriced: bool = False


@dataclass(frozen=True, slots=True)
class Estimate:
    """A batch before it is made. ``seconds``: None where an arm's models were never measured."""

    arms: tuple[tuple[str, Amount], ...]
    whole: Amount
    seconds: Range | None
    measured: int
    unmeasured: tuple[str, ...]


def estimate(plans: Sequence[ArmPlan], dialogues: int, servers: Mapping[str, Servers]) -> Estimate:
    """For so many dialogues in each arm; ``servers`` by model."""
    amounts = [_amount(plan, dialogues) for plan in plans]
    unmeasured = tuple(plan.label for plan in plans if not plan.measured.dialogues)
    return Estimate(
        arms=tuple((plan.label, amount) for plan, amount in zip(plans, amounts, strict=True)),
        whole=_sum(amounts),
        seconds=None if unmeasured else _seconds(plans, dialogues, servers),
        measured=sum(plan.measured.dialogues for plan in plans),
        unmeasured=unmeasured,
    )


def _amount(plan: ArmPlan, dialogues: int) -> Amount:
    made = plan.measured
    if not made.dialogues:
        return Amount(
            dialogues,
            plan.turns.times(dialogues),
            Range(*(_read(plan, turns) * dialogues for turns in (plan.turns.low, plan.turns.high))),
            plan.turns.times(plan.turn_tokens * dialogues),
            None,
            None,
        )
    each = dialogues / made.dialogues
    priced = made.gpu_s > made.unpriced_s
    requests, read, written = (
        Range(total * each, total * each) for total in (made.requests, made.read, made.written)
    )
    return Amount(
        dialogues,
        requests,
        read,
        written,
        gpu_hours=made.gpu_s * each / _HOUR_S,
        money=made.cost * dialogues / made.dialogues if priced else None,
        unpriced=made.unpriced_s > 0,
    )


def _read(plan: ArmPlan, turns: float) -> float:
    """Prompt tokens of a dialogue: each request sends the instructions and all turns so far."""
    return turns * plan.prompt_tokens + plan.turn_tokens * turns * (turns - 1) / 2


def _sum(amounts: Iterable[Amount]) -> Amount:
    known = list(amounts)
    hours = [each.gpu_hours for each in known]
    money = [each.money for each in known]
    return Amount(
        sum(each.dialogues for each in known),
        sum((each.requests for each in known), Range()),
        sum((each.read for each in known), Range()),
        sum((each.written for each in known), Range()),
        None if None in hours else sum(each or 0.0 for each in hours),
        sum((each for each in money if each is not None), Decimal(0)) if any(money) else None,
        any(each.unpriced or each.money is None for each in known),
    )


def _seconds(
    plans: Sequence[ArmPlan], dialogues: int, servers: Mapping[str, Servers]
) -> Range | None:
    """How long it takes, by two ways of reckoning that are both too simple.

    Replies as slow as those measured, in as many places as the servers have; and server time as
    much as was measured, however few requests shared the server then. Models work side by side.
    No batch is faster than its longest chain of replies.
    """
    by_places: dict[str, float] = defaultdict(float)
    by_work: dict[str, float] = defaultdict(float)
    chain = 0.0
    for plan in plans:
        made = plan.measured
        chain = max(chain, made.reply_s / made.dialogues)
        for model in plan.models:
            has = servers.get(model, Servers())
            if not has.slots:
                return None
            half = dialogues / made.dialogues / 2
            by_places[model] += made.reply_s * half / min(has.slots, dialogues * len(plans))
            by_work[model] += made.gpu_s * half / max(has.gpus, 1)
    ways = [max(chain, *way.values()) for way in (by_places, by_work) if any(way.values())]
    return Range(min(ways), max(ways)) if ways else None
