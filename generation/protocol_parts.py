"""The parts of a protocol file: roles, ending, sampling, what follows from a defect. Pure."""

import re
from collections.abc import Iterable
from typing import Annotated, Final, Literal, Self, TypeAlias

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from generation.defects import DefectKind
from generation.utterances import Role

Sees: TypeAlias = Literal["nothing", "life_text", "client_text", "intake_text", "full_text"]
Action: TypeAlias = Literal["note", "keep", "fail"]
Count: TypeAlias = Annotated[int, Field(strict=True, ge=1)]
Text: TypeAlias = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Key: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,59}$")]

PROFILE_TEXTS: Final = frozenset({"life_text", "client_text", "intake_text", "full_text"})
SYSTEM_PLACEHOLDERS: Final = frozenset({"words", "marker", "steps"})
NOTE_PLACEHOLDERS: Final = frozenset({"marker"})
MIXED: Final = "mixed"
PLACEHOLDER: Final = re.compile(r"\{\{\s*([A-Za-z_]\w*)\s*\}\}")


def wrong(message: str) -> PydanticCustomError:
    """An error that reads after the name of the table or key it was found in."""
    return PydanticCustomError("form", message)


def placeholders(template: str) -> list[str]:
    """Names of the placeholders of a template, in order; left-over double braces are an error."""
    if "{{" in (rest := PLACEHOLDER.sub("", template)) or "}}" in rest:
        raise wrong("has double braces that form no placeholder")
    return PLACEHOLDER.findall(template)


def only_placeholders(template: str, allowed: Iterable[str], where: str) -> None:
    """Raise where a template has a placeholder that it may not have there."""
    names = sorted(allowed)
    for name in placeholders(template):
        if name not in names:
            offer = f"it may hold {', '.join(names)}" if names else "it may hold none"
            raise wrong(f"has the unknown placeholder {name} in {where} ({offer})")


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Phase(Frozen):
    """One step of the session; steps are listed in the therapist's instructions.

    Where the phases of a protocol have ``most``, the program tracks them: a phase is left after so
    many of the therapist's turns, or from ``least`` on once the critique finds ``goal`` reached.
    """

    key: Key
    title: Text
    guidance: Text
    goal: str = ""
    least: Count = 1
    most: Count | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.most is not None and self.least > self.most:
            raise wrong("must not have least above most")
        return self


class Style(Frozen):
    """A manner of talking that an arm, or a draw for each dialogue, may give the client."""

    key: Key
    title: Text
    text: Text


class Variant(Frozen):
    """Text added to a role's instructions for clients of certain conditions.

    Without ``when`` it is the variant for everyone whom no other variant names.
    """

    name: Key
    when: tuple[str, ...] = ()
    text: Text


class RolePrompt(Frozen):
    """The instructions of one role.

    ``system`` holds no profile text. ``case`` opens the role's first user message and takes, fenced
    in, the one profile text that the role ``sees``. ``opening`` stands in for what a partner would
    have said before the very first turn. ``silence`` is how the role may say nothing. ``style`` is
    one of the ``styles``, or "mixed": each dialogue draws its own.
    """

    sees: Sees
    words: Count
    system: Text
    case: str = ""
    opening: str = ""
    silence: str | None = None
    stop: tuple[str, ...] = ()
    variants: tuple[Variant, ...] = ()
    styles: tuple[Style, ...] = ()
    style: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        only_placeholders(self.system, SYSTEM_PLACEHOLDERS, "system")
        only_placeholders(self.opening, (), "opening")
        for variant in self.variants:
            only_placeholders(variant.text, SYSTEM_PLACEHOLDERS, f"variant {variant.name}")
        expected = [] if self.sees == "nothing" else [self.sees]
        only_placeholders(self.case, expected, "case")
        if placeholders(self.case) != expected:
            raise wrong(f"must have the placeholder {self.sees} in case exactly once, as sees says")
        if self.style not in {"", MIXED, *(style.key for style in self.styles)}:
            raise wrong(f"has the style {self.style}, which is none of its styles")
        if self.style == MIXED and not self.styles:
            raise wrong("must have styles to mix")
        if self.variants and sum(not variant.when for variant in self.variants) != 1:
            raise wrong("must have exactly one variant without when, for everyone not named")
        return self

    def variant_for(self, condition: str) -> Variant | None:
        """The variant for a condition as written in the profile (case and outer space aside)."""
        wanted = condition.strip().casefold()
        for variant in self.variants:
            if wanted in (name.casefold() for name in variant.when):
                return variant
        return next((variant for variant in self.variants if not variant.when), None)


class Ending(Frozen):
    """When a dialogue ends. An exchange is a therapist's turn and the client's answer to it."""

    min_exchanges: Count
    nudge_from: Count
    stop_at: Count
    marker: Annotated[str, StringConstraints(pattern=r"^\S{3,40}$")]
    marker_from: tuple[Role, ...] = ("therapist",)
    note_open: Text
    note_close: str = ""
    nudge: Text
    last: Text

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.min_exchanges <= self.stop_at or not self.nudge_from <= self.stop_at:
            raise wrong("must not have min_exchanges or nudge_from above stop_at")
        only_placeholders(self.nudge, NOTE_PLACEHOLDERS, "nudge")
        only_placeholders(self.last, NOTE_PLACEHOLDERS, "last")
        return self


class Sampling(Frozen):
    """Sampling values of one request; None is left to the server."""

    temperature: Annotated[float, Field(ge=0, le=2)]
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Count | None = None
    max_tokens: Count
    repetition_penalty: Annotated[float, Field(gt=0, le=2)] | None = None

    def as_request(self) -> dict[str, float | int]:
        """The values that are set, as a request names them."""
        return self.model_dump(exclude_none=True)


class Family(Frozen):
    """What differs for models whose name starts with the family's prefix; None changes nothing."""

    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Count | None = None
    max_tokens: Count | None = None
    repetition_penalty: Annotated[float, Field(gt=0, le=2)] | None = None
    therapist_words: Count | None = None
    client_words: Count | None = None
    attempts: Count | None = None
    max_kept: Annotated[int, Field(strict=True, ge=0)] | None = None


class RetryPolicy(Frozen):
    """How often a turn is asked for, and what follows a defect.

    ``note``: the reply is taken at once, with a finding. ``keep``: asked again; after the last
    attempt the reply is stored whole, with a finding. ``fail``: asked again; after the last attempt
    the dialogue fails. More than ``max_kept`` kept turns fail it too (None: no such limit).
    """

    attempts: Annotated[int, Field(strict=True, ge=1, le=20)]
    max_kept: Annotated[int, Field(strict=True, ge=0)] | None = None
    default: Action = "keep"
    after: dict[DefectKind, Action] = Field(default_factory=dict)

    @field_validator("after", mode="before")
    @classmethod
    def _known_kinds(cls, after: object) -> object:
        unknown = sorted(set(after) - set(DefectKind)) if isinstance(after, dict) else []
        if unknown:
            raise wrong(f"names {unknown[0]}, which is no kind of defect")
        return after

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.action(DefectKind.UNREADABLE) != "fail":
            raise wrong('must have unreadable = "fail": such a reply cannot be stored')
        return self

    def action(self, kind: DefectKind) -> Action:
        """What follows a defect of this kind."""
        return self.after.get(kind, self.default)

    def asks_again(self, kinds: Iterable[DefectKind]) -> bool:
        """Whether any of the kinds calls for another attempt (a turn stored with one is "kept")."""
        return any(self.action(kind) != "note" for kind in kinds)
