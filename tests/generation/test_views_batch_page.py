"""The page of one batch: live figures in words, and what can be done with the batch."""

import io
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import pytest
from django.db.models import F
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from generation import actions
from generation.actions.claims import finish_batches
from generation.actions.recipes import ArmSpec
from generation.models import (
    Batch,
    BatchSample,
    BatchState,
    DialogueState,
    Endpoint,
    EndpointSample,
    EngineEvent,
)
from sqpsych_site.models import User
from tests import generation_rows as rows

HTMX = {"HX-Request": "true"}
HOSTILE = "<script>alert(1)</script>"
Queries = Callable[[int], Any]


@pytest.fixture
def person(coordinator: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(coordinator)


def _busy(batch: Batch) -> Batch:
    """One dialogue complete, one failed, one under way, the rest waiting."""
    first, second, third, *_ = batch.dialogues.order_by("pk")
    rows.speak(first, ["a"] * 6, cached=75)
    rows.complete(first)
    rows.speak(second, ["a"] * 2)
    rows.fail(second, "loops")
    rows.speak(third, ["a"])
    rows.run(third)
    return batch


def test_page_tells_progress_in_words_and_figures(person: Client) -> None:
    batch = _busy(rows.make_batch(4))
    response = person.get(f"/batches/{batch.pk}/")
    sentence = response.context["sentence"]
    assert sentence.startswith("1 complete, 1 failed, 1 in progress, 1 waiting; about ")
    assert " left (ends near " in sentence
    tiles = {tile.label: (tile.value, tile.hint) for tile in response.context["tiles"]}
    assert tiles["Tokens written"] == ("90", "10 a turn")
    assert tiles["Prompt tokens from cache"] == ("75 %", "of 600 read")
    assert tiles["Turns per minute"][1] == "1 dialogue in flight"
    assert tiles["Cost so far"] == ("none", "not measured")
    assert response.context["servers"] == "gpu-1 ready."
    (arm,) = response.context["arms"]
    assert (arm.arm.label, arm.figures.exchanges, arm.figures.counts.failed) == ("A", 3.0, 1)
    (failed,) = response.context["failures"]
    assert (failed.in_words, failed.dialogues, failed.where) == (
        "Goes round in circles, at every attempt",
        1,
        "turn 3",
    )
    page = response.content.decode()
    query = f"?batch={batch.pk}&amp;reason=loops"
    assert f'href="/dialogues/{query}"' in page
    second = batch.dialogues.order_by("pk")[1]
    assert f'href="/dialogues/{second.uid}/{query}"' in page
    assert "The batch was started with 4 dialogues." in page


def test_page_of_a_new_batch_promises_no_time(person: Client) -> None:
    batch = rows.make_batch(2)
    response = person.get(f"/batches/{batch.pk}/")
    assert response.context["sentence"] == "0 complete, 0 failed, 0 in progress, 2 waiting"
    tiles = {tile.label: tile.value for tile in response.context["tiles"]}
    assert tiles == {
        "Turns per minute": "0",
        "Tokens written": "0",
        "Prompt tokens from cache": "none",
        "Cost so far": "none",
    }


def test_page_says_when_the_cache_is_not_reported(person: Client) -> None:
    batch = rows.make_batch(1)
    rows.speak(batch.dialogues.get(), ["a"])
    tiles = {t.label: t.value for t in person.get(f"/batches/{batch.pk}/").context["tiles"]}
    assert tiles["Prompt tokens from cache"] == "not reported"


@pytest.mark.parametrize("size", [3, 9])
@pytest.mark.parametrize("headers", [{}, HTMX])
def test_page_costs_the_same_for_any_number_of_dialogues(
    size: int, headers: dict[str, str], person: Client, django_assert_num_queries: Queries
) -> None:
    batch = _busy(rows.make_batch(size))
    with django_assert_num_queries(16):
        person.get(f"/batches/{batch.pk}/", headers=headers)


def test_page_tells_what_the_prefix_caches_served_as_vllm_counts(person: Client) -> None:
    batch = rows.make_batch(1)
    assert person.get(f"/batches/{batch.pk}/").context["caches"] == ""
    now = timezone.now()
    Batch.objects.filter(pk=batch.pk).update(created_at=now - timedelta(minutes=10))
    first = Endpoint.objects.get()
    elsewhere = rows.make_server("gpu-9", model="another")

    def look(endpoint: Endpoint, *counters: tuple[int, int]) -> None:
        EndpointSample.objects.bulk_create(
            EndpointSample(
                endpoint=endpoint,
                at=now - timedelta(seconds=60 - place),
                prefix_queries=queries,
                prefix_hits=hits,
            )
            for place, (queries, hits) in enumerate(counters)
        )

    look(first, (1_000, 0), (2_000, 900))
    look(elsewhere, (0, 0), (5_000, 0))
    page = person.get(f"/batches/{batch.pk}/")
    said = "Prefix caches, as vLLM counts: 90 % of prompt tokens in this time"
    assert page.context["caches"] == f"{said}."
    assert f'<p class="muted">{said}.</p>' in page.content.decode()
    look(rows.make_server("gpu-2"), (0, 0), (1_000, 500))
    assert person.get(f"/batches/{batch.pk}/").context["caches"] == (
        "Prefix caches, as vLLM counts: 70 % of prompt tokens in this time"
        " (gpu-1 90 %, gpu-2 50 %)."
    )


def test_page_tells_the_cost_in_gpu_time_and_money(person: Client) -> None:
    batch = rows.make_batch(2)
    first, second = batch.dialogues.order_by("pk")
    hour = 3_600_000_000
    rows.complete(first, requests=9, gpu_us=2 * hour, cost=Decimal("4.00"))
    rows.run(second)
    batch.dialogues.filter(pk=second.pk).update(requests=1, gpu_us=hour, unpriced_us=hour)
    response = person.get(f"/batches/{batch.pk}/")
    tile = response.context["tiles"][3]
    assert (tile.value, tile.hint) == ("3 GPU h", "price 4.00 in part, 3 h a dialogue")
    assert response.context["arms"][0].cost == "3"
    batch.dialogues.update(cost=0, unpriced_us=F("gpu_us"))
    tile = person.get(f"/batches/{batch.pk}/").context["tiles"][3]
    assert (tile.value, tile.hint) == ("3 GPU h", "3 h a dialogue")


def test_page_draws_what_was_in_flight(person: Client) -> None:
    batch = rows.make_batch(1)
    now = timezone.now()
    engine = uuid4()
    BatchSample.objects.bulk_create(
        BatchSample(
            batch=batch,
            engine=engine,
            at=now - timedelta(seconds=10 * age),
            dialogues=8 - age,
            requests=4 - age,
            turns=3,
        )
        for age in (1, 2, 3)
    )
    Batch.objects.filter(pk=batch.pk).update(created_at=now - timedelta(minutes=5))
    response = person.get(f"/batches/{batch.pk}/")
    speed, flight = response.context["plots"]
    assert (speed.words, speed.lines, speed.rows) == ("No turn in this time.", (), ())
    assert flight.words.endswith("at most 7 at once. Dashed: requests sent.")
    assert [values for _, values in flight.rows] == [("5", "1"), ("6", "2"), ("7", "3")]
    assert len(flight.lines) == 2
    page = response.content.decode()
    assert page.count("<polyline") == 2
    assert "<caption>Dialogues in flight</caption>" in page


def test_arm_tells_its_recipe_and_leads_to_its_dialogues(person: Client) -> None:
    rows.make_server()
    batch = actions.create_batch(
        name="two",
        profile_set=rows.make_set(1),
        arms=[
            ArmSpec("A", "sqpsych", rows.MODEL, rows.MODEL),
            ArmSpec("B", "sqpsych", rows.MODEL, rows.MODEL, {}, {"no_questionnaire": True}),
        ],
        by=None,
    )
    response = person.get(f"/batches/{batch.pk}/")
    first, second = response.context["arms"]
    assert first.recipe == str(first.arm.protocol)
    assert second.recipe == f"{second.arm.protocol}, No questionnaire"
    page = response.content.decode()
    assert f'href="/dialogues/?batch={batch.pk}&amp;arm={second.arm.pk}"' in page
    only = person.get(f"/batches/{batch.pk}/?arm={second.arm.pk}").context["page"].rows
    assert [each.arm_id for each in only] == [second.arm.pk]


def test_page_says_when_no_server_is_ready(person: Client) -> None:
    batch = rows.make_batch(1)
    Endpoint.objects.update(state="starting", state_detail="downloading the model: 40 %.")
    page = person.get(f"/batches/{batch.pk}/").content.decode()
    assert (
        "No model server for smollm2 is ready; dialogues wait."
        " gpu-1: starting (downloading the model: 40 %)." in page
    )
    Endpoint.objects.update(enabled=False)
    page = person.get(f"/batches/{batch.pk}/").content.decode()
    assert "No model server for smollm2 is switched on; dialogues wait until one is." in page


def test_page_names_no_server_that_is_not_needed(person: Client) -> None:
    batch = rows.make_batch(1)
    rows.make_server("other", "gemma", state="unreachable")
    assert person.get(f"/batches/{batch.pk}/").context["waiting_for"] == []
    Endpoint.objects.update(state="unreachable")
    rows.complete(batch.dialogues.get())
    assert person.get(f"/batches/{batch.pk}/").context["waiting_for"] == []


def test_running_page_asks_again_for_its_parts(person: Client) -> None:
    batch = rows.make_batch(1)
    page = person.get(f"/batches/{batch.pk}/").content.decode()
    assert 'hx-get="?seen=running-False" hx-trigger="every 3s" hx-swap="none"' in page
    again = person.get(f"/batches/{batch.pk}/?seen=running-False", headers=HTMX)
    assert again.status_code == HTTPStatus.OK
    parts = again.content.decode()
    assert "<html" not in parts
    for part in (
        *("progress", "tiles", "arms", "plots", "plot-tables", "failures", "log", "dialogues"),
    ):
        assert f'id="batch-{part}"' in parts
    assert parts.count('hx-swap-oob="true"') == 8
    assert 'id="batch-head"' not in parts


def test_heading_is_renewed_when_it_changes(person: Client) -> None:
    batch = rows.make_batch(2)
    rows.fail(batch.dialogues.order_by("pk")[0])
    url = f"/batches/{batch.pk}/?seen=running-False"
    parts = person.get(url, headers=HTMX).content.decode()
    assert '<div id="batch-head" class="stack" hx-swap-oob="true">' in parts
    assert "Retry failed" in parts


@pytest.mark.parametrize("end", ["finish", "cancel"])
def test_page_stops_asking_when_the_batch_is_over(end: str, person: Client) -> None:
    batch = rows.make_batch(1)
    if end == "finish":
        rows.complete(batch.dialogues.get())
        finish_batches([batch.pk])
    else:
        actions.cancel_batch(batch=batch, by=None)
    response = person.get(f"/batches/{batch.pk}/?seen=running-False", headers=HTMX)
    assert response.status_code == 286
    state = "finished" if end == "finish" else "cancelled"
    assert response["HX-Trigger"] == f'{{"say": "The batch is {state}."}}'
    page = person.get(f"/batches/{batch.pk}/").content.decode()
    assert "hx-trigger" not in page


def test_paused_page_asks_less_often(person: Client) -> None:
    batch = rows.make_batch(1)
    actions.pause_batch(batch=batch, by=None, reason="too many failures")
    page = person.get(f"/batches/{batch.pk}/").content.decode()
    assert 'hx-trigger="every 15s"' in page
    assert "too many failures" in page


def test_page_keeps_its_filter_while_it_asks_again(person: Client) -> None:
    batch = _busy(rows.make_batch(4))
    response = person.get(f"/batches/{batch.pk}/?state=failed")
    assert [each.state for each in response.context["page"].rows] == [DialogueState.FAILED]
    assert 'hx-get="?state=failed&amp;seen=running-True"' in response.content.decode()


def test_finished_page_shows_the_mean_speed(person: Client) -> None:
    batch = rows.make_batch(1)
    rows.speak(batch.dialogues.get(), ["a"] * 40, at=timezone.now() - timedelta(hours=3))
    rows.complete(batch.dialogues.get())
    finish_batches([batch.pk])
    tile = person.get(f"/batches/{batch.pk}/").context["tiles"][0]
    assert (tile.value, tile.hint) == ("4.0", "40 turns in 10 min")


def test_log_shows_the_newest_decisions(person: Client) -> None:
    batch, other = rows.make_batch(1), rows.make_batch(1, "other")
    EngineEvent.objects.create(batch=None, message="Everything waits.")
    EngineEvent.objects.bulk_create(
        EngineEvent(batch=batch, message=f"decision {n}") for n in range(20)
    )
    log = [event.message for event in person.get(f"/batches/{batch.pk}/").context["log"]]
    assert log == [f"decision {n}" for n in range(19, 7, -1)]
    log = [event.message for event in person.get(f"/batches/{other.pk}/").context["log"]]
    assert log == ["Everything waits.", "The batch was started with 1 dialogues."]
    response = person.get(f"/batches/{batch.pk}/log/")
    told = [event.message for event in response.context["page"].rows]
    assert told == [
        *(f"decision {n}" for n in range(19, -1, -1)),
        "Everything waits.",
        "The batch was started with 1 dialogues.",
    ]
    assert person.get(f"/batches/{batch.pk}/log/?older=1").context["page"].rows == []


def test_imported_batch_has_a_page_without_engine(person: Client, coordinator: User) -> None:
    text = "dialogue_id,turn,role,text\nx1,1,therapist,Hello.\nx1,2,client,Um.\n"
    batch = actions.import_dialogues(
        name="from outside",
        filename="d.csv",
        source=io.BytesIO(text.encode()),
        file_format="turns",
        by=coordinator,
    )
    response = person.get(f"/batches/{batch.pk}/")
    assert response.context["sentence"] == "1 complete, 0 failed, 0 in progress, 0 waiting"
    page = response.content.decode()
    assert "1 dialogue, imported " in page
    assert "Turns per minute" not in page
    assert "Add dialogues" not in page
    assert "Duplicate" not in page


def test_batch_with_a_hostile_name_stays_text(person: Client) -> None:
    batch = rows.make_batch(1, HOSTILE)
    for url in ("/batches/", f"/batches/{batch.pk}/", f"/batches/{batch.pk}/cancel/"):
        page = person.get(url).content.decode()
        assert HOSTILE not in page
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_researcher_sees_but_cannot_act(
    researcher: User, client_of: Callable[[User], Client]
) -> None:
    batch = _busy(rows.make_batch(4))
    page = client_of(researcher).get(f"/batches/{batch.pk}/").content.decode()
    for word in (
        "Pause",
        "Retry failed",
        "Add dialogues",
        "Duplicate",
        "/profiles/",
        "/endpoints/",
    ):
        assert word not in page


# -- what can be done ----------------------------------------------------------------------


def _act(person: Client, batch: Batch, verb: str) -> Any:
    return person.post(reverse("generation:batch_action", args=[batch.pk, verb]), follow=True)


def test_pause_and_resume(person: Client) -> None:
    batch = rows.make_batch(1)
    response = _act(person, batch, "pause")
    assert response.redirect_chain == [(f"/batches/{batch.pk}/", HTTPStatus.SEE_OTHER)]
    assert "The batch is paused." in response.content.decode()
    batch.refresh_from_db()
    assert batch.state == BatchState.PAUSED
    assert "The batch goes on." in _act(person, batch, "resume").content.decode()
    batch.refresh_from_db()
    assert batch.state == BatchState.RUNNING


def test_cancel_gives_up_what_is_open(person: Client) -> None:
    batch = _busy(rows.make_batch(4))
    page = _act(person, batch, "cancel").content.decode()
    assert "The batch is cancelled; 2 dialogues given up." in page
    assert batch.dialogues.filter(state=DialogueState.CANCELLED).count() == 2


def test_retry_lets_failed_dialogues_wait_again(person: Client) -> None:
    batch = _busy(rows.make_batch(4))
    assert "1 dialogue tried again." in _act(person, batch, "retry").content.decode()
    assert not batch.dialogues.filter(state=DialogueState.FAILED).exists()


def test_extend_adds_dialogues_to_each_arm(person: Client) -> None:
    batch = rows.make_batch(2)
    url = reverse("generation:batch_action", args=[batch.pk, "extend"])
    for wrong in ("", "0", "x", "1001"):
        response = person.post(url, {"count": wrong})
        assert response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
        assert "error-summary" in response.content.decode()
    assert batch.dialogues.count() == 2
    page = person.post(url, {"count": 3}, follow=True).content.decode()
    assert "6 dialogues added." in page
    assert batch.dialogues.count() == 8
    actions.cancel_batch(batch=batch, by=None)
    assert (
        "was cancelled; start a new one"
        in person.post(url, {"count": 1}, follow=True).content.decode()
    )


def test_act_twice_says_why_not(person: Client) -> None:
    batch = rows.make_batch(1)
    _act(person, batch, "pause")
    page = _act(person, batch, "pause").content.decode()
    assert "Problem:</strong> The batch “pilot” is not running" in page


@pytest.mark.parametrize("verb", ["pause", "resume", "cancel", "retry", "extend"])
def test_asking_before_changes_nothing(verb: str, person: Client) -> None:
    batch = rows.make_batch(1)
    response = person.get(reverse("generation:batch_action", args=[batch.pk, verb]))
    page = response.content.decode()
    assert f'action="/batches/{batch.pk}/{verb}/"' in page
    assert "pilot" in response.context["title"]
    batch.refresh_from_db()
    assert batch.state == BatchState.RUNNING
