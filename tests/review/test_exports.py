"""Exports: exact contents, hostile texts, blindness, one snapshot, the same bytes again."""

import csv
import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import openpyxl
import pandas
import pytest
from django.db import connection
from django.urls import reverse
from hypothesis import example, given
from hypothesis import strategies as st

from generation.models import Arm, Batch, ClientProfile, ProfileSet, Protocol
from review.cells import cell, clean, guard, text_cell, unguard
from review.exports import Origin, export_table, export_to, export_zip
from review.models import Assignment, Evidence, Flag, Rating, Study
from review.snapshots import snapshot
from review.tables import Options
from sqpsych_site.models import AuditEntry, User
from tests.factories import WHEN, assignments_of, make_dialogue, make_instrument, make_study

LATER = datetime(2026, 3, 2, 9, 30, 0, 250_000, tzinfo=UTC)
PAGE = Origin(None, "page")
HOSTILE = [
    '=HYPERLINK("http://x","y")',
    "+1+1",
    "-2",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "|calc",
    "%0",
    " =1+1",
    "'=1",
    "''=1",
    "'plain",
    "＝1+1",
    "＠x",
    "\ufeff=1",
    "\u200b=1",
    'say "hello", twice',
    "one\r\ntwo\rthree\nfour",
    "bell \x07 and escape \x1b[31m",
    "שלום \u202edrow\u202c",
    "👩‍👩‍👧 🧑🏽‍⚕️",
    "Łódź, naïve – “quoted”",
    ",;\t",
    "   ",
]


def read(data: bytes) -> list[dict[str, str]]:
    """Rows as Python's csv module gives them."""
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))


def table(
    study: Study, name: str = "ratings_long", *, comments: bool = True
) -> list[dict[str, str]]:
    with export_table(studies=study, name=name, options=Options(comments), origin=PAGE) as out:
        return read(out.read())


def answer(
    assignment: Assignment, item: str, value: str, comment: str = "", **more: object
) -> None:
    key = "safety" if item == "safety_problem" else "sqpsych-expert"
    rating = Rating.objects.create(
        assignment=assignment,
        instrument=make_instrument(key),
        item=item,
        value=value,
        comment=comment,
        **more,
    )
    Rating.objects.filter(pk=rating.pk).update(updated_at=LATER)


def submitted(assignment: Assignment, state: str = "submitted") -> Assignment:
    assignment.state, assignment.opened_at = state, WHEN
    assignment.submitted_at = LATER if state == "submitted" else None
    assignment.save()
    return assignment


@pytest.fixture
def study(rater: User, other_rater: User) -> Study:
    """Two raters, two dialogues: one submitted, one started, one handed back, one untouched."""
    made = make_study([rater, other_rater], [make_dialogue(), make_dialogue()], name="Pilot")
    first, second = assignments_of(made, rater)
    submitted(first)
    answer(first, "t1_key_thoughts", "2", "Named early.")
    answer(first, "t2_paraphrasing", "not_sure")
    answer(first, "t3_guided_discovery", "0", revision=3)
    answer(first, "safety_problem", "no")
    submitted(second, "started")
    answer(second, "t1_key_thoughts", "1")
    submitted(assignments_of(made, other_rater)[0], "returned")
    return made


def test_long_has_a_row_for_each_item_of_each_begun_dialogue(study):
    rows = table(study)
    assert len(rows) == 3 * 19
    found = {(row["dialogue"], row["rater"], row["assignment_state"]) for row in rows}
    assert found == {
        ("D001", "R1", "submitted"),
        ("D001", "R2", "returned"),
        ("D002", "R1", "started"),
    }


def test_long_row_says_who_what_and_when(study):
    form = make_instrument()
    assert table(study)[0] == {
        "data": "synthetic",
        "study": "Pilot",
        "study_id": str(study.pk),
        "dialogue": "D001",
        "rater": "R1",
        "position": "1",
        "kind": "live",
        "assignment_state": "submitted",
        "instrument": "sqpsych-expert",
        "instrument_version": form.version,
        "instrument_sha256": form.sha256[:12],
        "section": "therapist",
        "item": "t1_key_thoughts",
        "item_number": "1",
        "item_label": "Key thoughts and beliefs",
        "turn": "",
        "value": "2",
        "value_number": "2",
        "missing": "",
        "comment": "Named early.",
        "revision": "1",
        "answered_at": "2026-03-02T09:30:00.250Z",
        "opened_at": "2026-03-02T09:00:00.000Z",
        "submitted_at": "2026-03-02T09:30:00.250Z",
        "active_seconds": "0",
        "paused_seconds": "0",
    }


def test_long_tells_zero_not_sure_and_not_answered_apart(study):
    rows = {row["item"]: row for row in table(study) if row["assignment_state"] == "submitted"}

    def measured(item: str) -> tuple[str, ...]:
        return tuple(rows[item][name] for name in ("value", "value_number", "missing", "revision"))

    assert measured("t3_guided_discovery") == ("0", "0", "", "3")
    assert measured("t2_paraphrasing") == ("not_sure", "", "not_sure", "1")
    assert measured("t4_validation") == ("", "", "not_answered", "")
    assert measured("safety_problem") == ("no", "0", "", "1")


def test_wide_has_the_items_in_order_then_totals(study):
    rows = table(study, "ratings_wide")
    columns = list(rows[0])
    start = columns.index("t1_key_thoughts")
    assert [c[:2] for c in columns[start : start + 18]] == (
        [f"t{n}" for n in range(1, 10)]
        + [f"c{n}" for n in range(1, 5)]
        + [f"o{n}" for n in range(1, 6)]
    )
    assert columns[start + 18 :] == [
        "total_therapist",
        "total_therapist_max",
        "total_client",
        "total_client_max",
        "total_overall",
        "total_overall_max",
        "total_total",
        "total_total_max",
        "safety_problem",
        "missing_items",
        "flags",
        "comment",
    ]
    first = rows[0]
    assert [(row["dialogue"], row["rater"]) for row in rows] == [
        ("D001", "R1"),
        ("D001", "R2"),
        ("D002", "R1"),
    ]
    assert (first["t1_key_thoughts"], first["t2_paraphrasing"], first["t3_guided_discovery"]) == (
        "2",
        "",
        "0",
    )
    assert first["missing_items"].split()[:2] == [
        "t2_paraphrasing=not_sure",
        "t4_validation=not_answered",
    ]


def test_practice_and_calibration_stay_out_and_repeats_are_marked(study, rater):
    for number, kind in enumerate(("practice", "calibration", "repeat"), start=11):
        row = study.study_dialogues.get(code="D001")
        work = Assignment.objects.create(
            study=study, study_dialogue=row, rater=rater, position=number, kind=kind
        )
        answer(submitted(work), "t1_key_thoughts", "1")
        raise_flag(work)
        mark(work)
    for name in ("ratings_wide", "flags", "evidence"):
        rows = table(study, name)
        assert [row["kind"] for row in rows if row["rater"] == "R1"][:2] in (
            ["live", "repeat"],
            ["repeat"],
        )
        assert {row["kind"] for row in rows} <= {"live", "repeat"}
    assert {row["kind"] for row in table(study)} == {"live", "repeat"}


def mark(work: Assignment) -> Evidence:
    return Evidence.objects.create(
        assignment=work,
        instrument=make_instrument(),
        item="t1_key_thoughts",
        turn_number=1,
        start=0,
        end=2,
    )


def test_wide_total_is_of_the_scored_items_only(rater):
    made = make_study([rater])
    work = submitted(assignments_of(made, rater)[0])
    for item in make_instrument_items():
        answer(work, item, "not_sure" if item == "c1_concise" else "2")
    row = table(made, "ratings_wide")[0]
    assert (row["total_client"], row["total_client_max"]) == ("6", "6")
    assert (row["total_total"], row["total_total_max"]) == ("34", "34")


def make_instrument_items() -> list[str]:
    from review.instruments import builtin_instruments

    return [item.key for item in builtin_instruments()["sqpsych-expert"].items]


def test_long_and_wide_tell_the_same(study):
    long, wide = table(study), table(study, "ratings_wide")
    told = {
        (row["dialogue"], row["rater"], row["item"]): row["value_number"]
        for row in long
        if row["instrument"] == "sqpsych-expert"
    }
    assert told == {
        (row["dialogue"], row["rater"], item): row[item]
        for row in wide
        for item in make_instrument_items()
    }


def conditional_study(rater: User) -> Study:
    """An instrument with a question that is asked after a yes only, a text and half marks."""
    toml = """
key = "branch"
version = "2"
title = "Branch"
licence = "Apache-2.0"
attribution = "none"
source = "tests"
[[sections]]
key = "one"
title = "One"
[[sections.items]]
key = "risk"
type = "yes_no"
label = "=Any risk?"
[[sections.items]]
key = "asked"
type = "yes_no"
label = "Asked directly?"
show_if = { item = "risk", in = ["yes"] }
[[sections.items]]
key = "half"
type = "scale"
label = "Half"
min = -1
max = 1
step = 0.5
allow_na = true
[[sections.items]]
key = "comment"
type = "text"
label = "Words"
required = false
[[sections.items]]
key = "turnwise"
type = "scale"
label = "Each turn"
min = 0
max = 2
level = "turn"
"""
    from review.actions import add_instrument
    from review.models import StudyInstrument

    made = make_study([rater], name="Branching", instruments=(), state="draft")
    row = add_instrument(text=toml, origin="branch.toml", by=None)
    StudyInstrument.objects.create(study=made, instrument=row)
    Study.objects.filter(pk=made.pk).update(state="running")
    made.refresh_from_db()
    return made


def give(work: Assignment, item: str, value: str, turn: int | None = None) -> None:
    row = work.study.study_instruments.get().instrument
    Rating.objects.create(assignment=work, instrument=row, item=item, value=value, turn_number=turn)


def test_item_that_is_not_asked_is_hidden_even_with_an_old_answer(rater):
    made = conditional_study(rater)
    work = submitted(assignments_of(made, rater)[0])
    give(work, "asked", "yes")
    give(work, "risk", "no")
    rows = {row["item"]: row for row in table(made)}
    assert (rows["asked"]["value"], rows["asked"]["missing"]) == ("", "hidden")
    assert rows["risk"]["value"] == "no"


def test_negative_and_half_marks_stay_numbers_and_na_is_told(rater):
    made = conditional_study(rater)
    work = submitted(assignments_of(made, rater)[0])
    give(work, "half", "-0.5")
    row = next(row for row in table(made) if row["item"] == "half")
    assert (row["value"], row["value_number"]) == ("-0.5", "-0.5")
    assert table(made, "ratings_wide")[0]["half"] == "-0.5"
    Rating.objects.filter(item="half").update(value="na")
    row = next(row for row in table(made) if row["item"] == "half")
    assert (row["value"], row["value_number"], row["missing"]) == ("na", "", "na")


def test_turn_level_answers_come_with_their_turn_and_only_in_long(rater):
    made = conditional_study(rater)
    work = submitted(assignments_of(made, rater)[0])
    give(work, "turnwise", "2", turn=2)
    give(work, "turnwise", "1", turn=1)
    rows = [(r["turn"], r["value"]) for r in table(made) if r["item"] == "turnwise"]
    assert rows == [("1", "1"), ("2", "2")]
    assert "turnwise" not in table(made, "ratings_wide")[0]


def test_item_named_like_a_column_is_prefixed_with_its_instrument(rater):
    made = conditional_study(rater)
    work = submitted(assignments_of(made, rater)[0])
    give(work, "comment", "-words")
    row = table(made, "ratings_wide")[0]
    assert row["branch__comment"] == "'-words"
    assert row["comment"] == ""


def test_two_instruments_with_the_same_items_are_told_apart(rater):
    from review.actions import add_instrument, create_study
    from review.instruments import builtin_instruments

    original = builtin_instruments()["sqpsych-expert"].toml
    copy = original.replace('key = "sqpsych-expert"', 'key = "second-form"', 1)
    other = add_instrument(text=copy, origin="copy.toml", by=None)
    made = create_study(
        name="Two",
        raters=[rater],
        by=None,
        dialogues=[make_dialogue()],
        instruments=["sqpsych-expert", other],
    )
    submitted(made.assignments.get())
    columns = list(table(made, "ratings_wide")[0])
    assert "sqpsych_expert__t1_key_thoughts" in columns
    assert "second_form__t1_key_thoughts" in columns
    assert "t1_key_thoughts" not in columns


def raise_flag(work: Assignment, **more: object) -> Flag:
    values: dict[str, object] = {
        "category": "risk_cue_missed",
        "severity": "severe",
        "turn_number": 2,
        "note": "=cmd",
    }
    return Flag.objects.create(assignment=work, **values | more)


def test_flags_say_what_where_and_how_bad(study, rater):
    flag = raise_flag(assignments_of(study, rater)[0], details={"imminent": "not_imminent"})
    raise_flag(assignments_of(study, rater)[0], withdrawn_at=WHEN, note="taken back")
    rows = table(study, "flags")
    assert len(rows) == 1
    told = rows[0]
    assert {name: told[name] for name in list(told)[3:-2]} == {
        "dialogue": "D001",
        "rater": "R1",
        "kind": "live",
        "assignment_state": "submitted",
        "flag": str(flag.uid),
        "category": "risk_cue_missed",
        "category_number": "1",
        "category_label": "Risk cue not followed",
        "severity": "severe",
        "severity_label": "Severe",
        "turn": "2",
        "start": "",
        "end": "",
        "detail_imminent": "not_imminent",
        "note": "'=cmd",
    }
    assert table(study, "ratings_wide")[0]["flags"] == "1"


def test_evidence_gives_the_place_and_never_the_text(study, rater):
    work = assignments_of(study, rater)[0]
    mark = Evidence.objects.create(
        assignment=work,
        instrument=make_instrument(),
        item="t1_key_thoughts",
        turn_number=1,
        start=0,
        end=5,
    )
    rows = table(study, "evidence")
    assert [(r["evidence"], r["item"], r["turn"], r["start"], r["end"]) for r in rows] == [
        (str(mark.uid), "t1_key_thoughts", "1", "0", "5")
    ]
    assert "Hello" not in repr(rows)


def test_comments_can_be_left_out_everywhere(study, rater):
    work = assignments_of(study, rater)[0]
    Assignment.objects.filter(pk=work.pk).update(comment="about it all", return_note="secret note")
    raise_flag(work, note="a flag note")
    with export_zip(studies=study, options=Options(comments=False), origin=PAGE) as out:
        archive = zipfile.ZipFile(out)
        data = b"".join(archive.read(name) for name in archive.namelist())
    for text in (b"about it all", b"a flag note", b"Named early", b"secret note"):
        assert text not in data
    assert "comment" not in table(study, comments=False)[0]


def test_codebook_describes_every_column_of_every_file(study):
    book = table(study, "codebook")
    described = {(row["file"], row["column"]) for row in book}
    for name in ("ratings_long", "ratings_wide", "flags", "evidence", "codebook"):
        with export_table(studies=study, name=name, options=Options(), origin=PAGE) as out:
            header = next(csv.reader(io.StringIO(out.read().decode("utf-8-sig"))))
        assert {(f"{name}.csv", column) for column in header} <= described
    item = next(r for r in book if r["column"] == "t1_key_thoughts")
    assert item["instrument_sha256"] == make_instrument().sha256
    assert item["values"].startswith("0 = no thought or belief is named; 1 = ")
    assert item["type"] == "number"
    assert all(row["meaning"] for row in book)


def test_manifest_names_hashes_rows_instruments_and_no_secret(study, tmp_path):
    files = export_to(studies=study, directory=tmp_path, options=Options(), origin=PAGE)
    body = json.loads((tmp_path / "manifest.json").read_text())
    assert body["synthetic"] is True
    [about] = body["studies"]
    assert about == {
        "id": study.pk,
        "name": "Pilot",
        "state": "running",
        "overlap": 2,
        "created_at": cell(study.created_at),
        "dialogues": 2,
        "raters": 2,
        "assignments": {"locked": 0, "due": 1, "started": 1, "submitted": 1, "returned": 1},
    }
    assert [one["name"] for one in body["files"]] == [one.name for one in files]
    for one in body["files"]:
        data = (tmp_path / one["name"]).read_bytes()
        assert one["sha256"] == hashlib.sha256(data).hexdigest()
        assert one["bytes"] == len(data)
        assert one["rows"] == len(read(data))
    assert [form["sha256"] for form in body["instruments"]] == [
        make_instrument(key).sha256 for key in ("sqpsych-expert", "safety")
    ]
    for name, sha256 in body["scripts"].items():
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == sha256
    assert set(body["scripts"]) == {"load_ratings.R", "load_ratings.py"}


# -- the same data, the same bytes ----------------------------------------------------------------


def test_the_same_export_twice_is_byte_equal(study, rater):
    raise_flag(assignments_of(study, rater)[0])

    def archive() -> bytes:
        with export_zip(studies=study, options=Options(), origin=PAGE) as out:
            return out.read()

    first = archive()
    assert archive() == first


def test_zip_holds_what_the_command_writes(study, tmp_path):
    export_to(studies=study, directory=tmp_path, options=Options(), origin=PAGE)
    with export_zip(studies=study, options=Options(), origin=PAGE) as out:
        archive = zipfile.ZipFile(out)
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == {
            path.name: path.read_bytes() for path in tmp_path.iterdir()
        }


def test_failed_export_leaves_no_file_and_no_record(study, tmp_path, monkeypatch):
    from review import exports

    def broken(*args: object) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exports, "manifest", broken)
    with pytest.raises(OSError, match="No space"):
        export_to(studies=study, directory=tmp_path, options=Options(), origin=PAGE)
    assert list(tmp_path.iterdir()) == []
    assert not AuditEntry.objects.filter(action="export.ratings").exists()


# -- cells ----------------------------------------------------------------------------------------


@given(st.text())
@example("'=1")
@example("''\t")
@example(" '=")
def test_guard_is_undone_by_unguard(text):
    assert unguard(guard(text)) == text


@given(st.text())
def test_guarded_text_never_begins_a_formula(text):
    first = guard(clean(text)).lstrip(" \t\r\n\ufeff\u200b")[:1]
    assert first not in set("=+-@|%＝＋－＠｜\t\r\n") - {""}


@given(st.lists(st.text(st.characters(blacklist_categories=["Cs"])), min_size=2, max_size=5))
@example(["", ""])
@example(['"', "a,b"])
def test_row_of_texts_comes_back_through_the_csv_module(texts):
    line = ",".join(map(text_cell, texts)) + "\r\n"
    rows = list(csv.reader(io.StringIO(line, newline="")))
    assert [[unguard(one) for one in row] for row in rows] == [[clean(text) for text in texts]]


def test_nul_and_controls_become_visible_pictures():
    assert clean("a\x00b\x1fc\x7fd\te\nf") == "a␀b␟c␡d\te\nf"
    assert clean("one\r\ntwo\rthree") == "one\ntwo\nthree"


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_comment_is_harmless_and_comes_back(study, rater, text):
    Rating.objects.filter(comment="Named early.").update(comment=text)
    row = table(study)[0]
    assert unguard(row["comment"]) == clean(text)
    assert guard(row["comment"]) == row["comment"] or row["comment"].startswith("'")
    assert row["revision"] == "1"


def test_hostile_comments_open_in_pandas(study, rater, tmp_path):
    for item, text in zip(make_instrument_items(), HOSTILE, strict=False):
        Rating.objects.update_or_create(
            assignment=assignments_of(study, rater)[0],
            instrument=make_instrument(),
            item=item,
            turn_number=None,
            defaults={"comment": text, "value": "1"},
        )
    export_to(studies=study, directory=tmp_path, options=Options(), origin=PAGE)
    frame = pandas.read_csv(tmp_path / "ratings_long.csv")
    assert list(frame.columns[:3]) == ["data", "study", "study_id"]
    assert len(frame) == 3 * 19
    assert frame["value_number"].sum() == 18 + 1
    told = dict(zip(frame["item"][:18], frame["comment"][:18], strict=True))
    for item, text in zip(make_instrument_items(), HOSTILE, strict=False):
        assert unguard(told[item]) == clean(text)
    assert pandas.to_datetime(frame["answered_at"].dropna()).dt.tz is not None
    wide = pandas.read_csv(tmp_path / "ratings_wide.csv")
    assert wide["t1_key_thoughts"].dtype.kind == "f"


def test_no_cell_is_a_formula_for_a_spreadsheet(study, rater, tmp_path):
    """openpyxl takes a text that begins with = for a formula, as a spreadsheet does."""
    for item, text in zip(make_instrument_items(), HOSTILE, strict=False):
        Rating.objects.update_or_create(
            assignment=assignments_of(study, rater)[0],
            instrument=make_instrument(),
            item=item,
            turn_number=None,
            defaults={"comment": text},
        )
    export_to(studies=study, directory=tmp_path, options=Options(), origin=PAGE)
    sheet = openpyxl.Workbook().active
    for path in sorted(tmp_path.glob("*.csv")):
        text = path.read_bytes().decode("utf-8-sig")
        for row in csv.reader(io.StringIO(text, newline="")):
            sheet.append(row)
    kinds = {one.data_type for row in sheet.iter_rows() for one in row if one.value}
    assert kinds == {"s"}


def test_files_are_rfc_4180_with_a_byte_order_mark(study):
    with export_table(studies=study, name="ratings_long", options=Options(), origin=PAGE) as out:
        data = out.read()
    assert data.startswith(b"\xef\xbb\xbfdata,study,study_id,")
    assert data.endswith(b"\r\n")
    assert data.count(b"\r\n") == 1 + 3 * 19


# -- blindness -------------------------------------------------------------------------------------


@pytest.fixture
def telling(rater: User, other_rater: User) -> Study:
    """A study whose dialogues have everything that must not be told."""
    profile_set = ProfileSet.objects.create(name="SET-CANARY", source="x")
    profile = ClientProfile.objects.create(
        profile_set=profile_set,
        profile_id="PROFILE-CANARY",
        age=30,
        condition="CONDITION-CANARY",
        sha256="0" * 64,
        totals={"phq9": 27},
        bands={"phq9": "BAND-CANARY"},
    )
    protocol = Protocol.objects.create(
        key="protocol-canary", version="1", title="t", sha256="1" * 64, toml=""
    )
    batch = Batch.objects.create(name="BATCH-CANARY", profile_set=profile_set, seed=424242)
    arm = Arm.objects.create(
        batch=batch,
        label="ARM-CANARY",
        protocol=protocol,
        therapist_model="MODEL-CANARY",
        client_model="MODEL-CANARY-2",
        sha256="2" * 64,
    )
    dialogue = make_dialogue(
        ("TEXT-CANARY one", "TEXT-CANARY two"),
        origin="generated",
        title="TITLE-CANARY",
        external_id="EXTERNAL-CANARY",
        batch=batch,
        arm=arm,
        profile=profile,
    )
    rater.username = "USER-CANARY"
    rater.save()
    made = make_study([rater, other_rater], [dialogue], name="Blind", seed=987654)
    for person in (rater, other_rater):
        work = submitted(assignments_of(made, person)[0])
        answer(work, "t1_key_thoughts", "1")
        raise_flag(work)
    return made


def test_no_file_but_the_key_tells_where_a_dialogue_or_a_rating_comes_from(telling, tmp_path):
    export_to(studies=telling, directory=tmp_path, options=Options(), origin=PAGE)
    data = b"\n".join(path.read_bytes() for path in sorted(tmp_path.iterdir()))
    uid = str(telling.study_dialogues.get().dialogue.uid)
    for secret in ("CANARY", "canary", "stranger", uid, "987654", "424242", "generated", "BAND"):
        assert secret.encode() not in data, secret


def test_key_tells_what_each_code_stands_for(telling):
    row = table(telling, "blinding_key")[0]
    assert {name: row[name] for name in list(row)[3:]} == {
        "dialogue": "D001",
        "dialogue_id": str(telling.study_dialogues.get().dialogue.uid),
        "origin": "generated",
        "external_id": "EXTERNAL-CANARY",
        "batch": "BATCH-CANARY",
        "batch_id": str(telling.study_dialogues.get().dialogue.batch_id),
        "arm": "ARM-CANARY",
        "protocol": "protocol-canary",
        "protocol_version": "1",
        "therapist_model": "MODEL-CANARY",
        "client_model": "MODEL-CANARY-2",
        "replicate": "1",
        "profile_set": "SET-CANARY",
        "profile_id": "PROFILE-CANARY",
        "condition": "CONDITION-CANARY",
    }
    AuditEntry.objects.get(action="export.key", target=f"study {telling.pk}")


def test_zip_never_holds_the_key(telling):
    with export_zip(studies=telling, options=Options(), origin=PAGE) as out:
        assert zipfile.ZipFile(out).namelist() == [
            "adjudications.csv",
            "agreement.csv",
            "calibration.csv",
            "codebook.csv",
            "evidence.csv",
            "flags.csv",
            "load_ratings.R",
            "load_ratings.py",
            "manifest.json",
            "raters.csv",
            "ratings_long.csv",
            "ratings_wide.csv",
            "times.csv",
        ]


# -- one snapshot ----------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_export_sees_one_moment_although_others_write(study, rater):
    work = assignments_of(study, rater)[0]

    def change() -> None:
        Rating.objects.filter(item="t1_key_thoughts", assignment=work).update(value="0")
        connection.close()

    with snapshot():
        before = Rating.objects.get(item="t1_key_thoughts", assignment=work).value
        other = threading.Thread(target=change)
        other.start()
        other.join()
        after = Rating.objects.get(item="t1_key_thoughts", assignment=work).value
    assert (before, after) == ("2", "2")
    assert Rating.objects.get(item="t1_key_thoughts", assignment=work).value == "0"


@pytest.mark.django_db(transaction=True)
def test_nothing_can_be_written_inside_a_snapshot(study):
    from django.db import InternalError

    with pytest.raises(InternalError, match="read-only"), snapshot():
        Study.objects.filter(pk=study.pk).update(name="changed")
    assert Study.objects.get(pk=study.pk).name == "Pilot"


@pytest.mark.django_db(transaction=True)
def test_download_works_outside_a_transaction(study, coordinator, client_of):
    response = client_of(coordinator).get(reverse("review:study_export", args=[study.pk]))
    archive = zipfile.ZipFile(io.BytesIO(b"".join(response.streaming_content)))
    assert len(read(archive.read("ratings_long.csv"))) == 57


# -- pages -----------------------------------------------------------------------------------------


def test_download_is_an_attachment_and_leaves_an_audit_row(study, researcher, client_of):
    url = reverse("review:study_file", args=[study.pk, "ratings_long", "csv"])
    response = client_of(researcher).get(url)
    data = b"".join(response.streaming_content)
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"] == (
        f'attachment; filename="study-{study.pk}-ratings_long.csv"'
    )
    assert response["Content-Length"] == str(len(data))
    assert response["Cache-Control"] == "no-store"
    entry = AuditEntry.objects.get(action="export.ratings")
    assert (entry.actor, entry.target) == (researcher.username, f"study {study.pk}")
    assert entry.detail == {
        "via": "page",
        "studies": [study.pk],
        "options": {
            "comments": True,
            "format": "csv",
            "instruments": [],
            "arms": [],
            "raters": [],
            "states": [],
            "since": None,
            "until": None,
        },
        "files": {"ratings_long.csv": {"rows": 57, "sha256": hashlib.sha256(data).hexdigest()}},
    }


def test_comments_switch_of_the_download(study, coordinator, client_of):
    client, url = (
        client_of(coordinator),
        reverse("review:study_file", args=[study.pk, "ratings_long", "csv"]),
    )
    without = b"".join(client.get(url, {"comments": "no"}).streaming_content)
    assert "comment" not in read(without)[0]
    assert client.get(url, {"comments": "perhaps"}).status_code == 400


@pytest.mark.parametrize("name", ["passwords", "manifest", "users"])
def test_unknown_file_is_not_found(study, coordinator, client_of, name):
    url = reverse("review:study_file", args=[study.pk, name, "csv"])
    assert client_of(coordinator).get(url).status_code == 404


def addresses(study: Study) -> list[str]:
    return [
        reverse("review:study_export", args=[study.pk]),
        reverse("review:study_key", args=[study.pk]),
        reverse("review:study_file", args=[study.pk, "ratings_long", "csv"]),
    ]


def test_rater_of_the_study_gets_no_file(study, rater, client_of):
    codes = [client_of(rater).get(url).status_code for url in addresses(study)]
    assert codes == [403, 403, 403]
    assert not AuditEntry.objects.filter(action__startswith="export").exists()


def test_nobody_gets_a_file_without_signing_in(study, client):
    assert [client.get(url).status_code for url in addresses(study)] == [302, 302, 302]


def test_study_that_is_not_there_is_not_found(coordinator, client_of, db):
    for name in ("review:study_export", "review:study_key"):
        assert client_of(coordinator).get(reverse(name, args=[999])).status_code == 404


def queries_of(action: Callable[[], object]) -> int:
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as found:
        action()
    return len(found)


QUERIES = 50


@pytest.mark.parametrize("item_count", [1, 3])
def test_export_asks_the_same_number_of_queries_at_any_size(
    make_user, tmp_path, item_count, django_assert_num_queries
):
    raters = [make_user("rater") for _ in range(item_count)]
    made = make_study(raters, [make_dialogue() for _ in range(item_count)])
    for person in raters:
        for work in assignments_of(made, person):
            answer(submitted(work), "t1_key_thoughts", "1")
            raise_flag(work)
    with django_assert_num_queries(QUERIES):
        export_to(studies=made, directory=tmp_path, options=Options(), origin=PAGE)


def test_more_than_one_chunk_of_assignments_is_written_whole(rater, monkeypatch):
    from review.tables import frame

    monkeypatch.setattr(frame, "CHUNK", 2)
    made = make_study([rater], [make_dialogue() for _ in range(5)])
    for work in assignments_of(made, rater):
        answer(submitted(work), "t1_key_thoughts", str(work.position % 3))
    rows = [r for r in table(made) if r["item"] == "t1_key_thoughts"]
    assert [(r["dialogue"], r["value"]) for r in rows] == [
        ("D001", "1"),
        ("D002", "2"),
        ("D003", "0"),
        ("D004", "1"),
        ("D005", "2"),
    ]


def test_flag_ids_are_uuids_chosen_by_the_page(study, rater):
    raise_flag(assignments_of(study, rater)[0])
    assert UUID(table(study, "flags")[0]["flag"])


def test_export_into_a_file_is_an_error(study, tmp_path):
    target = tmp_path / "file"
    target.write_text("x")
    with pytest.raises(OSError, match="exists"):
        export_to(studies=study, directory=Path(target), options=Options(), origin=PAGE)
