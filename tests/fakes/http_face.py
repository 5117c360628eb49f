"""The HTTP face of the fake model server: vLLM's routes, its shapes, and the faults."""

import asyncio
import json
import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.fakes.breaking import break_connection
from tests.fakes.faults import TEXT_FAULTS, Fault, FaultPlan, Trouble, faulty_text, parse_trouble
from tests.fakes.replies import (
    FakeModel,
    FakeReply,
    completion_body,
    context_error,
    error_body,
    prompt_tokens,
)

CHAT = "/v1/chat/completions"


@dataclass
class Recorded:
    """One chat request as it arrived; outcome is open, answered, aborted (by the client) or
    dropped (by the server dying). `connection` is the client's port."""

    number: int
    headers: dict[str, str]
    raw: bytes
    connection: int
    trouble: Trouble | None
    outcome: str = "open"

    @property
    def body(self) -> Any:
        """The request's JSON."""
        return json.loads(self.raw)


@dataclass
class HttpFace:
    """What is served and counted; `FakeModelServer` gives it a socket. All times are seconds.

    latency is fixed or drawn between two bounds; tokens_per_s adds the time to speak the reply.
    details answers with cached_tokens, as vLLM does with --enable-prompt-tokens-details. With a
    gate, no request is answered until so many have been in flight at once.
    """

    model: str = "fake-model"
    port: int = 0
    seed: int = 0
    faults: FaultPlan = field(default_factory=FaultPlan)
    latency: float | tuple[float, float] = 0.0
    tokens_per_s: float | None = None
    instant: bool = False
    marker: str = "[/END]"
    end_after: int | None = None
    max_model_len: int = 8192
    details: bool = True
    api_key: str | None = None
    retry_after: str = "1"
    drip_s: float = 0.05
    gate: int = 0
    keep_alive_s: float = 5.0
    record_limit: int = 10_000
    version: str = "0.32.0"

    def __post_init__(self) -> None:
        self.requests: list[Recorded] = []
        self.paths: list[str] = []
        self.received = self.answered = self.aborted = self.connections = 0
        self.in_flight = self.max_in_flight = 0
        self.dying = False
        self.fake = FakeModel(seed=self.seed, marker=self.marker, end_after=self.end_after)
        self._opened = asyncio.Event()
        self._queued: deque[Trouble] = deque()

    # -- what tests ask and order -----------------------------------------------------------

    def fail_next(self, *troubles: Trouble) -> None:
        """The next chat requests to arrive go wrong in this order, before the plan is asked."""
        self._queued.extend(troubles)

    def wait_until(self, true: Callable[[], bool], timeout_s: float = 5.0) -> bool:
        """Wait until `true()` holds; returns whether it did in time."""
        end = time.monotonic() + timeout_s
        while not true():
            if time.monotonic() > end:
                return False
            time.sleep(0.005)
        return True

    def stats(self) -> dict[str, int]:
        """Counts so far."""
        return {
            "received": self.received,
            "answered": self.answered,
            "aborted": self.aborted,
            "in_flight": self.in_flight,
            "max_in_flight": self.max_in_flight,
            "connections": self.connections,
        }

    # -- HTTP -------------------------------------------------------------------------------

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        if path == CHAT and request.method == "POST":
            return await self._chat(request)
        if len(self.paths) < self.record_limit:
            self.paths.append(path)
        if self._locked(request):
            return _json(401, {"error": "Unauthorized"})
        if path.startswith("/_fake/"):
            return await self._control(path, request)
        if path == "/tokenize" and request.method == "POST":
            count = prompt_tokens((await request.json())["messages"])
            tokens = list(range(count))
            return _json(
                200, {"count": count, "max_model_len": self.max_model_len, "tokens": tokens}
            )
        return self._get(path)

    def _get(self, path: str) -> web.Response:
        if path == "/health":
            return web.Response(status=200)
        if path == "/version":
            return _json(200, {"version": self.version})
        if path == "/metrics":
            return web.Response(text=self._metrics(), content_type="text/plain")
        if path == "/v1/models":
            card = {
                "id": self.model,
                "object": "model",
                "owned_by": "vllm",
                "max_model_len": self.max_model_len,
            }
            return _json(200, {"object": "list", "data": [card]})
        return _json(404, {"detail": "Not Found"})

    def _locked(self, request: web.BaseRequest) -> bool:
        wanted = f"Bearer {self.api_key}"
        return (
            self.api_key is not None
            and request.path.startswith("/v1")
            and request.headers.get("Authorization") != wanted
        )

    async def _control(self, path: str, request: web.BaseRequest) -> web.Response:
        if path == "/_fake/fail":
            self.fail_next(*map(parse_trouble, request.query.getall("trouble")))
        return _json(200, self.stats())

    def _metrics(self) -> str:
        label = f'{{engine="0",model_name="{self.model}"}}'
        values = {
            "num_requests_running": ("gauge", self.in_flight),
            "num_requests_waiting": ("gauge", 0),
            "kv_cache_usage_perc": ("gauge", 0.25),
            "prefix_cache_queries_total": ("counter", self.fake.queries),
            "prefix_cache_hits_total": ("counter", self.fake.hits),
            "prompt_tokens_total": ("counter", self.fake.queries),
            "generation_tokens_total": ("counter", self.fake.generated),
            "num_preemptions_total": ("counter", 0),
        }
        lines = ["# HELP python_gc_objects_collected_total Objects collected during gc"]
        for name, (kind, value) in values.items():
            plain = f"vllm:{name.removesuffix('_total')}"
            lines += [f"# TYPE {plain} {kind}", f"vllm:{name}{label} {float(value)}"]
        return "\n".join(lines) + "\n"

    # -- chat -------------------------------------------------------------------------------

    async def _chat(self, request: web.BaseRequest) -> web.StreamResponse:
        number = self.received
        self.received += 1
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        trouble = self._queued.popleft() if self._queued else self.faults.at(number)
        record = Recorded(number, {}, b"", 0, trouble)
        try:
            record.raw = await request.read()
            self._record(request, record)
            answer = await self._answer(request, record)
            record.outcome = "answered"
            self.answered += 1
            return answer
        except asyncio.CancelledError:
            record.outcome = "dropped" if self.dying else "aborted"
            self.aborted += not self.dying
            raise
        finally:
            self.in_flight -= 1

    def _record(self, request: web.BaseRequest, record: Recorded) -> None:
        if len(self.requests) < self.record_limit:
            peer = request.transport.get_extra_info("peername") if request.transport else None
            record.connection = peer[1] if peer else 0
            record.headers = {name.lower(): value for name, value in request.headers.items()}
            self.requests.append(record)

    async def _answer(self, request: web.BaseRequest, record: Recorded) -> web.StreamResponse:
        if self._locked(request):
            return _json(401, {"error": "Unauthorized"})
        if record.trouble is None and self.instant and b'"response_format"' not in record.raw:
            await self._wait(record.number, 48)
            return web.Response(
                body=self.fake.instant(record.raw, self.model), content_type="application/json"
            )
        body = record.body
        asked = prompt_tokens(body["messages"])
        model_len = 0 if record.trouble is Fault.CONTEXT_FULL else self.max_model_len
        wanted, quoted = body.get("max_tokens") or 16, body["messages"][-1]["content"]
        if too_long := context_error(model_len, asked, wanted, quoted):
            return _json(400, too_long)
        body["max_tokens"] = min(wanted, self.max_model_len - asked)
        if body["model"] != self.model or record.trouble is Fault.WRONG_MODEL:
            message = f"The model `{body['model']}` does not exist."
            return _json(404, error_body(404, message, "NotFoundError", "model"))
        reply = self.fake.reply(body)
        await self._wait(record.number, reply.completion_tokens)
        if record.trouble is None or record.trouble in TEXT_FAULTS:
            return _json_bytes(self._proper(record, body, reply))
        if isinstance(record.trouble, Fault):
            return await self._break(request, record, record.trouble, reply)
        return self._status(record.trouble, quoted)

    async def _wait(self, number: int, said: int) -> None:
        if self.max_in_flight >= self.gate:
            self._opened.set()
        await self._opened.wait()
        seconds = self.latency if isinstance(self.latency, float) else 0.0
        if isinstance(self.latency, tuple):
            seconds = random.Random(f"{self.seed}/latency/{number}").uniform(*self.latency)
        if self.tokens_per_s:
            seconds += said / self.tokens_per_s
        if seconds:
            await asyncio.sleep(seconds)

    def _proper(self, record: Recorded, body: Any, reply: FakeReply) -> bytes:
        content: str | None = reply.text
        reason = reply.finish_reason
        if isinstance(record.trouble, Fault):
            own = [m["content"] for m in body["messages"] if m["role"] == "assistant"]
            content, reason = faulty_text(record.trouble, reply.text, own[-1] if own else "")
        payload = completion_body(
            reply,
            model=self.model,
            number=record.number,
            content=content,
            reason=reason,
            details=self.details,
        )
        return json.dumps(payload).encode()

    def _status(self, status: int, quoted: str) -> web.Response:
        message = f"Something about {quoted!r}"
        headers = {"Retry-After": self.retry_after} if status in {429, 503} else {}
        return _json(status, error_body(status, message, "Error"), headers)

    async def _break(
        self, request: web.BaseRequest, record: Recorded, fault: Fault, reply: FakeReply
    ) -> web.StreamResponse:
        statuses = {Fault.RATE_LIMITED: 429, Fault.SERVER_ERROR: 500, Fault.OVERLOADED: 503}
        quoted = record.body["messages"][-1]["content"]
        if fault in statuses:
            return self._status(statuses[fault], quoted)
        if fault is Fault.ENGINE_DEAD:
            crash = "EngineCore encountered an issue. See stack trace (above) for the root cause."
            return _json(500, error_body(500, crash, "InternalServerError"))
        if fault is Fault.REDIRECT:
            return _json(307, {}, {"Location": f"http://127.0.0.1:{self.port}/elsewhere"})
        if fault is Fault.HANG:
            await asyncio.Event().wait()
        plain = {
            Fault.GARBAGE_JSON: '{"id": "chatcmpl-1", "choices": [{"index": 0, "mess',
            Fault.NO_CHOICES: '{"object": "error", "message": "' + quoted[:50] + '"}',
            Fault.HUGE: json.dumps({"choices": [{"message": {"content": "so " * 3_500_000}}]}),
        }
        if fault in plain:
            return _json_bytes(plain[fault].encode())
        if fault is Fault.HTML:
            return web.Response(text="<html>Please log in</html>", content_type="text/html")
        return await break_connection(request, fault, reply.text, drip_s=self.drip_s)


def _json(status: int, payload: Any, headers: dict[str, str] | None = None) -> web.Response:
    return _json_bytes(json.dumps(payload).encode(), status, headers)


def _json_bytes(
    body: bytes, status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    return web.Response(body=body, status=status, headers=headers, content_type="application/json")
