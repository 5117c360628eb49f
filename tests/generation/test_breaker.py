"""The circuit breaker: its rule alone, and a batch that it pauses."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from generation.actions import pause_batch, resume_batch, retry_failed
from generation.actions.breaker import trip_breakers
from generation.breaker import Breaker
from generation.models import Batch, BatchState, Dialogue, Endpoint, EngineEvent
from tests.fakes.model_server import FakeModelServer, Fault, FaultPlan
from tests.generation.engine_cases import (
    assert_sound,
    counts,
    drive,
    endpoint_for,
    small_batch,
)

HALF = Breaker(0.5, minimum=4, window=6)


@pytest.mark.parametrize(
    ("endings", "trips"),
    [
        ([], False),
        (["empty"] * 3, False),
        (["empty", "empty", "", ""], True),
        (["empty", "", "", ""], False),
        # Only the newest six count, whichever way round.
        (["empty"] * 3 + [""] * 9, True),
        ([""] * 4 + ["empty"] * 9, False),
    ],
)
def test_rule_looks_at_the_newest_endings_once_there_are_enough(
    endings: list[str], trips: bool
) -> None:
    assert bool(HALF.verdict(endings)) is trips


def test_verdict_names_share_and_reasons() -> None:
    assert HALF.verdict(["server_error", "empty", "server_error", ""]) == (
        "3 of the last 4 dialogues failed, at a limit of 50%"
        " (2 x the model server failed on this request (5xx), 1 x empty reply, at every attempt)"
    )
    assert Breaker(2.0, minimum=1, window=6).verdict(["empty"] * 6) == ""
    assert Breaker(0.5, minimum=0, window=6).verdict([]) == ""


@pytest.fixture
def limits(settings: Settings) -> None:
    settings.BREAKER_SHARE, settings.BREAKER_MINIMUM, settings.BREAKER_WINDOW = 0.5, 4, 6


def ended(batch: Batch, *reasons: str) -> None:
    """Let waiting dialogues of the batch end now, the last given last."""
    now = timezone.now()
    rows = batch.dialogues.filter(state="waiting").order_by("pk")[: len(reasons)]
    for place, (row, reason) in enumerate(zip(rows, reasons, strict=True)):
        Dialogue.objects.filter(pk=row.pk).update(
            state="failed" if reason else "complete",
            failure_reason=reason,
            finished_at=now + timedelta(milliseconds=place),
        )


@pytest.mark.django_db
@pytest.mark.usefixtures("limits")
def test_batch_is_paused_once_and_a_person_who_resumes_it_starts_the_count_anew() -> None:
    endpoint_for(FakeModelServer())
    batch = small_batch(16)
    ended(batch, "empty", "", "empty")
    assert trip_breakers([batch.pk]) == []
    ended(batch, "empty")
    assert trip_breakers([batch.pk]) == [batch.pk]
    assert trip_breakers([batch.pk]) == []
    batch.refresh_from_db()
    assert (batch.state, batch.state_reason) == (
        BatchState.PAUSED,
        "paused by the circuit breaker: 3 of the last 4 dialogues failed, at a limit of 50%"
        " (3 x empty reply, at every attempt)",
    )
    assert EngineEvent.objects.filter(message=f"The batch was {batch.state_reason}.").count() == 1
    resume_batch(batch=batch, by=None)
    assert trip_breakers([batch.pk]) == []
    ended(batch, "empty", "empty", "empty", "empty")
    assert trip_breakers([batch.pk]) == [batch.pk]
    # Tried again from the paused state: the batch stays paused until somebody resumes it.
    assert retry_failed(batch=batch, by=None) == 7
    batch.refresh_from_db()
    assert batch.state == BatchState.PAUSED


@pytest.mark.django_db
@pytest.mark.usefixtures("limits")
def test_paused_and_foreign_batches_are_left_alone() -> None:
    endpoint_for(FakeModelServer())
    batch, other = small_batch(8), small_batch(8)
    ended(batch, *["empty"] * 6)
    pause_batch(batch=batch, by=None)
    with CaptureQueriesContext(connection) as queries:
        assert trip_breakers([batch.pk, other.pk, 10**9]) == []
    assert sum("generation_dialogue" in query["sql"] for query in queries) == 1
    other.refresh_from_db()
    assert other.state == BatchState.RUNNING


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("quick", "limits")
def test_engine_stops_asking_when_every_dialogue_fails() -> None:
    plan = FaultPlan(rates={Fault.CONTEXT_FULL: 1.0})
    with FakeModelServer(faults=plan) as server:
        endpoint_for(server, at_once=2)
        batch = small_batch(40)
        drive()
        asked = server.received
    batch.refresh_from_db()
    assert batch.state == BatchState.PAUSED
    found = counts(batch)
    # Two at a time: four fail, and at most as many as are under way meanwhile.
    assert asked == found["failed"] < 12
    assert found["failed"] + found["waiting"] == 40
    assert_sound(batch)
    assert "circuit breaker" in batch.state_reason
    with FakeModelServer() as server:
        Endpoint.objects.update(base_url=server.base_url)
        resume_batch(batch=batch, by=None)
        retry_failed(batch=batch, by=None)
        drive()
    assert counts(batch) == {"complete": 40}
