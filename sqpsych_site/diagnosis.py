"""What is fine and what is not, one line each: the parts, the model servers, the disk, versions."""

import platform
import shutil
from collections.abc import Iterator

import django
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from generation.models import Endpoint, EndpointState
from sqpsych_site import health
from sqpsych_site.health import Check

ROOM_WANTED = 1024**3
FINE = frozenset({EndpointState.READY, EndpointState.UNKNOWN})


def diagnosis() -> Iterator[Check]:
    """Every check, one after the other; none raises."""
    first = _database()
    yield first
    yield health.broker()
    if first.ok:
        yield _migrations()
        yield health.worker()
        yield from _endpoints()
    yield _disk()
    yield Check(
        "versions",
        True,
        f"SQPsych {settings.VERSION}, Python {platform.python_version()},"
        f" Django {django.get_version()}",
    )


def _database() -> Check:
    check = health.database()
    if not check.ok:
        return Check("database", False, f"does not answer ({check.detail})")
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        row = cursor.fetchone()
    return Check("database", True, f"PostgreSQL {row[0] if row else '?'} answers")


def _migrations() -> Check:
    try:
        executor = MigrationExecutor(connection)
        left = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError as error:
        return Check("tables", False, type(error).__name__)
    if left:
        return Check("tables", False, f"{len(left)} migrations are not applied: run migrate")
    return Check("tables", True, "up to date")


def _endpoints() -> Iterator[Check]:
    rows = list(Endpoint.objects.filter(enabled=True).order_by("name"))
    if not rows:
        yield Check("model server", True, "none is entered; batches wait until there is one")
    for row in rows:
        state = EndpointState(row.state)
        detail = f" ({row.state_detail})" if row.state_detail else ""
        version = f", vLLM {row.server_version}" if row.server_version else ""
        words = f"{row.name}, {row.model or 'model not known yet'}: {state.label.lower()}"
        yield Check("model server", state in FINE, f"{words}{detail}{version}")


def _disk() -> Check:
    try:
        free = shutil.disk_usage(settings.DATA_DIR).free
    except OSError as error:
        return Check("disk", False, f"{settings.DATA_DIR}: {error.strerror}")
    return Check("disk", free >= ROOM_WANTED, f"{free / 1024**3:.1f} GiB free for the data")
