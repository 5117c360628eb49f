"""What dialogues cost: requests, tokens, waiting, GPU time and money, read from their rows.

The engine adds each request to its dialogue in the transaction that stores the request, so the sum
over an arm or a batch is one query. GPU time is a request's share of its server's time while it
ran, times the server's GPUs; money is that share at the server's price of the moment. Requests that
were broken off (cancelled, server gone) leave no row and are in neither.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any

from django.db.models import Count, F, Q, QuerySet, Sum
from django.db.models.functions import Coalesce

from generation.models import Attempt, Dialogue

_HOUR_US = 3_600_000_000
_SUMS = (
    "requests",
    "prompt_tokens",
    "cached_tokens",
    "cached_of_tokens",
    "completion_tokens",
    "reply_ms",
    "gpu_us",
    "unpriced_us",
)


@dataclass(frozen=True, slots=True)
class Spent:
    """What one turn, dialogue, arm or batch cost. Every request counts, used or not.

    ``cached_of_tokens``: prompt tokens of the requests that had cached tokens told, so that the
    two make a share. ``unpriced_us``: GPU time of it on servers that had no price.
    """

    requests: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    cached_of_tokens: int = 0
    completion_tokens: int = 0
    reply_ms: int = 0
    gpu_us: int = 0
    unpriced_us: int = 0
    cost: Decimal = Decimal(0)

    def __add__(self, other: "Spent") -> "Spent":
        pairs = {f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(Spent)}
        return Spent(**pairs)

    @property
    def gpu_hours(self) -> float:
        """Hours of one GPU."""
        return self.gpu_us / _HOUR_US

    @property
    def unpriced_hours(self) -> float:
        """Of them, hours whose price nobody entered."""
        return self.unpriced_us / _HOUR_US

    @property
    def money(self) -> Decimal | None:
        """What it cost; None where no server had a price. See ``unpriced_hours`` for a part."""
        return None if self.unpriced_us and not self.cost else self.cost

    @property
    def cached_share(self) -> float | None:
        """Share of prompt tokens from the prefix cache, 0 to 1; None where no server tells."""
        if not self.cached_of_tokens:
            return None
        return self.cached_tokens / self.cached_of_tokens


def spent_by_arm(dialogues: QuerySet[Dialogue]) -> dict[int | None, Spent]:
    """Arm id (None: no arm) -> what its dialogues cost. One query."""
    sums = {f"sum_{name}": Sum(name, default=0) for name in (*_SUMS, "cost")}
    rows = dialogues.order_by().values("arm_id").annotate(**sums)
    return {row["arm_id"]: _spent(row) for row in rows}


def spent_of(dialogue: Dialogue) -> Spent:
    """What one dialogue cost, from its loaded row."""
    return Spent(**{name: getattr(dialogue, name) for name in (*_SUMS, "cost")})


def spent_by_turn(attempts: QuerySet[Attempt]) -> dict[int, Spent]:
    """Turn number -> what it cost, of one dialogue's attempts. One query."""
    rows = (
        attempts.order_by()
        .values("turn_number")
        .annotate(
            sum_requests=Count("*"),
            sum_prompt_tokens=Sum("prompt_tokens", default=0),
            sum_cached_tokens=Sum("cached_tokens", default=0),
            sum_cached_of_tokens=Sum(
                "prompt_tokens", filter=Q(cached_tokens__isnull=False), default=0
            ),
            sum_completion_tokens=Sum("completion_tokens", default=0),
            sum_reply_ms=Sum("latency_ms", default=0),
            sum_gpu_us=Sum("gpu_us", default=0),
            sum_unpriced_us=Sum("gpu_us", filter=Q(cost=None), default=0),
            sum_cost=Sum(Coalesce(F("cost"), Decimal(0)), default=Decimal(0)),
        )
    )
    return {row["turn_number"]: _spent(row) for row in rows}


def _spent(row: Mapping[str, Any]) -> Spent:
    sums = {name: int(row[f"sum_{name}"]) for name in _SUMS}
    return Spent(**sums, cost=Decimal(row["sum_cost"]))
