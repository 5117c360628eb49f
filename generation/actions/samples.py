"""Old samples are thinned out, then dropped."""

from datetime import timedelta
from typing import Any

from django.db import connection
from django.db.models.functions import Now

from generation.models import BatchSample, EndpointSample

KEEP_ALL = timedelta(days=2)
KEEP_SOME = timedelta(days=90)
ONE_IN = timedelta(minutes=5)

_THIN = """
DELETE FROM {table} AS old USING (
    SELECT id, row_number() OVER (
        PARTITION BY {owner}, date_bin(%s, at, timestamptz '2000-01-01 00:00+00') ORDER BY at
    ) AS place
    FROM {table} WHERE at < now() - %s
) AS ranked
WHERE old.id = ranked.id AND ranked.place > 1
"""
_OWNERS = {EndpointSample: "endpoint_id", BatchSample: "batch_id, engine"}


def prune_samples() -> int:
    """Keep all samples of two days, one in five minutes of ninety. Returns how many went.

    Thinned samples of a batch no longer add up to its turns; those are counted elsewhere.
    """
    gone = 0
    times: list[Any] = [ONE_IN, KEEP_ALL]
    for model, owner in _OWNERS.items():
        gone += model._base_manager.filter(at__lt=Now() - KEEP_SOME).delete()[0]
        with connection.cursor() as cursor:
            query = _THIN.format(table=model._meta.db_table, owner=owner)
            cursor.execute(query, times)
            gone += cursor.rowcount
    return gone
