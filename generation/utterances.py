"""What is said in a dialogue: one utterance, how alike two are, and how text is sent safely. Pure.

``Utterance`` is the value that the turn-taking, the defect checks and the screening share.
"""

import re
from array import array
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Final, Literal, TypeAlias

Role: TypeAlias = Literal["therapist", "client"]

THERAPIST: Final = "therapist"
CLIENT: Final = "client"

SHINGLE: Final = 4  # words; long enough that common turns of phrase do not count as copies

_WORD = re.compile(r"\w+")
_APOSTROPHES = str.maketrans({"'": None, "’": None, "‘": None, "ʼ": None, "`": None})
_STRAIGHT = str.maketrans({"’": "'", "‘": "'", "ʼ": "'", "`": "'"})

# Tokenisers read their control tokens inside message text too ("<|im_end|>", "</s>", "[INST]"),
# so a text that holds one could open a message of another role. A space inside disarms it.
_OPENING = re.compile(
    r"<(?=[|｜]|<?/?\s{0,3}(?:s|sys|bos|eos|pad|unk|mask|sep|cls|think|thinking|turn|start_of_turn"
    r"|end_of_turn|im_start|im_end|system|user|assistant|model|human|endoftext|tools"
    r"|tool_[a-z]{1,9}|unused\d{1,4}|extra_id_\d{1,4})\s{0,3}/?>)",
    re.IGNORECASE,
)
_CLOSING = re.compile(r"(?<=[|｜])>")
_BRACKET = re.compile(r"\[(?=/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_)[A-Z_]*\])")


def other(role: Role) -> Role:
    """The partner of a role."""
    return CLIENT if role == THERAPIST else THERAPIST


def role_of(number: int) -> Role:
    """Who speaks in turn ``number`` (from 1): the therapist opens, then they alternate."""
    return THERAPIST if number % 2 else CLIENT


def words(text: str) -> list[str]:
    """Lower-case words without apostrophes or punctuation ("I don't" -> "i", "dont")."""
    return _WORD.findall(text.translate(_APOSTROPHES).casefold())


def plain(text: str) -> str:
    """Lower case, straight apostrophes, single spaces: the form that phrases are sought in."""
    return " ".join(text.translate(_STRAIGHT).lower().split())


def word_count(text: str) -> int:
    """Words as a person counts them: pieces between white space."""
    return len(text.split())


def wire_text(text: str) -> str:
    """``text`` as it goes to a model server: control tokens of chat templates are disarmed.

    Only what is sent changes ("<|im_end|>" goes out as "< |im_end| >"); what is stored does not.
    """
    if "<" in text or ">" in text:
        text = _CLOSING.sub(" >", _OPENING.sub("< ", text))
    return _BRACKET.sub("[ ", text) if "[" in text else text


@dataclass(frozen=True)
class Fingerprint:
    """The words of a text in a small form, for comparing it with many others.

    ``shingles`` holds one hash per distinct run of four words (only meaningful in this process).
    """

    size: int
    exact: int
    shingles: "array[int]"
    repeated: float

    def copied_from(self, earlier: "Fingerprint") -> float:
        """Share (0 to 1) of this text's four-word runs that occur in the earlier text."""
        if not self.shingles:
            return 0.0
        return len(self._known.intersection(earlier.shingles)) / len(self.shingles)

    @cached_property
    def _known(self) -> frozenset[int]:
        return frozenset(self.shingles)


def fingerprint(text: str) -> Fingerprint:
    """Words counted, hashed as a whole and as runs of four; time linear in the text."""
    found = words(text)
    runs = [
        hash(run) for run in zip(*(islice(found, i, None) for i in range(SHINGLE)), strict=False)
    ]
    distinct = array("q", dict.fromkeys(runs))
    repeated = 1 - len(distinct) / len(runs) if runs else 0.0
    return Fingerprint(len(found), hash(tuple(found)), distinct, repeated)


@dataclass(frozen=True)
class Utterance:
    """One stored turn. ``number`` counts from 1.

    ``kept``: it still had a defect when its attempts ran out. ``closing``: it carried the end
    marker that ended the session (the marker itself is no part of ``text``). ``phase`` and
    ``goal_reached`` say where in the session it was said, ``resistance`` how guarded the client is.
    """

    number: int
    role: Role
    text: str
    kept: bool = False
    closing: bool = False
    phase: str = ""
    goal_reached: bool = False
    resistance: int | None = None

    @cached_property
    def likeness(self) -> Fingerprint:
        """The fingerprint of the text, made once."""
        return fingerprint(self.text)

    @cached_property
    def wire(self) -> str:
        """The text as it is sent in later requests, made once."""
        return wire_text(self.text)
