"""What a therapist does in one reply, as far as words tell: for the client's resistance. Pure.

English only, and coarse: it decides how guarded a simulated client is in its next answer, never
what a rater or a reader is told about the therapist.
"""

import re
from collections.abc import Callable
from typing import Final, Literal, TypeAlias, get_args

from generation.utterances import plain, words

Move: TypeAlias = Literal[
    "reflects",
    "validates",
    "asks_openly",
    "asks_leave",
    "advises",
    "dismisses",
    "argues",
    "lectures",
    "interrogates",
]
MOVES: Final[tuple[Move, ...]] = get_args(Move)
TAKEN_UP: Final = 2  # words of the client's that a reflection takes up
LECTURE_WORDS: Final = 110
MANY_QUESTIONS: Final = 3


def _any_of(*phrases: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(phrases)})\b")


_VALIDATES = _any_of(
    r"(?:that|it|this|you) (?:really )?(?:sounds?|seems?|feels?|must(?: have)?(?: be(?:en)?)?)",
    r"makes? (?:a lot of |perfect |good )?sense",
    r"i can (?:see|hear|imagine)",
    r"thank you for (?:telling|sharing|saying)",
    r"i(?:'m| am) sorry (?:that|to hear)",
    "understandable|no wonder|anyone would|not easy|takes courage|heavy|painful|exhausting",
)
_OPEN_QUESTION = re.compile(
    r"\b(?:what|how|when|where|which|who|tell me|c(?:an|ould) you (?:say|tell|describe|walk))\b"
    r"[^?.!]*[?.]"
)
_ASKS_LEAVE = _any_of(
    r"would (?:it|that) be (?:ok|okay|all right|alright|fine|helpful)",
    r"is (?:it|that) (?:ok|okay|all right|alright)",
    r"would you (?:be willing|like|mind)",
    r"if you(?:'d| would) like",
    "may i|shall we|you can tell me to stop|only if you",
)
_ADVISES = _any_of(
    r"you (?:really )?(?:should|need to|have to|must|ought to|had better)",
    r"i(?:'d| would) (?:advise|recommend|suggest)",
    r"just (?:try|stop|think|relax|do|go)",
    r"why don't you|you(?:'ve| have) got to|my advice",
)
_DISMISSES = _any_of(
    r"(?:it|that)(?:'s| is) not (?:that|so) bad",
    r"everyone (?:feels|goes|has)",
    r"think positive(?:ly)?",
    r"nothing to (?:worry|be afraid)",
    "look on the bright side|cheer up|don't worry|could be worse|others have it|you'll be fine",
    "no big deal|calm down|get over",
)
_ARGUES = _any_of(
    r"that(?:'s| is) (?:not true|wrong|not right|irrational|nonsense)",
    r"you(?:'re| are) (?:wrong|exaggerating|overreacting)",
    r"you(?:'re| are) being (?:unreasonable|irrational|difficult|negative)",
    r"but you (?:said|just|did|could|can)",
    "i disagree",
)
_COMMON: Final = frozenset(
    """
    about after again also always because been before being came cant come could couldnt didnt
    does doesnt doing dont down each even ever every feel feeling feels felt from going gonna good
    have having here into isnt just keep kind know like little made make maybe mean more most much
    need never nothing okay only other over really right said same some something sometimes still
    such sure take tell than that thats their them then there these they thing things think this
    those thought time very want wants wasnt well went were what when where which while will with
    without would wouldnt yeah your youre
    """.split()  # noqa: SIM905 - a list of words is easier to read and to change as text
)


def moves(said: str, heard: str = "") -> frozenset[Move]:
    """The moves in what a therapist ``said`` to what the client had said before (``heard``)."""
    text = plain(said)
    return frozenset(move for move, finds in _FINDERS.items() if finds(text, heard))


def _reflects(text: str, heard: str) -> bool:
    """Words of the client's own in something that is no question."""
    statements = " ".join(re.findall(r"[^.!?]+[.!]", f"{text}."))
    theirs = {word for word in words(heard) if len(word) > 3 and word not in _COMMON}
    return len(theirs & set(words(statements))) >= min(TAKEN_UP, len(theirs)) > 0


def _pattern(pattern: re.Pattern[str]) -> Callable[[str, str], bool]:
    return lambda text, _: pattern.search(text) is not None


_FINDERS: Final[dict[Move, Callable[[str, str], bool]]] = {
    "reflects": _reflects,
    "validates": _pattern(_VALIDATES),
    "asks_openly": _pattern(_OPEN_QUESTION),
    "asks_leave": _pattern(_ASKS_LEAVE),
    "advises": _pattern(_ADVISES),
    "dismisses": _pattern(_DISMISSES),
    "argues": _pattern(_ARGUES),
    "lectures": lambda text, _: len(text.split()) > LECTURE_WORDS,
    "interrogates": lambda text, _: text.count("?") >= MANY_QUESTIONS,
}
