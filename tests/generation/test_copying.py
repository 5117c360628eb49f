"""COPY stores exactly what INSERT would, and refuses what INSERT refuses."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import DataError, IntegrityError, transaction

from generation.copying import copy_rows
from generation.models import Attempt, Dialogue, Turn

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
HOSTILE = '\\N\t\\.\n\\\\ \r\n\'; DROP TABLE x; -- "{a,NULL}" 🌧 \\x00 \u2028\\'

pytestmark = pytest.mark.django_db


def attempt(dialogue: Dialogue, number: int, **values: Any) -> Attempt:
    given: dict[str, Any] = {
        "text": HOSTILE,
        "request": {"note": HOSTILE, "sampling": {"temperature": 0.7, "top_k": None}},
        "response": [HOSTILE, None, {"ä": 1e-9}],
        "defects": [],
        "cost": Decimal("0.00000001"),
        "created_at": NOW,
    }
    return Attempt(
        dialogue=dialogue,
        turn_number=1,
        number=number,
        role="therapist",
        outcome="accepted",
        **given | values,
    )


def test_copied_rows_are_those_that_insert_stores() -> None:
    dialogue = Dialogue.objects.create(origin="demo")
    Attempt.objects.bulk_create([attempt(dialogue, 1), attempt(dialogue, 2, cost=None, text="")])
    copy_rows([attempt(dialogue, 3), attempt(dialogue, 4, cost=None, text="")])
    columns = [
        field.attname
        for field in Attempt._meta.concrete_fields
        if field.attname not in ("id", "number")
    ]
    first, second, third, fourth = Attempt.objects.order_by("number").values(*columns)
    assert (third, fourth) == (first, second)
    assert third["text"] == third["request"]["note"] == HOSTILE
    assert fourth["cost"] is None


def test_nothing_is_copied_as_nothing() -> None:
    copy_rows([])
    assert not Turn.objects.exists()


def test_what_insert_refuses_is_refused_whole() -> None:
    dialogue = Dialogue.objects.create(origin="demo")
    good = attempt(dialogue, 1)
    for bad, error in (
        (attempt(dialogue, 2, error="x" * 201), DataError),
        (attempt(dialogue, 2, text="a\x00b"), DataError),
        (attempt(dialogue, 2, prompt_tokens=-1), IntegrityError),
        (attempt(dialogue, 1), IntegrityError),
    ):
        with pytest.raises(error), transaction.atomic():
            copy_rows([good, bad])
    assert not Attempt.objects.exists()
