"""Exports by choice: formats, filters, several studies, the scripts, the page of past exports."""

import io
import json
import subprocess
import sys
import zipfile
from datetime import date
from pathlib import Path
from typing import Any

import pandas
import pyarrow.parquet as parquet
import pytest
from django.urls import reverse

from review import actions
from review.exports import Origin, export_table, export_to, export_zip
from review.kept_figures import make_figures
from review.models import Assignment, Flag, Rating, Study
from review.tables import Options
from review.writers import FORMATS
from sqpsych_site.models import AuditEntry
from tests.factories import assignments_of, make_dialogue, make_instrument, make_study
from tests.review.test_exports import HOSTILE, LATER, answer, read, submitted
from tests.review.test_results import arm

PAGE = Origin(None, "page")


def rows(
    study: Study | list[Study], name: str = "ratings_long", **chosen: Any
) -> list[dict[str, str]]:
    options = Options(**chosen)
    with export_table(studies=study, name=name, options=options, origin=PAGE) as out:
        return read(out.read())


@pytest.fixture
def study(rater, other_rater) -> Study:
    """Six dialogues in two arms, two raters, scales with gaps, flags, a hostile comment."""
    arms = [arm("north"), arm("south")]
    dialogues = [make_dialogue(arm=arms[n % 2], replicate=n + 1) for n in range(6)]
    made = make_study([rater, other_rater], dialogues, name="Pilot – “ä”")
    for person, shift in ((rater, 0), (other_rater, 1)):
        for place, work in enumerate(assignments_of(made, person)):
            submitted(work)
            for number in range(1, 5):
                item = ["c1_concise", "c2_thinking_aloud", "c3_closure", "c4_simple_language"][
                    number - 1
                ]
                value = str((place * number + shift * (place % 3 == 0)) % 3)
                gap = place == 4 and number == 2 and shift
                answer(work, item, "not_sure" if gap else value, HOSTILE[place])
            answer(work, "safety_problem", "yes" if place < 2 + shift else "no")
            if place < 2 + shift:
                Flag.objects.create(
                    assignment=work, category="boundary", severity="serious", note="=1+1"
                )
    Assignment.objects.filter(position=6, rater=other_rater).update(
        state="started", submitted_at=None
    )
    Assignment.objects.filter(position=5, rater=rater).update(
        submitted_at=LATER.replace(month=5, day=7)
    )
    return made


# -- the scripts ------------------------------------------------------------------------------


@pytest.fixture
def exported(study: Study, tmp_path: Path) -> Path:
    export_to(studies=study, directory=tmp_path, options=Options(), origin=PAGE)
    return tmp_path


def told_by(output: str) -> dict[tuple[str, ...], str]:
    """(instrument, key, statistic) -> estimate that the script calculated."""
    lines = [line.split("\t") for line in output.splitlines() if "\t" in line]
    return {tuple(line[1:4]): line[5] for line in lines}


def page_numbers(study: Study) -> dict[tuple[str, ...], str]:
    from_page: dict[tuple[str, ...], str] = {}
    for one in make_figures(study)["measures"]:
        for name, figure in one["figures"].items():
            estimate = "" if figure[0] is None else f"{figure[0]:.6f}"
            from_page[one["instrument"], one["key"], name] = estimate
    return from_page


@pytest.mark.parametrize(
    "command",
    [["Rscript", "load_ratings.R"], [sys.executable, "load_ratings.py"]],
    ids=["R", "Python"],
)
@pytest.mark.parametrize("locale", ["C"])
def test_script_reproduces_the_numbers_of_the_page(study, exported, command, locale):
    done = subprocess.run(
        [*command, "."], cwd=exported, capture_output=True, text=True, check=False,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": locale, "HOME": str(exported)},
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "all figures reproduced"
    told, shown = told_by(done.stdout), page_numbers(study)
    assert len(told) > 100
    assert {key: shown[key].replace("-0.000000", "0.000000") for key in told} == {
        key: value.replace("-0.000000", "0.000000") for key, value in told.items()
    }
    assert told["sqpsych-expert", "c1_concise", "alpha_ordinal"] != ""
    assert told["safety", "boundary", "percent"] == "0.800000"
    assert told["sqpsych-expert", "client", "icc_1_1"] != ""


def test_script_says_when_a_number_was_changed(study, tmp_path):
    options = Options(instruments=("safety",))
    export_to(studies=study, directory=tmp_path, options=options, origin=PAGE)
    path = tmp_path / "agreement.csv"
    text = path.read_text()
    assert ",percent,0.8," in text
    path.write_text(text.replace(",percent,0.8,", ",percent,0.7,", 1))
    done = subprocess.run(
        [sys.executable, "load_ratings.py"], cwd=tmp_path, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "figures differ by up to 0.1" in done.stdout.splitlines()[-1]


def test_agreement_file_has_pairs_and_notes(study):
    table = rows(study, "agreement")
    pairs = [one for one in table if one["first_rater"]]
    assert {(one["first_rater"], one["second_rater"]) for one in pairs} == {("R1", "R2")}
    assert {one["statistic"] for one in pairs} == {
        "percent", "kappa_identity", "kappa_linear", "kappa_quadratic",
    }  # fmt: skip
    empty = next(one for one in table if one["key"] == "t1_key_thoughts")
    assert (empty["estimate"], empty["units"]) == ("", "0")
    assert empty["note"]


# -- formats ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_is_the_same_bytes_again(study, kind):
    def made() -> bytes:
        with export_zip(studies=study, options=Options(format=kind), origin=PAGE) as out:
            return out.read()

    first = made()
    assert made() == first
    names = zipfile.ZipFile(io.BytesIO(first)).namelist()
    assert f"ratings_long.{kind}" in names
    assert ("load_ratings.R" in names) == (kind == "csv")


def objects(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().rstrip("\n").split("\n")]


def test_formats_hold_the_same_cells(study, tmp_path):
    for kind in FORMATS:
        export_to(
            studies=study, directory=tmp_path, options=Options(format=kind), origin=PAGE, key=True
        )
    for name in ("ratings_long", "ratings_wide", "flags", "times", "raters", "blinding_key"):
        plain = read((tmp_path / f"{name}.csv").read_bytes())
        lines = objects(tmp_path / f"{name}.jsonl")
        packed = parquet.read_table(tmp_path / f"{name}.parquet")
        assert list(plain[0]) == list(lines[0]) == packed.column_names, name
        assert len(plain) == len(lines) == packed.num_rows, name
        numbers = [column for column in ("value_number", "position") if column in plain[0]]
        for column in numbers:
            told = [one[column] for one in lines]
            assert [("" if v is None else str(v)) for v in told] == [o[column] for o in plain]
            assert packed[column].to_pylist() == told
    comments = [one["comment"] for one in objects(tmp_path / "ratings_long.jsonl")]
    assert HOSTILE[0] in comments  # data formats need no guard against spreadsheets
    types = {field.name: str(field.type) for field in parquet.read_schema(
        tmp_path / "ratings_long.parquet")}  # fmt: skip
    assert (types["value_number"], types["answered_at"], types["position"]) == (
        "double", "timestamp[ms, tz=UTC]", "int64",
    )  # fmt: skip
    moments = parquet.read_table(tmp_path / "ratings_long.parquet")["answered_at"].to_pylist()
    assert LATER in moments


# -- filters ----------------------------------------------------------------------------------


def test_each_filter_leaves_only_what_was_chosen(study):
    def said(column: str, **chosen: Any) -> set[str]:
        return {one[column] for one in rows(study, **chosen)}

    assert said("instrument", instruments=("safety",)) == {"safety"}
    assert said("rater", raters=("R2",)) == {"R2"}
    assert said("assignment_state", states=("started",)) == {"started"}
    assert said("dialogue", arms=("south",)) == {"D002", "D004", "D006"}
    assert said("dialogue", since=date(2026, 5, 7), until=date(2026, 5, 7)) == {"D005"}
    early = rows(study, until=date(2026, 5, 6), raters=("R1",))
    assert "D005" not in {one["dialogue"] for one in early}
    assert rows(study, states=("returned",)) == []
    assert rows(study, raters=("nobody",)) == []


def test_agreement_is_of_what_was_chosen(study):
    everything = {one["key"]: one for one in rows(study, "agreement")}
    south = {one["key"]: one for one in rows(study, "agreement", arms=("south",))}
    assert everything["c1_concise"]["units"] == "5"
    assert south["c1_concise"]["units"] == "2"
    expert = rows(study, "agreement", instruments=("sqpsych-expert",))
    assert "any_flag" not in {one["key"] for one in expert}


def test_filters_stand_in_the_manifest(study, tmp_path):
    options = Options(raters=("R1",), since=date(2026, 1, 1), comments=False)
    export_to(studies=study, directory=tmp_path, options=options, origin=PAGE)
    filters = json.loads((tmp_path / "manifest.json").read_text())["filters"]
    assert (filters["raters"], filters["since"], filters["comments"]) == (
        ["R1"],
        "2026-01-01",
        False,
    )
    assert filters["arms"] == []


# -- several studies --------------------------------------------------------------------------


def test_several_studies_stand_in_the_same_files(study, rater, tmp_path):
    other = make_study([rater], [make_dialogue()], name="Second", instruments=("safety",))
    answer(submitted(assignments_of(other, rater)[0]), "safety_problem", "no")
    export_to(studies=[study, other], directory=tmp_path, options=Options(), origin=PAGE)
    long = read((tmp_path / "ratings_long.csv").read_bytes())
    assert [len([r for r in long if r["study_id"] == str(s.pk)]) for s in (study, other)] == [
        12 * 19,
        1,
    ]
    wide = read((tmp_path / "ratings_wide.csv").read_bytes())
    assert (wide[-1]["study"], wide[-1]["c1_concise"], wide[-1]["safety_problem"]) == (
        "Second",
        "",
        "no",
    )
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert [one["name"] for one in manifest["studies"]] == [study.name, "Second"]
    done = subprocess.run(
        ["Rscript", "load_ratings.R", "."], cwd=tmp_path, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "all figures reproduced"
    for one in (study, other):
        entry = AuditEntry.objects.get(action="export.ratings", target=f"study {one.pk}")
        assert entry.detail["studies"] == [study.pk, other.pk]


# -- times, raters, calibration ---------------------------------------------------------------


def test_times_and_raters_tell_how_the_work_was_done(study, rater):
    work = assignments_of(study, rater)[0]
    Assignment.objects.filter(pk=work.pk).update(state="started", submitted_at=None)
    Assignment.objects.filter(pk=work.pk).update(
        state="submitted", submitted_at=LATER.replace(hour=11), active_seconds=77
    )
    first = rows(study, "times")[0]
    assert (first["dialogue"], first["rater"], first["active_seconds"]) == ("D001", "R1", "77")
    assert (first["answers"], first["submissions"]) == ("5", "2")
    assert first["last_saved_at"] == "2026-03-02T09:30:00.250Z"
    one, two = rows(study, "raters")
    assert (one["rater"], one["assigned"], one["submitted"], one["flags"]) == ("R1", "6", "6", "2")
    assert (two["submitted"], two["active"], two["repeats"]) == ("5", "yes", "0")


def test_backgrounds_of_raters_stand_beside_the_pseudonym(study, coordinator):
    for profession in ("x", "  =psycho\ttherapist "):
        actions.describe_rater(
            study=study, code="R1", profession=profession, years=12, by=coordinator
        )
    one, two = rows(study, "raters")
    assert (one["profession"], one["years"]) == ("'=psycho therapist", "12")
    assert (two["profession"], two["years"]) == ("", "")
    assert AuditEntry.objects.filter(action="study.describe_rater").count() == 2


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"code": "R9"}, "unknown_rater"),
        ({"years": 71}, "years"),
        ({"profession": "x" * 61}, "profession"),
    ],
)
def test_background_that_cannot_be_is_refused(study, coordinator, change, code):
    given = {"code": "R1", "profession": "x", "years": None, **change}
    with pytest.raises(actions.Refused, match=code):
        actions.describe_rater(study=study, by=coordinator, **given)
    assert rows(study, "raters")[0]["profession"] == ""


def test_calibration_is_a_file_of_its_own(study, rater):
    row = study.study_dialogues.get(code="D002")
    work = Assignment.objects.create(
        study=study, study_dialogue=row, rater=rater, position=50, kind="calibration"
    )
    answer(submitted(work), "c1_concise", "1")
    assert {one["kind"] for one in rows(study)} == {"live"}
    own = rows(study, "calibration")
    assert {one["kind"] for one in own} == {"calibration"}
    assert len(own) == 19


def test_fast_totals_equal_the_instruments_own(rater):
    """The wide table adds up by itself; it must say what the instrument says."""
    from review.actions.rating import definition_of

    made = make_study([rater], [make_dialogue() for _ in range(4)])
    items = [item.key for item in definition_of(make_instrument()).items]
    for place, work in enumerate(assignments_of(made, rater)):
        submitted(work)
        for number, item in enumerate(items):
            if (number + place) % 7 or place == 3:
                value = "not_sure" if place == 2 and number % 5 == 0 else str(number % 3)
                Rating.objects.create(
                    assignment=work, instrument=make_instrument(), item=item, value=value
                )
    for row, work in zip(rows(made, "ratings_wide"), assignments_of(made, rater), strict=True):
        given = dict(work.ratings.values_list("item", "value"))
        for key, total in definition_of(make_instrument()).totals(given).items():
            value = "" if total.value is None else f"{total.value:g}"
            assert (row[f"total_{key}"], row[f"total_{key}_max"]) == (value, f"{total.maximum:g}")


# -- the page ---------------------------------------------------------------------------------


def test_page_offers_files_and_lists_past_exports(study, researcher, client_of):
    client = client_of(researcher)
    page = reverse("review:study_exports", args=[study.pk])
    assert "None yet." in client.get(page).content.decode()
    address = reverse("review:study_export", args=[study.pk])
    response = client.get(address, {"rater": "R1", "comments": "no", "format": "jsonl"})
    assert b"".join(response.streaming_content)[:2] == b"PK"
    client.get(reverse("review:study_key", args=[study.pk])).getvalue()
    text = client.get(page).content.decode()
    assert "jsonl, without comments; only raters R1" in text
    assert "blinding key" in text
    assert researcher.username in text
    for name in ("ratings_long", "agreement", "calibration"):
        for kind in FORMATS:
            assert reverse("review:study_file", args=[study.pk, name, kind]) in text


def test_single_file_in_each_format(study, researcher, client_of):
    for kind in FORMATS:
        path = reverse("review:study_file", args=[study.pk, "flags", kind])
        response = client_of(researcher).get(path)
        data = b"".join(response.streaming_content)
        name = f"study-{study.pk}-flags.{kind}"
        assert response["Content-Disposition"] == f'attachment; filename="{name}"'
        if kind == "parquet":
            assert pandas.read_parquet(io.BytesIO(data))["category"].tolist() == ["boundary"] * 5
    nothing = reverse("review:study_file", args=[study.pk, "flags", "exe"])
    assert client_of(researcher).get(nothing).status_code == 404


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"since": "yesterday"}, "Submitted from: Enter a valid date."),
        ({"rater": "R9"}, "Raters: Select a valid choice."),
        ({"arm": "west"}, "Arms: Select a valid choice."),
        ({"format": "xls"}, "Format: Select a valid choice."),
        ({"also": "0"}, "Other studies in the same files: Select a valid choice."),
    ],
)
def test_choice_that_cannot_be_is_refused_in_one_sentence(
    study, researcher, client_of, query, sentence
):
    response = client_of(researcher).get(reverse("review:study_export", args=[study.pk]), query)
    assert response.status_code == 400
    assert response.content.decode().startswith(sentence)
    assert not AuditEntry.objects.filter(action="export.ratings").exists()


def test_whoever_may_not_have_the_key_cannot_choose_by_arm(study):
    from review.export_forms import ExportForm

    form = ExportForm(study, {"arm": "south"}, with_arms=False)
    assert form.is_valid()
    assert form.options.arms == ()
