"""One supervised process: started, watched, started again when it dies."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from sqpsych_site.local import screen
from sqpsych_site.local.errors import LocalServiceError
from sqpsych_site.local.processes import Child

LONGEST_PAUSE = 30.0
STEADY_SECONDS = 60.0


@dataclass
class Service:
    """A part of the system that shall always run.

    ``start`` returns a running child; ``finishes`` marks one that may end by itself.
    """

    name: str
    start: Callable[[], Child]
    stop_seconds: float
    finishes: bool = False
    child: Child | None = None
    pause: float = 1.0
    began: float = 0.0
    due: float = 0.0
    over: bool = False

    def begin(self) -> None:
        """Start the process.

        Raises:
            LocalServiceError: it cannot be started.
        """
        self.child = self.start()
        self.began = time.monotonic()

    def look(self) -> None:
        """Start the process again if it died and its pause is over; never raises."""
        if self.over:
            return
        now = time.monotonic()
        if self.child is not None and self.child.ended():
            self._died(self.child, now)
        elif self.child is None and now >= self.due:
            self._again()

    def _died(self, child: Child, now: float) -> None:
        self.child = None
        if self.finishes and child.process.returncode == 0:
            self.over = True
            return
        if now - self.began > STEADY_SECONDS:
            self.pause = 1.0
        self.due = now + self.pause
        screen.note(
            self.name,
            f"ended unexpectedly; started again in {self.pause:.0f} s (see {child.log})",
        )
        self.pause = min(self.pause * 2, LONGEST_PAUSE)

    def _again(self) -> None:
        try:
            self.begin()
        except (LocalServiceError, OSError) as problem:
            self.due = time.monotonic() + self.pause
            self.pause = min(self.pause * 2, LONGEST_PAUSE)
            screen.note(self.name, f"cannot be started: {problem}")
        else:
            screen.note(self.name, "runs again")

    def ask(self) -> None:
        """Ask the process to stop, without waiting."""
        if self.child is not None:
            self.child.ask_to_stop()

    def end(self, *, hurried: Callable[[], bool]) -> None:
        """Wait until the process (asked before) has stopped; kill it when ``hurried`` or late."""
        if self.child is None:
            return
        end = time.monotonic() + self.stop_seconds
        while not self.child.ended() and time.monotonic() < end and not hurried():
            time.sleep(0.05)
        self.child.stop(seconds=0)
        self.child = None
