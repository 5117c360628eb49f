"""Wait for a batch in a terminal: by looking on, or by doing the work where no worker does."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db.models import Count
from django.utils import timezone

from generation.actions.claims import claimable, finish_batches, served_models
from generation.engine import run_slice
from generation.models import Batch, BatchState, DialogueState
from generation.sightings import check_all_endpoints
from sqpsych_site.models import ServiceState

WORKER_SILENT_AFTER = timedelta(seconds=45)
LOOK_EVERY_S = 1.0
CHECK_EVERY_S = 10.0
SAY_EVERY_S = 5.0


class WaitError(Exception):
    """The batch did not come to its end; one sentence says why."""


@dataclass
class Patience:
    """How long to wait: seconds from now, or None for as long as it takes."""

    seconds: float | None

    def __post_init__(self) -> None:
        self._begun = time.monotonic()

    def left(self) -> float:
        """Seconds left."""
        if self.seconds is None:
            return float("inf")
        return self.seconds - (time.monotonic() - self._begun)


def wait_for_batch(batch: Batch, patience: Patience, say: Callable[[str], None]) -> str:
    """Wait until every dialogue is complete or failed. Returns the closing line.

    Where no worker has reported lately, this process does the work itself. Raises WaitError when
    the batch is cancelled or the time is over.
    """
    shown, checked = "", 0.0
    while True:
        batch.refresh_from_db()
        line = progress_line(batch)
        if batch.state == BatchState.FINISHED:
            return line + failure_words(batch)
        if batch.state == BatchState.CANCELLED:
            raise WaitError(f"Batch {batch.pk} was cancelled before it was finished.")
        if line != shown:
            shown = line
            say(line)
        if patience.left() <= 0:
            raise WaitError(f"Batch {batch.pk} is not finished after {patience.seconds:g} seconds.")
        if worker_reports():
            time.sleep(min(LOOK_EVERY_S, max(patience.left(), 0.0)))
            continue
        if time.monotonic() - checked > CHECK_EVERY_S:
            check_all_endpoints()
            checked = time.monotonic()
        work_here(patience, lambda: say(progress_line(batch)))


def worker_reports() -> bool:
    """Whether a worker has given a sign of life within 45 seconds."""
    since = timezone.now() - WORKER_SILENT_AFTER
    return ServiceState.objects.filter(name="worker", at__gte=since).exists()


def work_here(patience: Patience, look: Callable[[], None]) -> None:
    """One slice in this process, short enough to say how far things are in between."""
    finish_batches()
    if not claimable(served_models()).exists():
        time.sleep(min(LOOK_EVERY_S, max(patience.left(), 0.0)))
        return
    stop = threading.Event()
    ended = threading.Event()

    def watch() -> None:
        from django.db import connection

        try:
            while not ended.wait(min(SAY_EVERY_S, max(patience.left(), 0.1))):
                look()
                if patience.left() <= 0:
                    stop.set()
                    return
        finally:
            connection.close()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        run_slice(min(settings.ENGINE_SLICE_SECONDS, max(patience.left(), 1.0)), stop)
    finally:
        ended.set()
        watcher.join()


def progress_line(batch: Batch) -> str:
    """``3 of 8 dialogues ended, 4 in progress, 1 waiting, 96 turns``."""
    counts = batch.dialogues.all().counts_by_state()
    total = sum(counts.values())
    ended = counts[DialogueState.COMPLETE] + counts[DialogueState.FAILED]
    turns = sum(batch.dialogues.values_list("turn_count", flat=True))
    return (
        f"{ended} of {total} dialogues ended, {counts[DialogueState.RUNNING]} in progress,"
        f" {counts[DialogueState.WAITING]} waiting, {turns} turns"
    )


def failure_words(batch: Batch) -> str:
    """``; failed: 2 empty, 1 server_error``, or nothing."""
    failed = batch.dialogues.filter(state=DialogueState.FAILED)
    rows = failed.order_by("failure_reason").values_list("failure_reason").annotate(n=Count("pk"))
    words = ", ".join(f"{number} {reason}" for reason, number in rows)
    return f"; failed: {words}" if words else ""
