"""``make run``'s program, whole and real, without a model server: up, down, killed, again."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sqpsych_site.local import postgres, proc, valkey
from sqpsych_site.local.model_server import free_port
from sqpsych_site.local.paths import places
from sqpsych_site.local.private import read_json

PROJECT = Path(__file__).resolve().parents[2]
OURS = ("DATABASE_URL", "CELERY_BROKER_URL", "DJANGO_SETTINGS_MODULE", "SQPSYCH_VLLM_URL")
pytestmark = [pytest.mark.reliability]


@dataclass
class Run:
    """One supervisor and what it has shown."""

    data_dir: Path
    port: int
    process: "subprocess.Popen[str]"
    shown: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.shown.append(line.rstrip())

    @property
    def up(self) -> bool:
        return any(line.strip() == "Ctrl-C stops everything." for line in self.shown)

    @property
    def words(self) -> set[str]:
        """The lines shown so far, without their columns."""
        return {" ".join(line.split()) for line in self.shown}

    def wait_until_up(self) -> "Run":
        wait_for(lambda: self.up or self.process.poll() is not None)
        assert self.up, self.shown
        return self

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        status = self.process.wait()
        self.reader.join()
        return status

    def pid_of(self, name: str) -> int:
        record = wait_for(lambda: read_json(places(self.data_dir).run / f"{name}.process.json"))
        return int(record["pid"])

    def fetch(self, path: str) -> tuple[int, bytes]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
            return answer.status, answer.read()


def wait_for(condition: Callable[[], Any]) -> Any:
    while not (value := condition()):
        time.sleep(0.05)
    return value


def gone(pid: int) -> bool:
    return proc.look_at(pid) is None


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One installation for all tests here: only the first start has to make everything."""
    path = tmp_path_factory.mktemp("run") / "var"
    yield path
    postgres.remove(path)


@pytest.fixture
def start(data_dir: Path) -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def begin(**environment: str) -> Run:
        port = free_port()
        kept = {name: value for name, value in os.environ.items() if name not in OURS}
        given = {"SQPSYCH_DATA_DIR": str(data_dir), "PORT": str(port)}
        process = subprocess.Popen(
            [sys.executable, "-m", "sqpsych_site.local"],
            cwd=PROJECT,
            env={**kept, **given, "ENGINE": "none", "DEMO": "0", **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        runs.append(Run(data_dir, int(environment.get("PORT", port)), process))
        return runs[-1]

    yield begin
    for run in runs:
        if run.process.poll() is None:
            run.end()
        run.reader.join()
        assert run.process.stdout is not None
        run.process.stdout.close()


def test_run_brings_the_pages_up_and_ends_cleanly(
    start: Callable[..., Run], data_dir: Path
) -> None:
    run = start().wait_until_up()
    assert run.fetch("/healthz")[0] == 200
    assert b"<form" in run.fetch("/accounts/login/")[1]
    pids = [run.pid_of(name) for name in ("broker", "web", "worker", "beat")]
    assert run.end(signal.SIGTERM) == 0
    assert run.shown[0] == f"SQPsych starts; its data is in {data_dir}."
    assert run.shown[-2:] == ["Stopping ...", "SQPsych has stopped."]
    named = [line.split()[0] for line in run.shown if line.startswith("  ") and line[2] != " "]
    for step in ("database", "broker", "migrations", "static", "preparation", "web", "worker"):
        assert step in named
    assert f"  http://127.0.0.1:{run.port}" in [line.split("   ")[0] for line in run.shown]
    assert [gone(pid) for pid in pids] == [True] * 4
    assert postgres.server_pid(data_dir) is None
    assert not valkey.answers(data_dir)
    assert list(places(data_dir).run.glob("*.process.json")) == []


def test_run_says_on_the_pages_that_there_is_no_model_server(
    start: Callable[..., Run], data_dir: Path
) -> None:
    start().wait_until_up()

    def noted() -> Any:
        with psycopg.connect(postgres.database_url(data_dir)) as connection:
            return connection.execute(
                "SELECT state, state_detail FROM generation_endpoint WHERE name = 'local'"
                " AND state = 'unavailable'"
            ).fetchone()

    assert wait_for(noted) == (
        "unavailable",
        "SQPsych was started without a model server (ENGINE=none)",
    )


def test_run_after_kill_nine_clears_up_and_works(start: Callable[..., Run], data_dir: Path) -> None:
    run = start().wait_until_up()
    pids = [run.pid_of(name) for name in ("broker", "web", "worker", "beat")]
    run.process.kill()
    run.process.wait()
    again = start().wait_until_up()
    assert again.fetch("/healthz")[0] == 200
    assert [gone(pid) for pid in pids] == [True] * 4
    assert again.end(signal.SIGINT) == 0
    assert postgres.server_pid(data_dir) is None


def test_run_starts_again_what_dies(start: Callable[..., Run], data_dir: Path) -> None:
    run = start().wait_until_up()
    before = {name: run.pid_of(name) for name in ("broker", "web", "worker", "beat")}
    database = postgres.server_pid(data_dir)
    assert database is not None
    for pid in [*before.values(), database]:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: {f"{name} runs again" for name in before} <= run.words)
    for name, pid in before.items():
        assert run.pid_of(name) != pid
    wait_for(lambda: postgres.is_running(data_dir))
    wait_for(lambda: _answers(run))
    assert valkey.answers(data_dir)


def _answers(run: Run) -> bool:
    try:
        return run.fetch("/accounts/login/")[0] == 200
    except OSError:
        return False


def test_second_run_says_in_one_sentence_that_there_is_one(
    start: Callable[..., Run], data_dir: Path
) -> None:
    run = start().wait_until_up()
    second = start()
    assert second.process.wait() == 1
    second.reader.join()
    assert second.shown == [
        f"SQPsych runs already on {data_dir} (process {run.process.pid},"
        f" http://127.0.0.1:{run.port}): use that one, or stop it with Ctrl-C in its terminal"
        f" or with 'kill {run.process.pid}'."
    ]
    assert run.process.poll() is None
    assert run.fetch("/healthz")[0] == 200


def test_run_says_in_one_sentence_that_the_port_is_taken(start: Callable[..., Run]) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        run = start(PORT=str(port))
        assert run.process.wait() == 1
        run.reader.join()
    assert f"Port {port} is taken by another program: stop that one, or choose" in run.shown[-1]
    assert "Traceback" not in "\n".join(run.shown)


def test_run_says_that_the_given_database_does_not_answer(start: Callable[..., Run]) -> None:
    run = start(DATABASE_URL="postgresql://nobody@127.0.0.1:9/none")
    assert run.process.wait() == 1
    run.reader.join()
    assert "  database       yours (DATABASE_URL)" in run.shown
    assert any(line.startswith("The database does not answer (") for line in run.shown)
    assert run.shown[-1] == "SQPsych was not started."
    assert "Traceback" not in "\n".join(run.shown)


def test_run_that_is_stopped_while_it_starts_leaves_nothing(
    start: Callable[..., Run], data_dir: Path
) -> None:
    run = start()
    wait_for(lambda: any(line.split()[:1] == ["database"] for line in run.shown))
    assert run.end(signal.SIGINT) == 0
    assert run.shown[-1] == "SQPsych has stopped."
    assert postgres.server_pid(data_dir) is None
    assert not valkey.answers(data_dir)
