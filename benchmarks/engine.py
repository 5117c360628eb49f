"""One worker process against a model server that answers at once: what the engine itself costs."""

import resource
import threading
import time
from dataclasses import dataclass

from benchmarks.setting import in_a_process
from benchmarks.table import Table

EXCHANGES = 15
PROTOCOL = "sqpsych"


@dataclass(frozen=True)
class Run:
    """One measured run."""

    turns: int
    stored: int
    seconds: float
    cpu_seconds: float
    peak_mb: float


def measure(table: Table) -> None:
    """Turns per second with 1, 64 and 256 dialogues in flight."""
    from tests.fakes.model_server import spawn

    table.heading("Engine: one worker process, a stub server that answers at once")
    first = 0.0
    for flight, dialogues in ((1, 4), (64, 192), (256, 512)):
        with spawn("--instant", "--end-after", str(EXCHANGES)) as (url, _):
            run = _in_a_process(url, flight, dialogues)
        speed = run.turns / run.seconds
        first = first or speed
        table.add(
            f"{flight} dialogues in flight",
            f"{speed:.0f} turns/s",
            f"{speed / first:.1f} x one at a time; {1000 * run.cpu_seconds / run.turns:.1f} ms "
            f"worker CPU a turn; peak {run.peak_mb:.0f} MB; "
            f"{run.stored} of {run.turns} turns stored",
        )


def _in_a_process(url: str, flight: int, dialogues: int) -> Run:
    """Drive a batch in a process of its own, as a Celery worker would."""
    batch_id = _batch(url, flight, dialogues)
    return in_a_process(_drive, batch_id)


def _batch(url: str, flight: int, dialogues: int) -> int:
    from generation import actions
    from generation.models import Batch, Endpoint

    actions.sync_definitions()
    Endpoint.objects.update(enabled=False)
    actions.set_endpoint_state(
        name=f"stub{flight}",
        base_url=url,
        model=f"stub{flight}",
        state="ready",
        max_concurrency=flight,
        context_length=1_000_000,
    )
    profiles = actions.sample_profiles(name=f"bench {flight}", count=dialogues, seed=1, by=None)
    batch = actions.create_batch(
        name=f"bench {flight}",
        profile_set=profiles,
        protocol=PROTOCOL,
        model=f"stub{flight}",
        seed=1,
        by=None,
    )
    assert isinstance(batch, Batch)
    return batch.pk


def _drive(batch_id: int) -> Run:
    import django

    django.setup()
    from generation.engine import run_slice
    from generation.models import Batch, Turn

    begun, cpu = time.perf_counter(), time.process_time()
    while Batch.objects.get(pk=batch_id).state == "running":
        report = run_slice(600, threading.Event())
        if not report.claimed:
            break
    seconds, used = time.perf_counter() - begun, time.process_time() - cpu
    batch = Batch.objects.get(pk=batch_id)
    stored = Turn.objects.filter(dialogue__batch=batch).count()
    told = sum(batch.dialogues.values_list("turn_count", flat=True))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Run(told, stored, seconds, used, peak)
