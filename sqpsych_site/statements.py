"""Statements that run for every request, prepared once for each connection.

Beside the ORM: the same connection, the same transaction, the same errors. PostgreSQL plans such a
statement once, and nothing has to be worded in Python. Only for fixed SQL with parameters.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Generic, TypeVar

import pghistory
import psycopg
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, connections
from django.db.models import Model, QuerySet
from django.db.models.query import get_related_populators

Row = tuple[Any, ...]
M = TypeVar("M", bound=Model)

# Goes before a statement that writes: tells the triggers of the history who does it. The statement
# must read from ``author``, or PostgreSQL leaves it out; its parameters are :func:`author`'s.
AUTHOR = """
WITH author AS MATERIALIZED (
    SELECT set_config('pghistory.context_id', %s, true),
        set_config('pghistory.context_metadata', %s, true)
)"""


def author() -> list[str]:
    """The parameters of ``AUTHOR``: whoever the audit says is at work."""
    with pghistory.context() as context:
        return [str(context.id), json.dumps(context.metadata)]


def fetch(sql: str, parameters: Sequence[Any]) -> list[Row]:
    """The rows that a statement gives; none for one that gives none."""
    link = connections["default"]
    link.close_if_health_check_failed()
    link.ensure_connection()
    if link.queries_logged:  # as the ORM's are: where queries are counted, these count too
        link.queries_log.append({"sql": sql, "time": ""})
    with link.wrap_database_errors, psycopg.Cursor(link.connection) as cursor:
        cursor.execute(sql, parameters, prepare=True)
        result = cursor.pgresult
        gives_rows = result is not None and result.status == psycopg.pq.ExecStatus.TUPLES_OK
        return cursor.fetchall() if gives_rows else []


class Worded(Generic[M]):
    """A query of the ORM, worded once and kept; ``given`` are the parameters that change.

    The query is built with the values in ``given`` standing for what will be asked; each must
    occur in it exactly once.
    """

    def __init__(self, query: QuerySet[M, Any], given: Sequence[object]) -> None:
        self.model = query.model
        self.compiler = query.query.get_compiler(connection=connection)
        sql, parameters = self.compiler.as_sql()
        self.sql = sql
        self.parameters = list(parameters)
        self.places = [self._place(value) for value in given]
        self.converters = self.compiler.get_converters(
            column[0] for column in self.compiler.select or ()
        )
        shape = self.compiler.klass_info
        if shape:
            columns = shape["select_fields"]
            self.first, self.end = columns[0], columns[-1] + 1
            chosen = self.compiler.select[self.first : self.end]
            self.names = [column[0].target.attname for column in chosen]
            self.related = get_related_populators(shape, self.compiler.select, "default")  # type: ignore[call-arg]  # of Django 6

    def _place(self, value: object) -> int:
        found = [n for n, one in enumerate(self.parameters) if one == value]
        if len(found) != 1:
            raise ImproperlyConfigured("a parameter must occur once in the query")
        return found[0]

    def fetch(self, *values: object) -> list[Row]:
        """The rows for these parameters."""
        parameters = self.parameters.copy()
        for place, value in zip(self.places, values, strict=True):
            parameters[place] = value
        rows = fetch(self.sql, parameters)
        if not self.converters:
            return rows
        return [tuple(row) for row in self.compiler.apply_converters(rows, self.converters)]

    def models(self, *values: object) -> Iterator[M]:
        """The same as models, with what ``select_related`` and ``annotate`` add to them."""
        annotations = self.compiler.annotation_col_map or {}
        for row in self.fetch(*values):
            found = self.model.from_db("default", self.names, row[self.first : self.end])
            for related in self.related:
                related.populate(row, found)
            for name, column in annotations.items():
                setattr(found, name, row[column])
            yield found
