"""What the fake model server can do wrong, and when it does (pure)."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Fault(StrEnum):
    """One way for a request to go wrong; those in TEXT_FAULTS are proper answers, badly worded."""

    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    OVERLOADED = "overloaded"
    ENGINE_DEAD = "engine_dead"
    RESET = "reset"
    CUT_BODY = "cut_body"
    HANG = "hang"
    DRIP = "drip"
    GARBAGE_JSON = "garbage_json"
    NO_CHOICES = "no_choices"
    HTML = "html"
    BAD_HTTP = "bad_http"
    HUGE = "huge"
    REDIRECT = "redirect"
    CONTEXT_FULL = "context_full"
    WRONG_MODEL = "wrong_model"
    UNKNOWN_FINISH = "unknown_finish"
    NUL = "nul"
    HALF_PAIR = "half_pair"
    EMPTY = "empty"
    NULL = "null"
    LENGTH = "length"
    REFUSAL = "refusal"
    ROLE_LABEL = "role_label"
    SPEAKS_FOR_OTHER = "speaks_for_other"
    REPEATED = "repeated"
    WRONG_SCRIPT = "wrong_script"
    PLACEHOLDER = "placeholder"


TEXT_FAULTS = frozenset(
    {
        Fault.UNKNOWN_FINISH,
        Fault.NUL,
        Fault.HALF_PAIR,
        Fault.EMPTY,
        Fault.NULL,
        Fault.LENGTH,
        Fault.REFUSAL,
        Fault.ROLE_LABEL,
        Fault.SPEAKS_FOR_OTHER,
        Fault.REPEATED,
        Fault.WRONG_SCRIPT,
        Fault.PLACEHOLDER,
    }
)

# An int is a plain HTTP status with an error body of vLLM's shape.
Trouble = Fault | int


@dataclass(frozen=True)
class FaultPlan:
    """Which chat request fails how, by its number (0, 1, ... in order of arrival).

    `script` names requests one by one and goes first; `rates` are probabilities that sum to at
    most 1, drawn for each number from `seed` alone, so `at` can be asked beforehand too.
    """

    rates: Mapping[Trouble, float] = field(default_factory=dict)
    script: Mapping[int, Trouble] = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        if sum(self.rates.values()) > 1.0 or any(rate < 0 for rate in self.rates.values()):
            raise ValueError("Fault rates must not be negative nor sum to more than 1.")

    def at(self, number: int) -> Trouble | None:
        """The trouble of request `number`, if any."""
        if number in self.script:
            return self.script[number]
        if not self.rates:
            return None
        draw = random.Random(f"{self.seed}/{number}").random()
        for trouble, rate in self.rates.items():
            draw -= rate
            if draw < 0:
                return trouble
        return None


def parse_trouble(text: str) -> Trouble:
    """A fault's name or an HTTP status as text. Raises ValueError."""
    return int(text) if text.isdigit() else Fault(text)


def faulty_text(fault: Fault, text: str, last_own: str) -> tuple[str | None, str]:
    """Content and finish reason of an answer with a bad text; `text` is what it would have been."""
    other = {
        Fault.UNKNOWN_FINISH: (text, "sudden_insight"),
        Fault.NUL: (f"{text}\x00", "stop"),
        Fault.HALF_PAIR: (f"{text}\ud83d", "stop"),
        Fault.EMPTY: ("", "stop"),
        Fault.NULL: (None, "stop"),
        Fault.LENGTH: (text[: max(1, len(text) * 2 // 3)], "length"),
        Fault.REFUSAL: ("I'm sorry, but I can't help with that request.", "stop"),
        Fault.ROLE_LABEL: (f"Therapist: {text}", "stop"),
        Fault.SPEAKS_FOR_OTHER: (f"{text}\nClient: Yes, I see.\nTherapist: Good.", "stop"),
        Fault.REPEATED: (last_own or text, "stop"),
        Fault.WRONG_SCRIPT: ("我觉得这个星期很累，不知道该怎么办。", "stop"),
        Fault.PLACEHOLDER: (f"Hello [Client's Name]. {text}", "stop"),
    }
    return other[fault]
