"""Calls to the workers that nobody waits for: sent beside the request, lost without harm."""

import atexit
import threading

import structlog
from celery import current_app
from kombu.exceptions import KombuError

_NAME = "worker-call"
log = structlog.get_logger(__name__)


@atexit.register
def _wait_for_calls() -> None:
    for thread in threading.enumerate():
        if thread.name == _NAME:
            thread.join(2.0)


def call_worker(task: str, *ids: int) -> None:
    """Send a task by its name in a thread: a broker that is away costs the page nothing."""
    threading.Thread(target=_send, args=(task, ids), name=_NAME, daemon=True).start()


def _send(task: str, ids: tuple[int, ...]) -> None:
    try:
        with current_app.connection_for_write() as link:
            current_app.send_task(
                task, args=ids, queue="default", ignore_result=True, retry=False, connection=link
            )
    except (OSError, KombuError) as error:
        log.warning("worker_call_lost", task=task, error=type(error).__name__)
