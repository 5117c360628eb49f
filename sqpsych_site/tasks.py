"""The one way to define a background task, and the worker's sign of life."""

from collections.abc import Callable
from typing import Any

from celery import Task, shared_task
from django.utils import timezone

from sqpsych_site.models import ServiceState


def task(**options: Any) -> Callable[[Callable[..., None]], Task[..., None]]:
    """Define a task that survives its worker.

    Acknowledged after the work, handed back when the worker dies, no result kept. Arguments are
    ids only; the body calls one action. What must happen exactly once is guarded by rows, not by
    the broker: a task may run twice.
    """
    return shared_task(acks_late=True, reject_on_worker_lost=True, ignore_result=True, **options)


@task()
def heartbeat() -> None:
    """Say that a worker takes messages (and that beat sends them)."""
    ServiceState.objects.update_or_create(
        name="worker", defaults={"state": "running", "at": timezone.now()}
    )
