"""The wake-up call to the workers. The rows are the truth; the message only saves a wait."""

import atexit
import threading

import structlog
from celery import current_app
from django.db import transaction
from kombu.exceptions import KombuError

WAKE_TASK = "generation.tasks.wake_engine"
_NAME = "wake-call"
log = structlog.get_logger(__name__)


@atexit.register
def _wait_for_calls() -> None:
    for thread in threading.enumerate():
        if thread.name == _NAME:
            thread.join(2.0)


def wake_engine() -> None:
    """Send the wake-up call once the caller's transaction is committed.

    A broker that is down loses the call; the scheduler makes up for it within ten seconds.
    """
    transaction.on_commit(send_wake_call, robust=True)


def send_wake_call() -> None:
    """Send the wake-up call now, beside what the caller does.

    A broker that is away is given up only after seconds, and nobody should wait for that; a
    process that ends gives the call two seconds.
    """
    thread = threading.Thread(target=_send, name=_NAME, daemon=True)
    thread.start()


def _send() -> None:
    try:
        with current_app.connection_for_write() as link:
            current_app.send_task(
                WAKE_TASK, queue="generation", ignore_result=True, retry=False, connection=link
            )
    except (OSError, KombuError) as error:
        log.warning("wake_call_lost", error=type(error).__name__)
