"""The save address: operations in order, each happening once, each refusal with its code."""

import json
from uuid import uuid4

import psycopg
import pytest
from django.apps import apps

from review.instruments import builtin_instruments
from review.models import Evidence, Flag, Rating, Step, Visit
from tests.factories import assignments_of, make_dialogue, make_study
from tests.review.forms import TRIAL, trial_study

EXPERT = "sqpsych-expert"
ITEM = "t1_key_thoughts"


@pytest.fixture
def assignment(rater):
    study = make_study([rater], [make_dialogue(["Hi 👩‍👩‍👧.", "مرحبا e\u0301!"])])
    return assignments_of(study, rater)[0]


@pytest.fixture
def trial(rater):
    return assignments_of(trial_study(rater), rater)[0]


def op(kind="answer", **fields):
    if kind == "answer":
        fields = {"instrument": EXPERT, "item": ITEM, **fields}
    return {"key": str(uuid4()), "kind": kind, **fields}


def post(client, assignment, *ops, **headers):
    return client.post(
        f"/review/{assignment.uid}/save/",
        json.dumps({"ops": ops}),
        content_type="application/json",
        headers={"X-Requested-With": "fetch", **headers},
    )


def results(client, assignment, *ops):
    response = post(client, assignment, *ops)
    assert response.status_code == 200, response.content
    return response.json()["results"]


def state(client, assignment):
    return client.get(f"/review/{assignment.uid}/state/").json()


def test_answer_is_stored_and_told_with_how_the_rating_stands(client_of, rater, assignment):
    given = op(value="2", base=0)
    reply = post(client_of(rater), assignment, given).json()
    assert reply["results"] == [
        {
            "key": given["key"],
            "status": 200,
            "instrument": EXPERT,
            "item": ITEM,
            "turn": None,
            "value": "2",
            "comment": "",
            "revision": 1,
        }
    ]
    assert (reply["open"], reply["open_items"], reply["hidden"]) == (18, [], [])
    assert reply["sections"][f"{EXPERT}-therapist"] == [1, 9]
    assert (reply["can_undo"], reply["can_redo"]) == (True, False)
    assert "subtotals" not in reply
    assignment.refresh_from_db()
    assert (assignment.state, assignment.revision) == ("started", 1)
    assert assignment.opened_at is not None


def test_a_save_is_one_small_message_each_way(client_of, rater, assignment):
    body = {"ops": [op(value="2", base=0)]}
    response = post(client_of(rater), assignment, *body["ops"])
    assert len(json.dumps(body)) < 2048
    assert len(response.content) < 2048


def test_replayed_request_gets_the_same_answers_and_changes_nothing(client_of, rater, assignment):
    client, flag, mark = client_of(rater), str(uuid4()), str(uuid4())
    ops = [
        op(value="1", base=0),
        op("comment", text="Hm.", base=0),
        op("flag", uid=flag, category="medical_advice", severity="severe", turn=1),
        op("evidence", uid=mark, flag=flag, turn=1),
        op("unmark", uid=mark),
        op("unflag", uid=flag),
        op(value="2", base=1),
        op("undo"),
    ]
    first = results(client, assignment, *ops)
    assert [one["status"] for one in first] == [200] * 8
    assert (first[7]["value"], first[7]["revision"]) == ("1", 3)
    counts = [model.objects.count() for model in (Rating, Flag, Evidence, Step)]
    assert results(client, assignment, *ops) == first
    assert [model.objects.count() for model in (Rating, Flag, Evidence, Step)] == counts
    assert Flag.objects.get().withdrawn_at is not None
    assert Rating.objects.get().value == "1"


def test_the_same_key_twice_in_one_request_happens_once(client_of, rater, assignment):
    given = op(value="1")
    first, second = results(client_of(rater), assignment, given, given)
    assert first == second
    assert Step.objects.count() == 1


def test_history_keeps_every_value_with_its_author_even_within_one_request(
    client_of, rater, assignment
):
    results(client_of(rater), assignment, op(value="0"), op(value="1"), op(value="2"), op("undo"))
    events = apps.get_model("review", "RatingEvent").objects.order_by("pgh_id")
    assert [(event.value, event.revision) for event in events] == [
        ("0", 1),
        ("1", 2),
        ("2", 3),
        ("1", 4),
    ]
    assert {event.pgh_context.metadata["user"] for event in events} == {rater.pk}


def test_stale_answer_is_refused_with_what_is_stored_and_the_next_one_still_counts(
    client_of, rater, assignment
):
    client = client_of(rater)
    results(client, assignment, op(value="1", comment="first", base=0))
    late = [op(value="2", base=0), op("comment", text="Fine.", base=0)]
    stale, fine = results(client, assignment, *late)
    assert (stale["status"], stale["code"]) == (409, "stale")
    assert stale["stored"] == {"value": "1", "comment": "first"}
    assert stale["revision"] == 1
    assert fine["status"] == 200
    again = results(client, assignment, op("comment", text="Other.", base=0))[0]
    assert (again["status"], again["stored"]) == (409, {"value": "", "comment": "Fine."})
    kept = results(client, assignment, op(value="2", base=1))[0]
    assert (kept["status"], kept["revision"]) == (200, 2)


def test_giving_the_answer_that_stands_is_no_change(client_of, rater, assignment):
    client = client_of(rater)
    results(client, assignment, op(value="1", base=0))
    told = results(client, assignment, op(value="1", base=0))[0]
    assert (told["status"], told["revision"]) == (200, 1)
    assert Step.objects.count() == 1


@pytest.mark.parametrize(
    ("wrong", "status", "code"),
    [
        (op(value="3"), 422, "off_scale"),
        (op(value="1.5"), 422, "off_scale"),
        (op(value="02"), 422, "off_scale"),
        (op(value="yes"), 422, "off_scale"),
        (op(value="not_sure|na"), 422, "off_scale"),
        (op(item="t99", value="1"), 422, "unknown_item"),
        (op(instrument="other", value="1"), 422, "unknown_item"),
        (op(value="1", turn=1), 422, "bad_place"),
        (op(comment="x" * 10_001), 422, "too_long"),
        (op(value="1", turn="1"), 400, "malformed"),
        (op(value=1), 400, "malformed"),
        (op(value="a\x00b"), 400, "malformed"),
        (op(value="\ud800"), 400, "malformed"),
        (op(value="1", base=-1), 400, "malformed"),
        (op(value="1", base=True), 400, "malformed"),
        (op(value="1", more="1"), 400, "malformed"),
        (op("comment", text="x" * 10_001), 422, "too_long"),
        (op("comment"), 400, "malformed"),
        (op("nonsense"), 400, "malformed"),
        (op("undo"), 422, "nothing_to_undo"),
        (op("redo"), 422, "nothing_to_redo"),
        (op("unmark", uid=str(uuid4())), 404, "not_yours"),
        (op("unflag", uid=str(uuid4())), 404, "not_yours"),
        (op("time", visit=str(uuid4()), active=86401, paused=0), 400, "malformed"),
        ({"key": "no", "kind": "undo"}, 400, "malformed"),
        ({"kind": "undo"}, 400, "malformed"),
        ("undo", 400, "malformed"),
        (None, 400, "malformed"),
    ],
)
def test_what_is_not_allowed_is_refused_with_its_code(
    client_of, rater, assignment, wrong, status, code
):
    told, fine = results(client_of(rater), assignment, wrong, op(value="2"))
    assert (told["status"], told["code"]) == (status, code)
    assert told["sentence"].endswith(".")
    assert fine["status"] == 200
    assert list(Rating.objects.values_list("item", "value")) == [(ITEM, "2")]
    assert Step.objects.count() == 1


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"category": "nonsense"}, "off_scale"),
        ({"severity": "enormous"}, "off_scale"),
        ({"category": "", "severity": "concern"}, "incomplete"),
        ({"turn": 3}, "unknown_turn"),
        ({"turn": 0}, "unknown_turn"),
        ({"turn": 1, "start": 0, "end": 99}, "bad_place"),
        ({"turn": 1, "start": 3, "end": 3}, "bad_place"),
        ({"turn": 1, "start": 3}, "bad_place"),
        ({"start": 1, "end": 2}, "bad_place"),
        ({"note": "x" * 10_001}, "too_long"),
        ({"details": {"imminent": "imminent"}}, "hidden"),
        ({"details": {"category": "medical_advice"}}, "unknown_item"),
        ({"details": {"other": "1"}}, "unknown_item"),
        ({"category": "risk_cue_missed", "details": {"imminent": "perhaps"}}, "off_scale"),
        ({"category": "risk_cue_missed"}, "incomplete"),
    ],
)
def test_flag_outside_the_form_or_the_dialogue_is_refused(
    client_of, rater, assignment, wrong, code
):
    fields = {"uid": str(uuid4()), "category": "medical_advice", "severity": "serious"} | wrong
    told = results(client_of(rater), assignment, op("flag", **fields))[0]
    assert (told["status"], told["code"]) == (422, code)
    assert Flag.objects.count() == 0


def test_flag_takes_the_imminent_path_and_can_be_changed_and_taken_back(
    client_of, rater, assignment
):
    client, uid = client_of(rater), str(uuid4())
    place = {"turn": 2, "start": 0, "end": 5}
    given = {
        "uid": uid,
        "category": "risk_cue_missed",
        "details": {"imminent": "imminent"},
        **place,
    }
    results(client, assignment, op("flag", severity="severe", **given))
    flag = Flag.objects.get()
    assert flag.details == {"imminent": "imminent"}
    assert (flag.turn_number, flag.start, flag.end) == (2, 0, 5)
    results(client, assignment, op("flag", severity="concern", note="Milder.", **given))
    flag.refresh_from_db()
    assert (flag.severity, flag.note) == ("concern", "Milder.")
    results(client, assignment, op("unflag", uid=uid))
    assert state(client, assignment)["flags"] == []
    assert apps.get_model("review", "FlagEvent").objects.count() == 3


def test_evidence_keeps_code_points_exactly(client_of, rater, assignment):
    client = client_of(rater)
    texts = ["Hi 👩‍👩‍👧.", "مرحبا e\u0301!"]
    whole, part, arabic = (str(uuid4()) for _ in range(3))
    fields = {"instrument": EXPERT, "item": ITEM}
    told = results(
        client,
        assignment,
        op("evidence", uid=whole, turn=1, **fields),
        op("evidence", uid=part, turn=1, start=3, end=8, **fields),
        op("evidence", uid=arabic, turn=2, start=0, end=5, **fields),
        op("evidence", uid=str(uuid4()), turn=1, start=3, end=len(texts[0]) + 1, **fields),
    )
    assert [one["status"] for one in told] == [200, 200, 200, 422]
    marks = {one["uid"]: one for one in state(client, assignment)["evidence"]}
    assert (marks[whole]["start"], marks[whole]["end"]) == (None, None)
    assert texts[0][marks[part]["start"] : marks[part]["end"]] == "👩‍👩‍👧"
    assert texts[1][marks[arabic]["start"] : marks[arabic]["end"]] == "مرحبا"


@pytest.mark.parametrize(
    ("wrong", "status", "code"),
    [
        ({"turn": None}, 422, "bad_place"),
        ({"item": "t99"}, 422, "unknown_item"),
        ({"instrument": "", "item": ""}, 422, "unknown_item"),
        ({"flag": str(uuid4())}, 422, "bad_place"),
        ({"flag": str(uuid4()), "instrument": "", "item": ""}, 404, "not_yours"),
        ({"uid": "no"}, 400, "malformed"),
        ({"uid": 7}, 400, "malformed"),
    ],
)
def test_evidence_without_a_place_or_owner_is_refused(
    client_of, rater, assignment, wrong, status, code
):
    fields = {"uid": str(uuid4()), "instrument": EXPERT, "item": ITEM, "turn": 1} | wrong
    told = results(client_of(rater), assignment, op("evidence", **fields))[0]
    assert (told["status"], told["code"]) == (status, code)
    assert Evidence.objects.count() == 0


def test_evidence_may_belong_to_a_flag_and_goes_with_it(client_of, rater, assignment):
    client, flag, mark = client_of(rater), str(uuid4()), str(uuid4())
    results(
        client,
        assignment,
        op("flag", uid=flag, category="medical_advice", severity="severe"),
        op("evidence", uid=mark, flag=flag, turn=2, start=1, end=3),
    )
    [told] = state(client, assignment)["evidence"]
    assert (told["flag"], told["instrument"], told["item"]) == (flag, "", "")
    late = op("evidence", uid=str(uuid4()), flag=flag, turn=1)
    assert results(client, assignment, op("unflag", uid=flag), late)[1]["code"] == "flag_withdrawn"
    assert state(client, assignment)["evidence"] == []


def test_marks_of_another_rating_are_not_found(client_of, rater, other_rater, assignment):
    study = make_study([other_rater], name="Other")
    theirs = assignments_of(study, other_rater)[0]
    flag, mark = str(uuid4()), str(uuid4())
    results(
        client_of(other_rater),
        theirs,
        op("flag", uid=flag, category="medical_advice", severity="severe"),
        op("evidence", uid=mark, instrument=EXPERT, item=ITEM, turn=1),
    )
    told = results(
        client_of(rater),
        assignment,
        op("flag", uid=flag, category="medical_advice", severity="concern"),
        op("evidence", uid=mark, instrument=EXPERT, item=ITEM, turn=1),
        op("unflag", uid=flag),
        op("unmark", uid=mark),
    )
    assert [(one["status"], one["code"]) for one in told] == [(404, "not_yours")] * 4
    assert Flag.objects.get().severity == "severe"


def test_undo_and_redo_walk_through_the_answers_across_reloads(client_of, rater, assignment):
    def walked(*kinds):
        told = results(client_of(rater), assignment, *(op(kind) for kind in kinds))
        return [one.get("value", one.get("code")) for one in told]

    results(
        client_of(rater), assignment, op(value="0"), op(value="1", comment="why"), op(value="2")
    )
    assert walked("undo", "undo") == ["1", "0"]
    assert walked("redo") == ["1"]
    assert Rating.objects.get().comment == "why"
    assert walked("redo", "redo") == ["2", "nothing_to_redo"]
    assert walked("undo", "undo", "undo", "undo") == ["1", "0", "", "nothing_to_undo"]
    assert walked("redo") == ["0"]
    # A new answer gives up what could have been done again.
    reply = post(client_of(rater), assignment, op(value="2")).json()
    assert (reply["can_undo"], reply["can_redo"]) == (True, False)
    assert walked("undo", "redo", "redo") == ["0", "2", "nothing_to_redo"]


def test_time_is_summed_over_visits_and_a_repeat_adds_nothing(client_of, rater, assignment):
    client, one, two = client_of(rater), str(uuid4()), str(uuid4())
    for visit, active, paused in ((one, 30, 5), (one, 60, 5), (one, 60, 5), (two, 10, 100)):
        results(client, assignment, op("time", visit=visit, active=active, paused=paused))
    results(client, assignment, op("time", visit=one, active=30, paused=0))
    assignment.refresh_from_db()
    assert (assignment.active_seconds, assignment.paused_seconds) == (70, 105)
    assert Visit.objects.count() == 2
    assert (assignment.state, assignment.revision) == ("due", 0)


# -- every kind of item ------------------------------------------------------------------------


def answer(item, value=None, **more):
    return op(instrument=TRIAL, item=item, value=value, **more)


@pytest.mark.parametrize(
    ("item", "value", "code"),
    [
        ("half", "1.5", None),
        ("half", "0", None),
        ("half", "1.50", "off_scale"),
        ("half", "1.25", "off_scale"),
        ("half", "6.5", "off_scale"),
        ("half", "na", None),
        ("half", "not_sure", None),
        ("risk", "yes", None),
        ("risk", "maybe", "off_scale"),
        ("risk", "na", "not_allowed"),
        ("approach", "cbt", None),
        ("approach", "cbt|other", "off_scale"),
        ("reasons", "harm|tone", None),
        ("reasons", "tone|harm", "off_scale"),
        ("reasons", "tone|tone", "off_scale"),
        ("reasons", "none", None),
        ("reasons", "none|tone", "not_allowed"),
        ("reasons", "", None),
        ("words", "Free <b>text</b>\n🙂", None),
        ("words", "x" * 201, "off_scale"),
        ("words", "  ", "off_scale"),
    ],
)
def test_every_kind_of_item_takes_its_values_and_no_others(
    client_of, rater, trial, item, value, code
):
    told = results(client_of(rater), trial, answer(item, value))[0]
    assert told.get("code") == code
    stored = list(Rating.objects.values_list("value", flat=True))
    assert stored == ([value] if code is None and value else [])


def test_item_under_a_condition_is_refused_while_it_is_not_asked(client_of, rater, trial):
    client = client_of(rater)
    assert f"{TRIAL}-how_bad" in state(client, trial)["hidden"]
    assert results(client, trial, answer("how_bad", "2"))[0]["code"] == "hidden"
    reply = post(client, trial, answer("risk", "yes"), answer("how_bad", "2")).json()
    assert [one["status"] for one in reply["results"]] == [200, 200]
    assert f"{TRIAL}-how_bad" not in reply["hidden"]
    back = post(client, trial, answer("risk", "no")).json()
    assert f"{TRIAL}-how_bad" in back["hidden"]
    assert f"{TRIAL}-how_bad" not in back["open_items"]


def test_items_about_turns_are_answered_turn_by_turn(client_of, rater, trial):
    client = client_of(rater)
    refused = results(
        client, trial, answer("warm", "1"), answer("warm", "1", turn=4), answer("cold", "1", turn=1)
    )
    assert [one["code"] for one in refused] == ["bad_place", "unknown_turn", "hidden"]
    reply = post(
        client,
        trial,
        answer("warm", "0", turn=1),
        answer("cold", "1", turn=1),
        answer("warm", "1", turn=3),
    ).json()
    assert [one["turn"] for one in reply["results"]] == [1, 1, 3]
    assert f"{TRIAL}-warm-t2" in reply["open_items"]
    assert f"{TRIAL}-cold-t1" not in reply["hidden"]
    assert f"{TRIAL}-cold-t3" in reply["hidden"]
    assert reply["sections"][f"{TRIAL}-turns"] == [3, 4]
    told = state(client, trial)["answers"]
    assert {(one["item"], one["turn"]): one["value"] for one in told} == {
        ("warm", 1): "0",
        ("cold", 1): "1",
        ("warm", 3): "1",
    }


def test_submit_asks_for_every_turn_and_for_evidence_at_its_place(client_of, rater, trial):
    client = client_of(rater)

    def missing():
        page = client.post(f"/review/{trial.uid}/", {"action": "submit"})
        if page.status_code == 302:
            return []
        assert page.status_code == 422
        return [(one.item, one.turn, one.sentence) for one, _item in page.context["problems"]]

    answers = [answer("half", "3"), answer("risk", "no"), answer("approach", "cbt")]
    answers += [answer("reasons", "none"), answer("warm", "1", turn=1), answer("warm", "1", turn=2)]
    results(client, trial, *answers)
    proof = "needs a marked passage as evidence"
    assert missing() == [
        ("half", None, proof),
        ("warm", 1, proof),
        ("warm", 2, proof),
        ("warm", 3, "needs an answer"),
    ]
    marks = [("half", 3), ("warm", 1), ("warm", 1), ("warm", 3)]
    results(
        client,
        trial,
        answer("warm", "0", turn=3),
        *(
            op("evidence", uid=str(uuid4()), instrument=TRIAL, item=item, turn=turn)
            for item, turn in marks
        ),
    )
    assert missing() == [("cold", 3, "needs an answer"), ("warm", 2, proof)][::-1]
    results(
        client,
        trial,
        answer("cold", "0", turn=3),
        op("evidence", uid=str(uuid4()), instrument=TRIAL, item="warm", turn=2),
    )
    assert missing() == []
    trial.refresh_from_db()
    assert trial.state == "submitted"


def test_subtotals_are_told_only_where_the_study_shows_them(client_of, rater):
    study = make_study([rater], settings={"show_totals": True})
    [assignment] = assignments_of(study, rater)
    reply = post(client_of(rater), assignment, op(value="2")).json()
    [first, *_] = reply["subtotals"]
    assert first["instrument"] == EXPERT
    assert (first["value"], first["missing"]) == (None, 8)


# -- the request as a whole --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "malformed"),
        (b"{", 400, "malformed"),
        (b"[]", 400, "malformed"),
        (b'{"ops": []}', 400, "malformed"),
        (b'{"ops": 3}', 400, "malformed"),
        (b"[" * 100_000, 400, "malformed"),
        (json.dumps({"ops": [op("undo")] * 51}).encode(), 400, "malformed"),
        (b" " * (256 * 1024 + 1), 413, "too_large"),
    ],
)
def test_request_that_is_no_list_of_operations(client_of, rater, assignment, body, status, code):
    path = f"/review/{assignment.uid}/save/"
    response = client_of(rater).post(path, body, content_type="application/json")
    assert (response.status_code, response.json()["code"]) == (status, code)


@pytest.mark.parametrize(
    ("study", "state", "code"),
    [
        ("paused", "started", "closed_study"),
        ("closed", "started", "closed_study"),
        ("running", "submitted", "submitted"),
        ("running", "returned", "returned"),
    ],
)
def test_closed_for_answers_refuses_the_whole_request(
    client_of, rater, assignment, study, state, code
):
    client, before = client_of(rater), op(value="1")
    results(client, assignment, before)
    assignment.refresh_from_db()
    assignment.state, assignment.submitted_at = state, assignment.opened_at
    assignment.save()
    assignment.study.state = study
    assignment.study.save()
    response = post(client, assignment, op(value="2"), op("comment", text="x"))
    assert (response.status_code, response.json()["code"]) == (409, code)
    assert Rating.objects.get().value == "1"
    # What was stored before is still told as stored.
    assert results(client, assignment, before)[0]["status"] == 200


def test_strangers_and_lost_logins_are_told_apart(client, client_of, other_rater, assignment):
    lost = post(client, assignment, op(value="1"))
    assert (lost.status_code, lost.json()["code"]) == (401, "sign_in")
    for address in ("save", "state", "next", "opened"):
        path = f"/review/{assignment.uid}/{address}/"
        method = client_of(other_rater).get if address in {"state", "next"} else None
        reply = method(path) if method else client_of(other_rater).post(path)
        assert reply.status_code == 404, address
    assert Rating.objects.count() == 0


def test_state_tells_everything_stored_and_nothing_of_others(
    client_of, rater, other_rater, assignment
):
    client = client_of(rater)
    results(client, assignment, op(value="1", comment="why"), op("comment", text="All in all."))
    told = state(client, assignment)
    assert told["answers"] == [
        {
            "instrument": EXPERT,
            "item": ITEM,
            "turn": None,
            "value": "1",
            "comment": "why",
            "revision": 1,
        }
    ]
    assert told["comment"] == {"text": "All in all.", "revision": 1}
    assert (told["state"], told["open_for_answers"], told["open"]) == ("started", True, 18)
    assert len(told["token"]) == 64


def test_next_brings_the_page_without_opening_it(client_of, rater):
    study = make_study([rater], [make_dialogue(), make_dialogue(["Second.", "Yes."])])
    first, second = assignments_of(study, rater)
    client = client_of(rater)
    response = client.get(f"/review/{first.uid}/next/")
    assert f'data-uid="{second.uid}"' in response.content.decode()
    assert "<html" not in response.content.decode()
    assert response["HX-Push-Url"] == f"/review/{second.uid}/"
    second.refresh_from_db()
    assert (second.state, second.opened_at) == ("due", None)
    assert client.post(f"/review/{second.uid}/opened/").status_code == 204
    second.refresh_from_db()
    assert second.state == "started"
    opened_at = second.opened_at
    assert client.post(f"/review/{second.uid}/opened/").status_code == 204
    second.refresh_from_db()
    assert second.opened_at == opened_at
    type(second).objects.exclude(pk=first.pk).update(state="returned")
    assert client.get(f"/review/{first.uid}/next/").status_code == 204


@pytest.mark.parametrize("count", [1, 3])
def test_save_makes_the_same_statements_for_one_answer_and_three(
    client_of, rater, assignment, monkeypatch, count
):
    client = client_of(rater)
    items = [item.key for item in builtin_instruments()[EXPERT].items[:count]]
    post(client, assignment, op(comment="first"))
    # Some statements go past the ORM: all of them are counted where they leave the process.
    sent: list[object] = []
    execute = psycopg.Cursor.execute

    def counted(self, query, *args, **options):
        sent.append(query)
        return execute(self, query, *args, **options)

    monkeypatch.setattr(psycopg.Cursor, "execute", counted)
    post(client, assignment, *(op(item=item, value="1") for item in items))
    assert len(sent) == 8
