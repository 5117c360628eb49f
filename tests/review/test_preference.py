"""Bradley-Terry strengths against published figures, another method, and what must not matter."""

import math
import random
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from review.pairing import Candidate, pairs_of, sides
from review.preference import Judgment, Result, strengths, wilson, win_tie_loss

# Games of the American League's eastern division in 1987, winner in the row (Agresti, Categorical
# Data Analysis, 2nd ed., table 10.10); estimates and standard errors as R's BradleyTerry2 prints
# them for these data, Baltimore being the reference.
TEAMS = ["Milwaukee", "Detroit", "Toronto", "New York", "Boston", "Cleveland", "Baltimore"]
WINS = [
    [0, 7, 9, 7, 7, 9, 11],
    [6, 0, 7, 5, 11, 9, 9],
    [4, 6, 0, 7, 7, 8, 12],
    [6, 8, 6, 0, 6, 7, 10],
    [6, 2, 6, 7, 0, 7, 12],
    [4, 4, 5, 6, 6, 0, 6],
    [2, 4, 1, 3, 1, 7, 0],
]
PUBLISHED = [1.5814, 1.4364, 1.2945, 1.2476, 1.1077, 0.6839, 0.0]


def league() -> list[Judgment]:
    games = []
    for row, winner in enumerate(TEAMS):
        for column, loser in enumerate(TEAMS):
            games += [Judgment(winner, loser, "one")] * WINS[row][column]
    return [
        Judgment(each.one, each.other, each.result, f"game {number}")
        for number, each in enumerate(games)
    ]


def test_strengths_equal_the_published_league_table():
    found = {one.arm: one.estimate for one in strengths(league()).arms}
    assert len(found) == 7
    for team, value in zip(TEAMS, PUBLISHED, strict=True):
        assert found[team] - found["Baltimore"] == pytest.approx(value, abs=6e-5)
    assert sum(found.values()) == pytest.approx(0, abs=1e-9)


def by_iteration(judgments: list[Judgment]) -> dict[str, float]:
    """Davidson's model by Hunter's kind of iteration (2004, Ann Stat 32:384): another method."""
    arms = sorted({name for each in judgments for name in (each.one, each.other)})
    ability, tie = dict.fromkeys(arms, 1.0), 1.0
    points = dict.fromkeys(arms, 0.0)
    ties = 0
    for each in judgments:
        ties += each.result == "tie"
        for name, side in ((each.one, "one"), (each.other, "other")):
            points[name] += {"tie": 0.5, side: 1.0}.get(each.result, 0.0)
    for _ in range(20_000):
        total, even = dict.fromkeys(arms, 0.0), 0.0
        for each in judgments:
            a, b = ability[each.one], ability[each.other]
            root = math.sqrt(a * b)
            whole = a + b + tie * root
            total[each.one] += (1 + tie * math.sqrt(b / a) / 2) / whole
            total[each.other] += (1 + tie * math.sqrt(a / b) / 2) / whole
            even += root / whole
        new = {name: points[name] / total[name] for name in arms}
        mean = math.exp(sum(map(math.log, new.values())) / len(new))
        new = {name: value / mean for name, value in new.items()}
        moved = max(abs(new[name] - ability[name]) for name in arms)
        ability, tie = new, ties / even
        if moved < 1e-13:
            break
    return {name: math.log(value) for name, value in ability.items()}


def drawn(seed: int, count: int = 120) -> list[Judgment]:
    chance = random.Random(seed)
    true = {"a": 0.7, "b": 0.0, "c": -0.4, "d": 0.1}
    found = []
    for number in range(count):
        one, other = chance.sample(sorted(true), 2)
        weights = [
            math.exp(true[one]),
            math.exp(true[other]),
            0.8 * math.exp((true[one] + true[other]) / 2),
        ]
        results: list[Result] = ["one", "other", "tie"]
        result = chance.choices(results, weights)[0]
        found.append(Judgment(one, other, result, f"profile {number // 3}"))
    return found


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_strengths_with_ties_equal_those_of_another_method(seed):
    judgments = drawn(seed)
    found = {one.arm: one.estimate for one in strengths(judgments).arms}
    for arm, value in by_iteration(judgments).items():
        assert found[arm] == pytest.approx(value, abs=1e-6)


def test_two_arms_without_ties_give_the_log_odds_and_its_standard_error():
    judgments = [Judgment("a", "b", "one", str(n)) for n in range(30)]
    judgments += [Judgment("a", "b", "other", str(n + 30)) for n in range(10)]
    best, other = strengths(judgments).arms
    assert (best.arm, other.arm) == ("a", "b")
    # theta_a - theta_b = log(30 / 10); each is half of it. With every judgment a cluster of its
    # own the robust variance of the log odds is 1/30 + 1/10 times G / (G - 1).
    assert best.estimate == pytest.approx(math.log(3) / 2)
    error = math.sqrt((1 / 30 + 1 / 10) * 40 / 39) / 2
    assert best.high - best.estimate == pytest.approx(1.959963984540054 * error)
    assert best.against_average == pytest.approx(1 / (1 + math.exp(-math.log(3) / 2)))


def test_alike_judgments_of_one_profile_widen_the_interval():
    one_each = [Judgment("a", "b", "one", f"p{n}") for n in range(40)]
    one_each += [Judgment("a", "b", "other", f"q{n}") for n in range(20)]
    alike = [Judgment("a", "b", "one", f"p{n // 4}") for n in range(40)]
    alike += [Judgment("a", "b", "other", f"q{n // 4}") for n in range(20)]

    def width(judgments: list[Judgment]) -> float:
        first = strengths(judgments).arms[0]
        return first.high - first.low

    # Four copies of each cluster: the standard error doubles, the small-sample factors aside.
    factor = math.sqrt((15 / 14) / (60 / 59))
    assert width(alike) / width(one_each) == pytest.approx(2 * factor)


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    true = {"a": 0.7, "b": 0.0, "c": -0.4, "d": 0.1}
    middle = sum(true.values()) / 4
    inside = 0
    for seed in range(100):
        for one in strengths(drawn(1000 + seed, 300)).arms:
            inside += one.low <= true[one.arm] - middle <= one.high
    assert 365 <= inside <= 395  # of 400, 95 % meant


def test_an_arm_that_never_lost_has_no_strength_and_is_named():
    judgments = [Judgment("a", "b", "one"), Judgment("b", "c", "one"), Judgment("c", "b", "one")]
    found = strengths(judgments)
    assert found.arms == ()
    assert found.note.startswith("No estimate: a never lost")


def test_arms_never_compared_with_each_other_have_no_strength():
    judgments = [Judgment("a", "b", "one"), Judgment("b", "a", "one")]
    judgments += [Judgment("c", "d", "one"), Judgment("d", "c", "one")]
    assert strengths(judgments).arms == ()


def test_only_ties_and_nothing_give_a_note_instead_of_a_figure():
    assert strengths([]).note == "There is nothing to compare yet."
    assert "every judgment is a tie" in strengths([Judgment("a", "b", "tie")] * 3).note


def test_few_judgments_and_few_profiles_are_said():
    judgments = [Judgment("a", "b", "one", "p"), Judgment("a", "b", "other", "q")]
    note = strengths(judgments).note
    assert "Only 2 judgments" in note
    assert "Only 2 profiles" in note


@given(seed=st.integers(0, 10_000))
def test_names_order_and_sides_of_judgments_do_not_matter(seed):
    judgments = drawn(seed, 60)
    plain = {one.arm: (one.estimate, one.low, one.high) for one in strengths(judgments).arms}
    turn: dict[Result, Result] = {"one": "other", "other": "one", "tie": "tie"}
    mixed = [
        Judgment(f"z{each.other}", f"z{each.one}", turn[each.result], each.cluster)
        for each in reversed(judgments)
    ]
    again = {one.arm[1:]: (one.estimate, one.low, one.high) for one in strengths(mixed).arms}
    assert set(plain) == set(again)
    for arm, values in plain.items():
        assert values == pytest.approx(again[arm], abs=1e-7)


def test_win_tie_loss_counts_from_the_side_of_the_first_name():
    judgments = [
        Judgment("b", "a", "one"),
        Judgment("a", "b", "one"),
        Judgment("a", "b", "one"),
        Judgment("a", "b", "tie"),
        Judgment("c", "a", "tie"),
    ]
    rows = win_tie_loss(judgments)
    assert [(row.one, row.other, row.wins, row.ties, row.losses) for row in rows] == [
        ("a", "b", 2, 1, 1),
        ("a", "c", 0, 1, 0),
    ]
    assert rows[0].share == 0.625
    assert rows[0].judgments == 4


def test_wilson_interval_equals_the_textbook_value():
    # Newcombe 1998, Stat Med 17:857, table I: 81 of 263 and 15 of 148, method 3.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


# -- pairs and sides -------------------------------------------------------------------------------


def corpus(profiles: int, arms: str = "abc", replicates: int = 1) -> list[Candidate]:
    return [
        Candidate(f"{arm}{profile}.{number}", f"p{profile}", arm)
        for profile in range(profiles)
        for arm in arms
        for number in range(replicates)
    ]


def test_pairs_join_different_arms_of_the_same_profile_only():
    pairs = pairs_of(corpus(5), seed=1)
    assert len(pairs) == 15
    assert {pair.arms for pair in pairs} == set(combinations("abc", 2))
    for pair in pairs:
        assert (pair.one[0], pair.other[0]) == pair.arms
        assert pair.one[1] == pair.other[1] == pair.group[1]


def test_replicates_are_matched_one_to_one():
    pairs = pairs_of(corpus(2, "ab", 3), seed=1)
    assert len(pairs) == 6
    assert len({pair.one for pair in pairs}) == len({pair.other for pair in pairs}) == 6


def test_sample_takes_the_same_number_of_each_two_arms_and_repeats_with_its_seed():
    pairs = pairs_of(corpus(20), seed=4, per_arms=7)
    counts = [sum(pair.arms == arms for pair in pairs) for arms in combinations("abc", 2)]
    assert counts == [7, 7, 7]
    assert pairs == pairs_of(reversed(corpus(20)), seed=4, per_arms=7)
    assert pairs != pairs_of(corpus(20), seed=5, per_arms=7)


@given(seed=st.integers(0, 10_000), raters=st.integers(1, 4))
def test_each_arm_stands_on_the_left_as_often_within_one_for_every_rater(seed, raters):
    pairs = pairs_of(corpus(9), seed=seed)
    given_out = [(pair.id, f"r{number}") for number in range(raters) for pair in pairs]
    swapped = sides(given_out, pairs, seed=seed)
    assert swapped == sides(given_out, pairs, seed=seed)
    arms = {pair.id: pair.arms for pair in pairs}
    balance: dict[tuple[str, tuple[str, str]], int] = {}
    for (pair, rater), swap in zip(given_out, swapped, strict=True):
        key = rater, arms[pair]
        balance[key] = balance.get(key, 0) + (1 if swap else -1)
    assert max(map(abs, balance.values())) <= 1
    assert np.mean(swapped) == pytest.approx(0.5, abs=0.2)
