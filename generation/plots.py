"""Samples read back: what was in flight, and how much of the prompts the caches served."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection

from generation.models import Batch, Endpoint


@dataclass(frozen=True, slots=True)
class Flight:
    """What was under way for a batch in the slot that begins ``at``, over all engines."""

    at: datetime
    dialogues: float
    requests: float


_FLIGHT = """
SELECT date_bin(%(width)s, fine, %(origin)s) AS slot, avg(dialogues), avg(requests)
FROM (
    SELECT fine, sum(dialogues) AS dialogues, sum(requests) AS requests
    FROM (
        SELECT date_bin('10 seconds', at, %(origin)s) AS fine,
            avg(dialogues) AS dialogues, avg(requests) AS requests
        FROM generation_batchsample
        WHERE batch_id = %(batch)s AND at >= %(since)s
        GROUP BY fine, engine
    ) AS of_each_engine
    GROUP BY fine
) AS of_all
GROUP BY slot ORDER BY slot
"""
_ORIGIN = datetime(2000, 1, 1, tzinfo=UTC)


def in_flight(batch: Batch, *, since: datetime, width: timedelta) -> list[Flight]:
    """What was under way, in slots of one ``width`` (10 s or more), oldest first. One query.

    The engines' means of ten seconds are added up, then the mean of a slot is taken: one engine
    follows another within a slot. A slot in which nothing was sampled is left out.
    """
    values: dict[str, Any] = {"batch": batch.pk, "since": since, "width": width, "origin": _ORIGIN}
    with connection.cursor() as cursor:
        cursor.execute(_FLIGHT, values)
        return [
            Flight(at, float(dialogues), float(requests))
            for at, dialogues, requests in cursor.fetchall()
        ]


@dataclass(frozen=True, slots=True)
class CacheUse:
    """Prompt tokens that servers looked up in their prefix caches, and of them those found."""

    looked_up: int = 0
    found: int = 0

    def __add__(self, other: "CacheUse") -> "CacheUse":
        return CacheUse(self.looked_up + other.looked_up, self.found + other.found)

    @property
    def share(self) -> float | None:
        """Share found, 0 to 1; None where nothing was looked up."""
        return self.found / self.looked_up if self.looked_up else None


_CACHE = """
SELECT endpoint_id,
    sum(CASE WHEN queries < before THEN queries ELSE queries - before END),
    sum(CASE WHEN queries < before THEN hits ELSE hits - hits_before END)
FROM (
    SELECT endpoint_id, prefix_queries AS queries, prefix_hits AS hits,
        lag(prefix_queries) OVER (PARTITION BY endpoint_id ORDER BY at, id) AS before,
        lag(prefix_hits) OVER (PARTITION BY endpoint_id ORDER BY at, id) AS hits_before
    FROM generation_endpointsample
    WHERE endpoint_id = ANY(%s) AND at >= %s AND at <= %s
        AND prefix_queries IS NOT NULL AND prefix_hits IS NOT NULL
) AS steps
WHERE before IS NOT NULL GROUP BY endpoint_id
"""


def cache_use(
    endpoints: Iterable[Endpoint], *, since: datetime, until: datetime
) -> dict[int, CacheUse]:
    """Endpoint -> what its own counters say of that time, whoever asked. One query.

    The counters run from a server's start: where one falls, the server was started anew, and what
    it counted since is taken whole. Servers with fewer than two samples are left out.
    """
    with connection.cursor() as cursor:
        cursor.execute(_CACHE, [[each.pk for each in endpoints], since, until])
        return {pk: CacheUse(int(queries), int(hits)) for pk, queries, hits in cursor.fetchall()}
