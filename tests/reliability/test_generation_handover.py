"""Slices that hand over to the next, a worker told to stop, a lost call: real processes."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from django.conf import settings

from generation.models import (
    Attempt,
    Batch,
    BatchSample,
    BatchState,
    Dialogue,
    DialogueState,
    Endpoint,
    EndpointState,
    Turn,
)
from sqpsych_site.local import valkey
from tests.fakes.model_server import spawn
from tests.generation.engine_cases import assert_sound, counts, short_protocol, small_batch
from tests.processes import ROOT, celery_worker, start_worker

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(180)]

DIALOGUES = 40
# Slices of a second, so that a batch needs several; leases longer than the test, so that only
# what is handed back in good order can be taken up by others.
SETTINGS = {"SQPSYCH_ENGINE_SLICE_SECONDS": "1", "SQPSYCH_ENGINE_LEASE_SECONDS": "900"}


@pytest.fixture
def broker(transactional_db: None) -> Iterator[None]:
    with valkey.running(settings.DATA_DIR):
        yield


def wait_for(what: Callable[[], bool], seconds: float = 90.0) -> None:
    """Wait without calling anybody."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, Dialogue.objects.all().counts_by_state()
        time.sleep(0.05)


@contextlib.contextmanager
def scheduler(folder: Path) -> Iterator[None]:
    """Celery's beat, as ``make run`` starts it."""
    environment = os.environ | {
        "CELERY_BROKER_URL": settings.CELERY_BROKER_URL,
        "SQPSYCH_DATA_DIR": str(settings.DATA_DIR),
        "PYTHONWARNINGS": "ignore",
    }
    command = [sys.executable, "-m", "celery", "-A", "sqpsych_site", "beat", "--pidfile="]
    command += ["--schedule", str(folder / "schedule"), "--loglevel", "WARNING"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def start_batch(url: str) -> Batch:
    """A batch of 360 turns on one server that is known to be ready; its wake-up call is sent."""
    Endpoint.objects.create(
        name="fake",
        base_url=url,
        model="fake-model",
        max_concurrency=8,
        state=EndpointState.READY,
    )
    return small_batch(DIALOGUES, protocol=short_protocol(least=4, nudge=5, most=5))


def finished() -> bool:
    return Batch.objects.get().state == BatchState.FINISHED


def check(*batches: Batch) -> None:
    """Everything once, whatever happened: no request was made in vain."""
    for batch in batches:
        assert counts(batch) == {"complete": DIALOGUES}
        assert_sound(batch)
    assert Attempt.objects.count() == Turn.objects.count()


def test_worker_told_to_stop_hands_back_and_the_scheduler_wakes_the_next(
    broker: None, tmp_path: Path
) -> None:
    with spawn("--latency", "0.1") as (url, _):
        first = start_worker(**SETTINGS)
        batch = start_batch(url)
        wait_for(lambda: Turn.objects.count() >= 150)
        first.terminate()
        assert first.wait(30) == 0
        assert not Dialogue.objects.filter(state=DialogueState.RUNNING).exists()
        assert not finished()
        path = settings.CELERY_BROKER_URL.removeprefix("redis+socket://")
        redis.Redis(unix_socket_path=path).flushall()
        with celery_worker(**SETTINGS), scheduler(tmp_path):
            wait_for(finished)
    check(batch)


def test_two_workers_and_two_servers_share_two_batches(broker: None) -> None:
    with (
        spawn("--latency", "0.1") as (url, _),
        spawn("--latency", "0.1") as (second, _),
        celery_worker(**SETTINGS) as one,
        celery_worker(**SETTINGS) as two,
    ):
        endpoint = Endpoint.objects.create(
            name="second",
            base_url=second,
            model="fake-model",
            max_concurrency=8,
            state=EndpointState.READY,
        )
        batch = start_batch(url)
        other = small_batch(DIALOGUES, protocol=short_protocol(least=3, nudge=4, most=4))
        wait_for(lambda: not Batch.objects.exclude(state=BatchState.FINISHED).exists())
        assert (one.poll(), two.poll()) == (None, None)
    check(batch, other)
    # Each server bears as much as the other, and neither was left idle.
    shares = Turn.objects.filter(endpoint=endpoint).count() / Turn.objects.count()
    assert 0.3 < shares < 0.7
    engines = BatchSample.objects.filter(batch=batch).values("engine").distinct().count()
    assert engines >= 2
