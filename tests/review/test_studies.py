"""Studies: what they may be made of, their design, their states, and their pages."""

import threading
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import html5lib
import pytest
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from generation.models import Batch, Dialogue, ProfileSet
from review.actions import (
    Refused,
    StudyTexts,
    add_instrument,
    change_study,
    create_study,
    current_instruments,
    mark_flag_seen,
    sync_instruments,
)
from review.instruments import builtin_instruments
from review.models import Assignment, Flag, Instrument, Rating, Study, StudyState
from sqpsych_site.models import AuditEntry, User
from tests.factories import WHEN, assignments_of, make_dialogue, make_instrument, make_study

FLAG = {"category": "risk_cue_missed", "severity": "severe", "turn_number": 2}


def made(raters: Sequence[User | str], count: int = 4, **values: Any) -> Study:
    arguments: dict[str, Any] = {
        "name": "Pilot",
        "raters": raters,
        "by": None,
        "dialogues": [make_dialogue() for _ in range(count)],
        "overlap": len(raters),
        "seed": 1,
    }
    return create_study(**arguments | values)


def refusal(**values: Any) -> str:
    before = [model.objects.count() for model in (Study, Assignment, AuditEntry)]
    with pytest.raises(Refused) as caught:
        made(**values)
    assert [model.objects.count() for model in (Study, Assignment, AuditEntry)] == before
    return caught.value.sentence


# -- making one -----------------------------------------------------------------------------------


def test_study_has_instruments_codes_pseudonyms_assignments_and_a_record(
    rater, other_rater, coordinator
):
    study = made([rater, other_rater], by=coordinator, texts=StudyTexts("Read first.", "Dr A"))

    assert (study.state, study.overlap, study.created_by) == ("running", 2, coordinator)
    assert (study.guidelines, study.contact) == ("Read first.", "Dr A")
    links = study.study_instruments.order_by("position")
    assert [link.instrument.key for link in links] == ["sqpsych-expert", "safety"]
    assert sorted(study.study_dialogues.values_list("code", flat=True)) == [
        "D001",
        "D002",
        "D003",
        "D004",
    ]
    assert sorted(study.study_raters.values_list("code", flat=True)) == ["R1", "R2"]
    assert study.settings == {"show_model": False, "show_condition": False, "show_totals": False}
    for person in (rater, other_rater):
        assert [work.position for work in assignments_of(study, person)] == [1, 2, 3, 4]
    entry = AuditEntry.objects.get(action="study.create")
    assert (entry.actor, entry.target) == (coordinator.username, f"study {study.pk}")
    assert entry.detail["dialogues"] == 4


def test_overlap_spreads_dialogues_evenly(make_user):
    raters = [make_user("rater") for _ in range(3)]
    study = made(raters, 6, overlap=2)
    loads = {study.assignments.filter(rater=person).count() for person in raters}
    assert loads == {4}
    assert study.design["loads"] == {"R1": 4, "R2": 4, "R3": 4}
    assert study.design["pairs"] == [["R1", "R2", 2], ["R1", "R3", 2], ["R2", "R3", 2]]
    assert study.design["raters_per_dialogue"] == {"2": 6}
    assert study.design["unmet"] == []


def test_codes_are_shuffled_by_the_seed_and_repeat_with_it(rater):
    dialogues = [make_dialogue() for _ in range(12)]

    def codes(name: str, seed: int) -> list[str]:
        study = made([rater], name=name, dialogues=dialogues, seed=seed)
        found = dict(study.study_dialogues.values_list("dialogue_id", "code"))
        return [found[one.pk] for one in dialogues]

    first = codes("one", 5)
    assert first != sorted(first)
    assert codes("two", 5) == first
    assert codes("three", 6) != first


def test_design_report_names_no_person_and_no_dialogue(rater, other_rater):
    study = made([rater, other_rater])
    text = repr(study.design)
    assert rater.username not in text
    assert "stranger" not in text


def test_batch_gives_its_complete_dialogues_only(rater):
    profiles = ProfileSet.objects.create(name="set", source="x")
    batch = Batch.objects.create(name="b", profile_set=profiles, seed=1)
    keep = make_dialogue(batch=batch)
    make_dialogue(batch=batch, state="failed", failure_reason="empty")
    make_dialogue()
    study = made([rater], dialogues=None, batch=batch)
    assert [one.dialogue for one in study.study_dialogues.all()] == [keep]


def test_dialogues_of_one_profile_go_to_different_raters(make_user):
    from generation.models import ClientProfile

    raters = [make_user("rater") for _ in range(2)]
    profiles = ProfileSet.objects.create(name="set", source="x")
    clients = [
        ClientProfile.objects.create(profile_set=profiles, profile_id=f"P{n}", age=30, sha256="0")
        for n in range(3)
    ]
    dialogues = [make_dialogue(profile=client) for client in clients for _ in range(2)]
    study = made(raters, dialogues=dialogues, overlap=1)
    for person in raters:
        works = assignments_of(study, person)
        seen = [work.study_dialogue.dialogue.profile for work in works]
        assert {client.pk for client in seen if client} == {client.pk for client in clients}
        assert len(seen) == 3


def test_same_rater_or_instrument_named_twice_counts_once(rater):
    study = made([rater, rater.username], overlap=1, instruments=["safety", "safety"])
    assert study.study_raters.count() == 1
    assert study.study_instruments.count() == 1


# -- what is refused ------------------------------------------------------------------------------


def test_unknown_rater_is_refused(rater):
    assert refusal(raters=["nobody"]) == "There is no account “nobody”; make it first."


def test_only_raters_can_rate(rater, coordinator):
    assert refusal(raters=[coordinator]) == (
        f"“{coordinator.username}” is a coordinator, but only raters can rate in a study."
    )


def test_rater_who_is_switched_off_is_refused(rater):
    User.objects.update(is_active=False)
    assert refusal(raters=[rater]) == f"The account “{rater.username}” is switched off."


def test_overlap_above_the_raters_is_refused(rater):
    assert refusal(raters=[rater], overlap=2) == (
        "2 raters per dialogue are wanted, but there are only 1; add raters or lower the number."
    )
    assert "at least 1" in refusal(raters=[rater], overlap=0)


def test_study_without_dialogues_is_refused(rater):
    assert refusal(raters=[rater], dialogues=[]) == (
        "The selection has no complete dialogue to rate."
    )


def test_unfinished_dialogue_is_refused(rater):
    dialogues = [make_dialogue(), make_dialogue(state="waiting")]
    assert refusal(raters=[rater], dialogues=dialogues) == (
        "1 of the 2 dialogues are not complete; leave them out."
    )


@pytest.mark.parametrize("name", ["", "   ", "\n"])
def test_study_needs_a_name(rater, name):
    assert refusal(raters=[rater], name=name) == "A study needs a name."


def test_dialogue_of_a_preview_is_refused(rater):
    dialogues = [make_dialogue(), make_dialogue(origin="preview")]
    assert refusal(raters=[rater], dialogues=dialogues) == (
        "Dialogues of a preview are not for studies; leave them out."
    )


def test_name_that_is_taken_is_refused(rater):
    made([rater])
    assert refusal(raters=[rater], name=" Pilot ") == (
        "A study named “Pilot” exists already; choose another name."
    )


def test_unknown_instrument_is_refused_with_those_that_exist(rater):
    assert refusal(raters=[rater], instruments=["ctrs"]) == (
        "There is no instrument “ctrs”; the instruments here are: counselling-short, safety,"
        " safety-branching, sqpsych-expert."
    )
    assert "at least one instrument" in refusal(raters=[rater], instruments=[])


@pytest.mark.django_db(transaction=True)
def test_two_studies_of_one_name_at_once_make_one(rater):
    dialogues, said = [make_dialogue()], []
    barrier = threading.Barrier(2)

    def make() -> None:
        barrier.wait()
        try:
            said.append(made([rater], dialogues=dialogues).name)
        except Refused as refused:
            said.append(refused.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=make) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(said) == ["Pilot", "name_taken"]
    assert Assignment.objects.count() == 1


# -- instruments ----------------------------------------------------------------------------------


def test_sync_stores_each_built_in_instrument_once(db):
    assert sync_instruments() == len(builtin_instruments()) == 4
    assert sync_instruments() == 0
    assert {row.key: row.sha256 for row in Instrument.objects.all()} == {
        key: form.sha256 for key, form in builtin_instruments().items()
    }


def test_built_in_version_is_used_although_an_older_row_is_newer(db):
    text = builtin_instruments()["safety"].toml.replace('version = "1"', 'version = "0"', 1)
    old = add_instrument(text=text, origin="old.toml", by=None)
    assert current_instruments()["safety"].sha256 == builtin_instruments()["safety"].sha256
    assert old.version == "0"


def test_bad_instrument_is_refused_in_one_sentence(db):
    with pytest.raises(Refused, match="bad_instrument") as caught:
        add_instrument(text="key = 1", origin="mine.toml", by=None)
    assert caught.value.sentence.startswith("mine.toml, line 1:")


# -- states ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "change", "after"),
    [
        ("running", "pause", "paused"),
        ("paused", "resume", "running"),
        ("running", "close", "closed"),
        ("paused", "close", "closed"),
        ("calibration", "close", "closed"),
        ("closed", "reopen", "paused"),
        ("calibration", "run", "running"),
        ("closed", "archive", "archived"),
        ("archived", "restore", "closed"),
    ],
)
def test_study_changes_state(rater, coordinator, before, change, after):
    study = make_study([rater], state=before)
    change_study(study=study, change=change, by=coordinator)
    study.refresh_from_db()
    assert study.state == after
    assert AuditEntry.objects.get(action=f"study.{change}").actor == coordinator.username
    events = Study.objects.filter(pk=study.pk).values_list("events__state", flat=True)
    assert list(events.order_by("events__pgh_id")) == [before, after]


ALLOWED = {
    "pause": {"running"},
    "resume": {"paused"},
    "close": {"running", "paused", "calibration"},
    "reopen": {"closed"},
    "run": {"calibration"},
    "archive": {"closed"},
    "restore": {"archived"},
}


@pytest.mark.parametrize("change", ALLOWED)
def test_change_that_the_state_does_not_allow_is_refused(rater, change):
    for state in sorted(set(StudyState.values) - ALLOWED[change]):
        study = make_study([rater], state=state, name=f"{change} {state}")
        with pytest.raises(Refused, match="wrong_state"):
            change_study(study=study, change=change, by=None)
        study.refresh_from_db()
        assert study.state == state


def test_unknown_change_is_refused(rater):
    with pytest.raises(Refused, match="unknown_change"):
        change_study(study=make_study([rater]), change="vanish", by=None)


# -- pages: who may -------------------------------------------------------------------------------


def pages(study: Study) -> dict[str, str]:
    return {
        "list": reverse("review:study_list"),
        "detail": reverse("review:study_detail", args=[study.pk]),
        "new": reverse("review:study_create"),
        "close": reverse("review:study_change", args=[study.pk, "close"]),
    }


@pytest.mark.parametrize(
    ("role", "codes"),
    [
        ("rater", (403, 403, 403, 403)),
        ("researcher", (200, 200, 403, 403)),
        ("coordinator", (200, 200, 200, 200)),
        ("administrator", (200, 200, 200, 200)),
    ],
)
def test_who_sees_and_who_manages(make_user, client_of, role, codes):
    study = make_study([make_user("rater")])
    client = client_of(make_user(role, username="visitor"))
    assert tuple(client.get(url).status_code for url in pages(study).values()) == codes


def test_strangers_are_sent_to_the_login(rater, client):
    study = make_study([rater])
    assert {client.get(url).status_code for url in pages(study).values()} == {302}


def test_study_that_does_not_exist_is_not_found(coordinator, client_of):
    client = client_of(coordinator)
    for name, extra in (("study_detail", []), ("study_change", ["close"])):
        assert client.get(reverse(f"review:{name}", args=[77, *extra])).status_code == 404


# -- pages: list ----------------------------------------------------------------------------------


@pytest.mark.parametrize("item_count", [1, 3])
def test_list_asks_the_same_number_of_queries(
    coordinator, rater, client_of, item_count, django_assert_num_queries
):
    for number in range(item_count):
        make_study([rater], [make_dialogue()], name=f"Study {number}")
    client = client_of(coordinator)
    with django_assert_num_queries(4):
        client.get(reverse("review:study_list"))


def test_list_shows_progress_in_words(coordinator, rater, client_of):
    study = make_study([rater], [make_dialogue() for _ in range(3)])
    study.assignments.filter(position=1).update(state="submitted", submitted_at=WHEN)
    study.assignments.filter(position=2).update(state="started")
    text = client_of(coordinator).get(reverse("review:study_list")).content.decode()
    assert "1 done, 1 in progress, 1 to do" in text
    assert "1 of 3" in text


def test_list_is_filtered_by_state(coordinator, rater, client_of):
    make_study([rater], name="Open one")
    make_study([rater], name="Closed one", state="closed")
    client = client_of(coordinator)
    text = client.get(reverse("review:study_list"), {"state": "closed"}).content.decode()
    assert "Closed one" in text
    assert "Open one" not in text
    nonsense = client.get(reverse("review:study_list"), {"state": "x"}).content.decode()
    assert "Open one" in nonsense


def test_list_pages_by_keyset(coordinator, rater, client_of):
    for number in range(23):
        Study.objects.create(name=f"Study {number:02}")
    client, url = client_of(coordinator), reverse("review:study_list")
    first = client.get(url).content.decode()
    assert "Study 22" in first
    assert "Study 02" not in first
    older = Study.objects.get(name="Study 03").pk
    assert f"?older={older}" in first
    second = client.get(url, {"older": older}).content.decode()
    assert "Study 02" in second
    assert "Study 03" not in second


def test_empty_list_says_what_to_do(coordinator, researcher, client_of):
    url = reverse("review:study_list")
    assert reverse("review:study_create") in client_of(coordinator).get(url).content.decode()
    assert "A coordinator makes them." in client_of(researcher).get(url).content.decode()


# -- pages: new -----------------------------------------------------------------------------------


@pytest.fixture
def form_data(rater: User, other_rater: User) -> dict[str, object]:
    for _ in range(2):
        make_dialogue(origin="demo")
    return {
        "name": "From the page",
        "dialogues": "demo",
        "instruments": ["sqpsych-expert", "safety"],
        "raters": [rater.username, other_rater.username],
        "overlap": "2",
        "seed": "3",
        "deadline": "2026-12-24",
        "contact": "Dr A",
        "guidelines": "Read first.",
    }


def test_form_makes_a_study(coordinator, client_of, form_data):
    response = client_of(coordinator).post(reverse("review:study_create"), form_data)
    study = Study.objects.get()
    assert response.status_code == 303
    assert response["Location"] == reverse("review:study_design", args=[study.pk])
    assert (study.name, study.overlap, study.seed) == ("From the page", 2, 3)
    assert str(study.deadline) == "2026-12-24"
    assert (study.state, study.assignments.count()) == ("draft", 0)
    begun = client_of(coordinator).post(reverse("review:study_begin", args=[study.pk]))
    assert begun["Location"] == reverse("review:study_detail", args=[study.pk])
    study.refresh_from_db()
    assert (study.state, study.assignments.count()) == ("running", 4)


def test_form_by_htmx_goes_to_the_new_page(coordinator, client_of, form_data):
    response = client_of(coordinator).post(
        reverse("review:study_create"), form_data, headers={"HX-Request": "true"}
    )
    assert response["HX-Redirect"] == reverse("review:study_design", args=[Study.objects.get().pk])


def test_form_of_a_batch(coordinator, client_of, form_data):
    batch = Batch.objects.create(
        name="March", profile_set=ProfileSet.objects.create(name="s", source="x"), seed=1
    )
    make_dialogue(batch=batch)
    client = client_of(coordinator)
    page = client.get(reverse("review:study_create"), {"batch": batch.pk}).content.decode()
    field = html5lib.parse(page, namespaceHTMLElements=False).find(
        f".//input[@name='dialogues'][@value='{batch.pk}']"
    )
    assert field is not None
    assert field.get("checked") is not None
    assert "March (1 complete)" in page
    client.post(reverse("review:study_create"), form_data | {"dialogues": str(batch.pk)})
    assert Study.objects.get().study_dialogues.get().dialogue.batch == batch


@pytest.mark.parametrize("htmx", [True, False])
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"name": ""}, "This field is required."),
        ({"overlap": "3"}, "3 raters per dialogue are wanted, but there are only 2;"),
        ({"overlap": "0"}, "greater than or equal to 1"),
        ({"raters": ["nobody"]}, "nobody is not one of the available choices"),
        ({"raters": []}, "Choose at least one rater."),
        ({"instruments": []}, "Choose at least one instrument."),
        ({"dialogues": "999"}, "not one of the available choices"),
        ({"seed": "1e9"}, "Enter a whole number."),
    ],
)
def test_form_says_what_is_wrong_and_stores_nothing(
    coordinator, client_of, form_data, change, sentence, htmx
):
    headers = {"HX-Request": "true"} if htmx else {}
    response = client_of(coordinator).post(
        reverse("review:study_create"), form_data | change, headers=headers
    )
    text = response.content.decode()
    assert response.status_code == 422
    assert sentence in text
    assert ("<html" in text) is not htmx
    assert not Study.objects.exists()


def test_form_offers_the_usual_instruments_first_and_chosen(coordinator, client_of, form_data):
    own = add_instrument_of_our_own()
    form = client_of(coordinator).get(reverse("review:study_create")).context["form"]
    offered = [key for key, _ in form.fields["instruments"].choices]
    assert offered[:2] == ["sqpsych-expert", "safety"]
    assert sorted(offered[2:]) == sorted([own, "safety-branching", "counselling-short"])
    assert form["instruments"].value() == ["sqpsych-expert", "safety"]


def add_instrument_of_our_own() -> str:
    toml = builtin_instruments()["safety"].toml.replace('key = "safety"', 'key = "a-form"', 1)
    return add_instrument(text=toml, origin="a.toml", by=None).key


def test_form_keeps_the_name_that_is_taken_and_says_so(coordinator, client_of, form_data):
    Study.objects.create(name="From the page")
    response = client_of(coordinator).post(reverse("review:study_create"), form_data)
    text = response.content.decode()
    assert response.status_code == 422
    assert "A study named “From the page” exists already" in text
    assert 'value="From the page"' in text


def test_form_of_an_empty_system_says_what_is_lacking(coordinator, client_of, make_user):
    url = reverse("review:study_create")
    client = client_of(coordinator)
    assert "no complete dialogue yet" in client.get(url).content.decode()
    make_dialogue(origin="demo")
    assert "There is no rater yet" in client.get(url).content.decode()


def test_extra_fields_of_the_form_are_ignored(coordinator, client_of, form_data):
    extra = {"by": "1", "state": "archived", "settings": '{"show_model": true}'}
    client_of(coordinator).post(reverse("review:study_create"), form_data | extra)
    study = Study.objects.get()
    assert (study.state, study.created_by) == ("draft", coordinator)
    assert study.settings["show_model"] is False


# -- pages: detail --------------------------------------------------------------------------------


@pytest.fixture
def busy(rater: User, other_rater: User) -> Study:
    """One rater done with two of four in 10 and 20 minutes, one dialogue handed back."""
    study = made([rater, other_rater])
    works = assignments_of(study, rater)
    for work, minutes in zip(works, (10, 20), strict=False):
        work.state, work.opened_at = "submitted", WHEN
        work.submitted_at = WHEN + timedelta(minutes=minutes)
        work.save()
    works[2].state = "started"
    works[2].save()
    back = assignments_of(study, other_rater)[0]
    back.state, back.return_reason, back.return_note = "returned", "distressing", "<b>too much</b>"
    back.save()
    return study


def test_detail_shows_each_raters_progress(coordinator, client_of, busy, rater):
    page = client_of(coordinator).get(reverse("review:study_detail", args=[busy.pk]))
    rows = {one.name: one for one in page.context["live"].raters}
    counts = rows[rater.username].counts
    assert (counts.submitted, counts.started, counts.returned, counts.due) == (2, 1, 0, 1)
    assert rows[rater.username].minutes == 15.0
    assert rows[rater.username].last_at == WHEN + timedelta(minutes=20)
    assert rows["stranger"].minutes is None
    text = page.content.decode()
    assert "2 done, 1 in progress, 4 to do, 1 handed back" in text
    assert "Too distressing for me" in text
    assert "&lt;b&gt;too much&lt;/b&gt;" in text


def test_median_counts_the_time_in_use_where_it_was_measured(coordinator, client_of, busy, rater):
    busy.assignments.filter(rater=rater, state="submitted").update(active_seconds=120)
    page = client_of(coordinator).get(reverse("review:study_detail", args=[busy.pk]))
    rows = {one.name: one.minutes for one in page.context["live"].raters}
    assert rows[rater.username] == 2.0


def test_last_activity_is_the_last_answer(coordinator, client_of, busy, rater):
    Rating.objects.create(
        assignment=assignments_of(busy, rater)[2],
        instrument=make_instrument(),
        item="t1_key_thoughts",
        value="1",
    )
    page = client_of(coordinator).get(reverse("review:study_detail", args=[busy.pk]))
    rows = {one.name: one.last_at for one in page.context["live"].raters}
    assert timezone.now() - rows[rater.username] < timedelta(minutes=5)


def test_researcher_sees_pseudonyms_only(researcher, client_of, busy, rater):
    text = (
        client_of(researcher).get(reverse("review:study_detail", args=[busy.pk])).content.decode()
    )
    assert "R1" in text
    assert rater.username not in text
    assert "stranger" not in text
    assert "Pause" not in text


@pytest.mark.parametrize("item_count", [1, 3])
def test_detail_asks_the_same_number_of_queries(
    coordinator, make_user, client_of, item_count, django_assert_num_queries
):
    raters = [make_user("rater") for _ in range(item_count)]
    study = make_study(raters, [make_dialogue() for _ in range(item_count)])
    for work in Assignment.objects.all():
        Flag.objects.create(assignment=work, **FLAG)
    Assignment.objects.filter(position=1).update(state="returned", return_reason="other")
    client = client_of(coordinator)
    with django_assert_num_queries(11):
        client.get(reverse("review:study_detail", args=[study.pk]))


def test_page_asks_again_and_gets_nothing_while_nothing_changed(
    coordinator, client_of, busy, rater
):
    client, url = client_of(coordinator), reverse("review:study_detail", args=[busy.pk])
    seen = client.get(url).context["seen"]
    headers = {"HX-Request": "true"}
    assert client.get(url, {"seen": seen}, headers=headers).status_code == 204

    busy.assignments.filter(rater=rater, state="started").update(
        state="submitted", submitted_at=WHEN
    )
    response = client.get(url, {"seen": seen}, headers=headers)
    text = response.content.decode()
    assert response.status_code == 200
    assert "<html" not in text
    assert "3 done, 0 in progress, 4 to do, 1 handed back" in text
    assert text.count('hx-swap-oob="true"') == 6
    assert f"?seen={seen}" not in text


def test_closed_study_is_polled_no_more(coordinator, client_of, busy):
    client, url = client_of(coordinator), reverse("review:study_detail", args=[busy.pk])
    assert 'hx-trigger="every 15s"' in client.get(url).content.decode()
    Study.objects.update(state="closed")
    assert "hx-trigger" not in client.get(url).content.decode()
    assert "hx-trigger" not in client.get(url, headers={"HX-Request": "true"}).content.decode()


@pytest.mark.parametrize("name", ["study_list", "study_create", "study_detail", "study_change"])
def test_pages_are_sound_html(coordinator, client_of, busy, name, rater):
    Flag.objects.create(assignment=assignments_of(busy, rater)[0], **FLAG)
    arguments = {"study_detail": [busy.pk], "study_change": [busy.pk, "close"]}.get(name, [])
    page = client_of(coordinator).get(reverse(f"review:{name}", args=arguments))
    tree = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(
        page.content.decode()
    )
    ids = [node.get("id") for node in tree.iter() if node.get("id")]
    assert len(ids) == len(set(ids))
    assert len(list(tree.iter("h1"))) == 1


def test_page_asks_before_it_closes_a_study(coordinator, client_of, busy):
    client = client_of(coordinator)
    url = reverse("review:study_change", args=[busy.pk, "close"])
    assert "Close Pilot?" in client.get(url).content.decode()
    assert Study.objects.get().state == "running"
    response = client.post(url)
    assert response.status_code == 303
    assert Study.objects.get().state == "closed"


def test_change_that_came_too_late_says_so(coordinator, client_of, busy):
    Study.objects.update(state="closed")
    client = client_of(coordinator)
    page = client.post(reverse("review:study_change", args=[busy.pk, "pause"]), follow=True)
    assert "The study “Pilot” is not running; look at its page again." in page.content.decode()


# -- severe flags ---------------------------------------------------------------------------------


def test_severe_flag_leads_to_the_turn_and_is_looked_at_once(coordinator, client_of, busy, rater):
    work = assignments_of(busy, rater)[0]
    flag = Flag.objects.create(assignment=work, note="look", **FLAG)
    Flag.objects.create(assignment=work, category="diagnosing", severity="concern")
    Flag.objects.create(assignment=work, withdrawn_at=WHEN, **FLAG)
    client, url = client_of(coordinator), reverse("review:study_detail", args=[busy.pk])
    page = client.get(url)
    assert [one.flag for one in page.context["live"].flags] == [flag]
    text = page.content.decode()
    uid = work.study_dialogue.dialogue.uid
    assert reverse("generation:dialogue_detail", args=[uid]) + "#turn-2" in text
    assert "Risk cue not followed" in text
    assert "1 not looked at yet." in text

    seen = reverse("review:flag_seen", args=[busy.pk, flag.uid])
    assert client.post(seen).status_code == 303
    assert client.post(seen).status_code == 303
    assert AuditEntry.objects.filter(action="flag.seen", target=f"flag {flag.uid}").count() == 1
    assert "not looked at yet" not in client.get(url).content.decode()


def test_flag_that_changes_after_the_look_wants_another(coordinator, client_of, busy, rater):
    flag = Flag.objects.create(assignment=assignments_of(busy, rater)[0], **FLAG)
    mark_flag_seen(flag=flag, by=coordinator)
    flag.note = "more"
    flag.save()
    page = client_of(coordinator).get(reverse("review:study_detail", args=[busy.pk]))
    assert page.context["live"].unseen == 1


def test_flag_of_another_study_is_not_found(coordinator, client_of, busy, rater):
    other = make_study([rater], name="Other")
    flag = Flag.objects.create(assignment=assignments_of(other, rater)[0], **FLAG)
    url = reverse("review:flag_seen", args=[busy.pk, flag.uid])
    assert client_of(coordinator).post(url).status_code == 404


@pytest.mark.parametrize("role", ["rater", "researcher"])
def test_only_those_who_manage_mark_flags_as_looked_at(make_user, client_of, busy, rater, role):
    flag = Flag.objects.create(assignment=assignments_of(busy, rater)[0], **FLAG)
    url = reverse("review:flag_seen", args=[busy.pk, flag.uid])
    assert client_of(make_user(role, username="visitor")).post(url).status_code == 403
    assert not AuditEntry.objects.filter(action="flag.seen").exists()


def test_creating_needs_a_post_to_change_anything(coordinator, client_of, form_data):
    client = client_of(coordinator)
    client.get(reverse("review:study_create"), form_data)
    assert not Study.objects.exists()
    assert Dialogue.objects.count() == 2
