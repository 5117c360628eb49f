"""The list of batches and the form of a new one."""

from collections.abc import Callable
from http import HTTPStatus
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


def _form(**values: Any) -> dict[str, Any]:
    return {
        "name": "pilot",
        "protocol": "sqpsych",
        "model": rows.MODEL,
        "per_profile": 2,
        "seed": 5,
        **values,
    }


# -- the list ------------------------------------------------------------------------------


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


# -- the form ------------------------------------------------------------------------------


def test_create_starts_a_batch(person: Client) -> None:
    rows.make_server()
    chosen = rows.make_set(3)
    response = person.post(reverse("generation:batch_create"), _form(profile_set=chosen.pk))
    batch = Batch.objects.get()
    assert response.status_code == HTTPStatus.SEE_OTHER
    assert response["Location"] == f"/batches/{batch.pk}/"
    assert (batch.name, batch.per_profile, batch.seed) == ("pilot", 2, 5)
    assert batch.created_by == User.objects.get()
    assert batch.dialogues.count() == 6
    assert batch.arms.get().therapist_model == rows.MODEL


def test_create_by_htmx_opens_the_batch(person: Client) -> None:
    rows.make_server()
    given = _form(profile_set=rows.make_set(1).pk)
    response = person.post(reverse("generation:batch_create"), given, headers=HTMX)
    assert response["HX-Redirect"] == f"/batches/{Batch.objects.get().pk}/"


@pytest.mark.parametrize("headers", [{}, HTMX])
@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"name": ""}, "name"),
        ({"profile_set": "999"}, "profile_set"),
        ({"protocol": "other"}, "protocol"),
        ({"model": ""}, "model"),
        ({"per_profile": 0}, "per_profile"),
        ({"seed": -1}, "seed"),
    ],
)
def test_create_refuses_what_makes_no_sense(
    change: dict[str, Any], wrong: str, headers: dict[str, str], person: Client
) -> None:
    rows.make_server()
    given = _form(profile_set=rows.make_set(1).pk) | change
    response = person.post(reverse("generation:batch_create"), given, headers=headers)
    assert response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    page = response.content.decode()
    assert page.count('class="errorlist"') == 1
    assert f'<a href="#id_{wrong}' in page
    assert ("<html" in page) == (not headers)
    assert not Batch.objects.exists()


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_create_passes_on_why_the_action_refuses(headers: dict[str, str], person: Client) -> None:
    rows.make_server()
    given = _form(profile_set=rows.make_set(1).pk, model=HOSTILE)
    response = person.post(reverse("generation:batch_create"), given, headers=headers)
    assert response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    page = response.content.decode()
    assert "No model server here serves the model" in page
    assert HOSTILE not in page
    assert not Batch.objects.exists()


def test_create_offers_the_models_of_enabled_servers(person: Client) -> None:
    rows.make_server("a", "zeta")
    rows.make_server("b", "alpha", state="starting")
    rows.make_server("c", "beta", enabled=False)
    form = person.get(reverse("generation:batch_create")).context["form"]
    assert form.fields["model"].widget.choices == [
        ("zeta", "zeta (ready)"),
        ("alpha", "alpha (starting)"),
    ]
    assert form.any_model_ready


def test_create_without_a_server_says_so_and_takes_a_name(person: Client) -> None:
    page = person.get(reverse("generation:batch_create")).content.decode()
    assert "No model server is ready just now." in page
    assert '<input type="text" name="model"' in page


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_estimate_tells_the_requests_and_stores_nothing(
    headers: dict[str, str], person: Client
) -> None:
    rows.make_server()
    given = _form(profile_set=rows.make_set(3).pk, name="", action="estimate")
    response = person.post(reverse("generation:batch_create"), given, headers=headers)
    assert response.status_code == HTTPStatus.OK
    page = response.content.decode()
    assert "3 profiles, 6 dialogues: about 180 to 396 requests to the model" in page
    assert ("<html" in page) == (not headers)
    assert "errorlist" not in page
    assert not Batch.objects.exists()


def test_estimate_of_nonsense_asks_for_more(person: Client) -> None:
    given = {"action": "estimate", "per_profile": "x", "profile_set": HOSTILE}
    page = person.post(reverse("generation:batch_create"), given).content.decode()
    assert "Choose profiles, a protocol and a number" in page
    assert HOSTILE not in page


def test_duplicate_fills_the_form(person: Client) -> None:
    batch = rows.make_batch(2, per_profile=3, seed=42)
    response = person.get(reverse("generation:batch_create"), {"from": batch.pk})
    assert response.context["form"].initial == {
        "name": "pilot again",
        "profile_set": batch.profile_set_id,
        "per_profile": 3,
        "seed": 42,
        "protocol": "sqpsych",
        "model": rows.MODEL,
    }
    assert "2 profiles, 6 dialogues" in response.content.decode()


@pytest.mark.parametrize("query", ["from=999", "from=x", "profile_set=x", "from=" + "9" * 40])
def test_form_passes_over_a_wrong_beginning(query: str, person: Client) -> None:
    response = person.get(f"{reverse('generation:batch_create')}?{query}")
    assert response.status_code == HTTPStatus.OK
    assert response.context["form"].initial == {}


@pytest.mark.parametrize("size", [1, 3])
def test_form_costs_the_same_for_any_number_of_sets(
    size: int, person: Client, django_assert_num_queries: Queries
) -> None:
    for number in range(size):
        rows.make_set(1, f"set {number}")
        rows.make_server(f"gpu-{number}")
    with django_assert_num_queries(5):
        person.get(reverse("generation:batch_create"))
