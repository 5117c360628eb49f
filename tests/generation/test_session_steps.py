"""A session with preparations, phases, a guarded client, critique and revision. Pure."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from generation.defects import Defect, DefectKind
from generation.model_forms import Critique
from generation.prompts import Prompts, render
from generation.protocols import Protocol, builtin_protocols
from generation.session import (
    Accepted,
    Advised,
    ContextLimit,
    Draft,
    Drafted,
    Ended,
    Failed,
    Prepared,
    Rejected,
    Reply,
    Session,
    TurnRequest,
    Utterance,
)
from generation.turns import Verdict
from generation.utterances import role_of
from tests.fakes.forms import form_answer
from tests.fakes.utterances import utterance

CBT = builtin_protocols()["cbt-plan"]
BARE = CBT.switched({"no_plan": True})
PLAIN = CBT.switched({"no_plan": True, "no_critique": True})
TEXTS = {
    "client_text": "CLIENT-TEXT: I sleep badly.",
    "intake_text": "INTAKE-TEXT: Age: 40",
    "life_text": "LIFE-TEXT: I am 40.",
    "full_text": "FULL-TEXT: Condition: mdd, total 21",
}
FORMS = {
    "conceptualisation": json.loads(
        form_answer({"json_schema": {"name": "Conceptualisation"}}, 0) or ""
    ),
    "plan": json.loads(form_answer({"json_schema": {"name": "SessionPlan"}}, 0) or ""),
}
KEEP = '{"verdict": "keep"}'
REACHED = '{"verdict": "keep", "goal_reached": true}'
REVISE = '{"verdict": "revise", "problems": ["Too long."], "advice": "Ask one thing."}'


def prompts(protocol: Protocol = CBT) -> Prompts:
    return render(protocol, TEXTS)


def session(protocol: Protocol = BARE, history: Sequence[Utterance] = (), **more: Any) -> Session:
    return Session(protocol, prompts(protocol), history, **more)


def asked(talk: Session) -> TurnRequest:
    found = talk.next_request()
    assert isinstance(found, TurnRequest)
    return found


def fine(number: int) -> str:
    return utterance(role_of(number), 5, number)


def history(count: int, **values: Any) -> list[Utterance]:
    return [Utterance(n, role_of(n), fine(n), **values) for n in range(1, count + 1)]


def step(talk: Session, text: str) -> Verdict:
    return talk.receive(Reply(text))


# -- preparations --------------------------------------------------------------------------------


def test_two_forms_are_asked_for_before_the_first_turn() -> None:
    talk = session(CBT)
    first = asked(talk)
    assert (first.purpose, first.number, first.role) == ("preparation", 0, "client")
    assert (first.form, first.sampling) == (
        "conceptualisation",
        {"temperature": 0.7, "max_tokens": 900},
    )
    assert "CLIENT-TEXT" in first.messages[1].content
    assert "CLIENT-TEXT" not in first.messages[0].content
    verdict = step(talk, json.dumps(FORMS["conceptualisation"]))
    assert verdict == Prepared("conceptualisation", FORMS["conceptualisation"])
    second = asked(talk)
    assert (second.role, second.form, second.stop) == ("therapist", "session_plan", ())
    assert "INTAKE-TEXT" in second.messages[1].content
    assert "arrive" in second.messages[0].content
    step(talk, json.dumps(FORMS["plan"]))
    assert asked(talk).number == 1


def test_what_is_prepared_is_given_to_its_role_alone_as_fenced_data() -> None:
    talk = session(CBT, history(1, phase="arrive"), forms=FORMS)
    client = asked(talk)
    assert "I am not enough." in client.messages[1].content
    assert "----- conceptualisation " in client.messages[1].content
    assert "one hard moment" not in client.messages[1].content
    therapist = asked(session(CBT, forms=FORMS))
    assert "one hard moment" in therapist.messages[1].content
    assert "I am not enough." not in therapist.messages[1].content
    for found in (client, therapist):
        assert [message.role for message in found.messages] == ["system", "user"]
        assert "FULL-TEXT" not in str(found)


def test_session_that_could_not_be_prepared_fails_and_says_of_what() -> None:
    talk = session(CBT)
    verdicts = [step(talk, "No.") for _ in range(4)]
    assert verdicts[:3] == [
        Rejected((Defect(DefectKind.BAD_FORM, "no JSON object"),), left) for left in (3, 2, 1)
    ]
    last = verdicts[3]
    assert isinstance(last, Failed)
    assert (last.reason, last.detail) == (
        "no_preparation",
        "the conceptualisation after 4 replies: no JSON object",
    )
    assert talk.next_request() == last


def test_cut_form_says_so_and_attempts_count_for_each_form_alone() -> None:
    talk = session(CBT)
    verdict = talk.receive(Reply('{"history": "x', "length"))
    assert isinstance(verdict, Rejected)
    assert verdict.defects[0].detail.endswith("(the token limit ended it)")
    step(talk, json.dumps(FORMS["conceptualisation"]))
    assert asked(talk).attempt == 1


def test_prepared_session_resumes_where_it_was() -> None:
    half = session(CBT, forms={"conceptualisation": FORMS["conceptualisation"]}, attempts_used=2)
    assert (asked(half).form, asked(half).attempt) == ("session_plan", 3)


# -- critique and revision ------------------------------------------------------------------------


def test_draft_that_the_critique_keeps_is_spoken_as_it_was() -> None:
    talk = session()
    draft = asked(talk)
    assert step(talk, fine(1)) == Drafted()
    critique = asked(talk)
    assert (critique.purpose, critique.form, critique.number) == ("critique", "critique", 1)
    # The whole request that brought the draft comes first: a prefix cache serves it.
    assert critique.messages[: len(draft.messages)] == draft.messages
    assert [m.role for m in critique.messages[-2:]] == ["assistant", "user"]
    assert critique.messages[-2].content == fine(1)
    assert "Its goal: The client has said how they are" in critique.messages[-1].content
    verdict = step(talk, KEEP)
    assert isinstance(verdict, Accepted)
    assert (verdict.utterance.text, verdict.draft_stands, verdict.unused) == (fine(1), True, ())
    assert verdict.findings == ()
    assert asked(talk).role == "client"


def test_draft_is_revised_once_with_the_advice_as_data() -> None:
    talk = session()
    step(talk, fine(1))
    assert step(talk, REVISE) == Advised()
    revision = asked(talk)
    assert (revision.purpose, revision.form, revision.sampling) == ("revision", None, {})
    assert "Ask one thing." in revision.messages[-1].content
    assert "----- advice " in revision.messages[-1].content
    assert "Too long." in revision.messages[-1].content
    verdict = step(talk, fine(3))
    assert isinstance(verdict, Accepted)
    assert (verdict.utterance.text, verdict.draft_stands) == (fine(3), False)
    assert [turn.text for turn in talk.turns] == [fine(3)]


def test_client_is_not_looked_at() -> None:
    talk = session(history=history(1, phase="arrive"))
    assert isinstance(step(talk, fine(2)), Accepted)


def test_unusable_critique_lets_the_draft_stand_with_a_finding() -> None:
    talk = session()
    step(talk, fine(1))
    assert isinstance(step(talk, "Fine!"), Rejected)
    verdict = step(talk, "Fine!")
    assert isinstance(verdict, Accepted)
    assert verdict.findings == (Defect(DefectKind.NO_CRITIQUE, "no JSON object"),)
    assert verdict.unused == (Defect(DefectKind.BAD_FORM, "no JSON object"),)
    assert not verdict.utterance.kept


def test_protocol_may_demand_a_critique() -> None:
    policy = BARE.critique
    assert policy is not None
    strict = BARE.model_copy(update={"critique": policy.model_copy(update={"after": "fail"})})
    talk = session(strict)
    step(talk, fine(1))
    step(talk, "?")
    verdict = step(talk, "?")
    assert isinstance(verdict, Failed)
    assert (verdict.reason, verdict.detail) == ("no_critique", "turn 1 (therapist): no JSON object")


def test_revision_that_stays_bad_lets_the_draft_stand_with_a_finding() -> None:
    talk = session()
    step(talk, fine(1))
    step(talk, REVISE)
    assert isinstance(step(talk, ""), Rejected)
    step(talk, "")
    verdict = step(talk, "")
    assert isinstance(verdict, Accepted)
    assert verdict.utterance.text == fine(1)
    assert [d.kind for d in verdict.findings] == [DefectKind.NO_REVISION]
    assert [d.kind for d in verdict.unused] == [DefectKind.EMPTY]


def test_bad_draft_is_asked_again_before_it_is_looked_at() -> None:
    talk = session()
    assert isinstance(step(talk, "Client: hello"), Rejected)
    assert asked(talk).attempt == 2
    assert step(talk, fine(1)) == Drafted()
    assert asked(talk).attempt == 1


@pytest.mark.parametrize(
    ("draft", "critique", "purpose"),
    [(None, None, "turn"), (fine(1), None, "critique"), (fine(1), "revise", "revision")],
)
def test_turn_resumes_in_its_middle(draft: str | None, critique: Any, purpose: str) -> None:
    given = Critique(verdict=critique) if critique else None
    talk = session(draft=Draft(draft) if draft else None, critique=given)
    assert asked(talk).purpose == purpose
    assert asked(talk) == asked(talk)


def test_closing_draft_ends_the_session_when_it_stands() -> None:
    talk = session(history=history(24, phase="close"))
    step(talk, f"{fine(25)} [/END]")
    verdict = step(talk, KEEP)
    assert isinstance(verdict, Accepted)
    assert (verdict.utterance.text, verdict.ended) == (fine(25), "marker")


# -- phases ---------------------------------------------------------------------------------------


def run(talk: Session, exchanges: int, critique: str) -> list[str]:
    """Phases of so many therapist turns."""
    for _ in range(exchanges):
        step(talk, fine(len(talk.turns) + 1))
        step(talk, critique)
        step(talk, fine(len(talk.turns) + 1))
    return [turn.phase for turn in talk.turns if turn.role == "therapist"]


def test_phases_go_on_when_their_goal_is_reached_but_not_before_their_least() -> None:
    assert run(session(), 11, REACHED) == [
        *("arrive", "agenda", "situation", "situation", "thought", "thought"),
        *("examine", "examine", "step", "close", "close"),
    ]


def test_phases_go_on_at_their_most_without_any_goal() -> None:
    phases = run(session(), 16, KEEP)
    assert phases == [
        *["arrive"] * 3,
        *["agenda"] * 2,
        *["situation"] * 4,
        *["thought"] * 4,
        *["examine"] * 3,
    ]


def test_therapist_is_told_the_phase_in_a_note_that_is_in_no_later_request() -> None:
    talk = session(PLAIN, history(4, phase="agenda"))
    first = asked(talk)
    assert first.note.startswith(
        "\n\n[Note from your supervisor: Step 3 of 7 of the session: One sit"
    )
    assert first.messages[-1].content.endswith(first.note)
    step(talk, fine(5))
    step(talk, fine(6))
    later = asked(talk)
    assert sum("Note from your supervisor: Step" in m.content for m in later.messages) == 1
    assert later.messages[: len(first.messages) - 1] == first.messages[:-1]
    assert [turn.phase for turn in talk.turns[-2:]] == ["situation", "situation"]


def test_phases_that_are_not_tracked_leave_no_trace() -> None:
    sqpsych = builtin_protocols()["sqpsych"]
    talk = Session(sqpsych, render(sqpsych, TEXTS))
    step(talk, fine(1))
    assert (talk.turns[0].phase, asked(talk).note) == ("", "")


# -- resistance -----------------------------------------------------------------------------------


def test_client_is_told_how_open_it_is_and_its_turn_keeps_the_level() -> None:
    said = "That sounds hard. What is it like?"
    talk = session(PLAIN)
    step(talk, said)
    assert asked(talk).note.startswith("\n\n[How open you are now: You are careful.")
    step(talk, "Well, um, it is long, mostly.")
    assert [turn.resistance for turn in talk.turns] == [None, 5]
    step(talk, "It is long, you say, and that makes sense. How do you get through the evenings?")
    step(talk, "I walk around.")
    assert talk.turns[-1].resistance == 4


def test_leaked_stage_direction_is_a_defect() -> None:
    talk = session(PLAIN, history(1, phase="arrive"))
    verdict = step(talk, "[How open you are now: You are careful.] I am fine, I suppose.")
    assert isinstance(verdict, Rejected)
    assert [d.kind for d in verdict.defects] == [DefectKind.MARKUP]


def test_switch_takes_resistance_out() -> None:
    bare = CBT.switched({"no_plan": True, "no_critique": True, "no_resistance": True})
    talk = session(bare, history(1, phase="arrive"))
    assert asked(talk).note == ""
    step(talk, fine(2))
    assert talk.turns[-1].resistance is None


# -- room -----------------------------------------------------------------------------------------


def limit(tokens: int) -> ContextLimit:
    return ContextLimit(tokens, tokens, 100, 100, estimate=lambda m: 100 * len(m))


def test_dialogue_says_goodbye_in_the_last_exchange_that_fits_and_ends_there() -> None:
    # 26 turns: system, opening and turns are 28 messages for the therapist.
    talk = session(PLAIN, history(26, phase="close"), context=limit(3000))
    request = asked(talk)
    assert "This is your last reply of the session" in request.note
    step(talk, fine(27))
    step(talk, fine(28))
    assert talk.next_request() == Ended("context")


def test_room_for_more_needs_no_goodbye() -> None:
    talk = session(PLAIN, history(26, phase="close"), context=limit(9000))
    assert "last reply" not in asked(talk).note


def test_too_short_a_dialogue_fails_instead() -> None:
    talk = session(PLAIN, history(4, phase="agenda"), context=limit(500))
    failed = talk.next_request()
    assert isinstance(failed, Failed)
    assert failed.reason == "context_full"


def test_published_protocol_fails_where_nothing_more_fits() -> None:
    sqpsych = builtin_protocols()["sqpsych"]
    talk = Session(sqpsych, render(sqpsych, TEXTS), history(40), context=limit(3000))
    failed = talk.next_request()
    assert isinstance(failed, Failed)
    assert failed.reason == "context_full"


def test_server_that_finds_no_room_ends_by_the_same_rule() -> None:
    assert session(PLAIN, history(26, phase="close")).no_room() == Ended("context")
    failed = session(PLAIN, history(2, phase="arrive")).no_room()
    assert isinstance(failed, Failed)
    assert failed.detail == "turn 3 does not fit the model's context"
    talk = session()
    step(talk, fine(1))
    verdict = talk.no_room()
    assert isinstance(verdict, Accepted)
    assert [d.kind for d in verdict.findings] == [DefectKind.NO_CRITIQUE]
    failed = session(CBT).no_room()
    assert isinstance(failed, Failed)
    assert failed.reason == "context_full"
