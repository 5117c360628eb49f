"""What the fake model answers: a function of the request and the server's seed (no network)."""

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tests.fakes.forms import form_answer
from tests.fakes.utterances import Speaker, farewell, speaker_of, utterance

_ADVICE = "----- advice "
PREFIX_CACHE_SIZE = 200_000
BLOCK = 16


@dataclass(frozen=True)
class FakeReply:
    """One answer before any fault is put on it. Tokens are counted as characters / 4."""

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int


def tokens(text: str) -> int:
    """A token count that is only roughly a tokeniser's."""
    return len(text) // 4 + 1


def prompt_tokens(messages: Sequence[Mapping[str, str]]) -> int:
    """Tokens of a prompt; four for the frame of each message."""
    return sum(tokens(message["content"]) + 4 for message in messages)


class FakeModel:
    """Answers chat requests and keeps count like vLLM's prefix cache."""

    def __init__(self, *, seed: int = 0, marker: str = "[/END]", end_after: int | None = None):
        self.seed = seed
        self.marker = marker
        self.end_after = end_after
        self.queries = 0
        self.hits = 0
        self.generated = 0
        self._prefixes: set[int] = set()
        # Benchmarks ask for the same few hundred system prompts again and again.
        self._speaker = lru_cache(maxsize=4096)(speaker_of)

    def reply(self, request: Mapping[str, Any]) -> FakeReply:
        """The answer to the body of one chat request."""
        messages = request["messages"]
        system = next((m["content"] for m in messages if m["role"] == "system"), "")
        first = next((m["content"] for m in messages if m["role"] == "user"), "")
        turn = sum(m["role"] == "assistant" for m in messages)
        key = f"{self.seed}|{request.get('seed')}|{system}|{first if turn else ''}"
        last = messages[-1]["content"] if messages else ""
        if _ADVICE in last:
            # A draft's second version: other words, and not those of the turn to come.
            key += last
        form = form_answer(request.get("response_format") or {}, turn)
        text = form or self._text(self._speaker(system), zlib.crc32(key.encode()), turn, last)
        text, reason = _shortened(text, request.get("stop") or (), request.get("max_tokens"))
        asked = prompt_tokens(messages)
        cached = self._remember(messages)
        self.queries += asked
        self.hits += cached
        self.generated += tokens(text)
        return FakeReply(text, reason, asked, tokens(text), cached)

    def _text(self, speaker: Speaker, start: int, turn: int, last_user: str) -> str:
        told = bool(self.marker) and self.marker in last_user
        if told or (self.end_after is not None and turn >= self.end_after):
            return f"{farewell(speaker)} {self.marker}"
        return utterance(speaker, start, turn)

    def _remember(self, messages: Sequence[Mapping[str, str]]) -> int:
        """Tokens of the longest known prefix, in whole blocks; then knows this prompt too."""
        if len(self._prefixes) > PREFIX_CACHE_SIZE:
            self._prefixes.clear()
        chain, cached, reached = 0, 0, 0
        for message in messages:
            chain = hash((chain, message["role"], message["content"]))
            reached += tokens(message["content"]) + 4
            if chain in self._prefixes:
                cached = reached
            self._prefixes.add(chain)
        return cached // BLOCK * BLOCK

    def instant(self, body: bytes, model: str) -> bytes:
        """A whole answer without parsing the request: some microseconds for benchmarks.

        The texts differ from `reply`'s; they too never repeat within 37 turns of a role.
        """
        first = body.find(b'"role"')
        second = body.find(b'"role"', first + 6)
        head = body[first : second if second > 0 else None]
        speaker = self._speaker(head.decode("utf-8", "replace"))
        turn = body.count(b'"assistant"')
        told = body[body.rfind(b'"role"') :].decode("utf-8", "replace")
        text = self._text(speaker, zlib.crc32(head), turn, told)
        asked, said = len(body) // 5, len(text) // 4
        return _INSTANT % (
            model.encode(),
            json.dumps(text).encode(),
            asked,
            asked + said,
            said,
        )


_INSTANT = (
    b'{"id":"chatcmpl-instant","object":"chat.completion","created":0,"model":"%b","choices":'
    b'[{"index":0,"message":{"role":"assistant","content":%b},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":%d,"total_tokens":%d,"completion_tokens":%d}}'
)


def _shortened(text: str, stop: Sequence[str] | str, limit: int | None) -> tuple[str, str]:
    for end in [stop] if isinstance(stop, str) else stop:
        text = text.partition(end)[0] if end else text
    if limit is not None and tokens(text) > limit:
        return text[: limit * 4], "length"
    return text, "stop"


def completion_body(
    reply: FakeReply, *, model: str, number: int, content: str | None, reason: str, details: bool
) -> dict[str, Any]:
    """The JSON of a chat completion in the shape that vLLM gives it."""
    return {
        "id": f"chatcmpl-{number:032x}",
        "object": "chat.completion",
        "created": 1_700_000_000 + number,
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": content,
                    "refusal": None,
                    "tool_calls": [],
                    "reasoning": None,
                },
                "logprobs": None,
                "finish_reason": reason,
                "stop_reason": None,
            }
        ],
        "usage": {
            "prompt_tokens": reply.prompt_tokens,
            "total_tokens": reply.prompt_tokens + reply.completion_tokens,
            "completion_tokens": reply.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": reply.cached_tokens} if details else None,
        },
        "prompt_logprobs": None,
    }


def error_body(status: int, message: str, kind: str, param: str | None = None) -> dict[str, Any]:
    """The JSON of an error in the shape that vLLM gives it."""
    return {"error": {"message": message, "type": kind, "param": param, "code": status}}


def context_error(model_len: int, asked: int, wanted: int, quoted: str) -> dict[str, Any] | None:
    """vLLM 0.32's refusal of a prompt or a wish that is too long, with the prompt quoted behind.

    None when it fits; like vLLM, a reply that would run over the end is only cut short.
    """
    if asked >= model_len:
        message = (
            f"This model's maximum context length is {model_len} tokens. However, your prompt"
            f" contains at least {asked} input tokens, which exceeds this limit even without any"
            " output tokens. Please reduce the length of the input prompt."
            f" (parameter=input_tokens, value={asked}, input={quoted!r})"
        )
        return error_body(400, message, "BadRequestError", "input_tokens")
    if wanted > model_len:
        message = (
            f"max_tokens={wanted} cannot be greater than max_model_len={model_len}. Please request"
            f" fewer output tokens. (parameter=max_tokens, value={wanted}, input={quoted!r})"
        )
        return error_body(400, message, "BadRequestError", "max_tokens")
    return None
