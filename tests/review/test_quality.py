"""Progress and quality: exact figures for made-up raters, and the page."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from review import actions, kept_figures
from review.kept_figures import data_state, make_figures
from review.measures import Measure, StudyTable
from review.models import Assignment, Flag, KeptFigures, Rating, Study
from review.quality import (
    Done,
    RaterQuality,
    Sign,
    by_week,
    drift_of,
    forecast,
    rater_quality,
    splitting,
    straight_lines,
)
from review.study_quality import Pace, lines_in, paces_of, raters_in, study_end
from sqpsych_site.models import User
from tests.factories import WHEN, assignments_of, make_dialogue, make_instrument, make_study

TODAY = date(2026, 3, 20)


def moment(day: int, hour: int = 9) -> datetime:
    return datetime(2026, 3, day, hour, tzinfo=UTC)


def measure(values: Any, key: str = "k", level: Any = "ordinal") -> Measure:
    return Measure(
        kind="item", instrument="i", version="1", key=key, label=key, section="", level=level,
        values=np.array(values, dtype=float), categories=(0.0, 1.0, 2.0),
    )  # fmt: skip


# -- pure -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "signs", "rushed"),
    [(0, 5700, None), (60, 0, None), (125, 5700, True), (127, 5700, False)],
)
def test_rushed_is_less_than_skimming(seconds, signs, rushed):
    """1,000 words at 476 words a minute take 126 seconds."""
    assert Done("R1", "D1", 1, moment(1), seconds, signs).rushed is rushed


@pytest.mark.parametrize(
    ("days", "left", "expected"),
    [
        ([19, 20], 4, date(2026, 3, 24)),
        ([20, 20, 20, 20], 4, date(2026, 3, 21)),
        ([7, 20], 1, date(2026, 3, 27)),
        ([1, 2], 4, None),
        ([], 4, None),
        ([20], 0, None),
    ],
)
def test_forecast_goes_on_at_the_pace_of_two_weeks(days, left, expected):
    recent = [date(2026, 3, day) for day in days if day > 6]
    assert forecast(len(recent), min(recent, default=None), left, TODAY) == expected


def test_straight_lines_need_five_answers():
    line, mixed, short = [1.0] * 6, [1.0, 0, 1, 1, 1, 1], [2.0, 2, 2, 2, np.nan, np.nan]
    assert straight_lines(np.array([line, mixed, short]).T) == 0.5
    assert straight_lines(np.array([short]).T) is None


def test_drift_is_the_move_against_the_others():
    mine, other = [0, 0, 0, 0, 1, 1], [0.5] * 6
    scales = np.array([[mine, other]], dtype=float)
    assert drift_of(scales, 0, range(6)) == (-0.5, 0.5)
    assert drift_of(scales, 0, [5, 4, 3, 2, 1, 0]) == (0.5, -0.5)
    assert drift_of(scales, 0, range(5)) == (None, None)
    assert drift_of(scales[:, :1], 0, range(6)) == (None, None)


def test_items_that_split_come_by_their_share():
    near = measure([[0, 1, 0], [1, 1, 0]], "near")
    far = measure([[0, 2, np.nan], [2, 2, 1]], "far")
    words = measure([[0, 0, 0], [1, 0, 0]], "words", "nominal")
    table = StudyTable(
        ("R1", "R2"), ("a", "b", "c"), ("x",) * 3, np.ones((2, 3)), (near, far, words)
    )
    assert [(one.key, apart, of) for one, apart, of in splitting(table, 1)] == [
        ("far", 1, 2),
        ("words", 1, 3),
    ]


def test_weeks_without_anything_are_zero():
    moments = [(date(2026, 3, 3), "a"), (date(2026, 3, 18), "b"), (date(2026, 3, 16), "b")]
    names, counts = by_week(moments, ["a", "b"])
    assert names == ["02 Mar", "09 Mar", "16 Mar"]
    assert counts == {"a": [1, 0, 0], "b": [0, 0, 2]}
    assert by_week([], ["a"]) == ([], {"a": []})


def test_signs_name_what_is_worth_a_look():
    values = np.zeros((2, 8))
    values[1] = [0, 0, 0, 0, 2, 2, 2, 2]
    items = tuple(measure(values.copy(), str(n)) for n in range(5))
    codes = tuple(f"D{n}" for n in range(8))
    table = StudyTable(("R1", "R2"), codes, ("x",) * 8, np.ones((2, 8)), items)
    done = [Done("R1", code, n, moment(n + 1), 300, 5700) for n, code in enumerate(codes)]
    done += [Done("R2", code, n, moment(n + 1), 10, 5700) for n, code in enumerate(codes)]
    one, two = rater_quality(table, done, {}, {})
    assert (one.minutes, one.rushed, one.lines, one.drift) == (5.0, 0.0, 1.0, -1.0)
    assert two.signs == [
        Sign("rushes", "100 % rushed; limit 20 %"),
        Sign("straight lines", "100 % of the ratings; limit 20 %"),
        Sign("grows milder", "+100 % of the scale against the others; limit 15 %"),
    ]


@pytest.mark.parametrize(
    ("kappa", "units", "marked"),
    [(0.59, 5, True), (0.6, 5, False), (0.1, 4, False), (None, 9, False)],
)
def test_rater_who_disagrees_with_themselves_is_marked(kappa, units, marked):
    found = RaterQuality("R1", repeats=[kappa, None, None, units, ""]).signs
    why = f"kappa 0.59 with themselves on {units} repeats; limit 0.60"
    assert found == ([Sign("unsteady", why)] if marked else [])


@pytest.mark.parametrize(
    ("shift", "low", "high", "word"),
    [
        (0.12, 0.03, 0.21, "milder on repeats"),
        (-0.12, -0.21, -0.03, "stricter on repeats"),
        (0.12, -0.01, 0.25, None),
        (0.5, None, None, None),
    ],
)
def test_rater_whose_second_answers_moved_is_marked(shift, low, high, word):
    found = RaterQuality("R1", shift=shift, shift_low=low, shift_high=high).signs
    assert [one.word for one in found] == ([word] if word else [])
    if word == "milder on repeats":
        assert found[0].why == "+12 % of the scale; its 95 % interval, +3 % to +21 %, lacks 0"


def test_study_ends_with_the_last_rater_whose_pace_is_known():
    paces = [
        Pace("R1", 4, 4, date(2026, 3, 12)),
        Pace("R2", 1, 0, None),
        Pace("R3", 0, 2, None),
    ]
    assert study_end(paces) == (date(2026, 3, 12), 1)
    assert study_end([]) == (None, 0)


# -- a study ----------------------------------------------------------------------------------


@pytest.fixture
def study(rater: User, other_rater: User) -> Study:
    made = make_study([rater, other_rater], [make_dialogue() for _ in range(3)], name="Pilot")
    items = ["c1_concise", "c2_thinking_aloud", "c3_closure"]
    for shift, person in enumerate((rater, other_rater)):
        for place, work in enumerate(assignments_of(made, person)[: 3 - shift]):
            submit(work, {item: str((place + 2 * shift) % 3) for item in items}, place)
    Flag.objects.create(
        assignment=assignments_of(made, rater)[0], category="boundary", severity="severe"
    )
    return made


def submit(work: Assignment, values: dict[str, str], day: int = 0) -> None:
    for item, value in values.items():
        Rating.objects.create(assignment=work, instrument=make_instrument(), item=item, value=value)
    Assignment.objects.filter(pk=work.pk).update(
        state="submitted", opened_at=WHEN, submitted_at=WHEN + timedelta(days=day),
        active_seconds=90,
    )  # fmt: skip


def kept(study: Study) -> dict[str, Any]:
    return dict(make_figures(study)["quality"])


def test_study_is_read_with_its_pace_and_its_split_items(study):
    one, two = paces_of(study, today=date(2026, 3, 4))
    assert (one.rater, one.done, one.left) == ("R1", 3, 0)
    assert (two.done, two.left, two.ends) == (2, 1, date(2026, 3, 6))
    found = kept(study)
    assert raters_in(found)["R1"].minutes == 1.5
    assert [(row["key"], row["apart"], row["units"]) for row in found["splitting"]] == [
        ("c1_concise", 1, 2),
        ("c2_thinking_aloud", 1, 2),
        ("c3_closure", 1, 2),
    ]
    assert dict(lines_in(found, "flag_weeks").lines)["Severe"] == (1,)
    assert json.loads(json.dumps(found)) == KeptFigures.objects.get().figures["quality"]


def test_repeats_are_compared_with_the_raters_own_first_rating(study, rater):
    row = study.study_dialogues.get(code="D001")
    before = data_state(study)
    extra = Assignment.objects.create(
        study=study, study_dialogue=row, rater=rater, position=9, kind="repeat"
    )
    submit(extra, {"c1_concise": "0", "c2_thinking_aloud": "0", "c3_closure": "2"})
    after = data_state(study)
    assert (before[0] != after[0], before[1], after[1]) == (True, 5, 5)
    one, two = raters_in(kept(study)).values()
    assert one.repeats is not None
    assert one.repeats[3] == 1
    assert one.shift == pytest.approx(1 / 3)
    assert two.repeats is None
    assert paces_of(study)[0].done == 3


def test_new_rule_of_adjudication_makes_new_figures(study, coordinator):
    before = data_state(study)
    actions.plan_adjudication(study=study, limit=Decimal(2), flags=True, people=[], by=coordinator)
    assert data_state(study) != before
    assert kept(study)["limit"] == 2.0


def test_page_of_a_large_study_shows_the_counts_of_now_and_waits_for_the_rest(
    study, researcher, client_of, monkeypatch
):
    cache.clear()
    monkeypatch.setattr(kept_figures, "AT_ONCE", 3)
    path = reverse("review:quality", args=[study.pk])
    client = client_of(researcher)
    page = client.get(path).content.decode()
    assert "The figures of 5 submitted ratings are being calculated" in page
    assert 'hx-trigger="every 3s"' in page
    assert "Items that split" not in page
    assert page.split("<tbody>")[1].split("</tbody>")[0].count("<tr>") == 2
    file = reverse("review:quality_file", args=[study.pk, "weeks", "csv"])
    assert client.get(file)["Location"] == path
    answer = client.post(reverse("review:results_now", args=[study.pk]), {"page": "quality"})
    assert answer["Location"] == path
    part = client.get(path, headers={"hx-request": "true"}).content.decode()
    assert part.lstrip().startswith('<div id="quality" class="stack">')
    assert "Items that split" in part


def test_page_shows_raters_items_and_figures(study, researcher, client_of):
    path = reverse("review:quality", args=[study.pk])
    text = client_of(researcher).get(path).content.decode()
    for part in ("Ratings submitted each week", "Safety flags raised each week", "Conciseness"):
        assert part in text, part
    assert text.count("<svg") == 2
    Study.objects.update(deadline=date(2020, 1, 1))
    for kind, begins in (("csv", b"\xef\xbb\xbfweek from"), ("svg", b"<?xml")):
        file = reverse("review:quality_file", args=[study.pk, "flag_weeks", kind])
        assert client_of(researcher).get(file).content.startswith(begins)
    nothing = reverse("review:quality_file", args=[study.pk, "others", "csv"])
    assert client_of(researcher).get(nothing).status_code == 404


def test_empty_study_has_a_page(rater, researcher, client_of):
    made = make_study([rater], name="New", instruments=("safety",))
    text = client_of(researcher).get(reverse("review:quality", args=[made.pk])).content.decode()
    assert "None so far." in text
    assert "did nothing in the last two weeks" in text


def test_page_asks_the_same_number_of_queries(study, rater):
    small = make_study([rater], [make_dialogue()], name="Small")
    submit(assignments_of(small, rater)[0], {"c1_concise": "1"})
    counts = []
    for one in (small, study):
        with CaptureQueriesContext(connection) as seen:
            make_figures(one)
            paces_of(one)
        counts.append(len(seen))
    assert counts[0] == counts[1]
