"""Dialogues of cbt-plan through the engine: planned, looked at, kept whole, resumed anywhere."""

from typing import Any

import pytest
from django.db.models import Count

from generation.actions import ArmSpec, create_batch
from generation.asked import asked_again
from generation.models import (
    Attempt,
    AttemptOutcome,
    AttemptPurpose,
    Batch,
    Finding,
    Turn,
)
from generation.protocols import builtin_protocols
from generation.records import messages_sha256
from tests.fakes.faults import Fault, FaultPlan
from tests.fakes.model_server import FakeModelServer
from tests.generation.engine_cases import (
    assert_sound,
    counts,
    drive,
    endpoint_for,
    slice_under_way,
)
from tests.generation_rows import make_set

pytestmark = pytest.mark.django_db(transaction=True)
PLANNED = {"arrive", "agenda", "situation", "thought", "examine", "step", "close"}


def planned_batch(count: int = 1, *, per_profile: int = 1, **switches: Any) -> Batch:
    """A batch of cbt-plan that takes every profile."""
    spec = ArmSpec("A", "cbt-plan", "fake-model", "fake-model", switches=switches)
    return create_batch(
        name="planned",
        profile_set=make_set(count, f"set {Batch.objects.count()}"),
        arms=[spec],
        per_profile=per_profile,
        seed=1,
        by=None,
        risk_reason="for a test",
    )


def test_planned_dialogue_keeps_forms_drafts_critiques_and_phases() -> None:
    with FakeModelServer(end_after=13) as server:
        endpoint_for(server)
        batch = planned_batch(2)
        drive()
    assert counts(batch) == {"complete": 2}
    assert_sound(batch)
    dialogue = batch.dialogues.order_by("pk")[0]
    assert set(dialogue.forms) == {"conceptualisation", "plan"}
    assert dialogue.forms["conceptualisation"]["core_beliefs"] == ["I am not enough."]
    made = Attempt.objects.filter(dialogue=dialogue)
    assert list(made.filter(turn_number=0).values_list("purpose", "outcome", "role")) == [
        ("preparation", "accepted", "client"),
        ("preparation", "accepted", "therapist"),
    ]
    turns = list(dialogue.turns.all())
    therapist = [turn for turn in turns if turn.role == "therapist"]
    assert {turn.tracked["phase"] for turn in turns} == PLANNED
    assert all("resistance" in turn.tracked for turn in turns if turn.role == "client")
    assert made.filter(purpose="critique", outcome="accepted").count() == len(therapist)
    for turn in therapist:
        tries = list(made.filter(turn_number=turn.number).order_by("number"))
        kinds = [(each.purpose, each.outcome) for each in tries]
        if "revise" in tries[1].text:
            assert kinds == [
                ("turn", "drafted"),
                ("critique", "accepted"),
                ("revision", "accepted"),
            ]
            assert turn.text == tries[2].text.removesuffix(" [/END]") != tries[0].text
        else:
            assert kinds == [("turn", "accepted"), ("critique", "accepted")]
            # The figures are those of the request that brought the words.
            assert (turn.text, turn.prompt_tokens) == (tries[0].text, tries[0].prompt_tokens)
        assert turn.attempts_used == len(tries)
    for each in made:
        # What was sent can be put together again, and the hash proves it.
        request = asked_again(each)
        assert request is not None
        assert messages_sha256(request.messages) == each.request["messages_sha256"]
    assert {each.request.get("form") for each in made} == {
        None,
        "conceptualisation",
        "session_plan",
        "critique",
    }


def test_no_request_of_the_therapist_holds_an_answer_or_a_diagnosis() -> None:
    with FakeModelServer(end_after=13) as server:
        endpoint_for(server)
        batch = planned_batch(1)
        drive()
        sent = [each.body["messages"] for each in server.requests]
    profile = batch.dialogues.get().profile
    assert profile is not None
    for messages in sent:
        if "psychotherapist trained" in messages[0]["content"]:
            told = "\n".join(message["content"] for message in messages[:2])
            assert f"Condition: {profile.condition}" not in told
            assert "past two weeks" not in told
            assert "Total:" not in told


def test_prepared_and_half_made_turns_are_resumed_not_made_again() -> None:
    with FakeModelServer(end_after=13) as server:
        endpoint_for(server, at_once=1)
        batch = planned_batch(1)
        # Stopped after a form, after a draft, and after a critique that wants it revised.
        for wanted in (1, 3, 7):
            answered = Attempt.objects.count()
            server.faults = FaultPlan(script={server.received + wanted - answered: Fault.HANG})
            with slice_under_way() as running:
                assert wait_for_attempts(server, wanted)
                running.end()
        server.faults = FaultPlan()
        drive()
    assert counts(batch) == {"complete": 1}
    assert_sound(batch)
    dialogue = batch.dialogues.get()
    made = Attempt.objects.filter(dialogue=dialogue)
    # No form and no draft was asked for twice, though the work was stopped at each.
    assert made.filter(turn_number=0).count() == 2
    doubled = (
        made.filter(purpose=AttemptPurpose.TURN)
        .exclude(outcome=AttemptOutcome.ERROR)
        .values("turn_number")
        .annotate(n=Count("pk"))
        .filter(n__gt=1)
    )
    assert list(doubled) == []


def wait_for_attempts(server: FakeModelServer, wanted: int) -> bool:
    return server.wait_until(lambda: Attempt.objects.count() >= wanted, 20.0)


def test_failure_to_plan_is_a_failure_with_its_reason() -> None:
    with FakeModelServer(faults=FaultPlan(rates={Fault.REFUSAL: 1.0})) as server:
        endpoint_for(server)
        batch = planned_batch(1)
        drive()
    dialogue = batch.dialogues.get()
    assert (dialogue.state, dialogue.failure_reason, dialogue.turn_count) == (
        "failed",
        "no_preparation",
        0,
    )
    assert dialogue.failure_detail == "the conceptualisation after 4 replies: no JSON object"
    made = Attempt.objects.filter(dialogue=dialogue)
    assert set(made.values_list("purpose", "outcome")) == {("preparation", "rejected")}
    assert made.count() == 4
    assert {each.defects[0]["kind"] for each in made} == {"bad_form"}


def test_switches_leave_out_plan_and_critique() -> None:
    with FakeModelServer(end_after=13) as server:
        endpoint_for(server)
        batch = planned_batch(1, no_plan=True, no_critique=True)
        drive()
    dialogue = batch.dialogues.get()
    assert dialogue.state == "complete"
    assert dialogue.forms == {}
    assert set(Attempt.objects.values_list("purpose", flat=True)) == {"turn"}
    assert Turn.objects.exclude(tracked={}).count() == dialogue.turn_count


def test_styles_are_drawn_for_each_dialogue_and_are_the_same_in_every_arm() -> None:
    endpoint_for(FakeModelServer())
    arms = [
        ArmSpec(label, "cbt-plan", "fake-model", "fake-model", switches={"style": "mixed", **more})
        for label, more in (("A", {}), ("B", {"no_plan": True}))
    ]
    batch = create_batch(
        name="mixed",
        profile_set=make_set(6),
        arms=arms,
        per_profile=3,
        seed=1,
        by=None,
        risk_reason="for a test",
    )
    styles = builtin_protocols()["cbt-plan"].client.styles
    manners = {style.key: style.text for style in styles}
    drawn: dict[str, list[str]] = {}
    for row in batch.dialogues.select_related("arm").order_by("profile", "replicate"):
        style = row.provenance["prompts"]["style"]
        drawn.setdefault(row.arm.label if row.arm else "", []).append(style)
        assert row.client_system.endswith(manners[style])
    assert drawn["A"] == drawn["B"]
    assert len(set(drawn["A"])) >= 4


def test_full_context_ends_a_long_enough_dialogue_with_a_finding() -> None:
    with FakeModelServer(end_after=None, marker="", max_model_len=2300) as server:
        endpoint_for(server)
        batch = planned_batch(1, no_plan=True, no_critique=True)
        drive()
    dialogue = batch.dialogues.get()
    assert (dialogue.state, dialogue.ended_by) == ("complete", "context")
    assert dialogue.turn_count % 2 == 0
    assert 24 <= dialogue.turn_count < 52
    assert Finding.objects.filter(dialogue=dialogue, kind="ended_early").count() == 1
    assert not Attempt.objects.filter(outcome=AttemptOutcome.ERROR).exists()
