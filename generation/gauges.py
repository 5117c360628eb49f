"""What an engine sees of its servers and batches, written down every few seconds for the plots."""

import asyncio
import contextlib
import uuid
from collections import Counter
from collections.abc import Callable

from django.db import DatabaseError, connection
from django.utils import timezone

from generation.lanes import Lane, Lanes
from generation.ledger import Ledger, LedgerClosed
from generation.models import BatchSample, Endpoint
from generation.vllm import Metrics, ModelServerError

METRICS = "metrics"
SAMPLE_S = 5.0
ASK_S = 3.0
LAST_S = 5.0
# Several engines look at one server; one sample of it in this time is enough.
FRESH_S = 4.0
# Fewer requests beside ours than this share are those that come and go while we look.
_BESIDE = 0.25


class Gauges:
    """Takes the samples of one engine."""

    def __init__(
        self,
        engine: uuid.UUID,
        lanes: Lanes,
        ledger: Ledger,
        driven: "Callable[[], Counter[int]]",
        turns: "Counter[int]",
    ) -> None:
        """``driven`` counts the dialogues being driven of each batch, ``turns`` those stored."""
        self._engine = engine
        self._lanes = lanes
        self._ledger = ledger
        self._driven = driven
        self._turns = turns
        self._told: Counter[int] = Counter()

    async def take(self) -> None:
        """One sample of everything that is being worked on."""
        lanes = [lane for lane in self._lanes.lanes.values() if lane.usable]
        seen = await asyncio.gather(*(_ask(lane) for lane in lanes))
        found = {lane: metrics for lane, metrics in zip(lanes, seen, strict=True) if metrics}
        for lane in lanes:
            lane.abilities[METRICS] = lane in found
        for lane, metrics in found.items():
            lane.shares.beside(beside(lane.in_flight, metrics))
        batches = self._batch_samples()
        able = {lane.endpoint_id: dict(lane.abilities) for lane in lanes}
        await self._ledger.call(lambda: _write(found, batches, able))

    async def take_last(self) -> None:
        """Tell of the last turns; a database that is away does without."""
        batches = self._batch_samples()
        with contextlib.suppress(LedgerClosed, TimeoutError, DatabaseError):
            async with asyncio.timeout(LAST_S):
                await self._ledger.call(lambda: _write({}, batches, {}))

    def _batch_samples(self) -> list[BatchSample]:
        driven, asked = self._driven(), self._lanes.in_flight()
        new = Counter(self._turns)
        new.subtract(self._told)
        self._told = Counter(self._turns)
        batches = {
            pk for counted in (driven, asked, new) for pk, number in counted.items() if number
        }
        now = timezone.now()
        return [
            BatchSample(
                batch_id=pk,
                engine=self._engine,
                at=now,
                dialogues=driven[pk],
                requests=asked[pk],
                turns=max(new[pk], 0),
            )
            for pk in sorted(batches)
        ]


async def _ask(lane: Lane) -> Metrics | None:
    try:
        return await lane.server.metrics(ASK_S)
    except ModelServerError:
        # A router before vLLM may not know this route, and a dying server is seen elsewhere.
        return None


def beside(ours: int, seen: Metrics) -> int:
    """How many requests of others a server has, beside so many of ours."""
    if seen.running is None:
        return 0
    others = int(seen.running + (seen.waiting or 0)) - ours
    return others if others > 2 + _BESIDE * ours else 0


_INSERT = """
INSERT INTO generation_endpointsample (
    endpoint_id, at, running, waiting, kv_cache_usage, prefix_queries, prefix_hits,
    prompt_tokens, generation_tokens, preemptions
)
SELECT id, now(), %s, %s, %s, %s, %s, %s, %s, %s
FROM generation_endpoint WHERE id = %s AND NOT EXISTS (
    SELECT FROM generation_endpointsample
    WHERE endpoint_id = generation_endpoint.id AND at > now() - %s * interval '1 second'
)
"""


def _write(
    found: dict[Lane, Metrics], batches: list[BatchSample], able: dict[int, dict[str, bool]]
) -> None:
    for row in Endpoint.objects.filter(pk__in=able):
        known = {**row.abilities, **able[row.pk]}
        if known != row.abilities:
            Endpoint.objects.filter(pk=row.pk).update(abilities=known)
    BatchSample.objects.bulk_create(batches)
    for lane, seen in found.items():
        counters = (
            seen.running,
            seen.waiting,
            seen.kv_cache_usage,
            seen.prefix_cache_queries,
            seen.prefix_cache_hits,
            seen.prompt_tokens,
            seen.generation_tokens,
            seen.preemptions,
        )
        with connection.cursor() as cursor:
            cursor.execute(_INSERT, [*counters, lane.endpoint_id, FRESH_S])
