"""The model client against a real server on loopback that fails in every way we know."""

import asyncio
import json
import logging
import socket
import traceback
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from generation.vllm import (
    AddressRefused,
    ChatMessage,
    Completion,
    ContextFull,
    ModelServer,
    ModelServerError,
    Permanent,
    Retryable,
    Sampling,
    Unavailable,
    chat_request,
)
from generation.vllm_transport import connection_error, connector
from tests.fakes.model_server import FakeModelServer, Fault, Trouble, spawn
from tests.fakes.replies import FakeModel

T = TypeVar("T")
CANARY = "canary-7f3a my secret sorrow"
MESSAGES = [
    ChatMessage("system", "You are the therapist."),
    ChatMessage("user", f"I told nobody: {CANARY}"),
]
SAMPLING = Sampling(temperature=0.7, top_p=0.9, max_tokens=200)


@pytest.fixture
def server() -> Iterator[FakeModelServer]:
    with FakeModelServer(model="m") as running:
        yield running


def talk(
    base_url: str,
    ask: Callable[[ModelServer], Awaitable[T]],
    *,
    model: str = "m",
    **settings: Any,
) -> T:
    """What `ask` gets from a client of `base_url`, in an event loop of its own."""

    async def run() -> T:
        async with ModelServer(base_url, model, **settings) as client:
            return await ask(client)

    return asyncio.run(run())


def chat(base_url: str, deadline_s: float = 30.0, **settings: Any) -> Completion:
    return talk(base_url, lambda c: c.chat(MESSAGES, SAMPLING, (), deadline_s), **settings)


def failure(base_url: str, deadline_s: float = 30.0, **settings: Any) -> ModelServerError:
    with pytest.raises(ModelServerError) as caught:
        chat(base_url, deadline_s, **settings)
    return caught.value


def _family(ip: str) -> int:
    return socket.AF_INET6 if ":" in ip else socket.AF_INET


class ScriptedResolver(AbstractResolver):
    """A name service that answers each look-up with the next addresses of a script."""

    def __init__(self, *answers: list[str] | OSError) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        if isinstance(answer, OSError):
            raise answer
        return [
            ResolveResult(
                hostname=host, host=ip, port=port, family=family or _family(ip), proto=0, flags=0
            )
            for ip in answer
        ]

    async def close(self) -> None:
        return None


# -- what a good answer is ---------------------------------------------------------------------


def test_chat_returns_the_reply_with_counts(server: FakeModelServer) -> None:
    completion = chat(server.base_url)
    expected = FakeModel().reply(server.requests[0].body)
    assert completion.text == expected.text
    assert completion.finish_reason == "stop"
    assert completion.prompt_tokens == expected.prompt_tokens
    assert completion.completion_tokens == expected.completion_tokens
    assert completion.cached_tokens == 0
    assert completion.latency_s > 0
    assert completion.response["choices"][0]["message"]["content"] == completion.text


def test_chat_counts_cached_tokens_of_a_known_prefix(server: FakeModelServer) -> None:
    async def twice(client: ModelServer) -> int | None:
        await client.chat(MESSAGES, SAMPLING)
        return (await client.chat(MESSAGES, SAMPLING)).cached_tokens

    assert talk(server.base_url, twice) == 16


def test_chat_leaves_cached_tokens_open_when_the_server_does_not_say() -> None:
    with FakeModelServer(model="m", details=False) as server:
        assert chat(server.base_url).cached_tokens is None


def test_chat_sends_exactly_the_request(server: FakeModelServer) -> None:
    sampling = Sampling(0.7, 0.9, 64, top_k=40, min_p=0.05, repetition_penalty=1.1, seed=7)
    stop = ("\nClient:", "\nTherapist:")
    talk(server.base_url, lambda c: c.chat(MESSAGES, sampling, stop=stop))
    assert server.requests[0].body == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "You are the therapist."},
            {"role": "user", "content": f"I told nobody: {CANARY}"},
        ],
        "temperature": 0.7,
        "top_p": 0.9,
        "max_tokens": 64,
        "top_k": 40,
        "min_p": 0.05,
        "repetition_penalty": 1.1,
        "seed": 7,
        "stop": ["\nClient:", "\nTherapist:"],
        "stream": False,
    }
    assert server.requests[0].body == chat_request("m", MESSAGES, sampling, stop)


def test_chat_leaves_unset_settings_to_the_server(server: FakeModelServer) -> None:
    chat(server.base_url)
    assert set(server.requests[0].body) == {
        "model",
        "messages",
        "temperature",
        "top_p",
        "max_tokens",
        "stream",
    }


@pytest.mark.parametrize("text", ["naïve 我 🌧", 'quote " and \\ and \n', "half \ud83d pair"])
def test_chat_sends_any_text_unchanged(server: FakeModelServer, text: str) -> None:
    messages = [ChatMessage("user", text)]
    talk(server.base_url, lambda c: c.chat(messages, SAMPLING))
    assert server.requests[0].body["messages"] == [{"role": "user", "content": text}]


@pytest.mark.parametrize("tail", ["", "/", "/v1", "/v1/"])
def test_model_server_takes_the_address_with_and_without_v1(
    server: FakeModelServer, tail: str
) -> None:
    base_url = server.base_url.removesuffix("/v1") + tail
    assert chat(base_url).finish_reason == "stop"
    assert talk(base_url, lambda c: c.version()) == "0.32.0"


# -- faults ------------------------------------------------------------------------------------

FAULTS: list[tuple[Trouble, type[ModelServerError], str]] = [
    (Fault.RATE_LIMITED, Retryable, "rate_limited"),
    (Fault.SERVER_ERROR, Retryable, "server_error"),
    (Fault.OVERLOADED, Retryable, "overloaded"),
    (Fault.RESET, Retryable, "connection_lost"),
    (Fault.CUT_BODY, Retryable, "cut_body"),
    (Fault.HANG, Retryable, "deadline"),
    (Fault.DRIP, Retryable, "deadline"),
    (Fault.GARBAGE_JSON, Retryable, "bad_json"),
    (Fault.NO_CHOICES, Retryable, "bad_reply"),
    (Fault.HTML, Retryable, "wrong_content_type"),
    (Fault.BAD_HTTP, Retryable, "bad_http"),
    (Fault.HUGE, Retryable, "reply_too_large"),
    (Fault.NUL, Retryable, "unstorable_text"),
    (Fault.HALF_PAIR, Retryable, "unstorable_text"),
    (Fault.REDIRECT, Permanent, "redirected"),
    (Fault.CONTEXT_FULL, ContextFull, "context_full"),
    (Fault.WRONG_MODEL, Permanent, "wrong_model"),
    (Fault.ENGINE_DEAD, Unavailable, "engine_dead"),
    (204, Retryable, "bad_http"),
    (301, Permanent, "redirected"),
    (400, Permanent, "bad_request"),
    (401, Permanent, "unauthorised"),
    (403, Permanent, "forbidden"),
    (404, Permanent, "not_found"),
    (408, Retryable, "deadline"),
    (413, Permanent, "request_too_large"),
    (418, Permanent, "refused"),
    (422, Permanent, "unprocessable"),
    (429, Retryable, "rate_limited"),
    (500, Retryable, "server_error"),
    (502, Retryable, "bad_gateway"),
    (503, Retryable, "overloaded"),
    (504, Retryable, "bad_gateway"),
]


@pytest.mark.parametrize(("trouble", "kind", "reason"), FAULTS)
def test_chat_turns_each_fault_into_its_error(
    server: FakeModelServer,
    caplog: pytest.LogCaptureFixture,
    trouble: Trouble,
    kind: type[ModelServerError],
    reason: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    server.fail_next(trouble)
    error = failure(server.base_url, 0.5 if reason == "deadline" else 30.0, api_key="key-5150")
    assert type(error) is kind
    assert error.reason == reason
    assert str(error) == f"{reason}: {error.detail}"
    # aiohttp's own errors hold the request: they must not travel along.
    assert error.__cause__ is None
    assert error.__context__ is None or error.__suppress_context__
    assert len(server.requests) == 1, "the client itself must not retry"
    told = "".join(traceback.format_exception(error)) + repr(vars(error)) + caplog.text
    assert CANARY in json.dumps(server.requests[0].body)
    for secret in ("canary", "sorrow", "key-5150"):
        assert secret not in told


@pytest.mark.parametrize(
    ("fault", "finish_reason", "text"),
    [
        (Fault.EMPTY, "stop", ""),
        (Fault.NULL, "stop", ""),
        (Fault.REFUSAL, "stop", "I'm sorry, but I can't help with that request."),
        (Fault.WRONG_SCRIPT, "stop", "我觉得这个星期很累，不知道该怎么办。"),
    ],
)
def test_chat_hands_over_bad_texts_as_they_are(
    server: FakeModelServer, fault: Fault, finish_reason: str, text: str
) -> None:
    server.fail_next(fault)
    completion = chat(server.base_url)
    assert (completion.finish_reason, completion.text) == (finish_reason, text)


def test_chat_maps_finish_reasons(server: FakeModelServer) -> None:
    server.fail_next(Fault.LENGTH, Fault.UNKNOWN_FINISH)
    assert chat(server.base_url).finish_reason == "length"
    assert chat(server.base_url).finish_reason == "other"


def test_chat_does_not_follow_redirects(server: FakeModelServer) -> None:
    server.fail_next(Fault.REDIRECT)
    failure(server.base_url)
    assert server.paths == []


@pytest.mark.parametrize("max_tokens", [5, 50])
def test_chat_reports_what_does_not_fit_the_context_as_full(max_tokens: int) -> None:
    sampling = Sampling(max_tokens=max_tokens)
    with (
        FakeModelServer(model="m", max_model_len=20) as server,
        pytest.raises(ContextFull) as caught,
    ):
        talk(server.base_url, lambda c: c.chat(MESSAGES, sampling))
    assert not caught.value.endpoint_at_fault


def test_chat_reports_another_serving_model() -> None:
    with FakeModelServer(model="another") as server:
        error = failure(server.base_url)
    assert (type(error), error.reason, error.endpoint_at_fault) == (Permanent, "wrong_model", True)


@pytest.mark.parametrize(("sent", "seconds"), [("0", 0.0), ("2.5", 2.5), ("86400", 120.0)])
def test_chat_passes_on_how_long_to_wait(sent: str, seconds: float) -> None:
    with FakeModelServer(model="m", retry_after=sent) as server:
        server.fail_next(429, 503, 500)
        errors = [failure(server.base_url) for _ in range(3)]
    assert [error.retry_after for error in errors if isinstance(error, Retryable)] == [
        seconds,
        seconds,
        None,
    ]


def test_chat_caps_a_reply_that_says_no_length() -> None:
    with FakeModelServer(model="m") as server:
        assert failure(server.base_url, reply_cap=200).reason == "reply_too_large"


def test_chat_goes_on_after_every_fault_with_the_same_client(server: FakeModelServer) -> None:
    troubles = [trouble for trouble, _, reason in FAULTS if reason != "deadline"]
    server.fail_next(*troubles)

    async def all_of_them(client: ModelServer) -> Completion:
        for _ in troubles:
            with pytest.raises(ModelServerError):
                await client.chat(MESSAGES, SAMPLING)
        return await client.chat(MESSAGES, SAMPLING)

    assert talk(server.base_url, all_of_them, max_connections=1).finish_reason == "stop"


# -- the endpoint itself -----------------------------------------------------------------------


def test_chat_reports_a_dead_server_as_unavailable(server: FakeModelServer) -> None:
    server.die()
    error = failure(server.base_url)
    assert (type(error), error.reason) == (Unavailable, "connection_refused")
    assert error.endpoint_at_fault
    server.revive()
    assert chat(server.base_url).finish_reason == "stop"


def test_chat_under_way_when_the_server_dies_is_retryable(server: FakeModelServer) -> None:
    server.fail_next(Fault.HANG)

    async def die_meanwhile(client: ModelServer) -> str:
        asked = asyncio.create_task(client.chat(MESSAGES, SAMPLING))
        await asyncio.to_thread(server.wait_until, lambda: server.in_flight == 1)
        await asyncio.to_thread(server.die)
        with pytest.raises(Retryable) as caught:
            await asked
        return caught.value.reason

    assert talk(server.base_url, die_meanwhile) == "connection_lost"
    assert server.requests[0].outcome == "dropped"


def test_chat_to_a_killed_process_fails_then_finds_nobody() -> None:
    with spawn("--model", "m", "--latency", "60") as (base_url, process):

        async def kill_meanwhile(client: ModelServer) -> list[str]:
            asked = asyncio.create_task(client.chat(MESSAGES, SAMPLING))
            while (await client.metrics()).running != 1:
                await asyncio.sleep(0.01)
            process.kill()
            process.wait()
            reasons = []
            for request in (asked, client.chat(MESSAGES, SAMPLING)):
                with pytest.raises(ModelServerError) as caught:
                    await request
                reasons.append(caught.value.reason)
            return reasons

        assert talk(base_url, kill_meanwhile) == ["connection_lost", "connection_refused"]


def test_chat_reports_a_host_that_does_not_answer() -> None:
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        # Linux drops further connection attempts once the waiting line is full.
        for waiting in (first, second):
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        base_url = f"http://127.0.0.1:{full.getsockname()[1]}"
        error = failure(base_url, connect_s=0.2)
    assert (type(error), error.reason) == (Unavailable, "connect_timeout")


def test_chat_reports_silence_before_the_deadline(server: FakeModelServer) -> None:
    server.fail_next(Fault.HANG)
    assert failure(server.base_url, idle_s=0.2).reason == "idle"


def test_chat_waiting_for_a_connection_keeps_its_deadline(server: FakeModelServer) -> None:
    server.fail_next(Fault.HANG)

    async def queue_behind(client: ModelServer) -> list[Any]:
        first = asyncio.create_task(client.chat(MESSAGES, SAMPLING))
        await asyncio.to_thread(server.wait_until, lambda: server.in_flight == 1)
        with pytest.raises(Retryable) as caught:
            await client.chat(MESSAGES, SAMPLING, deadline_s=0.1)
        healthy = (await client.health()).ok
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        return [caught.value.reason, healthy]

    assert talk(server.base_url, queue_behind, max_connections=1) == ["deadline", True]
    assert len(server.requests) == 1


def test_chat_reports_tls_trouble(server: FakeModelServer) -> None:
    error = failure(server.base_url.replace("http://", "https://"))
    assert (type(error), error.reason) == (Unavailable, "tls_failed")


# -- cancelling --------------------------------------------------------------------------------


def test_chat_cancelled_is_aborted_on_the_server_too(server: FakeModelServer) -> None:
    server.fail_next(Fault.HANG)

    async def cancel(client: ModelServer) -> bool:
        asked = asyncio.create_task(client.chat(MESSAGES, SAMPLING))
        await asyncio.to_thread(server.wait_until, lambda: server.in_flight == 1)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        return await asyncio.to_thread(server.wait_until, lambda: server.aborted == 1, 2.0)

    assert talk(server.base_url, cancel)
    assert server.requests[0].outcome == "aborted"


def test_chat_past_its_deadline_is_aborted_on_the_server_too(server: FakeModelServer) -> None:
    server.fail_next(Fault.HANG)
    assert failure(server.base_url, 0.2).reason == "deadline"
    assert server.wait_until(lambda: server.aborted == 1, 2.0)


def test_close_ends_requests_under_way_and_the_client_opens_again(server: FakeModelServer) -> None:
    server.fail_next(Fault.HANG)

    async def close_meanwhile(client: ModelServer) -> tuple[str, str]:
        asked = asyncio.create_task(client.chat(MESSAGES, SAMPLING))
        await asyncio.to_thread(server.wait_until, lambda: server.in_flight == 1)
        await client.close()
        with pytest.raises(Retryable) as caught:
            await asked
        return caught.value.reason, (await client.chat(MESSAGES, SAMPLING)).finish_reason

    assert talk(server.base_url, close_meanwhile) == ("connection_lost", "stop")


# -- many at once ------------------------------------------------------------------------------


def test_chat_keeps_one_connection_for_requests_in_turn(server: FakeModelServer) -> None:
    async def in_turn(client: ModelServer) -> None:
        for _ in range(20):
            await client.chat(MESSAGES, SAMPLING)

    talk(server.base_url, in_turn)
    assert (server.answered, server.connections) == (20, 1)


def test_chat_never_passes_its_connection_limit() -> None:
    with FakeModelServer(model="m", gate=8) as server:

        async def many(client: ModelServer) -> None:
            await asyncio.gather(*(client.chat(MESSAGES, SAMPLING) for _ in range(64)))

        talk(server.base_url, many, max_connections=8)
        assert (server.answered, server.max_in_flight, server.connections) == (64, 8, 8)


def test_chat_bears_256_in_flight_without_mixing_answers() -> None:
    with FakeModelServer(model="m", gate=256) as server:

        async def one(client: ModelServer, number: int) -> bool:
            messages = [ChatMessage("system", f"You are client {number}.")]
            completion = await client.chat(messages, SAMPLING)
            expected = FakeModel().reply(chat_request("m", messages, SAMPLING))
            return completion.text == expected.text

        async def many(client: ModelServer) -> list[bool]:
            return await asyncio.gather(*(one(client, number) for number in range(768)))

        assert talk(server.base_url, many, max_connections=256) == [True] * 768
        assert (server.max_in_flight, server.connections) == (256, 256)


# -- addresses ---------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["http://8.8.8.8/v1", "http://169.254.169.254/v1", "ftp://x"])
def test_model_server_refuses_an_address_at_once(url: str) -> None:
    with pytest.raises(AddressRefused):
        ModelServer(url, "m")


def test_chat_connects_by_name_to_the_address_that_was_checked(server: FakeModelServer) -> None:
    resolver = ScriptedResolver(["127.0.0.1"])
    url = f"http://gpu.lab:{server.port}/v1"
    assert chat(url, resolver=resolver).finish_reason == "stop"
    assert server.requests[0].headers["host"] == f"gpu.lab:{server.port}"


def test_chat_refuses_a_name_that_turns_public(server: FakeModelServer) -> None:
    resolver = ScriptedResolver(["127.0.0.1"], ["8.8.8.8"])

    async def rebind(client: ModelServer) -> ModelServerError:
        await client.chat(MESSAGES, SAMPLING)
        await client.close()
        with pytest.raises(Unavailable) as caught:
            await client.chat(MESSAGES, SAMPLING)
        return caught.value

    error = talk(f"http://gpu.lab:{server.port}", rebind, resolver=resolver)
    assert (error.reason, resolver.asked, len(server.requests)) == ("address_refused", 2, 1)


@pytest.mark.parametrize(
    "found", [["8.8.8.8"], ["127.0.0.1", "8.8.8.8"], ["169.254.169.254"], ["::ffff:127.0.0.1"]]
)
def test_chat_refuses_a_name_with_any_bad_address(
    server: FakeModelServer, found: list[str]
) -> None:
    url = f"http://gpu.lab:{server.port}"
    assert failure(url, resolver=ScriptedResolver(found)).reason == "address_refused"
    assert server.connections == 0


def test_chat_reports_an_unknown_name() -> None:
    resolver = ScriptedResolver(socket.gaierror(socket.EAI_NONAME, "Name unknown"))
    error = failure("http://gpu.lab:8000", resolver=resolver)
    assert (type(error), error.reason) == (Unavailable, "unknown_host")


def test_connector_guards_the_socket_itself() -> None:
    async def connect() -> str:
        pool = connector(limit=1, keep_alive_s=1.0, allow_public=False)
        async with aiohttp.ClientSession(connector=pool) as session:
            with pytest.raises(aiohttp.ClientConnectorError) as caught:
                await session.get("http://169.254.169.254/")
        return connection_error(caught.value).reason

    assert asyncio.run(connect()) == "address_refused"


def test_chat_ignores_proxies_of_the_environment(
    server: FakeModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeModelServer(model="m") as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        chat(f"http://gpu.lab:{server.port}", resolver=ScriptedResolver(["127.0.0.1"]))
        assert (len(server.requests), proxy.connections) == (1, 0)


# -- keys --------------------------------------------------------------------------------------


def test_api_key_is_sent_and_never_shown() -> None:
    with FakeModelServer(model="m", api_key="key-5150") as server:
        assert chat(server.base_url, api_key="key-5150").finish_reason == "stop"
        assert server.requests[0].headers["authorization"] == "Bearer key-5150"
        for key in (None, "wrong"):
            error = failure(server.base_url, api_key=key)
            assert (type(error), error.reason) == (Permanent, "unauthorised")
        assert "5150" not in repr(ModelServer(server.base_url, "m", "key-5150"))


@pytest.mark.parametrize("key", ["two words", "line\nend", "tab\t", "ключ"])
def test_api_key_with_odd_characters_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(ValueError, match="characters that no key can have") as caught:
        ModelServer("http://127.0.0.1:8000", "m", key)
    assert key not in str(caught.value)


# -- beside the chats --------------------------------------------------------------------------


def test_health_is_ready(server: FakeModelServer) -> None:
    health = talk(server.base_url, lambda c: c.health())
    assert (health.ok, health.detail, health.reason) == (True, "ready", "")


def test_health_names_the_wrong_model(server: FakeModelServer) -> None:
    health = talk(server.base_url, lambda c: c.health(), model="other")
    assert (health.ok, health.reason) == (False, "wrong_model")
    assert health.detail == "the model server is up but serves m, not other"


def test_health_of_a_dead_server_is_an_answer_too(server: FakeModelServer) -> None:
    server.die()
    health = talk(server.base_url, lambda c: c.health())
    assert (health.ok, health.reason) == (False, "connection_refused")


def test_health_notices_a_refused_key() -> None:
    with FakeModelServer(model="m", api_key="k") as server:
        health = talk(server.base_url, lambda c: c.health())
    assert (health.ok, health.reason) == (False, "unauthorised")


def test_models_tell_the_context_length(server: FakeModelServer) -> None:
    models = talk(server.base_url, lambda c: c.models())
    assert [(model.id, model.max_model_len) for model in models] == [("m", 8192)]


def test_metrics_show_the_prefix_cache(server: FakeModelServer) -> None:
    async def measure(client: ModelServer) -> float | None:
        await client.chat(MESSAGES, SAMPLING)
        before = await client.metrics()
        await client.chat(MESSAGES, SAMPLING)
        return (await client.metrics()).hit_share_since(before)

    asked = FakeModel().reply(chat_request("m", MESSAGES, SAMPLING)).prompt_tokens
    assert talk(server.base_url, measure) == 16 / asked


def test_count_tokens_asks_the_server(server: FakeModelServer) -> None:
    asked = FakeModel().reply(chat_request("m", MESSAGES, SAMPLING)).prompt_tokens
    assert talk(server.base_url, lambda c: c.count_tokens(MESSAGES)) == asked
    assert server.paths == ["/tokenize"]
