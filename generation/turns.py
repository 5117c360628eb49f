"""What goes into a session and what comes out of it: requests, replies, verdicts. Pure."""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from generation.defects import Defect
from generation.model_forms import FormName
from generation.utterances import THERAPIST, Role, Utterance

EndReason: TypeAlias = Literal["marker", "limit", "context"]
Purpose: TypeAlias = Literal["turn", "preparation", "critique", "revision"]

BYTES_PER_TOKEN: Final = 4  # English prose with current tokenisers; the server has the last word
TOKENS_PER_MESSAGE: Final = 6  # role name and separators of a chat template


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One chat message; role is system, user or assistant."""

    role: str
    content: str


Estimate: TypeAlias = Callable[[Sequence[ChatMessage]], int]


@dataclass(frozen=True)
class TurnRequest:
    """What to ask a model for, and for what purpose.

    ``number`` is the turn that it is for, 0 for a preparation; ``role`` says whose model is asked.
    ``attempt`` counts from 1; a retry sends the same messages, only seed or temperature may vary.
    ``note`` is the text that was put at the end of the last message, or empty. ``form`` names the
    JSON that is asked for instead of words, ``sampling`` what goes over the role's own values.
    """

    role: Role
    number: int
    attempt: int
    exchange: int
    messages: tuple[ChatMessage, ...]
    stop: tuple[str, ...]
    note: str = ""
    purpose: Purpose = "turn"
    form: FormName | None = None
    sampling: Mapping[str, float | int] = field(default_factory=dict)

    def estimated_tokens(self, estimate: Estimate | None = None) -> int:
        """Prompt tokens of this request, by ``estimate`` or a rule of thumb."""
        return (estimate or estimate_tokens)(self.messages)


@dataclass(frozen=True)
class Reply:
    """What a model server gave back. ``stop_reason`` is the stop sequence met, if it says so."""

    text: str
    finish_reason: str = "stop"
    stop_reason: str | None = None


@dataclass(frozen=True)
class Draft:
    """A reply that is good enough to be looked at by the critique, as it came."""

    text: str
    defects: tuple[Defect, ...] = ()


@dataclass(frozen=True)
class Prepared:
    """A preparation is written: store its form under ``key``."""

    key: str
    form: Mapping[str, Any]


@dataclass(frozen=True)
class Drafted:
    """The reply is a draft: keep it, a critique comes next."""

    findings: tuple[Defect, ...] = ()


@dataclass(frozen=True)
class Advised:
    """The critique is read and wants the draft revised."""


@dataclass(frozen=True)
class Ended:
    """The dialogue is complete."""

    reason: EndReason


@dataclass(frozen=True)
class Accepted:
    """The next turn is there. ``ended`` is set when the session is over with it: store the turn and
    the dialogue's end in one transaction.

    ``draft_stands``: the turn is the draft that was kept before, not this reply; ``unused`` then
    says what was wrong with this reply, and is empty for a critique that found the draft good.
    """

    utterance: Utterance
    findings: tuple[Defect, ...] = ()
    ended: EndReason | None = None
    draft_stands: bool = False
    unused: tuple[Defect, ...] = ()


@dataclass(frozen=True)
class Rejected:
    """The reply is not taken; ask again."""

    defects: tuple[Defect, ...]
    attempts_left: int


@dataclass(frozen=True)
class Failed:
    """The dialogue cannot go on. ``reason`` is a defect kind, too_many_defects, context_full,
    no_preparation or no_critique.
    ``detail`` never quotes the dialogue."""

    reason: str
    detail: str
    defects: tuple[Defect, ...] = ()


Verdict: TypeAlias = Prepared | Drafted | Advised | Accepted | Rejected | Ended | Failed


@dataclass(frozen=True)
class ContextLimit:
    """How much the models take: prompt and reply together, in tokens, by role."""

    therapist_tokens: int
    client_tokens: int
    therapist_reply: int = 0
    client_reply: int = 0
    estimate: Estimate | None = None

    def reply(self, role: Role) -> int:
        """Tokens that a reply of this role may have."""
        return self.therapist_reply if role == THERAPIST else self.client_reply

    def room(self, role: Role, reply: int | None = None) -> int:
        """Tokens that a prompt of this role may have, beside its usual or a given reply."""
        tokens = self.therapist_tokens if role == THERAPIST else self.client_tokens
        return tokens - (self.reply(role) if reply is None else reply)


def estimate_tokens(messages: Sequence[ChatMessage]) -> int:
    """Rule of thumb: four bytes a token, and a few tokens for each message's frame."""
    size = sum(_bytes(message.content) for message in messages)
    return math.ceil(size / BYTES_PER_TOKEN) + TOKENS_PER_MESSAGE * len(messages)


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def turn_seed(dialogue_seed: int, number: int, attempt: int) -> int:
    """Seed of one request, 0 to 2**31 - 1: the same on every machine, another for every retry."""
    name = f"{dialogue_seed}/{number}/{attempt}".encode()
    return int.from_bytes(hashlib.sha256(name).digest()[:4], "big") & 0x7FFF_FFFF
