"""The list of batches."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from generation import actions
from generation.models import Batch
from sqpsych_site.models import User
from tests import generation_rows as rows

HTMX = {"HX-Request": "true"}
HOSTILE = "<script>alert(1)</script>"
Queries = Callable[[int], Any]


@pytest.fixture
def person(coordinator: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(coordinator)


@pytest.mark.parametrize("size", [1, 3])
def test_list_costs_the_same_for_any_number_of_batches(
    size: int, person: Client, django_assert_num_queries: Queries
) -> None:
    for number in range(size):
        rows.make_batch(2, f"batch {number}")
    with django_assert_num_queries(4):
        response = person.get(reverse("generation:batch_list"))
    assert [batch.name for batch, *_ in response.context["rows"]] == [
        f"batch {number}" for number in reversed(range(size))
    ]


def test_list_tells_state_and_counts(person: Client) -> None:
    batch = rows.make_batch(3)
    first, second, _ = batch.dialogues.order_by("pk")
    rows.complete(first)
    rows.fail(second)
    page = person.get(reverse("generation:batch_list")).content.decode()
    assert 'aria-label="1 complete, 1 failed, 0 in progress, 1 waiting"' in page
    assert "1 of 3" in page


def test_list_filters_by_state(person: Client) -> None:
    rows.make_batch(1, "one")
    actions.pause_batch(batch=rows.make_batch(1, "two"), by=None)
    found = person.get(reverse("generation:batch_list"), {"state": "paused"}).context["rows"]
    assert [batch.name for batch, *_ in found] == ["two"]
    none = person.get(reverse("generation:batch_list"), {"state": "cancelled"})
    assert "No batch fits" in none.content.decode()


def test_empty_list_says_what_to_do(person: Client) -> None:
    page = person.get(reverse("generation:batch_list")).content.decode()
    assert "No batches yet" in page
    assert f'href="{reverse("generation:batch_create")}"' in page


def test_list_pages_older_batches(person: Client) -> None:
    profiles = rows.make_set(1)
    batches = Batch.objects.bulk_create(
        Batch(name=f"b{n}", profile_set=profiles, seed=1) for n in range(21)
    )
    first = person.get(reverse("generation:batch_list")).context["page"]
    assert len(first.rows) == 20
    second = person.get(reverse("generation:batch_list") + first.older_url).context["page"]
    assert [batch.pk for batch in second.rows] == [batches[0].pk]


def test_list_leaves_previews_out(person: Client) -> None:
    batch = rows.make_batch(1)
    Batch.objects.filter(pk=batch.pk).update(preview=True)
    assert person.get(reverse("generation:batch_list")).context["rows"] == []
