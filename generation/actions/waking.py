"""The wake-up call to the workers. The rows are the truth; the message only saves a wait."""

import threading

import structlog
from celery import current_app
from django.db import transaction
from kombu.exceptions import KombuError

WAKE_TASK = "generation.tasks.wake_engine"
log = structlog.get_logger(__name__)


def wake_engine() -> None:
    """Send the wake-up call once the caller's transaction is committed.

    A broker that is down loses the call; the scheduler makes up for it within ten seconds.
    """
    transaction.on_commit(send_wake_call, robust=True)


def send_wake_call() -> None:
    """Send the wake-up call now, beside what the caller does: a broker that is away is only
    given up after seconds, and nobody should wait for that."""
    threading.Thread(target=_send, name="wake-call").start()


def _send() -> None:
    try:
        current_app.send_task(WAKE_TASK, queue="generation", ignore_result=True, retry=False)
    except (OSError, KombuError) as error:
        log.warning("wake_call_lost", error=type(error).__name__)
