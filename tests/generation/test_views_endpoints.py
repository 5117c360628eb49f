"""The page of the model servers: states in words, addresses checked, switches."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from generation.models import Endpoint, EndpointState
from sqpsych_site.models import AuditEntry, User
from tests import generation_rows as rows

HTMX = {"HX-Request": "true"}
HOSTILE = "<script>alert(1)</script>"
URL = "/endpoints/"
GOOD = {
    "name": "gpu-1",
    "base_url": "http://127.0.0.1:8000/v1",
    "model": "smollm2",
    "max_concurrency": 16,
    "gpus": 1,
    "api_key_name": "CLUSTER_API_KEY",
    "supports_seed": "on",
}


@pytest.fixture
def person(coordinator: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(coordinator)


def test_server_is_entered(person: Client) -> None:
    response = person.post(URL, GOOD)
    assert response.status_code == HTTPStatus.SEE_OTHER
    row = Endpoint.objects.get()
    assert (row.name, row.model, row.max_concurrency) == ("gpu-1", "smollm2", 16)
    assert (row.api_key_name, row.supports_seed) == ("CLUSTER_API_KEY", True)
    assert row.state == EndpointState.UNKNOWN


def test_server_is_entered_by_htmx(person: Client) -> None:
    assert person.post(URL, GOOD, headers=HTMX)["HX-Redirect"] == URL


@pytest.mark.parametrize("headers", [{}, HTMX])
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"name": ""}, "This field is required."),
        ({"max_concurrency": 0}, "greater than or equal to 1"),
        ({"base_url": "http://8.8.8.8/v1"}, "outside the private networks"),
        ({"base_url": "http://169.254.169.254/"}, "set aside for special use"),
        ({"base_url": HOSTILE}, "errorlist"),
        ({"api_key_name": "SECRET_KEY_BASE"}, "end in _API_KEY"),
        ({"name": "taken"}, "exists already"),
    ],
)
def test_wrong_server_is_refused_with_a_reason(
    change: dict[str, Any], sentence: str, headers: dict[str, str], person: Client
) -> None:
    rows.make_server("taken")
    response = person.post(URL, GOOD | change, headers=headers)
    assert response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    page = response.content.decode()
    if sentence != "errorlist":
        assert sentence in page
    assert "error-summary" in page
    assert HOSTILE not in page
    assert ("<html" in page) == (not headers)
    assert Endpoint.objects.count() == 1


@pytest.mark.parametrize("size", [1, 3])
def test_list_costs_the_same_for_any_number_of_servers(
    size: int, person: Client, django_assert_num_queries: Callable[[int], Any]
) -> None:
    for number in range(size):
        rows.make_server(f"gpu-{number}")
    with django_assert_num_queries(3):
        response = person.get(URL)
    assert len(response.context["rows"]) == size


def test_list_tells_states_in_words(person: Client) -> None:
    rows.make_server("a", state="starting", state_detail="converting the model")
    rows.make_server("b", state="unreachable", state_detail=HOSTILE)
    rows.make_server("c", enabled=False)
    page = person.get(URL).content.decode()
    for told in ("starting", "converting the model", "not answering", "switched off"):
        assert told in page
    assert HOSTILE not in page


def test_empty_list_says_what_to_do(person: Client) -> None:
    assert "No model server yet" in person.get(URL).content.decode()


def test_switch_off_and_on(person: Client) -> None:
    row = rows.make_server()
    off = reverse("generation:endpoint_switch", args=[row.pk, "disable"])
    response = person.post(off, follow=True)
    assert response.redirect_chain == [(URL, HTTPStatus.SEE_OTHER)]
    assert "“gpu-1” is sent nothing more." in response.content.decode()
    row.refresh_from_db()
    assert (row.enabled, row.state) == (False, EndpointState.READY)
    person.post(off)
    person.post(reverse("generation:endpoint_switch", args=[row.pk, "enable"]))
    row.refresh_from_db()
    # Before it is used again somebody looks how it is.
    assert (row.enabled, row.state) == (True, EndpointState.UNKNOWN)
    acts = AuditEntry.objects.order_by("pk").values_list("action", flat=True)
    assert list(acts) == ["endpoint.disable", "endpoint.enable"]


def test_switching_on_keeps_what_the_starter_says(person: Client) -> None:
    row = rows.make_server(state="starting", state_detail="downloading", enabled=False)
    person.post(reverse("generation:endpoint_switch", args=[row.pk, "enable"]))
    row.refresh_from_db()
    assert (row.enabled, row.state, row.state_detail) == (True, "starting", "downloading")


def test_switch_is_no_link(person: Client) -> None:
    row = rows.make_server()
    url = reverse("generation:endpoint_switch", args=[row.pk, "disable"])
    assert person.get(url).status_code == HTTPStatus.METHOD_NOT_ALLOWED
    assert person.post("/endpoints/999/disable/").status_code == HTTPStatus.NOT_FOUND


def test_use_and_price_of_a_server_can_be_changed(person: Client) -> None:
    row = rows.make_server(context_length=8192, abilities={"cached_tokens": True})
    url = f"{URL}{row.pk}/"
    page = person.get(url).content.decode()
    assert "8,192 tokens" in page
    assert "cached tokens: yes" in page
    given = {"max_concurrency": 64, "gpus": 4, "price_per_hour": "12.5", "supports_seed": "on"}
    response = person.post(url, given)
    assert (response.status_code, response["Location"]) == (HTTPStatus.SEE_OTHER, URL)
    row.refresh_from_db()
    assert (row.max_concurrency, row.gpus, row.supports_seed) == (64, 4, True)
    assert str(row.price_per_hour) == "12.500"
    assert ">12.50</td>" in person.get(URL).content.decode()
    assert AuditEntry.objects.filter(action="endpoint.change").count() == 1


@pytest.mark.parametrize("headers", [{}, HTMX])
@pytest.mark.parametrize(
    "change", [{"gpus": 0}, {"price_per_hour": "-1"}, {"price_per_hour": "NaN"}, {"gpus": HOSTILE}]
)
def test_wrong_use_of_a_server_is_refused(
    change: dict[str, Any], headers: dict[str, str], person: Client
) -> None:
    row = rows.make_server()
    given = {"max_concurrency": 64, "gpus": 4} | change
    response = person.post(f"{URL}{row.pk}/", given, headers=headers)
    assert response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    page = response.content.decode()
    assert "errorlist" in page
    assert ("<html" in page) == (not headers)
    row.refresh_from_db()
    assert (row.max_concurrency, row.gpus) == (32, 1)
