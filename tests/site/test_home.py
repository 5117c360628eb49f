"""The home page: raters go to their queue, everybody else sees what is going on."""

from typing import Any

import html5lib
import pytest
from django.test import Client

from generation.models import Batch, Endpoint, ProfileSet
from review.actions import mark_flag_seen
from review.models import Flag, Study
from sqpsych_site.models import User
from tests.factories import WHEN, assignments_of, make_dialogue, make_study

OVERVIEW_ROLES = ("coordinator", "researcher", "administrator")


def batch(name: str, **values: Any) -> Batch:
    profiles, _ = ProfileSet.objects.get_or_create(name="set", defaults={"source": "x"})
    return Batch.objects.create(name=name, profile_set=profiles, seed=1, **values)


def flag(study: Study, rater: User, **values: Any) -> Flag:
    chosen: dict[str, Any] = {
        "category": "risk_cue_missed",
        "severity": "severe",
        "turn_number": 2,
    } | values
    return Flag.objects.create(assignment=assignments_of(study, rater)[0], **chosen)


def text_of(client: Client) -> str:
    return client.get("/").content.decode()


def test_rater_goes_to_the_queue(rater, client_of):
    response = client_of(rater).get("/")
    assert (response.status_code, response["Location"]) == (302, "/review/")


def test_stranger_goes_to_the_login(client, db):
    assert client.get("/")["Location"].startswith("/accounts/login/")


@pytest.mark.parametrize("role", OVERVIEW_ROLES)
def test_others_see_an_overview(make_user, client_of, role):
    response = client_of(make_user(role)).get("/")
    assert response.status_code == 200
    assert "<h1>Overview</h1>" in response.content.decode()


def test_overview_shows_batches_and_studies_under_way(coordinator, rater, client_of):
    running = batch("March")
    make_dialogue(batch=running)
    make_dialogue(batch=running, state="failed", failure_reason="empty")
    batch("Old one", state="finished")
    study = make_study([rater], [make_dialogue(), make_dialogue()], name="Pilot")
    study.assignments.filter(position=1).update(state="submitted", submitted_at=WHEN)
    make_study([rater], name="Finished study", state="closed")

    text = text_of(client_of(coordinator))
    assert "1 complete, 1 failed, 0 in progress, 0 waiting" in text
    assert "1 done, 0 in progress, 1 to do" in text
    assert f'href="/studies/{study.pk}/"' in text
    assert f'href="/batches/{running.pk}/"' in text
    assert "Old one" not in text
    assert "Finished study" not in text


def test_overview_tells_of_severe_flags_until_somebody_looked(coordinator, rater, client_of):
    study = make_study([rater], name="Pilot")
    severe = flag(study, rater)
    flag(study, rater, category="diagnosing", severity="concern")
    flag(study, rater, category="medical_advice", withdrawn_at=WHEN)
    client = client_of(coordinator)

    text = text_of(client)
    assert "Risk cue not followed" in text
    assert "Pilot, D001, turn 2" in text
    assert "Medication" not in text

    mark_flag_seen(flag=severe, by=coordinator)
    assert "Severe safety flags" not in text_of(client)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"state": "ready"}, "It serves smollm2."),
        (
            {"state": "starting", "state_detail": "installing"},
            "The model server is starting: installing.",
        ),
        ({"state": "unreachable", "state_detail": "no answer."}, "It does not answer: no answer."),
        ({"state": "unavailable", "state_detail": "too little memory"}, "It cannot run here: "),
        ({"state": "wrong_model"}, "It serves another model than smollm2."),
        ({"state": "unknown"}, "It has not been asked yet."),
        ({"state": "ready", "enabled": False}, "It is switched off."),
    ],
)
def test_overview_tells_the_state_of_a_model_server_in_words(
    coordinator, client_of, values, sentence
):
    Endpoint.objects.create(
        name="local", base_url="http://127.0.0.1:8001/v1", model="smollm2", **values
    )
    assert sentence in text_of(client_of(coordinator))


def test_empty_system_names_the_next_steps(coordinator, researcher, client_of):
    text = text_of(client_of(coordinator))
    assert '<a href="/profiles/">Import client profiles, or draw made-up ones.</a>' in text
    assert "None is entered; batches wait until there is one." in text
    # Somebody who may not do a step is not sent there.
    assert 'href="/profiles/"' not in text_of(client_of(researcher))


def test_next_steps_go_when_there_is_a_study(coordinator, rater, client_of):
    client = client_of(coordinator)
    assert "Next steps" in text_of(client)
    make_study([rater])
    assert "Next steps" not in text_of(client)


@pytest.mark.parametrize("item_count", [1, 3])
def test_overview_asks_the_same_number_of_queries(
    coordinator, rater, client_of, item_count, django_assert_num_queries
):
    for number in range(item_count):
        study = make_study([rater], name=f"Study {number}")
        flag(study, rater)
        make_dialogue(batch=batch(f"Batch {number}"))
        Endpoint.objects.create(name=f"e{number}", base_url="http://x", model="m")
    client = client_of(coordinator)
    with django_assert_num_queries(13):
        client.get("/")


def test_overview_is_sound_html(coordinator, rater, client_of):
    study = make_study([rater])
    flag(study, rater)
    batch("March")
    text = text_of(client_of(coordinator))
    tree = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(text)
    ids = [node.get("id") for node in tree.iter() if node.get("id")]
    assert len(ids) == len(set(ids))
    assert len(list(tree.iter("h1"))) == 1
