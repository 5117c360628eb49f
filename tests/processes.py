"""Real processes of ours, on the test's own database."""

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.db import connection

ROOT = Path(__file__).parents[1]


def start_worker(**environment: str) -> "subprocess.Popen[bytes]":
    """Start a Celery worker as ``make run`` does; the caller ends it."""
    name = connection.settings_dict["NAME"]
    url = re.sub(r"/sqpsych\?", f"/{name}?", settings.DATABASE_URL)
    assert str(name) in url
    command = [sys.executable, "-m", "celery", "-A", "sqpsych_site", "worker"]
    command += ["--pool", "threads", "--concurrency", "2", "--queues", "default,generation"]
    command += ["--loglevel", "WARNING", "--without-gossip", "--without-mingle"]
    given = {
        "DATABASE_URL": url,
        "CELERY_BROKER_URL": settings.CELERY_BROKER_URL,
        "SQPSYCH_DATA_DIR": str(settings.DATA_DIR),
        "PYTHONWARNINGS": "ignore",
    }
    return subprocess.Popen(
        command, cwd=ROOT, env=os.environ | given | environment, stdout=subprocess.DEVNULL
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
