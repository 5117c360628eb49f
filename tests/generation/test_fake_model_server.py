"""The fake model server itself: other tests may only rest on what holds here."""

import asyncio
import json
import math
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation.vllm import ChatMessage, Completion, ModelServer, ModelServerError, Sampling
from generation.vllm_wire import read_completion, read_json
from tests.fakes.faults import TEXT_FAULTS, Fault, FaultPlan, Trouble, faulty_text, parse_trouble
from tests.fakes.model_server import FakeModelServer, spawn
from tests.fakes.replies import FakeModel
from tests.fakes.utterances import Speaker, sizes, speaker_of, utterance

THERAPIST = "You are a licensed CBT therapist. The client is tired."
CLIENT = "You are the client of a therapist. Speak as yourself."
ROOT = Path(__file__).parents[2]


def history(system: str, turns: int, *, last: str = "Hello.") -> list[dict[str, str]]:
    messages = [{"role": "system", "content": system}, {"role": "user", "content": "Hello."}]
    for turn in range(turns):
        messages.append({"role": "assistant", "content": f"Own words {turn}."})
        messages.append({"role": "user", "content": f"Other's words {turn}."})
    messages[-1]["content"] = last
    return messages


def body(messages: list[dict[str, str]], **more: Any) -> dict[str, Any]:
    return {"model": "fake-model", "messages": messages} | more


def ask(server_url: str, messages: list[dict[str, str]], **sampling: Any) -> Completion:
    async def run() -> Completion:
        async with ModelServer(server_url, "fake-model") as client:
            return await client.chat(
                [ChatMessage(**message) for message in messages], Sampling(**sampling)
            )

    return asyncio.run(run())


# -- utterances --------------------------------------------------------------------------------


def test_phrase_lists_are_coprime_so_that_nothing_repeats_early() -> None:
    for lengths in sizes().values():
        assert lengths == (37, 41, 43)
        assert math.lcm(*lengths) == math.prod(lengths)


@pytest.mark.parametrize("speaker", ["therapist", "client"])
@given(start=st.integers(0, 2**32))
def test_utterances_share_no_sentence_within_a_dialogue(speaker: Speaker, start: int) -> None:
    texts = [utterance(speaker, start, turn) for turn in range(37)]
    assert len(set(texts)) == 37
    assert all(20 < len(text) < 400 and text.isascii() for text in texts)


@pytest.mark.parametrize(
    ("system", "speaker"),
    [
        (THERAPIST, "therapist"),
        (CLIENT, "client"),
        ("You are playing a patient in CBT with a therapist.", "client"),
        ("You're an experienced psychotherapist.", "therapist"),
        ("Client: answer the therapist.", "client"),
        ("Therapist, meet your client.", "therapist"),
        ("", "therapist"),
    ],
)
def test_speaker_is_found_in_the_system_prompt(system: str, speaker: str) -> None:
    assert speaker_of(system) == speaker


# -- replies -----------------------------------------------------------------------------------


def test_reply_is_a_function_of_messages_and_seed() -> None:
    asked = body(history(THERAPIST, 3), seed=5)
    first, again = FakeModel().reply(asked), FakeModel().reply(asked)
    assert first == again
    assert FakeModel().reply(body(history(THERAPIST, 3), seed=6)).text != first.text
    assert FakeModel(seed=1).reply(asked).text != first.text


@pytest.mark.parametrize("system", [THERAPIST, CLIENT])
def test_replies_of_a_dialogue_do_not_repeat(system: str) -> None:
    model = FakeModel()
    texts = {model.reply(body(history(system, turns))).text for turns in range(33)}
    assert len(texts) == 33


def test_reply_ends_when_told_or_after_some_turns() -> None:
    told = body(history(THERAPIST, 3, last="(Please close with [/END] now.)"))
    assert FakeModel().reply(told).text.endswith("[/END]")
    ending = FakeModel(end_after=3)
    ended = [ending.reply(body(history(THERAPIST, turns))).text for turns in range(5)]
    assert ["[/END]" in text for text in ended] == [False, False, False, True, True]


def test_reply_obeys_stop_and_max_tokens() -> None:
    whole = FakeModel().reply(body(history(CLIENT, 0)))
    word = whole.text.split()[3]
    assert FakeModel().reply(body(history(CLIENT, 0), stop=[word])).text in whole.text
    short = FakeModel().reply(body(history(CLIENT, 0), max_tokens=5))
    assert (short.finish_reason, len(short.text)) == ("length", 20)


def test_reply_counts_the_known_prefix_in_whole_blocks() -> None:
    model = FakeModel()
    cached = [model.reply(body(history(THERAPIST, turns))).cached_tokens for turns in range(4)]
    assert cached[0] == 0
    assert all(count % 16 == 0 for count in cached)
    assert cached[3] > cached[1] > 0


def test_instant_answer_is_a_completion_and_does_not_repeat() -> None:
    model = FakeModel()
    texts = set()
    for turns in range(33):
        raw = json.dumps(body(history(CLIENT, turns))).encode()
        completion = read_completion(read_json(model.instant(raw, "m")), latency_s=0.0)
        assert completion.prompt_tokens > 0
        texts.add(completion.text)
    assert len(texts) == 33
    told = json.dumps(body(history(THERAPIST, 3, last="say [/END]"))).encode()
    assert b"[/END]" in model.instant(told, "m")


# -- faults ------------------------------------------------------------------------------------


def test_fault_plan_is_the_same_for_the_same_seed() -> None:
    rates: dict[Trouble, float] = {Fault.RESET: 0.05, Fault.HANG: 0.02, 500: 0.05}
    drawn = [FaultPlan(rates=rates, seed=3).at(number) for number in range(2000)]
    assert drawn == [FaultPlan(rates=rates, seed=3).at(number) for number in range(2000)]
    assert drawn != [FaultPlan(rates=rates, seed=4).at(number) for number in range(2000)]
    counts = {trouble: drawn.count(trouble) for trouble in rates}
    assert counts == {Fault.RESET: 92, Fault.HANG: 50, 500: 92}


def test_fault_plan_takes_its_script_first() -> None:
    plan = FaultPlan(rates={Fault.HANG: 1.0}, script={1: Fault.RESET})
    assert [plan.at(number) for number in range(3)] == [Fault.HANG, Fault.RESET, Fault.HANG]


@pytest.mark.parametrize("rates", [{Fault.HANG: 0.6, Fault.RESET: 0.6}, {Fault.HANG: -0.1}])
def test_fault_plan_refuses_absurd_rates(rates: dict[Any, float]) -> None:
    with pytest.raises(ValueError, match="Fault rates"):
        FaultPlan(rates=rates)


def test_every_text_fault_has_a_text_unlike_the_good_one() -> None:
    good = ("Good words.", "stop")
    for fault in TEXT_FAULTS:
        assert faulty_text(fault, good[0], "Old words.") != good


def test_parse_trouble_reads_names_and_statuses() -> None:
    assert parse_trouble("429") == 429
    assert parse_trouble("reset") is Fault.RESET
    with pytest.raises(ValueError, match="nothing"):
        parse_trouble("nothing")


# -- the server --------------------------------------------------------------------------------


def test_server_records_what_it_was_asked() -> None:
    with FakeModelServer(faults=FaultPlan(script={1: 500})) as server:
        ask(server.base_url, history(CLIENT, 0))
        with pytest.raises(ModelServerError):
            ask(server.base_url, history(CLIENT, 1))
    assert [request.number for request in server.requests] == [0, 1]
    assert [request.trouble for request in server.requests] == [None, 500]
    assert [request.outcome for request in server.requests] == ["answered", "answered"]
    assert server.requests[1].body["messages"] == history(CLIENT, 1)
    assert server.requests[0].connection != server.requests[1].connection
    assert server.stats() == {
        "received": 2,
        "answered": 2,
        "aborted": 0,
        "in_flight": 0,
        "max_in_flight": 1,
        "connections": 2,
    }


def test_server_dies_for_a_while_and_comes_back_on_its_port() -> None:
    with FakeModelServer() as server:
        ask(server.base_url, history(CLIENT, 0))
        port = server.port
        server.die_for(0.2)
        with pytest.raises(ModelServerError) as caught:
            ask(server.base_url, history(CLIENT, 0))
        assert caught.value.reason == "connection_refused"
        assert server.wait_until(lambda: not server.dying)
        assert ask(server.base_url, history(CLIENT, 0)).finish_reason == "stop"
        assert server.port == port


@pytest.mark.parametrize(("model_len", "max_tokens"), [(20, 5), (30, 40)])
def test_server_refuses_what_is_beyond_its_context(model_len: int, max_tokens: int) -> None:
    with (
        FakeModelServer(max_model_len=model_len) as server,
        pytest.raises(ModelServerError, match="context_full"),
    ):
        ask(server.base_url, history(CLIENT, 0), max_tokens=max_tokens)


def test_server_cuts_a_reply_at_the_end_of_its_context() -> None:
    with FakeModelServer(max_model_len=40) as server:
        completion = ask(server.base_url, history(CLIENT, 0), max_tokens=40)
    assert completion.finish_reason == "length"


@pytest.mark.parametrize("settings", [{"latency": (0.0, 0.01)}, {"tokens_per_s": 5000.0}])
def test_server_may_take_its_time(settings: dict[str, Any]) -> None:
    with FakeModelServer(**settings) as server:
        assert ask(server.base_url, history(CLIENT, 0)).finish_reason == "stop"


def test_instant_server_still_fails_on_demand() -> None:
    with FakeModelServer(instant=True, faults=FaultPlan(script={1: Fault.EMPTY})) as server:
        assert ask(server.base_url, history(CLIENT, 0)).text != ""
        assert ask(server.base_url, history(CLIENT, 0)).text == ""


# -- as a process ------------------------------------------------------------------------------


def order(base_url: str, path: str) -> Any:
    root = base_url.removesuffix("/v1")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(root + path, method="POST"), timeout=10) as answer:
        return json.loads(answer.read())


def test_process_answers_and_obeys() -> None:
    with spawn("--instant", "--seed", "4") as (base_url, _):
        assert ask(base_url, history(THERAPIST, 0)).finish_reason == "stop"
        order(base_url, "/_fake/fail?trouble=empty&trouble=500")
        assert ask(base_url, history(THERAPIST, 0)).text == ""
        with pytest.raises(ModelServerError, match="server_error"):
            ask(base_url, history(THERAPIST, 0))
        assert order(base_url, "/_fake/stats")["received"] == 3


def test_process_dies_and_comes_back() -> None:
    with spawn("--fault", "reset=0") as (base_url, _):
        order(base_url, "/_fake/die?seconds=0.3")
        reasons = set()
        while "connection_refused" not in reasons:
            reasons.add(outcome(base_url))
        while (last := outcome(base_url)) != "answered":
            assert last == "connection_refused"


def outcome(base_url: str) -> str:
    try:
        ask(base_url, history(CLIENT, 0))
    except ModelServerError as error:
        return error.reason
    return "answered"


def test_process_ends_with_its_parent() -> None:
    parent = (
        "import os, time\n"
        "from tests.fakes.model_server import spawn\n"
        "with spawn() as (url, process):\n"
        "    print(process.pid, flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as running:
        assert running.stdout is not None
        child = int(running.stdout.readline())
        running.send_signal(signal.SIGKILL)
        running.wait()
        while Path(f"/proc/{child}/cmdline").exists() and _cmdline(child):
            time.sleep(0.01)


def _cmdline(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
