"""The list of dialogues: filtered, and paged by value so that it stays fast."""

import io
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from generation import actions
from generation.models import Dialogue, Origin
from generation.views import page
from sqpsych_site.models import User
from tests import generation_rows as rows
from tests.factories import make_dialogue

HOSTILE = '<script>alert(1)</script><img src=x onerror="x()"><a hx-get="/theft">'
Queries = Callable[[int], Any]


@pytest.fixture
def person(coordinator: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(coordinator)


def _listed(person: Client, **query: Any) -> list[Dialogue]:
    page = person.get(reverse("generation:dialogue_list"), query).context["page"]
    return list(page.rows)


@pytest.mark.parametrize("size", [1, 3])
def test_list_costs_the_same_for_any_number_of_dialogues(
    size: int, person: Client, django_assert_num_queries: Queries
) -> None:
    batch = rows.make_batch(size)
    for dialogue in batch.dialogues.all():
        rows.notice(dialogue, "risk_cue", 2)
        rows.notice(dialogue, "loops", 3)
    with django_assert_num_queries(7):
        response = person.get(reverse("generation:dialogue_list"))
    found = response.context["page"].rows
    assert [each.pk for each in found] == sorted(
        batch.dialogues.values_list("pk", flat=True), reverse=True
    )
    assert {each.noticed for each in found} == {2}


def test_list_filters_by_what_the_profile_is_like(
    person: Client, researcher: User, client_of: Callable[[User], Client]
) -> None:
    batch = rows.make_batch(12)
    made = list(batch.dialogues.select_related("profile").order_by("-pk"))
    content = b"file_id,condition,client_model,therapist_model,dialogue\n1,other,m,m,"
    content += b'"Therapist: Hello.\nClient: Hi."\n'
    actions.import_dialogues(
        name="theirs",
        filename="theirs.csv",
        source=io.BytesIO(content),
        file_format="sqpsychconv",
        by=None,
    )
    theirs = Dialogue.objects.get(origin=Origin.IMPORTED)
    profile = made[0].profile
    assert profile is not None
    band = f"phq9:{profile.bands['phq9']}"
    same_band = [d for d in made if d.profile and d.profile.bands["phq9"] == profile.bands["phq9"]]
    same_kind = [d for d in made if d.profile and d.profile.condition == profile.condition]
    assert 0 < len(same_band) < len(made)
    assert _listed(person, band=band) == same_band
    assert _listed(person, condition=profile.condition) == same_kind
    assert _listed(person, condition=profile.condition, band=band) == [
        each for each in same_kind if each in same_band
    ]
    assert _listed(person, condition="other") == [theirs]
    assert _listed(person, condition="nothing", band="phq9:none") == []
    response = person.get(reverse("generation:dialogue_list"), {"band": band})
    assert ("other", "other") in response.context["filter"]["condition"].field.widget.choices
    label = f"PHQ9: {profile.bands['phq9']}"
    assert f'<option value="{band}" selected>{label}</option>' in response.content.decode()
    # Who may not see profiles cannot ask what they are like either.
    other = client_of(researcher)
    blind = other.get(reverse("generation:dialogue_list"), {"band": band})
    assert len(blind.context["page"].rows) == 13
    assert "id_band" not in blind.content.decode()
    oldest = made[-1]
    beside = other.get(f"/dialogues/{oldest.uid}/?band={band}").context
    assert (beside["back"], beside["previous"]) == ("", f"/dialogues/{made[-2].uid}/")


def test_list_filters(person: Client) -> None:
    one, two = rows.make_batch(2, "one"), rows.make_batch(1, "two")
    first, second = one.dialogues.order_by("pk")
    third = two.dialogues.get()
    imported = make_dialogue()
    rows.fail(first, "loops")
    rows.fail(third, "empty")
    rows.notice(second, "risk_cue", 1)
    rows.notice(second, "risk_cue", 3)
    assert _listed(person, state="failed") == [third, first]
    assert _listed(person, batch=one.pk) == [second, first]
    assert _listed(person, batch=one.pk, state="failed") == [first]
    assert _listed(person, origin=Origin.IMPORTED) == [imported]
    assert _listed(person, finding="risk_cue") == [second]
    assert _listed(person, reason="empty") == [third]
    assert _listed(person, reason="empty", batch=one.pk) == []
    assert _listed(person, severity="notice") == [second]
    assert _listed(person, severity="urgent") == []
    arm = one.arms.get()
    assert _listed(person, batch=one.pk, arm=arm.pk) == [second, first]
    assert _listed(person, batch=two.pk, arm=arm.pk) == [third]
    assert _listed(person) == [imported, third, second, first]


def test_list_finds_by_public_id_profile_and_file_name(person: Client) -> None:
    batch = rows.make_batch(2)
    first, second = batch.dialogues.order_by("pk")
    imported = make_dialogue(external_id="active_17.txt")
    start = str(second.uid)
    assert _listed(person, find=start) == [second]
    assert _listed(person, find=start[:11].upper()) == [second]
    assert first.profile is not None
    assert _listed(person, find=first.profile.profile_id) == [first]
    assert _listed(person, find=" active_17.txt ") == [imported]
    assert _listed(person, find="active_1") == []
    assert _listed(person, find="' OR 1=1") == []


def test_list_tells_how_many_fit_and_what_to_look_at_soon(
    person: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *_ = rows.make_batch(3).dialogues.order_by("pk")
    rows.notice(first, "risk_not_followed", 2, "urgent")
    rows.notice(first, "loops", 3)
    response = person.get(reverse("generation:dialogue_list"))
    assert response.context["number"] == "3 dialogues"
    assert [(each.noticed, each.urgent) for each in response.context["page"].rows] == [
        *((0, 0), (0, 0), (2, 1))
    ]
    assert response.content.decode().count("look soon</span>") == 1
    monkeypatch.setattr(page, "COUNTED_UP_TO", 2)
    response = person.get(reverse("generation:dialogue_list"))
    assert response.context["number"] == "More than 2 dialogues"


@pytest.mark.parametrize(
    "query",
    [
        *("arm=1", "arm=x&batch=1", "severity=x", "batch=" + "9" * 30),
        *("state=x", "state=%00", "batch=999", "batch=x", "origin=x", "finding=x"),
        *("older=x", "newer=-1", "older=" + "9" * 40),
    ],
)
def test_list_passes_over_what_makes_no_sense(query: str, person: Client) -> None:
    dialogue = make_dialogue()
    response = person.get(f"{reverse('generation:dialogue_list')}?{query}")
    assert response.status_code == HTTPStatus.OK
    assert list(response.context["page"].rows) == [dialogue]


def test_list_pages_older_and_newer(person: Client) -> None:
    made = Dialogue.objects.bulk_create(Dialogue(origin=Origin.DEMO) for _ in range(120))
    newest_first = [each.pk for each in reversed(made)]
    url = reverse("generation:dialogue_list")
    pages, at = [], "?origin=demo"
    while at:
        page = person.get(url + at).context["page"]
        pages.append(page)
        at = page.older_url
    assert [[each.pk for each in page.rows] for page in pages] == [
        newest_first[:50],
        newest_first[50:100],
        newest_first[100:],
    ]
    assert pages[0].newer_url is None
    assert pages[1].older_url == f"?origin=demo&older={newest_first[99]}"
    back = person.get(url + pages[2].newer_url).context["page"]
    assert list(back.rows) == list(pages[1].rows)
    first = person.get(url + back.newer_url).context["page"]
    assert list(first.rows) == list(pages[0].rows)
    assert first.newer_url is None


def test_list_past_its_end_offers_the_way_back(person: Client) -> None:
    dialogue = make_dialogue()
    page = person.get(reverse("generation:dialogue_list"), {"older": dialogue.pk}).context["page"]
    assert (list(page.rows), page.newer_url, page.older_url) == ([], "?", None)


def test_list_with_few_newer_shows_a_full_first_page(person: Client) -> None:
    made = Dialogue.objects.bulk_create(Dialogue() for _ in range(60))
    page = person.get(reverse("generation:dialogue_list"), {"newer": made[-3].pk}).context["page"]
    assert len(page.rows) == 50
    assert page.rows[0].pk == made[-1].pk


def test_empty_list_says_what_to_do(person: Client) -> None:
    page = person.get(reverse("generation:dialogue_list")).content.decode()
    assert "No dialogues yet" in page
    assert f'href="{reverse("generation:batch_create")}"' in page
    page = person.get(reverse("generation:dialogue_list"), {"state": "failed"}).content.decode()
    assert "No dialogue fits" in page


def test_list_tells_the_reason_it_is_filtered_by(person: Client) -> None:
    page = person.get(reverse("generation:dialogue_list"), {"reason": "loops"}).content.decode()
    assert "Only those that failed for this reason: Goes round in circles" in page
    hostile = person.get(reverse("generation:dialogue_list"), {"reason": HOSTILE[:60]})
    assert b"<script>alert" not in hostile.content
