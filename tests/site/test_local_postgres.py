"""The local PostgreSQL: real clusters in temporary directories, ended in every rude way."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from sqpsych_site.local import postgres, proc
from sqpsych_site.local.errors import LocalServiceError
from sqpsych_site.local.paths import places
from sqpsych_site.local.private import make_places

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "var"
    yield path
    postgres.remove(path)


def silent(_text: str) -> None:
    """Say nothing."""


def rows(data_dir: Path, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(postgres.database_url(data_dir), autocommit=True) as connection:
        cursor = connection.execute(query.encode())
        return cursor.fetchall() if cursor.description else []


def python(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def wait_for(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.02)


def test_start_answers_and_a_second_start_finds_it(data_dir: Path) -> None:
    assert not postgres.is_running(data_dir)
    assert postgres.start(data_dir, say=silent) is True
    assert postgres.start(data_dir, say=silent) is False
    assert postgres.is_running(data_dir)
    assert rows(data_dir, "SELECT current_user::text, current_database()::text") == [
        ("sqpsych", "sqpsych")
    ]
    assert postgres.stop(data_dir) is True
    assert postgres.stop(data_dir) is False
    assert not postgres.is_running(data_dir)


def test_start_gives_safe_settings(data_dir: Path) -> None:
    postgres.start(data_dir, say=silent)
    wanted = {
        "listen_addresses": "",
        "fsync": "on",
        "synchronous_commit": "on",
        "server_encoding": "UTF8",
        "TimeZone": "UTC",
        "data_checksums": "on",
        "unix_socket_permissions": "0700",
    }
    for name, value in wanted.items():
        assert rows(data_dir, f"SHOW {name}") == [(value,)]
    assert rows(
        data_dir, "SELECT rolsuper, rolcreatedb FROM pg_roles WHERE rolname = current_user"
    ) == [(False, True)]
    assert rows(data_dir, "SELECT 'é' < 'z', lower('ÄÖÜ')") == [(False, "äöü")]


def test_database_directory_is_closed_to_others(data_dir: Path) -> None:
    postgres.start(data_dir, say=silent)
    home = places(data_dir).postgres
    assert home.stat().st_mode & 0o077 == 0
    assert home.is_symlink() == (os.geteuid() == 0)


def test_start_changes_no_parent_directory(data_dir: Path, tmp_path: Path) -> None:
    parents = [tmp_path, *tmp_path.parents]
    before = [(path.stat().st_mode, path.stat().st_uid) for path in parents]
    tmp_path.chmod(0o700)
    postgres.start(data_dir, say=silent)
    assert [(path.stat().st_mode, path.stat().st_uid) for path in parents] == before


@pytest.mark.parametrize("name", ["d" * 120, "with, comma", "two words & 'quotes' \"%s\" $HOME"])
def test_start_works_in_deep_and_oddly_named_directories(tmp_path: Path, name: str) -> None:
    data_dir = tmp_path / name / "var"
    try:
        postgres.start(data_dir, say=silent)
        assert rows(data_dir, "SELECT 1") == [(1,)]
    finally:
        postgres.remove(data_dir)


def test_start_after_kill_of_the_server_keeps_the_data(data_dir: Path) -> None:
    postgres.start(data_dir, say=silent)
    rows(data_dir, "CREATE TABLE kept (word text)")
    rows(data_dir, "INSERT INTO kept VALUES ('still here')")
    pid = postgres.server_pid(data_dir)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: postgres.server_pid(data_dir) is None)
    assert postgres.start(data_dir, say=silent) is True
    assert rows(data_dir, "SELECT word FROM kept") == [("still here",)]


def test_start_ends_server_processes_that_lost_their_master(data_dir: Path) -> None:
    postgres.start(data_dir, say=silent)
    with psycopg.connect(postgres.database_url(data_dir)) as connection:
        orphan = connection.info.backend_pid
        master = postgres.server_pid(data_dir)
        assert master is not None
        # A stopped process cannot notice that its master is gone.
        os.kill(orphan, signal.SIGSTOP)
        os.kill(master, signal.SIGKILL)
        wait_for(lambda: postgres.server_pid(data_dir) is None)
        assert proc.look_at(orphan) is not None
        postgres.start(data_dir, say=silent)
    assert proc.look_at(orphan) is None
    assert rows(data_dir, "SELECT 1") == [(1,)]


def test_start_sees_through_a_number_that_another_program_has(data_dir: Path) -> None:
    postgres.start(data_dir, say=silent)
    home = places(data_dir).postgres.resolve()
    stale = (home / "data" / "postmaster.pid").read_text().split("\n", 1)[1]
    postgres.stop(data_dir)
    with subprocess.Popen(["sleep", "600"]) as stranger:
        for lock in (home / "data" / "postmaster.pid", home / ".s.PGSQL.5432.lock"):
            lock.write_text(f"{stranger.pid}\n{stale}")
            lock.chmod(0o600)
            shutil.chown(lock, home.stat().st_uid, home.stat().st_gid)
        assert postgres.server_pid(data_dir) is None
        assert postgres.stop(data_dir) is False
        assert postgres.start(data_dir, say=silent) is True
        assert stranger.poll() is None
        stranger.kill()
    assert rows(data_dir, "SELECT 1") == [(1,)]


def test_start_throws_away_half_made_files(data_dir: Path) -> None:
    postgres.start(data_dir, say=silent)
    postgres.stop(data_dir)
    home = places(data_dir).postgres.resolve()
    (home / "data").rename(home / "data.new")
    (home / "data.new" / "PG_VERSION").unlink()
    assert postgres.start(data_dir, say=silent) is True
    assert not (home / "data.new").exists()


def test_start_by_two_at_once_gives_one_server(data_dir: Path) -> None:
    code = (
        "import sys; from sqpsych_site.local import postgres;"
        "print(postgres.start(sys.argv[1], say=lambda text: None),"
        " postgres.server_pid(sys.argv[1]))"
    )
    starters = [python(code, str(data_dir)) for _ in range(3)]
    answers = [starter.communicate()[0].split() for starter in starters]
    assert [starter.returncode for starter in starters] == [0, 0, 0]
    assert sorted(answer[0] for answer in answers) == ["False", "False", "True"]
    assert len({answer[1] for answer in answers}) == 1


def test_database_in_use_is_stopped_by_its_last_user(data_dir: Path) -> None:
    code = (
        "import sys; from sqpsych_site.local import postgres\n"
        "with postgres.database_in_use(sys.argv[1], say=lambda text: None):\n"
        "    print('up', flush=True); sys.stdin.read()"
    )
    with python(code, str(data_dir)) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "up\n"
        with postgres.database_in_use(data_dir, say=silent):
            assert rows(data_dir, "SELECT 1") == [(1,)]
        assert postgres.is_running(data_dir)
        other.communicate("")
    assert other.returncode == 0
    assert postgres.server_pid(data_dir) is None


def test_database_in_use_forgets_a_killed_user(data_dir: Path) -> None:
    code = (
        "import os, sys; from sqpsych_site.local import postgres\n"
        "with postgres.database_in_use(sys.argv[1], say=lambda text: None):\n"
        "    os.kill(os.getpid(), 9)"
    )
    with python(code, str(data_dir)) as killed:
        killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert postgres.is_running(data_dir)
    with postgres.database_in_use(data_dir, say=silent):
        assert postgres.is_running(data_dir)
    assert postgres.server_pid(data_dir) is None


def test_start_finds_a_server_whose_directory_was_moved(data_dir: Path, tmp_path: Path) -> None:
    postgres.start(data_dir, say=silent)
    first = postgres.server_pid(data_dir)
    moved = tmp_path / "moved"
    data_dir.rename(moved)
    try:
        postgres.start(moved, say=silent)
        assert rows(moved, "SELECT 1") == [(1,)]
        if not places(moved).postgres.is_symlink():
            assert first != postgres.server_pid(moved)
    finally:
        postgres.remove(moved)


def test_start_says_that_the_database_is_gone(data_dir: Path, tmp_path: Path) -> None:
    make_places(places(data_dir))
    (data_dir / "postgres").symlink_to(tmp_path / "gone")
    with pytest.raises(
        LocalServiceError, match=r"which is gone: put it back, or delete .*/var/pos"
    ):
        postgres.start(data_dir, say=silent)
    (data_dir / "postgres").unlink()


def test_start_says_that_another_version_made_the_database(data_dir: Path) -> None:
    postgres.start(data_dir, say=silent)
    postgres.stop(data_dir)
    version = places(data_dir).postgres.resolve() / "data" / "PG_VERSION"
    version.write_text("15\n")
    with pytest.raises(LocalServiceError, match="was made by PostgreSQL 15; this is PostgreSQL 18"):
        postgres.start(data_dir, say=silent)


def test_start_says_why_the_server_ended(data_dir: Path) -> None:
    postgres.start(data_dir, say=silent)
    postgres.stop(data_dir)
    (places(data_dir).postgres.resolve() / "data" / "global" / "pg_control").unlink()
    with pytest.raises(LocalServiceError, match="The local database did not start"):
        postgres.start(data_dir, say=silent)


def test_log_never_holds_text_of_a_statement(data_dir: Path) -> None:
    postgres.start(data_dir, say=silent)
    secret = "I cannot sleep"
    rows(data_dir, "CREATE TABLE said (word text UNIQUE, number int)")
    for query in (
        "SELECT 'TEXT' FROM nowhere",
        "INSERT INTO said (number) VALUES ('TEXT')",
        "INSERT INTO said (word) VALUES ('TEXT'), ('TEXT')",
        "SELECT 'TEXT",
    ):
        with pytest.raises(psycopg.Error):
            rows(data_dir, query.replace("TEXT", secret))
    with (
        psycopg.connect(postgres.database_url(data_dir)) as connection,
        contextlib.suppress(psycopg.Error),
    ):
        connection.execute("SET statement_timeout = 20")
        connection.execute("SELECT pg_sleep(5), %s::text", [secret])
    postgres.stop(data_dir)
    log = (places(data_dir).log / "postgres.log").read_text()
    assert "database system is shut down" in log
    assert secret not in log
