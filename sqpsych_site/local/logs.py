"""One log file per local service, appended to, with one older file kept."""

from pathlib import Path
from typing import IO

MAX_BYTES = 5 * 1024 * 1024


def open_log(path: Path) -> IO[bytes]:
    """Open a log for appending; a large one is first set aside as ``NAME.1``."""
    try:
        if path.stat().st_size > MAX_BYTES:
            path.replace(path.with_name(f"{path.name}.1"))
    except FileNotFoundError:
        path.touch(mode=0o600)
    return path.open("ab")
