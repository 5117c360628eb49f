"""Background work of the generation side. A message only says: look at the rows."""

import threading
import time
from typing import Any

import structlog
from celery.signals import worker_process_shutdown, worker_shutting_down
from django.conf import settings

from generation import actions
from generation.actions.breaker import trip_breakers
from generation.actions.claims import claimable, finish_batches, served_models
from generation.actions.waking import send_wake_call
from generation.engine import run_slice
from generation.models import Batch, BatchState, Endpoint, EndpointState
from generation.sightings import check_all_endpoints
from sqpsych_site.tasks import task

# One slice at a time in one process: it fills its endpoints by itself.
_slice = threading.Lock()
_stop = threading.Event()
_screening = threading.Lock()
_SCREENING_S = 60.0
log = structlog.get_logger(__name__)


@worker_shutting_down.connect
@worker_process_shutdown.connect
def stop_engine(**_: Any) -> None:
    """Let a warm shutdown be quick: the slice hands its dialogues back within seconds."""
    _stop.set()


@task()
def wake_engine() -> None:
    """Work on what can be worked on, for one slice, and call again when more is left.

    Called when there is something new, and every ten seconds, which makes up for lost calls and
    for workers that died. Returns at once when a slice runs in this process or nothing is to do.
    """
    if _stop.is_set() or not _slice.acquire(blocking=False):
        return
    holder = _Holder()
    try:
        finish_batches()
        trip_breakers(Batch.objects.filter(state=BatchState.RUNNING).values_list("pk", flat=True))
        if not claimable(served_models()).exists() and not _server_came_back():
            return
        report = run_slice(settings.ENGINE_SLICE_SECONDS, _stop, on_hand_over=holder.hand_over)
    finally:
        holder.let_go()
    if report.work_left and report.claimed:
        send_wake_call()


def _server_came_back() -> bool:
    """Where dialogues wait for servers that were away when last seen: look again now."""
    away = Endpoint.objects.filter(enabled=True).exclude(state=EndpointState.READY)
    models = sorted(set(away.values_list("model", flat=True)) | set(served_models()))
    return claimable(models).exists() and check_all_endpoints()


class _Holder:
    """Holds the lock of this process's slice; to let go twice is no harm."""

    def __init__(self) -> None:
        self._holds = True

    def hand_over(self) -> None:
        """Let the next slice begin; this one only waits for its last replies."""
        self.let_go()
        send_wake_call()

    def let_go(self) -> None:
        if self._holds:
            self._holds = False
            _slice.release()


@task()
def check_endpoints() -> None:
    """Ask every enabled endpoint how it is, and call the workers when one came back."""
    if check_all_endpoints():
        send_wake_call()


@task()
def screen_imported() -> None:
    """Look through imported dialogues that wait for it, for a minute at most.

    Called every ten seconds; returns at once where this process is at it or nothing waits.
    """
    if not _screening.acquire(blocking=False):
        return
    try:
        end = time.monotonic() + _SCREENING_S
        while not _stop.is_set() and time.monotonic() < end and actions.screen_imported():
            pass
    finally:
        _screening.release()


@task()
def prune_samples() -> None:
    """Thin out the old samples behind the plots."""
    actions.prune_samples()


@task()
def forget_uploads() -> None:
    """Forget files that waited for their columns longer than an hour."""
    actions.purge_uploads()
