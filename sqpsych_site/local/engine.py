"""The model server's keeper: installs, converts, starts, watches, restarts; tells its state.

``python -m sqpsych_site.local.engine run DATA_DIR`` is a process of its own beside the others, so
that the pages never wait for it; its state is in ``run/model_server.json``.
``python -m sqpsych_site.local.engine install`` only installs (for ``make test``).
"""

import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from sqpsych_site.local import machine
from sqpsych_site.local.engine_install import engine_dir, ensure_installed, ensure_model
from sqpsych_site.local.errors import LocalServiceError
from sqpsych_site.local.model_server import (
    MODEL,
    NAME,
    base_url,
    is_healthy,
    noted_port,
    serve,
    start_server,
    wait_until_ready,
)
from sqpsych_site.local.paths import Places, places
from sqpsych_site.local.private import make_places, write_json
from sqpsych_site.local.processes import Child, sweep

__all__ = ["engine_dir", "ensure_installed", "ensure_model", "main", "serve"]

LOOK_SECONDS = 0.5
ASK_SECONDS = 10.0
UNANSWERED_LIMIT = 12
LONGEST_PAUSE = 60.0


@dataclass
class Keeper:
    """Keeps one local model server of a data directory alive."""

    home: Places
    engine: Path
    port: int
    started: float = field(default_factory=time.monotonic)

    def tell(self, state: str, detail: str = "") -> None:
        """Write the state for the supervisor and the pages, whole or not at all."""
        value = {
            "state": state,
            "detail": detail,
            "since": time.time(),
            "seconds": round(time.monotonic() - self.started, 1),
            "url": base_url(self.port),
            "model": MODEL,
        }
        write_json(state_file(self.home), value)

    def prepare(self) -> None:
        """Install and convert what is missing, telling each step."""
        ensure_installed(self.engine, lambda text: self.tell("installing", text))
        ensure_model(self.engine, lambda text: self.tell(text.partition(" ")[0].rstrip(","), text))

    def run(self) -> NoReturn:
        """Serve for ever; a server that dies is started again, each time a little later."""
        pause = 1.0
        while True:
            began = time.monotonic()
            try:
                self._serve_once()
            except LocalServiceError as error:
                self.tell("cannot run", str(error))
            if time.monotonic() - began > 120:
                pause = 1.0
            time.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _serve_once(self) -> None:
        if (lacks := machine.too_little_memory()) is not None:
            raise LocalServiceError(f"The model server cannot run here: {lacks}.")
        # What a killed keeper left behind would hold the port and the memory.
        sweep(self.home, say=_ignore, only=NAME)
        self.port = noted_port(self.home)
        self.started = time.monotonic()
        self.tell("starting", "loading the model (about 40 seconds)")
        child = start_server(self.home, self.engine, self.port)
        try:
            wait_until_ready(child, self.port)
            self.tell("ready")
            why = _watch(child, self.port)
            self.tell("stopped", f"{why}; it is started again")
        finally:
            child.stop(seconds=5)


def state_file(home: Places) -> Path:
    """Return the file that holds the local model server's state."""
    return home.run / "model_server.json"


def _watch(child: Child, port: int) -> str:
    """Return, when the server is no good any more, why."""
    unanswered = 0
    asked = time.monotonic()
    while not child.ended():
        time.sleep(LOOK_SECONDS)
        if time.monotonic() - asked < ASK_SECONDS:
            continue
        healthy = is_healthy(port, seconds=ASK_SECONDS)
        asked = time.monotonic()
        unanswered = unanswered + 1 if healthy is None else 0
        if healthy is False:
            return "the model server reported that it is broken"
        # A busy machine answers late: only a long silence means that it hangs.
        if unanswered >= UNANSWERED_LIMIT:
            return "the model server no longer answers"
    return "the model server's process ended"


def _ignore(_text: str) -> None:
    """Say nothing: there is no screen here."""


def _stop_on_signal(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def _run(data_dir: str) -> None:
    home = places(data_dir)
    make_places(home)
    keeper = Keeper(home, engine_dir(), noted_port(home))
    signal.signal(signal.SIGTERM, _stop_on_signal)
    try:
        try:
            keeper.prepare()
        except LocalServiceError as error:
            keeper.tell("cannot run", str(error))
            return
        keeper.run()
    except SystemExit:
        keeper.tell("stopped")
        raise


def _install() -> int:
    engine = engine_dir()
    try:
        ensure_installed(engine, lambda text: print(text, flush=True))
        ensure_model(engine, lambda text: print(text, flush=True))
    except LocalServiceError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def main(arguments: list[str]) -> int:
    """Run ``install`` or ``run DATA_DIR``; return the exit status."""
    match arguments:
        case ["install"]:
            return _install()
        case ["run", data_dir]:
            _run(data_dir)
            return 0
    print("usage: python -m sqpsych_site.local.engine install | run DATA_DIR", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
