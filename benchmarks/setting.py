"""A database of its own for each run, a web server in front of it, and rows to measure on."""

import contextlib
import multiprocessing
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).resolve().parent.parent
A = TypeVar("A")
T = TypeVar("T")


@contextlib.contextmanager
def fresh_database() -> Iterator[None]:
    """Start the local PostgreSQL under var/bench, make the schema anew, set Django up."""
    import django
    import psycopg

    from sqpsych_site.local import postgres

    data_dir = Path(os.environ["SQPSYCH_DATA_DIR"])
    data_dir.mkdir(parents=True, exist_ok=True)
    with postgres.database_in_use(data_dir):
        with psycopg.connect(postgres.database_url(data_dir), autocommit=True) as link:
            link.execute("DROP SCHEMA public CASCADE")
            link.execute("CREATE SCHEMA public")
        django.setup()
        from django.core.management import call_command
        from django.db import connection

        call_command("migrate", verbosity=0)
        call_command("collectstatic", interactive=False, verbosity=0)
        try:
            yield
        finally:
            connection.close()


def in_a_process(work: Callable[..., T], *arguments: object) -> T:
    """Do the work in a fresh process, as a worker would; its errors are raised here."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(work, *arguments).result()


def in_processes(work: Callable[[A], T], arguments: list[A]) -> list[T]:
    """Do the work for each argument in a fresh process of its own, all at once."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(len(arguments), mp_context=context) as pool:
        return list(pool.map(work, arguments))


def free_port() -> int:
    """A port nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def web_server() -> Iterator[tuple[str, int, "subprocess.Popen[bytes]"]]:
    """The same web process that ``make run`` starts: host, port, process."""
    from sqpsych_site.local.supervisor import web_command

    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", *web_command(port)], cwd=ROOT)
    try:
        _wait_for(f"http://127.0.0.1:{port}/healthz")
        yield "127.0.0.1", port, process
    finally:
        process.terminate()
        process.wait(timeout=20)


def _wait_for(url: str) -> None:
    for _ in range(300):
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            urllib.request.urlopen(url, timeout=1)
            return
        time.sleep(0.1)
    raise RuntimeError("the web server did not answer")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its waited-for children, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(value) for value in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def cpu_seconds_of_tree(pid: int) -> float:
    """The same over a process and all its living descendants."""
    total = cpu_seconds(pid)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(stat[1]) == pid:
                    total += cpu_seconds_of_tree(int(entry.name))
    return total


def peak_memory() -> float:
    """The most memory of this process so far, in MB; what a parent used before does not count."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
