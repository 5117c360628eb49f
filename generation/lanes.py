"""The endpoints as one engine sees them: who may send a request where, and who has to wait.

A lane is one endpoint with its connection pool, its adaptive limit and the requests it has under
way. A request goes to the lane its dialogue used last (its prompt is in that server's prefix
cache). No place is left empty for that: when somebody waits and his own lane is full, he takes the
place on another. Lives inside one event loop.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice

from generation.adaptive import AdaptiveLimit
from generation.shares import ShareClock
from generation.token_scale import TokenScale
from generation.vllm import ModelServer

# How far down a queue somebody is looked for whose own lane is free.
LOOK_AHEAD = 64


class NoServer(Exception):
    """No server for this model will be had for now; the dialogue should be given back."""


@dataclass(eq=False, slots=True)
class Lane:
    """One endpoint of one engine. ``down_since`` is the loop's time, None while it is up.

    ``price_per_hour`` is that of the whole server with all its ``gpus``.
    """

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
    gpus: int = 1
    price_per_hour: Decimal | None = None
    abilities: dict[str, bool] = field(default_factory=dict)
    shares: ShareClock = field(default_factory=ShareClock)
    scale: TokenScale = field(default_factory=TokenScale)

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


@dataclass(eq=False, slots=True)
class Place:
    """The right to have one request under way on a lane, and the meter of that request."""

    lane: Lane
    batch_id: int
    begun_at: float
    begun: float
    took_s: float = 0.0
    share_s: float = 0.0
    ended: bool = False

    @classmethod
    def on(cls, lane: Lane, batch_id: int) -> "Place":
        """Take a place; its request begins now."""
        lane.in_flight += 1
        return cls(lane, batch_id, time.monotonic(), lane.shares.begin())

    def end(self) -> None:
        """Stop the meter; only the first call counts."""
        if not self.ended:
            self.ended = True
            self.took_s = time.monotonic() - self.begun_at
            self.share_s = self.lane.shares.end(self.begun)

    @property
    def gpu_us(self) -> int:
        """GPU time used, in microseconds."""
        return round(self.share_s * 1_000_000) * self.lane.gpus

    @property
    def cost(self) -> Decimal | None:
        """What that costs at the lane's price, where it has one."""
        price = self.lane.price_per_hour
        return None if price is None else price * Decimal(self.share_s) / 3600


@dataclass(eq=False, slots=True)
class _Waiter:
    """Somebody before full lanes: of which batch, and which lane he had last."""

    future: "asyncio.Future[Place]"
    batch_id: int
    last: int | None


@dataclass(slots=True)
class Lanes:
    """All lanes of one engine and the queues before them.

    ``retired`` are lanes that get nothing more, but had requests under way when they were dropped.
    """

    lanes: dict[int, Lane] = field(default_factory=dict)
    retired: list[Lane] = field(default_factory=list)
    held: set[Place] = field(default_factory=set)
    _queues: "dict[str, deque[_Waiter]]" = field(default_factory=dict)

    def of(self, model: str) -> list[Lane]:
        """The lanes that serve a model, up or down."""
        return [lane for lane in self.lanes.values() if lane.model == model]

    def usable_models(self) -> list[str]:
        """Models with at least one lane that is up."""
        return sorted({lane.model for lane in self.lanes.values() if lane.usable})

    def capacity(self) -> int:
        """Requests that all lanes together bear at once now."""
        return sum(lane.limit.limit for lane in self.lanes.values() if lane.usable)

    def in_flight(self) -> "Counter[int]":
        """Batch -> requests under way."""
        return Counter(place.batch_id for place in self.held)

    async def acquire(self, model: str, last: int | None = None, *, batch_id: int = 0) -> Place:
        """Wait for a place on a lane of the model and take it; give it back with ``release``.

        ``last`` is the endpoint used before. Raises NoServer when waiting was called off.
        """
        waiting = self._queues.setdefault(model, deque())
        if not waiting and (lane := self._choose(model, last)):
            return self._take(lane, batch_id)
        waiter = _Waiter(asyncio.get_running_loop().create_future(), batch_id, last)
        waiting.append(waiter)
        future = waiter.future
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                self.release(future.result())
            raise

    def _take(self, lane: Lane, batch_id: int) -> Place:
        place = Place.on(lane, batch_id)
        self.held.add(place)
        return place

    def _choose(self, model: str, last: int | None = None) -> Lane | None:
        known = self.lanes.get(last) if last is not None else None
        if known is not None and known.free and known.model == model:
            return known
        free = [lane for lane in self.lanes.values() if lane.model == model and lane.free]
        return min(free, key=lambda lane: lane.load, default=None)

    def release(self, place: Place) -> None:
        """Give a place back; its request is over."""
        place.end()
        self.held.discard(place)
        place.lane.in_flight -= 1
        self.serve(place.lane.model)

    def serve(self, model: str) -> None:
        """Hand out free places; call it when a lane came up or its limit rose."""
        waiting = self._queues.get(model, deque())
        while waiting and (lane := self._choose(model)):
            waiter, lane = self._next(waiting, lane)
            if not waiter.future.done():
                waiter.future.set_result(self._take(lane, waiter.batch_id))

    def _next(self, waiting: "deque[_Waiter]", lane: Lane) -> tuple[_Waiter, Lane]:
        """Who goes next, and where: one whose own lane is free, else one without, else the first.

        Nobody waits for ever: who is first is passed over only while others go to their own lanes,
        and goes to his own as soon as a place is free there.
        """
        homeless = None
        for number, waiter in enumerate(islice(waiting, LOOK_AHEAD)):
            home = self.lanes.get(waiter.last) if waiter.last is not None else None
            if home is not None and home.free:
                del waiting[number]
                return waiter, home
            if homeless is None and (home is None or not home.usable):
                homeless = number
        waiter = waiting[homeless or 0]
        del waiting[homeless or 0]
        return waiter, lane

    def call_off(self, models: Iterable[str] | None = None) -> int:
        """Send those who wait for these models (or any) away with NoServer. Returns how many."""
        sent = 0
        for model in list(self._queues) if models is None else models:
            for waiter in self._queues.pop(model, deque()):
                if not waiter.future.done():
                    waiter.future.set_exception(NoServer(model))
                    sent += 1
        return sent

    def waiting(self, model: str) -> int:
        """How many requests wait for a place."""
        return sum(not waiter.future.done() for waiter in self._queues.get(model, ()))

    async def close(self) -> None:
        """Close all connection pools."""
        every = (*self.lanes.values(), *self.retired)
        await asyncio.gather(*(lane.server.close() for lane in every))
