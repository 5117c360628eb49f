"""Therapy protocols as data: the shape of a protocol file, its checks, its loader. Pure.

A protocol says who speaks with which instructions, what each role may know, when a dialogue ends,
how replies are sampled and what follows from a defect. Files are TOML (``protocols/*.toml``, or a
group's own). ``prompts.render`` turns a protocol and profile texts into the two roles' prompts.
"""

import functools
import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, StringConstraints, ValidationError, model_validator

from generation.phases import tracked
from generation.protocol_parts import (
    PLACEHOLDER,
    PROFILE_TEXTS,
    Count,
    Ending,
    Family,
    Frozen,
    Key,
    Phase,
    RetryPolicy,
    RolePrompt,
    Sampling,
    Style,
    Text,
    Variant,
    only_placeholders,
    wrong,
)
from generation.protocol_steps import PHASE_PLACEHOLDERS, CritiquePolicy, Preparation, twice
from generation.protocol_switches import Switch, SwitchError, Value, read_switches
from generation.resistance import Resistance
from generation.toml_places import explain, place
from generation.utterances import Role

__all__ = [
    "PLACEHOLDER",
    "PROFILE_TEXTS",
    "Ending",
    "Family",
    "Phase",
    "Protocol",
    "ProtocolError",
    "RetryPolicy",
    "RolePrompt",
    "Sampling",
    "Variant",
    "builtin_protocols",
    "load_protocol",
]

PUBLISHED: Final = "sqpsych"
_FOLDER = Path(__file__).parent / "protocols"


class ProtocolError(ValueError):
    """A protocol that cannot be used; one sentence that says where and what."""


class Protocol(Frozen):
    """One version of a therapy protocol. ``sha256`` is over ``toml``, the file's exact text."""

    key: Key
    version: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z.+-]{1,20}$")]
    title: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
    description: Text
    source: Text
    language: Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$")] = "en"
    script: Literal["latin", "any"] = "latin"
    context_rule: Literal["fail", "end_early"] = "fail"
    profile_limit: Count = 20_000
    risk_profiles: Literal["opt_in", "include"] = "opt_in"
    phases: tuple[Phase, ...] = ()
    phase_note: str = ""
    preparations: tuple[Preparation, ...] = ()
    therapist: RolePrompt
    client: RolePrompt
    critique: CritiquePolicy | None = None
    resistance: Resistance | None = None
    ending: Ending
    sampling: Sampling
    families: dict[str, Family] = Field(default_factory=dict)
    retry: RetryPolicy
    switches: tuple[Switch, ...] = ()
    sha256: str
    toml: str

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.therapist.opening.strip():
            raise wrong("has no therapist.opening, which the first request needs")
        lists: dict[str, Sequence[Phase | Switch | Preparation | Style]] = {
            "phases": self.phases,
            "switches": self.switches,
            "preparations": self.preparations,
            "styles": self.client.styles,
        }
        for name, entries in lists.items():
            if key := twice(entry.key for entry in entries):
                raise wrong(f"has two {name} with the key {key}")
        if any(phase.most is None for phase in self.phases[:-1]) and tracked(self.phases):
            raise wrong("must have most in every phase but the last, or in none")
        only_placeholders(self.phase_note, PHASE_PLACEHOLDERS, "phase_note")
        if self.therapist.styles or self.therapist.style:
            raise wrong("must not have styles for the therapist, only for the client")
        if self.resistance and self.language != "en":
            raise wrong("must not have resistance: what earns it is told in English only")
        return self

    def settings(self, given: Mapping[str, object]) -> dict[str, Value]:
        """The switches that a person or a script set, as an arm stores them.

        Raises:
            SwitchError: one sentence on an unknown switch or value.
        """
        return read_switches(self.switches, given, tomllib.loads(self.toml))

    def switched(self, settings: Mapping[str, Value]) -> "Protocol":
        """This protocol with switches set, under the same hash: the file is the same.

        Raises:
            ProtocolError: the settings do not go together.
        """
        data = tomllib.loads(self.toml)
        try:
            for switch in self.switches:
                if switch.key in settings:
                    data = switch.apply(data, settings[switch.key])
            return Protocol.model_validate({**data, "sha256": self.sha256, "toml": self.toml})
        except SwitchError as error:
            raise ProtocolError(str(error)) from error
        except ValidationError as error:
            names = ", ".join(f"{key} = {value}" for key, value in settings.items())
            raise ProtocolError(explain(error, "", origin=f"{self.key} with {names}")) from error

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

    def retry_for(self, *models: str) -> RetryPolicy:
        """The retry policy for the models of one dialogue; where they differ, the more patient."""
        found = [family for model in models if (family := self.family_for(model))]
        changes = {
            name: max(values)
            for name in ("attempts", "max_kept")
            if (values := [v for family in found if (v := getattr(family, name)) is not None])
        }
        return self.retry.model_copy(update=changes)

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
        protocol = Protocol.model_validate({**data, "sha256": digest, "toml": text})
    except ValidationError as error:
        raise ProtocolError(explain(error, text, origin=origin)) from error
    for number, switch in enumerate(protocol.switches):
        for setting in switch.settings():
            try:
                protocol.switched({switch.key: setting})
            except ProtocolError as error:
                raise ProtocolError(
                    f"{place(text, ('switches', number), origin=origin)}: {error}"
                ) from error
    return protocol


@functools.cache
def _builtin() -> tuple[Protocol, ...]:
    # The published one is the first that is offered.
    files = sorted(_FOLDER.glob("*.toml"), key=lambda file: (file.stem != PUBLISHED, file.name))
    return tuple(load_protocol(f.read_text("utf-8"), origin=f"protocols/{f.name}") for f in files)


def builtin_protocols() -> dict[str, Protocol]:
    """The protocols that come with the program, by key."""
    return {protocol.key: protocol for protocol in _builtin()}
