"""manage.py: the local database comes and goes with the command; errors are one line."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sqpsych_site.local import postgres

PROJECT = Path(__file__).resolve().parents[2]
OURS = ("DATABASE_URL", "CELERY_BROKER_URL", "DJANGO_SETTINGS_MODULE", "SQPSYCH_DATA_DIR")


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "var"
    yield path
    postgres.remove(path)


def start(data_dir: Path, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
    kept = {name: value for name, value in os.environ.items() if name not in OURS}
    return subprocess.Popen(
        [sys.executable, str(PROJECT / "manage.py"), *arguments],
        cwd=data_dir.parent,
        env={**kept, "SQPSYCH_DATA_DIR": str(data_dir), **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(data_dir: Path, *arguments: str, **environment: str) -> tuple[int, str, str]:
    with start(data_dir, *arguments, **environment) as process:
        out, err = process.communicate()
    return process.returncode, out, err


def shell(code: str) -> list[str]:
    return ["shell", "--no-imports", "--command", code]


def test_command_has_the_database_and_leaves_none_behind(data_dir: Path) -> None:
    code = "from django.db import connection as c; k = c.cursor(); k.execute('SELECT 41 + 1');"
    status, out, _ = run(data_dir, *shell(f"{code} print(k.fetchone()[0])"))
    assert (status, out) == (0, "42\n")
    assert postgres.server_pid(data_dir) is None


def test_command_leaves_a_running_database_alone(data_dir: Path) -> None:
    with postgres.database_in_use(data_dir, say=lambda _text: None):
        pid = postgres.server_pid(data_dir)
        status, _, err = run(data_dir, *shell("pass"))
        assert (status, err) == (0, "")
        assert postgres.server_pid(data_dir) == pid


def test_command_that_is_ended_leaves_no_database_behind(data_dir: Path) -> None:
    code = "import time; print('up', flush=True); time.sleep(600)"
    with start(data_dir, *shell(code)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        assert postgres.is_running(data_dir)
        process.terminate()
        process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    assert postgres.server_pid(data_dir) is None


def test_command_before_the_first_migration_says_what_to_do(data_dir: Path) -> None:
    code = "from sqpsych_site.models import User; User.objects.count()"
    status, out, err = run(data_dir, *shell(code))
    assert (status, out) == (1, "")
    assert err.splitlines()[-1] == (
        "The database has no tables yet: run 'manage.py migrate' or 'make run' first."
    )
    assert "Traceback" not in err


def test_command_says_that_the_given_database_does_not_answer(data_dir: Path) -> None:
    url = "postgresql://nobody@127.0.0.1:9/none"
    status, out, err = run(data_dir, "migrate", DATABASE_URL=url)
    assert (status, out) == (1, "")
    assert err.startswith("The database does not answer: ")
    assert len(err.splitlines()) == 1
    assert not (data_dir / "postgres").exists()


def test_help_starts_no_database(data_dir: Path) -> None:
    assert run(data_dir, "help")[0] == 0
    assert run(data_dir, "migrate", "--help")[0] == 0
    assert not (data_dir / "postgres").exists()
