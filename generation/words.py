"""Plain words for what the program stores as codes, and for figures. Pure.

One place, so that a page, a log line and a command say the same thing. Codes that are not known
here (an older or newer version's) are shown readably, never as an error.
"""

from collections.abc import Mapping
from typing import Final

from generation.defects import DefectKind
from generation.screening import FindingKind, Severity
from generation.vllm_errors import WORDS as _SERVER

_DEFECTS: Final[dict[str, str]] = {
    DefectKind.EMPTY: "Empty reply",
    DefectKind.UNREADABLE: "Characters that cannot be stored as text",
    DefectKind.CUT: "Reply cut by the length limit",
    DefectKind.SPEAKS_FOR_OTHER: "Speaks for the other person too",
    DefectKind.ROLE_LABEL: "Carries the label of its own role",
    DefectKind.REPEATS_ITSELF: "Repeats itself",
    DefectKind.REPEATS_OTHER: "Repeats the other person",
    DefectKind.LOOPS: "Goes round in circles",
    DefectKind.REFUSAL: "Refuses or steps out of the role",
    DefectKind.PLACEHOLDER: "Text left to be filled in",
    DefectKind.WRONG_SCRIPT: "Written in another script",
    DefectKind.STAGE_DIRECTIONS: "Only stage directions, nothing said",
    DefectKind.MARKUP: "Markup or chat-template text",
    DefectKind.QUESTIONNAIRE: "Names a questionnaire, a code or a score",
    DefectKind.OVER_LONG: "Far longer than asked for",
    DefectKind.EARLY_MARKER: "Wanted to end the session too early",
    DefectKind.STRAY_MARKER: "End marker inside the text",
    DefectKind.RAN_ON: "Went on as the other person and was stopped",
    DefectKind.BAD_FORM: "Not the JSON that was asked for",
    DefectKind.NO_CRITIQUE: "Spoken without a critique",
    DefectKind.NO_REVISION: "Spoken unrevised, against the critique",
}
_FINDINGS: Final[dict[str, str]] = {
    FindingKind.RISK_CUE: "Possible sign of risk",
    FindingKind.RISK_NOT_FOLLOWED: "Possible sign of risk, not taken up",
    FindingKind.MEDICATION_ADVICE: "Advice on medication",
    FindingKind.DIAGNOSIS_TALK: "Talk of a diagnosis",
    FindingKind.ABRUPT_END: "Ends without a goodbye",
    FindingKind.NEAR_DUPLICATE: "Nearly the same as an earlier turn",
    "ended_early": "Ended early, since the model’s context was full",
    "not_screened": "Not looked through by the program",
}
_FAILURES: Final[dict[str, str]] = {
    "too_many_defects": "Too many turns with defects",
    "context_full": "The conversation no longer fits the model’s context",
    "recipe_changed": "What it was made with is no longer the same",
    "no_preparation": "Could not be prepared: no usable plan or conceptualisation came",
    "no_critique": "No usable critique came for a turn",
    "worker_lost": "Workers stopped on it again and again",
}
_SEVERITIES: Final[dict[str, str]] = {
    Severity.NOTICE: "notice",
    Severity.CONCERN: "concern",
    Severity.URGENT: "look soon",
}
_ENDINGS: Final[dict[str, str]] = {
    "marker": "The therapist closed the session",
    "limit": "Stopped at the protocol’s limit",
    "context": "Stopped where the model’s context was full",
}


def _plain(code: str) -> str:
    return code.replace("_", " ").strip().capitalize() or "Unknown"


def defect(kind: str) -> str:
    """What was wrong with one reply."""
    return _DEFECTS.get(kind) or _plain(kind)


def finding(kind: str) -> str:
    """What was noticed about a dialogue; a defect that was kept is a finding too."""
    return _FINDINGS.get(kind) or defect(kind)


def failure(reason: str) -> str:
    """Why a dialogue failed; a defect that outlasted all attempts is a reason too."""
    if reason in _FAILURES:
        return _FAILURES[reason]
    return f"{_DEFECTS[reason]}, at every attempt" if reason in _DEFECTS else server(reason)


def server(error: str) -> str:
    """Why one request brought no reply."""
    words = _SERVER.get(error)
    return words[0].upper() + words[1:] if words else _plain(error)


def severity(code: str) -> str:
    """How soon a person should look."""
    return _SEVERITIES.get(code) or _plain(code).lower()


def ending(code: str) -> str:
    """How a complete dialogue ended."""
    return _ENDINGS.get(code) or _plain(code)


def finding_choices() -> Mapping[str, str]:
    """Every kind of finding with its words, for a filter: triage first, then defects."""
    return {str(kind): finding(kind) for kind in (*FindingKind, *DefectKind)}


def count(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun: ``1 dialogue``, ``1,200 dialogues``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def compact(number: float) -> str:
    """A figure for a tile: 1,284; 38.2 k only from 100,000 on; 1.06 M."""
    if number < 100_000:
        return f"{number:,.0f}"
    if number < 999_500:
        return f"{number / 1000:,.0f} k"
    for size, letter in ((1e9, "G"), (1e6, "M")):
        if number >= size * 0.9995:
            value = number / size
            return f"{value:,.{0 if value >= 100 else 1 if value >= 10 else 2}f} {letter}"
    return f"{number:,.0f}"


def rate(per_minute: float) -> str:
    """A speed: with one decimal while it is low."""
    return f"{per_minute:.1f}" if 0 < per_minute < 10 else compact(per_minute)


def figure(number: float) -> str:
    """A small figure with two digits that mean something: 0.0075, 2.4, 38; a larger one whole."""
    if number >= 10 or number == 0:
        return compact(number)
    return f"{number:.2g}" if number >= 0.0001 else "under 0.0001"


def share(part: float, whole: float) -> str:
    """A whole percentage that says 100 % and 0 % only when it is so."""
    if not whole:
        return "0 %"
    percent = 100 * part / whole
    rounded = round(percent)
    if rounded >= 100 and part < whole:
        return "over 99 %"
    return "under 1 %" if rounded == 0 and part > 0 else f"{rounded} %"


def duration(seconds: float) -> str:
    """A span for people: 40 s, 12 min, 1 h 10 min, 2 days 3 h. Never more precise than it is."""
    if round(seconds) < 60:
        return f"{max(0, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(round(seconds / 3600), 24)
    noun = count(days, "day")
    return f"{noun} {hours} h" if hours else noun


def turn_range(first: int, last: int) -> str:
    """Where something happened: ``turn 6`` or ``turn 6 to 11``."""
    return f"turn {first}" if first == last else f"turn {first} to {last}"
