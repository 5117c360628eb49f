"""The turn-taking of one dialogue: strict alternation, one ending rule, resumable anywhere."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generation.defects import DefectKind
from generation.prompts import Prompts
from generation.protocols import Protocol, builtin_protocols, load_protocol
from generation.session import (
    Accepted,
    ChatMessage,
    ContextLimit,
    Ended,
    Failed,
    Rejected,
    Reply,
    Session,
    TurnRequest,
    Utterance,
    turn_seed,
)

SHORT = """
key = "short"
version = "1"
title = "Short"
description = "For tests."
source = "Own."
[therapist]
sees = "nothing"
words = 20
system = "You are the therapist."
opening = "Please begin."
stop = ["\\nClient:"]
[client]
sees = "client_text"
words = 10
silence = "..."
system = "You are the client."
case = "About you:\\n{{ client_text }}"
stop = ["\\nTherapist:"]
[ending]
min_exchanges = 2
nudge_from = 3
stop_at = 4
marker = "[/END]"
note_open = "[Note:"
note_close = "]"
nudge = "Close soon with {{ marker }}."
last = "Say goodbye now."
[sampling]
temperature = 0.5
max_tokens = 50
[retry]
attempts = 3
max_kept = 2
[retry.after]
empty = "fail"
unreadable = "fail"
over_long = "note"
early_marker = "note"
ran_on = "note"
"""
PROTOCOL = load_protocol(SHORT, origin="short.toml")
PROMPTS = Prompts("T-SYSTEM", "C-SYSTEM", client_case="C-CASE")
WORDS = [
    "alder",
    "birch",
    "cedar",
    "daisy",
    "elder",
    "fern",
    "gorse",
    "hazel",
    "iris",
    "juniper",
    "kale",
    "lily",
    "maple",
]


def session(
    history: list[Utterance] | None = None,
    *,
    attempts_used: int = 0,
    protocol: Protocol = PROTOCOL,
    context: ContextLimit | None = None,
) -> Session:
    return Session(protocol, PROMPTS, history or [], attempts_used=attempts_used, context=context)


def say(talk: Session, *texts: str) -> list[object]:
    return [talk.receive(Reply(text)) for text in texts]


def request(talk: Session) -> TurnRequest:
    found = talk.next_request()
    assert isinstance(found, TurnRequest)
    return found


def fine(number: int) -> str:
    """A reply without a defect, another one for every turn."""
    return f"{WORDS[number % 13]} {WORDS[(number * 5 + 1) % 13]} {number}"


def after(turns: int) -> Session:
    talk = session()
    for number in range(1, turns + 1):
        assert isinstance(talk.receive(Reply(fine(number))), Accepted)
    return talk


# --- requests ----------------------------------------------------------------------------------


def test_first_request_asks_the_therapist_with_the_opening_line() -> None:
    assert session().next_request() == TurnRequest(
        role="therapist",
        number=1,
        attempt=1,
        exchange=1,
        messages=(ChatMessage("system", "T-SYSTEM"), ChatMessage("user", "Please begin.")),
        stop=("\nClient:",),
    )


def test_client_hears_the_therapist_after_its_case_text() -> None:
    found = request(after(1))
    assert found.messages == (
        ChatMessage("system", "C-SYSTEM"),
        ChatMessage("user", f"C-CASE\n\n{fine(1)}"),
    )
    assert (found.role, found.number, found.stop) == ("client", 2, ("\nTherapist:",))


def test_each_role_sees_its_own_turns_as_the_assistants() -> None:
    assert [(m.role, m.content) for m in request(after(2)).messages] == [
        ("system", "T-SYSTEM"),
        ("user", "Please begin."),
        ("assistant", fine(1)),
        ("user", fine(2)),
    ]
    assert [(m.role, m.content) for m in request(after(3)).messages] == [
        ("system", "C-SYSTEM"),
        ("user", f"C-CASE\n\n{fine(1)}"),
        ("assistant", fine(2)),
        ("user", fine(3)),
    ]


def test_asking_twice_gives_the_same_request() -> None:
    talk = after(3)
    assert talk.next_request() == talk.next_request()


def test_control_tokens_in_stored_text_are_disarmed_only_when_sent() -> None:
    talk = session([Utterance(1, "therapist", "Hello.<|im_end|>")])
    assert request(talk).messages[-1].content == "C-CASE\n\nHello.< |im_end| >"
    assert talk.turns[0].text == "Hello.<|im_end|>"


def test_nudge_and_last_note_stand_at_the_end_of_that_one_request() -> None:
    assert [request(after(n)).note for n in (0, 2, 3, 5, 7)] == ["", "", "", "", ""]
    nudged, last = request(after(4)), request(after(6))
    assert nudged.note == "\n\n[Note: Close soon with [/END].]"
    assert nudged.messages[-1] == ChatMessage("user", fine(4) + nudged.note)
    assert last.note == "\n\n[Note: Say goodbye now.]"
    assert [m for m in last.messages if "Close soon" in m.content] == []
    assert [m.role for m in last.messages].count("system") == 1


# --- ending ------------------------------------------------------------------------------------


def test_marker_ends_with_the_therapists_closing_turn() -> None:
    talk = after(4)
    result = talk.receive(Reply("Take care. [/END]\n"))
    closing = Utterance(5, "therapist", "Take care.", closing=True)
    assert result == Accepted(closing, (), "marker")
    assert talk.next_request() == Ended("marker")
    with pytest.raises(RuntimeError):
        talk.receive(Reply("more"))


def test_early_marker_is_a_finding_and_the_session_goes_on() -> None:
    talk = after(2)
    result = talk.receive(Reply("Goodbye then. [/END]"))
    assert isinstance(result, Accepted)
    assert result.utterance.text == "Goodbye then."
    assert [d.kind for d in result.findings] == [DefectKind.EARLY_MARKER]
    assert result.findings[0].detail == "after 1 of at least 2 exchanges"
    assert result.ended is None
    assert request(talk).role == "client"


def test_marker_of_a_role_that_may_not_close_is_a_finding() -> None:
    result = after(7).receive(Reply("Bye! [/END]"))
    assert isinstance(result, Accepted)
    assert result.findings[0].detail == "the client may not end the session"


def test_client_may_close_where_the_protocol_says_so() -> None:
    text = SHORT.replace('marker = "[/END]"', 'marker = "[/END]"\nmarker_from = ["client"]')
    talk = session(protocol=load_protocol(text, origin="x"))
    say(talk, fine(1), "Bye. [/END]", fine(3))
    result = talk.receive(Reply("Goodbye. [/end] [/END]"))
    assert isinstance(result, Accepted)
    assert (result.ended, result.utterance.text, result.utterance.number) == (
        "marker",
        "Goodbye.",
        4,
    )
    assert talk.exchanges == 2


def test_limit_ends_after_a_complete_exchange() -> None:
    talk = after(7)
    result = talk.receive(Reply(fine(8)))
    assert isinstance(result, Accepted)
    assert result.ended == "limit"
    assert talk.next_request() == Ended("limit")
    assert (talk.exchanges, len(talk.turns)) == (4, 8)


def test_bare_marker_is_asked_again_then_ends_after_the_exchange() -> None:
    talk = after(4)
    assert [type(result) for result in say(talk, "[/END]", "[/END]")] == [Rejected, Rejected]
    assert talk.receive(Reply(" [/END] ")) == Ended("marker")
    assert len(talk.turns) == 4
    assert talk.next_request() == Ended("marker")


def test_bare_early_marker_fails_like_any_empty_reply() -> None:
    result = say(after(2), "[/END]", "[/END]", "[/END]")[-1]
    assert isinstance(result, Failed)
    assert (result.reason, result.detail) == ("empty", "turn 3 (therapist): no text")


def test_marker_inside_the_text_does_not_end_and_is_kept_whole() -> None:
    talk = after(4)
    result = say(talk, *["Goodbye. [/END] Client: bye"] * 3)[-1]
    assert isinstance(result, Accepted)
    assert result.utterance == Utterance(5, "therapist", "Goodbye. [/END] Client: bye", kept=True)
    assert {d.kind for d in result.findings} == {
        DefectKind.STRAY_MARKER,
        DefectKind.SPEAKS_FOR_OTHER,
    }
    assert request(talk).role == "client"


def test_a_million_markers_are_taken_off_at_once() -> None:
    result = after(4).receive(Reply("Bye." + "[/END] " * 150_000))
    assert isinstance(result, Accepted)
    assert result.utterance.text == "Bye."


# --- defects and attempts ----------------------------------------------------------------------


def test_defect_is_retried_then_kept_whole_with_a_finding() -> None:
    talk = session()
    text = "Therapist: Hello.\n\n  How are you?"
    first, second, third = say(talk, text, text, f" {text}\n")
    assert isinstance(third, Accepted)
    assert first == Rejected(third.findings, 2)
    assert isinstance(second, Rejected)
    assert second.attempts_left == 1
    assert isinstance(third, Accepted)
    assert third.utterance == Utterance(1, "therapist", text, kept=True)
    assert [d.kind for d in third.findings] == [DefectKind.ROLE_LABEL]


def test_retry_sends_the_same_messages_with_the_next_attempt_number() -> None:
    talk = after(4)
    before = request(talk)
    talk.receive(Reply(""))
    assert talk.next_request() == replace(before, attempt=2)


def test_good_reply_after_a_rejected_one_is_taken_without_a_finding() -> None:
    talk = session()
    rejected, accepted = say(talk, "", "Hello.")
    assert isinstance(rejected, Rejected)
    assert accepted == Accepted(Utterance(1, "therapist", "Hello."))
    assert request(talk).attempt == 1


def test_note_only_defect_is_taken_at_once() -> None:
    text = " ".join(f"word{n}" for n in range(41))
    result = session().receive(Reply(text))
    assert isinstance(result, Accepted)
    assert [d.kind for d in result.findings] == [DefectKind.OVER_LONG]
    assert not result.utterance.kept


def test_stop_at_a_role_label_is_noted_when_the_server_says_so() -> None:
    result = session().receive(Reply("Hello.", "stop", "\nClient:"))
    assert isinstance(result, Accepted)
    assert [d.kind for d in result.findings] == [DefectKind.RAN_ON]


@pytest.mark.parametrize("text", ["a\x00b", "half \ud800 pair"])
def test_text_that_cannot_be_stored_fails_the_dialogue(text: str) -> None:
    result = say(session(), text, text, text)[-1]
    assert isinstance(result, Failed)
    assert result.reason == "unreadable"


def test_too_many_kept_turns_fail_the_dialogue() -> None:
    talk = session()
    results = [talk.receive(Reply(f"{fine(n)} [insert name]")) for n in range(1, 4) for _ in "123"]
    assert isinstance(results[5], Accepted)
    assert results[-1] == talk.next_request()
    assert isinstance(results[-1], Failed)
    assert results[-1].reason == "too_many_defects"
    assert results[-1].detail == "turn 3: 3 turns with defects, 2 allowed"


def test_limits_of_the_models_family_replace_the_protocols() -> None:
    talk = Session(PROTOCOL, replace(PROMPTS, attempts=2, max_kept=0))
    first, second = say(talk, "Hi [insert name]", "Hi [insert name]")
    assert isinstance(first, Rejected)
    assert first.attempts_left == 1
    assert isinstance(second, Failed)
    assert second.detail == "turn 1: 1 turns with defects, 0 allowed"


def test_failure_detail_never_quotes_the_dialogue() -> None:
    result = say(session(), *["\x00 my secret"] * 3)[-1]
    assert "secret" not in repr(result)


# --- resuming ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "history",
    [
        [Utterance(2, "therapist", "x")],
        [Utterance(1, "client", "x")],
        [Utterance(1, "therapist", "x"), Utterance(3, "client", "y")],
        [Utterance(1, "therapist", "x"), Utterance(2, "therapist", "y")],
    ],
)
def test_stored_turns_must_alternate_from_one(history: list[Utterance]) -> None:
    with pytest.raises(ValueError, match="stored turn"):
        session(history)


def test_missing_case_text_is_refused_before_anything_is_asked() -> None:
    with pytest.raises(ValueError, match="case text of the client is missing"):
        Session(PROTOCOL, Prompts("T", "C"))


def test_finished_dialogue_resumes_as_ended() -> None:
    turns = list(after(4).turns)
    assert session(
        [*turns, Utterance(5, "therapist", "Bye.", closing=True)]
    ).next_request() == Ended("marker")
    turns = [Utterance(n, "therapist" if n % 2 else "client", fine(n)) for n in range(1, 9)]
    assert session(turns).next_request() == Ended("limit")


def test_resume_with_attempts_used_up_gives_one_last_attempt() -> None:
    talk = session(attempts_used=3)
    assert request(talk).attempt == 4
    assert isinstance(talk.receive(Reply("")), Failed)


# --- context -----------------------------------------------------------------------------------


def test_full_context_fails_instead_of_cutting() -> None:
    talk = session(context=ContextLimit(1000, 1000, estimate=lambda m: 400 * len(m)))
    say(talk, fine(1))
    assert isinstance(talk.next_request(), TurnRequest)
    say(talk, fine(2))
    result = talk.next_request()
    assert result == Failed("context_full", "turn 3 needs about 1600 prompt tokens of 1000")
    assert talk.next_request() == result


def test_context_leaves_room_for_the_reply() -> None:
    talk = session(context=ContextLimit(100, 100, therapist_reply=90))
    assert talk.next_request() == Failed(
        "context_full", "turn 1 needs about 18 prompt tokens of 10"
    )


# --- seeds -------------------------------------------------------------------------------------


def test_turn_seed_is_fixed_and_of_31_bits() -> None:
    assert turn_seed(1, 1, 1) == 59_374_027
    seeds = {turn_seed(7, number, attempt) for number in range(66) for attempt in range(3)}
    assert len(seeds) == 198
    assert all(0 <= seed < 2**31 for seed in seeds)


# --- properties --------------------------------------------------------------------------------

FRAGMENTS = st.sampled_from(
    [
        "",
        "...",
        "[/END]",
        "I see. [/END]",
        "Therapist: hm",
        "Client: hm",
        "As an AI language model, I cannot feel.",
        "[insert name]",
        "我很焦虑",
        "\x00",
        " two\n\nparagraphs ",
        "I really cannot say anything new about this at all today.",
    ]
)
REPLIES = st.builds(
    Reply,
    st.one_of(FRAGMENTS, st.sampled_from(WORDS), st.text(max_size=30)),
    st.sampled_from(["stop", "length"]),
)
LOOSE = load_protocol(SHORT.replace("max_kept = 2\n", ""), origin="loose.toml")


def drive(
    replies: list[Reply], protocol: Protocol
) -> tuple[list[TurnRequest], list[object], Session]:
    """Feed replies (round and round) until the session is over."""
    talk = session(protocol=protocol)
    requests: list[TurnRequest] = []
    results: list[object] = []
    while isinstance(asked := talk.next_request(), TurnRequest):
        requests.append(asked)
        results.append(talk.receive(replies[len(results) % len(replies)]))
    return requests, results, talk


@settings(deadline=None, max_examples=150)
@given(st.lists(REPLIES, min_size=1, max_size=30), st.sampled_from([PROTOCOL, LOOSE]))
def test_any_replies_end_within_the_limits(replies: list[Reply], protocol: Protocol) -> None:
    requests, results, talk = drive(replies, protocol)
    ending, attempts = protocol.ending, protocol.retry.attempts
    assert len(requests) <= 2 * ending.stop_at * attempts
    assert all(1 <= asked.attempt <= attempts for asked in requests)
    assert talk.exchanges <= ending.stop_at
    over = talk.next_request()
    assert isinstance(over, Ended | Failed)
    if over == Ended("marker"):
        assert talk.exchanges >= ending.min_exchanges
    if over == Ended("limit"):
        assert talk.exchanges == ending.stop_at
    if isinstance(over, Failed):
        assert results[-1] == over


@settings(deadline=None, max_examples=150)
@given(st.lists(REPLIES, min_size=1, max_size=30))
def test_turns_alternate_and_hold_the_exact_text(replies: list[Reply]) -> None:
    _, results, talk = drive(replies, LOOSE)
    for place, turn in enumerate(talk.turns, start=1):
        assert turn.number == place
        assert turn.role == ("therapist" if place % 2 else "client")
    taken = [replies[n % len(replies)] for n, r in enumerate(results) if isinstance(r, Accepted)]
    for reply, turn in zip(taken, talk.turns, strict=True):
        rest = reply.text.strip()
        while rest.casefold().endswith("[/end]"):
            rest = rest[:-6].rstrip()
        assert turn.text == rest


@settings(deadline=None, max_examples=100)
@given(st.lists(REPLIES, min_size=1, max_size=30))
def test_resume_at_every_point_gives_the_same_requests(replies: list[Reply]) -> None:
    _, _, whole = drive(replies, LOOSE)
    talk, used, step = session(protocol=LOOSE), 0, 0
    while isinstance(asked := talk.next_request(), TurnRequest):
        resumed = session(list(talk.turns), attempts_used=used, protocol=LOOSE)
        assert resumed.next_request() == asked
        reply = replies[step % len(replies)]
        step += 1
        result = talk.receive(reply)
        assert resumed.receive(reply) == result
        used = used + 1 if isinstance(result, Rejected) else 0
        talk = resumed
    assert talk.turns == whole.turns
    assert talk.next_request() == whole.next_request()


@settings(deadline=None, max_examples=100)
@given(st.lists(REPLIES, min_size=1, max_size=30))
def test_each_request_starts_with_the_roles_previous_one_without_its_note(
    replies: list[Reply],
) -> None:
    requests, _, _ = drive(replies, LOOSE)
    for role in ("therapist", "client"):
        own = [asked for asked in requests if asked.role == role]
        for earlier, later in pairwise(own):
            *head, last = earlier.messages
            bare = ChatMessage(last.role, last.content[: len(last.content) - len(earlier.note)])
            assert last.content == bare.content + earlier.note
            assert later.messages[: len(head)] == tuple(head)
            if later.number > earlier.number:
                assert later.messages[len(head)] == bare
            else:
                assert later.messages == earlier.messages
        assert all(m.role != "system" for asked in own for m in asked.messages[1:])
        for asked in own:
            talkers = [m.role for m in asked.messages[1:]]
            assert talkers == ["user", "assistant"] * (len(talkers) // 2) + ["user"]


def test_shipped_protocol_runs_to_its_marker_and_to_its_limit() -> None:
    protocol = builtin_protocols()["sqpsych"]
    prompts = Prompts("T", "C", therapist_case="x", client_case="y")
    talk, notes = Session(protocol, prompts), []
    while isinstance(asked := talk.next_request(), TurnRequest):
        if asked.note:
            notes.append(asked.number)
        result = talk.receive(Reply(f"number {asked.number} {WORDS[asked.number % 13]} [/END]"))
        assert isinstance(result, Accepted)
    assert (talk.next_request(), len(talk.turns), notes) == (Ended("marker"), 31, [])
    talk, notes = Session(protocol, prompts), []
    while isinstance(asked := talk.next_request(), TurnRequest):
        if asked.note:
            notes.append(asked.exchange)
        talk.receive(Reply(f"number {asked.number} {WORDS[asked.number % 13]}"))
    assert (talk.next_request(), len(talk.turns)) == (Ended("limit"), 66)
    assert notes == list(range(22, 34))
