"""``make run``: bring everything up in order, keep it up, take it down in order.

One process, one thread: children are tied to the thread that started them. It imports neither
Django nor Celery; what needs them runs in processes of its own.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping

from sqpsych_site.local import postgres, screen, valkey
from sqpsych_site.local.checks import check_disk, check_port, only_one
from sqpsych_site.local.errors import LocalServiceError, disk_full_sentence, is_disk_full
from sqpsych_site.local.model_watch import ModelWatch
from sqpsych_site.local.options import PROJECT, Options, child_environment, read_options
from sqpsych_site.local.private import make_places
from sqpsych_site.local.processes import Child, start_child, sweep
from sqpsych_site.local.service import Service

TICK = 0.25
WEB_SECONDS = 90.0
WEB_THREADS = 4
MOST_WEB_PROCESSES = 4
WORKER_THREADS = 4
DATABASE_EVERY = 2.0
DISK_EVERY = 60.0
ALMOST_FULL = 100 * 1024**2


class Stopped(Exception):
    """The user wants it to end."""


def web_command(port: int) -> list[str]:
    """The web server as a module with its options: a process for each core, up to four."""
    workers = min(os.cpu_count() or 1, MOST_WEB_PROCESSES)
    options = ["--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port)]
    options += ["--workers", str(workers), "--blocking-threads", str(WEB_THREADS)]
    options += ["--respawn-failed-workers", "--workers-kill-timeout", "3", "--no-ws"]
    return ["granian", *options, "--log-level", "warning", "sqpsych_site.wsgi:application"]


class Supervisor:
    """One run of the whole system."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.environment = child_environment(options)
        self.services: list[Service] = []
        self.watch = ModelWatch(options)
        self.signals = 0
        self.database_due = 0.0
        self.disk_due = 0.0
        self.disk_told = False

    def run(self) -> None:
        """Start, keep and stop everything; returns when the user ended it.

        Raises:
            LocalServiceError: it could not be started; what had been is stopped again.
        """
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)
        # Under nohup the terminal may go: then it stays.
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            signal.signal(signal.SIGHUP, self._on_signal)
        began = time.monotonic()
        home = self.options.home
        make_places(home)
        with only_one(self.options), contextlib.ExitStack() as stack:
            screen.line(f"SQPsych starts; its data is in {home.data_dir}.")
            sweep(home, say=screen.line)
            check_port(self.options.port)
            check_disk(home.data_dir)
            # The database goes down when the stack unwinds: after everything that uses it.
            stack.callback(screen.line, "SQPsych has stopped.")
            try:
                self._start(stack)
                screen.line()
                screen.line(f"  {self.options.address}   (up in {time.monotonic() - began:.1f} s)")
                screen.line("  Ctrl-C stops everything.")
                screen.line()
                self._keep()
            except Stopped:
                screen.line("Stopping ...")
            finally:
                self._stop_services()

    def _start(self, stack: contextlib.ExitStack) -> None:
        self._start_database(stack)
        if self.options.broker_url:
            screen.note("broker", "yours (CELERY_BROKER_URL)")
        else:
            with screen.step("broker"):
                self._serve(
                    "broker", lambda: valkey.start(self.options.home.data_dir, say=screen.line), 3
                )
        self._first_steps()
        with screen.step("web", self.options.address):
            self._serve("web", self._web, 4)
            self._wait_for_web()
        self._serve("worker", self._worker, 6)
        screen.note("worker", "started")
        self._serve("beat", self._beat, 3)
        screen.note("beat", "started")
        keeper = self.watch.service()
        if keeper is not None:
            self.services.append(keeper)
            keeper.begin()

    def _start_database(self, stack: contextlib.ExitStack) -> None:
        if self.options.database_url:
            screen.note("database", "yours (DATABASE_URL)")
            return
        with screen.step("database"):
            stack.enter_context(
                postgres.database_in_use(self.options.home.data_dir, say=screen.line)
            )
        self._check_stop()

    def _serve(self, name: str, start: Callable[[], Child], stop_seconds: float) -> None:
        self._check_stop()
        service = Service(name, start, stop_seconds)
        self.services.append(service)
        service.begin()

    def _first_steps(self) -> None:
        """Run migrations, static files and demo; they speak for themselves on our screen."""
        self._check_stop()
        command = ["setpriv", "--pdeathsig", "KILL", "--", sys.executable]
        command += ["-m", "sqpsych_site.local.first_steps"]
        command += ["demo" if self.options.demo else "no-demo"]
        process = subprocess.Popen(
            command,
            cwd=PROJECT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            while process.poll() is None:
                self._check_stop()
                time.sleep(0.05)
        finally:
            process.kill()
            process.wait()
        if process.returncode != 0:
            raise LocalServiceError("SQPsych was not started.")

    def _python(self, name: str, *command: str) -> Child:
        return start_child(
            self.options.home,
            name,
            [sys.executable, "-m", *command],
            environment=self.environment,
            cwd=PROJECT,
        )

    def _web(self) -> Child:
        return self._python("web", *web_command(self.options.port))

    def _worker(self) -> Child:
        options = ["--pool", "threads", "--concurrency", str(WORKER_THREADS)]
        options += ["--queues", "default,generation", "--loglevel", "WARNING"]
        options += ["--without-gossip", "--without-mingle"]
        return self._python("worker", "celery", "-A", "sqpsych_site", "worker", *options)

    def _beat(self) -> Child:
        schedule = self.options.home.run / "beat-schedule"
        options = ["--schedule", str(schedule), "--pidfile", "", "--loglevel", "WARNING"]
        return self._python("beat", "celery", "-A", "sqpsych_site", "beat", *options)

    def _wait_for_web(self) -> None:
        service = self.services[-1]
        end = time.monotonic() + WEB_SECONDS
        while time.monotonic() < end:
            self._check_stop()
            if service.child is None or service.child.ended():
                break
            try:
                with urllib.request.urlopen(f"{self.options.address}/healthz", timeout=5):  # noqa: S310 - a fixed http address
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        raise LocalServiceError(
            f"The web server did not start: see {self.options.home.log / 'web.log'}."
        )

    def _keep(self) -> None:
        while True:
            self._check_stop()
            for service in self.services:
                service.look()
            self.watch.look()
            self._keep_database()
            self._watch_disk()
            time.sleep(TICK)

    def _keep_database(self) -> None:
        now = time.monotonic()
        if self.options.database_url or now < self.database_due:
            return
        self.database_due = now + DATABASE_EVERY
        data_dir = self.options.home.data_dir
        if postgres.server_pid(data_dir) is not None:
            return
        screen.note("database", "ended unexpectedly; started again")
        try:
            postgres.start(data_dir, say=screen.line)
        except (LocalServiceError, OSError) as problem:
            self.database_due = now + 30
            screen.note("database", f"cannot be started: {problem}")

    def _watch_disk(self) -> None:
        now = time.monotonic()
        if now < self.disk_due:
            return
        self.disk_due = now + DISK_EVERY
        try:
            check_disk(self.options.home.data_dir, needed=ALMOST_FULL)
            self.disk_told = False
        except LocalServiceError as problem:
            if not self.disk_told:
                screen.line(str(problem))
            self.disk_told = True

    def _stop_services(self) -> None:
        """Stop what was started: first all that works, then the model server, then the broker."""
        self.watch.end()
        running = {service.name: service for service in self.services}
        first = self.signals
        for names in (("web", "beat", "worker"), ("model server",), ("broker",)):
            together = [running[name] for name in names if name in running]
            for service in together:
                service.ask()
            for service in together:
                service.end(hurried=lambda: self.signals > max(first, 1))

    def _check_stop(self) -> None:
        if self.signals:
            raise Stopped

    def _on_signal(self, _number: int, _frame: object) -> None:
        self.signals += 1


def main(environment: Mapping[str, str] = os.environ) -> int:
    """Run until stopped; return the exit status."""
    home = None
    try:
        _read_env_file()
        if environment.get("SQPSYCH_UNDER_MAKE"):
            _end_with_parent()
        options = read_options(environment)
        home = options.home.data_dir
        Supervisor(options).run()
    except LocalServiceError as problem:
        screen.error(str(problem))
        return 1
    except OSError as problem:
        if home is not None and is_disk_full(problem):
            screen.error(disk_full_sentence(home))
        else:
            screen.error(f"SQPsych cannot run: {problem}.")
        return 1
    return 0


def _end_with_parent() -> None:
    """Ask the system for SIGTERM when make is killed: nobody could press Ctrl-C any more."""
    import ctypes

    set_death_signal = 1
    ctypes.CDLL(None).prctl(set_death_signal, int(signal.SIGTERM))


def _read_env_file() -> None:
    """Take up ``.env`` as the settings do: what the environment says already stays."""
    path = PROJECT / ".env"
    if path.is_file():
        import environ

        environ.Env.read_env(str(path))
