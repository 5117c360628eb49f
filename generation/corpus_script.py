"""One string of `Therapist:` and `Client:` lines, as in SQPsychConv, to turns and back (pure).

An utterance of several lines goes on until the next line that begins with a speaker. Where a
further line of an utterance itself looks like a speaker's, it is set in by one blank when written
and set out again when read: what goes out comes back in equal.
"""

from __future__ import annotations

import re
from typing import Final

from generation.corpus_parts import (
    MAX_TURNS,
    CorpusError,
    CorpusTurn,
    checked_role,
    checked_text,
)

_SPEAKER: Final = re.compile(r"(Therapist|Client): ?", re.IGNORECASE)
_SET_IN: Final = re.compile(r" +(?:Therapist|Client):", re.IGNORECASE)


def script(turns: tuple[CorpusTurn, ...]) -> str:
    """The turns as one string."""
    return "\n".join(f"{turn.role.capitalize()}: {_set_in(turn.text)}" for turn in turns)


def _set_in(text: str) -> str:
    first, *rest = text.split("\n")
    return "\n".join(
        [first, *(f" {line}" if _SPEAKER.match(line.lstrip(" ")) else line for line in rest)]
    )


def turns_of(place: str, text: str) -> tuple[CorpusTurn, ...]:
    """The utterances of one string. Raises CorpusError."""
    spoken: list[tuple[str, list[str]]] = []
    for line in text.split("\n"):
        if speaker := _SPEAKER.match(line):
            spoken.append((speaker[1], [line[speaker.end() :]]))
        elif spoken:
            spoken[-1][1].append(line[1:] if _SET_IN.match(line) else line)
        elif line.strip():
            raise CorpusError(
                f"{place}, column dialogue: must begin with “Therapist:” or “Client:”."
            )
    if not spoken:
        raise CorpusError(f"{place}, column dialogue: is empty.")
    if len(spoken) > MAX_TURNS:
        raise CorpusError(f"{place}, column dialogue: has more than {MAX_TURNS:,} utterances.")
    return tuple(
        CorpusTurn(
            checked_role(place, role),
            checked_text(f"{place}, utterance {number}", "\n".join(lines), "dialogue"),
        )
        for number, (role, lines) in enumerate(spoken, start=1)
    )
