"""One engine's lanes kept in step with the endpoint rows and with what the servers do."""

import asyncio
from collections.abc import Callable, Iterable

import structlog

from generation import words
from generation.adaptive import AdaptiveLimit
from generation.lanes import Lane, Lanes
from generation.ledger import Ledger, LedgerClosed
from generation.models import Endpoint, EndpointState, EngineEvent
from generation.sightings import Sighting, look_at, note_sighting, open_server, unusable
from generation.token_scale import TokenScale
from generation.vllm import ModelServerError

PROBE_PAUSES_S = (0.3, 0.6, 1.0, 2.0, 3.0, 5.0)
SUSPECT_AFTER = 3
# How long those whose server is away are kept before others may have them.
PATIENCE_S = 30.0
# What one slice has learnt of an endpoint is where the next slice in this process starts.
_learnt_limits: dict[int, int] = {}
_learnt_scales: dict[int, TokenScale] = {}
log = structlog.get_logger(__name__)


class EndpointWatch:
    """Keeps one engine's lanes in step with the endpoint rows and with what the servers do."""

    def __init__(
        self, lanes: Lanes, ledger: Ledger, batches_of: Callable[[str], Iterable[int]]
    ) -> None:
        """``batches_of``: model -> the batches that are being worked on with it."""
        self._lanes = lanes
        self._ledger = ledger
        self._batches_of = batches_of
        self._probes: dict[int, asyncio.Task[None]] = {}
        self._checks: dict[int, asyncio.Task[bool]] = {}
        self._notes: set[asyncio.Task[None]] = set()

    async def refresh(self) -> None:
        """Bring the lanes in step with the rows: new ones, changed ones, ones switched off."""
        rows = await self._ledger.call(lambda: list(Endpoint.objects.filter(enabled=True)))
        known = {row.pk for row in rows}
        for gone in [lane for pk, lane in self._lanes.lanes.items() if pk not in known]:
            await self._drop(gone)
        for row in rows:
            lane: Lane | None = self._lanes.lanes.get(row.pk)
            if lane is not None and lane.address != _address(row):
                await self._drop(lane)
                lane = None
            if lane is None:
                lane = self._add(row)
            if lane is not None:
                self._follow(lane, row)

    def _add(self, row: Endpoint) -> Lane | None:
        try:
            server = open_server(row)
        except ValueError as error:
            self._write(row.pk, unusable(error))
            return None
        start = _learnt_limits.get(row.pk)
        lane = Lane(
            endpoint_id=row.pk,
            name=row.name,
            model=row.model,
            server=server,
            limit=AdaptiveLimit(row.max_concurrency, start=start),
            address=_address(row),
            down_since=asyncio.get_running_loop().time(),
            scale=_learnt_scales.setdefault(row.pk, TokenScale()),
        )
        lane.told_limit = lane.limit.limit
        self._lanes.lanes[row.pk] = lane
        return lane

    def _follow(self, lane: Lane, row: Endpoint) -> None:
        lane.supports_seed = row.supports_seed
        lane.context_length = row.context_length
        lane.version = row.server_version
        lane.abilities = {**row.abilities, **lane.abilities}
        lane.gpus = row.gpus
        lane.price_per_hour = row.price_per_hour
        if row.state == EndpointState.READY and lane.endpoint_id not in self._probes:
            self._bring_up(lane)
        elif row.state != EndpointState.READY and lane.usable:
            lane.down_since = asyncio.get_running_loop().time()

    async def _drop(self, lane: Lane) -> None:
        """Send nothing more; requests under way end by themselves or with the connection."""
        lane.open = False
        self._lanes.lanes.pop(lane.endpoint_id, None)
        if (probe := self._probes.pop(lane.endpoint_id, None)) is not None:
            probe.cancel()
        if lane.in_flight:
            self._lanes.retired.append(lane)
        else:
            await lane.server.close()

    # -- up and down ---------------------------------------------------------------------------

    def went_down(self, lane: Lane, why: ModelServerError) -> None:
        """Note that a lane's server cannot be spoken to, and look after it until it can."""
        wrong = why.reason == "wrong_model"
        state = EndpointState.WRONG_MODEL if wrong else EndpointState.UNREACHABLE
        self._take_down(lane, Sighting(state, why.detail))

    def _take_down(self, lane: Lane, seen: Sighting) -> None:
        if not lane.usable:
            return
        lane.down_since = asyncio.get_running_loop().time()
        self._write(lane.endpoint_id, seen)
        self._probes[lane.endpoint_id] = asyncio.create_task(self._probe(lane, seen))

    async def _probe(self, lane: Lane, before: Sighting) -> None:
        tries = 0
        while lane.open:
            await asyncio.sleep(PROBE_PAUSES_S[min(tries, len(PROBE_PAUSES_S) - 1)])
            tries += 1
            seen = await look_at(lane.server)
            if seen.state == EndpointState.READY:
                self._probes.pop(lane.endpoint_id, None)
                self._write(lane.endpoint_id, seen)
                self._bring_up(lane)
                return
            if (seen.state, seen.detail) != (before.state, before.detail):
                self._write(lane.endpoint_id, seen)
                before = seen

    def _bring_up(self, lane: Lane) -> None:
        if lane.down_since is not None:
            lane.down_since = None
            lane.failures = 0
            self._lanes.serve(lane.model)

    async def suspect(self, lane: Lane) -> bool:
        """Note a failed request; after a few without any success, look whether the server is well.

        Returns whether the lane is down. However many requests fail together, one look is made.
        """
        lane.failures += 1
        if not lane.usable:
            return True
        if lane.failures < SUSPECT_AFTER:
            return False
        key = lane.endpoint_id
        if key not in self._checks:
            self._checks[key] = asyncio.create_task(self._check(lane))
        return await asyncio.shield(self._checks[key])

    async def _check(self, lane: Lane) -> bool:
        try:
            seen = await look_at(lane.server)
            if seen.state == EndpointState.READY:
                lane.failures = 0
                return False
            self._take_down(lane, seen)
            return True
        finally:
            self._checks.pop(lane.endpoint_id, None)

    def give_back_stranded(self, models: Iterable[str]) -> None:
        """Send away those who wait for a server of these models that has been gone for long."""
        now = asyncio.get_running_loop().time()
        for model in models:
            downs = [lane.down_since for lane in self._lanes.of(model)]
            if not all(since is not None and now - since > PATIENCE_S for since in downs):
                continue
            if waiting := self._lanes.call_off([model]):
                number = words.count(waiting, "dialogue")
                gone = f"No server of {model} has answered for {PATIENCE_S:g} s"
                self.tell(model, f"{gone}; put back to wait: {number}.")

    # -- limits and notes ----------------------------------------------------------------------

    def succeeded(self, lane: Lane) -> None:
        """Note an answered request."""
        lane.failures = 0
        if lane.limit.succeeded():
            self._limit_moved(lane)
            self._lanes.serve(lane.model)

    def overloaded(self, lane: Lane, sent_at: float) -> None:
        """Note a request that failed because the server had too much to do."""
        if lane.limit.overloaded(sent_at):
            self._limit_moved(lane)

    def _limit_moved(self, lane: Lane) -> None:
        limit = lane.limit.limit
        _learnt_limits[lane.endpoint_id] = limit
        if limit * 2 <= lane.told_limit or limit >= lane.told_limit * 2:
            word = "lowered" if limit < lane.told_limit else "raised"
            lane.told_limit = limit
            self.tell(lane.model, f"Requests at once to {lane.name} were {word} to {limit}.")

    def tell(self, model: str, message: str) -> None:
        """Put a line into the log of every batch that is being worked on with this model."""
        batches = sorted(set(self._batches_of(model)))
        events = [EngineEvent(batch_id=pk, message=message[:300]) for pk in batches]
        if events:
            self._later(lambda: EngineEvent.objects.bulk_create(events))

    def _write(self, endpoint_id: int, seen: Sighting) -> None:
        self._later(lambda: note_sighting(endpoint_id, seen))

    def _later(self, work: Callable[[], object]) -> None:
        async def do() -> None:
            try:
                await self._ledger.call(work)
            except LedgerClosed:
                log.info("note_not_kept")

        note = asyncio.create_task(do())
        self._notes.add(note)
        note.add_done_callback(self._notes.discard)

    async def close(self) -> None:
        """End the probes, keep the notes, close the connections."""
        for task in (*self._probes.values(), *self._checks.values()):
            task.cancel()
        if self._notes:
            # Not for ever: the database may be away.
            await asyncio.wait(self._notes, timeout=2.0)
        await self._lanes.close()


def _address(row: Endpoint) -> tuple[object, ...]:
    return (row.base_url, row.model, row.api_key_name, row.max_concurrency)
