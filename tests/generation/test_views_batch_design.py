"""The batch designer: profiles by filter, arms, what it would take, previews, the start."""

import re
from collections.abc import Callable
from decimal import Decimal
from http import HTTPStatus
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from generation import actions
from generation.actions.claims import finish_batches
from generation.models import Batch, BatchState, Origin, ProfileSet
from generation.protocols import builtin_protocols
from sqpsych_site.models import AuditEntry, User
from tests import generation_rows as rows

HTMX = {"HX-Request": "true"}
HOSTILE = "<script>alert(1)</script>"
URL = "/batches/new/"
Queries = Callable[[int], Any]


@pytest.fixture
def person(coordinator: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(coordinator)


@pytest.fixture
def profiles(db: None) -> ProfileSet:
    """Twelve profiles, and a server for the model of the forms."""
    rows.make_server(max_concurrency=4)
    return rows.make_set(12)


def _arm(number: int = 0, **values: Any) -> dict[str, Any]:
    row = {
        "label": "AB"[number : number + 1] or f"A{number}",
        "protocol": "sqpsych",
        "therapist_model": rows.MODEL,
        "client_model": rows.MODEL,
    }
    return {f"arm-{number}-{name}": value for name, value in (row | values).items()}


def _form(profile_set: ProfileSet, *, arms: int = 1, **values: Any) -> dict[str, Any]:
    form = {"name": "pilot", "profile_set": profile_set.pk, "per_profile": 2, "seed": 5}
    for number in range(arms):
        form |= _arm(number)
    return form | {"arms": arms} | values


# -- the start -----------------------------------------------------------------------------


def test_start_makes_the_batch_as_designed(
    person: Client, profiles: ProfileSet, coordinator: User
) -> None:
    rows.make_server("gpu-2", "qwen")
    given = _form(
        profiles,
        arms=2,
        conditions=["depression", "control"],
        min_age=20,
        max_age=70,
        **{"arm-1-label": "no answers", "arm-1-client_model": "qwen"},
        **{"arm-1-switch-no_questionnaire": "on"},
    )
    response = person.post(URL, given)
    batch = Batch.objects.get()
    assert response.status_code == HTTPStatus.SEE_OTHER
    assert response["Location"] == f"/batches/{batch.pk}/"
    assert (batch.name, batch.per_profile, batch.seed) == ("pilot", 2, 5)
    assert (batch.created_by, batch.preview) == (coordinator, False)
    assert batch.profile_filter == {
        "conditions": ["depression", "control"],
        "min_age": 20,
        "max_age": 70,
    }
    first, second = batch.arms.order_by("label")
    assert (first.label, first.switches, first.client_model) == ("A", {}, rows.MODEL)
    assert (second.label, second.client_model) == ("no answers", "qwen")
    assert second.switches == {"no_questionnaire": True}
    fitting = profiles.profiles.filter(
        condition__in=["depression", "control"], age__gte=20, age__lte=70
    ).count()
    assert batch.dialogues.count() == fitting * 2 * 2
    by_htmx = person.post(URL, given | {"name": "again"}, headers=HTMX)
    assert by_htmx["HX-Redirect"] == f"/batches/{Batch.objects.latest('pk').pk}/"


@pytest.mark.parametrize("headers", [{}, HTMX])
@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"name": " "}, "id_name", "This field is required."),
        ({"profile_set": 0}, "id_profile_set", "Select a valid choice."),
        ({"per_profile": 0}, "id_per_profile", "greater than or equal to 1"),
        ({"seed": "x"}, "id_seed", "Enter a whole number."),
        ({"min_age": 50, "max_age": 40}, "id_max_age", "The greatest age is below the least."),
        ({"with_risk": "on"}, "id_risk_reason", "Say why they take part"),
        ({"arm-1-protocol": "x"}, "id_arm-1-protocol", "Select a valid choice."),
        ({"arm-1-client_model": HOSTILE}, "id_arm-1-client_model", "Select a valid choice."),
        ({"arm-1-label": ""}, "id_arm-1-label", "This field is required."),
        ({"arm-1-label": "A"}, "", "Two arms have the label “A”; give each its own."),
        ({"max_age": 1}, "", "No profile of the set “demo” fits the filter; widen it."),
        ({"per_profile": 1000, "arms": 50}, "id_arm-2-label", "This field is required."),
    ],
)
def test_start_says_what_is_wrong_and_keeps_what_was_given(
    change: dict[str, Any],
    field: str,
    words: str,
    headers: dict[str, str],
    person: Client,
    profiles: ProfileSet,
) -> None:
    response = person.post(URL, _form(profiles, arms=2) | change, headers=headers)
    assert response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    page = response.content.decode()
    assert ("<html" in page) == (not headers)
    assert words in page
    assert f'<a href="#{field}">' in page or not field
    assert HOSTILE not in page
    assert page.count('class="arm"') == change.get("arms", 2)
    assert not Batch.objects.exists()


def test_profiles_with_contradictions_can_be_left_out(person: Client, profiles: ProfileSet) -> None:
    for number, flawed in enumerate(profiles.profiles.order_by("pk")[:2]):
        flawed.pk, flawed.profile_id = None, f"flawed-{number}"
        flawed.findings = [{"kind": "band", "message": "a band that disagrees"}]
        flawed.save(force_insert=True)
    taken = {}
    for choice in ("", "none", "some"):
        response = person.post(URL, _form(profiles, action="refresh", findings=choice))
        taken[choice] = response.context["chosen"].taken
    assert taken == {"": 14, "none": 12, "some": 2}
    person.post(URL, _form(profiles, findings="none"))
    again = person.get(URL, {"from": Batch.objects.get().pk})
    assert again.context["form"]["findings"].value() == "none"


@pytest.fixture
def careful(db: None) -> str:
    """The key of a protocol that takes risk-positive profiles in for a reason only."""
    text = builtin_protocols()["sqpsych"].toml.replace('"include"', '"opt_in"', 1)
    text = text.replace('key = "sqpsych"', 'key = "careful"', 1)
    return actions.add_protocol(text=text, origin="careful.toml", by=None).key


def test_risk_positive_profiles_take_part_for_a_reason_only(
    person: Client, careful: str, profiles: ProfileSet
) -> None:
    risky = profiles.profiles.filter(risk_positive=True).count()
    assert 0 < risky < 12
    usual = person.post(URL, _form(profiles, action="refresh"))
    assert 'name="risk_reason"' not in usual.content.decode()
    assert usual.context["chosen"].taken == 12
    asked = _form(profiles) | {"arm-0-protocol": careful}
    response = person.post(URL, asked | {"action": "refresh"})
    page, chosen = response.content.decode(), response.context["chosen"]
    assert (chosen.fit, chosen.risky, chosen.taken) == (12, risky, 12 - risky)
    assert f"12 of 12 profiles fit; {risky:,} with a positive risk item stay out." in page
    assert 'name="risk_reason"' in page
    given = asked | {"with_risk": "on", "risk_reason": "a study of crisis talk"}
    estimate = person.post(URL, given | {"action": "estimate"}, headers=HTMX).content.decode()
    assert f"{risky:,} with a positive risk item take part." in estimate
    person.post(URL, given)
    batch = Batch.objects.get()
    assert (batch.with_risk, batch.risk_reason) == (True, "a study of crisis talk")
    assert batch.dialogues.values("profile").distinct().count() == 12
    assert AuditEntry.objects.filter(action="batch.include_risk").count() == 1


# -- arms as rows --------------------------------------------------------------------------


def _labels(response: Any) -> list[str]:
    return re.findall(r'name="arm-\d+-label" value="([^"]*)"', response.content.decode())


@pytest.mark.parametrize("headers", [{}, HTMX])
@pytest.mark.parametrize(
    ("action", "labels"),
    [
        ("add", ["A", "B", "C"]),
        ("copy-0", ["A", "C", "B"]),
        ("remove-0", ["B"]),
        ("remove-1", ["A"]),
        ("remove-2", ["A", "B"]),
        ("copy-9", ["A", "B"]),
        ("copy-" + "9" * 30, ["A", "B"]),
        ("nonsense", ["A", "B"]),
    ],
)
def test_arms_are_added_copied_and_removed(
    action: str,
    labels: list[str],
    headers: dict[str, str],
    person: Client,
    profiles: ProfileSet,
) -> None:
    given = _form(profiles, arms=2, name="", action=action, **{"arm-0-switch-no_questionnaire": ""})
    response = person.post(URL, given, headers=headers)
    assert response.status_code == HTTPStatus.OK
    assert _labels(response) == labels
    assert "errorlist" not in response.content.decode()
    assert not Batch.objects.exists()


def test_copy_takes_the_switches_and_models_along(person: Client, profiles: ProfileSet) -> None:
    rows.make_server("gpu-2", "qwen")
    row = _arm(0, client_model="qwen") | {"arm-0-switch-no_questionnaire": "on"}
    response = person.post(URL, _form(profiles, action="copy-0") | row)
    _, copied = response.context["design"].arms
    assert copied["client_model"].value() == "qwen"
    assert copied["switch-no_questionnaire"].value() is True


def test_last_arm_stays_and_arms_have_an_end(person: Client, profiles: ProfileSet) -> None:
    assert _labels(person.post(URL, _form(profiles, action="remove-0"))) == ["A"]
    many = _form(profiles, arms=50, action="add")
    assert len(_labels(person.post(URL, many))) == 50
    for number in ("x", "-1", "0", "9" * 20):
        assert (
            len(_labels(person.post(URL, _form(profiles) | {"arms": number, "action": "r"}))) == 1
        )


# -- what it would take --------------------------------------------------------------------


def _facts(response: Any) -> dict[str, str]:
    page = response.content.decode()
    return dict(re.findall(r"<dt>([^<]*)</dt>\s*<dd>([^<]*)</dd>", page))


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_estimate_without_a_measurement_says_so(
    headers: dict[str, str], person: Client, profiles: ProfileSet
) -> None:
    given = _form(profiles, arms=2, name="", action="estimate", at_most=3)
    response = person.post(URL, given, headers=headers)
    assert response.status_code == HTTPStatus.OK
    facts = _facts(response)
    assert (facts["Profiles"], facts["Dialogues"]) == ("3", "12")
    assert facts["Requests"] == "360 to 792"
    assert (facts["Time"], facts["Cost"]) == ("not known yet", "not known yet")
    page = response.content.decode()
    assert "By rule of thumb: no dialogue with these models has been measured here." in page
    assert ("<html" in page) == (not headers)
    assert "errorlist" not in page
    assert not Batch.objects.exists()


def test_estimate_goes_by_what_these_models_took_before(
    person: Client, profiles: ProfileSet
) -> None:
    before = rows.make_batch(2, "before")
    for dialogue in before.dialogues.all():
        rows.complete(
            dialogue,
            turn_count=40,
            requests=42,
            prompt_tokens=90_000,
            completion_tokens=1500,
            reply_ms=120_000,
            gpu_us=60_000_000,
            cost=Decimal("0.05"),
        )
    response = person.post(URL, _form(profiles, action="estimate", at_most=5))
    facts = _facts(response)
    assert facts["Dialogues"] == "10"
    assert facts["Requests"] == "about 420"
    assert (facts["Tokens read"], facts["Tokens written"]) == ("about 900 k", "about 15,000")
    # 1200 s of replies in four places, no less than one dialogue's 120 s; 600 s of one GPU.
    assert facts["Time"] == "5 min to 10 min"
    assert facts["GPU time"] == "about 0.17 h"
    assert facts["Cost"] == "about 0.50"
    assert "From 2 complete dialogues with these models." in response.content.decode()


def test_estimate_of_nonsense_asks_for_more(person: Client) -> None:
    given = {"action": "estimate", "per_profile": "x", "profile_set": HOSTILE}
    page = person.post(URL, given).content.decode()
    assert "Choose profiles, a protocol and models" in page
    assert HOSTILE not in page


# -- the beginning -------------------------------------------------------------------------


def test_duplicate_fills_the_whole_design_in(person: Client, profiles: ProfileSet) -> None:
    given = _form(
        profiles,
        arms=2,
        genders=["female", "male"],
        at_most=4,
        **{"arm-1-switch-no_questionnaire": "on"},
    )
    person.post(URL, given)
    batch = Batch.objects.get()
    again = person.get(URL, {"from": batch.pk})
    assert again.context["form"]["name"].value() == "pilot again"
    page = again.content.decode()
    assert "errorlist" not in page
    values = {name: again.context["form"][name].value() for name in ("genders", "at_most", "seed")}
    assert values == {"genders": ["female", "male"], "at_most": "4", "seed": "5"}
    assert _labels(again) == ["A", "B"]
    assert again.context["design"].arms[1]["switch-no_questionnaire"].value() is True
    copy = {**given, "name": "pilot again"}
    person.post(URL, copy)
    first, second = Batch.objects.order_by("pk")
    assert [arm.sha256 for arm in first.arms.all()] == [arm.sha256 for arm in second.arms.all()]
    assert first.profile_filter == second.profile_filter


@pytest.mark.parametrize("query", ["from=999", "from=x", "profile_set=x", "from=" + "9" * 40])
def test_form_passes_over_a_wrong_beginning(query: str, person: Client) -> None:
    response = person.get(f"{URL}?{query}")
    assert response.status_code == HTTPStatus.OK
    assert response.context["form"]["profile_set"].value() == ""


def test_form_offers_the_models_of_enabled_servers(person: Client) -> None:
    assert "No model server is entered yet" in person.get(URL).content.decode()
    rows.make_server("b", "alpha", state="starting")
    assert "No model server is ready just now." in person.get(URL).content.decode()
    rows.make_server("a", "zeta")
    rows.make_server("c", "beta", enabled=False)
    response = person.get(URL)
    (arm,) = response.context["design"].arms
    assert arm.fields["client_model"].choices == [("zeta", "zeta"), ("alpha", "alpha (starting)")]
    assert arm["client_model"].value() == "zeta"
    assert "No model server" not in response.content.decode()


@pytest.mark.parametrize("size", [1, 3])
def test_form_costs_the_same_for_any_number_of_sets_and_arms(
    size: int, person: Client, profiles: ProfileSet, django_assert_num_queries: Queries
) -> None:
    for number in range(size):
        rows.make_set(1, f"set {number}")
        rows.make_server(f"more-{number}")
    with django_assert_num_queries(13):
        person.post(URL, _form(profiles, arms=size, action="refresh"))


# -- previews ------------------------------------------------------------------------------


@pytest.mark.parametrize(("arms", "dialogues"), [(1, 3), (2, 2), (3, 3), (5, 3)])
def test_preview_makes_at_most_three_dialogues(
    arms: int, dialogues: int, person: Client, profiles: ProfileSet
) -> None:
    response = person.post(URL, _form(profiles, arms=arms, action="preview"), headers=HTMX)
    assert response.status_code == HTTPStatus.OK
    batch = Batch.objects.get()
    assert (batch.name, batch.preview) == ("Preview of pilot", True)
    made = batch.dialogues.select_related("arm")
    assert {each.origin for each in made} == {Origin.PREVIEW}
    assert len(made) == dialogues
    assert len({each.arm_id for each in made}) == min(arms, 3)
    page = response.content.decode()
    assert page.count('target="_blank"') == dialogues
    assert f'hx-get="/batches/{batch.pk}/preview/"' in page
    assert f'name="preview" value="{batch.pk}"' in page


def test_preview_is_in_no_list(person: Client, profiles: ProfileSet) -> None:
    person.post(URL, _form(profiles, action="preview"))
    batch = Batch.objects.get()
    assert person.get("/batches/").context["rows"] == []
    assert list(person.get("/dialogues/").context["page"].rows) == []
    assert "Preview of pilot" not in person.get("/").content.decode()
    page = person.get(f"/batches/{batch.pk}/")
    assert "preview</span>" in page.content.decode()
    assert len(person.get(f"/batches/{batch.pk}/").context["page"].rows) == 3
    assert len(person.get("/dialogues/?origin=preview").context["page"].rows) == 3
    dialogue = batch.dialogues.order_by("pk")[1]
    talk = person.get(f"/dialogues/{dialogue.uid}/")
    assert talk.context["previous"]
    assert talk.context["next"]


def test_preview_shows_how_far_it_is_until_it_is_over(person: Client, profiles: ProfileSet) -> None:
    person.post(URL, _form(profiles, action="preview"))
    batch = Batch.objects.get()
    url = reverse("generation:preview_detail", args=[batch.pk])
    assert person.get(url).status_code == HTTPStatus.SEE_OTHER
    first, *rest = batch.dialogues.order_by("pk")
    rows.speak(first, ["Hello.", "Um."])
    response = person.get(url, headers=HTMX)
    assert response.status_code == HTTPStatus.OK
    assert "2 turns" in response.content.decode()
    assert 'hx-trigger="every 3s"' in response.content.decode()
    for each in (first, *rest):
        rows.complete(each)
    finish_batches([batch.pk])
    response = person.get(url, headers=HTMX)
    assert response.status_code == 286
    assert "hx-trigger" not in response.content.decode()
    usual = rows.make_batch(1, "usual")
    missing = reverse("generation:preview_detail", args=[usual.pk])
    assert person.get(missing, headers=HTMX).status_code == HTTPStatus.NOT_FOUND


def test_preview_replaces_the_one_before(person: Client, profiles: ProfileSet) -> None:
    person.post(URL, _form(profiles, action="preview"))
    first = Batch.objects.get()
    person.post(URL, _form(profiles, action="preview", preview=first.pk))
    first.refresh_from_db()
    assert first.state == BatchState.CANCELLED
    assert Batch.objects.filter(state=BatchState.RUNNING).count() == 1
    usual = rows.make_batch(1, "usual")
    person.post(URL, _form(profiles, action="preview", preview=usual.pk))
    usual.refresh_from_db()
    assert usual.state == BatchState.RUNNING


def test_preview_that_is_refused_stores_and_cancels_nothing(
    person: Client, profiles: ProfileSet
) -> None:
    person.post(URL, _form(profiles, action="preview"))
    first = Batch.objects.get()
    given = _form(profiles, action="preview", preview=first.pk, max_age=1)
    response = person.post(URL, given)
    assert response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    first.refresh_from_db()
    assert first.state == BatchState.RUNNING
    assert Batch.objects.count() == 1


def test_researcher_cannot_design(
    researcher: User, profiles: ProfileSet, client_of: Callable[[User], Client]
) -> None:
    client = client_of(researcher)
    assert client.get(URL).status_code == HTTPStatus.FORBIDDEN
    assert client.post(URL, _form(profiles)).status_code == HTTPStatus.FORBIDDEN
    assert not Batch.objects.exists()
