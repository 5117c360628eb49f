"""The model server as the supervisor sees it: which one this run has, and what it says of itself.

The keeper (or the watcher of the user's own server) writes ``run/model_server.json``; each change
is shown on the screen and reported to the application by a short-lived process.
"""

import json
import os
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from sqpsych_site.local import engine, screen
from sqpsych_site.local.model_server import CONTEXT_LENGTH, MODEL, base_url, noted_port
from sqpsych_site.local.options import PROJECT, Options, child_environment
from sqpsych_site.local.private import read_json
from sqpsych_site.local.processes import Child, start_child
from sqpsych_site.local.service import Service

NAME = "model server"
LOCAL_ENDPOINT = "local"
OWN_ENDPOINT = "configured"
KEY_NAME = "SQPSYCH_VLLM_API_KEY"
REPORT_AGAIN = 5.0


@dataclass
class ModelWatch:
    """Follows the state of the model server of this run."""

    options: Options
    shown: dict[str, Any] = field(default_factory=dict)
    to_report: list[dict[str, Any]] = field(default_factory=list)
    reporter: Child | None = None
    report_due: float = 0.0

    def service(self) -> Service | None:
        """Return the process that looks after the model server, or None where there is none."""
        home = self.options.home
        engine.state_file(home).unlink(missing_ok=True)
        if self.options.vllm_url:
            self._report_local("none", f"not used: {OWN_ENDPOINT} server given")
            return self._python("own_server", str(home.data_dir), finishes=True)
        if not self.options.engine:
            screen.note(NAME, "none (ENGINE=none): batches wait until there is one")
            self._report_local("none", "SQPsych was started without a model server (ENGINE=none)")
            return None
        return self._python("engine", "run", str(home.data_dir), finishes=True)

    def look(self) -> None:
        """Show and report what changed; never waits."""
        value = read_json(engine.state_file(self.options.home))
        if value is not None and _essence(value) != _essence(self.shown):
            self._show(value)
            self.shown = value
            own = bool(self.options.vllm_url)
            extra: dict[str, Any] = {"name": OWN_ENDPOINT if own else LOCAL_ENDPOINT}
            if not own:
                extra["context_length"] = CONTEXT_LENGTH
            elif os.environ.get(KEY_NAME):
                extra["api_key_name"] = KEY_NAME
            self.to_report.append({**value, **extra})
        self._report()

    def _show(self, value: dict[str, Any]) -> None:
        state, detail = value["state"], value["detail"]
        before = self.shown.get("state")
        if before in ("installing", "downloading", "converting", "starting") and state != before:
            took = value["since"] - self.shown["since"]
            screen.done(NAME, took, f"{before}{'' if state != 'ready' else ', now ready'}")
            if state == "ready":
                return
        text = f"{state}: {detail}" if detail and not detail.startswith(state) else detail or state
        screen.note(NAME, text)

    def _report_local(self, state: str, detail: str) -> None:
        url = base_url(noted_port(self.options.home))
        value = {"name": LOCAL_ENDPOINT, "state": state, "detail": detail}
        self.to_report.append({**value, "url": url, "model": MODEL})

    def _report(self) -> None:
        if self.reporter is not None:
            if not self.reporter.ended():
                return
            if self.reporter.process.returncode != 0:
                self.report_due = time.monotonic() + REPORT_AGAIN
            else:
                self.to_report.pop(0)
            self.reporter = None
        if not self.to_report or time.monotonic() < self.report_due:
            return
        # Of one endpoint only the newest state counts.
        newest = {value["name"]: value for value in self.to_report}
        self.to_report = list(newest.values())
        self.reporter = start_child(
            self.options.home,
            "report",
            [sys.executable, "-m", "sqpsych_site.local.report", json.dumps(self.to_report[0])],
            environment=child_environment(self.options),
            cwd=PROJECT,
        )

    def end(self) -> None:
        """Stop a report that is under way."""
        if self.reporter is not None:
            self.reporter.stop(seconds=0)

    def _python(self, module: str, *arguments: str, finishes: bool) -> Service:
        command = [sys.executable, "-m", f"sqpsych_site.local.{module}", *arguments]
        return Service(
            NAME,
            lambda: start_child(
                self.options.home,
                "model_server_keeper",
                command,
                environment=child_environment(self.options),
                cwd=PROJECT,
            ),
            stop_seconds=10,
            finishes=finishes,
        )


def _essence(value: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(value.get(name) for name in ("state", "detail", "url", "model"))
