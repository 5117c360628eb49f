"""The parts of a protocol that ask a model for more than its next turn. Pure.

A preparation is written before the first turn; a critique looks at each draft of a role, which is
then spoken as it is or revised once. Both are asked for as JSON of a fixed form.
"""

from collections.abc import Iterable
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from generation.protocol_parts import (
    Count,
    Frozen,
    Key,
    Sees,
    Text,
    only_placeholders,
    placeholders,
    wrong,
)
from generation.utterances import Role

Temperature = Annotated[float, Field(ge=0, le=2)]
CRITIQUE_PLACEHOLDERS: Final = frozenset({"words", "phase", "goal"})
REVISE_PLACEHOLDERS: Final = frozenset({"words", "advice", "problems"})
PHASE_PLACEHOLDERS: Final = frozenset({"number", "of", "title", "guidance"})


class Preparation(Frozen):
    """Something that the model of role ``by`` writes before the first turn, as a form.

    ``case`` holds the one profile text it ``sees`` and what it is asked for; ``given`` with the
    placeholder ``result`` then stands in the first message of the role it is ``given_to``. Without
    a usable form after ``attempts`` replies the dialogue fails: nothing goes on unprepared.
    """

    key: Key
    title: Text
    form: Literal["conceptualisation", "session_plan"]
    by: Role
    sees: Sees
    system: Text
    case: Text
    given_to: Role
    given: Text
    attempts: Annotated[int, Field(strict=True, ge=1, le=20)] = 3
    temperature: Temperature = 0.5
    max_tokens: Count = 900

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        only_placeholders(self.system, {"steps"}, "system")
        expected = [] if self.sees == "nothing" else [self.sees]
        only_placeholders(self.case, expected, "case")
        if placeholders(self.case) != expected:
            raise wrong(f"must have the placeholder {self.sees} in case exactly once, as sees says")
        if placeholders(self.given) != ["result"]:
            raise wrong("must have the placeholder result in given exactly once")
        return self


class CritiquePolicy(Frozen):
    """A look at each draft of ``role``: ``ask`` for it, then ``revise`` where it says so.

    ``after``: what follows when no usable critique came in ``attempts`` replies: ``keep`` speaks
    the draft, with a finding; ``fail`` ends the dialogue.
    """

    role: Role
    ask: Text
    revise: Text
    attempts: Annotated[int, Field(strict=True, ge=1, le=20)] = 2
    after: Literal["keep", "fail"] = "keep"
    temperature: Temperature = 0.2
    max_tokens: Count = 300

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        only_placeholders(self.ask, CRITIQUE_PLACEHOLDERS, "ask")
        only_placeholders(self.revise, REVISE_PLACEHOLDERS, "revise")
        if "advice" not in placeholders(self.revise):
            raise wrong("must have the placeholder advice in revise")
        return self


def twice(keys: Iterable[str]) -> str | None:
    """A key that comes more than once, or None."""
    seen: set[str] = set()
    for key in keys:
        if key in seen:
            return key
        seen.add(key)
    return None
