"""The demo dialogues and the practice dialogue, read from their files and checked. Pure.

Each is an invented session with an invented client. A ``planted`` fault is the coordinator's
knowledge only: title, condition, profile and fault never belong on a rater's page.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

Role = Literal["therapist", "client"]
Condition = Literal["depression", "anxiety", "both", "control"]
FaultKind = Literal[
    "missed_risk_cue", "medication_advice", "collusion", "abrupt_end", "questionnaire_leak"
]
Answer = Annotated[int, Field(ge=0, le=3)]
Words = Annotated[str, Field(min_length=1, pattern=r"^\S(?:[\s\S]*\S)?$")]
TurnNumber = Annotated[int, Field(ge=1)]

_FOLDER: Final = Path(__file__).parent
_STRICT: Final = ConfigDict(extra="forbid", strict=True)
_DEMO_TURNS: Final = (20, 40)
_PRACTICE_TURNS: Final = (10, 10)


class DemoError(ValueError):
    """A demo file is not as it must be; one sentence with file and line, no dialogue text."""


@dataclass(frozen=True)
class DemoTurn:
    """One utterance. Turns are counted from 1, as on the rating page."""

    role: Role
    text: Words

    __pydantic_config__ = _STRICT


@dataclass(frozen=True)
class DemoProfile:
    """The invented client; answers from 0 (not at all) to 3 (nearly every day), in item order."""

    profile_id: Annotated[str, Field(pattern=r"^[A-Z][0-9]{3}$")]
    age: Annotated[int, Field(ge=18, le=110)]
    gender: Words
    demographics: dict[Words, Words]
    phq9: Annotated[tuple[Answer, ...], Field(min_length=9, max_length=9)]
    gad7: Annotated[tuple[Answer, ...], Field(min_length=7, max_length=7)]

    __pydantic_config__ = _STRICT

    @property
    def answers(self) -> dict[str, dict[str, int]]:
        """Definition key -> item key -> value, as profiles store them."""
        return {
            "phq9": {f"phq9_{number}": value for number, value in enumerate(self.phq9, 1)},
            "gad7": {f"gad7_{number}": value for number, value in enumerate(self.gad7, 1)},
        }


@dataclass(frozen=True)
class PlantedFault:
    """A fault put in on purpose: the turns on which a flag may rightly be placed, and why."""

    kind: FaultKind
    turns: Annotated[tuple[TurnNumber, ...], Field(min_length=1)]
    note: Words

    __pydantic_config__ = _STRICT


@dataclass(frozen=True)
class DemoDialogue:
    """One whole session with its client; ``planted`` is None where nothing was put in."""

    key: Annotated[str, Field(pattern=r"^[a-z]+(?:-[0-9]+)?$")]
    title: Words
    condition: Condition
    profile: DemoProfile
    planted: PlantedFault | None
    turns: tuple[DemoTurn, ...]

    __pydantic_config__ = _STRICT


_DIALOGUE: Final = TypeAdapter(DemoDialogue)


def demo_dialogues() -> list[DemoDialogue]:
    """The eight demo dialogues in file order, each of 20 to 40 turns.

    Raises:
        DemoError: the file is missing or not as it must be.
    """
    return _read_file("dialogues.jsonl", turns=_DEMO_TURNS)


def practice_dialogue() -> DemoDialogue:
    """The dialogue of ten turns on which raters learn the page.

    Raises:
        DemoError: the file is missing or not as it must be.
    """
    dialogues = _read_file("practice.json", turns=_PRACTICE_TURNS)
    if len(dialogues) != 1:
        raise DemoError(f"practice.json holds {len(dialogues)} dialogues; leave one line in it.")
    return dialogues[0]


def parse_dialogues(text: str, *, origin: str, turns: tuple[int, int]) -> list[DemoDialogue]:
    """Dialogues from JSON lines, one dialogue a line; blank lines are passed over.

    Args:
        origin: the file's name, for error sentences.
        turns: fewest and most turns that a dialogue may have.

    Raises:
        DemoError: the first thing that is wrong; nothing is returned then.
    """
    found: list[DemoDialogue] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{origin}, line {number}"
        dialogue = _parse(line, where)
        problem = next(_problems(dialogue, turns), None)
        if problem is None and any(other.key == dialogue.key for other in found):
            problem = "the key is taken by an earlier line; give each dialogue its own"
        if problem is not None:
            raise DemoError(f"{where}: {problem}.")
        found.append(dialogue)
    return found


def _read_file(name: str, *, turns: tuple[int, int]) -> list[DemoDialogue]:
    try:
        text = (_FOLDER / name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DemoError(f"{name} cannot be read; restore it from the release.") from error
    return parse_dialogues(text, origin=name, turns=turns)


def _parse(line: str, where: str) -> DemoDialogue:
    try:
        return _DIALOGUE.validate_json(line)
    except ValidationError as error:
        first = error.errors(include_input=False, include_context=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the line"
    # Raised outside the handler: the chained error would carry the dialogue text into a log.
    raise DemoError(f"{where}: {place} is not as it must be ({first['type']}); correct it there.")


def _problems(dialogue: DemoDialogue, turns: tuple[int, int]) -> Iterator[str]:
    fewest, most = turns
    count = len(dialogue.turns)
    if not fewest <= count <= most:
        yield f"{count} turns, but {fewest} to {most} are wanted"
    roles: tuple[Role, Role] = ("therapist", "client")
    for number, turn in enumerate(dialogue.turns, 1):
        if turn.role != roles[(number - 1) % 2]:
            yield f"turn {number} is out of order; the therapist opens and the two take turns"
    if dialogue.planted is not None:
        marked = dialogue.planted.turns
        if list(marked) != sorted(set(marked)):
            yield "the planted turns must rise without repeats"
        if marked[-1] > count:
            yield f"planted turn {marked[-1]} does not exist; the last turn is {count}"
