"""A study from draft to archive: what is frozen, who comes and goes, and what stays as it is."""

import contextlib
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.db.models import QuerySet

from generation.models import ClientProfile, Dialogue, ProfileSet
from review.actions import (
    Choices,
    Refused,
    StudyTexts,
    Wishes,
    add_dialogues,
    add_raters,
    begin_study,
    change_study,
    discard_study,
    draft_study,
    duplicate_study,
    hand_back,
    limit_rater,
    make_up,
    next_assignment,
    open_assignment,
    remove_rater,
    reopen,
    revise_study,
    save,
    set_texts,
)
from review.models import Assignment, Study, StudyRater
from review.wire import Answer
from sqpsych_site.models import AuditEntry, User
from tests.factories import assignments_of, make_dialogue


def answer(work: Assignment, person: User) -> None:
    """One answer, by the way that the page takes."""
    given = Answer(key=uuid4(), instrument="safety", item="safety_problem", value="no")
    saved = save(uid=work.uid, by=person, operations=[given])
    assert [one["status"] for one in saved.results] == [200]


@pytest.fixture
def raters(make_user: Callable[..., User]) -> list[User]:
    return [make_user("rater", username=f"r{n}") for n in range(4)]


def dialogues(count: int) -> list[Dialogue]:
    return [make_dialogue() for _ in range(count)]


def drafted(
    raters: list[User], count: int = 12, *, choices: dict[str, Any] | None = None, **values: Any
) -> Study:
    wishes: dict[str, Any] = {
        "raters": raters,
        "dialogues": dialogues(count),
        "instruments": ["safety"],
        "overlap": 2,
        "seed": 3,
        "choices": Choices(**(choices or {})),
    }
    return draft_study(name="Pilot", wishes=Wishes(**wishes | values), by=None)


def running(raters: list[User], count: int = 12, **values: Any) -> Study:
    return begin_study(study=drafted(raters, count, **values), by=None)


def live(study: Study) -> QuerySet[Assignment]:
    return study.assignments.filter(kind="live").exclude(state="returned")


def overlaps(study: Study) -> Counter[int]:
    """Number of raters -> number of dialogues; nobody has one twice."""
    pairs = list(live(study).values_list("study_dialogue_id", "rater_id"))
    assert len(pairs) == len(set(pairs))
    return Counter(Counter(place for place, _ in pairs).values())


def loads(study: Study) -> dict[str, int]:
    rows = live(study).values_list("rater__username", flat=True)
    return dict(Counter(rows))


def begin_first(study: Study, person: User, count: int) -> list[int]:
    """Open and answer the rater's first dialogues."""
    works = assignments_of(study, person)[:count]
    for work in works:
        open_assignment(assignment=work)
        answer(work, person)
    return [work.pk for work in works]


# -- drafts ---------------------------------------------------------------------------------------


def test_draft_shows_its_design_and_gives_nothing_out(raters):
    study = drafted(raters)
    assert (study.state, study.assignments.count()) == ("draft", 0)
    assert study.design["loads"] == {"R1": 6, "R2": 6, "R3": 6, "R4": 6}
    assert {pair[2] for pair in study.design["pairs"]} == {2}
    assert study.design["unmet"] == []
    assert next_assignment(by=raters[0]) is None


def test_begun_study_is_the_design_that_was_shown(raters):
    study = drafted(raters, choices={"share": 0.5, "repeats": 1})
    shown = study.design
    study = begin_study(study=study, by=None)
    study.refresh_from_db()
    assert (study.state, study.design) == ("running", shown)
    assert loads(study) == {
        StudyRater.objects.get(study=study, code=code).rater.username: load
        for code, load in shown["loads"].items()
    }
    assert overlaps(study) == {1: 6, 2: 6}
    with pytest.raises(Refused, match="wrong_state"):
        begin_study(study=study, by=None)


def test_draft_is_made_anew_from_other_wishes(raters, coordinator):
    study = drafted(raters)
    fresh = dialogues(5)
    wishes = Wishes(
        raters=raters[:2],
        dialogues=fresh,
        instruments=["safety", "sqpsych-expert"],
        overlap=1,
        seed=9,
        texts=StudyTexts("Read.", "Dr A"),
        settings={"show_totals": True},
        choices=Choices(quotas={"r0": 2}, order="same", same_profile=True),
    )
    revise_study(study=study, name="Main", wishes=wishes, by=coordinator)
    study.refresh_from_db()
    assert (study.name, study.overlap, study.seed, study.rating_order) == ("Main", 1, 9, "same")
    assert study.settings["show_totals"] is True
    assert {row.dialogue_id for row in study.study_dialogues.all()} == {one.pk for one in fresh}
    assert [link.instrument.key for link in study.study_instruments.all()] == [
        "safety",
        "sqpsych-expert",
    ]
    quota = study.study_raters.get(rater__username="r0")
    assert study.design["loads"][quota.code] == 2
    assert AuditEntry.objects.get(action="study.revise").detail["raters"] == 2
    begin_study(study=study, by=None)
    with pytest.raises(Refused, match="wrong_state"):
        revise_study(study=study, name="Main", wishes=wishes, by=coordinator)


def test_draft_can_be_thrown_away_but_no_begun_study(raters, coordinator):
    discard_study(study=drafted(raters), by=coordinator)
    assert not Study.objects.exists()
    assert AuditEntry.objects.get(action="study.discard").detail == {"name": "Pilot"}
    study = running(raters)
    with pytest.raises(Refused, match="wrong_state"):
        discard_study(study=study, by=coordinator)
    assert Study.objects.exists()


@pytest.mark.parametrize(
    ("choices", "sentence"),
    [
        ({"share": 1.2}, "The share of dialogues with several raters is 0 to 100 %."),
        ({"order": "mine"}, "There is no such order."),
        ({"repeats": 51}, "There can be 0 to 50 hidden repeats per rater."),
        ({"quotas": {"r0": -1}}, "The most dialogues of a rater cannot be below 0."),
        ({"gate": 0.8}, "A level of agreement or an expert needs training dialogues: choose some."),
    ],
)
def test_choices_that_cannot_be_are_refused(raters, choices, sentence):
    with pytest.raises(Refused) as caught:
        drafted(raters, choices=choices)
    assert caught.value.sentence == sentence
    assert not Study.objects.exists()


def test_dialogue_is_for_training_or_for_the_study(raters):
    both = dialogues(3)
    with pytest.raises(Refused) as caught:
        drafted(raters, dialogues=both, choices={"training": both[:1]})
    assert caught.value.sentence == "A dialogue cannot be both for training and for the study."
    with pytest.raises(Refused) as caught:
        drafted(raters, choices={"training": both, "expert": "r0"})
    assert caught.value.code == "expert"


# -- calibration first ----------------------------------------------------------------------------


def test_training_comes_first_and_live_work_waits(raters, make_user):
    expert = make_user("rater", username="expert")
    choices = {"training": dialogues(2), "gate": 0.8, "expert": "expert"}
    study = running(raters, choices=choices)
    assert study.state == "calibration"
    kinds = [work.kind for work in assignments_of(study, raters[0])]
    assert kinds == ["calibration"] * 2 + ["live"] * 6
    assert set(study.assignments.exclude(rater=expert).values_list("state", flat=True)) == {
        "locked"
    }
    own = assignments_of(study, expert)
    assert [(work.kind, work.state) for work in own] == [("calibration", "due")] * 2
    places = [[w.study_dialogue_id for w in assignments_of(study, one)[:2]] for one in raters]
    assert places == [places[0]] * 4  # all learn in the same order
    change_study(study=study, change="run", by=None)
    assert not study.assignments.filter(kind="live", state="due").exists()
    study.study_raters.filter(rater=raters[1]).update(cleared_at="2026-03-02T09:00Z")
    change_study(study=study, change="pause", by=None)
    assert set(live(study).filter(state="due").values_list("rater", flat=True)) == {raters[1].pk}


# -- hidden repeats -------------------------------------------------------------------------------


def test_hidden_repeat_has_a_code_of_its_own_and_comes_late(raters):
    study = running(raters[:2], 12, choices={"repeats": 2})
    for person in raters[:2]:
        works = assignments_of(study, person)
        assert [work.position for work in works] == list(range(1, 15))
        codes = [work.code for work in works]
        assert len(set(codes)) == 14
        assert all(code.startswith("D0") and len(code) == 4 for code in codes)
        for again in (work for work in works if work.kind == "repeat"):
            first = next(
                w
                for w in works
                if w.kind == "live" and w.study_dialogue_id == again.study_dialogue_id
            )
            assert again.position - first.position >= 4
    assert sorted(
        set(study.assignments.exclude(alias="").values_list("alias", flat=True))
    ) == sorted(study.design["aliases"])


def test_rater_cannot_tell_a_repeat_from_the_queue(raters, client_of):
    study = running(raters[:2], 12, choices={"repeats": 1})
    again = study.assignments.get(rater=raters[0], kind="repeat")
    page = client_of(raters[0]).get("/review/").content.decode()
    rows = [
        line.replace(str(work.uid), "UID").replace(work.code, "CODE")
        for work in assignments_of(study, raters[0])
        for line in [page[page.index(str(work.uid)) - 200 : page.index(str(work.uid)) + 120]]
        if work.position not in (1, 13)
    ]
    assert again.position > 1
    assert "repeat" not in page.lower()
    assert page.count(again.code) == page.count(assignments_of(study, raters[0])[3].code)
    assert len(rows) >= 11


def test_too_little_work_to_hide_repeats_is_said(raters):
    study = drafted(raters, 4, choices={"repeats": 2})
    assert study.design["unmet"] == [
        f"{code} gets 0 of 2 hidden repeats, because a third of the order must lie between the"
        " two sights."
        for code in ("R1", "R2", "R3", "R4")
    ]


# -- people come and go ---------------------------------------------------------------------------


def test_added_rater_gets_a_part_of_what_nobody_has_opened(raters, coordinator):
    study = running(raters[:3], 12)
    kept = begin_first(study, raters[0], 3)
    before = {pk: Assignment.objects.values().get(pk=pk) for pk in kept}
    dealt = add_raters(study=study, raters=["r3"], by=coordinator)
    assert {pk: Assignment.objects.values().get(pk=pk) for pk in kept} == before
    assert overlaps(study) == {2: 12}
    assert loads(study) == {"r0": 6, "r1": 6, "r2": 6, "r3": 6}
    assert (dealt.taken, dealt.given) == (21, 21)
    assert study.study_raters.get(rater=raters[3]).code == "R4"
    detail = AuditEntry.objects.get(action="study.add_raters").detail
    assert detail == {"raters": 1, "taken_back": 21, "given": 21}
    with pytest.raises(Refused) as caught:
        add_raters(study=study, raters=["r3"], by=coordinator)
    assert caught.value.sentence == "“r3” is in this study already."


def test_rater_who_leaves_is_made_up_for(raters, coordinator):
    study = running(raters, 12)
    begun = begin_first(study, raters[0], 2)
    Assignment.objects.filter(pk=begun[0]).update(
        state="submitted", submitted_at="2026-03-02T09:00Z"
    )
    remove_rater(study=study, rater=raters[0], by=coordinator)
    assert overlaps(study) == {2: 12}
    assert loads(study)["r0"] == 1
    left = Assignment.objects.get(pk=begun[1])
    assert (left.state, left.return_reason, left.ratings.count()) == ("returned", "left", 1)
    assert not study.study_raters.get(rater=raters[0]).active
    with pytest.raises(Refused, match="unknown_rater"):
        remove_rater(study=study, rater=raters[0], by=coordinator)
    add_raters(study=study, raters=["r0"], by=coordinator)
    assert study.study_raters.get(rater=raters[0]).active
    assert overlaps(study) == {2: 12}
    assert loads(study)["r0"] > 1


def test_last_rater_cannot_be_removed(raters):
    study = running(raters[:1], 2, overlap=1)
    with pytest.raises(Refused, match="last_rater"):
        remove_rater(study=study, rater=raters[0], by=None)


def test_slow_rater_keeps_the_next_ones_only(raters, coordinator):
    study = running(raters, 12)
    begun = begin_first(study, raters[0], 1)
    next_ones = [work.pk for work in assignments_of(study, raters[0])[1:3]]
    limit_rater(study=study, rater=raters[0], left=2, by=coordinator)
    assert [work.pk for work in assignments_of(study, raters[0])] == begun + next_ones
    assert overlaps(study) == {2: 12}
    # The limit stays: whatever is dealt later goes to the others.
    add_dialogues(study=study, dialogues=dialogues(3), by=coordinator)
    assert loads(study)["r0"] == 3
    assert overlaps(study) == {2: 15}


def test_handed_back_dialogue_goes_to_somebody_else_once(raters, coordinator):
    study = running(raters, 12)
    work = assignments_of(study, raters[0])[0]
    hand_back(uid=work.uid, by=raters[0], reason="conflict")
    assert make_up(study=study, by=coordinator).given == 1
    assert make_up(study=study, by=coordinator).given == 0
    assert overlaps(study) == {2: 12}
    with pytest.raises(Refused) as caught:
        reopen(uid=work.uid, by=raters[0])
    assert caught.value.code == "taken_over"


def test_added_dialogues_come_after_what_there_is(raters, coordinator):
    study = running(raters, 12)
    before = list(study.assignments.order_by("pk").values())
    add_dialogues(study=study, dialogues=dialogues(6), by=coordinator)
    assert list(study.assignments.order_by("pk").values())[: len(before)] == before
    assert overlaps(study) == {2: 18}
    assert set(loads(study).values()) == {9}
    codes = study.study_dialogues.order_by("code").values_list("code", flat=True)
    assert list(codes) == [f"D{n:03}" for n in range(1, 19)]
    with pytest.raises(Refused, match="in_study"):
        add_dialogues(study=study, dialogues=Dialogue.objects.all()[:1], by=None)


def test_profile_is_never_met_twice_through_all_changes(raters, make_user):
    profiles = ProfileSet.objects.create(name="set", source="x")
    clients = [
        ClientProfile.objects.create(profile_set=profiles, profile_id=f"P{n}", age=30, sha256="0")
        for n in range(8)
    ]
    study = running(
        raters,
        dialogues=[make_dialogue(profile=one) for one in clients for _ in range(2)],
        overlap=1,
    )
    begin_first(study, raters[0], 2)
    add_raters(study=study, raters=[make_user("rater", username="r9")], by=None)
    remove_rater(study=study, rater=raters[1], by=None)
    met = Counter(live(study).values_list("rater", "study_dialogue__dialogue__profile"))
    assert set(met.values()) == {1}
    assert overlaps(study) == {1: 16}


def test_texts_change_while_the_study_is_open(raters, coordinator):
    study = running(raters)
    set_texts(study=study, texts=StudyTexts("New words.", "Dr B"), by=coordinator)
    study.refresh_from_db()
    assert (study.guidelines, study.contact) == ("New words.", "Dr B")
    change_study(study=study, change="close", by=coordinator)
    for action in (
        lambda: set_texts(study=study, texts=StudyTexts(), by=None),
        lambda: make_up(study=study, by=None),
        lambda: add_raters(study=study, raters=["r3"], by=None),
        lambda: add_dialogues(study=study, dialogues=dialogues(1), by=None),
    ):
        with pytest.raises(Refused, match="wrong_state"):
            action()


def test_duplicate_is_a_draft_of_the_same_with_codes_of_its_own(raters, coordinator):
    choices = {
        "share": 0.5,
        "repeats": 1,
        "training": dialogues(2),
        "gate": 0.7,
        "quotas": {"r1": 5},
    }
    study = running(raters, choices=choices, texts=StudyTexts("Read.", "Dr A"))
    User.objects.filter(pk=raters[3].pk).update(is_active=False)
    copy = duplicate_study(study=study, by=coordinator)
    assert (copy.name, copy.state, copy.seed) == ("Pilot (2)", "draft", 4)
    assert duplicate_study(study=study, by=coordinator).name == "Pilot (3)"
    assert (copy.overlap_share, copy.repeats, copy.gate, copy.guidelines) == (0.5, 1, 0.7, "Read.")
    for training in (True, False):
        both = [
            set(one.study_dialogues.filter(training=training).values_list("dialogue", flat=True))
            for one in (study, copy)
        ]
        assert both[0] == both[1]
    people = dict(copy.study_raters.values_list("rater__username", "quota"))
    assert people == {"r0": None, "r1": 5, "r2": None}
    codes = [dict(one.study_dialogues.values_list("dialogue", "code")) for one in (study, copy)]
    assert codes[0] != codes[1]


# -- at the same moment ---------------------------------------------------------------------------


def at_once(*acts: Callable[[], object]) -> list[str]:
    """Run all in threads of their own; what each was refused with, or nothing."""
    told = [""] * len(acts)
    start = threading.Barrier(len(acts))

    def run(place: int, act: Callable[[], object]) -> None:
        start.wait()
        try:
            act()
        except Refused as refused:
            told[place] = refused.code
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return told


@pytest.mark.django_db(transaction=True)
def test_changes_at_the_same_moment_leave_every_dialogue_its_raters(raters, make_user):
    raters += [make_user("rater", username=f"r{n}") for n in (4, 5)]
    study = running(raters, 24)
    for person in raters[:2]:
        work = assignments_of(study, person)[0]
        hand_back(uid=work.uid, by=person, reason="other")
    works = {person.pk: assignments_of(study, person)[1:] for person in raters}

    def rates(person: User) -> Callable[[], object]:
        def act() -> None:
            for work in works[person.pk]:
                open_assignment(assignment=work)
                with contextlib.suppress(Refused):  # it went to somebody else a moment ago
                    answer(work, person)

        return act

    told = at_once(
        lambda: make_up(study=study, by=None),
        lambda: make_up(study=study, by=None),
        lambda: remove_rater(study=study, rater=raters[3], by=None),
        lambda: limit_rater(study=study, rater=raters[2], left=0, by=None),
        rates(raters[2]),
        rates(raters[3]),
    )
    assert told == [""] * 6
    make_up(study=study, by=None)
    assert overlaps(study) == {2: 24}
    answered = study.assignments.filter(ratings__isnull=False)
    assert not answered.filter(state="due").exists()


@pytest.mark.django_db(transaction=True)
def test_rater_passes_while_the_study_begins_to_run(raters, coordinator):
    from review.actions import clear_rater

    study = running(raters[:2], 4, choices={"training": dialogues(1)})
    told = at_once(
        lambda: change_study(study=study, change="run", by=None),
        lambda: clear_rater(study=study, rater=raters[0], by=coordinator),
    )
    assert told == ["", ""]
    assert set(live(study).filter(rater=raters[0]).values_list("state", flat=True)) == {"due"}


@pytest.mark.django_db(transaction=True)
def test_study_begins_once(raters):
    study = drafted(raters, 4)
    told = at_once(*[lambda: begin_study(study=study, by=None)] * 3)
    assert sorted(told) == ["", "wrong_state", "wrong_state"]
    assert study.assignments.count() == 8
    with transaction.atomic():
        assert overlaps(study) == {2: 4}
