"""Samples of servers and batches: taken, read back for plots, pruned."""

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db.models import Sum
from django.utils import timezone

from generation import gauges
from generation.actions import prune_samples
from generation.gauges import beside
from generation.models import Attempt, Batch, BatchSample, Dialogue, Endpoint, EndpointSample, Turn
from generation.plots import CacheUse, Flight, cache_use, in_flight
from generation.vllm import Metrics
from tests.fakes.model_server import FakeModelServer
from tests.generation.engine_cases import (
    counts,
    drive,
    endpoint_for,
    short_protocol,
    small_batch,
)

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
ONE, TWO = uuid.UUID(int=1), uuid.UUID(int=2)


@pytest.mark.django_db(transaction=True)
def test_engine_samples_its_server_and_batch_and_tells_of_every_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("generation.engine.SAMPLE_S", 0.1)
    monkeypatch.setattr(gauges, "FRESH_S", 0.0)
    begun = timezone.now()
    with FakeModelServer(latency=0.05, end_after=20) as server:
        endpoint = endpoint_for(server, at_once=4)
        Endpoint.objects.update(gpus=2, price_per_hour=Decimal("3.600"))
        batch = small_batch(6, protocol=short_protocol(least=5, nudge=6, most=6))
        drive()
        queries, hits = server.fake.queries, server.fake.hits
    assert counts(batch) == {"complete": 6}
    samples = BatchSample.objects.filter(batch=batch)
    assert samples.aggregate(n=Sum("turns"))["n"] == Turn.objects.count()
    assert max(samples.values_list("requests", flat=True)) == 4
    assert max(samples.values_list("dialogues", flat=True)) in {5, 6}
    assert samples.values("engine").distinct().count() == 1
    last = EndpointSample.objects.order_by("-at")[0]
    assert last.endpoint == endpoint
    assert last.prefix_queries is not None
    assert 0 < last.prefix_queries <= queries
    seen = cache_use([endpoint], since=begun, until=timezone.now())[endpoint.pk]
    assert 0 < seen.looked_up <= queries
    assert 0 < seen.found <= hits
    flights = in_flight(batch, since=begun, width=timedelta(minutes=10))
    assert 0 < sum(each.requests for each in flights) <= 2 * 4
    # The shares of all requests add up to no more than the time that passed, for each GPU.
    spent = Dialogue.objects.aggregate(gpu=Sum("gpu_us"), cost=Sum("cost"))
    passed = (timezone.now() - begun) / timedelta(microseconds=1)
    assert 0 < spent["gpu"] <= 2 * passed
    assert float(spent["cost"]) == pytest.approx(spent["gpu"] / 2 / 1e6 / 1000, rel=1e-3)
    assert not Attempt.objects.filter(cost=None).exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("details", [True, False])
def test_engine_notes_what_its_server_can_do(
    details: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("generation.engine.SAMPLE_S", 0.05)
    with FakeModelServer(latency=0.1, details=details) as server:
        endpoint_for(server)
        small_batch(2)
        drive()
    assert Endpoint.objects.get().abilities == {"metrics": True, "cached_tokens": details}
    told = Dialogue.objects.filter(cached_of_tokens__gt=0).count()
    assert told == (2 if details else 0)


@pytest.mark.parametrize(
    ("ours", "seen", "others"),
    [
        (10, Metrics(running=10.0, waiting=2.0), 0),
        (10, Metrics(running=9.0), 0),
        (10, Metrics(running=30.0, waiting=4.0), 24),
        (0, Metrics(running=3.0), 3),
        (10, Metrics(waiting=50.0), 0),
    ],
)
def test_requests_of_others_are_told_from_those_that_come_and_go(
    ours: int, seen: Metrics, others: int
) -> None:
    assert beside(ours, seen) == others


@pytest.fixture
def batch() -> Batch:
    endpoint_for(FakeModelServer())
    return small_batch(1)


def sample(batch: Batch, engine: uuid.UUID, seconds: float, dialogues: int, asked: int) -> None:
    BatchSample.objects.create(
        batch=batch,
        engine=engine,
        at=NOON + timedelta(seconds=seconds),
        dialogues=dialogues,
        requests=asked,
        turns=1,
    )


@pytest.mark.django_db
def test_engines_side_by_side_are_added_and_one_after_the_other_are_not(batch: Batch) -> None:
    # Two at once in the first ten seconds, one sampled twice; a third takes over in the second.
    sample(batch, ONE, 1, 8, 6)
    sample(batch, ONE, 6, 10, 8)
    sample(batch, TWO, 2, 4, 4)
    sample(batch, uuid.UUID(int=3), 12, 5, 5)
    fine = in_flight(batch, since=NOON, width=timedelta(seconds=10))
    assert fine == [Flight(NOON, 13.0, 11.0), Flight(NOON + timedelta(seconds=10), 5.0, 5.0)]
    assert in_flight(batch, since=NOON, width=timedelta(minutes=1)) == [Flight(NOON, 9.0, 8.0)]
    later = NOON + timedelta(minutes=1)
    assert in_flight(batch, since=later, width=timedelta(minutes=1)) == []


@pytest.mark.django_db
def test_cache_use_bears_a_server_that_was_started_anew(batch: Batch) -> None:
    endpoint = Endpoint.objects.get()
    counters = [(100, 50), (300, 200), (None, None), (80, 60), (180, 150)]
    for place, (queries, hits) in enumerate(counters):
        EndpointSample.objects.create(
            endpoint=endpoint,
            at=NOON + timedelta(seconds=5 * place),
            prefix_queries=queries,
            prefix_hits=hits,
        )
    found = cache_use([endpoint], since=NOON, until=NOON + timedelta(minutes=1))
    assert found == {endpoint.pk: CacheUse(200 + 80 + 100, 150 + 60 + 90)}
    assert found[endpoint.pk].share == pytest.approx(300 / 380)
    early = cache_use([endpoint], since=NOON, until=NOON)
    assert (early, CacheUse().share) == ({}, None)


@pytest.mark.django_db
def test_old_samples_are_thinned_and_very_old_ones_dropped(batch: Batch) -> None:
    now, endpoint = timezone.now(), Endpoint.objects.get()
    ages = [timedelta(days=100), timedelta(days=3), timedelta(minutes=1)]
    for age in ages:
        at = (now - age).replace(minute=0, second=0, microsecond=0)
        for second in (0, 5, 10, 299, 300):
            moment = at + timedelta(seconds=second)
            EndpointSample.objects.create(endpoint=endpoint, at=moment)
            for engine in (ONE, TWO):
                BatchSample.objects.create(
                    batch=batch, engine=engine, at=moment, dialogues=1, requests=1, turns=1
                )
    assert prune_samples() == 5 + 10 + 3 + 6
    assert prune_samples() == 0
    assert EndpointSample.objects.count() == 2 + 5
    assert BatchSample.objects.filter(engine=TWO).count() == 2 + 5
