"""create_study, export_ratings, agreement, doctor, make_account: what they print, how they end."""

import csv
import io
import json
import shutil
from collections import namedtuple
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from generation.models import Batch, Endpoint, ProfileSet
from review.models import Rating, Study
from sqpsych_site.models import AuditEntry, ServiceState, User
from tests.factories import WHEN, assignments_of, make_dialogue, make_instrument, make_study


def run(name: str, *arguments: str) -> str:
    out = io.StringIO()
    call_command(name, *arguments, stdout=out)
    return out.getvalue()


def problem(name: str, *arguments: str) -> str:
    with pytest.raises(CommandError) as caught:
        run(name, *arguments)
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.fixture
def batch(db: None) -> Batch:
    profiles = ProfileSet.objects.create(name="set", source="x")
    made = Batch.objects.create(name="March", profile_set=profiles, seed=1)
    for _ in range(4):
        make_dialogue(batch=made)
    return made


RATERS = "rater1,rater2"


@pytest.fixture
def raters(make_user: Any) -> list[User]:
    return [make_user("rater", username=name) for name in RATERS.split(",")]


# -- create_study ---------------------------------------------------------------------------------


def test_create_study_prints_its_number_first(batch, raters):
    text = run("create_study", "--name", "CLI", "--batch", "March", "--raters", RATERS,
               "--overlap", "2", "--seed", "9", "--instrument", "sqpsych-expert")  # fmt: skip
    study = Study.objects.get()
    assert text.splitlines() == [
        f"study {study.pk}",
        "4 dialogues; dialogues per rater: R1 4, R2 4",
    ]
    assert (study.name, study.overlap, study.seed, study.created_by) == ("CLI", 2, 9, None)
    assert [link.instrument.key for link in study.study_instruments.all()] == ["sqpsych-expert"]


def test_create_study_takes_a_number_and_both_instruments_by_default(batch, raters):
    run("create_study", "--name", "CLI", "--batch", str(batch.pk), "--raters", "rater1")
    keys = [link.instrument.key for link in Study.objects.get().study_instruments.all()]
    assert keys == ["sqpsych-expert", "safety"]


def test_create_study_of_the_demo_dialogues(raters):
    make_dialogue(origin="demo")
    run("create_study", "--name", "CLI", "--demo", "--raters", RATERS,
        "--instrument", "safety,sqpsych-expert", "--overlap", "2")  # fmt: skip
    study = Study.objects.get()
    assert study.study_dialogues.count() == 1
    assert [one.instrument.key for one in study.study_instruments.all()] == [
        "safety",
        "sqpsych-expert",
    ]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"--batch": "May"}, "There is no batch “May”."),
        ({"--raters": "rater1,nobody"}, "There is no account “nobody”; make it first."),
        ({"--raters": ","}, "A study needs at least one rater."),
        ({"--instrument": "ctrs"}, "There is no instrument “ctrs”; the instruments here are: "),
        ({"--overlap": "3"}, "3 raters per dialogue are wanted, but there are only 2;"),
        ({"--name": " "}, "A study needs a name."),
    ],
)
def test_create_study_says_in_one_sentence_why_not(batch, raters, change, sentence):
    given = {"--name": "CLI", "--batch": "March", "--raters": RATERS} | change
    text = problem("create_study", *[part for pair in given.items() for part in pair])
    assert text.startswith(sentence)
    assert not Study.objects.exists()


def test_create_study_asks_which_of_two_batches(batch, raters):
    other = Batch.objects.create(name="March", profile_set=batch.profile_set, seed=1)
    text = problem("create_study", "--name", "x", "--batch", "March", "--raters", "rater1")
    assert text == (
        f"Several batches are called “March”: give a number, one of {batch.pk}, {other.pk}."
    )


# -- export_ratings -------------------------------------------------------------------------------


@pytest.fixture
def rated(raters: list[User]) -> Study:
    """Two raters, five dialogues; they differ on one item of one dialogue."""
    study = make_study(raters, [make_dialogue() for _ in range(5)], name="Pilot")
    form = make_instrument()
    for place, person in enumerate(raters):
        for work in assignments_of(study, person):
            work.state, work.opened_at, work.submitted_at = "submitted", WHEN, WHEN
            work.save()
            value = str(work.position % 3) if work.position < 5 or place else "0"
            Rating.objects.create(
                assignment=work, instrument=form, item="t1_key_thoughts", value=value, comment="c"
            )
    return study


def test_export_ratings_writes_all_files_and_says_so(rated, tmp_path):
    target = tmp_path / "new" / "folder"
    lines = run("export_ratings", "Pilot", "--output", str(target)).splitlines()
    names = {path.name for path in target.iterdir()}
    assert names >= {
        "codebook.csv",
        "evidence.csv",
        "flags.csv",
        "load_ratings.R",
        "load_ratings.py",
        "manifest.json",
        "ratings_long.csv",
        "ratings_wide.csv",
    }
    assert lines[0] == f"{target / 'ratings_long.csv'}: 190 rows"
    assert len(lines) == len(names) - 2  # the scripts are no data
    entry = AuditEntry.objects.get(action="export.ratings")
    assert (entry.actor, entry.detail["via"]) == ("", "command")


def test_export_ratings_takes_a_number_and_leaves_comments_out(rated, tmp_path):
    run("export_ratings", str(rated.pk), "--output", str(tmp_path), "--no-comments")
    text = (tmp_path / "ratings_long.csv").read_text(encoding="utf-8-sig")
    assert "comment" not in next(csv.reader(io.StringIO(text)))


def test_export_ratings_writes_the_key_only_when_asked(rated, tmp_path):
    run("export_ratings", "Pilot", "--output", str(tmp_path), "--key")
    assert (tmp_path / "blinding_key.csv").exists()
    assert AuditEntry.objects.filter(action="export.key").count() == 1


def test_export_ratings_of_no_study_names_the_newest(rated, tmp_path):
    text = problem("export_ratings", "Nope", "--output", str(tmp_path))
    assert text == f"There is no study “Nope”; the newest are: {rated.pk} “Pilot”."
    assert list(tmp_path.iterdir()) == []


def test_export_ratings_where_nothing_can_be_written(rated, tmp_path):
    (tmp_path / "file").write_text("")
    text = problem("export_ratings", "Pilot", "--output", str(tmp_path / "file"))
    assert text == f"{tmp_path / 'file'} cannot be written: File exists."


@pytest.mark.django_db(transaction=True)
def test_command_that_cannot_ends_with_status_one_and_one_line(capsys):
    from review.management.commands.export_ratings import Command

    with pytest.raises(SystemExit) as end:
        Command().run_from_argv(["manage.py", "export_ratings", "Nope", "--output", "x"])
    assert end.value.code == 1
    assert capsys.readouterr().err == (
        "CommandError: There is no study “Nope”; there is none yet.\n"
    )


# -- agreement ------------------------------------------------------------------------------------


def agreement_of_items() -> dict[str, Any]:
    body = json.loads(run("agreement", "Pilot", "--json"))
    return {one["key"]: one for one in body["measures"]}


def test_agreement_as_json_gives_figures_per_item(rated):
    body = json.loads(run("agreement", "Pilot", "--json"))
    assert (body["study"], body["name"], body["submitted"]) == (rated.pk, "Pilot", 10)
    items = {one["key"]: one for one in body["measures"] if one["kind"] == "item"}
    assert len(items) == 19
    first = items["t1_key_thoughts"]
    assert (first["ratings"], first["level"]) == (10, "ordinal")
    percent = first["figures"]["percent"]
    assert (percent["estimate"], percent["units"]) == (0.8, 5)
    assert 0 < first["figures"]["alpha_ordinal"]["estimate"] < 1
    nothing = items["t2_paraphrasing"]["figures"]["alpha_ordinal"]
    assert (nothing["units"], nothing["estimate"]) == (0, None)
    assert nothing["note"]


def test_agreement_equals_a_hand_calculation(rated):
    """Ordinal alpha of the pairs 1-1, 2-2, 0-0, 1-1, 0-2: see Krippendorff (2011), section D."""
    alpha = agreement_of_items()["t1_key_thoughts"]["figures"]["alpha_ordinal"]["estimate"]
    # n = 3 zeros, 4 ones, 3 twos; squared distances 0-1 and 1-2: 3.5^2, 0-2: 7^2.
    observed = 2 * 49
    expected = 2 * (3 * 4 * 3.5**2 + 4 * 3 * 3.5**2 + 3 * 3 * 49)
    assert alpha == pytest.approx(1 - (10 - 1) * observed / expected, abs=1e-9)


def test_agreement_counts_submitted_ratings_only(rated, raters):
    rated.assignments.filter(position=5).update(state="started", submitted_at=None)
    percent = agreement_of_items()["t1_key_thoughts"]["figures"]["percent"]
    assert (percent["units"], percent["estimate"]) == (4, 1.0)


def test_not_sure_counts_as_missing(rated):
    Rating.objects.filter(assignment__position=1).update(value="not_sure")
    assert agreement_of_items()["t1_key_thoughts"]["figures"]["percent"]["units"] == 4


def test_agreement_for_people_is_a_table(rated):
    lines = run("agreement", "Pilot").splitlines()
    assert lines[0].split()[:5] == ["Items", "level", "units", "Percent", "agreement"]
    assert lines[1].startswith("sqpsych-expert/t1_key_thoughts")
    assert " 80 % [" in lines[1]
    assert " –" in lines[2]


def test_agreement_of_no_study(db):
    assert problem("agreement", "7") == "There is no study “7”; there is none yet."


# -- doctor ---------------------------------------------------------------------------------------


def test_doctor_says_what_is_fine_and_what_is_not(db):
    out = io.StringIO()
    with pytest.raises(CommandError) as caught:
        call_command("doctor", stdout=out)
    lines = out.getvalue().splitlines()
    assert lines[0].startswith("ok   database: PostgreSQL ")
    assert "FAIL worker: has not reported yet" in lines
    assert "ok   tables: up to date" in lines
    assert "worker" in str(caught.value)


def sound(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that reports, and a broker that needs none here."""
    from sqpsych_site import health

    ServiceState.objects.create(name="worker", state="running", at=timezone.now())
    monkeypatch.setattr(health, "broker", lambda: health.Check("broker", True, "answers"))


def test_doctor_is_content_with_a_sound_system(db, monkeypatch):
    sound(monkeypatch)
    Endpoint.objects.create(
        name="local",
        base_url="http://127.0.0.1:8001/v1",
        model="smollm2",
        state="ready",
        server_version="0.33",
    )
    lines = run("doctor").splitlines()
    assert {line[:4] for line in lines} == {"ok  "}
    assert "ok   model server: local, smollm2: ready, vLLM 0.33" in lines
    assert lines[-1].startswith("ok   versions: SQPsych ")


def test_doctor_tells_of_a_server_that_does_not_answer(db, monkeypatch):
    sound(monkeypatch)
    Endpoint.objects.create(
        name="gpu", base_url="http://x", model="m", state="unreachable", state_detail="timeout"
    )
    assert problem("doctor") == "Not fine: model server."


def test_doctor_tells_of_a_full_disk(db, monkeypatch):
    sound(monkeypatch)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 9, 1))
    assert problem("doctor") == "Not fine: disk."


# -- make_account ---------------------------------------------------------------------------------


def test_make_account_prints_a_password_that_signs_in(db, client):
    first, second = run("make_account", "nora", "--role", "rater").splitlines()
    assert first == "account nora (rater)"
    assert client.login(username="nora", password=second.removeprefix("password ")) is True
    assert AuditEntry.objects.get(action="account.create").target == "nora"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nora", "--role", "king"], "There is no role “king”; the roles are: rater, coordinator,"),
        (["boss", "--role", "rater"], "There is an account “boss” already; choose another name."),
        (["BOSS", "--role", "rater"], "There is an account “BOSS” already; choose another name."),
        (["a b", "--role", "rater"], "The account was not made: enter a valid username."),
        (["", "--role", "rater"], "The account was not made: this field cannot be blank."),
    ],
)
def test_make_account_says_in_one_sentence_why_not(make_user, arguments, sentence):
    make_user("coordinator", username="boss")
    assert problem("make_account", *arguments).startswith(sentence)
    assert User.objects.count() == 1
