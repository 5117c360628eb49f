"""The engine when the model server, or what it says, is at fault."""

import logging
from decimal import Decimal

import pytest

from generation import driver, watching
from generation.actions import change_endpoint, retry_failed
from generation.models import (
    Attempt,
    AttemptOutcome,
    BatchState,
    Endpoint,
    EndpointState,
    EngineEvent,
    Finding,
    Turn,
)
from generation.sightings import check_all_endpoints
from tests.fakes.model_server import FakeModelServer, Fault, FaultPlan, Trouble
from tests.generation.engine_cases import (
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
    monkeypatch.setattr(watching, "PATIENCE_S", 0.3)
    with FakeModelServer(latency=0.05) as server:
        endpoint_for(server, at_once=4)
        batch = small_batch(6)
        with slice_under_way() as running:
            assert server.wait_until(lambda: server.answered >= 3)
            server.die()
            report = running.wait()
        assert report.work_left is False
        assert set(counts(batch)) <= {"waiting", "complete"}
        put_back = "No server of fake-model has answered for 0.3 s; put back to wait: "
        assert EngineEvent.objects.filter(batch=batch, message__startswith=put_back).exists()
        assert_sound(batch)
        assert Endpoint.objects.get().state == EndpointState.UNREACHABLE
        assert set(batch.dialogues.values_list("claims", flat=True)) == {0}
        server.revive()
        assert check_all_endpoints() is True
        drive()
    assert counts(batch) == {"complete": 6}
    assert_sound(batch)


def test_server_that_was_given_another_model_is_noticed_and_waited_out() -> None:
    with FakeModelServer(latency=0.02) as server:
        endpoint_for(server, at_once=2)
        batch = small_batch(6)
        with slice_under_way() as running:
            assert server.wait_until(lambda: server.answered >= 3)
            server.model = "another"
            states = Endpoint.objects.values_list("state", flat=True)
            assert server.wait_until(lambda: states.get() == EndpointState.WRONG_MODEL, 20.0)
            server.model = "fake-model"
            running.wait()
    assert counts(batch) == {"complete": 6}
    assert_sound(batch)
    messages = list(EngineEvent.objects.filter(batch=batch).values_list("message", flat=True))
    assert "Model server one is waited for: the model server does not serve this model (404)." in (
        messages
    )
    assert "Model server one is ready." in messages


def test_server_changed_in_the_middle_answers_what_was_asked_before() -> None:
    with FakeModelServer(latency=0.1, end_after=50) as server:
        endpoint = endpoint_for(server, at_once=2)
        batch = small_batch(4, protocol=short_protocol(least=15, nudge=15, most=15))
        with slice_under_way() as running:
            assert server.wait_until(lambda: server.in_flight == 2)
            change_endpoint(
                endpoint=endpoint,
                by=None,
                max_concurrency=4,
                supports_seed=False,
                gpus=1,
                price_per_hour=Decimal("2.5"),
            )
            running.wait()
        assert (server.aborted, server.max_in_flight) == (0, 4)
    assert counts(batch) == {"complete": 4}
    assert_sound(batch)
    assert Attempt.objects.exclude(cost=None).exists()


def test_wrong_key_is_waited_out_not_held_against_the_dialogues(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watching, "PATIENCE_S", 0.3)
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


@pytest.mark.usefixtures("quick")
def test_batch_under_mixed_faults_adds_up(caplog: pytest.LogCaptureFixture) -> None:
    rates: dict[Trouble, float] = {
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
