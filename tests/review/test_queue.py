"""The rater's queue and the practice dialogue."""

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.urls import reverse

from generation.models import Dialogue, Origin
from review.actions import Refused, next_assignment, start_practice
from review.models import Assignment, AssignmentKind, AssignmentState, Study, StudyKind
from review.pace import Progress, progress_by_study, progress_of
from tests.factories import WHEN, assignments_of, make_dialogue, make_study


def text_of(client, url: str | None = None) -> str:
    response = client.get(url or reverse("review:queue"))
    assert response.status_code == 200
    return str(response.content.decode())


def set_state(assignment: Assignment, state: str, **values: object) -> None:
    done = {"submitted_at": WHEN, "opened_at": WHEN} if state == "submitted" else {}
    Assignment.objects.filter(pk=assignment.pk).update(state=state, **done | values)


# -- pace ------------------------------------------------------------------------------------------


def test_progress_counts_a_study_and_forecasts_from_time_in_use(rater):
    study = make_study([rater], [make_dialogue() for _ in range(6)])
    mine = assignments_of(study, rater)
    assert progress_of(mine[1]) == Progress(position=2, total=6, done=0, left=None)
    # Ten minutes in use, though the page stood open for two hours.
    set_state(mine[0], "submitted", active_seconds=600, opened_at=WHEN - timedelta(hours=2))
    # Never measured: twenty minutes from opening to submitting.
    set_state(mine[1], "submitted", opened_at=WHEN - timedelta(minutes=20))
    # Left open over night: counted as 45 minutes at most.
    set_state(mine[2], "submitted", opened_at=WHEN - timedelta(hours=9))
    set_state(mine[3], "returned")
    wanted = Progress(position=4, total=5, done=3, left=50)
    assert progress_of(mine[4]) == wanted
    assert progress_by_study(rater) == {study.pk: Progress(0, 5, 3, 50)}
    assert wanted.left_in_words == "about 50 min left at your pace"
    assert Progress(1, 9, 2, 200).left_in_words == "about 3 h left at your pace"
    assert Progress(9, 9, 9, 0).left_in_words == ""


# -- the page --------------------------------------------------------------------------------------


def test_newcomer_is_welcomed_and_the_first_dialogue_is_offered(rater, client_of):
    study = make_study([rater], guidelines="Read <b>all</b> first.", contact="Dr Field")
    text = text_of(client_of(rater))
    assert "Welcome" in text
    assert "Read &lt;b&gt;all&lt;/b&gt; first." in text
    assert "Turn to Dr Field." in text
    assert "no real client speaks" in text
    assert reverse("review:rate", args=[assignments_of(study, rater)[0].uid]) in text
    assert "Next dialogue" in text


def test_work_begun_comes_first_and_states_are_told_apart(rater, client_of):
    study = make_study([rater], [make_dialogue() for _ in range(5)])
    mine = assignments_of(study, rater)
    set_state(mine[0], "submitted")
    set_state(mine[1], "returned", return_reason="other")
    set_state(mine[3], "started")
    text = text_of(client_of(rater))
    assert "Welcome" not in text
    assert "Go on where you stopped" in text
    offered = text.index(reverse("review:rate", args=[mine[3].uid]))
    assert offered < text.index(reverse("review:rate", args=[mine[0].uid]))
    assert "1 of 4 done" in text
    for words in ("In progress", "Handed back", "2 to do", "1 done", "Take it up again"):
        assert words in text


def test_calibration_comes_first_and_locked_work_is_only_announced(rater, client_of):
    study = make_study([rater], [make_dialogue() for _ in range(3)], state="calibration")
    first, *rest = assignments_of(study, rater)
    set_state(first, "due", kind="calibration")
    for one in rest:
        set_state(one, "locked")
    text = text_of(client_of(rater))
    assert "Next training dialogue" in text
    assert "Training first: 0 of 1 dialogues done." in text
    for one in rest:
        assert str(one.uid) not in text


def test_paused_study_offers_nothing_to_start(rater, client_of):
    make_study([rater], state="paused")
    text = text_of(client_of(rater))
    assert "Paused" in text
    assert "autofocus" not in text


def test_empty_queue_says_what_to_expect(rater, client_of):
    assert "Nothing to rate yet" in text_of(client_of(rater))


@pytest.mark.parametrize("count", [1, 3])
def test_queue_asks_the_database_the_same_number_of_times(
    rater, client_of, django_assert_num_queries, count
):
    for number in range(count):
        dialogues = [make_dialogue() for _ in range(count)]
        make_study([rater], dialogues, name=f"Study {number}")
    browser = client_of(rater)
    text_of(browser)
    with django_assert_num_queries(8):
        text_of(browser)


# -- practice --------------------------------------------------------------------------------------


def test_practice_uses_the_studys_form_and_counts_for_nothing(rater, client_of):
    study = make_study([rater])
    for _ in range(2):
        practice = start_practice(study=study, by=rater)
    assert practice.kind == AssignmentKind.PRACTICE
    assert practice.study.kind == StudyKind.PRACTICE
    assert Study.objects.count() == 2
    assert list(Study.objects.listed()) == [study]
    keys = practice.study.study_instruments.values_list("instrument__key", flat=True)
    assert list(keys) == ["sqpsych-expert", "safety"]
    assert practice.study_dialogue.dialogue.turns.count() == 10
    assert next_assignment(by=rater) == assignments_of(study, rater)[0]
    assert progress_by_study(rater)[study.pk].total == 1


def test_practice_is_no_study_to_look_at(rater, administrator, client_of):
    practice = start_practice(study=make_study([rater]), by=rater).study
    names = ("study_detail", "study_design", "results", "quality", "study_exports")
    for name in (*names, "adjudication_plan", "study_export", "study_key"):
        address = reverse(f"review:{name}", args=[practice.pk])
        assert client_of(administrator).get(address).status_code == 404, name


def test_practice_can_be_done_again_and_ends_at_the_queue(rater, client_of):
    study = make_study([rater])
    browser = client_of(rater)
    opened = browser.post(reverse("review:practise", args=[study.pk]))
    practice = Assignment.objects.get(kind="practice")
    assert opened.url == reverse("review:rate", args=[practice.uid])
    assert "nothing here counts" in text_of(browser, opened.url)
    set_state(practice, "submitted")
    browser.post(reverse("review:practise", args=[study.pk]))
    practice.refresh_from_db()
    assert practice.state == AssignmentState.STARTED
    assert str(practice.uid) not in text_of(browser)


def test_two_studies_and_two_raters_share_one_practice_dialogue(rater, other_rater):
    one, two = make_study([rater, other_rater]), make_study([rater], name="Other")
    made = {start_practice(study=one, by=rater), start_practice(study=one, by=other_rater)}
    made.add(start_practice(study=two, by=rater))
    assert len(made) == 3
    assert Dialogue.objects.filter(origin=Origin.PRACTICE).count() == 1


def test_practice_of_a_study_one_does_not_rate_is_not_found(
    rater, other_rater, coordinator, client_of
):
    study = make_study([rater])
    url = reverse("review:practise", args=[study.pk])
    assert client_of(other_rater).post(url).status_code == 404
    assert client_of(coordinator).post(url).status_code == 403
    assert client_of(rater).get(url).status_code == 405
    with pytest.raises(Refused):
        start_practice(study=study, by=other_rater)
    assert not Assignment.objects.filter(kind="practice").exists()


@pytest.mark.django_db(transaction=True)
def test_two_clicks_at_once_make_one_practice(make_user):
    person = make_user("rater")
    study = make_study([person])
    gate, made = threading.Barrier(2), []

    def click() -> None:
        try:
            gate.wait()
            made.append(start_practice(study=study, by=person).pk)
        finally:
            connection.close()

    threads = [threading.Thread(target=click) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 2
    assert len(set(made)) == 1


def test_practice_is_in_no_list_of_studies(rater, coordinator, client_of):
    study = make_study([rater])
    start_practice(study=study, by=rater)
    assert "Practice for study" not in text_of(client_of(coordinator), reverse("review:study_list"))
    assert "Practice for study" not in text_of(client_of(coordinator), reverse("home"))
