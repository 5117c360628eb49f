"""The two tasks: what they look at, and what they leave alone."""

from typing import Any

import pytest
from pytest_django import Settings

from generation import tasks
from generation.actions import Refused, add_endpoint, set_endpoint_state
from generation.models import Endpoint, EndpointState
from generation.sightings import check_all_endpoints
from sqpsych_site.models import AuditEntry, User
from tests.fakes.model_server import FakeModelServer
from tests.generation.engine_cases import assert_sound, counts, endpoint_for, small_batch


@pytest.mark.django_db(transaction=True)
def test_wake_call_works_on_what_is_there() -> None:
    with FakeModelServer() as server:
        endpoint_for(server)
        batch = small_batch(2)
        tasks.wake_engine()
    assert counts(batch) == {"complete": 2}
    assert_sound(batch)


@pytest.mark.django_db
def test_second_wake_call_in_a_process_returns_at_once() -> None:
    with FakeModelServer() as server:
        endpoint_for(server)
        batch = small_batch(2)
        with tasks._slice:
            tasks.wake_engine()
        assert server.received == 0
    assert counts(batch) == {"waiting": 2}


@pytest.mark.django_db
def test_wake_call_without_any_server_returns_at_once() -> None:
    with FakeModelServer() as server:
        endpoint_for(server)
        batch = small_batch(2)
        server.die()
        Endpoint.objects.update(state=EndpointState.UNREACHABLE)
        tasks.wake_engine()
        assert server.received == 0
    assert counts(batch) == {"waiting": 2}
    assert Endpoint.objects.get().state == EndpointState.UNREACHABLE


@pytest.mark.django_db(transaction=True)
def test_wake_call_notices_that_a_server_came_back() -> None:
    with FakeModelServer() as server:
        endpoint_for(server)
        batch = small_batch(2)
        Endpoint.objects.update(state=EndpointState.UNREACHABLE)
        tasks.wake_engine()
    assert counts(batch) == {"complete": 2}


@pytest.mark.django_db
def test_check_notes_what_each_server_is() -> None:
    with (
        FakeModelServer(max_model_len=4096, version="0.9") as good,
        FakeModelServer(model="other") as other,
        FakeModelServer() as gone,
    ):
        endpoint_for(good, "good")
        endpoint_for(other, "other")
        endpoint_for(gone, "gone")
        endpoint_for(gone, "off")
        Endpoint.objects.filter(name="other").update(model="fake-model")
        Endpoint.objects.filter(name="off").update(enabled=False)
        Endpoint.objects.update(state=EndpointState.UNKNOWN, context_length=None)
        gone.die()
        assert check_all_endpoints() is True
        assert check_all_endpoints() is False
    rows = {row.name: row for row in Endpoint.objects.all()}
    assert {name: row.state for name, row in rows.items()} == {
        "good": "ready",
        "other": "wrong_model",
        "gone": "unreachable",
        "off": "unknown",
    }
    assert (rows["good"].context_length, rows["good"].server_version) == (4096, "0.9")
    assert rows["other"].state_detail == "the model server is up but serves other, not fake-model"
    assert rows["gone"].state_detail == "nothing listens at the model server's address"


@pytest.mark.django_db
@pytest.mark.parametrize("state", [EndpointState.STARTING, EndpointState.UNAVAILABLE])
def test_check_leaves_a_starting_server_its_word(state: EndpointState) -> None:
    with FakeModelServer() as server:
        endpoint_for(server)
        Endpoint.objects.update(state=state, state_detail="converting")
        server.die()
        assert check_all_endpoints() is False
        row = Endpoint.objects.get()
        assert (row.state, row.state_detail) == (state, "converting")
        server.revive()
        assert check_all_endpoints() is True
    assert Endpoint.objects.get().state == EndpointState.READY


@pytest.mark.django_db
def test_server_of_the_environment_gets_a_row_and_its_first_model(settings: Settings) -> None:
    with FakeModelServer(model="big", max_model_len=2048) as server:
        settings.SQPSYCH_VLLM_URL = f"{server.base_url}/"
        server.die()
        check_all_endpoints()
        row = Endpoint.objects.get()
        assert (row.name, row.model, row.state) == ("configured", "", "unreachable")
        server.revive()
        check_all_endpoints()
        row.refresh_from_db()
        assert (row.base_url, row.model, row.state) == (server.base_url, "big", "ready")
        assert row.context_length == 2048
        settings.SQPSYCH_MODEL = "small"
        check_all_endpoints()
    row.refresh_from_db()
    assert (row.model, row.state) == ("small", "wrong_model")
    assert Endpoint.objects.count() == 1


@pytest.mark.django_db
def test_public_address_in_the_environment_is_refused_in_words(settings: Settings) -> None:
    settings.SQPSYCH_VLLM_URL = "http://8.8.8.8/v1"
    check_all_endpoints()
    row = Endpoint.objects.get()
    assert row.state == EndpointState.UNREACHABLE
    assert "outside the private networks" in row.state_detail


@pytest.mark.django_db
def test_endpoint_is_entered_with_its_address_checked(coordinator: User) -> None:
    row = add_endpoint(
        name="a", base_url="http://10.0.0.5:8000/v1", model="m", by=coordinator, max_concurrency=64
    )
    assert (row.state, row.max_concurrency) == ("unknown", 64)
    assert AuditEntry.objects.get(action="endpoint.add").actor == coordinator.username


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": " "}, "The name of a model server must have 1 to 60 characters."),
        ({"model": ""}, "The model of a model server must have 1 to 200 characters."),
        ({"max_concurrency": 0}, "The number of requests at once must be 1 to 4,096."),
        ({"api_key_name": "SECRET_KEY"}, "The key's variable must be written in capitals and end"),
        ({"base_url": "http://8.8.8.8"}, "The host 8.8.8.8 is outside the private networks"),
        ({"base_url": "http://169.254.169.254"}, "The host 169.254.169.254 is set aside"),
        ({"base_url": "ftp://10.0.0.5"}, "The address must begin with http:// or https://."),
        ({"name": "taken"}, "A model server named “taken” exists already."),
    ],
)
def test_unusable_endpoint_is_refused(changes: dict[str, Any], sentence: str) -> None:
    add_endpoint(name="taken", base_url="http://10.0.0.5", model="m", by=None)
    values: dict[str, Any] = {
        "name": "a",
        "base_url": "http://10.0.0.6",
        "model": "m",
        "by": None,
        **changes,
    }
    with pytest.raises(Refused) as refused:
        add_endpoint(**values)
    assert str(refused.value).startswith(sentence)
    assert Endpoint.objects.count() == 1


@pytest.mark.django_db
def test_state_is_noted_without_touching_the_rest() -> None:
    set_endpoint_state(name="local", state="starting", base_url="http://127.0.0.1:1/v1", model="m")
    set_endpoint_state(name="local", state="ready", context_length=8192)
    row = Endpoint.objects.get()
    assert (row.base_url, row.model, row.state) == ("http://127.0.0.1:1/v1", "m", "ready")
    assert row.context_length == 8192
    with pytest.raises(Refused):
        set_endpoint_state(name="local", state="ready", base_url="file:///etc/passwd")
