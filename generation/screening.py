"""What the program notices about a whole dialogue: triage for people, never a verdict. Pure.

The lists behind it are short and English only; they miss much and sometimes fire in vain. A finding
says where a person should look first. It is not a label, is never shown to a rater before they
submit, and no figure may be published from it as if a clinician had judged.
``defects`` (one reply at a time, while a dialogue is made) lives in ``generation.defects``.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from generation import risk_wording as wording
from generation.defects import (
    Defect,
    DefectKind,
    Expected,
    copied_turn,
    defects,
    has_markup,
    has_placeholder,
    loops,
    names_questionnaire,
)
from generation.utterances import CLIENT, THERAPIST, Role, Utterance, plain

__all__ = [
    "Defect",
    "DefectKind",
    "Expected",
    "Finding",
    "FindingKind",
    "Severity",
    "defects",
    "findings",
]

FOLLOW_UP_TURNS: Final = 2  # therapist turns in which a risk cue should be asked about
DUPLICATE_SHARE: Final = 0.8
CLOSING_TURNS: Final = 4  # last turns in which some word of closing is expected


class Severity(StrEnum):
    """How soon a person should look."""

    NOTICE = "notice"
    CONCERN = "concern"
    URGENT = "urgent"


class FindingKind(StrEnum):
    """Kinds of findings; shared names with defects mean the same thing."""

    RISK_CUE = "risk_cue"
    RISK_NOT_FOLLOWED = "risk_not_followed"
    MEDICATION_ADVICE = "medication_advice"
    DIAGNOSIS_TALK = "diagnosis_talk"
    QUESTIONNAIRE = "questionnaire"
    ABRUPT_END = "abrupt_end"
    PLACEHOLDER = "placeholder"
    MARKUP = "markup"
    NEAR_DUPLICATE = "near_duplicate"
    LOOPS = "loops"


@dataclass(frozen=True)
class Finding:
    """One thing noticed. ``turn`` counts from 1; ``detail`` never quotes the dialogue."""

    kind: FindingKind
    turn: int | None
    severity: Severity
    detail: str = ""


class SpokenTurn(Protocol):
    """Anything with a number, a role and a text: an Utterance, or a stored turn."""

    @property
    def number(self) -> int: ...
    @property
    def role(self) -> str: ...
    @property
    def text(self) -> str: ...


def findings(turns: Sequence[SpokenTurn]) -> list[Finding]:
    """Everything noticed, by turn; at most one finding per kind and turn."""
    said = [Utterance(t.number, _role(t.role), t.text) for t in turns]
    found = [finding for check in _CHECKS for finding in check(said)]
    unique = {(finding.kind, finding.turn): finding for finding in reversed(found)}
    return sorted(unique.values(), key=lambda f: (f.turn or 0, f.kind.value))


def _role(role: str) -> Role:
    return THERAPIST if role == THERAPIST else CLIENT


def _risk(turns: Sequence[Utterance]) -> Iterator[Finding]:
    """Risk cues of the client, and those that the therapist lets pass."""
    for place, turn in enumerate(turns):
        if turn.role != CLIENT or not (cue := _cue(turn.text)):
            continue
        direct, denied = cue
        detail = f"{'direct' if direct else 'indirect'} words{', denied' if denied else ''}"
        severity = Severity.NOTICE if denied else Severity.CONCERN
        yield Finding(FindingKind.RISK_CUE, turn.number, severity, detail)
        after = [t for t in turns[place + 1 :] if t.role == THERAPIST][:FOLLOW_UP_TURNS]
        if denied or any(_follows_up(answer.text) for answer in after):
            continue
        detail = f"no direct question or safety step in the next {FOLLOW_UP_TURNS} therapist turns"
        yield Finding(FindingKind.RISK_NOT_FOLLOWED, turn.number, Severity.URGENT, detail)


def _cue(text: str) -> tuple[bool, bool] | None:
    """Whether the most telling cue of a text is direct, and whether it is denied."""
    cues = []
    for sentence in _sentences(text):
        for direct, pattern in ((True, wording.RISK_DIRECT), (False, wording.RISK_INDIRECT)):
            cues += [
                (
                    direct,
                    bool(wording.DENIED.search(sentence[max(0, at.start() - 120) : at.start()])),
                )
                for at in pattern.finditer(sentence)
            ]
    return min(cues, key=lambda cue: (cue[1], not cue[0]), default=None)


def _follows_up(text: str) -> bool:
    return any(
        ("?" in sentence and wording.RISK_QUESTION.search(sentence))
        or wording.RISK_STEP.search(sentence)
        for sentence in _sentences(text)
    )


def _sentences(text: str) -> list[str]:
    return [found[0].strip() for found in wording.SENTENCE.finditer(plain(text))]


def _advice(turns: Sequence[Utterance]) -> Iterator[Finding]:
    """Medication advice and talk that diagnoses, by the therapist."""
    for turn in turns:
        if turn.role != THERAPIST:
            continue
        sentences = _sentences(turn.text)
        if any(_advises_on_drugs(sentence) for sentence in sentences):
            detail = "advice on medication without pointing to a prescriber"
            yield Finding(FindingKind.MEDICATION_ADVICE, turn.number, Severity.CONCERN, detail)
        if any(wording.DIAGNOSIS.search(sentence) for sentence in sentences):
            detail = "the therapist names a disorder as the client's"
            yield Finding(FindingKind.DIAGNOSIS_TALK, turn.number, Severity.NOTICE, detail)


def _advises_on_drugs(sentence: str) -> bool:
    return bool(
        wording.DRUG.search(sentence)
        and wording.DRUG_ADVICE.search(sentence)
        and not wording.PRESCRIBER.search(sentence)
    )


def _leftovers(turns: Sequence[Utterance]) -> Iterator[Finding]:
    """Text that should not be in any dialogue: codes, placeholders, markup."""
    checks: tuple[tuple[FindingKind, Severity, Callable[[str, Role, Expected], str]], ...] = (
        (FindingKind.QUESTIONNAIRE, Severity.CONCERN, names_questionnaire),
        (FindingKind.PLACEHOLDER, Severity.NOTICE, has_placeholder),
        (FindingKind.MARKUP, Severity.NOTICE, has_markup),
    )
    for turn in turns:
        for kind, severity, check in checks:
            if detail := check(turn.text, turn.role, Expected()):
                yield Finding(kind, turn.number, severity, detail)


def _repeats(turns: Sequence[Utterance]) -> Iterator[Finding]:
    for place, turn in enumerate(turns):
        earlier = [known for known in turns[:place] if known.role == turn.role]
        if detail := copied_turn(turn.likeness, earlier, DUPLICATE_SHARE):
            yield Finding(FindingKind.NEAR_DUPLICATE, turn.number, Severity.NOTICE, detail)
        if detail := loops(turn.text, turn.likeness):
            yield Finding(FindingKind.LOOPS, turn.number, Severity.NOTICE, detail)


def _abrupt_end(turns: Sequence[Utterance]) -> Iterator[Finding]:
    """No word of closing in the last turns; graver where a risk cue came shortly before."""
    last = turns[-CLOSING_TURNS:]
    if not last or any(wording.FAREWELL.search(plain(turn.text)) for turn in last):
        return
    cues = [_cue(turn.text) for turn in turns[-2 * CLOSING_TURNS :] if turn.role == CLIENT]
    open_risk = any(cue and not cue[1] for cue in cues)
    detail = "no word of closing" + (" after a risk cue" if open_risk else "")
    severity = Severity.URGENT if open_risk else Severity.NOTICE
    yield Finding(FindingKind.ABRUPT_END, last[-1].number, severity, detail)


_CHECKS: Final[tuple[Callable[[Sequence[Utterance]], Iterator[Finding]], ...]] = (
    _risk,
    _advice,
    _leftovers,
    _repeats,
    _abrupt_end,
)
