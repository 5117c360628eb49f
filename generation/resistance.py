"""How guarded a client is, and what a therapist has to do for that to change. Pure.

The level begins where the protocol (or a switch of the arm) puts it. It falls by one only after
``patience`` earning replies of the therapist's in a row, and rises by one at once with a losing
one, so a client does not simply follow along. It is a function of the turns said, so a dialogue
resumes with the level it had.
"""

from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import Field, model_validator

from generation.moves import Move, moves
from generation.protocol_parts import Count, Frozen, Text, wrong
from generation.utterances import THERAPIST, Utterance

Level = Annotated[int, Field(strict=True, ge=0, le=10)]


class Stage(Frozen):
    """What the client is told while the level is at most ``up_to``."""

    up_to: Level
    text: Text


class Resistance(Frozen):
    """The rule. ``needed``: how many different earning moves one reply must hold to count."""

    start: Level
    lowest: Level = 0
    highest: Level = 10
    earned_by: Annotated[tuple[Move, ...], Field(min_length=1)]
    lost_by: tuple[Move, ...] = ()
    needed: Count = 2
    patience: Count = 2
    note_open: Text
    note_close: str = ""
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.lowest <= self.start <= self.highest:
            raise wrong("must have start between lowest and highest")
        if self.needed > len(self.earned_by):
            raise wrong("must not need more moves than earned_by names")
        if both := sorted(set(self.earned_by) & set(self.lost_by)):
            raise wrong(f"must not have {both[0]} in both earned_by and lost_by")
        ends = [stage.up_to for stage in self.stages]
        if ends != sorted(set(ends)) or ends[-1] < self.highest:
            raise wrong("must have stages with rising up_to, the last one up to highest")
        return self

    def level(self, turns: Sequence[Utterance]) -> int:
        """The level with which the client answers the last of these turns."""
        level, earned, heard = self.start, 0, ""
        for turn in turns:
            if turn.role != THERAPIST:
                heard = turn.text
                continue
            step = self._step(turn.text, heard)
            earned = earned + 1 if step > 0 else 0
            if step < 0:
                level = min(self.highest, level + 1)
            elif earned >= self.patience:
                level, earned = max(self.lowest, level - 1), 0
        return level

    def _step(self, said: str, heard: str) -> int:
        """1 for a reply that earns, -1 for one that loses, else 0."""
        made = moves(said, heard)
        if made & set(self.lost_by):
            return -1
        return 1 if len(made & set(self.earned_by)) >= self.needed else 0

    def note(self, level: int) -> str:
        """What the client is told at a level, in the brackets of a note."""
        stage = next(stage for stage in self.stages if level <= stage.up_to)
        return f"{self.note_open} {stage.text}{self.note_close}"
