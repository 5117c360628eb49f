"""Who gets a place on which lane, without a server."""

import asyncio
from collections.abc import Callable, Coroutine
from decimal import Decimal
from typing import Any

import pytest

from generation.adaptive import AdaptiveLimit
from generation.lanes import Lane, Lanes, NoServer, Place
from generation.vllm import ModelServer


def lane(number: int, *, at_once: int = 1, **values: Any) -> Lane:
    """An endpoint of the model m."""
    server = ModelServer(f"http://127.0.0.1:{8000 + number}/v1", "m")
    limit = AdaptiveLimit(at_once)
    return Lane(number, f"e{number}", "m", server, limit, **values)


def with_lanes(*made: Lane) -> Lanes:
    return Lanes({each.endpoint_id: each for each in made})


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(work())


def test_request_goes_to_the_lane_it_used_last_else_to_the_least_loaded() -> None:
    async def work() -> None:
        lanes = with_lanes(lane(1, at_once=4), lane(2, at_once=4))
        got = [await lanes.acquire("m", 2) for _ in range(3)]
        assert [place.lane.endpoint_id for place in got] == [2, 2, 2]
        assert (await lanes.acquire("m")).lane.endpoint_id == 1
        assert (await lanes.acquire("m", 99)).lane.endpoint_id == 1

    run(work)


def test_freed_place_goes_to_who_has_his_prompt_there() -> None:
    async def work() -> None:
        lanes = with_lanes(lane(1), lane(2))
        on_one, on_two = await lanes.acquire("m", 1), await lanes.acquire("m", 2)
        first = asyncio.create_task(lanes.acquire("m", 1))
        second = asyncio.create_task(lanes.acquire("m", 2))
        await asyncio.sleep(0)
        lanes.release(on_two)
        await asyncio.sleep(0)
        assert (first.done(), (await second).lane.endpoint_id) == (False, 2)
        lanes.release(on_one)
        assert (await first).lane.endpoint_id == 1

    run(work)


def test_no_place_is_left_empty_for_somebody_elses_prompt() -> None:
    async def work() -> None:
        lanes = with_lanes(lane(1), lane(2))
        await lanes.acquire("m", 1)
        on_two = await lanes.acquire("m", 2)
        waiting = [asyncio.create_task(lanes.acquire("m", 1)) for _ in range(2)]
        new = asyncio.create_task(lanes.acquire("m"))
        await asyncio.sleep(0)
        lanes.release(on_two)
        # One without a home goes before those whose home is the other lane.
        assert (await new).lane.endpoint_id == 2
        lanes.release(new.result())
        await asyncio.sleep(0)
        assert [task.done() for task in waiting] == [True, False]
        assert waiting[0].result().lane.endpoint_id == 2
        waiting[1].cancel()

    run(work)


def test_lane_that_is_down_is_nobodys_home() -> None:
    async def work() -> None:
        down, up = lane(1), lane(2)
        lanes = with_lanes(down, up)
        held = await lanes.acquire("m", 2)
        down.down_since = 0.0
        waiting = [asyncio.create_task(lanes.acquire("m", last)) for last in (2, 1)]
        await asyncio.sleep(0)
        lanes.release(held)
        assert (await waiting[0]).lane is up
        lanes.release(waiting[0].result())
        assert (await waiting[1]).lane is up
        gone = asyncio.create_task(lanes.acquire("m"))
        await asyncio.sleep(0)
        lanes.call_off(["m"])
        with pytest.raises(NoServer):
            await gone

    run(work)


def test_cancelled_waiter_gives_back_the_place_it_was_just_given() -> None:
    async def work() -> None:
        only = lane(1)
        lanes = with_lanes(only)
        held = await lanes.acquire("m", batch_id=7)
        assert lanes.in_flight() == {7: 1}
        waiting = asyncio.create_task(lanes.acquire("m", batch_id=8))
        await asyncio.sleep(0)
        lanes.release(held)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert (only.in_flight, lanes.held) == (0, set())

    run(work)


def test_place_tells_gpu_time_and_cost_of_its_request() -> None:
    made = lane(1, gpus=4, price_per_hour=Decimal("7.200"))
    place = Place.on(made, 1)
    place.end()
    place.share_s = 0.5
    assert place.gpu_us == 2_000_000
    assert place.cost == Decimal("0.001")
    made.price_per_hour = None
    assert place.cost is None
    place.end()
    assert (place.share_s, made.in_flight) == (0.5, 1)
