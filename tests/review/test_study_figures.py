"""Pure helpers around a study: stratified samples, expected intervals, steadiness of raters."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from review.agreement import icc
from review.consistency import TwoSights, steadiness
from review.items import Item
from review.precision import agreement_width, dialogues_needed, part_width
from review.sampling import Sample, Stratum, sample

# -- samples --------------------------------------------------------------------------------------


def population(**sizes: int) -> dict[int, str]:
    names = [name for name, size in sizes.items() for _ in range(size)]
    return dict(enumerate(names, start=1))


def chosen(found: Sample) -> dict[str, int]:
    return {stratum.name: stratum.chosen for stratum in found.strata}


def test_sample_is_stratified_in_proportion_or_equally() -> None:
    there = population(a=60, b=30, c=10)
    assert chosen(sample(there, 20, seed=1)) == {"a": 12, "b": 6, "c": 2}
    assert chosen(sample(there, 33, seed=1, how="equal")) == {"a": 12, "b": 11, "c": 10}
    assert sample(there, 20, seed=1).strata[0] == Stratum("a", 60, 12)


def test_sample_of_all_takes_all() -> None:
    there = population(a=3, b=2)
    assert sample(there, None, seed=1).ids == (1, 2, 3, 4, 5)
    assert sample(there, 99, seed=1).ids == (1, 2, 3, 4, 5)
    assert sample({}, 5, seed=1) == Sample((), ())


@given(
    sizes=st.lists(st.integers(1, 20), min_size=1, max_size=6),
    size=st.integers(0, 130),
    seed=st.integers(0, 99),
    how=st.sampled_from(["proportional", "equal"]),
)
@settings(max_examples=100, deadline=None)
def test_sample_has_its_size_and_no_stratum_more_than_its_part(
    sizes: list[int], size: int, seed: int, how: str
) -> None:
    there = population(**{f"s{n}": count for n, count in enumerate(sizes)})
    found = sample(there, size, seed=seed, how="equal" if how == "equal" else "proportional")
    wanted = min(size, len(there))
    assert len(found.ids) == len(set(found.ids)) == wanted
    assert Counter(there[key] for key in found.ids) == Counter(chosen(found))
    for stratum in found.strata:
        if how == "proportional":
            assert abs(stratum.chosen - wanted * stratum.there / len(there)) < 1
        elif stratum.chosen < stratum.there:
            assert max(chosen(found).values()) - stratum.chosen <= 1


def test_seed_decides_and_a_larger_sample_keeps_the_smaller() -> None:
    there = population(a=40)
    assert sample(there, 10, seed=1) == sample(dict(reversed(there.items())), 10, seed=1)
    assert sample(there, 10, seed=1) != sample(there, 10, seed=2)
    assert set(sample(there, 10, seed=1).ids) < set(sample(there, 20, seed=1).ids)


# -- expected intervals ---------------------------------------------------------------------------


def test_widths_follow_bonett() -> None:
    """Worked by hand from the formula: k = 3, r = 0.6, n = 61."""
    found = agreement_width(0.6, raters=3, dialogues=61)
    assert found is not None
    assert found.width == pytest.approx(2 * 1.959964 * 0.4 * 2.2 / np.sqrt(3 * 60), rel=1e-9)
    assert (round(found.low, 3), round(found.high, 3)) == (0.471, 0.729)
    assert dialogues_needed(0.6, raters=3, width=0.2) == 101
    assert agreement_width(0.6, raters=1, dialogues=50) is None
    assert agreement_width(0.6, raters=3, dialogues=1) is None
    assert dialogues_needed(0.6, raters=1, width=0.2) is None


@given(
    expected=st.floats(0, 0.95),
    raters=st.integers(2, 8),
    width=st.floats(0.05, 0.8),
)
def test_number_needed_is_the_fewest_that_suffice(
    expected: float, raters: int, width: float
) -> None:
    needed = dialogues_needed(expected, raters=raters, width=width)
    assert needed is not None
    enough = agreement_width(expected, raters=raters, dialogues=needed)
    assert enough is not None
    assert enough.width <= width + 1e-9
    if needed > 2 and not (raters == 2 and expected >= 0.7):
        less = agreement_width(expected, raters=raters, dialogues=needed - 1)
        assert less is not None
        assert less.width > width - 1e-9


@pytest.mark.parametrize(
    ("expected", "raters", "dialogues"), [(0.4, 3, 60), (0.7, 3, 40), (0.6, 2, 80)]
)
def test_width_is_what_the_bootstrap_gives_on_simulated_ratings(
    expected: float, raters: int, dialogues: int
) -> None:
    rng = np.random.default_rng(7)
    widths = []
    for _ in range(40):
        true = rng.normal(size=dialogues) * np.sqrt(expected)
        noise = rng.normal(size=(raters, dialogues)) * np.sqrt(1 - expected)
        result = icc(true + noise, "1,1")
        assert result.low is not None
        assert result.high is not None
        widths.append(result.high - result.low)
    wanted = agreement_width(expected, raters=raters, dialogues=dialogues)
    assert wanted is not None
    assert np.mean(widths) == pytest.approx(wanted.width, rel=0.12)


def test_width_of_a_part() -> None:
    found = part_width(0.9, dialogues=100)
    assert found is not None
    assert found.width == pytest.approx(0.11760, abs=1e-4)
    assert part_width(0.9, dialogues=0) is None


# -- steadiness -----------------------------------------------------------------------------------

SCALE = Item.model_validate({"key": "a", "type": "scale", "label": "A", "min": 0, "max": 4})
YES = Item.model_validate({"key": "b", "type": "yes_no", "label": "B", "allow_not_sure": True})


def sights(rater: str, *pairs: tuple[str, str]) -> list[TwoSights]:
    return [TwoSights(rater, [SCALE], {"a": one}, {"a": two}) for one, two in pairs]


def test_steady_rater_has_full_agreement_and_no_shift() -> None:
    (found,) = steadiness(sights("R1", *[("2", "2")] * 6))
    assert (found.dialogues, found.answers, found.agreement, found.same) == (6, 6, 1.0, 1.0)
    assert (found.shift, found.low, found.high, found.drifts) == (0.0, 0.0, 0.0, False)


def test_rater_who_became_milder_drifts() -> None:
    (found,) = steadiness(sights("R1", ("1", "3"), ("1", "2"), ("0", "2"), ("2", "3"), ("1", "3")))
    assert found.agreement == pytest.approx(0.6)
    assert found.shift == pytest.approx(0.4)
    # by hand: sd of (.5 .25 .5 .25 .5) = .13693; t(4) = 2.776; reach = .17000
    assert found.low == pytest.approx(0.23, abs=1e-4)
    assert found.high == pytest.approx(0.57, abs=1e-4)
    assert found.drifts


def test_few_repeats_give_no_interval_and_marks_no_shift() -> None:
    two = TwoSights("R2", [SCALE, YES], {"a": "na", "b": "yes"}, {"a": "1", "b": "not_sure"})
    found = steadiness([*sights("R10", ("1", "2")), two])
    assert [one.rater for one in found] == ["R2", "R10"]
    assert (found[0].agreement, found[0].same, found[0].shift) == (0.0, 0.0, None)
    assert (found[1].shift, found[1].low, found[1].drifts) == (0.25, None, False)
    assert steadiness([]) == []
