"""What a reply's words are worth: its text without the end marker, whether it closes, its defects.

Pure. Only outer white space and the end marker at the end come off a reply.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from generation.defects import Defect, DefectKind, Expected, defects
from generation.protocols import Protocol
from generation.turns import Reply
from generation.utterances import CLIENT, Role, Utterance, role_of


@dataclass(frozen=True)
class Judged:
    """A reply's text, whether it ends the session, and what is wrong with it."""

    text: str
    closing: bool
    defects: list[Defect]


class Judge:
    """The protocol's view of replies; ``words`` tells the limit that a role was told."""

    def __init__(self, protocol: Protocol, words: Callable[[Role], int]) -> None:
        self._protocol = protocol
        self._words = words

    def judge(self, reply: Reply, turns: Sequence[Utterance]) -> Judged:
        """The reply as the turn that comes after these."""
        role = role_of(len(turns) + 1)
        text, closing, marked = self._parts(reply.text, turns)
        found = defects(
            text,
            role=role,
            finish_reason=reply.finish_reason,
            stop_reason=reply.stop_reason,
            history=turns,
            expected=self._expected(role),
        )
        if marked and not closing:
            found.append(Defect(DefectKind.EARLY_MARKER, self._why_early(role, turns)))
        return Judged(text, closing, found)

    def words_of(self, draft: str, turns: Sequence[Utterance]) -> tuple[str, bool]:
        """A draft's text and whether it ends the session; it was judged when it came."""
        text, closing, _ = self._parts(draft, turns)
        return text, closing

    def _parts(self, text: str, turns: Sequence[Utterance]) -> tuple[str, bool, bool]:
        text, marked = _without_marker(text, self._protocol.ending.marker)
        ending, role = self._protocol.ending, role_of(len(turns) + 1)
        complete = len(turns) // 2 + (role == CLIENT)
        may_close = role in ending.marker_from and complete >= ending.min_exchanges
        return text, marked and may_close, marked

    def _why_early(self, role: Role, turns: Sequence[Utterance]) -> str:
        ending = self._protocol.ending
        if role not in ending.marker_from:
            return f"the {role} may not end the session"
        return f"after {len(turns) // 2} of at least {ending.min_exchanges} exchanges"

    def _expected(self, role: Role) -> Expected:
        prompt, ending = self._protocol.role(role), self._protocol.ending
        rule = self._protocol.resistance
        return Expected(
            word_limit=self._words(role),
            silence=prompt.silence,
            latin=self._protocol.script == "latin",
            control=(ending.marker,),
            notes=(ending.note_open, *([rule.note_open] if rule else [])),
            stop=prompt.stop,
        )


def _without_marker(text: str, marker: str) -> tuple[str, bool]:
    """The text without outer white space and closing markers, and whether there was one."""
    text = text.strip()
    end = len(text)
    while (start := end - len(marker)) >= 0 and text[start:end].casefold() == marker.casefold():
        end = start
        while end and text[end - 1].isspace():
            end -= 1
    return text[:end], end < len(text)
