"""What can be wrong with one reply of a model. Pure.

``defects`` names every kind once, with a detail that holds figures and fixed words only, never a
piece of the reply, so a defect may be shown, stored and counted anywhere. What follows from a
defect (retry, keep, fail, or only a note) is the protocol's business, not decided here.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from generation import wording
from generation.utterances import (
    THERAPIST,
    Fingerprint,
    Role,
    Utterance,
    fingerprint,
    other,
    plain,
    word_count,
    words,
)

OWN_COPY_SHARE: Final = 0.7  # of the reply's word runs found in one earlier own utterance
ECHO_SHARE: Final = 0.8  # the same in one of the partner's; reflecting back needs more room
COPY_WORDS: Final = 8  # shorter replies ("I don't know, maybe.") may come again
SAME_WORDS: Final = 5  # an identical reply of fewer words counts only the third time running
LOOP_SHARE: Final = 0.5  # of word runs that are repeats inside one reply
LOOP_WORDS: Final = 16


class DefectKind(StrEnum):
    """Kinds of defects; the values are stored and exported, so they never change meaning."""

    EMPTY = "empty"
    UNREADABLE = "unreadable"
    CUT = "cut"
    SPEAKS_FOR_OTHER = "speaks_for_other"
    ROLE_LABEL = "role_label"
    REPEATS_ITSELF = "repeats_itself"
    REPEATS_OTHER = "repeats_other"
    LOOPS = "loops"
    REFUSAL = "refusal"
    PLACEHOLDER = "placeholder"
    WRONG_SCRIPT = "wrong_script"
    STAGE_DIRECTIONS = "stage_directions"
    MARKUP = "markup"
    QUESTIONNAIRE = "questionnaire"
    OVER_LONG = "over_long"
    EARLY_MARKER = "early_marker"
    STRAY_MARKER = "stray_marker"
    RAN_ON = "ran_on"
    BAD_FORM = "bad_form"
    NO_CRITIQUE = "no_critique"
    NO_REVISION = "no_revision"


@dataclass(frozen=True)
class Defect:
    """One kind of defect in one reply. ``detail`` never quotes the reply."""

    kind: DefectKind
    detail: str = ""


@dataclass(frozen=True)
class Expected:
    """What the protocol expects of a role's replies, as far as the checks need to know it.

    ``silence``: the text by which this role may say nothing. ``control``: tokens of the protocol
    (its end marker) that do not belong inside an utterance; ``notes``: openings of its notes.
    """

    word_limit: int | None = None
    silence: str | None = None
    latin: bool = True
    control: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()


def defects(
    text: str,
    *,
    role: Role,
    finish_reason: str = "stop",
    stop_reason: str | None = None,
    history: Sequence[Utterance] = (),
    expected: Expected | None = None,
) -> list[Defect]:
    """Everything wrong with ``text`` as the next utterance of ``role``; one entry a kind.

    Args:
        text: the reply without outer white space and without its closing marker.
        finish_reason: as the model server gave it ("stop", "length", ...).
        stop_reason: the stop sequence that ended the reply, if the server names it.
        history: the accepted utterances so far, oldest first.
    """
    expected = expected or Expected()
    found = [*_delivery(text, finish_reason, stop_reason, expected)]
    if any(defect.kind in (DefectKind.EMPTY, DefectKind.UNREADABLE) for defect in found):
        return found
    if _is_silence(text, expected):
        return [*found, *_endless_silence(role, history, expected)]
    for check in _CHECKS:
        detail = check(text, role, expected)
        if detail:
            found.append(Defect(_KIND_OF[check], detail))
    return [*found, *_repeats(text, role, history)]


def _delivery(
    text: str, finish_reason: str, stop_reason: str | None, expected: Expected
) -> Iterator[Defect]:
    """Defects of how the reply came: cut, run on, empty, not storable."""
    if finish_reason == "length":
        yield Defect(DefectKind.CUT, "the token limit ended it")
    elif finish_reason in ("abort", "content_filter", "error"):
        yield Defect(DefectKind.CUT, f"the server ended it ({finish_reason})")
    if stop_reason is not None and stop_reason in expected.stop:
        yield Defect(DefectKind.RAN_ON, "the model went on with a role label and was stopped there")
    if wording.UNREADABLE.search(text):
        yield Defect(DefectKind.UNREADABLE, "characters that cannot be stored as text")
    elif not _is_silence(text, expected) and not any(sign.isalnum() for sign in text):
        yield Defect(DefectKind.EMPTY, "no words" if text else "no text")


def _is_silence(text: str, expected: Expected) -> bool:
    return expected.silence is not None and text.replace("…", "...") == expected.silence


def _endless_silence(
    role: Role, history: Sequence[Utterance], expected: Expected
) -> Iterator[Defect]:
    own = [turn.text for turn in history if turn.role == role][-2:]
    if len(own) == 2 and all(_is_silence(text, expected) for text in own):
        yield Defect(DefectKind.REPEATS_ITSELF, "silent three times running")


def _speaks_for_other(text: str, role: Role, _: Expected) -> str:
    return "a label of the other role" if wording.ROLE_LABELS[other(role)].search(text) else ""


def _role_label(text: str, role: Role, _: Expected) -> str:
    return "a label of its own role" if wording.ROLE_LABELS[role].search(text) else ""


def _refusal(text: str, _: Role, __: Expected) -> str:
    said = plain(text)
    if wording.AI_DISCLOSURE.search(said):
        return "steps out of the role: speaks as a language model"
    return "declines to play the role" if wording.REFUSAL.search(said) else ""


def has_placeholder(text: str, *_: object) -> str:
    """Words on what kind of unfilled text there is, or nothing."""
    return (
        "text meant to be filled in" if wording.PLACEHOLDER.search(text.replace("’", "'")) else ""
    )


def _wrong_script(text: str, _: Role, expected: Expected) -> str:
    """Two East Asian or full-width letters make a word; of other scripts a tenth, or twelve."""
    if not expected.latin or text.isascii():
        return ""
    foreign = [sign for sign in wording.FOREIGN_LETTER.findall(text) if sign.isalpha()]
    if not foreign:
        return ""
    east = len(wording.EAST_ASIAN.findall(text))
    letters = sum(sign.isalpha() for sign in text)
    if east >= 2 or len(foreign) >= 12 or (len(foreign) >= 3 and len(foreign) >= 0.1 * letters):
        return f"{len(foreign)} of {letters} letters are not Latin"
    return ""


def _stage_directions(text: str, _: Role, __: Expected) -> str:
    rest = wording.STAGE_DIRECTION.sub("", text.replace("**", "").replace("__", ""))
    return "" if any(sign.isalnum() for sign in rest) else "only stage directions, nothing said"


def has_markup(text: str, _: Role, expected: Expected) -> str:
    """Words on leaked markup, chat-template tokens or notes of the protocol, or nothing."""
    if any(note in text for note in expected.notes):
        return "a note of the protocol"
    return "markup or chat-template tokens" if wording.MARKUP.search(text) else ""


def names_questionnaire(text: str, role: Role, *_: object) -> str:
    """Words on a leak of the questionnaire: names and scores count from the therapist only."""
    if wording.ITEM_CODE.search(text):
        return "an item code"
    if role != THERAPIST:
        return ""
    if wording.QUESTIONNAIRE_NAME.search(text):
        return "the name of a questionnaire"
    if wording.DIAGNOSIS_CODE.search(text):
        return "a diagnosis code or manual"
    return "a score" if wording.SCORE.search(plain(text)) else ""


def _over_long(text: str, _: Role, expected: Expected) -> str:
    count = word_count(text)
    if expected.word_limit is None or count <= 2 * expected.word_limit:
        return ""
    return f"{count} words, asked for fewer than {expected.word_limit}"


def _stray_marker(text: str, _: Role, expected: Expected) -> str:
    said = text.casefold()
    inside = any(token.casefold() in said for token in expected.control)
    return "the end marker inside the text" if inside else ""


def loops(text: str, likeness: Fingerprint) -> str:
    """Words on a reply that goes round in circles, or nothing."""
    if likeness.size >= LOOP_WORDS and likeness.repeated >= LOOP_SHARE:
        return f"{likeness.repeated:.0%} of its word runs are repeats"
    if wording.LONG_RUN.search(text):
        return "one sign forty times in a row"
    sentences = Counter(tuple(words(part)) for part in wording.SENTENCE_END.split(text))
    most = max((n for said, n in sentences.items() if len(said) >= 4), default=0)
    return f"one sentence {most} times" if most >= 3 else ""


def copied_turn(likeness: Fingerprint, earlier: Sequence[Utterance], share: float) -> str:
    """Words on the earlier utterance that the new one mostly copies, or nothing."""
    for turn in earlier:
        known = turn.likeness
        if likeness.size >= SAME_WORDS and likeness.exact == known.exact:
            return f"the same words as turn {turn.number}"
        if likeness.size >= COPY_WORDS and (part := likeness.copied_from(known)) >= share:
            return f"{part:.0%} of its word runs are in turn {turn.number}"
    return ""


def _repeats(text: str, role: Role, history: Sequence[Utterance]) -> Iterator[Defect]:
    likeness = fingerprint(text)
    own = [turn for turn in history if turn.role == role]
    detail = copied_turn(likeness, own, OWN_COPY_SHARE)
    if not detail and len(own) >= 2 and {t.likeness.exact for t in own[-2:]} == {likeness.exact}:
        detail = "the same words three times running"
    if detail:
        yield Defect(DefectKind.REPEATS_ITSELF, detail)
    theirs = [turn for turn in history if turn.role != role]
    if detail := copied_turn(likeness, theirs, ECHO_SHARE):
        yield Defect(DefectKind.REPEATS_OTHER, detail)
    if detail := loops(text, likeness):
        yield Defect(DefectKind.LOOPS, detail)


_Check = Callable[[str, Role, Expected], str]
_KIND_OF: Final[dict[_Check, DefectKind]] = {
    _speaks_for_other: DefectKind.SPEAKS_FOR_OTHER,
    _role_label: DefectKind.ROLE_LABEL,
    _refusal: DefectKind.REFUSAL,
    has_placeholder: DefectKind.PLACEHOLDER,
    _wrong_script: DefectKind.WRONG_SCRIPT,
    _stage_directions: DefectKind.STAGE_DIRECTIONS,
    has_markup: DefectKind.MARKUP,
    names_questionnaire: DefectKind.QUESTIONNAIRE,
    _over_long: DefectKind.OVER_LONG,
    _stray_marker: DefectKind.STRAY_MARKER,
}
_CHECKS: Final = tuple(_KIND_OF)
