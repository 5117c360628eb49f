"""The pages that make a study and change one: form, design, raters, dialogues, calibration."""

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from generation.models import ClientProfile, Dialogue, Finding, ProfileSet
from review.actions import Choices, Wishes, begin_study, draft_study, hand_back
from review.models import Reference, Study
from review.selection import Selection
from review.study_consistency import steadiness_of
from sqpsych_site.models import User
from tests.factories import WHEN, assignments_of, make_dialogue, make_instrument


@pytest.fixture
def people(make_user: Any) -> list[User]:
    return [make_user("rater", username=f"r{n}") for n in range(3)]


@pytest.fixture
def boss(coordinator: User, client_of: Any) -> Client:
    client: Client = client_of(coordinator)
    return client


def running(people: list[User], count: int = 6, **choices: Any) -> Study:
    wishes = Wishes(
        raters=people,
        dialogues=[make_dialogue() for _ in range(count)],
        instruments=["safety"],
        overlap=2,
        seed=1,
        choices=Choices(**choices),
    )
    return begin_study(study=draft_study(name="Pilot", wishes=wishes, by=None), by=None)


def url(name: str, study: Study) -> str:
    return reverse(f"review:{name}", args=[study.pk])


def text_of(client: Client, name: str, study: Study) -> str:
    response = client.get(url(name, study))
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


# -- which dialogues ------------------------------------------------------------------------------


@pytest.fixture
def corpus(db: None) -> dict[str, Dialogue]:
    """Four imported dialogues that differ in everything a selection can ask for."""
    profiles = ProfileSet.objects.create(name="set", source="x")
    mild, severe = (
        ClientProfile.objects.create(
            profile_set=profiles,
            profile_id=band,
            age=30,
            condition=condition,
            bands={"phq9": band},
            risk_positive=risk,
            sha256="0",
        )
        for band, condition, risk in (("mild", "anxiety", False), ("severe", "depression", True))
    )
    made = {
        "mild": make_dialogue(["a"] * 10, profile=mild),
        "severe": make_dialogue(["a"] * 20, profile=severe),
        "bare": make_dialogue(["a"] * 30),
        "demo": make_dialogue(["a"] * 40, origin="demo"),
    }
    make_dialogue(state="failed", failure_reason="empty")
    Finding.objects.create(dialogue=made["bare"], kind="leak", created_at=WHEN)
    return made


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, {"mild", "severe", "bare"}),
        ({"sources": ("demo",)}, {"demo"}),
        ({"sources": ("imported", "demo", "77")}, {"mild", "severe", "bare", "demo"}),
        ({"condition": "anxiety"}, {"mild"}),
        ({"band": "phq9:severe"}, {"severe"}),
        ({"risk": "yes"}, {"severe"}),
        ({"risk": "no"}, {"mild"}),
        ({"finding": "leak"}, {"bare"}),
        ({"finding": "none"}, {"mild", "severe"}),
        ({"fewest_turns": 20}, {"severe", "bare"}),
        ({"most_turns": 20}, {"mild", "severe"}),
        ({"arms": ("5",)}, set()),
    ],
)
def test_selection_filters_complete_dialogues(corpus, asked, found):
    names = {dialogue.pk: name for name, dialogue in corpus.items()}
    selection = Selection(**{"sources": ("imported",), **asked})
    assert {names[row.pk] for row in selection.rows()} == found
    assert Selection.from_json(selection.as_json()) == selection


def test_strata_are_named_in_words(corpus, django_assert_num_queries):
    strata = ("arm", "condition", "band", "risk", "findings")
    with django_assert_num_queries(1):
        found = Selection(sources=("imported",), strata=strata).sample(seed=1)
    assert [one.name for one in found.strata] == [
        "Imported; anxiety; phq9 mild; no risk; without findings",
        "Imported; depression; phq9 severe; risk; without findings",
        "Imported; no condition; no band; no profile; with findings",
    ]
    assert Selection.from_json({}) is None


# -- the form -------------------------------------------------------------------------------------


def filled(**change: Any) -> dict[str, Any]:
    return {
        "name": "From the page",
        "dialogues": ["imported"],
        "instruments": ["safety"],
        "raters": ["r0", "r1", "r2"],
        "overlap": "2",
        "seed": "3",
        **change,
    }


@pytest.mark.parametrize("htmx", [True, False])
def test_form_previews_the_sample_and_stores_nothing(boss, people, corpus, htmx):
    data = filled(size="2", strata=["condition"], how="equal", action="preview")
    headers = {"HX-Request": "true"} if htmx else {}
    response = boss.post(reverse("review:study_create"), data, headers=headers)
    text = " ".join(response.content.decode().split())
    assert response.status_code == 200
    assert ("<html" in text) is not htmx
    row = '<th scope="row">anxiety</th><td class="num">1</td><td class="num">1</td>'
    assert row in text
    assert not Study.objects.exists()


def test_every_choice_of_the_form_is_kept_and_shown_again(boss, people, corpus, make_user):
    make_user("rater", username="expert")
    for _ in range(6):
        make_dialogue()
    data = filled(
        size="6",
        quotas="r0 1, r1 5",
        share="50",
        order="same",
        same_profile="on",
        repeats="1",
        training_from="selection",
        training="2",
        expert="expert",
        gate="80",
        gate_last="1",
        show_totals="on",
        contact="Dr A",
    )
    assert boss.post(reverse("review:study_create"), data).status_code == 303
    study = Study.objects.get()
    assert (study.overlap_share, study.rating_order, study.same_profile) == (0.5, "same", True)
    assert (study.repeats, study.gate, study.gate_last) == (1, 0.8, 1)
    assert study.settings["show_totals"] is True
    assert study.selection["size"] == 6
    assert study.study_dialogues.filter(training=True).count() == 2
    assert study.study_dialogues.filter(training=False).count() == 6
    quotas = dict(study.study_raters.values_list("rater__username", "quota"))
    assert quotas == {"r0": 1, "r1": 5, "r2": None, "expert": None}

    form = boss.get(url("study_edit", study)).context["form"]
    again = {
        field.name: field.value() for field in form if field.value() not in (None, "", [], False)
    }
    before = sorted(study.study_dialogues.values_list("dialogue", "code", "training"))
    assert boss.post(url("study_edit", study), again | {"name": "Renamed"}).status_code == 303
    study.refresh_from_db()
    assert (study.name, study.gate, study.overlap_share) == ("Renamed", 0.8, 0.5)
    assert sorted(study.study_dialogues.values_list("dialogue", "code", "training")) == before
    assert dict(study.study_raters.values_list("rater__username", "quota")) == quotas


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"quotas": "r0"}, "Write a name and a number for each, such as: anna 20."),
        ({"quotas": "zoe 5"}, "There is no rater “zoe”."),
        ({"training_from": "selection"}, "Say how many training dialogues there are to be."),
        ({"training_from": "selection", "training": "2"}, "Only 0 dialogues are left for training"),
        ({"gate": "70"}, "needs training dialogues: choose some."),
        ({"condition": "depression", "most_turns": "5"}, "has no complete dialogue to rate"),
        ({"share": "101"}, "less than or equal to 100"),
    ],
)
def test_form_says_what_is_wrong(boss, people, corpus, change, sentence):
    response = boss.post(reverse("review:study_create"), filled(**change))
    assert response.status_code == 422
    assert sentence in response.content.decode()
    assert not Study.objects.exists()


def test_of_a_begun_study_only_the_texts_can_be_edited(boss, people):
    study = running(people)
    page = text_of(boss, "study_edit", study)
    assert 'name="guidelines"' in page
    assert 'name="overlap"' not in page
    boss.post(url("study_edit", study), {"guidelines": "New.", "overlap": "1"})
    study.refresh_from_db()
    assert (study.guidelines, study.overlap) == ("New.", 2)


# -- the design -----------------------------------------------------------------------------------


def test_design_page_shows_loads_pairs_and_precision(boss, people, researcher, client_of):
    study = running(people, 12)
    page = text_of(boss, "study_design", study)
    assert "Every wish is met" in page
    assert '<th scope="row">R1</th><td class="num">–</td><td class="num">4</td>' in page
    assert "12 dialogues have two raters or more." in page
    assert "<strong>159 dialogues</strong>" in page
    part = boss.get(
        url("study_design", study), {"expected": 80, "width": 30}, headers={"HX-Request": "true"}
    )
    assert "<strong>28 dialogues</strong>" in part.content.decode()
    assert "<html" not in part.content.decode()
    nonsense = boss.get(url("study_design", study), {"expected": "x", "width": "-3"})
    assert "<strong>159 dialogues</strong>" in nonsense.content.decode()
    assert "Begin the study" not in page
    assert "study-duplicate" not in text_of(client_of(researcher), "study_design", study)


def test_draft_leads_to_its_design_and_is_begun_or_thrown_away_there(boss, people):
    make_dialogue()
    boss.post(reverse("review:study_create"), filled())
    study = Study.objects.get()
    assert boss.get(url("study_detail", study))["Location"] == url("study_design", study)
    page = text_of(boss, "study_design", study)
    assert "Begin the study" in page
    assert "Throw it away" in page
    copy = boss.post(url("study_duplicate", study))
    assert copy["Location"] == url("study_edit", Study.objects.get(name="From the page (2)"))
    boss.post(url("study_discard", study))
    assert not Study.objects.filter(pk=study.pk).exists()


# -- raters and dialogues -------------------------------------------------------------------------


def test_raters_are_invited_limited_and_removed_on_the_page(boss, people, make_user):
    study = running(people)
    make_user("rater", username="new")
    page = url("study_raters", study)
    assert boss.post(page, {"action": "add"}).status_code == 422
    done = boss.post(page, {"action": "add", "raters": ["new"]}, follow=True).content.decode()
    assert "12 unopened ratings taken back, 12 given out" in done
    code = study.study_raters.get(rater=people[0]).code
    boss.post(page, {"action": "limit", "rater": code, "left": "1"})
    assert study.assignments.filter(rater=people[0]).count() == 1
    wrong = boss.post(page, {"action": "limit", "rater": code, "left": "x"}, follow=True)
    assert "Say how many dialogues the rater is to keep." in wrong.content.decode()
    assert boss.post(page, {"action": "remove", "rater": "R99"}).status_code == 404
    boss.post(page, {"action": "remove", "rater": code})
    assert "left" in text_of(boss, "study_raters", study)
    assert not study.assignments.filter(rater=people[0]).exists()


def test_backgrounds_are_noted_on_the_raters_page(boss, people):
    study = running(people)
    given = {"action": "describe", "rater": "R2", "profession": "psychologist", "years": "4"}
    text = boss.post(url("study_raters", study), given, follow=True).content.decode()
    assert "Noted for R2." in text
    assert 'name="profession" maxlength="60" value="psychologist"' in text
    for wrong in ({"years": "many"}, {"rater": "R9"}):
        text = boss.post(url("study_raters", study), given | wrong, follow=True).content.decode()
        assert "Noted for" not in text
    assert study.study_raters.get(code="R2").years == 4


def test_page_offers_to_give_on_what_was_handed_back(boss, people):
    study = running(people)
    assert "make-up" not in text_of(boss, "study_raters", study)
    hand_back(uid=assignments_of(study, people[0])[0].uid, by=people[0], reason="other")
    assert "1 rating lacking" in text_of(boss, "study_raters", study)
    boss.post(url("study_raters", study), {"action": "make_up"})
    assert "make-up" not in text_of(boss, "study_raters", study)


@pytest.mark.parametrize("count", [1, 3])
def test_raters_page_asks_the_same_number_of_queries(
    boss, make_user, count, django_assert_num_queries
):
    people = [make_user("rater", username=f"q{n}") for n in range(count + 1)]
    study = running(people)
    boss.get(url("study_raters", study))
    with django_assert_num_queries(9):
        boss.get(url("study_raters", study))


def test_dialogues_are_added_after_a_preview(boss, people):
    study = running(people)
    more = [make_dialogue() for _ in range(3)]
    page = url("study_dialogues", study)
    asked = {"dialogues": ["imported"], "seed": "1", "size": "2"}
    seen = boss.post(page, asked | {"action": "preview"}, headers={"HX-Request": "true"})
    assert '<td class="num">3</td><td class="num">2</td>' in seen.content.decode()
    assert study.study_dialogues.count() == 6
    assert boss.post(page, asked | {"action": "add"}).status_code == 303
    added = set(study.study_dialogues.values_list("dialogue", flat=True)) & {one.pk for one in more}
    assert len(added) == 2
    assert boss.post(page, {"action": "add", "seed": "1"}).status_code == 422


# -- calibration ----------------------------------------------------------------------------------


def test_references_are_loaded_from_the_file_that_the_page_gives(boss, people):
    study = running(people, training=[make_dialogue()], gate=0.5)
    code = study.study_dialogues.get(training=True).code
    assert f"{code} lacks a reference" in text_of(boss, "study_calibration", study)
    blank = boss.get(url("reference_file", study)).content.decode()
    lines = blank.splitlines()
    assert lines[:3] == [
        "dialogue,instrument,item,turn,flag,value,reason",
        f"{code},safety,safety_problem,,,,",
        f"{code},safety,,,risk_cue_missed,,",
    ]
    assert len(lines) == 19  # the question, and 17 kinds of flag
    answer = blank.replace("safety_problem,,,,", "safety_problem,,,no,Nothing there.")
    sent = {"file": SimpleUploadedFile("r.csv", answer.encode()), "action": "load"}
    assert boss.post(url("study_calibration", study), sent).status_code == 303
    assert Reference.objects.get().reason == "Nothing there."
    assert boss.get(url("reference_file", study)).content.decode() == answer
    wrong = {"file": SimpleUploadedFile("r.csv", answer.replace(",no,", ",7,").encode())}
    response = boss.post(url("study_calibration", study), wrong)
    assert response.status_code == 422
    assert "Line 2: " in response.content.decode()


def test_coordinator_lets_a_rater_through_on_the_page(boss, people):
    study = running(people, training=[make_dialogue()])
    code = study.study_raters.get(rater=people[0]).code
    assert f'Let through<span class="visually-hidden"> {code}' in text_of(
        boss, "study_calibration", study
    )
    boss.post(url("study_calibration", study), {"action": "clear", "rater": code})
    assert study.study_raters.get(code=code).cleared_at
    assert (
        boss.post(url("study_calibration", study), {"action": "clear", "rater": "R9"}).status_code
        == 404
    )


def test_steadiness_compares_both_sights_of_a_dialogue(boss, people):
    study = running(people[:2], 9, repeats=3)
    form = make_instrument("safety")
    for work in assignments_of(study, people[0]):
        work.ratings.create(
            instrument=form,
            item="safety_problem",
            value="yes"
            if work.kind == "repeat" and work.alias == study.design["aliases"][0]
            else "no",
        )
    study.assignments.filter(rater=people[0]).update(state="submitted", submitted_at=WHEN)
    (found,) = steadiness_of(study)
    assert (found.rater, found.dialogues, found.answers) == (
        study.study_raters.get(rater=people[0]).code,
        3,
        3,
    )
    assert found.same == pytest.approx(2 / 3)
    assert "0.67" in text_of(boss, "study_calibration", study)


@pytest.mark.parametrize("count", [1, 3])
def test_calibration_page_asks_the_same_number_of_queries(
    boss, make_user, count, django_assert_num_queries
):
    people = [make_user("rater", username=f"q{n}") for n in range(count + 1)]
    study = running(people, training=[make_dialogue()])
    boss.get(url("study_calibration", study))
    with django_assert_num_queries(19):
        boss.get(url("study_calibration", study))
