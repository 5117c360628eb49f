"""What /proc says about a process: enough to know it again, so that none is mistaken."""

import os
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
_GONE = frozenset({"Z", "X", "x"})


@dataclass(frozen=True)
class ProcessFacts:
    """One living process. ``started`` (clock ticks since boot) tells it from a reused number."""

    pid: int
    name: str
    parent: int
    group: int
    session: int
    started: int


def look_at(pid: int) -> ProcessFacts | None:
    """Return the facts of a living process, or None when it is gone (or a zombie)."""
    try:
        text = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name may itself hold spaces and brackets: it ends at the LAST closing bracket.
    head, _, tail = text.rpartition(")")
    fields = tail.split()
    if fields[0] in _GONE:
        return None
    name = head.partition("(")[2]
    return ProcessFacts(
        pid, name, int(fields[1]), int(fields[2]), int(fields[3]), started=int(fields[19])
    )


def exists(pid: int) -> bool:
    """Tell whether the number is in use at all, zombies included."""
    return (PROC / str(pid)).exists()


def everyone() -> Iterator[ProcessFacts]:
    """Yield the facts of every living process that we can see."""
    for entry in PROC.iterdir():
        if entry.name.isdigit() and (facts := look_at(int(entry.name))) is not None:
            yield facts


def link_of(pid: int, name: str) -> str | None:
    """Return where a link in /proc/PID points (``cwd``, ``fd/1``), or None if we may not know."""
    try:
        return str((PROC / str(pid) / name).readlink())
    except OSError:
        return None


def signal_all(who: Iterable[ProcessFacts], number: signal.Signals) -> None:
    """Send a signal to each of these processes that is still the same one."""
    for facts in who:
        if still_there(facts):
            try:
                os.kill(facts.pid, number)
            except ProcessLookupError:
                continue


def still_there(facts: ProcessFacts) -> bool:
    """Tell whether this very process still lives."""
    now = look_at(facts.pid)
    return now is not None and now.started == facts.started


def wait_gone(who: Iterable[ProcessFacts], *, seconds: float) -> list[ProcessFacts]:
    """Wait until the processes are gone; return those that are still there after ``seconds``."""
    end = time.monotonic() + seconds
    left = [facts for facts in who if still_there(facts)]
    while left and time.monotonic() < end:
        time.sleep(0.05)
        left = [facts for facts in left if still_there(facts)]
    return left
