"""What a corpus is made of, and what every file of one is checked for (pure)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from generation.plain_text import as_data, control_character
from generation.profile_files import guard_formula
from generation.utterances import CLIENT, THERAPIST, Role

MAX_BYTES: Final = 200 * 1024 * 1024
MAX_TEXT: Final = 100_000
MAX_ID: Final = 120
MAX_TURNS: Final = 2_000
MAX_FACT: Final = 200
# What is the same in all rows of a dialogue, and what is known of a turn that was made here.
FACTS: Final = (
    "profile_id",
    "profile_key",
    "condition",
    "protocol",
    "therapist_model",
    "client_model",
    "replicate",
    "seed",
)
FIGURES: Final = ("attempts", "finish_reason", "prompt_tokens", "completion_tokens")
WHOLE: Final = frozenset({"replicate", "seed", "attempts", "prompt_tokens", "completion_tokens"})
ROLES: Final[dict[str, Role]] = {
    "therapist": THERAPIST,
    "client": CLIENT,
    "assistant": THERAPIST,
    "user": CLIENT,
}
MESSAGE_ROLES: Final = {THERAPIST: "assistant", CLIENT: "user"}
_INTEGER: Final = re.compile(r"-?[0-9]{1,19}")
Fact = str | int


class CorpusError(ValueError):
    """A file that was not taken; one sentence with file and row, never a piece of a dialogue."""


@dataclass(frozen=True, slots=True)
class CorpusTurn:
    """One utterance; the figures are known for dialogues made here."""

    role: Role
    text: str
    facts: dict[str, Fact] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CorpusDialogue:
    """One dialogue; ``facts`` are what is the same in all its rows (model, condition ...)."""

    dialogue_id: str
    turns: tuple[CorpusTurn, ...]
    facts: dict[str, Fact] = field(default_factory=dict)


def checked_key(place: str, text: object, column: str = "dialogue_id") -> str:
    """A dialogue's id."""
    key = str(text).strip() if isinstance(text, str | int) else ""
    if not key or len(key) > MAX_ID or control_character(key):
        raise CorpusError(f"{place}, column {column}: must have 1 to {MAX_ID} plain characters.")
    return key


def checked_role(place: str, text: str) -> Role:
    """Who speaks."""
    role = ROLES.get(text.strip().lower())
    if role is None:
        raise CorpusError(
            f"{place}, column role: must be therapist or client (or assistant or user)."
        )
    return role


def checked_text(place: str, text: str, column: str = "text") -> str:
    """What is said, as it is."""
    if not text.strip():
        raise CorpusError(f"{place}, column {column}: is empty.")
    if len(text) > MAX_TEXT:
        raise CorpusError(f"{place}, column {column}: is longer than {MAX_TEXT:,} characters.")
    if character := control_character(text, allowed="\n\r\t"):
        raise CorpusError(
            f"{place}, column {column}: holds the character {character}, which cannot be stored."
        )
    return text


def checked_facts(
    place: str, given: Mapping[str, object], names: tuple[str, ...]
) -> dict[str, Fact]:
    """Those of the named values that are there; numbers as numbers."""
    found: dict[str, Fact] = {}
    for name in names:
        value = given.get(name)
        if value is None or value == "":
            continue
        text = str(value)
        if isinstance(value, bool | list | dict) or len(text) > MAX_FACT or control_character(text):
            raise CorpusError(
                f"{place}, column {name}: must be text of up to {MAX_FACT} plain characters."
            )
        if name not in WHOLE:
            found[name] = text
        elif _INTEGER.fullmatch(text) and abs(int(text)) < 2**63:
            found[name] = int(text)
        else:
            raise CorpusError(f"{place}, column {name}: must be a whole number.")
    return found


def file_name(filename: str) -> str:
    """The name of a file for messages."""
    return as_data(filename.replace("\\", "/").rsplit("/", 1)[-1], limit=100) or "file"


def unguarded(text: str) -> str:
    """The text without the one apostrophe that ``guard_formula`` put before it."""
    return text[1:] if text.startswith("'") and guard_formula(text[1:]) == text else text
