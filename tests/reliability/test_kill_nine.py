"""kill -9 of the worker, then of the model server, in the middle of a batch."""

import contextlib
import re
import time
from collections.abc import Callable, Iterator

import pytest
import redis
from django.conf import settings
from django.db import connection

from generation import actions
from generation.actions.waking import send_wake_call
from generation.models import Batch, Dialogue, DialogueState, Turn
from generation.protocols import builtin_protocols
from sqpsych_site.local import valkey
from tests.fakes.model_server import spawn
from tests.processes import celery_worker, free_port, start_worker

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]
EXCHANGES = 5
DIALOGUES = 12
# Leases run out soon, so that the test need not wait for what a group would.
QUICK = {"SQPSYCH_ENGINE_LEASE_SECONDS": "3"}


@pytest.fixture
def broker(transactional_db: None) -> Iterator[None]:
    with valkey.running(settings.DATA_DIR):
        yield


def make_batch(url: str) -> Batch:
    text = builtin_protocols()["sqpsych"].toml
    for key in ("min_exchanges", "nudge_from", "stop_at"):
        text = re.sub(rf"(?m)^{key} = \d+", f"{key} = {EXCHANGES}", text)
    text = re.sub(r'(?m)^key = "sqpsych"', 'key = "short"', text)
    protocol = actions.add_protocol(text=text, origin="short.toml", by=None)
    actions.set_endpoint_state(
        name="fake", base_url=url, model="fake-model", state="ready", max_concurrency=8
    )
    profiles = actions.sample_profiles(name="set", count=DIALOGUES, seed=1, by=None)
    return actions.create_batch(
        name="killed", profile_set=profiles, protocol=protocol, model="fake-model", seed=1, by=None
    )


def wait_for(what: Callable[[], bool], seconds: float = 120) -> None:
    """Wait, calling the workers now and then as the scheduler does."""
    end = time.monotonic() + seconds
    called = 0.0
    while not what():
        assert time.monotonic() < end, Dialogue.objects.counts_by_state()
        if time.monotonic() - called > 2:
            called = time.monotonic()
            send_wake_call()
        time.sleep(0.1)
        connection.close()


def turns() -> int:
    return Turn.objects.count()


def finished() -> bool:
    return Batch.objects.get().state == "finished"


def check_whole() -> None:
    """Each dialogue ended exactly once; no turn is missing or doubled."""
    counts = Dialogue.objects.counts_by_state()
    assert counts[DialogueState.COMPLETE] == DIALOGUES, counts
    assert sum(counts.values()) == DIALOGUES
    for dialogue in Dialogue.objects.all():
        rows = list(dialogue.turns.values_list("number", "role"))
        assert [number for number, _ in rows] == list(range(1, len(rows) + 1))
        assert [role for _, role in rows] == [
            "therapist" if number % 2 else "client" for number, _ in rows
        ]
        assert dialogue.turn_count == len(rows)
        assert len(rows) in {2 * EXCHANGES, 2 * EXCHANGES + 1}
        accepted = dialogue.attempts.filter(outcome="accepted")
        assert accepted.count() == len(rows)
        assert dialogue.lease_owner is None


def test_worker_killed_in_the_middle_of_a_batch(broker: None) -> None:
    with spawn("--latency", "0.15") as (url, _):
        make_batch(url)
        first = start_worker(**QUICK)
        wait_for(lambda: turns() >= 15)
        first.kill()
        first.wait()
        assert not finished()
        assert Dialogue.objects.filter(state="running").exists()
        with celery_worker(**QUICK):
            wait_for(finished)
    check_whole()


def test_model_server_killed_in_the_middle_of_a_batch(broker: None) -> None:
    port = free_port()
    with contextlib.ExitStack() as stack:
        url, server = stack.enter_context(spawn("--latency", "0.15", "--port", str(port)))
        make_batch(url)
        stack.enter_context(celery_worker(**QUICK))
        wait_for(lambda: turns() >= 15)
        server.kill()
        server.wait()
        before = turns()
        stack.enter_context(spawn("--latency", "0.02", "--port", str(port)))
        actions.set_endpoint_state(name="fake", state="ready")
        wait_for(lambda: turns() > before + 10)
        wait_for(finished)
    check_whole()


def test_broker_flushed_and_worker_killed(broker: None) -> None:
    with spawn("--latency", "0.1") as (url, _):
        make_batch(url)
        path = settings.CELERY_BROKER_URL.removeprefix("redis+socket://")
        with start_worker(**QUICK) as first:
            wait_for(lambda: turns() >= 5)
            redis.Redis(unix_socket_path=path).flushall()
            first.kill()
        with celery_worker(**QUICK):
            wait_for(finished)
    check_whole()
