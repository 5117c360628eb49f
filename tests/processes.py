"""Real processes of ours, on the test's own database."""

import contextlib
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.db import connection

from sqpsych_site.local.supervisor import web_command

ROOT = Path(__file__).parents[1]


def free_port() -> int:
    """A port nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment_of_test() -> dict[str, str]:
    """The environment of a process that works on the test's own database."""
    name = connection.settings_dict["NAME"]
    url = re.sub(r"/sqpsych\?", f"/{name}?", settings.DATABASE_URL)
    assert str(name) in url
    given = {
        "DATABASE_URL": url,
        "CELERY_BROKER_URL": settings.CELERY_BROKER_URL,
        "SECRET_KEY": settings.SECRET_KEY,
        "SQPSYCH_DATA_DIR": str(settings.DATA_DIR),
        "PYTHONWARNINGS": "ignore",
    }
    return os.environ | given


def start_web(port: int) -> "subprocess.Popen[bytes]":
    """Start the web server as ``make run`` does, with a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", *web_command(port)],
        cwd=ROOT,
        env=environment_of_test() | {"LOG_LEVEL": "CRITICAL"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def start_worker(**environment: str) -> "subprocess.Popen[bytes]":
    """Start a Celery worker as ``make run`` does; the caller ends it."""
    command = [sys.executable, "-m", "celery", "-A", "sqpsych_site", "worker"]
    command += ["--pool", "threads", "--concurrency", "2", "--queues", "default,generation"]
    command += ["--loglevel", "WARNING", "--without-gossip", "--without-mingle"]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment_of_test() | environment, stdout=subprocess.DEVNULL
    )


@contextlib.contextmanager
def celery_worker(**environment: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A Celery worker inside a ``with`` block."""
    process = start_worker(**environment)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=60)
