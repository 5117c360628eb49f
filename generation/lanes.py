"""The endpoints as one engine sees them: who may send a request where, and who has to wait.

A lane is one endpoint with its connection pool, its adaptive limit and the requests it has under
way. A request goes to the lane its dialogue used last (its prompt is in that server's prefix
cache), or, when that is full, to the least loaded one. Lives inside one event loop.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from generation.adaptive import AdaptiveLimit
from generation.vllm import ModelServer


class NoServer(Exception):
    """No server for this model will be had for now; the dialogue should be given back."""


@dataclass(eq=False, slots=True)
class Lane:
    """One endpoint of one engine. ``down_since`` is the loop's time, None while it is up."""

    endpoint_id: int
    name: str
    model: str
    server: ModelServer
    limit: AdaptiveLimit
    supports_seed: bool = False
    context_length: int | None = None
    address: tuple[object, ...] = ()
    in_flight: int = 0
    down_since: float | None = None
    open: bool = True
    failures: int = 0
    told_limit: int = 0
    version: str = ""

    @property
    def usable(self) -> bool:
        """Whether requests may be sent at all."""
        return self.open and self.down_since is None

    @property
    def free(self) -> bool:
        """Whether one more request may be sent now."""
        return self.usable and self.in_flight < self.limit.limit

    @property
    def load(self) -> float:
        """Requests under way as a share of the limit."""
        return self.in_flight / self.limit.limit


@dataclass(slots=True)
class Lanes:
    """All lanes of one engine and the queues before them."""

    lanes: dict[int, Lane] = field(default_factory=dict)
    _queues: dict[str, "deque[asyncio.Future[Lane]]"] = field(default_factory=dict)

    def of(self, model: str) -> list[Lane]:
        """The lanes that serve a model, up or down."""
        return [lane for lane in self.lanes.values() if lane.model == model]

    def usable_models(self) -> list[str]:
        """Models with at least one lane that is up."""
        return sorted({lane.model for lane in self.lanes.values() if lane.usable})

    def capacity(self) -> int:
        """Requests that all lanes together bear at once now."""
        return sum(lane.limit.limit for lane in self.lanes.values() if lane.usable)

    def in_flight(self) -> int:
        """Requests under way."""
        return sum(lane.in_flight for lane in self.lanes.values())

    async def acquire(self, model: str, last: int | None = None) -> Lane:
        """Wait for a place on a lane of the model and take it; give it back with ``release``.

        ``last`` is the endpoint used before. Raises NoServer when waiting was called off.
        """
        waiting = self._queues.setdefault(model, deque())
        if not waiting and (lane := self._choose(model, last)):
            lane.in_flight += 1
            return lane
        future: asyncio.Future[Lane] = asyncio.get_running_loop().create_future()
        waiting.append(future)
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                self.release(future.result())
            raise

    def _choose(self, model: str, last: int | None = None) -> Lane | None:
        known = self.lanes.get(last) if last is not None else None
        if known is not None and known.free and known.model == model:
            return known
        free = [lane for lane in self.lanes.values() if lane.model == model and lane.free]
        return min(free, key=lambda lane: lane.load, default=None)

    def release(self, lane: Lane) -> None:
        """Give a place back."""
        lane.in_flight -= 1
        self.serve(lane.model)

    def serve(self, model: str) -> None:
        """Hand out free places; call it when a lane came up or its limit rose."""
        waiting = self._queues.get(model, deque())
        while waiting and (lane := self._choose(model)):
            future = waiting.popleft()
            if not future.done():
                lane.in_flight += 1
                future.set_result(lane)

    def call_off(self, models: Iterable[str] | None = None) -> None:
        """Send those who wait for these models (or any) away with NoServer."""
        for model in list(self._queues) if models is None else models:
            waiting = self._queues.pop(model, deque())
            for future in waiting:
                if not future.done():
                    future.set_exception(NoServer(model))

    def waiting(self, model: str) -> int:
        """How many requests wait for a place."""
        return sum(not future.done() for future in self._queues.get(model, ()))

    async def close(self) -> None:
        """Close all connection pools."""
        await asyncio.gather(*(lane.server.close() for lane in self.lanes.values()))
