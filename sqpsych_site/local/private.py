"""Private directories and small files that are either whole or not there."""

import contextlib
import fcntl
import json
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqpsych_site.local.errors import LocalServiceError
from sqpsych_site.local.paths import Places


def make_private(directory: Path, *, uid: int | None = None, gid: int | None = None) -> Path:
    """Make ``directory`` (0700, ours or the given account's), or check that it is exactly that.

    Parents are never made or changed.

    Raises:
        LocalServiceError: something else is there, or it is open to others.
    """
    owner = os.geteuid() if uid is None else uid
    try:
        directory.mkdir(mode=0o700)
        if uid is not None and uid != os.geteuid():
            os.chown(directory, uid, -1 if gid is None else gid)
    except FileExistsError:
        pass
    state = directory.lstat()
    if not stat.S_ISDIR(state.st_mode):
        raise LocalServiceError(f"{directory} is not a directory: move it away and start again.")
    if state.st_uid != owner:
        raise LocalServiceError(
            f"{directory} belongs to another user (number {state.st_uid}):"
            " move it away and start again."
        )
    if stat.S_IMODE(state.st_mode) & 0o077:
        raise LocalServiceError(
            f"{directory} is open to other users: close it with 'chmod 700 {directory}'"
            " and start again."
        )
    return directory


def make_places(places: Places) -> None:
    """Make the data directory and its private rooms for process ids and logs."""
    # Root's database runs under another account, which must be able to pass through here.
    mode = 0o711 if os.geteuid() == 0 else 0o700
    if not places.data_dir.is_dir():
        places.data_dir.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            places.data_dir.mkdir(mode=mode)
    make_private(places.run)
    make_private(places.log)


def write_whole(path: Path, content: str, *, mode: int = 0o600) -> None:
    """Write a small file so that a reader sees the old one or the new one, never half of it."""
    handle, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write ``value`` as one JSON file, whole or not at all."""
    write_whole(path, json.dumps(value) + "\n")


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in ``path``, or None where there is none that can be read."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


@contextlib.contextmanager
def locked(path: Path, *, shared: bool = False) -> Iterator[int]:
    """Hold the lock file ``path``; the system lets it go when the process ends, however it ends."""
    handle = open_lock(path)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)


def open_lock(path: Path) -> int:
    """Open (or make) a lock file without taking the lock; close the number to let go."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def try_lock(handle: int, *, shared: bool = False) -> bool:
    """Take the lock on an open lock file if nobody is in the way."""
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
