"""What can go wrong with a model server, sorted by what the caller should do (pure).

Three kinds, and no others, leave `generation.vllm`: try the request again (`Retryable`), do not
(`Permanent`), or wait for the server (`Unavailable`). Every error carries a short reason code to
count and store, and fixed plain words. Nothing of a request or a reply is ever in either: vLLM's
error bodies may quote the prompt, so they are only looked at, never passed on.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar

RETRY_AFTER_CAP_S = 120.0

WORDS: Mapping[str, str] = {
    # Retryable
    "rate_limited": "the model server asked for fewer requests (429)",
    "overloaded": "the model server is overloaded or restarting (503)",
    "server_error": "the model server failed on this request (5xx)",
    "bad_gateway": "the proxy before the model server got no answer from it (502, 504)",
    "connection_lost": "the connection broke before the answer came",
    "cut_body": "the answer broke off before its end",
    "deadline": "the answer did not come in time",
    "idle": "the model server stopped sending",
    "bad_http": "the answer was not proper HTTP",
    "wrong_content_type": "the answer was not JSON; something else may listen at this address",
    "bad_json": "the answer was not readable JSON",
    "bad_reply": "the answer was JSON, but not a chat completion",
    "unstorable_text": "the answer holds characters that cannot be stored (NUL or half pairs)",
    "reply_too_large": "the answer is larger than a reply can be",
    # Permanent
    "bad_request": "the model server refused the request as malformed (400)",
    "unauthorised": "the model server wants another key (401)",
    "forbidden": "the model server forbids this to the key in use (403)",
    "wrong_model": "the model server does not serve this model (404)",
    "not_found": "the address answers, but not as a vLLM server does (404)",
    "request_too_large": "the request is larger than the model server takes (413)",
    "unprocessable": "the model server could not use the request's settings (422)",
    "redirected": "the model server redirects elsewhere, which is not followed (3xx)",
    "refused": "the model server refused the request (4xx)",
    "context_full": "prompt and reply together do not fit the model's context",
    # Unavailable
    "connection_refused": "nothing listens at the model server's address",
    "unknown_host": "the model server's host name cannot be found",
    "unreachable": "the model server's host cannot be reached",
    "connect_timeout": "the model server's host does not answer",
    "engine_dead": "the model server's engine has crashed and has to be started again",
    "tls_failed": "the model server's certificate or TLS set-up is not accepted",
    "address_refused": "the model server's name leads to an address that may not be used",
}

# These speak of the endpoint as it is set up: every other request would fare the same.
_ENDPOINT_REASONS = frozenset(
    {"unauthorised", "forbidden", "wrong_model", "not_found", "redirected", "wrong_content_type"}
)


class ModelServerError(Exception):
    """Base of all errors of a model server.

    reason: a key of WORDS, to count and store; detail: its plain words; status: the HTTP status,
    if there was one; endpoint_at_fault: True when the endpoint as it is set up, rather than this
    one request, is the trouble.
    """

    always_endpoint: ClassVar[bool] = False

    def __init__(self, reason: str, *, status: int | None = None) -> None:
        self.reason = reason
        self.detail = WORDS.get(reason, "the model server failed")
        self.status = status
        self.endpoint_at_fault = self.always_endpoint or reason in _ENDPOINT_REASONS
        super().__init__(f"{reason}: {self.detail}")


class Retryable(ModelServerError):
    """The same request may succeed later; `retry_after` is the server's wish in seconds."""

    def __init__(
        self, reason: str, *, retry_after: float | None = None, status: int | None = None
    ) -> None:
        super().__init__(reason, status=status)
        self.retry_after = retry_after


class Permanent(ModelServerError):
    """The same request would fail again."""


class ContextFull(Permanent):
    """Prompt and wanted reply do not fit the model's context window."""

    def __init__(self, *, status: int | None = None) -> None:
        super().__init__("context_full", status=status)


class Unavailable(ModelServerError):
    """No model server to speak to at the moment; the request itself was never judged."""

    always_endpoint = True


_RETRYABLE_STATUS = {
    408: "deadline",
    429: "rate_limited",
    502: "bad_gateway",
    503: "overloaded",
    504: "bad_gateway",
}
_PERMANENT_STATUS = {
    400: "bad_request",
    401: "unauthorised",
    403: "forbidden",
    413: "request_too_large",
    422: "unprocessable",
}
# The wordings of vLLM 0.4 to 0.32 (and of servers that copy them) for a full context window.
_CONTEXT_WORDS = re.compile(
    r"maximum context length is \d|context length is only \d"
    r"|max_tokens must be at least 1, got -\d|longer than the maximum model length"
    r"|max_(?:total|output|completion)?_?tokens=\S* ?cannot be greater than"
    r"|context_length_exceeded",
)
# vLLM's API process outlives its engine for a moment and answers every request like this.
_ENGINE_DEAD = re.compile(r"EngineCore encountered an issue|EngineDeadError|^Background loop ")
_CONTEXT_PARAMS = frozenset({"input_tokens", "input_text"})
_QUOTE_FREE_HEAD = 400


def error_for_status(
    status: int, body: bytes, *, retry_after: str | None = None, now: datetime | None = None
) -> ModelServerError:
    """The error for an answer other than 200. `body` is looked at for known cases only."""
    message, param = _error_text(body)
    if status >= 500 and _ENGINE_DEAD.search(message):
        return Unavailable("engine_dead", status=status)
    if status in _RETRYABLE_STATUS or status >= 500:
        wait = parse_retry_after(retry_after, now=now)
        reason = _RETRYABLE_STATUS.get(status, "server_error")
        return Retryable(reason, retry_after=wait, status=status)
    if 300 <= status < 400:
        return Permanent("redirected", status=status)
    if status < 300:
        return Retryable("bad_http", status=status)
    if status in {400, 422} and (param in _CONTEXT_PARAMS or _CONTEXT_WORDS.search(message)):
        return ContextFull(status=status)
    if status == 404:
        named = param == "model" or "does not exist" in message
        return Permanent("wrong_model" if named else "not_found", status=status)
    return Permanent(_PERMANENT_STATUS.get(status, "refused"), status=status)


def _error_text(body: bytes) -> tuple[str, str]:
    """Message head and parameter of vLLM's error body, both shapes; empty when unreadable."""
    try:
        payload: Any = json.loads(body)
    except (ValueError, RecursionError):
        return "", ""
    if isinstance(payload, dict) and isinstance(payload.get("error"), dict):
        payload = payload["error"]
    if not isinstance(payload, dict):
        return "", ""
    message, param = payload.get("message"), payload.get("param")
    # Only the head: further on, a validation message quotes the prompt, which may say anything.
    head = message[:_QUOTE_FREE_HEAD] if isinstance(message, str) else ""
    return head, param if isinstance(param, str) else ""


def parse_retry_after(text: str | None, *, now: datetime | None = None) -> float | None:
    """Seconds to wait from a Retry-After header (RFC 9110 10.2.3), 0 to 120, or None.

    Both forms are read: seconds (decimals too) and an HTTP date.
    """
    if text is None:
        return None
    text = text.strip()
    if re.fullmatch(r"[0-9]{1,30}(?:\.[0-9]{0,9})?", text):
        return min(float(text), RETRY_AFTER_CAP_S)
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    seconds = (when - (now or datetime.now(UTC))).total_seconds()
    return min(max(seconds, 0.0), RETRY_AFTER_CAP_S)
