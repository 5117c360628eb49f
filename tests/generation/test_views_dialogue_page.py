"""One dialogue: a conversation, with all that lies behind it."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from generation.models import Dialogue
from sqpsych_site.models import User
from tests import generation_rows as rows
from tests.factories import make_dialogue

HOSTILE = '<script>alert(1)</script><img src=x onerror="x()"><a hx-get="/theft">'
Queries = Callable[[int], Any]


@pytest.fixture
def person(coordinator: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(coordinator)


@pytest.mark.parametrize("size", [1, 3])
def test_page_costs_the_same_for_any_number_of_turns(
    size: int, person: Client, django_assert_num_queries: Queries
) -> None:
    batch = rows.make_batch(3)
    dialogue = batch.dialogues.order_by("pk")[1]
    rows.speak(dialogue, ["a"] * size, endpoint=rows.make_server("gpu-2"))
    rows.notice(dialogue, "loops", 1)
    with django_assert_num_queries(9):
        person.get(f"/dialogues/{dialogue.uid}/")


def test_page_reads_like_a_conversation(person: Client) -> None:
    batch = rows.make_batch(1)
    dialogue = batch.dialogues.get()
    server = rows.make_server("gpu-2")
    rows.speak(dialogue, ["How are you?", "Um, tired.", "Tell me."], cached=50, endpoint=server)
    rows.reject(dialogue, 2, 2, text="As an AI …", kind="refusal")
    rows.notice(dialogue, "risk_cue", 2, "concern", "indirect words")
    rows.notice(dialogue, "not_screened")
    rows.complete(dialogue)
    response = person.get(f"/dialogues/{dialogue.uid}/")
    turns = response.context["turns"]
    assert [(each.number, each.role, each.text) for each in turns] == [
        (1, "therapist", "How are you?"),
        (2, "client", "Um, tired."),
        (3, "therapist", "Tell me."),
    ]
    assert turns[0].figures == (
        "10 tokens written, 100 read · 50 % from cache · 0.5 s · gpu-2 · finish reason stop"
    )
    (finding,) = turns[1].findings
    assert (finding.text, finding.severity, finding.detail) == (
        "Possible sign of risk",
        "concern",
        "indirect words",
    )
    assert [(each.outcome, each.why) for each in turns[1].attempts] == [
        ("Accepted", ()),
        ("Rejected", ("Refuses or steps out of the role (no words)",)),
    ]
    page = response.content.decode()
    assert "2 requests, 1 not taken" in page
    assert "As an AI …" in page
    assert page.count("Um, tired.") == 1
    assert "Synthetic dialogue" in page
    assert "Not looked through by the program" in page


def test_page_says_why_a_dialogue_failed(person: Client) -> None:
    batch = rows.make_batch(1)
    dialogue = batch.dialogues.get()
    rows.speak(dialogue, ["Hello."])
    rows.reject(dialogue, 2, 1, text="", kind="empty")
    rows.reject(dialogue, 2, 2, error="deadline")
    rows.fail(dialogue, "empty", "turn 2 (client): no text")
    response = person.get(f"/dialogues/{dialogue.uid}/")
    page = response.content.decode()
    assert "<strong>Empty reply, at every attempt.</strong> turn 2 (client): no text" in page
    last = response.context["turns"][-1]
    assert (last.number, last.role, last.text) == (2, "client", None)
    assert [each.why for each in last.attempts] == [
        ("Empty reply (no words)",),
        ("The answer did not come in time",),
    ]
    assert "no reply was taken" in page


def test_page_tells_where_the_dialogue_comes_from(person: Client) -> None:
    batch = rows.make_batch(1, seed=42)
    dialogue = batch.dialogues.get()
    dialogue.provenance["servers"] = {"gpu-1": "0.32.0"}
    dialogue.save()
    rows.complete(dialogue)
    facts = dict(person.get(f"/dialogues/{dialogue.uid}/").context["facts"])
    arm = batch.arms.get()
    assert facts["Public id"] == str(dialogue.uid)
    assert facts["Protocol"] == f"{arm.protocol} ({arm.protocol.sha256[:12]})"
    assert facts["Arm"] == f"A ({arm.sha256[:12]})"
    assert facts["Model"] == rows.MODEL
    assert facts["Seed"] == str(dialogue.seed)
    assert facts["Model servers"] == "gpu-1 (vLLM 0.32.0)"
    assert facts["Program version"] == dialogue.provenance["code"]
    assert facts["Prompts"] == dialogue.provenance["prompts"]["sha256"][:12]
    assert facts["End"] == "The therapist closed the session"
    assert "Client’s model" not in facts


def test_page_leads_to_its_neighbours_in_the_batch(person: Client) -> None:
    rows.make_batch(1, "before")
    batch = rows.make_batch(3)
    rows.make_batch(1, "after")
    first, second, third = batch.dialogues.order_by("pk")
    around = [_around(person, f"/dialogues/{each.uid}/") for each in (third, second, first)]
    assert around == [
        (None, f"/dialogues/{second.uid}/"),
        (f"/dialogues/{third.uid}/", f"/dialogues/{first.uid}/"),
        (f"/dialogues/{second.uid}/", None),
    ]


def _around(person: Client, url: str) -> tuple[str | None, str | None]:
    context = person.get(url).context
    return context.get("previous") or None, context.get("next") or None


def test_page_leads_on_within_the_filter_that_led_to_it(person: Client) -> None:
    batch, other = rows.make_batch(3), rows.make_batch(1, "other")
    first, _, third = batch.dialogues.order_by("pk")
    alien = other.dialogues.get()
    for each in (first, third, alien):
        rows.fail(each, "loops")
    query = "state=failed&finding=nonsense"
    listed = person.get(f"/dialogues/?{query}").content.decode()
    assert f'href="/dialogues/{third.uid}/?state=failed"' in listed
    assert _around(person, f"/dialogues/{third.uid}/?{query}") == (
        f"/dialogues/{alien.uid}/?state=failed",
        f"/dialogues/{first.uid}/?state=failed",
    )
    inside = f"?state=failed&batch={batch.pk}"
    response = person.get(f"/dialogues/{third.uid}/{inside}")
    assert not response.context.get("previous")
    assert 'href="/dialogues/?state=failed&amp;batch=' in response.content.decode()
    assert f'href="/dialogues/{third.uid}/{inside.replace("&", "&amp;")}"' in (
        person.get(f"/batches/{batch.pk}/?state=failed").content.decode()
    )


def test_page_of_an_imported_dialogue_needs_no_batch(person: Client) -> None:
    dialogue = make_dialogue(["Hello.", "Um."], external_id="ext-1", provenance={"prompts": []})
    response = person.get(f"/dialogues/{dialogue.uid}/")
    facts = dict(response.context["facts"])
    assert facts["Origin"] == "Imported"
    assert facts["Id in its file"] == "ext-1"
    assert response.context["prompts"] == []
    assert "1 request" not in response.content.decode()


def test_page_of_a_waiting_dialogue_says_that_it_waits(person: Client) -> None:
    dialogue = rows.make_batch(1).dialogues.get()
    assert "No turn yet" in person.get(f"/dialogues/{dialogue.uid}/").content.decode()


def test_page_keeps_hostile_text_as_text(person: Client) -> None:
    batch = rows.make_batch(1)
    dialogue = batch.dialogues.get()
    rows.speak(dialogue, [HOSTILE, "{{ 7|add:7 }} {% now 'Y' %}"])
    rows.reject(dialogue, 1, 2, text=HOSTILE, kind=HOSTILE)
    rows.notice(dialogue, HOSTILE[:60], 1, HOSTILE[:12], HOSTILE)
    rows.fail(dialogue, HOSTILE[:60], HOSTILE)
    Dialogue.objects.filter(pk=dialogue.pk).update(therapist_system=HOSTILE, title=HOSTILE)
    page = person.get(f"/dialogues/{dialogue.uid}/").content.decode()
    assert "<script>alert" not in page
    assert "<img" not in page
    assert "<a hx-get" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "{{ 7|add:7 }} {% now &#x27;Y&#x27; %}" in page
    talk = page.index('class="transcript"')
    assert page.rindex("hx-disable", 0, talk) > page.index("<main")
    for url in ("/dialogues/", f"/batches/{batch.pk}/"):
        listed = person.get(url).content.decode()
        assert "<script>alert" not in listed
        assert "<img" not in listed


def test_researcher_reads_without_the_profile(
    researcher: User, person: Client, client_of: Callable[[User], Client]
) -> None:
    dialogue = rows.make_batch(1).dialogues.get()
    case = dialogue.provenance["prompts"]["client_case"]
    line = next(part for part in case.splitlines() if part.startswith("I am "))
    theirs = client_of(researcher).get(f"/dialogues/{dialogue.uid}/")
    assert [title for title, _ in theirs.context["prompts"]] == [
        "The therapist’s instructions",
        "The client’s instructions",
    ]
    assert line not in theirs.content.decode()
    assert "/profiles/" not in theirs.content.decode()
    ours = person.get(f"/dialogues/{dialogue.uid}/")
    assert len(ours.context["prompts"]) == 4
    assert line in ours.content.decode()
