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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

import structlog
from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction
from django.utils import timezone

from generation.actions.breaker import trip_breakers
from generation.actions.claims import finish_batches
from generation.models import Attempt, AttemptOutcome, Dialogue, DialogueState, Finding, Turn

T = TypeVar("T")
GROUP_LIMIT = 512
_PAUSES_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Finish:
    """How a dialogue ends: ``ended_by`` for a complete one, ``reason`` for a failed one."""

    ended_by: str = ""
    reason: str = ""
    detail: str = ""
    facts: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """What one step of a dialogue leaves behind; stored whole or not at all.

    ``stands`` is the number of an earlier attempt whose draft became the turn; ``forms`` is all
    that is prepared of the dialogue.
    """

    dialogue_id: int
    turn: Turn | None = None
    attempts: tuple[Attempt, ...] = ()
    findings: tuple[Finding, ...] = ()
    finish: Finish | None = None
    stands: int | None = None
    forms: Mapping[str, Any] | None = None


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
        for job in jobs:
            if (work := job.work) is not None:
                self._attempt([job], partial(_alone, work))
        if entries := [job for job in jobs if job.entry is not None]:
            self._store_group(entries)

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


def store_entries(owner: UUID, entries: Sequence[Entry]) -> list[bool]:
    """Store the entries whose dialogue is leased to ``owner``, in one transaction.

    Says of each whether it is stored. An entry that is there already counts as stored and leaves
    nothing twice, so the same call may be made again.
    """
    with transaction.atomic():
        ours = _lock_ours(owner, [entry.dialogue_id for entry in entries])
        results = [_may_store(entry, ours.get(entry.dialogue_id)) for entry in entries]
        kept = [entry for entry, stored in zip(entries, results, strict=True) if stored]
        # Sent again after a lost connection: the turn is there, and so is all that came with it.
        new = [e for e in kept if not (e.turn and ours[e.dialogue_id] == e.turn.number)]
        attempts = _not_stored(new)
        _advance(new, attempts)
        Turn.objects.bulk_create([entry.turn for entry in new if entry.turn])
        Attempt.objects.bulk_create(attempts)
        Finding.objects.bulk_create(
            [finding for entry in kept for finding in entry.findings], ignore_conflicts=True
        )
        _keep_steps(kept)
        for entry in kept:
            if entry.finish is not None:
                _finish(entry.dialogue_id, entry.finish)
    return results


def _keep_steps(entries: Sequence[Entry]) -> None:
    """Store forms, and mark drafts that stand. Few protocols have either."""
    for entry in entries:
        if entry.forms is not None:
            Dialogue.objects.filter(pk=entry.dialogue_id).update(forms=entry.forms, claims=0)
        if entry.turn is not None and entry.stands is not None:
            Attempt.objects.filter(
                dialogue=entry.dialogue_id, turn_number=entry.turn.number, number=entry.stands
            ).update(outcome=AttemptOutcome.ACCEPTED)


def _lock_ours(owner: UUID, ids: list[int]) -> dict[int, int]:
    """Dialogue id -> turns stored, of those leased to the owner; their rows stay locked."""
    rows = (
        Dialogue.objects.filter(pk__in=ids, lease_owner=owner, state=DialogueState.RUNNING)
        .order_by("pk")
        .select_for_update(no_key=True)
        .values_list("pk", "turn_count")
    )
    return dict(rows)


def _may_store(entry: Entry, turns_stored: int | None) -> bool:
    if turns_stored is None:
        return False
    return entry.turn is None or turns_stored in {entry.turn.number - 1, entry.turn.number}


def _not_stored(entries: Sequence[Entry]) -> list[Attempt]:
    """The attempts of new entries, without those that a lost answer left behind."""
    alone = [attempt for entry in entries if not entry.turn for attempt in entry.attempts]
    known: set[tuple[int, int, int]] = set()
    if alone:
        # A turn is new for sure; an attempt without one may have been stored just before.
        rows = Attempt.objects.filter(
            dialogue_id__in={attempt.dialogue_id for attempt in alone},
            turn_number__in={attempt.turn_number for attempt in alone},
        )
        known = set(rows.values_list("dialogue_id", "turn_number", "number"))
    made = (attempt for entry in entries for attempt in entry.attempts)
    return [each for each in made if (each.dialogue_id, each.turn_number, each.number) not in known]


_ADVANCE = """
UPDATE generation_dialogue AS dialogue SET
    turn_count = coalesce(step.turn, dialogue.turn_count),
    claims = CASE WHEN step.turn IS NULL THEN dialogue.claims ELSE 0 END,
    requests = requests + step.made,
    prompt_tokens = prompt_tokens + step.asked,
    cached_tokens = cached_tokens + step.cached,
    cached_of_tokens = cached_of_tokens + step.cached_of,
    completion_tokens = completion_tokens + step.said,
    reply_ms = reply_ms + step.took,
    gpu_us = gpu_us + step.gpu,
    unpriced_us = unpriced_us + step.unpriced,
    cost = cost + step.price
FROM unnest(
    %s::bigint[], %s::int[], %s::int[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[],
    %s::bigint[], %s::bigint[], %s::bigint[], %s::numeric[]
) AS step(id, turn, made, asked, cached, cached_of, said, took, gpu, unpriced, price)
WHERE dialogue.id = step.id
"""


def _advance(entries: Sequence[Entry], attempts: Sequence[Attempt]) -> None:
    """Count new turns and what the attempts cost in the dialogues' rows.

    A new turn is progress: ``claims`` counts only what came to nothing.
    """
    turns = {entry.dialogue_id: entry.turn.number for entry in entries if entry.turn}
    made: dict[int, list[Attempt]] = {pk: [] for pk in turns}
    for attempt in attempts:
        made.setdefault(attempt.dialogue_id, []).append(attempt)
    if made:
        steps = [(pk, turns.get(pk), *_sums(each)) for pk, each in made.items()]
        with connection.cursor() as cursor:
            cursor.execute(_ADVANCE, [list(column) for column in zip(*steps, strict=True)])


def _sums(made: Sequence[Attempt]) -> tuple[int | Decimal, ...]:
    """What attempts add up to, in the order of _ADVANCE."""
    told = [each for each in made if each.cached_tokens is not None]
    return (
        len(made),
        sum(each.prompt_tokens for each in made),
        sum(each.cached_tokens or 0 for each in told),
        sum(each.prompt_tokens for each in told),
        sum(each.completion_tokens for each in made),
        sum(each.latency_ms for each in made),
        sum(each.gpu_us for each in made),
        sum(each.gpu_us for each in made if each.cost is None),
        sum((each.cost for each in made if each.cost is not None), Decimal(0)),
    )


def _finish(dialogue_id: int, finish: Finish) -> None:
    dialogue = Dialogue.objects.only("provenance").get(pk=dialogue_id)
    Dialogue.objects.filter(pk=dialogue_id).update(
        state=DialogueState.FAILED if finish.reason else DialogueState.COMPLETE,
        ended_by=finish.ended_by[:20],
        failure_reason=finish.reason[:60],
        failure_detail=finish.detail[:300],
        provenance={**dialogue.provenance, **(finish.facts or {})},
        lease_owner=None,
        lease_until=None,
        finished_at=timezone.now(),
    )
