"""Who reaches the generation pages: every one of them by role, and nothing of them for raters."""

from collections.abc import Callable
from http import HTTPStatus
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from generation.models import Batch, Endpoint, Protocol, Questionnaire
from sqpsych_site.models import User
from tests import generation_rows as rows

SECRET = "CANARY-7f3a"
Users = Callable[..., User]
Clients = Callable[[User], Client]
# Page -> the roles that may read it beside coordinator and administrator.
READING = {
    "profile_list": set(),
    "profile_import": set(),
    "profile_sample": set(),
    "profile_example": set(),
    "profile_set_detail": set(),
    "profile_detail": set(),
    "protocol_list": {"researcher"},
    "protocol_add": set(),
    "protocol_detail": {"researcher"},
    "protocol_file": {"researcher"},
    "questionnaire_list": set(),
    "questionnaire_add": set(),
    "questionnaire_detail": set(),
    "questionnaire_file": set(),
    "batch_list": {"researcher"},
    "batch_create": set(),
    "batch_detail": {"researcher"},
    "batch_log": {"researcher"},
    "batch_action": set(),
    "dialogue_list": {"researcher"},
    "dialogue_detail": {"researcher"},
    "attempt_detail": {"researcher"},
    "endpoint_list": set(),
    "endpoint_detail": set(),
}


@pytest.fixture
def batch(db: None) -> Batch:
    """A batch with one telling dialogue."""
    batch = rows.make_batch(1, f"batch {SECRET}")
    dialogue = batch.dialogues.get()
    rows.speak(dialogue, [f"Hello {SECRET}", "Um."])
    rows.notice(dialogue, "risk_cue", 2)
    rows.complete(dialogue)
    return batch


def _addresses(batch: Batch) -> dict[str, str]:
    dialogue = batch.dialogues.get()
    profile = batch.profile_set.profiles.get()
    questionnaire = Questionnaire.objects.filter(key="phq9").latest("pk")
    args: dict[str, list[object]] = {
        "profile_set_detail": [batch.profile_set_id],
        "profile_detail": [batch.profile_set_id, profile.profile_id],
        "protocol_detail": [Protocol.objects.latest("pk").pk],
        "protocol_file": [Protocol.objects.latest("pk").pk],
        "questionnaire_detail": [questionnaire.pk],
        "questionnaire_file": [questionnaire.pk],
        "batch_detail": [batch.pk],
        "batch_log": [batch.pk],
        "endpoint_detail": [Endpoint.objects.latest("pk").pk],
        "batch_action": [batch.pk, "pause"],
        "dialogue_detail": [dialogue.uid],
        "attempt_detail": [dialogue.uid, 1, 1],
    }
    return {name: reverse(f"generation:{name}", args=args.get(name)) for name in READING}


@pytest.mark.parametrize("name", READING)
@pytest.mark.parametrize("role", ["rater", "researcher", "coordinator", "administrator"])
def test_page_opens_for_its_roles_only(
    name: str, role: str, batch: Batch, make_user: Users, client_of: Clients
) -> None:
    allowed = role in READING[name] | {"coordinator", "administrator"}
    response = client_of(make_user(role)).get(_addresses(batch)[name])
    assert response.status_code == (HTTPStatus.OK if allowed else HTTPStatus.FORBIDDEN)


@pytest.mark.parametrize("name", READING)
def test_stranger_is_sent_to_the_login(name: str, batch: Batch, client: Client) -> None:
    response = client.get(_addresses(batch)[name])
    assert response.status_code == HTTPStatus.FOUND
    assert response["Location"].startswith(reverse("account_login"))
    assert SECRET.encode() not in response.content


@pytest.mark.parametrize("name", READING)
@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}])
def test_rater_gets_no_byte_of_a_batch(
    name: str, headers: dict[str, str], batch: Batch, rater: User, client_of: Clients
) -> None:
    address = _addresses(batch)[name]
    page = client_of(rater).get(address, headers=headers)
    assert page.status_code == HTTPStatus.FORBIDDEN
    # The page knows its own address, as the rater does who typed it.
    answer = page.content.decode().replace(address, "")
    for told in (SECRET, rows.MODEL, "P0001", str(batch.dialogues.get().uid), "sqpsych 1."):
        assert told not in answer


@pytest.mark.parametrize("role", ["rater", "researcher"])
@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("profile_import", []),
        ("profile_sample", []),
        ("batch_create", []),
        ("batch_action", [1, "cancel"]),
        ("endpoint_list", []),
        ("endpoint_switch", [1, "disable"]),
    ],
)
def test_writing_is_for_coordinators(
    role: str, name: str, args: list[object], make_user: Users, client_of: Clients
) -> None:
    response = client_of(make_user(role)).post(reverse(f"generation:{name}", args=args))
    assert response.status_code == HTTPStatus.FORBIDDEN
    assert not Endpoint.objects.exists()


def test_what_is_not_there_is_not_found(
    coordinator: User, client_of: Clients, batch: Batch
) -> None:
    person = client_of(coordinator)
    for name, args in (
        ("profile_set_detail", [999]),
        ("profile_set_detail", [10**30]),
        ("profile_detail", [batch.profile_set_id, "nobody"]),
        ("batch_detail", [999]),
        ("batch_action", [999, "pause"]),
        ("dialogue_detail", [uuid4()]),
    ):
        assert person.get(reverse(f"generation:{name}", args=args)).status_code == 404


def test_profile_of_another_set_is_not_found(coordinator: User, client_of: Clients) -> None:
    first, second = rows.make_set(1, "first"), rows.make_set(2, "second")
    person = client_of(coordinator)
    assert person.get(f"/profiles/{second.pk}/P0002/").status_code == HTTPStatus.OK
    assert person.get(f"/profiles/{first.pk}/P0002/").status_code == HTTPStatus.NOT_FOUND


@pytest.mark.parametrize("verb", ["delete", "pausing", "PAUSE"])
def test_unknown_verb_is_no_address(
    verb: str, batch: Batch, coordinator: User, client_of: Clients
) -> None:
    assert client_of(coordinator).post(f"/batches/{batch.pk}/{verb}/").status_code == 404


@pytest.mark.parametrize(
    "name", ["profile_sample", "batch_create", "batch_action", "endpoint_list"]
)
def test_writing_asks_for_the_token(name: str, batch: Batch, coordinator: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(coordinator, backend="sqpsych_site.accounts.Accounts")
    assert client.post(_addresses(batch)[name]).status_code == HTTPStatus.FORBIDDEN
