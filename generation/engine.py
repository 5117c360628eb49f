"""Many dialogues at once: claim, drive, keep the leases, hand over.

One run of the engine is one slice: bounded in time, one event loop, one owner of leases. It claims
as many dialogues as its endpoints bear, drives each in a coroutine of its own, and at the end lets
go what is not finished. Whatever happens to it (killed, cut off from the database, told to stop),
the rows say what is left, and the next slice anywhere goes on from there.
"""

import asyncio
import contextlib
import threading
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

import structlog
from django.conf import settings
from django.db import DatabaseError, connection

from generation.actions.claims import (
    claim_dialogues,
    claimable,
    release_leases,
    renew_leases,
    served_models,
)
from generation.driver import Driver, LetGo, Lost
from generation.gauges import SAMPLE_S, Gauges
from generation.lanes import Lanes, NoServer
from generation.ledger import Ledger, LedgerClosed
from generation.loading import ArmPlan, Work, load_work
from generation.models import Batch, BatchState
from generation.places import place_of
from generation.refusing import refuse_changed
from generation.storing import Entry, Finish
from generation.watching import EndpointWatch

TICK_S = 0.25
WATCH_S = 0.5
REFRESH_S = 2.0
IDLE_S = 0.4
CLAIM_AT_ONCE = 256
# After a look that found nothing: the rows may be many that others serve.
CLAIM_AGAIN_S = 1.0
# More dialogues than places, so that no place is empty while a turn is being stored.
SPARE_SHARE = 0.125
GRACE_S = 20.0
STOP_GRACE_S = 2.0
INTERNAL_ERROR = "internal_error"
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SliceReport:
    """What one slice did, and whether there is something left that could be done now."""

    claimed: int
    turns: int
    finished: int
    lost: int
    work_left: bool


def run_slice(
    seconds: float,
    stop: threading.Event,
    *,
    owner: uuid.UUID | None = None,
    on_hand_over: Callable[[], None] | None = None,
) -> SliceReport:
    """Work for up to ``seconds``, or until there is nothing to do or ``stop`` is set.

    ``on_hand_over`` is called when the time is over and no more turns are begun: another slice
    may start then, while this one waits for its last replies.
    """
    engine = Engine(owner=owner or uuid.uuid4(), stop=stop, on_hand_over=on_hand_over)
    asyncio.run(engine.run(seconds))
    try:
        left = not stop.is_set() and claimable(served_models()).exists()
    finally:
        connection.close()
    log.info("slice_done", turns=engine.driver.turns, finished=engine.driver.finished, left=left)
    return SliceReport(
        engine.claimed, engine.driver.turns, engine.driver.finished, engine.lost, left
    )


class Engine:
    """One slice. Make it, run it once."""

    def __init__(
        self,
        *,
        owner: uuid.UUID,
        stop: threading.Event,
        on_hand_over: Callable[[], None] | None = None,
    ) -> None:
        self.owner = owner
        self.claimed = 0
        self.lost = 0
        self._stop = stop
        self._on_hand_over = on_hand_over
        self._plans: dict[int, ArmPlan] = {}
        self._active: dict[int, tuple[Work, asyncio.Task[None]]] = {}
        self._freed: list[int] = []
        self._claim_from = 0.0
        self._paused: set[int] = set()
        self._lanes = Lanes()
        self._ledger = Ledger(owner)
        self._watch = EndpointWatch(self._lanes, self._ledger, self._batches_of)
        self._draining = asyncio.Event()
        self._moved = asyncio.Event()
        self.driver = Driver(
            self._ledger, self._lanes, self._watch, self._draining, self._paused.__contains__
        )
        self._gauges = Gauges(owner, self._lanes, self._ledger, self._driven, self.driver.turns_of)

    async def run(self, seconds: float) -> None:
        """The whole slice, in its own event loop."""
        async with self._ledger:
            watching = [
                asyncio.create_task(self._repeat(WATCH_S, self._watch_batches)),
                asyncio.create_task(self._repeat(_renewal_s(), self._keep_leases)),
                asyncio.create_task(self._repeat(REFRESH_S, self._watch.refresh)),
                asyncio.create_task(self._repeat(SAMPLE_S, self._gauges.take)),
            ]
            claiming = asyncio.create_task(self._claim_until_idle())
            try:
                await self._until_over(seconds, claiming)
            finally:
                await self._wind_down(claiming)
                for task in watching:
                    task.cancel()
                await self._hand_back()
                await self._gauges.take_last()
                await self._watch.close()

    async def _until_over(self, seconds: float, claiming: "asyncio.Task[None]") -> None:
        # The stop comes from another thread, maybe from a signal handler: looked at, not awaited.
        end = time.monotonic() + seconds
        while not claiming.done() and not self._stop.is_set() and time.monotonic() < end:
            await asyncio.wait({claiming}, timeout=min(0.1, max(0.01, end - time.monotonic())))
        if claiming.done():
            claiming.result()

    async def _repeat(self, pause_s: float, look: Callable[[], Awaitable[None]]) -> None:
        """Do something again and again; one failure is no reason to stop."""
        while True:
            try:
                await look()
            except LedgerClosed:
                return
            except Exception as error:  # noqa: BLE001 - looked at again in a moment
                log.error("engine_watch_failed", error=place_of(error))
            await asyncio.sleep(pause_s)

    # -- claiming ------------------------------------------------------------------------------

    async def _claim_until_idle(self) -> None:
        await self._watch.refresh()
        idle_since = time.monotonic()
        while True:
            claimed = await self._claim()
            self._watch.give_back_stranded(self._models())
            if claimed or self._active:
                idle_since = time.monotonic()
            elif time.monotonic() - idle_since >= IDLE_S:
                return
            self._moved.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await self._moved.wait()
            # A short breath, so that dialogues that end together are replaced together.
            await asyncio.sleep(0.02)

    async def _claim(self) -> int:
        models, capacity = self._lanes.usable_models(), self._lanes.capacity()
        room = int(capacity * (1 + SPARE_SHARE)) + 1 - len(self._active)
        # A few places at a time are not worth a query, unless they are all there are.
        if not models or room < max(1, capacity // 32) or time.monotonic() < self._claim_from:
            return 0

        in_hand = set(self._active)

        def take() -> list[Work]:
            limit = min(room, CLAIM_AT_ONCE)
            ids = claim_dialogues(owner=self.owner, limit=limit, models=models, without=in_hand)
            if ids:
                refused = refuse_changed(self.owner, ids)
                ids = [pk for pk in ids if pk not in refused]
            return load_work(ids, self._plans) if ids else []

        taken = await self._ledger.call(take)
        if not taken:
            self._claim_from = time.monotonic() + CLAIM_AGAIN_S
        for work in taken:
            task = asyncio.create_task(self._guard(work))
            self._active[work.dialogue_id] = (work, task)
        self.claimed += len(taken)
        return len(taken)

    async def _guard(self, work: Work) -> None:
        """Drive a dialogue and see that it ends in good order whatever happens."""
        try:
            await self.driver.drive(work)
        except (LetGo, NoServer):
            self._freed.append(work.dialogue_id)
        except (Lost, LedgerClosed):
            self.lost += 1
        except Exception as error:  # noqa: BLE001 - one dialogue's trouble is not the others'
            log.error("dialogue_stopped", dialogue=work.dialogue_id, error=place_of(error))
            await self._fail(work, type(error).__name__)
        finally:
            self._active.pop(work.dialogue_id, None)
            self._moved.set()

    async def _fail(self, work: Work, name: str) -> None:
        finish = Finish(reason=INTERNAL_ERROR, detail=f"the program stopped here with {name}")
        with contextlib.suppress(LedgerClosed):
            try:
                await self._ledger.store(Entry(work.dialogue_id, finish=finish))
            except DatabaseError as error:
                # Its lease runs out and others meet the same trouble, but only so many times.
                log.error("failure_not_stored", dialogue=work.dialogue_id, error=place_of(error))

    async def _release_freed(self) -> None:
        if self._freed:
            ids, self._freed = self._freed, []
            await self._ledger.call(lambda: release_leases(owner=self.owner, ids=ids))

    # -- watching ------------------------------------------------------------------------------

    def _models(self) -> set[str]:
        return {model for work, _ in self._active.values() for model in work.plan.models.values()}

    def _batches_of(self, model: str) -> Iterable[int]:
        return {
            work.batch_id for work, _ in self._active.values() if model in work.plan.models.values()
        }

    def _driven(self) -> Counter[int]:
        return Counter(work.batch_id for work, _ in self._active.values())

    async def _watch_batches(self) -> None:
        """Notice batches that were paused, cancelled or closed meanwhile."""
        await self._release_freed()
        ids = set(self._driven())
        rows = Batch.objects.filter(pk__in=ids).values_list("pk", "state")
        states = dict(await self._ledger.call(lambda: list(rows)))
        self._paused.clear()
        self._paused.update(pk for pk, state in states.items() if state != BatchState.RUNNING)
        over = {pk for pk, state in states.items() if state == BatchState.CANCELLED}
        self._abort(pk for pk, (work, _) in self._active.items() if work.batch_id in over)

    def _abort(self, ids: Iterable[int]) -> None:
        """Break off requests under way: the connection closes and the server stops."""
        for pk in list(ids):
            if pk in self._active:
                self._active[pk][1].cancel()

    async def _keep_leases(self) -> None:
        ids = list(self._active)
        if ids:
            ours = await self._ledger.call(lambda: renew_leases(owner=self.owner, ids=ids))
            # Those that ended or were claimed while the question was under way are no loss.
            gone = [pk for pk in ids if pk not in ours and pk in self._active]
            if gone:
                self._abort(gone)

    # -- the end -------------------------------------------------------------------------------

    async def _wind_down(self, claiming: "asyncio.Task[None]") -> None:
        """Begin no more turns; let those under way end, for a while; break off the rest."""
        idle = claiming.done()
        claiming.cancel()
        await asyncio.wait({claiming})
        self._draining.set()
        self._lanes.call_off()
        if self._on_hand_over is not None and not idle and not self._stop.is_set():
            self._on_hand_over()
        end = time.monotonic() + GRACE_S
        while self._active and time.monotonic() < end:
            if self._stop.is_set():
                end = min(end, time.monotonic() + STOP_GRACE_S)
            tasks = {task for _, task in self._active.values()}
            await asyncio.wait(tasks, timeout=0.1)
        tasks = {task for _, task in self._active.values()}
        self._abort(list(self._active))
        if tasks:
            await asyncio.wait(tasks)

    async def _hand_back(self) -> None:
        """Let all leases go at once, those of broken-off dialogues included."""
        if not self.claimed:
            return
        with contextlib.suppress(LedgerClosed, TimeoutError):
            async with asyncio.timeout(5.0):
                await self._ledger.call(lambda: release_leases(owner=self.owner))


def _renewal_s() -> float:
    return max(0.2, float(settings.ENGINE_LEASE_SECONDS) / 3)
