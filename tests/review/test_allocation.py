"""Allocation: exact overlap, equal loads, balanced pairs and arms, kept work, honest wishes."""

import random
from collections import Counter, defaultdict
from itertools import combinations, combinations_with_replacement

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from review.allocation import Allocation, DialogueUnit, RaterSlot, allocate
from review.loads import shared_out
from review.orders import repeats_possible, with_repeats
from review.orders import spread as spread_out


def units(count: int, *, arms: int = 1, per_profile: int = 1) -> list[DialogueUnit]:
    return [
        DialogueUnit(id=f"d{n}", profile=f"p{n // per_profile}", arm=f"arm{n % arms}")
        for n in range(count)
    ]


def slots(count: int, quota: int | None = None) -> list[RaterSlot]:
    return [RaterSlot(f"r{n}", quota) for n in range(count)]


def raters_of(allocation: Allocation) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for one in allocation.assignments:
        found[one.dialogue].append(one.rater)
    return found


def spread(counts: list[int]) -> int:
    return max(counts) - min(counts) if counts else 0


def kept(allocation: Allocation) -> list[tuple[str, str, int]]:
    return [(one.dialogue, one.rater, one.position) for one in allocation.assignments]


# -------------------------------------------------------------- guarantees


@settings(max_examples=200, deadline=None)
@given(
    count=st.integers(1, 30),
    raters=st.integers(1, 8),
    overlap=st.integers(1, 4),
    arms=st.integers(1, 4),
    per_profile=st.integers(1, 4),
    share=st.sampled_from([0.0, 0.25, 0.5, 1.0]),
    avoid=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_random_designs_keep_the_balance_or_say_why_not(
    count: int,
    raters: int,
    overlap: int,
    arms: int,
    per_profile: int,
    share: float,
    avoid: bool,
    seed: int,
) -> None:
    dialogues = units(count, arms=arms, per_profile=per_profile)
    allocation = allocate(
        dialogues,
        slots(raters),
        overlap=overlap,
        seed=seed,
        share=share,
        avoid_same_profile=avoid,
    )
    report, unmet = allocation.report, " ".join(allocation.report.unmet)
    found = raters_of(allocation)
    sizes = Counter(len(found[unit.id]) for unit in dialogues)
    chosen = round(share * count)
    assert sizes == Counter([min(overlap, raters)] * chosen + [1] * (count - chosen))
    assert all(len(set(names)) == len(names) for names in found.values())
    assert spread(list(report.loads.values())) <= 1
    assert sum(report.loads.values()) == len(allocation.assignments)
    assert (spread(list(report.pairs.values())) > 1) == ("Two raters share" in unmet)
    assert (overlap > raters and chosen > 0) == ("there are only" in unmet)
    profiles = {unit.id: unit.profile for unit in dialogues}
    met = Counter((one.rater, profiles[one.dialogue]) for one in allocation.assignments)
    assert (avoid and max(met.values()) > 1) == ("two dialogues of one profile" in unmet)
    total = sum(report.loads.values())
    off = sum(
        abs(here - report.loads[rater] * sum(row.values()) / total) > 1 + 1e-9
        for row in report.arms.values()
        for rater, here in row.items()
    )
    assert bool(off) == ("off the even spread" in unmet)
    assert "early or late" not in unmet
    arm_of = {unit.id: unit.arm for unit in dialogues}
    for name in report.loads:
        mine = sorted(
            (o.position, arm_of[o.dialogue]) for o in allocation.assignments if o.rater == name
        )
        assert keeps_pace([arm for _, arm in mine])
        places = [one.position for one in allocation.assignments if one.rater == name]
        assert sorted(places) == list(range(1, len(places) + 1))


def keeps_pace(arms: list[str]) -> bool:
    """Whether each arm has had its part, within one, after any number of dialogues."""
    parts = Counter(arms)
    return all(
        abs(arms[:step].count(arm) - step * parts[arm] / len(arms)) <= 1
        for step in range(1, len(arms) + 1)
        for arm in parts
    )


def possible(raters: int, overlap: int, dialogues: int) -> bool:
    """Whether any design has loads and pairs within one, by looking at all of them."""
    blocks = list(combinations(range(raters), overlap))
    for design in combinations_with_replacement(blocks, dialogues):
        loads = Counter(rater for block in design for rater in block)
        pairs = Counter(pair for block in design for pair in combinations(block, 2))
        load = [loads[rater] for rater in range(raters)]
        pair = [pairs[both] for both in combinations(range(raters), 2)]
        if spread(load) <= 1 and spread(pair) <= 1:
            return True
    return False


@pytest.mark.parametrize("dialogues", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize(("raters", "overlap"), [(3, 2), (4, 2), (4, 3), (5, 2), (5, 3), (5, 4)])
def test_pairs_are_balanced_whenever_that_is_possible(
    raters: int, overlap: int, dialogues: int
) -> None:
    allocation = allocate(units(dialogues), slots(raters), overlap=overlap, seed=1)
    balanced = spread(list(allocation.report.pairs.values())) <= 1
    assert balanced == possible(raters, overlap, dialogues)


@pytest.mark.parametrize(
    ("raters", "overlap", "dialogues", "shared"),
    [(7, 3, 7, 1), (9, 3, 12, 1), (13, 4, 13, 1), (6, 3, 10, 2), (11, 5, 11, 2), (13, 3, 26, 1)],
)
def test_classical_block_designs_are_found(
    raters: int, overlap: int, dialogues: int, shared: int
) -> None:
    allocation = allocate(units(dialogues), slots(raters), overlap=overlap, seed=7)
    assert set(allocation.report.pairs.values()) == {shared}
    assert allocation.report.unmet == ()


def test_large_study_is_balanced_in_every_way() -> None:
    allocation = allocate(units(2000, arms=4), slots(10), overlap=3, seed=1)
    report = allocation.report
    assert set(report.loads.values()) == {600}
    assert set(report.pairs.values()) == {133, 134}
    assert {count for row in report.arms.values() for count in row.values()} <= {149, 150, 151}
    assert report.raters_per_dialogue == {3: 2000}
    assert report.unmet == ()


def test_arms_of_one_profile_go_to_different_raters() -> None:
    dialogues = units(120, arms=4, per_profile=4)
    allocation = allocate(dialogues, slots(12), overlap=3, seed=3)
    profiles = {unit.id: unit.profile for unit in dialogues}
    met = Counter((one.rater, profiles[one.dialogue]) for one in allocation.assignments)
    assert set(met.values()) == {1}
    assert allocation.report.unmet == ()


# -------------------------------------------------- the same answer again


@given(st.randoms(use_true_random=False))
@settings(max_examples=20, deadline=None)
def test_input_order_does_not_matter(shuffler: object) -> None:
    dialogues, raters = units(20, arms=2, per_profile=2), slots(5)
    first = allocate(dialogues, raters, overlap=2, seed=5)
    shuffler.shuffle(dialogues)  # type: ignore[attr-defined]  # hypothesis types it as object
    shuffler.shuffle(raters)  # type: ignore[attr-defined]  # as above
    second = allocate(dialogues, raters, overlap=2, seed=5)
    assert set(first.assignments) == set(second.assignments)
    assert first.report == second.report


def test_seed_decides() -> None:
    first = allocate(units(20), slots(5), overlap=2, seed=5)
    assert allocate(units(20), slots(5), overlap=2, seed=5) == first
    assert allocate(units(20), slots(5), overlap=2, seed=6) != first


def test_design_for_a_seed_stays_as_it_is() -> None:
    allocation = allocate(units(4, arms=2), slots(3), overlap=2, seed=2025)
    assert sorted(kept(allocation)) == [
        ("d0", "r0", 2),
        ("d0", "r2", 2),
        ("d1", "r1", 3),
        ("d1", "r2", 3),
        ("d2", "r0", 1),
        ("d2", "r1", 2),
        ("d3", "r1", 1),
        ("d3", "r2", 1),
    ]


# ------------------------------------------------------------------- order


def test_arms_are_mixed_over_positions() -> None:
    allocation = allocate(units(200, arms=2), slots(4), overlap=2, seed=1)
    arm = {unit.id: unit.arm for unit in units(200, arms=2)}
    for name in ("r0", "r1", "r2", "r3"):
        mine = sorted(
            (o.position, arm[o.dialogue]) for o in allocation.assignments if o.rater == name
        )
        for start in range(0, 100, 20):
            part = Counter(letter for _, letter in mine[start : start + 20])
            assert 7 <= part["arm0"] <= 13


def test_raters_see_dialogues_in_different_orders() -> None:
    allocation = allocate(units(30), slots(2), overlap=2, seed=1)
    orders = {
        name: [
            one.dialogue
            for one in sorted(allocation.assignments, key=lambda one: one.position)
            if one.rater == name
        ]
        for name in ("r0", "r1")
    }
    assert sorted(orders["r0"]) == sorted(orders["r1"])
    assert orders["r0"] != orders["r1"]


@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=6),
    rng=st.randoms(use_true_random=False),
)
@settings(max_examples=150, deadline=None)
def test_every_arm_keeps_pace_in_any_order(sizes: list[int], rng: random.Random) -> None:
    arms = {f"arm{n}": [f"{n}.{i}" for i in range(size)] for n, size in enumerate(sizes)}
    order = spread_out(arms, rng)
    assert sorted(order) == sorted(key for part in arms.values() for key in part)
    assert keeps_pace([f"arm{key.split('.')[0]}" for key in order])


def test_arms_come_in_no_fixed_order() -> None:
    starts = {
        tuple(
            key[0] for key in spread_out({"a": ["a1"], "b": ["b1"], "c": ["c1"]}, random.Random(n))
        )
        for n in range(60)
    }
    assert len(starts) == 6


def test_one_order_for_all_raters() -> None:
    dialogues = units(30, arms=3)
    allocation = allocate(dialogues, slots(3), overlap=2, seed=1, order="same")
    place: dict[str, dict[str, int]] = defaultdict(dict)
    for one in allocation.assignments:
        place[one.rater][one.dialogue] = one.position
    for a, b in combinations(place, 2):
        both = sorted(place[a].keys() & place[b].keys(), key=place[a].__getitem__)
        assert both == sorted(both, key=place[b].__getitem__)
    assert [note for note in allocation.report.unmet if "same order" in note] == [
        "2 times a rater meets an arm early or late, because all raters keep the same order."
    ]


@given(count=st.integers(0, 40), wanted=st.integers(0, 10), seed=st.integers(0, 999))
@settings(max_examples=80, deadline=None)
def test_hidden_repeats_lie_far_apart(count: int, wanted: int, seed: int) -> None:
    order = [f"d{n}" for n in range(count)]
    found = with_repeats(order, wanted, random.Random(seed))
    again = [key for key, repeat in found if repeat]
    assert [key for key, repeat in found if not repeat] == order
    assert len(again) == len(set(again)) == min(wanted, count // 3)
    for key in again:
        assert found.index((key, True)) - found.index((key, False)) >= count / 3
    assert repeats_possible([count], wanted) == (len(again) == wanted or count == 0)


# ------------------------------------------------------------- quotas, share


def test_quotas_hold_and_the_others_share_the_rest() -> None:
    raters = [RaterSlot("r0", 4), *slots(4)[1:]]
    allocation = allocate(units(20), raters, overlap=2, seed=1)
    loads = allocation.report.loads
    assert loads == {"r0": 4, "r1": 12, "r2": 12, "r3": 12}
    assert allocation.report.raters_per_dialogue == {2: 20}
    assert allocation.report.unmet[0] == (
        "Raters have from 4 to 12 dialogues each, because of the raters' quotas."
    )


def test_quotas_that_do_not_suffice_fill_dialogues_one_after_the_other() -> None:
    allocation = allocate(units(10), slots(3, quota=5), overlap=2, seed=1)
    assert allocation.report.raters_per_dialogue == {0: 2, 1: 1, 2: 7}
    assert allocation.report.loads == {"r0": 5, "r1": 5, "r2": 5}
    assert allocation.report.unmet[0] == (
        "3 of 10 dialogues have fewer raters than wanted, because the raters' quotas are used up."
    )


@given(
    quotas=st.lists(st.integers(0, 12) | st.none(), min_size=1, max_size=6),
    count=st.integers(1, 15),
    overlap=st.integers(1, 4),
)
@settings(max_examples=60, deadline=None)
def test_quotas_are_never_exceeded(quotas: list[int | None], count: int, overlap: int) -> None:
    raters = [RaterSlot(f"r{n}", quota) for n, quota in enumerate(quotas)]
    allocation = allocate(units(count), raters, overlap=overlap, seed=1)
    loads = allocation.report.loads
    assert all(r.quota is None or loads[r.id] <= r.quota for r in raters)
    found = raters_of(allocation)
    assert all(len(set(names)) == len(names) <= overlap for names in found.values())
    room = sum(min(count, r.quota if r.quota is not None else count) for r in raters)
    if sum(loads.values()) < overlap * count:
        assert allocation.report.unmet
        assert sum(loads.values()) <= room


def test_overlap_above_the_number_of_raters_is_said() -> None:
    allocation = allocate(units(5), slots(2), overlap=3, seed=1)
    assert allocation.report.raters_per_dialogue == {2: 5}
    assert allocation.report.unmet == (
        "5 of 5 dialogues should have 3 raters but there are only 2;"
        " add raters or lower the overlap.",
    )


def test_nobody_to_rate_is_said() -> None:
    allocation = allocate(units(2), [], overlap=1, seed=1)
    assert allocation.assignments == ()
    assert allocation.report.unmet == (
        "2 of 2 dialogues should have 1 raters but there are only 0;"
        " add raters or lower the overlap.",
    )


def test_nothing_to_rate_is_an_empty_design() -> None:
    allocation = allocate([], slots(3), overlap=2, seed=1)
    assert (allocation.assignments, allocation.report.unmet) == ((), ())


def test_share_is_taken_from_every_arm() -> None:
    dialogues = units(80, arms=4)
    allocation = allocate(dialogues, slots(6), overlap=3, seed=1, share=0.25)
    double = [unit.arm for unit in dialogues if len(raters_of(allocation)[unit.id]) == 3]
    assert Counter(double) == {"arm0": 5, "arm1": 5, "arm2": 5, "arm3": 5}
    assert allocation.report.raters_per_dialogue == {1: 60, 3: 20}


def test_profile_that_cannot_be_kept_apart_is_said() -> None:
    allocation = allocate(units(4, per_profile=4), slots(2), overlap=1, seed=1)
    assert allocation.report.unmet == (
        "2 times a rater sees two dialogues of one profile, because there are too few raters"
        " to keep its dialogues apart.",
    )


# ------------------------------------------------------------- running study


def test_added_dialogues_leave_existing_work_alone() -> None:
    first = allocate(units(20), slots(4), overlap=2, seed=1)
    second = allocate(units(30), slots(4), overlap=2, seed=1, existing=kept(first))
    assert {one.dialogue for one in second.assignments} == {f"d{n}" for n in range(20, 30)}
    assert set(second.report.loads.values()) == {15}
    assert spread(list(second.report.pairs.values())) <= 1
    for name in ("r0", "r1", "r2", "r3"):
        places = sorted(o.position for o in second.assignments if o.rater == name)
        assert places == [11, 12, 13, 14, 15]


def test_repeating_a_complete_design_adds_nothing() -> None:
    first = allocate(units(20, arms=2), slots(4), overlap=2, seed=1, share=0.5)
    again = allocate(
        units(20, arms=2), slots(4), overlap=2, seed=1, share=0.5, existing=kept(first)
    )
    assert again.assignments == ()
    assert again.report == first.report


def test_added_rater_catches_up() -> None:
    first = allocate(units(20), slots(4), overlap=2, seed=1)
    second = allocate(units(30), slots(5), overlap=2, seed=1, existing=kept(first))
    # Only ten dialogues are open to the newcomer; the others share what is left of them.
    assert second.report.loads["r4"] == 10
    assert sorted(second.report.loads.values()) == [10, 12, 12, 13, 13]


def test_work_of_a_rater_who_left_counts_and_the_rest_is_made_up_for() -> None:
    first = allocate(units(12), slots(4), overlap=2, seed=1)
    stayed = [entry for entry in kept(first) if entry[1] != "r3" or entry[2] <= 2]
    second = allocate(units(12), slots(3), overlap=2, seed=1, existing=stayed)
    everyone: dict[str, set[str]] = defaultdict(set)
    for dialogue, rater, _ in [*stayed, *kept(second)]:
        assert rater not in everyone[dialogue]
        everyone[dialogue].add(rater)
    assert {len(names) for names in everyone.values()} == {2}
    assert spread(list(second.report.loads.values())) <= 1
    assert "r3" not in {one.rater for one in second.assignments}


def test_dialogue_that_was_handed_back_never_returns_to_the_same_rater() -> None:
    barred = [("d0", "r0"), ("d1", "r0"), ("d2", "r1")]
    allocation = allocate(units(12), slots(4), overlap=2, seed=1, barred=barred)
    assert not {(one.dialogue, one.rater) for one in allocation.assignments} & set(barred)
    assert allocation.report.unmet == ()


def test_dialogue_that_all_others_handed_back_is_said() -> None:
    barred = [("d0", "r0"), ("d0", "r1")]
    allocation = allocate(units(6), slots(3), overlap=2, seed=1, barred=barred)
    assert allocation.report.raters_per_dialogue == {1: 1, 2: 5}
    assert allocation.report.unmet[0] == (
        "1 of 6 dialogues have fewer raters than wanted,"
        " because those who could still rate them handed them back."
    )


def test_number_settled_before_stays_whatever_the_share() -> None:
    first = allocate(units(20), slots(4), overlap=2, seed=1, share=0.5)
    kept_wish = [
        DialogueUnit(unit.id, unit.profile, unit.arm, first.wanted[unit.id]) for unit in units(20)
    ]
    # Whoever had the second look at these is gone, with nothing done.
    stayed = [entry for entry in kept(first) if entry[1] != "r3"]
    added = [*kept_wish, *units(30)[20:]]
    second = allocate(added, slots(3), overlap=2, seed=1, share=0.5, existing=stayed)
    assert {unit.id: second.wanted[unit.id] for unit in kept_wish} == dict(first.wanted)
    assert Counter(second.wanted[f"d{n}"] for n in range(20, 30)) == {1: 5, 2: 5}
    assert second.report.raters_per_dialogue == {1: 15, 2: 15}


def test_last_free_rater_who_has_the_dialogue_already_makes_way() -> None:
    existing = [("d0", "r0", 1), ("d1", "r1", 1)]
    allocation = allocate(units(2), slots(2, quota=2), overlap=2, seed=1, existing=existing)
    assert {(one.dialogue, one.rater) for one in allocation.assignments} == {
        ("d0", "r1"),
        ("d1", "r0"),
    }


# ------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"overlap": 0}, "The overlap must be at least 1."),
        ({"share": 1.5}, "The share of dialogues with overlap must lie between 0 and 1."),
        ({"share": float("nan")}, "The share of dialogues with overlap must lie between 0 and 1."),
        ({"dialogues": units(2) + units(1)}, "A dialogue is given twice."),
        ({"raters": slots(2) + slots(1)}, "A rater is given twice."),
        ({"existing": [("d0", "r0", 1)] * 2}, "An existing assignment is given twice."),
    ],
)
def test_impossible_requests_are_refused(change: dict[str, object], sentence: str) -> None:
    wish: dict[str, object] = {"dialogues": units(2), "raters": slots(2), "overlap": 1, "seed": 1}
    with pytest.raises(ValueError, match=sentence.replace(".", r"\.")):
        allocate(**{**wish, **change})  # type: ignore[arg-type]  # wrong on purpose


@given(
    total=st.integers(0, 60),
    raters=st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=6),
)
def test_shared_out_is_as_level_as_room_allows(total: int, raters: list[tuple[int, int]]) -> None:
    done, room = [one for one, _ in raters], [other for _, other in raters]
    parts = shared_out(total, done, room)
    assert sum(parts) == min(total, sum(room))
    assert all(0 <= part <= most for part, most in zip(parts, room, strict=True))
    filled = [before + part for before, part in zip(done, parts, strict=True)]
    can_take = [load for load, part, most in zip(filled, parts, room, strict=True) if part < most]
    given_to = [load for load, part in zip(filled, parts, strict=True) if part]
    assert not can_take or not given_to or max(given_to) - min(can_take) <= 1
