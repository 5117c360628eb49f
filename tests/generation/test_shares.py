"""A server's time shared out among the requests it has under way, with a clock of its own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation.shares import ShareClock


class Clock:
    """Seconds that pass only when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_request_alone_uses_all_the_time_and_two_use_half_each() -> None:
    clock = Clock()
    shares = ShareClock(clock)
    clock.now += 5.0
    one = shares.begin()
    clock.now += 2.0
    two = shares.begin()
    clock.now += 4.0
    assert shares.end(one) == pytest.approx(2.0 + 2.0)
    clock.now += 1.0
    assert shares.end(two) == pytest.approx(2.0 + 1.0)


def test_time_without_a_request_is_nobodys() -> None:
    clock = Clock()
    shares = ShareClock(clock)
    shares.end(shares.begin())
    clock.now += 1000.0
    begun = shares.begin()
    clock.now += 1.0
    assert shares.end(begun) == pytest.approx(1.0)


def test_requests_of_others_take_their_part() -> None:
    clock = Clock()
    shares = ShareClock(clock)
    begun = shares.begin()
    clock.now += 1.0
    shares.beside(3)
    clock.now += 4.0
    shares.beside(-1)
    clock.now += 1.0
    assert shares.end(begun) == pytest.approx(1.0 + 1.0 + 1.0)


@given(st.lists(st.tuples(st.floats(0.001, 10), st.booleans()), min_size=1, max_size=60))
def test_shares_add_up_to_the_time_in_which_there_was_any(steps: list[tuple[float, bool]]) -> None:
    clock = Clock()
    shares = ShareClock(clock)
    open_, total, busy = [shares.begin()], 0.0, 0.0
    for seconds, begins in steps:
        clock.now += seconds
        busy += seconds if open_ else 0.0
        if begins:
            open_.append(shares.begin())
        elif open_:
            total += shares.end(open_.pop(0))
    total += sum(shares.end(begun) for begun in open_)
    assert total == pytest.approx(busy)
