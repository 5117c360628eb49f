"""Agreement statistics: published tables, independent packages, invariances, poor data."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from review.agreement import (
    Form,
    Level,
    Result,
    Weights,
    cohen_kappa,
    fleiss_kappa,
    gwet_ac,
    icc,
    krippendorff_alpha,
    percent_agreement,
)
from review.bootstrap import resampled

Ratings = NDArray[np.float64]
NaN = np.nan
LEVELS: tuple[Level, ...] = ("nominal", "ordinal", "interval")
WEIGHTS: tuple[Weights, ...] = ("identity", "linear", "quadratic")
FORMS: tuple[Form, ...] = ("1,1", "2,1", "3,1", "1,k", "2,k", "3,k")

# Krippendorff (2011), Computing Krippendorff's Alpha-Reliability, example C: 4 observers x 12
# units with missing data. Gwet (2014) uses the same table for his four-rater example.
FOUR_OBSERVERS = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NaN, NaN, NaN],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NaN, 3],
        [NaN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NaN],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NaN],
    ]
)
# Shrout and Fleiss (1979), table 2: 4 judges x 6 targets.
JUDGES = np.array(
    [[9, 6, 8, 7, 10, 6], [2, 1, 4, 1, 5, 2], [5, 3, 6, 2, 6, 4], [8, 2, 8, 6, 9, 7]], dtype=float
)
# Fleiss (1971), table 1: 30 patients x (depression, personality disorder, schizophrenia,
# neurosis, other), six psychiatrists each.
DIAGNOSES = """
0 0 0 6 0  0 3 0 0 3  0 1 4 0 1  0 0 0 0 6  0 3 0 3 0  2 0 4 0 0  0 0 4 0 2  2 0 3 1 0
2 0 0 4 0  0 0 0 0 6  1 0 0 5 0  1 1 0 4 0  0 3 3 0 0  1 0 0 5 0  0 2 0 3 1  0 0 5 0 1
3 0 0 1 2  5 1 0 0 0  0 2 0 4 0  1 0 2 0 3  0 0 0 0 6  0 1 0 5 0  0 2 0 1 3  2 0 0 4 0
1 0 0 4 1  0 5 0 1 0  4 0 0 0 2  0 2 0 4 0  1 0 5 0 0  0 0 0 0 6
"""
# The worked example of Fleiss' kappa in common use: 10 subjects x 5 categories, 14 raters.
FOURTEEN = """
0 0 0 0 14  0 2 6 4 2  0 0 3 5 6  0 3 9 2 0  2 2 8 1 1
7 7 0 0 0  3 2 6 3 0  2 5 3 2 2  6 5 2 1 0  0 2 2 3 7
"""


def from_counts(text: str) -> Ratings:
    """Raters x units from a printed table of counts (five categories)."""
    table = np.array(text.split(), dtype=int).reshape(-1, 5)
    return np.array([np.repeat(np.arange(5.0), row) for row in table]).T


def two_raters(table: list[list[int]]) -> tuple[Ratings, Ratings]:
    """Ratings of two raters from their cross table."""
    cells = [
        (row, column)
        for row, counts in enumerate(table)
        for column, count in enumerate(counts)
        for _ in range(count)
    ]
    a, b = np.array(cells, dtype=float).T
    return a, b


def estimate(result: Result) -> float:
    assert result.estimate is not None
    return result.estimate


# -------------------------------------------------------- published examples


@pytest.mark.parametrize(
    ("level", "value"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)]
)
def test_alpha_equals_krippendorff_2011_example_c(level: Level, value: float) -> None:
    result = krippendorff_alpha(FOUR_OBSERVERS, level)
    assert round(estimate(result), 3) == value
    assert result.units == 11


def test_alpha_equals_krippendorff_2011_example_a() -> None:
    # Two observers, ten units, binary.
    first = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0]
    second = [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    assert round(estimate(krippendorff_alpha([first, second], "nominal")), 3) == 0.095


def test_alpha_equals_krippendorff_2011_example_b() -> None:
    # Two observers, twelve units, five nominal values.
    first = ["abcde".index(letter) for letter in "aabbdcccedda"]
    second = ["abcde".index(letter) for letter in "babbbccceddd"]
    assert round(estimate(krippendorff_alpha([first, second], "nominal")), 3) == 0.692


def test_gwet_and_fleiss_equal_gwet_2014_four_raters() -> None:
    assert round(estimate(gwet_ac(FOUR_OBSERVERS)), 5) == 0.77544
    assert round(estimate(fleiss_kappa(FOUR_OBSERVERS)), 5) == 0.76117
    assert round(estimate(percent_agreement(FOUR_OBSERVERS)), 5) == 0.81818


def test_gwet_stays_high_where_kappa_collapses() -> None:
    # Gwet (2002), Kappa statistic is not satisfactory: 118, 5 / 2, 0.
    a, b = two_raters([[118, 5], [2, 0]])
    assert round(estimate(gwet_ac([a, b])), 4) == 0.9408
    kappa = cohen_kappa(a, b)
    assert round(estimate(kappa), 4) == -0.0234
    assert "97 % of the ratings have the same value" in kappa.note


def test_fleiss_kappa_equals_fleiss_1971() -> None:
    values = from_counts(DIAGNOSES)
    assert np.unique(values, return_counts=True)[1].tolist() == [26, 26, 30, 55, 43]
    assert round(estimate(fleiss_kappa(values)), 3) == 0.430


def test_fleiss_kappa_equals_the_fourteen_rater_example() -> None:
    assert round(estimate(fleiss_kappa(from_counts(FOURTEEN))), 3) == 0.210


@pytest.mark.parametrize(
    ("form", "value"),
    [("1,1", 0.17), ("2,1", 0.29), ("3,1", 0.71), ("1,k", 0.44), ("2,k", 0.62), ("3,k", 0.91)],
)
def test_icc_equals_shrout_and_fleiss_1979(form: Form, value: float) -> None:
    assert round(estimate(icc(JUDGES, form)), 2) == value


@pytest.mark.parametrize(
    ("table", "value"),
    [
        # Fleiss, Levin and Paik (2003), table 18.1: psychotic, neurotic, organic.
        ([[75, 1, 4], [5, 4, 1], [0, 0, 10]], 0.68),
        # Equal agreement (60 %), different marginals: kappa differs.
        ([[45, 15], [25, 15]], 0.13),
        ([[25, 35], [5, 35]], 0.26),
        ([[20, 5], [10, 15]], 0.40),
    ],
)
def test_cohen_kappa_equals_textbook_tables(table: list[list[int]], value: float) -> None:
    assert round(estimate(cohen_kappa(*two_raters(table))), 2) == value


def test_weighted_kappa_of_a_table_worked_by_hand() -> None:
    # 3 x 3, ten units, three of them one step apart: the loss is 3 / 10 for either weight.
    a, b = two_raters([[3, 1, 0], [0, 2, 1], [0, 1, 2]])
    rows, columns = np.array([4, 3, 3]) / 10, np.array([3, 4, 3]) / 10
    for kind, power in zip(WEIGHTS[1:], (1, 2), strict=True):
        loss = np.abs(np.subtract.outer(np.arange(3), np.arange(3))) ** power
        observed = 3 / 10
        by_hand = 1 - observed / (rows @ loss @ columns)
        assert estimate(cohen_kappa(a, b, kind)) == pytest.approx(by_hand, abs=1e-12)


# ------------------------------------------------------ independent packages

FOLDER = Path(__file__).parent / "oracles"
DATA = {
    name: np.array(rows, dtype=float)
    for name, rows in json.loads((FOLDER / "data.json").read_text()).items()
}


def ours(statistic: str, values: Ratings) -> Result:
    name, _, detail = statistic.partition(" ")
    calls: dict[str, Callable[[], Result]] = {
        "alpha": partial(krippendorff_alpha, values, cast(Level, detail)),
        "fleiss": partial(fleiss_kappa, values),
        "percent": partial(percent_agreement, values),
        "gwet": partial(gwet_ac, values, cast(Weights, detail)),
        "cohen": partial(cohen_kappa, values[0], values[1], cast(Weights, detail)),
        "icc": partial(icc, values, cast(Form, detail)),
    }
    return calls[name]()


def told() -> list[Any]:
    found = []
    for file in sorted(FOLDER.glob("*.json")):
        content = json.loads(file.read_text())
        for statistic, values in content.get("values", {}).items() if "package" in content else ():
            for data, value in values.items():
                label = f"{content['package']} {content['version']}: {statistic} of {data}"
                found.append(pytest.param(statistic, data, value, id=label))
    return found


@pytest.mark.parametrize(("statistic", "data", "value"), told())
def test_equals_independent_packages(statistic: str, data: str, value: float) -> None:
    assert estimate(ours(statistic, DATA[data])) == pytest.approx(value, abs=1e-6)


def test_every_statistic_has_an_independent_source() -> None:
    statistics = {parameter.values[0] for parameter in told()}
    assert {name.split()[0] for name in statistics} == {
        "alpha", "fleiss", "percent", "gwet", "cohen", "icc",
    }  # fmt: skip


# --------------------------------------------------------------- invariances


def first_two(values: Ratings, weights: Weights) -> Result:
    return cohen_kappa(values[0], values[1], weights)


STATISTICS: dict[str, Callable[[Ratings], Result]] = {
    **{f"alpha {level}": partial(krippendorff_alpha, level=level) for level in LEVELS},
    "fleiss": fleiss_kappa,
    "percent": percent_agreement,
    **{f"gwet {w}": partial(gwet_ac, weights=w, categories=range(4)) for w in WEIGHTS},
    **{f"cohen {w}": partial(first_two, weights=w) for w in WEIGHTS},
    **{f"icc {form}": partial(icc, form=form) for form in FORMS},
}
every_statistic = pytest.mark.parametrize("statistic", STATISTICS.values(), ids=STATISTICS)


def ratings(gaps: bool = True) -> st.SearchStrategy[Ratings]:
    shapes = st.tuples(st.integers(2, 5), st.integers(2, 12))
    values = [0.0, 1.0, 2.0, 3.0] + ([NaN] if gaps else [])
    return shapes.flatmap(lambda shape: arrays(np.float64, shape, elements=st.sampled_from(values)))


def assert_same(first: Result, second: Result, *, interval: bool = True) -> None:
    assert (first.estimate is None) == (second.estimate is None)
    assert first.units == second.units
    if first.estimate is not None:
        assert first.estimate == pytest.approx(second.estimate, abs=1e-9)
        if interval and first.low is not None:
            assert first.low == pytest.approx(second.low, abs=1e-9)
            assert first.high == pytest.approx(second.high, abs=1e-9)


@every_statistic
@given(values=ratings(), shuffle=st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_order_of_units_does_not_matter(
    statistic: Callable[[Ratings], Result], values: Ratings, shuffle: Any
) -> None:
    order = list(range(values.shape[1]))
    shuffle.shuffle(order)
    assert_same(statistic(values), statistic(values[:, order]))


@every_statistic
@given(values=ratings(), shuffle=st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_names_of_raters_do_not_matter(
    statistic: Callable[[Ratings], Result], values: Ratings, shuffle: Any
) -> None:
    order = list(range(len(values)))
    shuffle.shuffle(order)
    if statistic in [STATISTICS[f"cohen {weights}"] for weights in WEIGHTS]:
        order = [1, 0]
    assert_same(statistic(values), statistic(values[order]), interval=False)


@every_statistic
@given(values=ratings())
@settings(max_examples=25, deadline=None)
def test_units_without_a_pair_change_nothing(
    statistic: Callable[[Ratings], Result], values: Ratings
) -> None:
    empty = np.full((len(values), 2), NaN)
    assert_same(statistic(values), statistic(np.hstack([values, empty])))


@every_statistic
@given(values=ratings())
@settings(max_examples=25, deadline=None)
def test_figures_stay_within_their_bounds(
    statistic: Callable[[Ratings], Result], values: Ratings
) -> None:
    result = statistic(values)
    assert result.units <= values.shape[1]
    if result.estimate is None:
        assert result.note
        assert (result.low, result.high) == (None, None)
    else:
        assert result.estimate <= 1 + 1e-9
        assert np.isfinite(result.estimate)
    if result.low is not None:
        assert result.high is not None
        assert result.low <= result.high <= 1 + 1e-9


@every_statistic
@given(truth=arrays(np.float64, st.integers(3, 12), elements=st.sampled_from([0.0, 1.0, 2.0])))
@settings(max_examples=25, deadline=None)
def test_perfect_agreement_is_one(statistic: Callable[[Ratings], Result], truth: Ratings) -> None:
    result = statistic(np.vstack([truth, truth, truth]))
    varies = len(set(truth)) > 1
    if varies or statistic is percent_agreement:
        assert estimate(result) == pytest.approx(1, abs=1e-9)
    elif result.estimate is None:
        assert "same value" in result.note
    else:
        assert result.estimate == 1


@given(values=ratings(gaps=False))
@settings(max_examples=50, deadline=None)
def test_alpha_of_two_values_is_the_same_on_every_level(values: Ratings) -> None:
    binary = np.minimum(values, 1)
    nominal, ordinal, interval = (krippendorff_alpha(binary, level) for level in LEVELS)
    assert_same(nominal, ordinal)
    assert_same(nominal, interval)


@given(values=ratings(), step=st.floats(0.1, 50), start=st.floats(-50, 50))
@settings(max_examples=20, deadline=None)
def test_scale_and_origin_do_not_matter(values: Ratings, step: float, start: float) -> None:
    moved = values * step + start
    for name, statistic in STATISTICS.items():
        if not name.startswith("gwet"):
            assert_same(statistic(values), statistic(moved))


@given(values=ratings())
@settings(max_examples=50, deadline=None)
def test_ordinal_alpha_needs_only_the_order(values: Ratings) -> None:
    assert_same(krippendorff_alpha(values, "ordinal"), krippendorff_alpha(values**3, "ordinal"))


# ------------------------------------------------------------------ intervals


@every_statistic
def test_interval_covers_the_estimate_and_repeats(statistic: Callable[[Ratings], Result]) -> None:
    first = statistic(DATA["full"])
    assert first == statistic(DATA["full"])
    assert first.units == 40
    assert first.low is not None
    assert first.high is not None
    assert first.low < estimate(first) < first.high
    assert first.note == ""


def _mean(sums: Ratings) -> Ratings:
    return sums[:, 0] / sums[:, 1]


def test_grouped_resampling_equals_resampling_units() -> None:
    # The interval of a mean is known: mean +- 1.96 standard errors.
    rng = np.random.default_rng(3)
    for values in (rng.integers(0, 3, 3000).astype(float), rng.normal(0, 1, 3000)):
        features = np.column_stack([values, np.ones(3000)])
        point, drawn = resampled(features, features, _mean, draws=4000, seed=1)
        assert point == pytest.approx(values.mean())
        assert drawn.mean() == pytest.approx(values.mean(), abs=0.002)
        assert drawn.std() == pytest.approx(values.std() / np.sqrt(3000), rel=0.05)


def test_draws_and_seed_are_the_callers_choice() -> None:
    full = DATA["full"]
    first = krippendorff_alpha(full, "ordinal", draws=200, seed=1)
    second = krippendorff_alpha(full, "ordinal", draws=200, seed=2)
    assert first.estimate == second.estimate
    assert (first.low, first.high) != (second.low, second.high)
    assert krippendorff_alpha(full, "ordinal", draws=0).low is None


def test_large_studies_are_resampled_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = icc(DATA["many_values"], "3,1", draws=50)
    monkeypatch.setattr("review.bootstrap.CELLS_AT_ONCE", 100)
    parts = icc(DATA["many_values"], "3,1", draws=50)
    assert parts.estimate == whole.estimate
    assert parts.low == pytest.approx(whole.low, abs=1e-9)


# ------------------------------------------------------------------ poor data


@pytest.mark.parametrize(
    ("result", "note"),
    [
        (krippendorff_alpha([[1, 1, 1], [1, 1, 1]], "ordinal"), "Every rating has the same value"),
        (krippendorff_alpha([[1, NaN], [NaN, 1]], "nominal"), "No unit was rated by two or more"),
        (krippendorff_alpha(np.empty((3, 0)), "nominal"), "No unit was rated by two or more"),
        (krippendorff_alpha(np.full((3, 4), NaN), "interval"), "No unit was rated by two or more"),
        (fleiss_kappa([[2, 2], [2, 2]]), "Every rating has the same value"),
        (fleiss_kappa([[1, 2, 3]]), "No unit was rated by two or more"),
        (gwet_ac([[2, 2], [2, 2]]), "Only one value was used; give all categories"),
        (gwet_ac([[2, NaN], [NaN, 2]]), "No unit was rated by two or more"),
        (percent_agreement([[1, 2, 3]]), "No unit was rated by two or more"),
        (cohen_kappa([1, NaN], [NaN, 1]), "The two raters have no unit in common."),
        (cohen_kappa([1, 1], [1, 1], "linear"), "Every rating has the same value"),
        (icc([[1, 2, 3]], "1,1"), "At least two units with two ratings or more are needed."),
        (icc([[1, 2, 3]], "2,1"), "At least two units rated by every rater are needed."),
        (
            icc(np.array([[1, 2], [NaN, 3]]), "3,k"),
            "At least two units rated by every rater are needed.",
        ),
        (icc([[1, 1], [1, 1]], "3,1"), "Every rating has the same value"),
    ],
)
def test_undefined_figures_are_explained(result: Result, note: str) -> None:
    assert result.estimate is None
    assert (result.low, result.high) == (None, None)
    assert note in result.note


def test_unused_categories_can_be_named() -> None:
    result = gwet_ac([[2, 2, 2], [2, 2, 2]], categories=(0, 1, 2))
    assert result.estimate == 1
    assert "All resamples gave the same value" in result.note


def test_few_units_are_warned_of() -> None:
    assert "Only 11 units" in krippendorff_alpha(FOUR_OBSERVERS, "ordinal").note


def test_resamples_without_variation_are_left_out_and_said() -> None:
    result = krippendorff_alpha([[0, 0, 0, 1], [0, 0, 0, 1]], "nominal")
    assert result.estimate == 1
    assert "of the resamples had no variation and were left out" in result.note


def test_units_dropped_by_a_full_table_are_counted() -> None:
    values = np.array([[1, 2, 3, 4, NaN], [1, 2, 4, 4, 2], [2, 2, 3, 5, 1]])
    result = icc(values, "2,1")
    assert result.units == 4
    assert "1 unit was left out because not every rater rated all units." in result.note
    assert icc(values, "1,1").units == 5


@pytest.mark.parametrize(
    "call",
    [
        lambda: krippendorff_alpha([1, 2, 3], "nominal"),
        lambda: krippendorff_alpha(np.array([[1, np.inf], [1, 2]]), "nominal"),
        lambda: krippendorff_alpha([[1, 2], [1, 2]], "ratio"),  # type: ignore[arg-type]  # wrong
        lambda: gwet_ac([[1, 2], [1, 2]], "cubic"),  # type: ignore[arg-type]  # wrong on purpose
        lambda: gwet_ac([[1, 2], [1, 2]], categories=(0, 1)),
        lambda: icc([[1, 2], [1, 2]], "4,1"),  # type: ignore[arg-type]  # wrong on purpose
        lambda: cohen_kappa([1, 2], [1, 2, 3]),
    ],
)
def test_wrong_calls_are_refused(call: Callable[[], Result]) -> None:
    with pytest.raises(ValueError, match=r"must be|must|among|shape|inhomogeneous"):
        call()
