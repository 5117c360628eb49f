"""The commands for scripts: what they print, and one clear line when they cannot."""

import csv
import io
import threading
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from django.utils import timezone

from generation.actions import cancel_batch
from generation.models import Batch, BatchState, Dialogue, Origin, ProfileSet, Turn
from generation.profiles import write_profiles
from generation.questionnaires import builtin_definitions
from generation.sampler import sample_profiles
from sqpsych_site.models import AuditEntry, ServiceState
from tests.fakes.model_server import FakeModelServer
from tests.generation.engine_cases import (
    Slice,
    assert_sound,
    counts,
    endpoint_for,
    short_protocol,
)
from tests.generation_rows import make_set


@pytest.fixture
def profile_file(tmp_path: Path) -> Path:
    definitions = builtin_definitions()
    path = tmp_path / "people.csv"
    path.write_bytes(
        write_profiles(sample_profiles(3, seed=1, definitions=definitions), definitions)
    )
    return path


def run(*arguments: str) -> list[str]:
    """The lines that a command prints."""
    out = io.StringIO()
    call_command(*arguments, stdout=out, stderr=out)
    return out.getvalue().splitlines()


@pytest.mark.django_db
def test_import_profiles_stores_each_file_as_a_set(profile_file: Path, tmp_path: Path) -> None:
    other = tmp_path / "more.csv"
    other.write_bytes(profile_file.read_bytes())
    lines = run("import_profiles", str(profile_file), str(other))
    one, two = ProfileSet.objects.order_by("pk")
    assert lines == [
        f"profile set {one.pk} “people”: 3 profiles",
        f"profile set {two.pk} “more”: 3 profiles",
    ]


@pytest.mark.django_db
def test_import_profiles_says_what_is_wrong_and_stores_nothing(
    profile_file: Path, tmp_path: Path
) -> None:
    path = tmp_path / "bad.csv"
    header, first, *rest = profile_file.read_text().splitlines()
    name, _, others = first.split(",", 2)
    path.write_text("\n".join([header, f"{name},old,{others}", *rest]))
    out = io.StringIO()
    with pytest.raises(CommandError, match=r"^bad\.csv: nothing was stored\.$"):
        call_command("import_profiles", str(path), stderr=out)
    assert out.getvalue().startswith("bad.csv, row 2, column age: ")
    with pytest.raises(CommandError, match="cannot be read: No such file or directory"):
        run("import_profiles", str(tmp_path / "missing.csv"))
    with pytest.raises(CommandError, match="--name goes with one file only"):
        run("import_profiles", str(path), str(path), "--name", "x")
    assert ProfileSet.objects.count() == 0


def start(*more: str) -> list[str]:
    """Start a batch of the short protocol on the set “people”."""
    return run(
        *("start_batch", "--name", "b", "--profile-set", "people", "--protocol", "short"),
        *("--model", "fake-model", "--seed", "3", *more),
    )


@pytest.mark.django_db(transaction=True)
def test_start_batch_prints_its_number_first_and_works_alone(profile_file: Path) -> None:
    short_protocol()
    run("import_profiles", str(profile_file))
    with FakeModelServer() as server:
        endpoint_for(server)
        lines = start("--wait", "--timeout", "60")
    batch = Batch.objects.get()
    assert lines[0] == f"batch {batch.pk}"
    assert lines[1] == "0 of 3 dialogues ended, 0 in progress, 3 waiting, 0 turns"
    turns = Turn.objects.count()
    assert lines[-1] == f"3 of 3 dialogues ended, 0 in progress, 0 waiting, {turns} turns"
    assert (batch.state, counts(batch)) == (BatchState.FINISHED, {"complete": 3})
    assert_sound(batch)


@pytest.mark.django_db(transaction=True)
def test_start_batch_watches_while_a_worker_works(profile_file: Path) -> None:
    short_protocol()
    run("import_profiles", str(profile_file))
    ServiceState.objects.create(name="worker", state="running", at=timezone.now())
    with FakeModelServer(latency=0.05) as server:
        endpoint_for(server)
        lines: list[str] = []
        failed: list[BaseException] = []

        def watch() -> None:
            try:
                lines.extend(start("--wait", "--timeout", "60"))
            except BaseException as error:  # noqa: BLE001 - shown by the test
                failed.append(error)
            finally:
                connections.close_all()

        watcher = threading.Thread(target=watch)
        watcher.start()
        server.wait_until(Batch.objects.exists, 20.0)
        assert server.received == 0
        worker = Slice()
        worker.thread.start()
        worker.wait()
        watcher.join(60)
    assert failed == []
    assert lines[-1].startswith("3 of 3 dialogues ended")


@pytest.mark.django_db(transaction=True)
def test_start_batch_fails_with_one_line(profile_file: Path) -> None:
    short_protocol()
    run("import_profiles", str(profile_file))
    with pytest.raises(CommandError, match="No model server here serves the model “fake-model”"):
        start()
    with FakeModelServer(latency=60.0) as server:
        endpoint_for(server)
        with pytest.raises(CommandError, match=r"^Batch \d+ is not finished after 1 seconds\.$"):
            start("--wait", "--timeout", "1")
        batch = Batch.objects.get()
        assert counts(batch) == {"waiting": 3}
        ServiceState.objects.create(name="worker", state="running", at=timezone.now())
        canceller = threading.Timer(0.5, cancel_newest)
        canceller.start()
        with pytest.raises(CommandError, match=r"^Batch \d+ was cancelled before it was finished"):
            start("--wait", "--timeout", "60")
        canceller.join()


def cancel_newest() -> None:
    """Cancel the newest batch once there is a second one."""
    try:
        while Batch.objects.count() < 2:
            threading.Event().wait(0.05)
        cancel_batch(batch=Batch.objects.order_by("-pk")[0], by=None)
    finally:
        connections.close_all()


TURNS = "dialogue_id,turn,role,text\na,1,therapist,Hello.\na,2,client,=Hm.\nb,1,therapist,Yes?\n"


@pytest.mark.django_db
def test_dialogues_come_in_and_go_out_equal(tmp_path: Path) -> None:
    path = tmp_path / "talks.csv"
    path.write_text(TURNS)
    (line,) = run("import_dialogues", str(path))
    batch = Batch.objects.get()
    assert line == f"batch {batch.pk}: 2 dialogues imported"
    assert (batch.name, batch.state, counts(batch)) == ("talks", "finished", {"complete": 2})
    row = Dialogue.objects.get(external_id="a")
    assert (row.origin, row.turn_count) == (Origin.IMPORTED, 2)
    out = tmp_path / "out.csv"
    assert run("export_corpus", str(batch.pk), "--format", "turns", "--output", str(out)) == [
        f"2 dialogues written to {out}"
    ]
    rows = list(csv.DictReader(io.StringIO(out.read_text(), newline="")))
    kept = [[row[name] for name in ("dialogue_id", "turn", "role", "text")] for row in rows]
    assert kept == [
        ["a", "1", "therapist", "Hello."],
        ["a", "2", "client", "'=Hm."],
        ["b", "1", "therapist", "Yes?"],
    ]
    again = tmp_path / "again.csv"
    again.write_bytes(out.read_bytes())
    run("import_dialogues", str(again))
    texts = Turn.objects.order_by("dialogue_id", "number").values_list("text", flat=True)
    assert list(texts) == ["Hello.", "=Hm.", "Yes?"] * 2
    assert AuditEntry.objects.get(action="corpus.export").detail == {
        "format": "turns",
        "dialogues": 2,
    }


@pytest.mark.django_db
def test_messages_are_known_by_the_files_ending(tmp_path: Path) -> None:
    path = tmp_path / "talks.jsonl"
    path.write_text('{"id": 1, "messages": [{"role": "assistant", "content": "Hello."}]}\n')
    run("import_dialogues", str(path), "--name", "chat")
    assert Batch.objects.get().name == "chat"
    with pytest.raises(CommandError, match="named “chat” exists already"):
        run("import_dialogues", str(path), "--name", "chat")
    with pytest.raises(CommandError, match=r"^talks\.jsonl, row 1: there must be one column"):
        run("import_dialogues", str(path), "--format", "turns", "--name", "other")
    assert Batch.objects.count() == 1


@pytest.mark.django_db
def test_export_of_an_unknown_batch_fails_with_one_line(tmp_path: Path) -> None:
    for number in ("999", "first"):
        with pytest.raises(CommandError, match=f"^There is no batch {number}.$"):
            run("export_corpus", number, "--format", "turns", "--output", str(tmp_path / "x"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.django_db
def test_start_batch_takes_several_arms_with_their_switches() -> None:
    endpoint_for(FakeModelServer())
    make_set(2, "people")
    first, *_ = run(
        "start_batch",
        "--name=two",
        "--profile-set=people",
        "--arm=A:sqpsych:fake-model:fake-model",
        "--arm=no answers:sqpsych:fake-model:fake-model:no_questionnaire",
    )
    batch = Batch.objects.get()
    assert first == f"batch {batch.pk}"
    assert list(batch.arms.order_by("label").values_list("label", "switches")) == [
        ("A", {}),
        ("no answers", {"no_questionnaire": True}),
    ]
    assert counts(batch) == {"waiting": 4}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "Give --model, or --arm for each arm."),
        (["--arm=A:sqpsych:m"], "--arm A:sqpsych:m: write LABEL:PROTOCOL:THERAPIST:CLIENT"),
        (["--arm=A:s:m:m", "--model=m"], "--arm names the models itself; leave --model out."),
        (["--arm=A:sqpsych:fake-model:fake-model:x=1"], "Arm A, protocol sqpsych: there is no"),
    ],
)
def test_start_batch_says_what_is_wrong_with_an_arm(arguments: list[str], line: str) -> None:
    endpoint_for(FakeModelServer())
    make_set(1, "people")
    with pytest.raises(CommandError) as error:
        run("start_batch", "--name=x", "--profile-set=people", *arguments)
    assert str(error.value).startswith(line)
    assert Batch.objects.count() == 0
