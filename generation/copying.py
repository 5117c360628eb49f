"""Many new rows at once, by PostgreSQL's COPY.

The worker writes a turn and an attempt with raw request and response for every reply. As bulk
INSERTs these were half of its processor time: each value is quoted in Python, character by
character where it is JSON. COPY leaves that to the driver's C code.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

from django.db import connection, models


def copy_rows(rows: Sequence[models.Model]) -> None:
    """Store new rows of one table; their keys are made by the database and not read back.

    What the database refuses is raised as the same errors that ``bulk_create`` raises.
    """
    if not rows:
        return
    meta = rows[0]._meta
    fields = [field for field in meta.concrete_fields if not field.primary_key]
    names = ", ".join(connection.ops.quote_name(str(field.column)) for field in fields)
    cells = [(field.attname, _writer(field)) for field in fields]
    into = f"COPY {connection.ops.quote_name(meta.db_table)} ({names}) FROM STDIN"
    with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(into) as copy:
        for row in rows:
            copy.write_row([write(getattr(row, name)) for name, write in cells])


def _writer(field: "models.Field[Any, Any]") -> Callable[[Any], Any]:
    return json.dumps if isinstance(field, models.JSONField) else _as_it_is


def _as_it_is(value: Any) -> Any:
    return value
