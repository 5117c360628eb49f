"""The local PostgreSQL: one private cluster per data directory, reached by a Unix socket only."""

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from sqpsych_site.local import proc
from sqpsych_site.local.account import Say
from sqpsych_site.local.cluster import (
    ENVIRONMENT,
    SUPERUSER,
    Cluster,
    make_files,
    open_cluster,
    server_command,
)
from sqpsych_site.local.errors import LocalServiceError, disk_full_sentence
from sqpsych_site.local.logs import open_log
from sqpsych_site.local.paths import POSTGRES_SOCKET, places
from sqpsych_site.local.private import locked, make_places, open_lock, try_lock

DATABASE = "sqpsych"
START_SECONDS = 120.0
STOP_SECONDS = 20.0


def database_url(data_dir: Path | str) -> str:
    """Return the address of the local database of a data directory. Pure: starts nothing."""
    host = quote(str(places(data_dir).postgres_socket_dir), safe="")
    return f"postgresql://{DATABASE}@/{DATABASE}?host={host}"


def start(data_dir: Path | str, *, say: Say = print) -> bool:
    """Bring the local database up and check that it answers; return False if it was up already.

    Whatever an earlier end left behind (a stale process id, also one that another program has
    by now, orphaned server processes, half-made files) is cleared first. Two callers at the same
    moment do not meet: the second waits and finds the server running.

    Raises:
        LocalServiceError: one sentence that says why it cannot run.
    """
    home = places(data_dir)
    make_places(home)
    with locked(home.run / "database.start.lock"):
        cluster = open_cluster(home, say)
        if _postmaster(cluster.data) is not None:
            if _listens_at(cluster):
                _wait_until_it_answers(cluster, died=None)
                return False
            # Moved or renamed while it ran: nobody finds it at its old address.
            _end(cluster.data)
        make_files(cluster)
        _clear_leftovers(cluster)
        try:
            _launch(cluster)
            _make_database(cluster)
        except BaseException:
            _end(cluster.data)
            raise
    return True


def stop(data_dir: Path | str) -> bool:
    """Stop the local database (open sessions are ended, nothing acknowledged is lost).

    Return False if it did not run.
    """
    home = places(data_dir)
    if not home.run.is_dir():
        return False
    with locked(home.run / "database.start.lock"):
        return _end(home.postgres.resolve() / "data")


def is_running(data_dir: Path | str) -> bool:
    """Tell whether the local database answers on a real connection."""
    return _answers(places(data_dir).postgres_socket_dir, DATABASE, DATABASE)


def server_pid(data_dir: Path | str) -> int | None:
    """Return the server's process id if its process lives (which says nothing of its health)."""
    server = _postmaster(places(data_dir).postgres.resolve() / "data")
    return None if server is None else server.pid


@contextlib.contextmanager
def database_in_use(data_dir: Path | str, *, say: Say = print) -> Iterator[None]:
    """Have the local database up for the length of a command; its last user stops it.

    Every user holds a shared lock on ``run/database.lock``. Whoever leaves and finds itself
    alone gets the exclusive lock and stops the server; a killed user's lock goes by itself.
    """
    home = places(data_dir)
    make_places(home)
    handle = open_lock(home.run / "database.lock")
    try:
        _wait_for_shared(handle)
        start(data_dir, say=say)
        yield
    finally:
        if try_lock(handle):
            stop(data_dir)
        os.close(handle)


def _wait_for_shared(handle: int) -> None:
    # In the way is only someone who stops the server at this moment: that takes a second or two.
    end = time.monotonic() + STOP_SECONDS + 10
    while not try_lock(handle, shared=True):
        if time.monotonic() > end:
            raise LocalServiceError(
                "The local database is being stopped by another program: try again in a minute."
            )
        time.sleep(0.05)


def _postmaster(data: Path) -> proc.ProcessFacts | None:
    """Return the server that runs on these files, never a stranger with its old number."""
    try:
        pid = int((data / "postmaster.pid").read_text(encoding="utf-8").split("\n", 1)[0])
    except (OSError, ValueError):
        return None
    facts = proc.look_at(pid)
    return facts if facts is not None and _is_inside(facts, data) else None


def _listens_at(cluster: Cluster) -> bool:
    lines = (cluster.data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    # Line 5 is the socket's directory, written a moment after the process id.
    return len(lines) < 5 or lines[4] in ("", str(cluster.sockets))


def _end(data: Path) -> bool:
    server = _postmaster(data)
    if server is None:
        return False
    # SIGINT is PostgreSQL's fast, SIGQUIT its immediate shutdown (recovery at next start).
    for number, seconds in ((signal.SIGINT, STOP_SECONDS), (signal.SIGQUIT, 5.0)):
        proc.signal_all([server], number)
        if not proc.wait_gone([server], seconds=seconds):
            return True
    _kill(_inside(data))
    return True


def _is_inside(facts: proc.ProcessFacts, data: Path) -> bool:
    # Every PostgreSQL process works in its data directory, and no other program is called so.
    return facts.name == "postgres" and proc.link_of(facts.pid, "cwd") == str(data)


def _inside(data: Path) -> list[proc.ProcessFacts]:
    return [facts for facts in proc.everyone() if _is_inside(facts, data)]


def _kill(who: list[proc.ProcessFacts]) -> None:
    proc.signal_all(who, signal.SIGQUIT)
    left = proc.wait_gone(who, seconds=3.0)
    proc.signal_all(left, signal.SIGKILL)
    proc.wait_gone(left, seconds=3.0)


def _clear_leftovers(cluster: Cluster) -> None:
    """End server processes whose postmaster is dead and forget a number that is not ours."""
    _kill(_inside(cluster.data))
    for lock in (
        cluster.data / "postmaster.pid",
        cluster.sockets / f"{POSTGRES_SOCKET}.lock",
    ):
        try:
            pid = int(lock.read_text(encoding="utf-8").split("\n", 1)[0])
        except (OSError, ValueError):
            continue
        # PostgreSQL itself sees through a number that nobody has; one that another program has
        # by now it takes for a running server.
        if proc.exists(pid):
            lock.unlink(missing_ok=True)


def _launch(cluster: Cluster) -> None:
    """Start the server detached from us and wait until it answers."""
    read_end, write_end = os.pipe()
    try:
        with open_log(cluster.log) as log:
            # setsid forks: the server belongs to nobody here and outlives the command.
            subprocess.run(
                ["setsid", "--fork", *server_command(cluster)],
                cwd="/",
                env=ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(write_end,),
                check=True,
                **cluster.account.run_as(),
            )
        os.close(write_end)
        write_end = -1
        _wait_until_it_answers(cluster, died=read_end)
    except OSError as error:
        raise LocalServiceError(f"The local database could not be started: {error}.") from error
    finally:
        os.close(read_end)
        if write_end >= 0:
            os.close(write_end)


def _wait_until_it_answers(cluster: Cluster, *, died: int | None) -> None:
    """Wait for a real connection. ``died`` is a pipe that ends when the server's process does."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if _answers(cluster.sockets, SUPERUSER, SUPERUSER):
            return
        if died is None:
            time.sleep(0.05)
            gone = _postmaster(cluster.data) is None
        else:
            gone = bool(select.select([died], [], [], 0.05)[0])
        if gone:
            raise LocalServiceError(_why_it_ended(cluster))
    raise LocalServiceError(
        f"The local database does not answer after {START_SECONDS:.0f} seconds: see {cluster.log}."
    )


def _why_it_ended(cluster: Cluster) -> str:
    try:
        with cluster.log.open("rb") as file:
            file.seek(max(0, cluster.log.stat().st_size - 4000))
            tail = file.read().decode("utf-8", errors="replace")
    except OSError:
        tail = ""
    if "No space left on device" in tail:
        return disk_full_sentence(cluster.home)
    reasons = [line for line in tail.splitlines() if "FATAL:" in line or "PANIC:" in line]
    reason = reasons[-1].split(":  ", 1)[-1] if reasons else "its process ended"
    return f"The local database did not start ({reason}): see {cluster.log}."


def _answers(sockets: Path, user: str, database: str) -> bool:
    import psycopg

    try:
        psycopg.connect(host=str(sockets), user=user, dbname=database, connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


def _make_database(cluster: Cluster) -> None:
    """Make the application's role (no superuser, may make test databases) and its database."""
    import psycopg

    role = "SELECT 1 FROM pg_roles WHERE rolname = 'sqpsych'"
    database = "SELECT 1 FROM pg_database WHERE datname = 'sqpsych'"
    try:
        with psycopg.connect(
            host=str(cluster.sockets), user=SUPERUSER, dbname=SUPERUSER, autocommit=True
        ) as connection:
            if not connection.execute(role).fetchone():
                connection.execute("CREATE ROLE sqpsych LOGIN CREATEDB")
            if not connection.execute(database).fetchone():
                connection.execute("CREATE DATABASE sqpsych OWNER sqpsych")
    except psycopg.errors.DiskFull as error:
        raise LocalServiceError(disk_full_sentence(cluster.home)) from error
    except psycopg.Error as error:
        raise LocalServiceError(
            f"The local database could not be prepared ({type(error).__name__}): see {cluster.log}."
        ) from error


def remove(data_dir: Path | str) -> None:
    """Stop the local database and delete all its files, wherever they are: for tests."""
    import shutil

    stop(data_dir)
    home = places(data_dir)
    target = home.postgres.resolve()
    if home.postgres.is_symlink():
        home.postgres.unlink()
    shutil.rmtree(target, ignore_errors=True)
    if home.postgres_socket_dir != home.postgres:
        shutil.rmtree(home.postgres_socket_dir, ignore_errors=True)
