"""Is the system able to work: the database, the broker, a worker, a model server."""

from dataclasses import dataclass
from datetime import timedelta

from django.db import DatabaseError, connection
from django.utils import timezone
from kombu.exceptions import KombuError

from sqpsych_site.celery import app
from sqpsych_site.models import ServiceState

WORKER_SILENT_AFTER = timedelta(seconds=45)


@dataclass(frozen=True)
class Check:
    """One part's state in one word and one sentence."""

    name: str
    ok: bool
    detail: str


def database() -> Check:
    """Whether a query is answered."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        return Check("database", False, type(error).__name__)
    return Check("database", True, "answers")


def broker() -> Check:
    """Whether the broker takes a connection within two seconds."""
    try:
        with app.connection_for_write() as link:
            link.ensure_connection(max_retries=1, timeout=2)
    except (OSError, KombuError) as error:
        return Check("broker", False, type(error).__name__)
    return Check("broker", True, "answers")


def worker() -> Check:
    """Whether a worker has taken a message lately."""
    try:
        state = ServiceState.objects.filter(name="worker").first()
    except DatabaseError as error:
        return Check("worker", False, type(error).__name__)
    if state is None:
        return Check("worker", False, "has not reported yet")
    age = timezone.now() - state.at
    if age > WORKER_SILENT_AFTER:
        return Check("worker", False, f"silent for {int(age.total_seconds())} s")
    return Check("worker", True, "reports")


def readiness() -> list[Check]:
    """All checks that readiness rests on."""
    first = database()
    return [first, broker(), worker() if first.ok else Check("worker", False, "unknown")]
