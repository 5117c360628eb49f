"""Plausible therapy utterances for the fake model server, chosen by number.

Each utterance is three sentences, one from each list of its role. The lists have 37, 41 and 43
entries (coprime), and turn n of a dialogue takes the n-th after a start of the dialogue's own, so
no sentence comes twice within 37 turns of one role and no whole utterance within 65,231.
"""

import re
from typing import Literal

from tests.fakes import phrases

Speaker = Literal["therapist", "client"]


def _phrases(text: str) -> tuple[str, ...]:
    return tuple(text.strip().splitlines())


_PARTS: dict[Speaker, tuple[tuple[str, ...], ...]] = {
    "therapist": tuple(
        map(
            _phrases,
            (phrases.THERAPIST_REFLECTIONS, phrases.THERAPIST_WORK, phrases.THERAPIST_QUESTIONS),
        )
    ),
    "client": tuple(
        map(_phrases, (phrases.CLIENT_EVENTS, phrases.CLIENT_THOUGHTS, phrases.CLIENT_RESPONSES))
    ),
}
_FAREWELL: dict[Speaker, str] = {
    "therapist": "Let us close here for today. Thank you for your work, and until next week.",
    "client": "Thank you, that gives me something to try. See you next week.",
}
_YOU_ARE = re.compile(
    r"you(?:'re| are)\b[^.]{0,80}?\b(therapist|counsell?or|psychotherapist|client|patient)\b"
)


def sizes() -> dict[Speaker, tuple[int, ...]]:
    """How many sentences each list holds, per speaker."""
    return {speaker: tuple(len(part) for part in parts) for speaker, parts in _PARTS.items()}


def utterance(speaker: Speaker, start: int, turn: int) -> str:
    """The text of turn `turn` (0, 1, ...) in the dialogue whose number is `start`."""
    first, second, third = _PARTS[speaker]
    return " ".join(
        (
            first[(start + turn) % len(first)],
            second[(start // 37 + turn) % len(second)],
            third[(start // 1517 + turn) % len(third)],
        )
    )


def farewell(speaker: Speaker) -> str:
    """A closing line."""
    return _FAREWELL[speaker]


def speaker_of(system: str) -> Speaker:
    """Whom a system prompt asks the model to play, by its words; the therapist when unclear."""
    text = system.lower()
    match = _YOU_ARE.search(text)
    if match:
        return "client" if match[1] in {"client", "patient"} else "therapist"
    places = {word: text.find(word) for word in ("therapist", "client", "patient")}
    named = [word for word, place in sorted(places.items(), key=lambda pair: pair[1]) if place >= 0]
    return "client" if named and named[0] != "therapist" else "therapist"
