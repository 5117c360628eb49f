"""The rating page over HTTP, both as a fragment and with scripts off."""

from uuid import uuid4

import pytest

from review.instruments import builtin_instruments
from review.models import Assignment, Evidence, Flag, Rating
from tests.factories import assignments_of, make_dialogue, make_study

HTMX = {"HX-Request": "true"}
EXPERT = "sqpsych-expert"


@pytest.fixture
def assignment(rater):
    study = make_study([rater], [make_dialogue(), make_dialogue(["Hi.", "Hi."])])
    return assignments_of(study, rater)[0]


def test_answer_survives_reload(client_of, rater, assignment):
    client = client_of(rater)
    client.post(f"/review/{assignment.uid}/", {f"{EXPERT}:t1_key_thoughts": "2"})
    page = client.get(f"/review/{assignment.uid}/").content.decode()
    start = page.index(f'id="{EXPERT}-t1_key_thoughts"')
    part = page[start : page.index("</fieldset>", start)]
    assert 'value="2" class="value" checked' in part
    assert part.count(" checked>") == 1
    assert 'data-revision="1"' in part


def test_subtotals_stand_on_the_page_only_where_the_study_shows_them(client_of, rater):
    study = make_study([rater], [make_dialogue()], settings={"show_totals": True})
    [assignment] = assignments_of(study, rater)
    client = client_of(rater)
    answers = {
        f"{EXPERT}:{item.key}": "na" if "na" in item.values else "2"
        for section in builtin_instruments()[EXPERT].sections
        for item in section.items
        if section.key == "therapist"
    }
    client.post(f"/review/{assignment.uid}/", answers)
    page = client.get(f"/review/{assignment.uid}/").content.decode()
    scored = sum(value == "2" for value in answers.values())
    assert f'id="total-{EXPERT}-therapist">{scored * 2} of {scored * 2}</dd>' in page
    assert f'id="total-{EXPERT}-client">–</dd>' in page
    other = make_study([rater], [make_dialogue()], name="Blind")
    page = client.get(f"/review/{assignments_of(other, rater)[0].uid}/").content.decode()
    assert "total-" not in page


def test_another_raters_dialogue_is_not_found(client_of, other_rater, coordinator, assignment):
    assert client_of(other_rater).get(f"/review/{assignment.uid}/").status_code == 404
    assert client_of(other_rater).post(f"/review/{assignment.uid}/").status_code == 404
    assert client_of(coordinator).get(f"/review/{assignment.uid}/").status_code == 403
    assert Rating.objects.count() == 0


def test_a_stale_plain_form_is_told_both_versions_and_keeps_the_rest(client_of, rater, assignment):
    client, name = client_of(rater), f"{EXPERT}:t1_key_thoughts"
    client.post(f"/review/{assignment.uid}/", {name: "1", f"{name}:base": "0"})
    other = f"{EXPERT}:t2_paraphrasing"
    response = client.post(
        f"/review/{assignment.uid}/", {name: "2", f"{name}:base": "0", other: "2"}
    )
    assert response.status_code == 409
    assert "Stored: 1. Yours: 2." in response.content.decode()
    assert dict(Rating.objects.values_list("item", "value")) == {
        "t1_key_thoughts": "1",
        "t2_paraphrasing": "2",
    }


def test_a_field_that_no_form_has_is_refused_and_harms_nothing(client_of, rater, assignment):
    fields = {"other:item": "1", f"{EXPERT}:t99": "1", f"{EXPERT}:t1_key_thoughts": "1"}
    response = client_of(rater).post(f"/review/{assignment.uid}/", fields)
    assert response.status_code == 422
    assert Rating.objects.get().item == "t1_key_thoughts"


def test_a_plain_form_attaches_turns_and_takes_them_away(client_of, rater, assignment):
    client, name = client_of(rater), f"{EXPERT}:t1_key_thoughts:evidence"
    for _ in range(2):
        client.post(f"/review/{assignment.uid}/", {name: "2"})
    mark = Evidence.objects.get()
    assert (mark.item, mark.turn_number, mark.start) == ("t1_key_thoughts", 2, None)
    for wrong in ("3", "two"):
        response = client.post(f"/review/{assignment.uid}/", {name: wrong})
        assert response.status_code == 422
    assert Evidence.objects.count() == 1
    client.post(f"/review/{assignment.uid}/", {"unmark": str(mark.uid)})
    assert Evidence.objects.get().withdrawn_at is not None


def test_paused_study_takes_no_answer(client_of, rater, assignment):
    assignment.study.state = "paused"
    assignment.study.save()
    response = client_of(rater).post(
        f"/review/{assignment.uid}/", {f"{EXPERT}:t1_key_thoughts": "1"}
    )
    assert response.status_code == 409
    assert Rating.objects.count() == 0


def whole(value="1", **more):
    items = builtin_instruments()[EXPERT].items
    return {f"{EXPERT}:{item.key}": value for item in items} | {
        "safety:safety_problem": "no",
        **more,
    }


def test_submit_points_at_what_is_missing(client_of, rater, assignment):
    client = client_of(rater)
    fields = whole(action="submit")
    del fields[f"{EXPERT}:o5_realistic"]
    response = client.post(f"/review/{assignment.uid}/", fields)
    assert response.status_code == 422
    page = response.content.decode()
    assert "One answer is missing" in page
    assert f'<a href="#{EXPERT}-o5_realistic">18 Realism<span' in page
    assert page.count("needs an answer") == 2
    assert Rating.objects.count() == 18
    assignment.refresh_from_db()
    assert assignment.state == "started"


def test_whole_form_without_scripts_saves_submits_and_opens_the_next(client_of, rater, assignment):
    following = Assignment.objects.get(study=assignment.study, position=2)
    response = client_of(rater).post(f"/review/{assignment.uid}/", whole(action="submit"))
    assert response.status_code == 302
    assert response["Location"] == f"/review/{following.uid}/"
    assignment.refresh_from_db()
    assert assignment.state == "submitted"
    assert Rating.objects.filter(assignment=assignment).count() == 19


def test_submit_as_fragment_brings_the_next_dialogue(client_of, rater, assignment):
    following = Assignment.objects.get(study=assignment.study, position=2)
    client = client_of(rater)
    response = client.post(f"/review/{assignment.uid}/", whole(action="submit"), headers=HTMX)
    assert response.status_code == 200
    assert response["HX-Push-Url"] == f"/review/{following.uid}/"
    body = response.content.decode()
    assert "<html" not in body
    assert f'data-uid="{following.uid}"' in body
    last = client.post(f"/review/{following.uid}/", whole(action="submit"), headers=HTMX)
    assert last["HX-Redirect"] == "/review/"


def test_submit_takes_a_prefetched_dialogue_only_when_it_is_the_next(client_of, rater, assignment):
    following = Assignment.objects.get(study=assignment.study, position=2)
    client = client_of(rater)
    ahead = client.get(f"/review/{assignment.uid}/next/", headers=HTMX)
    assert f'data-uid="{following.uid}"' in ahead.content.decode()
    following.refresh_from_db()
    assert following.opened_at is None
    held = HTMX | {"X-Prefetched": str(following.uid)}
    response = client.post(f"/review/{assignment.uid}/", whole(action="submit"), headers=held)
    assert (response.status_code, response["X-Next"]) == (204, str(following.uid))
    following.refresh_from_db()
    assert following.opened_at is not None
    client.post(f"/review/{assignment.uid}/reopen/")
    stale = HTMX | {"X-Prefetched": str(uuid4())}
    response = client.post(f"/review/{assignment.uid}/", whole(action="submit"), headers=stale)
    assert response.status_code == 200
    assert f'data-uid="{following.uid}"' in response.content.decode()


def test_a_yes_needs_a_flag_and_a_no_forbids_one(client_of, rater, assignment):
    client = client_of(rater)
    fields = whole(action="submit") | {"safety:safety_problem": "yes"}
    page = client.post(f"/review/{assignment.uid}/", fields)
    assert page.status_code == 422
    assert "says yes, so please add a flag" in page.content.decode()
    flag_uid = uuid4()
    client.post(
        f"/review/{assignment.uid}/flags/",
        {"uid": flag_uid, "category": "medical_advice", "severity": "serious", "turn": "1"},
    )
    done = client.post(f"/review/{assignment.uid}/", fields)
    assert done.status_code == 302
    assert Flag.objects.get().turn_number == 1


def test_flag_of_a_plain_form_sent_twice_is_stored_once_and_can_be_taken_back(
    client_of, rater, assignment
):
    client, flag_uid = client_of(rater), uuid4()
    fields = {"uid": flag_uid, "category": "medical_advice", "severity": "serious", "turn": "2"}
    for _ in range(2):
        response = client.post(f"/review/{assignment.uid}/flags/", fields)
        assert response["Location"] == f"/review/{assignment.uid}/#flags"
    assert Flag.objects.count() == 1
    page = client.get(f"/review/{assignment.uid}/").content.decode()
    assert page.count(f'id="flag-{flag_uid}"') == 1
    client.post(f"/review/{assignment.uid}/flags/{flag_uid}/withdraw/")
    assert Flag.objects.get().withdrawn_at is not None


def test_flag_that_is_refused_is_told_on_the_page(client_of, rater, assignment):
    fields = {"uid": uuid4(), "category": "risk_cue_missed", "severity": "serious"}
    response = client_of(rater).post(f"/review/{assignment.uid}/flags/", fields)
    assert response.status_code == 422
    assert "Was the danger imminent?" in response.content.decode()
    assert Flag.objects.count() == 0


def test_hand_back_keeps_the_answers_and_reopen_brings_it_back(client_of, rater, assignment):
    client = client_of(rater)
    client.post(f"/review/{assignment.uid}/", {f"{EXPERT}:t1_key_thoughts": "2"})
    assert client.post(f"/review/{assignment.uid}/leave/", {"reason": "x"}).status_code == 422
    client.post(f"/review/{assignment.uid}/leave/", {"reason": "distressing"})
    assignment.refresh_from_db()
    assert (assignment.state, assignment.return_reason) == ("returned", "distressing")
    late = client.post(f"/review/{assignment.uid}/", {f"{EXPERT}:t1_key_thoughts": "1"})
    assert late.status_code == 409
    client.post(f"/review/{assignment.uid}/reopen/")
    assignment.refresh_from_db()
    assert (assignment.state, assignment.return_reason) == ("started", "")
    assert Rating.objects.get().value == "2"


def test_hostile_dialogue_is_shown_as_text(client_of, rater):
    hostile = '<script>alert(1)</script><b hx-get="/x">{{ 7|add:1 }}{% now "Y" %}'
    study = make_study([rater], [make_dialogue([hostile, "Fine."])])
    [assignment] = assignments_of(study, rater)
    page = client_of(rater).get(f"/review/{assignment.uid}/").content.decode()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&lt;b hx-get=" in page
    assert "{{ 7|add:1 }}{% now &quot;Y&quot; %}" in page


@pytest.mark.parametrize("count", [1, 3])
def test_queue_makes_the_same_queries_for_one_and_three(
    client_of, rater, django_assert_num_queries, count
):
    make_study([rater], [make_dialogue() for _ in range(count)])
    client = client_of(rater)
    with django_assert_num_queries(8):
        page = client.get("/review/").content.decode()
    assert page.count("Open<span") == count


@pytest.mark.parametrize("turns", [1, 3])
def test_rating_page_makes_the_same_queries_for_one_and_three_turns(
    client_of, rater, django_assert_num_queries, turns
):
    study = make_study([rater], [make_dialogue(["Hello."] * turns)])
    [assignment] = assignments_of(study, rater)
    client = client_of(rater)
    client.get(f"/review/{assignment.uid}/")
    with django_assert_num_queries(8):
        client.get(f"/review/{assignment.uid}/")
