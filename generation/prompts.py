"""From a protocol and profile texts to the two roles' prompts. Pure.

Text from a profile is data from strangers: it goes into the user role only, fenced in by two lines
that it cannot forge, with control tokens of chat templates disarmed, and refused when too long.
Substitution is one pass, so braces in a profile are never read as placeholders.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from generation.phases import tracked
from generation.protocol_parts import MIXED, RolePrompt
from generation.protocol_steps import Preparation
from generation.protocols import PLACEHOLDER, PROFILE_TEXTS, Protocol, ProtocolError
from generation.utterances import CLIENT, THERAPIST, Role, wire_text

_CONTROL: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f\u200b\u202a-\u202e\u2060-\u2069\ud800-\udfff\ufeff]"
)


@dataclass(frozen=True)
class Prompts:
    """What is fixed for one dialogue; stored with it, so that it resumes with the same texts.

    A role's ``case`` opens its first user message; its ``words`` are the limit it was told.
    ``attempts`` and ``max_kept`` are the retry limits for the dialogue's models. None: as the
    protocol says. ``preparations`` holds system and case texts by key, ``style`` the client's.
    All plain values: ``dataclasses.asdict`` and ``Prompts(**stored)`` round-trip.
    """

    therapist_system: str
    client_system: str
    therapist_case: str = ""
    client_case: str = ""
    therapist_words: int | None = None
    client_words: int | None = None
    attempts: int | None = None
    max_kept: int | None = None
    preparations: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    style: str = ""


def substitute(template: str, values: Mapping[str, str]) -> str:
    """Replace each ``{{ name }}`` by its value, in one pass: values are never looked at again.

    Raises:
        ProtocolError: a placeholder has no value.
    """

    def value(found: re.Match[str]) -> str:
        if found[1] not in values:
            raise ProtocolError(f"no value was given for the placeholder {found[1]}.")
        return values[found[1]]

    return PLACEHOLDER.sub(value, template)


def fenced(text: str, name: str = "profile") -> str:
    """Foreign text between two lines that name a hash of it, so that no text can close its own."""
    clean = wire_text(_CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))).strip()
    tag = hashlib.sha256(clean.encode()).hexdigest()[:12]
    return f"----- {name} {tag} begins -----\n{clean}\n----- {name} {tag} ends -----"


def render(
    protocol: Protocol,
    texts: Mapping[str, str],
    *,
    therapist_model: str = "",
    client_model: str = "",
    condition: str = "",
    style: str = "",
) -> Prompts:
    """The prompts of both roles for one profile.

    Args:
        texts: profile texts by name ("client_text", "intake_text", "full_text"); only those that
            the protocol's roles see are used.
        condition: chooses the variant of a role, where it has variants.
        style: the client's, where the protocol's is "mixed"; else the protocol's own counts.

    Raises:
        ProtocolError: a text is missing or longer than the protocol allows.
    """
    models: dict[Role, str] = {THERAPIST: therapist_model, CLIENT: client_model}
    limits = {role: protocol.words_for(role, model) for role, model in models.items()}
    retry = protocol.retry_for(therapist_model, client_model)
    manner = style if protocol.client.style == MIXED else protocol.client.style
    return Prompts(
        therapist_system=_system(protocol, THERAPIST, limits[THERAPIST], condition),
        client_system=_system(protocol, CLIENT, limits[CLIENT], condition, manner),
        therapist_case=_case(protocol, protocol.therapist, "therapist", texts),
        client_case=_case(protocol, protocol.client, "client", texts),
        therapist_words=limits[THERAPIST],
        client_words=limits[CLIENT],
        attempts=retry.attempts,
        max_kept=retry.max_kept,
        preparations={
            step.key: {
                "system": substitute(step.system, {"steps": _steps(protocol)}),
                "case": _case(protocol, step, step.key, texts),
            }
            for step in protocol.preparations
        },
        style=manner,
    )


def _steps(protocol: Protocol) -> str:
    return "\n".join(
        f"{n}. {p.title} ({p.key}): {p.guidance}"
        if tracked(protocol.phases)
        else f"{n}. {p.title}: {p.guidance}"
        for n, p in enumerate(protocol.phases, start=1)
    )


def _system(protocol: Protocol, role: Role, words: int, condition: str, manner: str = "") -> str:
    prompt = protocol.role(role)
    values = {
        "words": str(words),
        "marker": protocol.ending.marker,
        "steps": _steps(protocol),
    }
    variant = prompt.variant_for(condition)
    parts = [prompt.system, *([variant.text] if variant else [])]
    parts += [style.text for style in prompt.styles if style.key == manner]
    return "\n\n".join(substitute(part, values) for part in parts)


def _case(
    protocol: Protocol, prompt: RolePrompt | Preparation, who: str, texts: Mapping[str, str]
) -> str:
    if prompt.sees not in PROFILE_TEXTS:
        return prompt.case.strip()
    if prompt.sees not in texts:
        raise ProtocolError(f"the {who} of {protocol.key} sees {prompt.sees}, which was not given.")
    text = texts[prompt.sees]
    if len(text) > protocol.profile_limit:
        raise ProtocolError(
            f"the profile text {prompt.sees} has {len(text)} characters, "
            f"{protocol.key} allows {protocol.profile_limit}: shorten the profile."
        )
    return substitute(prompt.case, {prompt.sees: fenced(text)}).strip()
