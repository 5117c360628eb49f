"""An installation of its own in a directory, with real processes that can be struck down.

``python -m tests.reliability.storm COUNT AT_ONCE URL...`` in such an installation makes the batch:
COUNT dialogues of three turns on the model servers at these addresses.
"""

import contextlib
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import redis

from sqpsych_site.local import postgres, valkey
from sqpsych_site.local.paths import places
from tests.processes import ROOT

Process = subprocess.Popen[bytes]


class Installation:
    """Database and broker under one directory; workers and the scheduler are started at will."""

    def __init__(self, data_dir: Path, **settings: str) -> None:
        """``settings`` are environment variables for all processes."""
        self.data_dir = data_dir
        self.environment = os.environ | {
            "DATABASE_URL": postgres.database_url(data_dir),
            "CELERY_BROKER_URL": f"redis+socket://{places(data_dir).valkey_socket}",
            "SQPSYCH_DATA_DIR": str(data_dir),
            "PYTHONWARNINGS": "ignore",
            "LOG_LEVEL": "ERROR",
            **settings,
        }
        self.processes: list[Process] = []

    @contextlib.contextmanager
    def up(self) -> Iterator[None]:
        """Database, tables and broker, for the length of a ``with`` block."""
        try:
            with (
                postgres.database_in_use(self.data_dir, say=lambda _: None),
                valkey.running(self.data_dir),
            ):
                self.python("manage.py", "migrate", "--verbosity", "0")
                yield
                self.end()
        finally:
            for process in self.processes:
                process.kill()
                process.wait()
            postgres.remove(self.data_dir)

    def end(self) -> None:
        """Stop what still runs in good order."""
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(30)

    def python(self, *arguments: str) -> None:
        """Run a program of the project to its end."""
        subprocess.run([sys.executable, *arguments], cwd=ROOT, env=self.environment, check=True)

    def celery(self, *arguments: str) -> Process:
        """Start a process of Celery."""
        command = [sys.executable, "-m", "celery", "-A", "sqpsych_site", *arguments]
        command += ["--loglevel", "ERROR"]
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=quiet)
        self.processes.append(process)
        return process

    def worker(self) -> Process:
        """Start a worker as ``make run`` does."""
        return self.celery(
            *("worker", "--pool", "threads", "--concurrency", "2"),
            *("--queues", "default,generation", "--without-gossip", "--without-mingle"),
        )

    def scheduler(self) -> Process:
        """Start the one that calls the workers."""
        return self.celery("beat", "--pidfile=", "--schedule", str(self.data_dir / "schedule"))

    def restart_database(self) -> None:
        """End every session and start the server again."""
        postgres.stop(self.data_dir)
        postgres.start(self.data_dir, say=lambda _: None)

    def flush_broker(self) -> None:
        """Lose every message."""
        redis.Redis(unix_socket_path=str(places(self.data_dir).valkey_socket)).flushall()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What the database says."""
        with psycopg.connect(self.environment["DATABASE_URL"], autocommit=True) as link:
            return link.execute(query.encode()).fetchall()

    def number(self, query: str) -> int:
        """One figure."""
        return int(self.rows(query)[0][0])

    def wait_for(self, query: str, wanted: int, seconds: float = 200.0) -> None:
        """Wait until a figure has been reached."""
        end = time.monotonic() + seconds
        while (seen := self.number(query)) < wanted:
            assert time.monotonic() < end, (query, seen, wanted, self.rows(STATES))
            time.sleep(0.2)


TURNS = "SELECT count(*) FROM generation_turn"
STATES = "SELECT state, failure_reason, count(*) FROM generation_dialogue GROUP BY 1, 2"
FINISHED = "SELECT count(*) FROM generation_batch WHERE state = 'finished'"


def strike(url: str, what: str) -> None:
    """Have the fake model server do something: ``die?seconds=60``."""
    address = f"{url.removesuffix('/v1')}/_fake/{what}"
    with urllib.request.urlopen(urllib.request.Request(address, method="POST"), timeout=10):
        pass


def make_batch(count: int, urls: list[str], at_once: int) -> None:
    """The batch, and the rows of its servers."""
    import django

    django.setup()
    from generation import actions
    from tests.generation.engine_cases import short_protocol

    for place, url in enumerate(urls, start=1):
        actions.set_endpoint_state(
            name=f"stub{place}",
            base_url=url,
            model="fake-model",
            state="ready",
            max_concurrency=at_once,
            context_length=8192,
        )
    profiles = actions.sample_profiles(name="many", count=count, seed=1, by=None)
    actions.create_batch(
        name="storm",
        profile_set=profiles,
        protocol=short_protocol(least=1, nudge=2, most=2),
        model="fake-model",
        seed=1,
        by=None,
    )


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sqpsych_site.settings")
    make_batch(int(sys.argv[1]), sys.argv[3:], int(sys.argv[2]))
