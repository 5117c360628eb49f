"""How far a batch is: exact figures from known rows, by as many queries for any size."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation import progress
from generation.models import Dialogue, Turn
from generation.progress import Counts, Figures, Point, Speed
from tests import generation_rows as rows
from tests.generation_rows import WHEN


def test_counts_add_up_and_read_as_a_sentence() -> None:
    both = Counts(complete=318, failed=7, running=64) + Counts(waiting=1151)
    assert both.total == 1540
    assert both.open == 1215
    assert both.in_words == "318 complete, 7 failed, 64 in progress, 1,151 waiting"
    assert Counts(cancelled=2).in_words.endswith("0 waiting, 2 cancelled")


def test_figures_by_arm_tell_states_and_lengths(db: None) -> None:
    batch = rows.make_batch(4)
    first, second, third, _ = batch.dialogues.order_by("pk")
    rows.speak(first, ["a"] * 6)
    rows.complete(first)
    rows.speak(second, ["a"] * 3)
    rows.run(second)
    rows.speak(third, ["a"] * 4)
    rows.fail(third)
    (found,) = progress.figures_by_arm(batch.dialogues.all()).values()
    assert found.counts == Counts(waiting=1, running=1, complete=1, failed=1)
    assert found.exchanges == 3.0
    assert found.turns_open == 3
    assert found.first == WHEN
    assert found.last == WHEN + timedelta(minutes=10)
    # Two are open, six turns long each if like the complete one; three turns are there.
    assert found.turns_left(expected=44.0) == 9.0


def test_figures_without_a_complete_dialogue_go_by_the_protocol() -> None:
    assert Figures(Counts(waiting=2)).turns_left(expected=44.0) == 88.0
    assert Figures(Counts(running=2), turns_open=500).turns_left(expected=44.0) == 2.0
    assert Figures().exchanges is None


def test_counts_by_batch_keep_batches_apart(db: None) -> None:
    one, two = rows.make_batch(1, "one"), rows.make_batch(2, "two")
    rows.complete(one.dialogues.get())
    assert progress.counts_by_batch(Dialogue.objects.all()) == {
        one.pk: Counts(complete=1),
        two.pk: Counts(waiting=2),
    }


def test_speed_counts_the_last_five_minutes(db: None) -> None:
    batch = rows.make_batch(1)
    # One turn every ten seconds for ten minutes.
    rows.speak(batch.dialogues.get(), ["a"] * 60, at=WHEN, every_s=10)
    found = progress.speed(Turn.objects.all(), until=WHEN + timedelta(minutes=10))
    assert found.now == pytest.approx(6.0, rel=0.05)
    assert found.peak == 6.0
    assert found.points[0] == Point(WHEN + timedelta(seconds=10), 6.0)


def test_speed_shows_nothing_older_than_an_hour(db: None) -> None:
    batch = rows.make_batch(1)
    rows.speak(batch.dialogues.get(), ["a"] * 3, at=WHEN)
    assert progress.speed(Turn.objects.all(), until=WHEN + timedelta(hours=2)) == Speed()


def test_speed_of_a_longer_time_is_drawn_in_minutes(db: None) -> None:
    batch = rows.make_batch(1)
    rows.speak(batch.dialogues.get(), ["a"] * 30, at=WHEN, every_s=60)
    found = progress.speed(Turn.objects.all(), until=WHEN + timedelta(minutes=30, seconds=5))
    assert len(found.points) == 29
    assert {point.per_minute for point in found.points} == {1.0}


def test_speed_shows_a_standstill_as_nothing(db: None) -> None:
    batch = rows.make_batch(1)
    rows.speak(batch.dialogues.get(), ["a"], at=WHEN, every_s=10)
    found = progress.speed(Turn.objects.all(), until=WHEN + timedelta(minutes=1))
    assert [point.per_minute for point in found.points] == [6.0, 0.0, 0.0, 0.0, 0.0]


@given(st.lists(st.floats(0, 1e6), max_size=60))
def test_polyline_stays_inside_its_picture(rates: list[float]) -> None:
    line = Speed(tuple(Point(WHEN, rate) for rate in rates)).polyline
    pairs = [tuple(map(float, pair.split(","))) for pair in line.split()]
    assert len(pairs) == (len(rates) if len(rates) > 1 else 0)
    assert all(0 <= x <= 100.01 and 1.9 <= y <= 39.1 for x, y in pairs)


def test_failures_are_grouped_with_their_place(db: None) -> None:
    batch = rows.make_batch(4)
    for dialogue, reason, turns in zip(
        batch.dialogues.order_by("pk"),
        ["loops", "loops", "deadline", "loops"],
        [2, 8, 0, 5],
        strict=True,
    ):
        rows.fail(dialogue, reason, turn_count=turns)
    found = progress.failures(batch.dialogues.all())
    uids = list(batch.dialogues.order_by("pk").values_list("uid", flat=True))
    assert [(each.reason, each.dialogues, each.where, each.newest) for each in found] == [
        ("loops", 3, "turn 3 to 9", uids[3]),
        ("deadline", 1, "turn 1", uids[2]),
    ]
    assert found[1].in_words == "The answer did not come in time"


def test_seconds_left_follow_from_turns_and_speed() -> None:
    arms = [(Figures(Counts(waiting=1)), 44.0), (Figures(Counts(running=1), turns_open=4), 44.0)]
    assert progress.seconds_left(arms, per_minute=84.0) == 60.0
    assert progress.seconds_left(arms, per_minute=0.0) is None
    assert progress.seconds_left([(Figures(Counts(complete=3)), 44.0)], per_minute=9.0) is None


@pytest.mark.parametrize("size", [1, 3])
def test_each_figure_costs_one_query_or_two(
    size: int, db: None, django_assert_num_queries: Callable[..., Any]
) -> None:
    batch = rows.make_batch(size)
    for dialogue in batch.dialogues.all():
        rows.speak(dialogue, ["a", "b"])
        rows.fail(dialogue)
    turns = Turn.objects.filter(dialogue__batch=batch)
    with django_assert_num_queries(5):
        progress.counts_by_batch(batch.dialogues.all())
        progress.figures_by_arm(batch.dialogues.all())
        progress.speed(turns, until=WHEN)
        progress.failures(batch.dialogues.all())
