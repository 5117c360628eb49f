"""Figures as values, shapes and files; pooled agreement of two raters."""

from typing import Any

import numpy as np
import pytest

from review.agreement import cohen_kappa, percent_agreement
from review.drawing import drawing_of, shade, short
from review.figure_files import FORMATS, figure_file
from review.figures import Bars, Estimate, Figure, Grid, Intervals, Lines, top_of
from review.measures import Measure
from review.pooling import pooled_pair

BARS = Bars("Scores", ("0", "1", "2"), (("a", (1, 2, 1)), ("b", (0, 0, 0))), share=True)
INTERVALS = Intervals(
    "Alpha", "alpha", (Estimate("a", 0.5, 0.2, 0.8, 12), Estimate("<b>$x$", None, note="why"))
)
GRID = Grid("Pairs", ("R1", "R2", "R3"), (("R1", "R2", 0.5), ("R1", "R3", None)))
LINES = Lines("Flags", "week", ("w1", "w2", "w3"), (("severe", (1, None, 3)), ("all", (2, 2, 4))))
FIGURES: list[Figure] = [BARS, INTERVALS, GRID, LINES]


def test_numbers_tell_what_is_drawn():
    assert BARS.numbers.columns == ("", "ratings", "0", "0 %", "1", "1 %", "2", "2 %")
    assert BARS.numbers.rows == (
        ("a", 4, 1, 25.0, 2, 50.0, 1, 25.0),
        ("b", 0, 0, None, 0, None, 0, None),
    )
    assert INTERVALS.numbers.rows[0] == ("a", 0.5, 0.2, 0.8, 12, "")
    assert LINES.numbers.rows == (("w1", 1, 2), ("w2", None, 2), ("w3", 3, 4))
    assert (GRID.value("R2", "R1"), GRID.value("R3", "R2")) == (0.5, None)


@pytest.mark.parametrize("figure", FIGURES, ids=lambda one: type(one).__name__)
def test_drawing_stays_inside_its_frame(figure):
    drawing = drawing_of(figure)
    for one in drawing.shapes:
        assert 0 <= one.x <= drawing.width, one
        assert 0 <= one.y <= drawing.height, one
        if one.kind in ("rect", "line"):
            assert one.to_x <= drawing.width
            assert one.to_y <= drawing.height


def test_bars_are_as_long_as_their_share():
    rects = [one for one in drawing_of(BARS).shapes if one.kind == "rect"]
    assert [one.look for one in rects] == ["step0", "step3", "step6"]
    assert rects[1].width == pytest.approx(2 * rects[0].width)
    assert rects[1].x == pytest.approx(rects[0].to_x)


def test_doubtful_and_undefined_estimates_are_drawn_as_such():
    shapes = drawing_of(INTERVALS).shapes
    assert [one.look for one in shapes if one.kind == "dot"] == ["point"]
    assert "not defined" in [one.text for one in shapes]


def test_gap_breaks_no_line():
    strokes = [one for one in drawing_of(LINES).shapes if "stroke" in one.look]
    assert len(strokes) == 1 + 2


@pytest.mark.parametrize(
    ("figure", "kind"),
    [(BARS, kind) for kind in FORMATS] + [(figure, "svg") for figure in FIGURES[1:]],
)
def test_file_is_the_same_bytes_again(figure, kind):
    data = figure_file(figure, kind)
    assert data == figure_file(figure, kind)
    assert len(data) > 40


def test_svg_names_no_moment_and_keeps_text_as_text():
    data = figure_file(INTERVALS, "svg").decode()
    assert "<dc:date>" not in data
    assert "&lt;b&gt;$x$" in data


@pytest.mark.parametrize(("values", "top"), [([], 1), ([3], 5), ([11], 20), ([100], 100)])
def test_axis_ends_on_a_round_number(values, top):
    assert top_of(values) == top


def test_shades_and_short_labels():
    assert [shade(n, 3, ordered=True) for n in range(3)] == ["step0", "step3", "step6"]
    assert shade(8, 9, ordered=False) == "hue1"
    assert (short("abc", 100), short("a" * 50, 66)) == ("abc", "a" * 9 + "…")


# -- two raters over many items -------------------------------------------------------------------


def measure(values: Any, top: float = 2) -> Measure:
    return Measure(
        kind="item", instrument="i", version="1", key="k", label="k", section="", level="ordinal",
        values=np.array(values, dtype=float), categories=tuple(np.arange(top + 1)),
    )  # fmt: skip


def test_pooled_equals_the_items_laid_end_to_end():
    rng = np.random.default_rng(3)
    tables = [rng.integers(0, 3, (2, 30)).astype(float) for _ in range(4)]
    tables[1][0, :10] = np.nan
    percent, kappa = pooled_pair([measure(one.tolist()) for one in tables], 0, 1)
    joined = np.concatenate(tables, axis=1)
    assert kappa.estimate == pytest.approx(cohen_kappa(joined[0], joined[1], "quadratic").estimate)
    both = joined[:, ~np.isnan(joined).any(axis=0)]
    assert percent.estimate == pytest.approx(percent_agreement(both).estimate)
    assert (percent.units, kappa.units) == (30, 30)


def test_pooled_scales_of_different_length_meet_at_their_ends():
    short_scale, long_scale = [[0, 2, 1], [0, 2, 1]], [[0, 4, 2], [0, 4, 2]]
    _, kappa = pooled_pair([measure(short_scale), measure(long_scale, 4)], 0, 1)
    assert kappa.estimate == 1.0


def test_pooled_pair_without_a_common_dialogue_says_so():
    values = [[0, 1, np.nan], [np.nan, np.nan, 2]]
    for result in pooled_pair([measure(values)], 0, 1):
        assert (result.estimate, result.units) == (None, 0)
        assert "no dialogue in common" in result.note
    assert pooled_pair([], 0, 1)[0].estimate is None


def test_pooled_pair_of_one_value_has_no_kappa():
    percent, kappa = pooled_pair([measure([[1, 1], [1, 1]])], 0, 1)
    assert (percent.estimate, kappa.estimate) == (1.0, None)


def test_whole_dialogues_are_resampled():
    """Items that are copies of each other add no information: the interval must not shrink."""
    rng = np.random.default_rng(5)
    one = measure(rng.integers(0, 3, (2, 40)).tolist())
    _, alone = pooled_pair([one], 0, 1)
    _, many = pooled_pair([one] * 6, 0, 1)
    assert many.low == pytest.approx(alone.low)
    assert many.high == pytest.approx(alone.high)
