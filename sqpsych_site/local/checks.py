"""What must be so before anything is started: room on the disk, a free port, nobody else here."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from sqpsych_site.local import machine
from sqpsych_site.local.errors import LocalServiceError
from sqpsych_site.local.options import Options
from sqpsych_site.local.paths import Places
from sqpsych_site.local.private import open_lock, read_json, try_lock, write_json

NEEDS_DISK = 300 * 1024**2


@contextlib.contextmanager
def only_one(options: Options) -> Iterator[None]:
    """Be the only supervisor of a data directory for as long as the block lasts.

    Raises:
        LocalServiceError: there is one already; the sentence says which and where.
    """
    home = options.home
    handle = open_lock(home.run / "supervisor.lock")
    try:
        if not try_lock(handle):
            raise LocalServiceError(_runs_already(home))
        write_json(home.run / "supervisor.json", {"pid": os.getpid(), "url": options.address})
        yield
        (home.run / "supervisor.json").unlink(missing_ok=True)
    finally:
        os.close(handle)


def _runs_already(home: Places) -> str:
    known = read_json(home.run / "supervisor.json") or {}
    who = f" (process {known['pid']}, {known['url']})" if "pid" in known else ""
    stop = f" or with 'kill {known['pid']}'" if "pid" in known else ""
    return (
        f"SQPsych runs already on {home.data_dir}{who}:"
        f" use that one, or stop it with Ctrl-C in its terminal{stop}."
    )


def check_port(port: int) -> None:
    """Check that we may listen on the port.

    Raises:
        LocalServiceError: another program has it, or only root may.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError as error:
            raise LocalServiceError(
                f"Port {port} is kept for root: choose one above 1023 with 'make run PORT=8001'."
            ) from error
        except OSError as error:
            raise LocalServiceError(
                f"Port {port} is taken by another program:"
                f" stop that one, or choose another port with 'make run PORT={other_port(port)}'."
            ) from error


def other_port(port: int) -> int:
    """Return a port to propose instead."""
    return port + 1 if port < 65535 else 8000


def check_disk(place: Path, *, needed: int = NEEDS_DISK) -> None:
    """Check that there is room to work.

    Raises:
        LocalServiceError: the disk is full, or nearly.
    """
    free = machine.free_disk(place)
    if free < needed:
        raise LocalServiceError(
            f"The disk that holds {place} is nearly full ({free // 1024**2} MB free):"
            f" make room for at least {needed // 1024**2} MB and start again."
        )
