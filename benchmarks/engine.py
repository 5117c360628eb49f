"""Worker processes against model servers that are none: what the engine itself costs."""

import os
import resource
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.setting import in_a_process, in_processes
from benchmarks.table import Table

EXCHANGES = 15
PROTOCOL = "sqpsych"
MANY = 1_700
# A server that is the bottleneck: so many at once, so long each.
SLOW_AT_ONCE, SLOW_S = 8, 0.1


@dataclass(frozen=True)
class Run:
    """One measured run of one process. ``memory``: megabytes, taken once a second."""

    turns: int
    seconds: float
    cpu_seconds: float
    memory: list[float]


def measure(table: Table) -> None:
    """Turns per second, memory over many turns, several servers and workers."""
    _speed(table)
    _memory(table)
    _sharing(table)


def _speed(table: Table) -> None:
    from tests.fakes.model_server import spawn

    table.heading("Engine: one worker process, a stub server that answers at once")
    first = 0.0
    for flight, dialogues in ((1, 4), (64, 192), (256, 512)):
        with spawn("--instant", "--end-after", str(EXCHANGES)) as (url, _):
            batch_id = _batch([url], flight, dialogues)
            run = in_a_process(_drive, batch_id)
        speed = run.turns / run.seconds
        first = first or speed
        table.add(
            f"{flight} dialogues in flight",
            f"{speed:.0f} turns/s",
            f"{speed / first:.1f} x one at a time; {1000 * run.cpu_seconds / run.turns:.1f} ms "
            f"worker CPU a turn; {_stored(batch_id)} of {run.turns} turns stored",
        )


def _memory(table: Table) -> None:
    from tests.fakes.model_server import spawn

    with spawn("--instant", "--end-after", str(EXCHANGES)) as (url, _):
        batch_id = _batch([url], 256, MANY)
        run = in_a_process(_drive, batch_id)
    fifth = max(len(run.memory) // 5, 1)
    early, late = max(run.memory[:fifth]), max(run.memory[-fifth:])
    table.add(
        f"memory over {run.turns:,} turns, 256 in flight",
        f"{late - early:+.0f} MB",
        f"{early:.0f} MB in the first fifth, {late:.0f} MB in the last; "
        f"{run.turns / run.seconds:.0f} turns/s; {_stored(batch_id)} of {run.turns} turns stored",
    )


def _sharing(table: Table) -> None:
    """The same work with one server, two servers, and two workers on two servers."""
    from tests.fakes.model_server import spawn

    table.heading(f"Engine: stub servers that bear {SLOW_AT_ONCE} at once, {SLOW_S:g} s each")
    alone = 0.0
    for servers, workers in ((1, 1), (2, 1), (2, 2)):
        with ExitStack() as stack:
            slow = ("--latency", str(SLOW_S), "--end-after", str(EXCHANGES))
            urls = [stack.enter_context(spawn(*slow))[0] for _ in range(servers)]
            batch_id = _batch(urls, SLOW_AT_ONCE, 64)
            runs = in_processes(_drive, [batch_id] * workers)
        speed = _stored(batch_id) / max(run.seconds for run in runs)
        alone = alone or speed
        table.add(
            f"{servers} server{'s' * (servers > 1)}, {workers} worker{'s' * (workers > 1)}",
            f"{speed:.0f} turns/s",
            f"{speed / alone:.2f} x one server",
        )


def _batch(urls: list[str], at_once: int, dialogues: int) -> int:
    from generation import actions
    from generation.models import Batch, Endpoint

    actions.sync_definitions()
    Endpoint.objects.update(enabled=False)
    name = f"stub {Batch.objects.count()}"
    for place, url in enumerate(urls):
        actions.set_endpoint_state(
            name=f"{name} {place}",
            base_url=url,
            # The fake serves one model, whichever is asked of it at an instant.
            model="fake-model",
            state="ready",
            max_concurrency=at_once,
            context_length=1_000_000,
        )
    profiles = actions.sample_profiles(name=name, count=dialogues, seed=1, by=None)
    batch = actions.create_batch(
        name=name, profile_set=profiles, protocol=PROTOCOL, model="fake-model", seed=1, by=None
    )
    return int(batch.pk)


def _stored(batch_id: int) -> int:
    from generation.models import Turn

    return Turn.objects.filter(dialogue__batch=batch_id).count()


def _drive(batch_id: int) -> Run:
    """Drive a batch as a Celery worker would, until it is finished."""
    import django

    django.setup()
    from generation.engine import run_slice
    from generation.models import Batch

    memory: list[float] = []
    over = threading.Event()
    watcher = threading.Thread(target=_watch_memory, args=(memory, over))
    watcher.start()
    turns, begun, cpu = 0, time.perf_counter(), time.process_time()
    try:
        while Batch.objects.get(pk=batch_id).state == "running":
            report = run_slice(600, threading.Event())
            turns += report.turns
            if not report.claimed:
                break
        seconds, used = time.perf_counter() - begun, time.process_time() - cpu
    finally:
        over.set()
        watcher.join()
    return Run(turns, seconds, used, memory)


def _watch_memory(memory: list[float], over: threading.Event) -> None:
    page = resource.getpagesize()
    while True:
        pages = int(Path(f"/proc/{os.getpid()}/statm").read_text().split()[1])
        memory.append(pages * page / 1e6)
        if over.wait(1.0):
            return
