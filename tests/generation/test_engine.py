"""The engine against a fake model server and a real PostgreSQL."""

import logging

import pytest
from django.db import connection
from pytest_django import Settings

from generation import driver, engine
from generation.actions import cancel_batch, pause_batch, resume_batch, retry_failed
from generation.models import (
    Attempt,
    AttemptOutcome,
    BatchState,
    Dialogue,
    DialogueState,
    Endpoint,
    EndpointState,
    EngineEvent,
    Finding,
    Turn,
)
from generation.sightings import check_all_endpoints
from tests.fakes.model_server import FakeModelServer, Fault, FaultPlan
from tests.generation.engine_cases import (
    Slice,
    assert_sound,
    counts,
    drive,
    endpoint_for,
    short_protocol,
    slice_under_way,
    small_batch,
    texts,
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    """Short pauses and deadlines, so that faults do not cost a test seconds each."""
    monkeypatch.setattr(driver, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(driver, "LONGEST_PAUSE_S", 0.1)
    settings.ENGINE_REQUEST_SECONDS = 1


def test_slice_completes_a_batch() -> None:
    with FakeModelServer() as server:
        endpoint = endpoint_for(server)
        batch = small_batch(4)
        report = drive()
    assert counts(batch) == {"complete": 4}
    assert_sound(batch)
    batch.refresh_from_db()
    assert batch.state == BatchState.FINISHED
    assert batch.finished_at is not None
    assert (report.claimed, report.finished, report.lost, report.work_left) == (4, 4, 0, False)
    assert report.turns == Turn.objects.count()
    turn = Turn.objects.order_by("pk")[0]
    assert turn.endpoint == endpoint
    assert turn.prompt_tokens > 0
    assert turn.completion_tokens > 0
    events = (
        EngineEvent.objects.filter(batch=batch).order_by("pk").values_list("message", flat=True)
    )
    assert list(events) == [
        "The batch was started with 4 dialogues.",
        "The batch is finished: 4 complete, 0 failed.",
    ]


def test_dialogue_keeps_what_was_asked_and_answered() -> None:
    with FakeModelServer() as server:
        endpoint_for(server)
        batch = small_batch(1)
        drive()
        sent = server.requests
    dialogue = batch.dialogues.get()
    first = Attempt.objects.get(dialogue=dialogue, turn_number=1)
    body = sent[0].body
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert body["messages"][0]["content"] == dialogue.therapist_system
    assert body["messages"][1]["content"].endswith("The client sits down.")
    assert first.request["sampling"] == {"temperature": 0.7, "max_tokens": 128}
    assert first.response["choices"][0]["finish_reason"] == "stop"
    assert "content" not in first.response["choices"][0]["message"]
    assert first.text == texts(dialogue)[0]
    # Each later request of a role starts with the whole earlier one: the prefix cache serves it.
    third = [(m["role"], m["content"]) for m in sent[2].body["messages"]]
    assert third[:2] == [(m["role"], m["content"]) for m in body["messages"]]
    assert [content for _, content in third[2:4]] == texts(dialogue)[:2]


TROUBLES = (
    Fault.RATE_LIMITED,
    Fault.SERVER_ERROR,
    Fault.OVERLOADED,
    Fault.RESET,
    Fault.CUT_BODY,
    Fault.GARBAGE_JSON,
    Fault.NO_CHOICES,
    Fault.HTML,
    Fault.BAD_HTTP,
    Fault.HUGE,
    Fault.REDIRECT,
    Fault.WRONG_MODEL,
    Fault.NUL,
    Fault.HALF_PAIR,
    Fault.HANG,
)


@pytest.mark.usefixtures("quick")
def test_every_fault_of_the_way_is_asked_again_and_kept_as_an_attempt() -> None:
    plan = FaultPlan(script={2 * place: fault for place, fault in enumerate(TROUBLES)})
    with FakeModelServer(faults=plan, retry_after="0", end_after=20) as server:
        endpoint_for(server, at_once=1)
        batch = small_batch(1, protocol=short_protocol(least=9, nudge=9, most=9))
        drive()
    assert counts(batch) == {"complete": 1}
    assert_sound(batch)
    errors = Attempt.objects.filter(outcome=AttemptOutcome.ERROR).order_by("turn_number", "number")
    assert list(errors.values_list("turn_number", "number", "error")) == [
        (place + 1, 1, reason)
        for place, reason in enumerate(
            [
                "rate_limited",
                "server_error",
                "overloaded",
                "connection_lost",
                "cut_body",
                "bad_json",
                "bad_reply",
                "wrong_content_type",
                "bad_http",
                "reply_too_large",
                "redirected",
                "wrong_model",
                "unstorable_text",
                "unstorable_text",
                "deadline",
            ]
        )
    ]
    # Several of them speak of the endpoint: it was waited for, and came back.
    assert Endpoint.objects.get().state == EndpointState.READY


@pytest.mark.usefixtures("quick")
def test_defective_reply_is_rejected_kept_and_asked_again() -> None:
    troubles = (Fault.LENGTH, Fault.REFUSAL, Fault.PLACEHOLDER, Fault.WRONG_SCRIPT, Fault.EMPTY)
    plan = FaultPlan(script={2 * place: fault for place, fault in enumerate(troubles)})
    with FakeModelServer(faults=plan, end_after=20) as server:
        endpoint_for(server, at_once=1)
        batch = small_batch(1, protocol=short_protocol(least=3, nudge=4, most=4))
        drive()
    assert counts(batch) == {"complete": 1}
    assert_sound(batch)
    rejected = Attempt.objects.filter(outcome=AttemptOutcome.REJECTED).order_by("turn_number")
    kinds = [attempt.defects[0]["kind"] for attempt in rejected]
    assert kinds == ["cut", "refusal", "placeholder", "wrong_script", "empty"]
    used = list(Turn.objects.order_by("number").values_list("attempts_used", flat=True))
    assert used == [2, 2, 2, 2, 2, 1, 1]


@pytest.mark.usefixtures("quick")
def test_defect_that_stays_is_kept_whole_with_a_finding() -> None:
    plan = FaultPlan(script=dict.fromkeys(range(3), Fault.PLACEHOLDER))
    with FakeModelServer(faults=plan) as server:
        endpoint_for(server, at_once=1)
        batch = small_batch(1)
        drive()
    assert counts(batch) == {"complete": 1}
    turn = Turn.objects.get(number=1)
    assert turn.text.startswith("Hello [Client's Name].")
    assert turn.attempts_used == 3
    assert Finding.objects.filter(kind="placeholder", turn_number=1).count() == 1


@pytest.mark.usefixtures("quick")
def test_errors_without_end_fail_the_dialogue_with_a_reason_and_retry_goes_on_from_there() -> None:
    # The second request and the seven after it: turn 2 never gets a reply.
    plan = FaultPlan(script=dict.fromkeys(range(1, 1 + driver.ERROR_CAP), Fault.SERVER_ERROR))
    with FakeModelServer(faults=plan) as server:
        endpoint_for(server, at_once=1)
        batch = small_batch(1)
        drive()
        dialogue = batch.dialogues.get()
        assert (dialogue.state, dialogue.failure_reason) == ("failed", "server_error")
        assert dialogue.failure_detail == (
            "turn 2: the model server failed on this request (5xx) (8 requests failed)"
        )
        assert dialogue.turn_count == 1
        batch.refresh_from_db()
        assert batch.state == BatchState.FINISHED
        first = texts(dialogue)
        assert retry_failed(batch=batch, by=None) == 1
        drive()
    assert counts(batch) == {"complete": 1}
    assert_sound(batch)
    assert texts(dialogue)[:1] == first
    second = Attempt.objects.filter(turn_number=2).order_by("number")
    assert list(second.values_list("number", "outcome")) == [
        *((number, "error") for number in range(1, 9)),
        (9, "accepted"),
    ]


@pytest.mark.usefixtures("quick")
def test_server_that_dies_and_returns_costs_no_attempt() -> None:
    with FakeModelServer(latency=0.02) as server:
        endpoint_for(server)
        batch = small_batch(8)
        with slice_under_way() as running:
            assert server.wait_until(lambda: server.answered >= 4)
            server.die_for(1.0)
            running.wait()
    assert counts(batch) == {"complete": 8}
    assert_sound(batch)
    reasons = set(Attempt.objects.exclude(error="").values_list("error", flat=True))
    assert reasons <= {"connection_lost", "cut_body"}
    messages = set(EngineEvent.objects.values_list("message", flat=True))
    assert "Model server one answers again." in messages
    assert Endpoint.objects.get().state == EndpointState.READY


@pytest.mark.usefixtures("quick")
def test_server_that_stays_away_leaves_every_dialogue_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine, "PATIENCE_S", 0.3)
    with FakeModelServer(latency=0.05) as server:
        endpoint_for(server, at_once=4)
        batch = small_batch(6)
        with slice_under_way() as running:
            assert server.wait_until(lambda: server.answered >= 3)
            server.die()
            report = running.wait()
        assert report.work_left is False
        assert set(counts(batch)) <= {"waiting", "complete"}
        assert_sound(batch)
        assert Endpoint.objects.get().state == EndpointState.UNREACHABLE
        assert set(batch.dialogues.values_list("claims", flat=True)) == {0}
        server.revive()
        assert check_all_endpoints() is True
        drive()
    assert counts(batch) == {"complete": 6}
    assert_sound(batch)


def test_wrong_key_is_waited_out_not_held_against_the_dialogues(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine, "PATIENCE_S", 0.3)
    with FakeModelServer(api_key="right") as server:
        endpoint_for(server)
        batch = small_batch(2)
        drive()
        row = Endpoint.objects.get()
        assert row.state == EndpointState.UNREACHABLE
        assert row.state_detail == "the model server wants another key (401)"
        assert counts(batch) == {"waiting": 2}
        monkeypatch.setenv("FAKE_API_KEY", "right")
        Endpoint.objects.update(api_key_name="FAKE_API_KEY")
        check_all_endpoints()
        drive()
    assert counts(batch) == {"complete": 2}
    assert_sound(batch)


def test_full_context_is_noticed_before_the_request() -> None:
    with FakeModelServer() as server:
        endpoint_for(server)
        Endpoint.objects.update(context_length=150)
        batch = small_batch(1)
        drive()
        assert server.received == 0
    dialogue = batch.dialogues.get()
    assert (dialogue.state, dialogue.failure_reason) == ("failed", "context_full")


def test_full_context_told_by_the_server_fails_the_dialogue() -> None:
    with FakeModelServer(faults=FaultPlan(script={2: Fault.CONTEXT_FULL})) as server:
        endpoint_for(server)
        batch = small_batch(1)
        drive()
    dialogue = batch.dialogues.get()
    assert (dialogue.state, dialogue.failure_reason) == ("failed", "context_full")
    assert dialogue.turn_count == 2
    assert_sound(batch)


def test_overload_lowers_the_limit_and_says_so() -> None:
    with FakeModelServer(latency=0.02, retry_after="0") as server:
        endpoint_for(server, at_once=8)
        batch = small_batch(16)
        server.fail_next(*[Fault.RATE_LIMITED] * 8)
        drive()
    assert counts(batch) == {"complete": 16}
    assert_sound(batch)
    messages = list(EngineEvent.objects.filter(batch=batch).values_list("message", flat=True))
    assert "Requests at once to one were lowered to 4." in messages


def test_cancel_aborts_requests_under_way() -> None:
    with FakeModelServer(latency=60.0) as server:
        endpoint_for(server, at_once=4)
        batch = small_batch(6)
        with slice_under_way() as running:
            assert server.wait_until(lambda: server.in_flight == 4)
            assert cancel_batch(batch=batch, by=None) == 6
            assert server.wait_until(lambda: server.aborted == 4)
            running.wait()
    assert counts(batch) == {"cancelled": 6}
    assert Turn.objects.count() == 0


def test_pause_lets_replies_under_way_be_stored_and_resume_goes_on() -> None:
    with FakeModelServer(latency=0.05) as server:
        endpoint_for(server, at_once=4)
        batch = small_batch(4)
        with slice_under_way() as running:
            assert server.wait_until(lambda: server.answered >= 4)
            pause_batch(batch=batch, by=None)
            running.wait()
        assert server.aborted == 0
        assert set(counts(batch)) <= {"waiting", "complete"}
        assert_sound(batch)
        received = server.received
        assert drive().claimed == 0
        assert server.received == received
        batch.refresh_from_db()
        resume_batch(batch=batch, by=None)
        drive()
    assert counts(batch) == {"complete": 4}
    assert_sound(batch)


def test_resumed_dialogue_goes_on_exactly_as_an_unbroken_one() -> None:
    protocol = short_protocol(least=6, nudge=6, most=6)
    with FakeModelServer(latency=0.01, end_after=50) as server:
        endpoint_for(server, at_once=2)
        unbroken = small_batch(2, protocol=protocol, seed=7)
        drive()
        broken = small_batch(2, protocol=protocol, seed=7)
        for _ in range(40):
            if counts(broken) == {"complete": 2}:
                break
            with slice_under_way() as running:
                begun = server.answered
                server.wait_until(lambda begun=begun: server.answered >= begun + 3, 2.0)
                running.stop.set()
    assert counts(broken) == {"complete": 2}
    assert_sound(broken)
    for one, other in zip(
        unbroken.dialogues.order_by("pk"), broken.dialogues.order_by("pk"), strict=True
    ):
        assert one.client_system == other.client_system
        assert texts(one) == texts(other)


def test_stop_hands_everything_back_at_once() -> None:
    with FakeModelServer(latency=60.0) as server:
        endpoint_for(server, at_once=3)
        batch = small_batch(5)
        with slice_under_way() as running:
            assert server.wait_until(lambda: server.in_flight == 3)
            report = running.end()
        assert server.wait_until(lambda: server.aborted == 3)
    assert report.turns == 0
    assert counts(batch) == {"waiting": 5}
    assert set(batch.dialogues.values_list("claims", "lease_until")) == {(0, None)}


def test_two_engines_and_two_endpoints_share_a_batch() -> None:
    with FakeModelServer(latency=0.03) as one, FakeModelServer(latency=0.03) as two:
        endpoint_for(one, "one", at_once=3)
        endpoint_for(two, "two", at_once=3)
        batch = small_batch(24)
        with slice_under_way() as first, slice_under_way() as second:
            reports = [first.wait(), second.wait()]
        assert one.answered > 0
        assert two.answered > 0
        assert one.answered + two.answered == Attempt.objects.count()
    assert counts(batch) == {"complete": 24}
    assert_sound(batch)
    assert sum(report.finished for report in reports) == 24
    assert sum(report.turns for report in reports) == Turn.objects.count()


def test_roles_may_speak_through_different_models() -> None:
    with FakeModelServer(model="doctor") as doctor, FakeModelServer(model="person") as person:
        endpoint_for(doctor, "doctor")
        endpoint_for(person, "person")
        batch = small_batch(1, model="doctor")
        arm = batch.arms.get()
        assert (arm.therapist_model, arm.client_model) == ("doctor", "doctor")
        mixed = small_batch(2, therapist_model="doctor", client_model="person", model="doctor")
        drive()
        assert {request.body["model"] for request in doctor.requests} == {"doctor"}
        assert {request.body["model"] for request in person.requests} == {"person"}
        systems = {request.body["messages"][0]["content"] for request in person.requests}
    assert systems == {"You are the client."}
    assert counts(mixed) == {"complete": 2}
    assert_sound(mixed)


def test_lost_database_connections_are_made_up_for() -> None:
    with FakeModelServer(latency=0.02) as server:
        endpoint_for(server, at_once=8)
        batch = small_batch(8, protocol=short_protocol(least=8, nudge=8, most=8))
        with slice_under_way() as running:
            for wanted in (8, 40, 80):
                assert server.wait_until(lambda wanted=wanted: server.answered >= wanted, 20.0)
                cut_other_connections()
            running.wait()
    assert counts(batch) == {"complete": 8}
    assert_sound(batch)


def cut_other_connections() -> None:
    """End every other session of this database, as a restart of PostgreSQL does."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@pytest.mark.usefixtures("quick")
def test_batch_under_mixed_faults_adds_up(caplog: pytest.LogCaptureFixture) -> None:
    rates = {
        Fault.SERVER_ERROR: 0.05,
        Fault.RESET: 0.05,
        Fault.CUT_BODY: 0.02,
        Fault.HANG: 0.01,
        Fault.RATE_LIMITED: 0.02,
        Fault.EMPTY: 0.03,
        Fault.PLACEHOLDER: 0.03,
        Fault.NUL: 0.01,
    }
    caplog.set_level(logging.DEBUG)
    with FakeModelServer(faults=FaultPlan(rates=rates, seed=3), retry_after="0") as server:
        endpoint_for(server, at_once=16)
        batch = small_batch(60)
        with slice_under_way() as running:
            assert server.wait_until(lambda: server.answered >= 100, 20.0)
            server.die_for(0.5)
            running.wait()
    found = counts(batch)
    assert sum(found.values()) == 60
    assert set(found) <= {"complete", "failed"}
    assert_sound(batch)
    for dialogue, turn in Attempt.objects.values_list("dialogue_id", "turn_number").distinct():
        made = Attempt.objects.filter(dialogue_id=dialogue, turn_number=turn)
        assert made.filter(outcome=AttemptOutcome.ERROR).count() <= driver.ERROR_CAP
        assert made.exclude(outcome=AttemptOutcome.ERROR).count() <= 3
        numbers = list(made.order_by("number").values_list("number", flat=True))
        assert numbers == list(range(1, len(numbers) + 1))
    for text in Turn.objects.values_list("text", flat=True):
        assert text not in caplog.text


def test_expired_lease_is_taken_over_and_the_old_owner_writes_nothing() -> None:
    with FakeModelServer(latency=0.2) as server:
        endpoint_for(server, at_once=2)
        batch = small_batch(2)
        with slice_under_way() as stale:
            assert server.wait_until(lambda: server.in_flight == 2)
            # As if the first engine had slept too long: its leases go to another.
            thief = Slice()
            Dialogue.objects.update(state=DialogueState.WAITING, lease_owner=None, lease_until=None)
            thief.thread.start()
            reports = [thief.wait(), stale.wait()]
    assert counts(batch) == {"complete": 2}
    assert_sound(batch)
    assert sum(report.turns for report in reports) == Turn.objects.count()
