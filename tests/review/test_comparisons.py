"""Pairwise studies: how they are made, what a rater's choice means, and what nobody may see."""

import csv
import io
import threading
import zipfile
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.urls import reverse

from generation.models import Arm, Batch, Dialogue, ProfileSet, Protocol
from generation.models import ClientProfile as Profile
from review.actions import (
    Refused,
    change_study,
    create_comparison_study,
    hand_back_comparison,
    next_comparison,
    reopen_comparison,
    save_comparison,
    submit_comparison,
)
from review.actions.comparisons import Judged, StaleComparison, as_choice, as_side
from review.comparison_results import results_of
from review.models import Comparison, ComparisonPair, Study
from review.progress import counts_by_study
from sqpsych_site.models import AuditEntry
from tests.factories import make_dialogue


def make_batch(arms: str = "AB", profiles: int = 4, name: str = "Pilot batch") -> Batch:
    """A batch with one complete dialogue of every profile and arm."""
    people = ProfileSet.objects.create(name=f"set of {name}", source="x")
    batch = Batch.objects.create(name=name, profile_set=people, seed=1)
    protocol, _ = Protocol.objects.get_or_create(
        sha256="f" * 64, defaults={"key": "p", "version": "1", "title": "P", "toml": ""}
    )
    clients = [
        Profile.objects.create(
            profile_set=people, profile_id=f"c{n}", age=30, condition="mdd", sha256=f"{n:064}"
        )
        for n in range(profiles)
    ]
    for label in arms:
        arm = Arm.objects.create(
            batch=batch,
            label=label,
            protocol=protocol,
            therapist_model=f"secret-model-{label}",
            client_model=f"secret-model-{label}",
            sha256="e" * 64,
        )
        for client in clients:
            texts = ["Welcome.", f"{client.profile_id} says hm", f"answer of arm {label}"]
            make_dialogue(texts, batch=batch, arm=arm, profile=client, origin="generated")
    return batch


def made(raters: list[Any], batch: Batch | None = None, **values: Any) -> Study:
    arguments: dict[str, Any] = {"name": "Duel", "raters": raters, "by": None, "seed": 3}
    return create_comparison_study(batches=[batch or make_batch()], **arguments | values)


def first_of(study: Study, rater: Any) -> Comparison:
    return study.comparisons.filter(rater=rater).order_by("position")[0]


# -- making one ------------------------------------------------------------------------------------


def test_study_pairs_arms_of_one_profile_and_balances_sides(rater, other_rater, coordinator):
    study = made([rater, other_rater], make_batch("ABC", 6), overlap=2, by=coordinator)
    pairs = list(study.comparison_pairs.select_related("one__dialogue", "other__dialogue"))
    assert len(pairs) == 18
    for pair in pairs:
        one, other = pair.one.dialogue, pair.other.dialogue
        assert one.profile_id == other.profile_id
        assert one.arm is not None
        assert other.arm is not None
        assert (one.arm.label, other.arm.label) in {("A", "B"), ("A", "C"), ("B", "C")}
    assert study.comparisons.count() == 36
    for person in (rater, other_rater):
        mine = study.comparisons.filter(rater=person)
        assert sorted(mine.values_list("position", flat=True)) == list(range(1, 19))
        for arms in {(p.one.dialogue.arm_id, p.other.dialogue.arm_id) for p in pairs}:
            sides = mine.filter(
                pair__one__dialogue__arm=arms[0], pair__other__dialogue__arm=arms[1]
            ).values_list("swapped", flat=True)
            assert (len(sides), sum(sides)) == (6, 3)
    assert [row[2] for row in study.design["pairs_of_arms"]] == [6, 6, 6]
    entry = AuditEntry.objects.get(action="study.create")
    assert (entry.actor, entry.detail["pairs"]) == (coordinator.username, 18)


def test_two_imported_batches_are_paired_by_their_shared_ids(rater):
    people = ProfileSet.objects.create(name="none", source="x")
    batches = [
        Batch.objects.create(name=name, profile_set=people, seed=0) for name in ("gemma", "qwen")
    ]
    for batch in batches:
        for number in range(3):
            make_dialogue(batch=batch, external_id=f"file{number}")
    make_dialogue(batch=batches[0], external_id="only here")
    study = create_comparison_study(name="x", batches=batches, raters=[rater], by=None)
    found = study.comparison_pairs.values_list(
        "one__dialogue__external_id", "other__dialogue__external_id"
    )
    assert sorted(found) == [("file0", "file0"), ("file1", "file1"), ("file2", "file2")]
    assert study.study_dialogues.count() == 6


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"overlap": 3}, "there are only 1"),
        ({"per_arms": 0}, "must be at least 1"),
        ({"name": " "}, "needs a name"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_stored(rater, values, words):
    with pytest.raises(Refused) as caught:
        made([rater], **values)
    assert words in caught.value.sentence
    assert (Study.objects.count(), ComparisonPair.objects.count()) == (0, 0)


def test_batch_with_one_arm_has_nothing_to_compare(rater):
    with pytest.raises(Refused) as caught:
        made([rater], make_batch("A"))
    assert caught.value.sentence.startswith("No two of these dialogues")


# -- judging ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("side", ["left", "right", "tie", ""])
def test_side_and_choice_are_each_others_way_back(side, swapped):
    assert as_side(as_choice(side, swapped), swapped) == side


def test_left_means_the_other_dialogue_where_sides_are_swapped():
    assert (as_choice("left", False), as_choice("left", True)) == ("one", "other")
    assert (as_choice("right", False), as_choice("right", True)) == ("other", "one")


def test_saved_judgment_is_stored_once_and_submitted_once(rater):
    study = made([rater])
    row = first_of(study, rater)
    judged = Judged("left", ["safe", "understanding"], "Because.", 0)
    for _ in range(2):
        save_comparison(uid=row.uid, by=rater, judged=judged)
    row.refresh_from_db()
    assert row.choice == ("other" if row.swapped else "one")
    assert row.reasons == ["understanding", "safe"]
    assert (row.comment, row.revision, row.state) == ("Because.", 1, "started")
    for _ in range(2):
        submit_comparison(uid=row.uid, by=rater)
    row.refresh_from_db()
    assert row.state == "submitted"
    history = apps.get_model("review", "ComparisonEvent").objects.filter(pgh_obj=row)
    kept = list(history.order_by("pgh_id").values_list("pgh_label", "state"))
    assert kept == [("insert", "due"), ("update", "started"), ("update", "submitted")]


def test_stale_judgment_is_refused_and_the_stored_one_is_told(rater):
    row = first_of(made([rater]), rater)
    save_comparison(uid=row.uid, by=rater, judged=Judged("left", base=0))
    with pytest.raises(StaleComparison) as caught:
        save_comparison(uid=row.uid, by=rater, judged=Judged("right", base=0))
    assert as_side(caught.value.stored.choice, row.swapped) == "left"
    row.refresh_from_db()
    assert (row.revision, as_side(row.choice, row.swapped)) == (1, "left")


@pytest.mark.parametrize(
    ("judged", "code"),
    [
        (Judged("middle"), "unknown_choice"),
        (Judged("left", ["because"]), "unknown_reason"),
        (Judged("left", comment="x" * 10_001), "too_long"),
    ],
)
def test_what_the_study_does_not_offer_is_refused(rater, judged, code):
    row = first_of(made([rater]), rater)
    with pytest.raises(Refused) as caught:
        save_comparison(uid=row.uid, by=rater, judged=judged)
    assert caught.value.code == code
    row.refresh_from_db()
    assert (row.choice, row.revision) == ("", 0)


def test_submission_needs_a_choice_and_a_study_that_takes_answers(rater, coordinator):
    study = made([rater])
    row = first_of(study, rater)
    with pytest.raises(Refused) as caught:
        submit_comparison(uid=row.uid, by=rater)
    assert (caught.value.code, caught.value.status) == ("no_choice", 422)
    change_study(study=study, change="close", by=coordinator)
    with pytest.raises(Refused) as caught:
        save_comparison(uid=row.uid, by=rater, judged=Judged("left"))
    assert (caught.value.code, caught.value.status) == ("closed_study", 409)


def test_handed_back_pair_does_not_count_and_can_be_taken_up_again(rater):
    study = made([rater])
    row = first_of(study, rater)
    save_comparison(uid=row.uid, by=rater, judged=Judged("left"))
    hand_back_comparison(uid=row.uid, by=rater, reason="distressing")
    assert results_of(study).judgments == 0
    following = next_comparison(by=rater)
    assert following is not None
    assert following.pk != row.pk
    reopen_comparison(uid=row.uid, by=rater)
    row.refresh_from_db()
    assert (row.state, as_side(row.choice, row.swapped)) == ("started", "left")


@pytest.mark.django_db(transaction=True)
def test_two_windows_at_once_store_one_judgment_and_refuse_the_other(make_user):
    person = make_user("rater")
    row = first_of(made([person]), person)
    gate, outcomes = threading.Barrier(2), []

    def save(side: str) -> None:
        try:
            gate.wait()
            save_comparison(uid=row.uid, by=person, judged=Judged(side, base=0))
            outcomes.append("saved")
        except StaleComparison:
            outcomes.append("stale")
        finally:
            connection.close()

    threads = [threading.Thread(target=save, args=(side,)) for side in ("left", "right")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["saved", "stale"]
    row.refresh_from_db()
    assert row.revision == 1


# -- pages -----------------------------------------------------------------------------------------


def test_page_shows_the_shared_beginning_once_and_no_secret(rater, client_of):
    study = made([rater])
    row = first_of(study, rater)
    url = reverse("review:compare", args=[row.uid])
    text = client_of(rater).get(url).content.decode()
    assert text.count("Welcome.") == 1
    arms = [str(place.dialogue.arm)[-1] for place in (row.pair.one, row.pair.other)]
    left, right = reversed(arms) if row.swapped else arms
    assert text.index(f"answer of arm {left}") < text.index(f"answer of arm {right}")
    for secret in ("secret-model", "mdd", "Pilot batch", "c0.", row.pair.code, row.pair.one.code):
        assert secret not in text
    row.refresh_from_db()
    assert row.state == "started"


def test_htmx_save_brings_the_new_revision_and_submit_the_next_pair(rater, client_of):
    study = made([rater])
    first, second = study.comparisons.filter(rater=rater).order_by("position")[:2]
    browser, url = client_of(rater), reverse("review:compare", args=[first.uid])
    saved = browser.post(url, {"side": "tie", "base": 0}, headers={"HX-Request": "true"})
    assert saved.status_code == 200
    assert 'id="pair-base" value="1"' in saved.content.decode()
    assert len(saved.content) < 2048
    form = {"side": "tie", "base": 1, "action": "submit"}
    moved = browser.post(url, form, headers={"HX-Request": "true"})
    assert moved["HX-Push-Url"] == reverse("review:compare", args=[second.uid])
    assert "<!doctype" not in moved.content.decode()
    first.refresh_from_db()
    assert (first.state, first.choice) == ("submitted", "tie")


def test_without_scripts_the_form_saves_submits_and_ends_at_the_queue(rater, client_of):
    study = made([rater], make_batch(profiles=1))
    row, browser = first_of(study, rater), client_of(rater)
    url = reverse("review:compare", args=[row.uid])
    assert browser.post(url, {"side": "left", "base": 0}).url == url
    done = browser.post(url, {"side": "left", "base": 1, "action": "submit"})
    assert done.url == reverse("review:queue")
    assert "1 done, 0 to do" in browser.get(reverse("review:queue")).content.decode()


@pytest.mark.parametrize("htmx", [True, False])
def test_refused_and_stale_forms_say_why_and_keep_what_was_given(rater, client_of, htmx):
    row, browser = first_of(made([rater]), rater), client_of(rater)
    url = reverse("review:compare", args=[row.uid])
    headers = {"HX-Request": "true"} if htmx else {}
    empty = browser.post(url, {"action": "submit", "base": 0, "comment": "kept"}, headers=headers)
    assert empty.status_code == 422
    assert "Please choose the left one" in empty.content.decode()
    assert "kept" in empty.content.decode()
    save_comparison(uid=row.uid, by=rater, judged=Judged("left"))
    stale = browser.post(url, {"side": "right", "base": 0}, headers=headers)
    assert stale.status_code == 409
    text = stale.content.decode()
    assert "Stored: the left one" in text
    assert 'value="right" checked' in text
    assert ("<!doctype" in text) is not htmx


def test_stranger_other_role_and_archived_find_nothing(rater, other_rater, coordinator, client_of):
    study = made([rater])
    uid = first_of(study, rater).uid
    for name in ("compare", "reopen_comparison", "leave_comparison"):
        url = reverse(f"review:{name}", args=[uid])
        assert client_of(other_rater).post(url).status_code == 404
        assert client_of(coordinator).post(url).status_code == 403
    Study.objects.filter(pk=study.pk).update(state="archived")
    assert client_of(rater).get(reverse("review:compare", args=[uid])).status_code == 404


@pytest.mark.parametrize("profiles", [1, 3])
def test_pages_ask_the_database_the_same_number_of_times(
    rater, researcher, client_of, django_assert_num_queries, profiles
):
    study = made([rater], make_batch("ABC", profiles))
    for row in study.comparisons.all():
        save_comparison(uid=row.uid, by=rater, judged=Judged("tie"))
        submit_comparison(uid=row.uid, by=rater)
    page = reverse("review:compare", args=[first_of(study, rater).uid])
    results = reverse("review:comparison_results", args=[study.pk])
    for browser, url, number in ((client_of(rater), page, 5), (client_of(researcher), results, 7)):
        browser.get(url)
        with django_assert_num_queries(number):
            browser.get(url)


# -- results and files -----------------------------------------------------------------------------


@pytest.fixture
def judged_study(rater, other_rater) -> Study:
    """Arm A wins against B in three of four profiles, for both raters; in the last it loses."""
    study = made([rater, other_rater], overlap=2)
    last = study.comparison_pairs.filter(one__dialogue__profile__profile_id="c3")
    for row in study.comparisons.all():
        lost = row.pair in last
        side = as_side("other" if lost else "one", row.swapped)
        save_comparison(uid=row.uid, by=row.rater, judged=Judged(side, ["safe"]))
        submit_comparison(uid=row.uid, by=row.rater)
    return study


def test_results_tell_wins_strengths_sides_and_agreement(judged_study):
    found = results_of(judged_study)
    (row,) = found.tallies
    assert (row.one, row.other) == ("Pilot batch A", "Pilot batch B")
    assert (row.wins, row.ties, row.losses) == (6, 0, 2)
    assert [one.arm for one in found.strengths.arms] == ["Pilot batch A", "Pilot batch B"]
    assert found.strengths.clusters == 4
    assert found.agreement.estimate == 1.0
    assert dict(found.reasons)["deals more safely with risk"] == 8
    assert found.left is not None
    assert found.left.of == 8


def test_results_page_and_files_agree(judged_study, researcher, client_of):
    browser = client_of(researcher)
    detail = browser.get(reverse("review:study_detail", args=[judged_study.pk]))
    page = reverse("review:comparison_results", args=[judged_study.pk])
    assert detail.url == page
    text = browser.get(page).content.decode()
    assert "Pilot batch A" in text
    assert "<td>Pilot batch B</td>" in text
    rows = browser.get(
        reverse("review:comparison_file", args=[judged_study.pk, "win_tie_loss", "csv"])
    )
    table = list(csv.DictReader(io.StringIO(rows.content.decode("utf-8-sig"))))
    assert [(r["wins"], r["ties"], r["losses"], r["share"]) for r in table] == [
        ("6", "0", "2", "0.75")
    ]
    for name, kind in (("other", "csv"), ("strengths", "exe")):
        unknown = reverse("review:comparison_file", args=[judged_study.pk, name, kind])
        assert browser.get(unknown).status_code == 404


def test_list_of_studies_shows_how_far_comparisons_are(judged_study):
    submitted = judged_study.comparisons.filter(state="submitted").count()
    counts = counts_by_study([judged_study.pk])[judged_study.pk]
    assert (counts.submitted, counts.total) == (submitted, judged_study.comparisons.count())
    assert submitted > 0


def test_figures_of_a_comparison_come_in_four_formats(judged_study, researcher, client_of):
    browser = client_of(researcher)
    text = browser.get(
        reverse("review:comparison_results", args=[judged_study.pk])
    ).content.decode()
    beginnings = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF", "csv": b"\xef\xbb\xbf"}
    for name in ("win_tie_loss", "win_rates", "strengths"):
        for kind, beginning in beginnings.items():
            address = reverse("review:comparison_file", args=[judged_study.pk, name, kind])
            assert f'href="{address}"' in text
            answer = browser.get(address)
            assert answer.content.startswith(beginning), (name, kind)
    rates = browser.get(
        reverse("review:comparison_file", args=[judged_study.pk, "win_rates", "csv"])
    ).content.decode("utf-8-sig")
    [row] = csv.DictReader(io.StringIO(rates))
    assert (row["estimate"], row["units"]) == ("0.75", "8")
    assert row[""] == "Pilot batch A vs Pilot batch B"


def test_export_has_a_row_for_each_judgment_under_codes_and_a_codebook(
    judged_study, researcher, client_of
):
    url = reverse("review:study_export", args=[judged_study.pk])
    answer = client_of(researcher).get(url)
    archive = zipfile.ZipFile(io.BytesIO(b"".join(answer.streaming_content)))
    names = set(archive.namelist())
    assert {"comparisons.csv", "codebook.csv", "manifest.json"} <= names
    text = archive.read("comparisons.csv").decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 8
    assert "secret-model" not in text
    assert "Pilot batch" not in text
    chosen = {row["pair"]: (row["choice"], row["one_dialogue"]) for row in rows}
    for pair in judged_study.comparison_pairs.select_related("one__dialogue__profile"):
        client = pair.one.dialogue.profile
        assert client is not None
        lost = client.profile_id == "c3"
        assert chosen[pair.code] == ("other" if lost else "one", pair.one.code)
    for row in rows:
        left_is_one = row["left"] == "one"
        assert row["side"] == ("left" if (row["choice"] == "one") == left_is_one else "right")
        assert (row["reason_safe"], row["reason_natural"]) == ("1", "0")
    described = archive.read("codebook.csv").decode("utf-8-sig")
    for column in rows[0]:
        assert f",{column}," in described


@pytest.mark.parametrize("htmx", [True, False])
def test_form_makes_a_study_or_says_why_not(rater, coordinator, client_of, htmx):
    batch = make_batch()
    headers = {"HX-Request": "true"} if htmx else {}
    url = reverse("review:comparison_create")
    given = {
        "name": "New",
        "batches": [batch.pk],
        "raters": [rater.username],
        "overlap": 2,
        "seed": 5,
        "question": "Which?",
    }
    browser = client_of(coordinator)
    refused = browser.post(url, given, headers=headers)
    assert refused.status_code == 422
    assert "there are only 1" in refused.content.decode()
    assert not Study.objects.exists()
    browser.post(url, given | {"overlap": 1}, headers=headers)
    study = Study.objects.get()
    assert (study.kind, study.settings["question"]) == ("pairwise", "Which?")
    assert Dialogue.objects.count() == study.study_dialogues.count() == 8
