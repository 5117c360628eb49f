"""Start, watch and end the processes of an installation, and never anybody else's.

Each child leads a session and process group of its own and writes to ``log/NAME.log``. The system
sends it SIGTERM when its parent dies, even by kill -9 (the signal follows the THREAD that started
the child, so start children from a thread that lives as long as they shall). What survives all the
same is found at the next start by the record in ``run/NAME.process.json``.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqpsych_site.local import proc
from sqpsych_site.local.account import Say
from sqpsych_site.local.errors import LocalServiceError
from sqpsych_site.local.logs import open_log
from sqpsych_site.local.paths import Places
from sqpsych_site.local.private import read_json, write_json

_RECORD = ".process.json"
# The program that asks for the signal, then becomes the child; part of util-linux.
_DIE_WITH_PARENT = ("setpriv", "--pdeathsig", "TERM", "--")


@dataclass
class Child:
    """A running process of ours. ``record`` says so to whoever comes after us."""

    name: str
    process: subprocess.Popen[bytes]
    record: Path
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def ended(self) -> bool:
        """Tell whether the process has ended, and if so end what is left of its group.

        The group is ended before the process is reaped: until then its number is not given out
        again, so nobody else can be hit.
        """
        if self.process.returncode is not None:
            return True
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        try:
            if os.waitid(os.P_PID, self.pid, flags) is None:
                return False
        except ChildProcessError:
            pass
        self._finish()
        return True

    def ask_to_stop(self) -> None:
        """Send SIGTERM to the process, which ends its own helpers."""
        if not self.ended():
            os.kill(self.pid, signal.SIGTERM)

    def stop(self, *, seconds: float) -> bool:
        """End the process: SIGTERM, after ``seconds`` SIGKILL. Return False if it took that."""
        self.ask_to_stop()
        end = time.monotonic() + seconds
        while not self.ended() and time.monotonic() < end:
            time.sleep(0.02)
        if self.ended():
            return True
        self._finish()
        return False

    def _finish(self) -> None:
        members = _group(self.pid)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()
        # Their memory and ports are free only when they are gone.
        proc.wait_gone(members, seconds=5.0)
        self.record.unlink(missing_ok=True)


def start_child(
    places: Places,
    name: str,
    command: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Child:
    """Start a process of the installation; its output goes to ``log/NAME.log``.

    Raises:
        LocalServiceError: the program is not there or cannot be started.
    """
    log = places.log / f"{name}.log"
    try:
        with open_log(log) as output:
            process = subprocess.Popen(
                [*_DIE_WITH_PARENT, *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=cwd,
                env=dict(environment) if environment is not None else None,
                start_new_session=True,
            )
    except FileNotFoundError as error:
        raise LocalServiceError(
            f"{name} cannot be started: {error.filename} is missing on this machine."
        ) from error
    child = Child(name, process, places.run / f"{name}{_RECORD}", log)
    facts = proc.look_at(process.pid)
    if facts is not None:
        write_json(child.record, {"pid": facts.pid, "started": facts.started, "boot": _boot()})
    return child


def sweep(places: Places, *, say: Say, only: str = "*", seconds: float = 5.0) -> list[str]:
    """End what a killed earlier run left behind; return the names of what was found.

    A process is taken for ours only if number, start time and boot are those of the record; once
    it is gone, the rest of its group only if it still writes to our log.
    """
    records = sorted(places.run.glob(f"{only}{_RECORD}"))
    leftovers = {path.name.removesuffix(_RECORD): _leftovers(places, path) for path in records}
    found = [name for name, members in leftovers.items() if members]
    if found:
        say(f"Ending what an earlier run left behind: {', '.join(found)}.")
    everyone = [facts for members in leftovers.values() for facts in members]
    leaders = [facts for facts in everyone if facts.pid == facts.group]
    proc.signal_all(leaders, signal.SIGTERM)
    proc.wait_gone(leaders, seconds=seconds)
    left = [facts for facts in everyone if proc.still_there(facts)]
    proc.signal_all(left, signal.SIGKILL)
    proc.wait_gone(left, seconds=seconds)
    for path in records:
        path.unlink(missing_ok=True)
    return found


def _leftovers(places: Places, record: Path) -> list[proc.ProcessFacts]:
    noted = read_json(record)
    if noted is None or noted.get("boot") != _boot():
        return []
    pid, started = noted.get("pid"), noted.get("started")
    if not isinstance(pid, int) or not isinstance(started, int):
        return []
    leader = proc.look_at(pid)
    if leader is None:
        # A zombie keeps its number in use; a stranger's number means that the group is long gone.
        log = places.log / f"{record.name.removesuffix(_RECORD)}.log"
        return [facts for facts in _group(pid) if _writes_to(facts, log)]
    return _group(pid) if leader.started == started else []


def _group(number: int) -> list[proc.ProcessFacts]:
    return [facts for facts in proc.everyone() if facts.group == number == facts.session]


def _writes_to(facts: proc.ProcessFacts, log: Path) -> bool:
    return str(log) in (proc.link_of(facts.pid, "fd/1"), proc.link_of(facts.pid, "fd/2"))


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
