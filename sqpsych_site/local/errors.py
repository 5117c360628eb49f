"""What can go wrong with a local service: always one sentence that a person can act on."""

import errno
from pathlib import Path


class LocalServiceError(Exception):
    """A local service cannot do its work; the message is one clear sentence."""


def disk_full_sentence(place: Path) -> str:
    """Return the sentence for a disk without room at ``place``."""
    return f"The disk that holds {place} is full: make room there and start again."


def is_disk_full(error: BaseException) -> bool:
    """Tell whether an error is the system's own 'no space left' (or an exhausted quota)."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
