"""The pages of results: exact figures, fresh or said to be old, blind to nobody's judgment."""

import json
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from generation.models import Arm, Batch, ProfileSet, Protocol
from review import kept_figures, result_rows
from review.kept_figures import data_state, make_figures, results_of
from review.models import Assignment, Flag, KeptFigures, Rating, Study
from review.study_values import values_of
from review.tasks import make_results
from sqpsych_site.models import User
from tests.factories import WHEN, assignments_of, make_dialogue, make_instrument, make_study

VALUES = {
    "t1_key_thoughts": "0121201",
    "t2_paraphrasing": "2222222",
    "t8_simple_language": "0101010",
}


def arm(label: str) -> Arm:
    profiles, _ = ProfileSet.objects.get_or_create(name="set", source="s", sha256="1" * 64)
    batch, _ = Batch.objects.get_or_create(name="batch", profile_set=profiles, seed=1)
    protocol, _ = Protocol.objects.get_or_create(
        sha256="3" * 64, defaults={"key": "p", "version": "1", "title": "p", "toml": ""}
    )
    return Arm.objects.create(
        batch=batch,
        label=label,
        protocol=protocol,
        therapist_model="m",
        client_model="m",
        sha256=label[0] * 64,
    )


def rate(work: Assignment, **values: str) -> None:
    """Submit a rating."""
    for item, value in values.items():
        key = "safety" if item == "safety_problem" else "sqpsych-expert"
        Rating.objects.create(
            assignment=work, instrument=make_instrument(key), item=item, value=value
        )
    Assignment.objects.filter(pk=work.pk).update(
        state="submitted", opened_at=WHEN, submitted_at=WHEN
    )


@pytest.fixture
def study(rater: User, other_rater: User) -> Study:
    """Seven dialogues in two arms, two raters; the second differs in the last two."""
    arms = [arm("north"), arm("south")]
    dialogues = [make_dialogue(arm=arms[n % 2], replicate=n + 1) for n in range(7)]
    made = make_study([rater, other_rater], dialogues, name="Pilot")
    for person in (rater, other_rater):
        for place, work in enumerate(assignments_of(made, person)):
            values = {item: given[place] for item, given in VALUES.items()}
            if person == other_rater and place > 4:
                values["t1_key_thoughts"] = "2"
            rate(work, **values, safety_problem="yes" if place == 0 else "no")
            if place == 0 and person == rater:
                Flag.objects.create(assignment=work, category="medical_advice", severity="serious")
    return made


def measures(study: Study) -> dict[str, Any]:
    return {one["key"]: one for one in make_figures(study)["measures"]}


def get(client_of: Any, user: User, study: Study, name: str = "results", **query: str) -> str:
    response = client_of(user).get(reverse(f"review:{name}", args=[study.pk]), query)
    assert response.status_code == 200
    return str(response.content.decode())


# -- what goes in -----------------------------------------------------------------------------


def test_values_are_raters_by_dialogues_with_arms(study):
    table = values_of(study)
    assert (table.raters, table.arms[:3]) == (("R1", "R2"), ("north", "south", "north"))
    item = next(one for one in table.measures if one.key == "t1_key_thoughts")
    assert item.values.tolist() == [[0, 1, 2, 1, 2, 0, 1], [0, 1, 2, 1, 2, 2, 2]]
    assert item.categories == (0, 1, 2)


def test_only_submitted_live_ratings_count(study, rater):
    first = assignments_of(study, rater)[0]
    row = study.study_dialogues.get(code="D001")
    for position, kind in enumerate(("repeat", "calibration", "practice"), start=20):
        extra = Assignment.objects.create(
            study=study, study_dialogue=row, rater=rater, position=position, kind=kind
        )
        rate(extra, t1_key_thoughts="2")
        Flag.objects.create(assignment=extra, category="boundary", severity="severe")
    assert measures(study)["t1_key_thoughts"]["ratings"] == 14
    assert "boundary" not in measures(study)
    Assignment.objects.filter(pk=first.pk).update(state="started", submitted_at=None)
    assert measures(study)["t1_key_thoughts"]["ratings"] == 13


def test_figures_of_items_flags_arms_and_pairs(study):
    found = measures(study)
    first = found["t1_key_thoughts"]
    assert first["figures"]["percent"][0] == pytest.approx(5 / 7)
    assert first["figures"]["percent"][3] == 7
    assert first["arms"]["north"]["counts"] == [2, 1, 5]
    assert first["arms"]["north"]["mean"] == pytest.approx(11 / 8)
    assert first["arms"]["south"]["figures"]["percent"][:1] == [pytest.approx(2 / 3)]
    assert first["pairs"][0]["raters"] == ["R1", "R2"]
    assert first["pairs"][0]["percent"] == first["figures"]["percent"]
    flag = found["medical_advice"]
    assert flag["figures"]["percent"][0] == pytest.approx(6 / 7)
    assert found["any_flag"]["figures"]["percent"] == flag["figures"]["percent"]
    constant = found["t2_paraphrasing"]["figures"]
    assert (constant["percent"][0], constant["alpha_ordinal"][0]) == (1.0, None)
    assert "same value" in constant["alpha_ordinal"][4]


def test_a_total_needs_every_item_of_it(rater, other_rater):
    made = make_study([rater, other_rater], [make_dialogue(), make_dialogue()])
    keys = [f"c{n}" for n in (1, 2, 3, 4)]
    items = [i.key for i in _expert().items if i.key[:2] in keys]
    for person in (rater, other_rater):
        for place, work in enumerate(assignments_of(made, person)):
            values = dict.fromkeys(items, "1" if place else "2")
            if place and person == rater:
                values[items[0]] = "not_sure"
            rate(work, **values)
    client = measures(made)["client"]
    assert (client["kind"], client["ratings"], client["arms"]["Imported"]["mean"]) == (
        "section",
        3,
        pytest.approx((8 + 8 + 4) / 3),
    )
    assert measures(made)["total_total"]["ratings"] == 0


def _expert():
    from review.instruments import builtin_instruments

    return builtin_instruments()["sqpsych-expert"]


def test_arms_of_one_name_are_told_apart_by_their_batch(rater):
    first = arm("A")
    other = Batch.objects.create(name="second", profile_set=first.batch.profile_set, seed=2)
    second = Arm.objects.create(
        batch=other, label="A", protocol=first.protocol, therapist_model="m",
        client_model="m", sha256="9" * 64,
    )  # fmt: skip
    rows = [make_dialogue(arm=a, batch=a.batch, replicate=1) for a in (first, second)]
    assert values_of(make_study([rater], rows)).arms == ("A (batch)", "A (second)")


# -- kept, fresh or old -----------------------------------------------------------------------


def test_figures_are_made_once_for_the_same_data(study):
    first = results_of(study)
    kept = KeptFigures.objects.get(study=study)
    assert (first.fresh, first.submitted) == (True, 14)
    again = results_of(study)
    assert again.made_at == kept.made_at
    assert json.loads(json.dumps(first.figures)) == again.figures


@pytest.mark.parametrize("change", ["reopen", "flag", "withdraw"])
def test_every_change_of_the_data_changes_their_state(study, rater, change):
    work = assignments_of(study, rater)[0]
    before = data_state(study)
    if change == "reopen":
        Assignment.objects.filter(pk=work.pk).update(state="started", submitted_at=None)
    elif change == "flag":
        Flag.objects.create(assignment=work, category="boundary", severity="severe")
    else:
        Flag.objects.filter(assignment=work).update(withdrawn_at=WHEN)
    assert data_state(study) != before


def test_large_study_is_left_to_a_worker_and_says_so(
    study, researcher, client_of, rater, monkeypatch
):
    cache.clear()
    monkeypatch.setattr(kept_figures, "AT_ONCE", 3)
    page = get(client_of, researcher, study)
    assert "The figures of 14 submitted ratings are being calculated" in page
    assert 'hx-trigger="every 3s"' in page
    assert not KeptFigures.objects.exists()
    make_results(study.pk)
    make_results(study.pk)
    page = get(client_of, researcher, study)
    assert "being calculated" not in page
    assert "hx-trigger" not in page.split('id="results"')[1].split(">")[0]
    work = assignments_of(study, rater)[0]
    Assignment.objects.filter(pk=work.pk).update(state="started", submitted_at=None)
    page = get(client_of, researcher, study)
    assert "These figures are of 14 submitted ratings" in page
    assert "There are 13 now" in page
    figure = reverse("review:figure_file", args=[study.pk, "scores", "csv"])
    assert client_of(researcher).get(figure).status_code == 303
    client_of(researcher).post(reverse("review:results_now", args=[study.pk]))
    assert "being calculated" not in get(client_of, researcher, study)


def test_task_for_a_study_that_is_gone_does_nothing(db):
    make_results(0)
    assert not KeptFigures.objects.exists()


# -- pages ------------------------------------------------------------------------------------


def test_results_page_shows_the_figures(study, researcher, client_of):
    page = get(client_of, researcher, study)
    assert "71 %" in page
    for text in ("Items", "Totals", "Safety flags", "Therapist: Simple language", "AC1"):
        assert text in page
    assert page.count("<svg") == 1
    assert '<option value="alpha" selected>' in page


def test_results_of_one_arm(study, researcher, client_of):
    page = get(client_of, researcher, study, arm="south", show="percent")
    assert "67 %" in page
    assert "71 %" not in page
    assert "Percent agreement, with 95 % intervals: south" in page
    assert "arm=south" in page
    assert "71 %" in get(client_of, researcher, study, arm="no such arm")


def test_fragment_is_the_results_alone(study, researcher, client_of):
    for name in ("results", "scores", "result_raters"):
        path = reverse(f"review:{name}", args=[study.pk])
        response = client_of(researcher).get(path, headers={"HX-Request": "true"})
        text = response.content.decode().strip()
        assert text.startswith('<div id="results"'), (name, text[:80])
        assert "<html" not in text


def test_scores_page_counts_answers_flags_and_means(study, researcher, client_of):
    page = get(client_of, researcher, study, "scores")
    assert "7. Medication or medical advice" in page
    assert "1.38" in page
    assert page.count("The same numbers as a table") == 3
    assert "north" in page


def test_raters_page_has_each_pair_once(study, researcher, client_of, make_user):
    page = get(client_of, researcher, study, "result_raters")
    assert page.count("R1 and R2") == 1
    empty = make_study([make_user("rater")], name="Alone")
    assert "No two raters have finished" in get(client_of, researcher, empty, "result_raters")


def test_page_of_a_measure_has_every_statistic(study, researcher, client_of):
    path = reverse("review:measure", args=[study.pk, "item", "sqpsych-expert", "t1_key_thoughts"])
    page = client_of(researcher).get(path).content.decode()
    names = ["ordinal", "AC2, linear", "ICC(1,1)", "ICC(3,k)", "Fleiss", "Cohen"]
    for name in names:
        assert name in page, name
    assert page.index("Percent agreement") < page.index("ICC(1,1)")
    nowhere = reverse("review:measure", args=[study.pk, "item", "sqpsych-expert", "no_item"])
    assert client_of(researcher).get(nowhere).status_code == 404


def test_empty_study_says_what_is_to_come(rater, researcher, client_of):
    made = make_study([rater])
    assert "No rating is submitted yet" in get(client_of, researcher, made)
    assert "No rating is submitted yet" in get(client_of, researcher, made, "scores")


def test_rater_sees_no_results(study, rater, client_of):
    for name in ("results", "scores", "result_raters"):
        path = reverse(f"review:{name}", args=[study.pk])
        assert client_of(rater).get(path).status_code == 403


def queries(client_of: Any, user: User, study: Study) -> int:
    get(client_of, user, study)
    client = client_of(user)
    with CaptureQueriesContext(
        connection,
    ) as seen:
        client.get(reverse("review:results", args=[study.pk]))
    return len(seen)


def test_kept_page_asks_the_same_number_of_queries(study, researcher, client_of, rater):
    small = make_study([rater], [make_dialogue()], name="Small")
    rate(assignments_of(small, rater)[0], t1_key_thoughts="1")
    assert queries(client_of, researcher, small) == queries(client_of, researcher, study)


def test_making_figures_asks_the_same_number_of_queries(study, rater):
    small = make_study([rater], [make_dialogue()], name="Small")
    rate(assignments_of(small, rater)[0], t1_key_thoughts="1")
    counts = []
    for one in (small, study):
        with CaptureQueriesContext(connection) as seen:
            values_of(one)
        counts.append(len(seen))
    assert counts[0] == counts[1]


# -- files ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "begins"),
    [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF"), ("csv", b"\xef\xbb\xbf")],
)
def test_figure_comes_as_a_file_and_the_same_bytes_again(
    study, researcher, client_of, kind, begins
):
    client = client_of(researcher)
    path = reverse("review:figure_file", args=[study.pk, "flags", kind])
    first, again = client.get(path), client.get(path)
    assert first.content.startswith(begins)
    assert first.content == again.content
    name = f"study-{study.pk}-flags.{kind}"
    assert first["Content-Disposition"] == f'attachment; filename="{name}"'


def test_csv_of_a_figure_has_the_numbers_of_the_page(study, researcher, client_of):
    path = reverse("review:figure_file", args=[study.pk, "answers", "csv"])
    response = client_of(researcher).get(path, {"item": "sqpsych-expert.t1_key_thoughts"})
    lines = response.content.decode("utf-8-sig").split("\r\n")
    assert lines[:2] == [",ratings,0,0 %,1,1 %,2,2 %", "north,8,2,25.0,1,12.5,5,62.5"]


def test_figure_that_is_not_there_is_not_found(study, researcher, client_of):
    client = client_of(researcher)
    for name, kind, query in (
        ("nothing", "svg", {}),
        ("agreement_nothing", "svg", {}),
        ("scores", "exe", {}),
        ("scores", "svg", {"part": "9"}),
        ("scores", "svg", {"part": "0"}),
        ("scores", "svg", {"part": "-1"}),
        ("answers", "csv", {"item": "a.b"}),
    ):
        path = reverse("review:figure_file", args=[study.pk, name, kind])
        assert client.get(path, query).status_code == 404, (name, kind, query)
    for name in ("agreement_alpha", "agreement_percent", "scores", "raters"):
        path = reverse("review:figure_file", args=[study.pk, name, "csv"])
        assert client.get(path).status_code == 200, name


def test_figures_read_back_keep_their_order(study):
    make_figures(study)
    kept = KeptFigures.objects.get(study=study).figures
    names = [title for title, _ in result_rows.statistics(kept["measures"][0])]
    assert names[0] == "Percent agreement"
    assert [arm for arm, _ in result_rows.arms_of(kept["measures"][0])] == ["north", "south"]
