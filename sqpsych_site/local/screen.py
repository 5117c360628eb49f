"""What ``make run`` shows: one calm line per step with its seconds, fit for any terminal."""

import contextlib
import sys
import time
from collections.abc import Iterator

WIDTH = 14


def line(text: str = "") -> None:
    """Show one line now."""
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


def note(name: str, text: str) -> None:
    """Show what is to be said about one part."""
    line(f"  {name:<{WIDTH}} {text}")


def error(text: str) -> None:
    """Show why it does not go on."""
    with contextlib.suppress(BrokenPipeError):
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


@contextlib.contextmanager
def step(name: str, remark: str = "") -> Iterator[None]:
    """Show a finished step with the seconds that it took."""
    began = time.monotonic()
    yield
    done(name, time.monotonic() - began, remark)


def done(name: str, seconds: float, remark: str = "") -> None:
    """Show that a step is finished."""
    note(name, f"{seconds:6.1f} s  {remark}".rstrip())
