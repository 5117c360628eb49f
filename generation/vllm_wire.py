"""The values that go to a vLLM server and come back, and their JSON (pure, no network).

`generation.vllm` sends and receives; this module only builds and reads. Whatever a server sends,
reading it ends in a value or in one `Retryable`, never in another exception.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NoReturn, Protocol

from generation.vllm_errors import Retryable

FinishReason = Literal["stop", "length", "content_filter", "tool_calls", "abort", "other"]
_FINISH_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content_filter",
    "tool_calls": "tool_calls",
    "abort": "abort",
}


class MessageLike(Protocol):
    """Anything with a role and a content, such as session.ChatMessage."""

    @property
    def role(self) -> str: ...
    @property
    def content(self) -> str: ...


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One chat message; role is system, user or assistant."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a reply is drawn. None leaves a setting to the server. Raises ValueError when absurd."""

    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 512
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        checks = (
            ("temperature", 0.0 <= self.temperature <= 5.0),
            ("top_p", 0.0 < self.top_p <= 1.0),
            ("max_tokens", self.max_tokens >= 1),
            ("top_k", self.top_k is None or self.top_k >= -1),
            ("min_p", self.min_p is None or 0.0 <= self.min_p <= 1.0),
            (
                "repetition_penalty",
                self.repetition_penalty is None or 0.0 < self.repetition_penalty <= 5.0,
            ),
        )
        for name, good in checks:
            if not good:
                raise ValueError(f"The sampling setting {name} is out of range.")

    def settings(self) -> dict[str, float | int]:
        """The settings as vLLM's request fields, those left to the server omitted."""
        fields: dict[str, float | int | None] = {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_tokens": self.max_tokens,
            "top_k": self.top_k,
            "min_p": self.min_p,
            "repetition_penalty": self.repetition_penalty,
            "seed": self.seed,
        }
        return {name: value for name, value in fields.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Completion:
    """One reply. Tokens as the server counted them (0 when it did not), latency in seconds.

    `response` is the whole JSON answer, safe for jsonb: no NUL, no half surrogate, no NaN.
    """

    text: str
    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int | None
    latency_s: float
    response: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model that a server offers, with its context length in tokens when it says so."""

    id: str
    max_model_len: int | None


@dataclass(frozen=True, slots=True)
class Health:
    """Whether requests may be sent now; `detail` says why not, `reason` as a short code."""

    ok: bool
    detail: str
    reason: str = ""


def message_dicts(messages: Iterable[MessageLike]) -> list[dict[str, str]]:
    """Messages as the JSON field `messages`."""
    return [{"role": message.role, "content": message.content} for message in messages]


def chat_request(
    model: str,
    messages: Iterable[MessageLike],
    sampling: Sampling,
    stop: Sequence[str] = (),
    form: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The body of POST /v1/chat/completions. ``form``: a JSON schema that the reply is held to."""
    request: dict[str, Any] = {"model": model, "messages": message_dicts(messages)}
    request.update(sampling.settings())
    if stop:
        request["stop"] = list(stop)
    if form is not None:
        held = {"name": str(form.get("title", "form")), "schema": dict(form), "strict": True}
        request["response_format"] = {"type": "json_schema", "json_schema": held}
    request["stream"] = False
    return request


def _refuse_constant(_text: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("too large a number for jsonb")
    return number


_decoder = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)


def read_json(body: bytes) -> Any:
    """Parse an answer's body. Raises Retryable (bad_json, unstorable_text)."""
    try:
        payload = _decoder.decode(body.decode("utf-8"))
    except (ValueError, RecursionError):
        raise Retryable("bad_json", status=200) from None
    # UTF-8 holds neither NUL in a JSON string nor half a surrogate; only an escape can.
    if b"\\u" in body:
        _check_storable(payload)
    return payload


def _check_storable(payload: Any) -> None:
    """PostgreSQL takes neither NUL nor half surrogates."""
    pending = [payload]
    while pending:
        value = pending.pop()
        if isinstance(value, str):
            if "\x00" in value or not (value.isascii() or _encodable(value)):
                raise Retryable("unstorable_text", status=200)
        elif isinstance(value, dict):
            pending.extend(value)
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)


def _encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def read_completion(payload: Any, *, latency_s: float) -> Completion:
    """A chat completion from its JSON. A null content is an empty text. Raises Retryable."""
    choices = payload.get("choices") if isinstance(payload, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict) or not isinstance(choice, dict):
        raise Retryable("bad_reply", status=200)
    content = message.get("content")
    if content is not None and not isinstance(content, str):
        raise Retryable("bad_reply", status=200)
    reason = choice.get("finish_reason")
    usage = _table(payload.get("usage"))
    return Completion(
        text=content or "",
        finish_reason=_FINISH_REASONS.get(reason, "other") if isinstance(reason, str) else "other",
        prompt_tokens=_count(usage.get("prompt_tokens")) or 0,
        completion_tokens=_count(usage.get("completion_tokens")) or 0,
        cached_tokens=_count(_table(usage.get("prompt_tokens_details")).get("cached_tokens")),
        latency_s=latency_s,
        response=payload,
    )


def read_models(payload: Any) -> list[ModelInfo]:
    """The models of GET /v1/models; entries without an id are left out. Raises Retryable."""
    data = payload.get("data") if isinstance(payload, dict) else None
    if not isinstance(data, list):
        raise Retryable("bad_reply", status=200)
    entries = [_table(entry) for entry in data]
    return [
        ModelInfo(entry["id"], _count(entry.get("max_model_len")) or None)
        for entry in entries
        if isinstance(entry.get("id"), str) and entry["id"]
    ]


def read_field(payload: Any, name: str, kind: type[str] | type[int]) -> Any:
    """One field of a flat answer (/version, /tokenize). Raises Retryable when it is not there."""
    value = payload.get(name) if isinstance(payload, dict) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        raise Retryable("bad_reply", status=200)
    return value


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: Any) -> int | None:
    good = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31
    return value if good else None
