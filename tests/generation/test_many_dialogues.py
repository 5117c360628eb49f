"""Lists at 100,000 dialogues: every filter reads by an index, every page costs the same."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection
from django.db.models import QuerySet
from django.http import QueryDict
from django.test import Client
from django.test.utils import CaptureQueriesContext

from generation.filters import DialogueFilter
from generation.models import Arm, Batch, Dialogue
from generation.views.dialogue_page import with_findings
from sqpsych_site.models import User
from tests import generation_rows as rows

NUMBER = 100_000
SHOWN = 51
READ_AT_MOST = 25 * SHOWN


@pytest.fixture
def batch(db: None) -> Batch:
    """Two arms after one another, as a batch makes them; failures and findings are rare."""
    batch = rows.make_batch(1)
    first = batch.arms.get()
    second = Arm.objects.get(pk=first.pk)
    second.pk, second.label = None, "B"
    second.save(force_insert=True)
    pattern = batch.dialogues.get()
    own = {str(field.column): f"d.{field.column}" for field in Dialogue._meta.concrete_fields}
    columns = own | _VARIED | {"id": "nextval('generation_dialogue_id_seq')"}
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO generation_dialogue ({', '.join(columns)})"  # noqa: S608 - fixed words
            f" SELECT {', '.join(columns.values())} FROM generation_dialogue d,"
            " generate_series(1, %(number)s) n WHERE d.id = %(pattern)s",
            {"number": NUMBER, "pattern": pattern.pk, "first": first.pk, "second": second.pk},
        )
        cursor.execute(_FINDINGS)
        cursor.execute(_TRAITS)
        cursor.execute("ANALYZE generation_dialogue")
        cursor.execute("ANALYZE generation_dialoguetrait")
        cursor.execute("ANALYZE generation_finding")
    return batch


_VARIED = {
    "uid": "gen_random_uuid()",
    "origin": "CASE WHEN n %% 50000 = 7 THEN 'imported' ELSE 'generated' END",
    "external_id": "CASE WHEN n %% 50000 = 7 THEN 'file ' || n ELSE '' END",
    "arm_id": "CASE WHEN n * 2 <= %(number)s THEN %(first)s ELSE %(second)s END",
    "replicate": "n + 1",
    "state": "CASE WHEN n %% 1000 = 5 THEN 'failed' WHEN n > 40000 THEN 'waiting'"
    " ELSE 'complete' END",
    "failure_reason": "CASE WHEN n %% 1000 <> 5 THEN '' WHEN n > 50000 THEN 'empty'"
    " ELSE 'loops' END",
    "provenance": "'{}'",
    "therapist_system": "''",
    "client_system": "''",
}
_FINDINGS = """
    INSERT INTO generation_finding (dialogue_id, kind, severity, turn_number, detail, created_at)
    SELECT id,
        CASE WHEN replicate % 20000 = 3 THEN 'risk_not_followed' ELSE 'repeats_other' END,
        CASE WHEN replicate % 20000 = 3 THEN 'urgent' ELSE 'notice' END, 4, '', now()
    FROM generation_dialogue WHERE replicate % 5 = 3
"""
# Common everywhere, rare, and common among the oldest only.
_TRAITS = """
    INSERT INTO generation_dialoguetrait (dialogue_id, name)
    SELECT id, CASE WHEN replicate % 20000 = 3 THEN 'condition:rare' ELSE 'condition:mdd' END
    FROM generation_dialogue WHERE replicate > 1
    UNION ALL
    SELECT id, CASE WHEN replicate < 40000 THEN 'band:phq9:severe' ELSE 'band:phq9:mild' END
    FROM generation_dialogue WHERE replicate > 1
"""


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", []):
        yield from _nodes(part)


def _most_read(query: QuerySet[Any]) -> float:
    """The most rows that any step of the query touched, those thrown away included."""
    (found,) = json.loads(query.explain(format="json", analyze=True))
    most: float = max(
        (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        for node in _nodes(found["Plan"])
    )
    return most


def test_lists_read_little_whatever_is_filtered(
    batch: Batch, coordinator: User, client_of: Callable[[User], Client]
) -> None:
    oldest, *_ = Dialogue.objects.order_by("pk")[3:4]
    later = batch.arms.get(label="B")
    filters = [
        *("", "state=failed", "state=complete", "state=cancelled", "origin=imported"),
        *("origin=generated", "finding=risk_not_followed", "finding=repeats_other"),
        *("finding=empty", "severity=urgent", "reason=loops", "reason=empty", "reason=x"),
        *(f"find={oldest.uid}", "find=file 7", "find=nobody", "find=abcd", "find=P0001"),
        *(f"batch={batch.pk}", f"batch={batch.pk}&state=failed", f"batch={batch.pk}&reason=loops"),
        *(f"batch={batch.pk}&arm={arm.pk}" for arm in batch.arms.all()),
        f"batch={batch.pk}&arm={later.pk}&state=waiting",
        f"batch={batch.pk}&severity=urgent",
        *("condition=mdd", "condition=rare", "condition=none", "band=phq9:severe"),
        *("condition=rare&band=phq9:mild", f"batch={batch.pk}&band=phq9:severe"),
    ]
    for query in filters:
        fitting = (
            DialogueFilter(QueryDict(query), profiles=True)
            .apply(Dialogue.objects.all())
            .values("pk")
        )
        for part in (fitting, fitting.filter(pk__lt=oldest.pk + 50)):
            assert _most_read(part.order_by("-pk")[:SHOWN]) <= READ_AT_MOST, query
        ids = list(fitting.order_by("-pk")[:SHOWN].values_list("pk", flat=True))
        shown = with_findings(Dialogue.objects.filter(pk__in=ids))
        assert not ids or _most_read(shown) <= READ_AT_MOST, query
    person = client_of(coordinator)
    asked = {}
    for url in ("/dialogues/", f"/dialogues/?older={oldest.pk + 60}", "/dialogues/?newer=1"):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            response = person.get(url)
        assert len(response.context["page"].rows) == 50
        assert response.context["number"] == "More than 1,000 dialogues"
        asked[url] = len(queries)
    assert set(asked.values()) == {7}
    offered = [name for name, _ in response.context["filter"]["band"].field.widget.choices]
    assert {"phq9:mild", "phq9:severe"} <= set(offered)
