"""Therapy protocols as data: the shape of a protocol file, its checks, its loader. Pure.

A protocol says who speaks with which instructions, what each role may know, when a dialogue ends,
how replies are sampled and what follows from a defect. Files are TOML (``protocols/*.toml``, or a
group's own). ``prompts.render`` turns a protocol and profile texts into the two roles' prompts.
"""

import functools
import hashlib
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final, Literal, Self, TypeAlias

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from generation.defects import DefectKind
from generation.toml_places import explain
from generation.utterances import Role

Sees: TypeAlias = Literal["nothing", "client_text", "intake_text", "full_text"]
Action: TypeAlias = Literal["note", "keep", "fail"]
Count: TypeAlias = Annotated[int, Field(strict=True, ge=1)]
Text: TypeAlias = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Key: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,59}$")]

PROFILE_TEXTS: Final = frozenset({"client_text", "intake_text", "full_text"})
SYSTEM_PLACEHOLDERS: Final = frozenset({"words", "marker", "steps"})
NOTE_PLACEHOLDERS: Final = frozenset({"marker"})
PLACEHOLDER: Final = re.compile(r"\{\{\s*([A-Za-z_]\w*)\s*\}\}")
_FOLDER = Path(__file__).parent / "protocols"


class ProtocolError(ValueError):
    """A protocol that cannot be used; one sentence that says where and what."""


def _wrong(message: str) -> PydanticCustomError:
    """An error that reads after the name of the table or key it was found in."""
    return PydanticCustomError("form", message)


def placeholders(template: str) -> list[str]:
    """Names of the placeholders of a template, in order; left-over double braces are an error."""
    if "{{" in (rest := PLACEHOLDER.sub("", template)) or "}}" in rest:
        raise _wrong("has double braces that form no placeholder")
    return PLACEHOLDER.findall(template)


def _only(template: str, allowed: Iterable[str], where: str) -> None:
    names = sorted(allowed)
    for name in placeholders(template):
        if name not in names:
            offer = f"it may hold {', '.join(names)}" if names else "it may hold none"
            raise _wrong(f"has the unknown placeholder {name} in {where} ({offer})")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Phase(_Frozen):
    """One step of the session; steps are listed in the therapist's instructions."""

    key: Key
    title: Text
    guidance: Text


class Variant(_Frozen):
    """Text added to a role's instructions for clients of certain conditions.

    Without ``when`` it is the variant for everyone whom no other variant names.
    """

    name: Key
    when: tuple[str, ...] = ()
    text: Text


class RolePrompt(_Frozen):
    """The instructions of one role.

    ``system`` holds no profile text. ``case`` opens the role's first user message and takes, fenced
    in, the one profile text that the role ``sees``. ``opening`` stands in for what a partner would
    have said before the very first turn. ``silence`` is how the role may say nothing.
    """

    sees: Sees
    words: Count
    system: Text
    case: str = ""
    opening: str = ""
    silence: str | None = None
    stop: tuple[str, ...] = ()
    variants: tuple[Variant, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _only(self.system, SYSTEM_PLACEHOLDERS, "system")
        _only(self.opening, (), "opening")
        for variant in self.variants:
            _only(variant.text, SYSTEM_PLACEHOLDERS, f"variant {variant.name}")
        expected = [] if self.sees == "nothing" else [self.sees]
        _only(self.case, expected, "case")
        if placeholders(self.case) != expected:
            raise _wrong(
                f"must have the placeholder {self.sees} in case exactly once, as sees says"
            )
        if self.variants and sum(not variant.when for variant in self.variants) != 1:
            raise _wrong("must have exactly one variant without when, for everyone not named")
        return self

    def variant_for(self, condition: str) -> Variant | None:
        """The variant for a condition as written in the profile (case and outer space aside)."""
        wanted = condition.strip().casefold()
        for variant in self.variants:
            if wanted in (name.casefold() for name in variant.when):
                return variant
        return next((variant for variant in self.variants if not variant.when), None)


class Ending(_Frozen):
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
            raise _wrong("must not have min_exchanges or nudge_from above stop_at")
        _only(self.nudge, NOTE_PLACEHOLDERS, "nudge")
        _only(self.last, NOTE_PLACEHOLDERS, "last")
        return self


class Sampling(_Frozen):
    """Sampling values of one request; None is left to the server."""

    temperature: Annotated[float, Field(ge=0, le=2)]
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Count | None = None
    max_tokens: Count
    repetition_penalty: Annotated[float, Field(gt=0, le=2)] | None = None

    def as_request(self) -> dict[str, float | int]:
        """The values that are set, as a request names them."""
        return self.model_dump(exclude_none=True)


class Family(_Frozen):
    """What differs for models whose name starts with the family's prefix; None changes nothing."""

    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Count | None = None
    max_tokens: Count | None = None
    repetition_penalty: Annotated[float, Field(gt=0, le=2)] | None = None
    therapist_words: Count | None = None
    client_words: Count | None = None


class RetryPolicy(_Frozen):
    """How often a turn is asked for, and what follows a defect.

    ``note``: the reply is taken at once, with a finding. ``keep``: asked again; after the last
    attempt the reply is stored whole, with a finding. ``fail``: asked again; after the last attempt
    the dialogue fails. More than ``max_kept`` kept turns fail it too (None: no such limit).
    """

    attempts: Annotated[int, Field(strict=True, ge=1, le=20)]
    max_kept: Annotated[int, Field(strict=True, ge=0)] | None = None
    default: Literal["note", "keep", "fail"] = "keep"
    after: dict[DefectKind, Action] = Field(default_factory=dict)

    @field_validator("after", mode="before")
    @classmethod
    def _known_kinds(cls, after: object) -> object:
        unknown = sorted(set(after) - set(DefectKind)) if isinstance(after, dict) else []
        if unknown:
            raise _wrong(f"names {unknown[0]}, which is no kind of defect")
        return after

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.action(DefectKind.UNREADABLE) != "fail":
            raise _wrong('must have unreadable = "fail": such a reply cannot be stored')
        return self

    def action(self, kind: DefectKind) -> Action:
        """What follows a defect of this kind."""
        return self.after.get(kind, self.default)

    def asks_again(self, kinds: Iterable[DefectKind]) -> bool:
        """Whether any of the kinds calls for another attempt (a turn stored with one is "kept")."""
        return any(self.action(kind) != "note" for kind in kinds)


class Protocol(_Frozen):
    """One version of a therapy protocol. ``sha256`` is over ``toml``, the file's exact text."""

    key: Key
    version: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z.+-]{1,20}$")]
    title: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
    description: Text
    source: Text
    language: Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$")] = "en"
    script: Literal["latin", "any"] = "latin"
    context_rule: Literal["fail"] = "fail"
    profile_limit: Count = 20_000
    phases: tuple[Phase, ...] = ()
    therapist: RolePrompt
    client: RolePrompt
    ending: Ending
    sampling: Sampling
    families: dict[str, Family] = Field(default_factory=dict)
    retry: RetryPolicy
    sha256: str
    toml: str

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.therapist.opening.strip():
            raise _wrong("has no therapist.opening, which the first request needs")
        if len({phase.key for phase in self.phases}) != len(self.phases):
            raise _wrong("has two phases with the same key")
        return self

    def role(self, role: Role) -> RolePrompt:
        """The prompt of a role."""
        return self.therapist if role == "therapist" else self.client

    def family_for(self, model: str) -> Family | None:
        """The family with the longest prefix of the model's name (folder aside, any case)."""
        name = model.rsplit("/", 1)[-1].casefold()
        fits = [prefix for prefix in self.families if name.startswith(prefix.casefold())]
        return self.families[max(fits, key=len)] if fits else None

    def sampling_for(self, model: str) -> Sampling:
        """Sampling for a model: the defaults with what its family changes."""
        family = self.family_for(model)
        changes = family.model_dump(exclude_none=True) if family else {}
        known = {name: value for name, value in changes.items() if name in Sampling.model_fields}
        return self.sampling.model_copy(update=known)

    def words_for(self, role: Role, model: str) -> int:
        """The word limit of a role for a model."""
        family = self.family_for(model)
        own = getattr(family, f"{role}_words") if family else None
        return own or self.role(role).words


def load_protocol(text: str, *, origin: str) -> Protocol:
    """Read and check a protocol file.

    Raises:
        ProtocolError: one sentence with ``origin``, line and key.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ProtocolError(f"{origin}: not a valid TOML file: {error}.") from error
    for name in ("sha256", "toml"):
        if name in data:
            raise ProtocolError(f"{origin}, key {name}: is computed and must not be in the file.")
    digest = hashlib.sha256(text.encode()).hexdigest()
    try:
        return Protocol.model_validate({**data, "sha256": digest, "toml": text})
    except ValidationError as error:
        raise ProtocolError(explain(error, text, origin=origin)) from error


@functools.cache
def _builtin() -> tuple[Protocol, ...]:
    files = sorted(_FOLDER.glob("*.toml"))
    return tuple(load_protocol(f.read_text("utf-8"), origin=f"protocols/{f.name}") for f in files)


def builtin_protocols() -> dict[str, Protocol]:
    """The protocols that come with the program, by key."""
    return {protocol.key: protocol for protocol in _builtin()}
