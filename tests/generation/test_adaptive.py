"""The adaptive concurrency limit, with a clock of its own."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation.adaptive import AdaptiveLimit


class Clock:
    """Seconds that pass only when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_adaptive_limit_starts_at_its_cap_or_as_told() -> None:
    assert AdaptiveLimit(64).limit == 64
    assert AdaptiveLimit(64, start=8).limit == 8
    assert AdaptiveLimit(64, start=0).limit == 1
    assert AdaptiveLimit(64, start=100).limit == 64


@pytest.mark.parametrize(("cap", "cut"), [(0, 0.5), (4, 1.0), (4, 0.0)])
def test_adaptive_limit_refuses_absurd_settings(cap: int, cut: float) -> None:
    with pytest.raises(ValueError, match="adaptive limit needs"):
        AdaptiveLimit(cap, cut=cut)


def test_adaptive_limit_rises_by_a_step_each_full_round() -> None:
    limit = AdaptiveLimit(64, start=8)
    assert [limit.succeeded() for _ in range(8)] == [False] * 7 + [True]
    assert limit.limit == 12
    assert [limit.succeeded() for _ in range(12)].count(True) == 1
    assert limit.limit == 16


def test_adaptive_limit_does_not_rise_above_its_cap() -> None:
    limit = AdaptiveLimit(4)
    assert not any(limit.succeeded() for _ in range(40))
    assert limit.limit == 4


def test_adaptive_limit_halves_once_for_a_burst() -> None:
    clock = Clock()
    limit = AdaptiveLimit(64, cool_down_s=5.0, clock=clock)
    assert [limit.overloaded() for _ in range(64)] == [True] + [False] * 63
    assert limit.limit == 32
    clock.now += 4.9
    assert not limit.overloaded()
    clock.now += 0.2
    assert limit.overloaded()
    assert limit.limit == 16


def test_adaptive_limit_ignores_late_failures_of_requests_sent_before_the_cut() -> None:
    clock = Clock()
    limit = AdaptiveLimit(64, cool_down_s=5.0, clock=clock)
    sent = limit.now()
    limit.overloaded(sent)
    clock.now += 60.0
    assert not limit.overloaded(sent)
    assert limit.overloaded(sent + 30.0)
    assert limit.limit == 16


def test_adaptive_limit_starts_its_round_anew_after_a_cut() -> None:
    limit = AdaptiveLimit(16, start=4, clock=Clock())
    for _ in range(3):
        limit.succeeded()
    limit.overloaded()
    assert [limit.succeeded(), limit.succeeded()] == [False, True]
    assert limit.limit == 3


EVENTS = st.lists(st.sampled_from(["ok", "bad"]) | st.floats(0.0, 20.0), max_size=300)


@given(st.integers(1, 300), st.integers(1, 300), EVENTS)
def test_adaptive_limit_stays_in_bounds_and_moves_as_it_says(
    cap: int, start: int, events: list[str | float]
) -> None:
    clock = Clock()
    limit = AdaptiveLimit(cap, start=start, clock=clock)
    for event in events:
        before = limit.limit
        if isinstance(event, float):
            clock.now += event
            moved = False
        else:
            moved = limit.succeeded() if event == "ok" else limit.overloaded()
        assert 1 <= limit.limit <= cap
        if event == "ok":
            assert (limit.limit > before) == moved
        elif event == "bad":
            assert limit.limit == (max(1, before // 2) if moved else before)
        else:
            assert limit.limit == before


@given(st.lists(st.floats(0.0, 4.0), max_size=100))
def test_adaptive_limit_cuts_at_most_once_per_cool_down(waits: list[float]) -> None:
    clock = Clock()
    limit = AdaptiveLimit(1024, cool_down_s=5.0, clock=clock)
    cuts = []
    for wait in waits:
        clock.now += wait
        if limit.overloaded():
            cuts.append(clock.now)
    assert all(later - earlier >= 5.0 for earlier, later in itertools.pairwise(cuts))


@given(st.integers(1, 400))
def test_adaptive_limit_comes_back_from_the_bottom(cap: int) -> None:
    limit = AdaptiveLimit(cap, start=1)
    needed = 0
    while limit.limit < cap:
        limit.succeeded()
        needed += 1
    assert needed <= 20 * cap
