"""The writes of one engine: one thread, one connection, many dialogues in each transaction.

The engine's loop never touches the database. It hands each turn to the ledger and waits until the
group that the turn went with is committed; whatever came in meanwhile forms the next group, so a
busy engine commits hundreds of turns at once and an idle one commits each at once.

A turn is stored only while the dialogue is leased to the ledger's owner and the turn is the next
one; both are checked under the row's lock in the storing transaction. When the database goes away
in the middle, nobody knows whether the group was committed: it is sent again, and what is there
already is recognised by its number.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any, TypeVar
from uuid import UUID

import structlog
from django.db import DatabaseError, InterfaceError, OperationalError, connection

from generation.actions.breaker import trip_breakers
from generation.actions.claims import finish_batches
from generation.models import Dialogue
from generation.storing import Entry, store_entries

T = TypeVar("T")
GROUP_LIMIT = 512
_PAUSES_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
log = structlog.get_logger(__name__)


class LedgerClosed(Exception):
    """The ledger was closed before the entry could be stored; nothing of it is stored."""


@dataclass(slots=True)
class _Job:
    """Something for the writer: an entry to store with others, or a function to run alone."""

    future: "asyncio.Future[Any]"
    entry: Entry | None = None
    work: Callable[[], Any] | None = None


class Ledger:
    """Use inside one event loop: ``async with Ledger(owner) as ledger``."""

    def __init__(self, owner: UUID, *, patience_s: float = 5.0) -> None:
        """``patience_s``: how long a closing ledger waits for a database that is away."""
        self.owner = owner
        self.groups = 0
        self._patience_s = patience_s
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._give_up_at = float("inf")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)

    async def __aenter__(self) -> "Ledger":
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Store what was handed in, then end the thread and close its connection."""
        self._give_up_at = time.monotonic() + self._patience_s
        self._closing.set()
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    async def store(self, entry: Entry) -> bool:
        """Store an entry. False: the dialogue is no longer ours and nothing was stored.

        Raises LedgerClosed, or DatabaseError when these very values cannot be stored.
        """
        future: asyncio.Future[bool] = self._new_future()
        self._jobs.put(_Job(future, entry=entry))
        return await future

    async def call(self, work: Callable[[], T]) -> T:
        """Run a database function in the writer's thread and give its result.

        It is run again when the connection is lost, so it must bear being run twice.
        """
        future: asyncio.Future[T] = self._new_future()
        self._jobs.put(_Job(future, work=work))
        return await future

    def _new_future(self) -> "asyncio.Future[Any]":
        if self._loop is None or self._closing.is_set():
            raise LedgerClosed
        return self._loop.create_future()

    # -- the writer's thread -------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while (jobs := self._next_jobs()) is not None:
                self._do(jobs)
        finally:
            connection.close()

    def _next_jobs(self) -> list[_Job] | None:
        """All that is waiting, up to the limit of a group; None when the ledger closes."""
        first = self._jobs.get()
        if first is None:
            return None
        jobs = [first]
        while len(jobs) < GROUP_LIMIT:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                break
            if job is None:
                self._jobs.put(None)
                break
            jobs.append(job)
        return jobs

    def _do(self, jobs: list[_Job]) -> None:
        # In the order they came in: a claim must see what was handed in before it.
        for alone, some in groupby(jobs, lambda job: job.work is not None):
            if not alone:
                self._store_group(list(some))
                continue
            for job in some:
                if job.work is not None:
                    self._attempt([job], partial(_alone, job.work))

    def _store_group(self, jobs: list[_Job]) -> None:
        group = [job.entry for job in jobs if job.entry is not None]
        if self._attempt(jobs, lambda: store_entries(self.owner, group)):
            self.groups += 1
            self._close_batches(group)
        elif len(jobs) > 1:
            # One entry spoils the group: find it by storing each alone.
            log.warning("ledger_group_split", entries=len(jobs))
            for job in jobs:
                self._store_group([job])

    def _attempt(self, jobs: list[_Job], work: Callable[[], list[Any]]) -> bool:
        """Do the work and hand back its results; False when it failed for a group of jobs.

        A failure that concerns one job alone, or the closing of the ledger, is handed back.
        """
        try:
            results = self._insist(work)
        except Exception as error:  # noqa: BLE001 - whoever waits decides what it means
            if len(jobs) > 1 and not isinstance(error, LedgerClosed):
                return False
            self._hand_back([(job, None, error) for job in jobs])
            return isinstance(error, LedgerClosed)
        self._hand_back([(job, result, None) for job, result in zip(jobs, results, strict=True)])
        return True

    def _close_batches(self, group: Sequence[Entry]) -> None:
        """After the commit, so that of two engines ending a batch one sees both ends."""
        ends = {entry.dialogue_id: entry.finish for entry in group if entry.finish is not None}
        if ends:
            failed = {pk for pk, finish in ends.items() if finish.reason}
            rows = Dialogue.objects.filter(pk__in=ends, batch__isnull=False)
            try:
                batches = dict(rows.values_list("pk", "batch_id"))
                finish_batches({batch for batch in batches.values() if batch})
                trip_breakers({batch for pk, batch in batches.items() if batch and pk in failed})
            except DatabaseError as error:
                # The next wake-up call looks at all batches again.
                log.warning("batch_not_closed", error=type(error).__name__)
                connection.close()

    def _insist(self, work: Callable[[], T]) -> T:
        """Do the work, waiting out a database that is away or too busy."""
        tries = 0
        while True:
            try:
                return work()
            except (OperationalError, InterfaceError) as error:
                connection.close()
                if time.monotonic() > self._give_up_at:
                    raise LedgerClosed from None
                pause = _PAUSES_S[min(tries, len(_PAUSES_S) - 1)]
                log.warning("database_away", error=type(error).__name__, tries=tries + 1)
                time.sleep(pause)
                tries += 1

    def _hand_back(self, outcomes: list[tuple[_Job, Any, Exception | None]]) -> None:
        def set_all() -> None:
            for job, result, error in outcomes:
                if job.future.done():
                    continue
                if error is None:
                    job.future.set_result(result)
                else:
                    job.future.set_exception(error)

        if self._loop is not None:
            self._loop.call_soon_threadsafe(set_all)


def _alone(work: Callable[[], T]) -> list[T]:
    return [work()]
