"""The client of a vLLM server: the only way to speak to one (async, no Django).

One `ModelServer` is one endpoint with one connection pool, used inside one event loop. It sends
each request once: the single retry layer is the engine's, and every failure arrives there as
`Retryable`, `Permanent` (`ContextFull`) or `Unavailable` of `generation.vllm_errors`. Cancelling
a call closes its connection, which makes vLLM stop generating.

Its rooms: `vllm_wire` (values, JSON), `vllm_errors` and `vllm_metrics` are pure, `vllm_transport`
guards the connections.
"""

import asyncio
import json
import ssl
import time
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from generation.addresses import AddressRefused, BaseUrl, check_addresses, parse_base_url
from generation.vllm_errors import (
    ContextFull,
    ModelServerError,
    Permanent,
    Retryable,
    Unavailable,
    error_for_status,
)
from generation.vllm_metrics import Metrics, read_metrics
from generation.vllm_transport import check_address, connection_error, connector
from generation.vllm_wire import (
    ChatMessage,
    Completion,
    FinishReason,
    Health,
    MessageLike,
    ModelInfo,
    Sampling,
    chat_request,
    message_dicts,
    read_completion,
    read_field,
    read_json,
    read_models,
)

__all__ = [
    "AddressRefused",
    "ChatMessage",
    "Completion",
    "ContextFull",
    "FinishReason",
    "Health",
    "Metrics",
    "ModelInfo",
    "ModelServer",
    "ModelServerError",
    "Permanent",
    "Retryable",
    "Sampling",
    "Unavailable",
    "chat_request",
    "check_address",
]

REPLY_CAP: Final = 8 * 1024 * 1024
ERROR_BODY_CAP: Final = 64 * 1024
# Calls beside the chats (health, metrics) get connections of their own, so that a full pool
# of slow chats cannot make a healthy server look dead.
SPARE_CONNECTIONS: Final = 4
# vLLM's HTTP server drops a connection idle for 5 s; we let go before, or requests get lost.
KEEP_ALIVE_S: Final = 4.0
CONTROL_DEADLINE_S: Final = 10.0


class ModelServer:
    """One endpoint: a vLLM server's address, the model asked of it, and a connection pool.

    base_url may end in /v1 or not. Times are seconds: `connect_s` for one TCP or TLS connect,
    `idle_s` for the longest silence (without streaming, the time to the first byte counts too).
    At most `max_connections` chats are on the wire at once; more wait, within their deadline.
    Raises AddressRefused (a ValueError) for an address that is refused without looking it up.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        api_key: str | None = None,
        *,
        max_connections: int = 64,
        allow_public: bool = False,
        connect_s: float = 5.0,
        idle_s: float = 300.0,
        reply_cap: int = REPLY_CAP,
        resolver: AbstractResolver | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self.base: BaseUrl = parse_base_url(base_url)
        if self.base.literal:
            check_addresses(self.base.host, [str(self.base.literal)], allow_public=allow_public)
        self.model = model
        self._headers = _headers(api_key)
        self._max_connections = max_connections
        self._allow_public = allow_public
        self._timeout = aiohttp.ClientTimeout(
            total=None, connect=None, sock_connect=connect_s, sock_read=idle_s
        )
        self._reply_cap = reply_cap
        self._resolver = resolver
        self._ssl = ssl_context
        self._slots = asyncio.Semaphore(max_connections)
        self._session: aiohttp.ClientSession | None = None
        self._chat_url = URL(f"{self.base.api}/chat/completions")

    def __repr__(self) -> str:
        return f"ModelServer({self.base.api!r}, {self.model!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the pool; requests under way end as Retryable. A later call opens it again."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def chat(
        self,
        messages: Iterable[MessageLike],
        sampling: Sampling,
        stop: Sequence[str] = (),
        deadline_s: float = 300.0,
        form: Mapping[str, Any] | None = None,
    ) -> Completion:
        """One reply to `messages`, within `deadline_s` seconds, waiting for a connection included.

        Raises Retryable, Permanent, ContextFull or Unavailable; sends the request once only.
        """
        # ASCII JSON on purpose: encoding cannot fail, so no text can get into an exception.
        body = json.dumps(chat_request(self.model, messages, sampling, stop, form)).encode("ascii")
        try:
            async with asyncio.timeout(deadline_s), self._slots:
                begun = time.perf_counter()
                answer = await self._send("POST", self._chat_url, body)
                latency_s = time.perf_counter() - begun
        except TimeoutError:
            raise Retryable("deadline") from None
        return read_completion(read_json(answer), latency_s=latency_s)

    async def models(self, deadline_s: float = CONTROL_DEADLINE_S) -> list[ModelInfo]:
        """The models that the server offers."""
        return read_models(await self._ask("GET", f"{self.base.api}/models", deadline_s))

    async def version(self, deadline_s: float = CONTROL_DEADLINE_S) -> str:
        """vLLM's version, for provenance."""
        payload = await self._ask("GET", f"{self.base.root}/version", deadline_s)
        return str(read_field(payload, "version", str))[:100]

    async def metrics(self, deadline_s: float = CONTROL_DEADLINE_S) -> Metrics:
        """vLLM's own counters: queue lengths, prefix cache, tokens."""
        body = await self._within(deadline_s, "GET", f"{self.base.root}/metrics", json_only=False)
        return read_metrics(body.decode("utf-8", "replace"))

    async def count_tokens(
        self, messages: Iterable[MessageLike], deadline_s: float = CONTROL_DEADLINE_S
    ) -> int:
        """Prompt length of `messages` in tokens, the model's chat template included."""
        request = {
            "model": self.model,
            "messages": message_dicts(messages),
            "add_generation_prompt": True,
        }
        payload = await self._ask("POST", f"{self.base.root}/tokenize", deadline_s, request)
        return int(read_field(payload, "count", int))

    async def health(self, deadline_s: float = CONTROL_DEADLINE_S) -> Health:
        """Whether the server is up and serves our model. Never raises a ModelServerError."""
        try:
            await self._within(deadline_s, "GET", f"{self.base.root}/health", json_only=False)
            offered = await self.models(deadline_s)
        except ModelServerError as error:
            return Health(False, error.detail, error.reason)
        if any(model.id == self.model for model in offered):
            return Health(True, "ready")
        names = ", ".join(_shown(model.id) for model in offered[:3]) or "no model"
        detail = f"the model server is up but serves {names}, not {_shown(self.model)}"
        return Health(False, detail, "wrong_model")

    async def _ask(
        self, method: str, url: str, deadline_s: float, request: dict[str, Any] | None = None
    ) -> Any:
        body = None if request is None else json.dumps(request).encode("ascii")
        return read_json(await self._within(deadline_s, method, url, body))

    async def _within(
        self,
        deadline_s: float,
        method: str,
        url: str,
        body: bytes | None = None,
        *,
        json_only: bool = True,
    ) -> bytes:
        try:
            async with asyncio.timeout(deadline_s):
                return await self._send(method, URL(url), body, json_only=json_only)
        except TimeoutError:
            raise Retryable("deadline") from None

    async def _send(
        self, method: str, url: URL, body: bytes | None, *, json_only: bool = True
    ) -> bytes:
        """The body of a 200 answer. Raises ModelServerError, and TimeoutError at the deadline."""
        session = self._session or self._open()
        try:
            async with session.request(method, url, data=body, allow_redirects=False) as answer:
                return await self._read(answer, json_only=json_only)
        except (aiohttp.ClientError, OSError) as error:
            if type(error) is TimeoutError:
                raise
            # from None: aiohttp's error holds the request, and with it the key.
            raise connection_error(error) from None

    async def _read(self, answer: aiohttp.ClientResponse, *, json_only: bool) -> bytes:
        if answer.status != 200:
            body = await self._read_capped(answer, ERROR_BODY_CAP)
            retry_after = answer.headers.get("Retry-After")
            raise error_for_status(answer.status, body or b"", retry_after=retry_after)
        if json_only and answer.content_type != "application/json":
            raise Retryable("wrong_content_type", status=200)
        body = await self._read_capped(answer, self._reply_cap)
        if body is None:
            raise Retryable("reply_too_large", status=200)
        return body

    async def _read_capped(self, answer: aiohttp.ClientResponse, cap: int) -> bytes | None:
        """The whole body, or None when it is larger than `cap` bytes (the rest is not read)."""
        if (answer.content_length or 0) > cap:
            answer.close()
            return None
        received = bytearray()
        try:
            async for chunk in answer.content.iter_any():
                received += chunk
                if len(received) > cap:
                    answer.close()
                    return None
        except aiohttp.SocketTimeoutError:
            raise
        except (aiohttp.ClientPayloadError, aiohttp.ClientConnectionError):
            raise Retryable("cut_body", status=answer.status) from None
        return bytes(received)

    def _open(self) -> aiohttp.ClientSession:
        self._session = aiohttp.ClientSession(
            connector=connector(
                limit=self._max_connections + SPARE_CONNECTIONS,
                keep_alive_s=KEEP_ALIVE_S,
                allow_public=self._allow_public,
                resolver=self._resolver,
                ssl_context=self._ssl,
            ),
            headers=self._headers,
            timeout=self._timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            # Nothing is decompressed: a small body could unfold to gigabytes.
            auto_decompress=False,
            trust_env=False,
        )
        return self._session


def _headers(api_key: str | None) -> dict[str, str]:
    headers = {
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "Content-Type": "application/json",
        "User-Agent": "sqpsych",
    }
    if api_key:
        if not (api_key.isascii() and api_key.isprintable()) or " " in api_key:
            raise ValueError("The model server's key has characters that no key can have.")
        headers["Authorization"] = f"Bearer {api_key}"
    return headers


def _shown(name: str) -> str:
    return "".join(char for char in name[:80] if char.isprintable())
