"""The engine against a fake model server and a real PostgreSQL."""

import pytest
from django.db import connection

from generation.actions import cancel_batch, pause_batch, resume_batch
from generation.models import (
    Attempt,
    BatchState,
    Dialogue,
    DialogueState,
    EngineEvent,
    Turn,
)
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
    wait_for_answers,
)

pytestmark = pytest.mark.django_db(transaction=True)


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


def test_cancel_closes_the_requests_of_its_batch_and_no_others() -> None:
    """The server hangs: without us it would hold every request for ever."""
    with FakeModelServer(faults=FaultPlan(rates={Fault.HANG: 1.0})) as server:
        endpoint_for(server, at_once=4)
        gone, other = small_batch(2), small_batch(2, seed=2)
        with slice_under_way() as running:
            assert server.wait_until(lambda: server.in_flight == 4)
            assert [each.outcome for each in server.requests] == ["open"] * 4
            cancel_batch(batch=gone, by=None)
            assert server.wait_until(lambda: server.aborted == 2)
            assert server.in_flight == 2
            cancel_batch(batch=other, by=None)
            assert server.wait_until(lambda: server.in_flight == 0)
            running.wait()
        # Ours to end, each of them: none was answered, none dropped by the server.
        assert [each.outcome for each in server.requests] == ["aborted"] * 4
        assert server.answered == 0
    assert counts(gone) == counts(other) == {"cancelled": 2}
    assert Attempt.objects.count() == 0


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
                wait_for_answers(server, begun + 3, running)
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
                assert wait_for_answers(server, wanted)
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
