"""One request behind a turn: what was sent and what came back, as it was."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import pytest
from django.test import Client

from generation.loading import load_work
from generation.models import Attempt, Dialogue
from generation.records import messages_sha256
from generation.session import Session, TurnRequest
from sqpsych_site.models import User
from tests import generation_rows as rows
from tests.factories import make_dialogue

HOSTILE = '<script>alert(1)</script><a hx-get="/theft">'
Queries = Callable[[int], Any]


@pytest.fixture
def person(coordinator: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(coordinator)


def _url(dialogue: Dialogue, turn: int, number: int = 1) -> str:
    return f"/dialogues/{dialogue.uid}/requests/{turn}/{number}/"


@pytest.fixture
def dialogue(db: None) -> Dialogue:
    """Three turns, each with the hash of the messages that the engine would have sent."""
    dialogue = rows.make_batch(1).dialogues.get()
    rows.speak(dialogue, ["How are you?", HOSTILE, "Tell me."])
    (work,) = load_work([dialogue.pk], {})
    for number in (1, 2, 3):
        session = Session(work.plan.protocol, work.prompts, work.history[: number - 1])
        asked = session.next_request()
        assert isinstance(asked, TurnRequest)
        record = {"model": "m", "messages_sha256": messages_sha256(asked.messages)}
        response = {"id": f"cmpl-{number}", "choices": [{"message": {"role": "assistant"}}]}
        Attempt.objects.filter(dialogue=dialogue, turn_number=number).update(
            request=record, response=response
        )
    return dialogue


def test_page_shows_the_messages_that_the_hash_proves(person: Client, dialogue: Dialogue) -> None:
    response = person.get(_url(dialogue, 3))
    sent = response.context["messages_sent"]
    assert [each.role for each in sent] == ["Instructions", "User", "Assistant", "User"]
    assert sent[0].text == dialogue.therapist_system
    assert dialogue.provenance["prompts"]["therapist_case"] in sent[1].text
    assert [each.text for each in sent[2:]] == ["How are you?", HOSTILE]
    page = response.content.decode()
    assert "its hash agrees" in page
    assert "cmpl-3" in page
    assert HOSTILE not in page
    assert "Tell me." in page


def test_page_of_a_changed_record_shows_no_messages(person: Client, dialogue: Dialogue) -> None:
    Dialogue.objects.filter(pk=dialogue.pk).update(therapist_system="something else")
    response = person.get(_url(dialogue, 3))
    assert response.context["messages_sent"] == []
    assert "cannot be put together again" in response.content.decode()
    assert response.status_code == HTTPStatus.OK


def test_researcher_reads_no_profile_in_a_request(
    researcher: User, dialogue: Dialogue, client_of: Callable[[User], Client]
) -> None:
    response = client_of(researcher).get(_url(dialogue, 3))
    assert [each.hidden for each in response.context["messages_sent"]] == [
        *(False, True, False, False)
    ]
    case = dialogue.provenance["prompts"]["therapist_case"]
    page = response.content.decode()
    assert max(case.splitlines(), key=len) not in page
    assert "How are you?" in page


def test_page_leads_through_the_requests(person: Client, dialogue: Dialogue) -> None:
    rows.reject(dialogue, 2, 2, text=HOSTILE, kind="refusal")
    rows.reject(dialogue, 4, 1, error="deadline")
    places = [(1, 1), (2, 1), (2, 2), (3, 1), (4, 1)]
    contexts = [person.get(_url(dialogue, *place)).context for place in places]
    assert [each["previous"] for each in contexts] == [None, *places[:-1]]
    assert [each["next"] for each in contexts] == [*places[1:], None]
    assert [each["tries"] for each in contexts] == [
        *("1 request", "2 requests", "2 requests", "1 request", "1 request")
    ]
    page = person.get(_url(dialogue, 4)).content.decode()
    assert "The answer did not come in time" in page
    assert "Nothing is stored of this request." in page
    talk = person.get(f"/dialogues/{dialogue.uid}/").content.decode()
    assert all(f'href="{_url(dialogue, *place)}"' in talk for place in places)


@pytest.mark.parametrize("place", [(1, 2), (9, 1), (0, 0)])
def test_request_that_never_was_is_not_found(
    place: tuple[int, int], person: Client, dialogue: Dialogue
) -> None:
    assert person.get(_url(dialogue, *place)).status_code == HTTPStatus.NOT_FOUND


def test_request_of_an_imported_dialogue_has_no_messages(person: Client) -> None:
    dialogue = make_dialogue()
    rows.reject(dialogue, 1, 1)
    response = person.get(_url(dialogue, 1))
    assert response.context["messages_sent"] == []
    assert "cannot be put together" not in response.content.decode()


@pytest.mark.parametrize("turn", [1, 3])
def test_page_costs_the_same_for_any_turn(
    turn: int, person: Client, dialogue: Dialogue, django_assert_num_queries: Queries
) -> None:
    with django_assert_num_queries(12):
        person.get(_url(dialogue, turn))
