"""From a protocol and profile texts to the two roles' prompts. Pure.

Text from a profile is data from strangers: it goes into the user role only, fenced in by two lines
that it cannot forge, with control tokens of chat templates disarmed, and refused when too long.
Substitution is one pass, so braces in a profile are never read as placeholders.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

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
    protocol says. All plain values: ``dataclasses.asdict`` and ``Prompts(**stored)`` round-trip.
    """

    therapist_system: str
    client_system: str
    therapist_case: str = ""
    client_case: str = ""
    therapist_words: int | None = None
    client_words: int | None = None
    attempts: int | None = None
    max_kept: int | None = None


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


def fenced(text: str) -> str:
    """Profile text between two lines that name a hash of it, so that no text can close its own."""
    clean = wire_text(_CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))).strip()
    tag = hashlib.sha256(clean.encode()).hexdigest()[:12]
    return f"----- profile {tag} begins -----\n{clean}\n----- profile {tag} ends -----"


def render(
    protocol: Protocol,
    texts: Mapping[str, str],
    *,
    therapist_model: str = "",
    client_model: str = "",
    condition: str = "",
) -> Prompts:
    """The prompts of both roles for one profile.

    Args:
        texts: profile texts by name ("client_text", "intake_text", "full_text"); only those that
            the protocol's roles see are used.
        condition: chooses the variant of a role, where it has variants.

    Raises:
        ProtocolError: a text is missing or longer than the protocol allows.
    """
    models: dict[Role, str] = {THERAPIST: therapist_model, CLIENT: client_model}
    limits = {role: protocol.words_for(role, model) for role, model in models.items()}
    retry = protocol.retry_for(therapist_model, client_model)
    return Prompts(
        therapist_system=_system(protocol, THERAPIST, limits[THERAPIST], condition),
        client_system=_system(protocol, CLIENT, limits[CLIENT], condition),
        therapist_case=_case(protocol, THERAPIST, texts),
        client_case=_case(protocol, CLIENT, texts),
        therapist_words=limits[THERAPIST],
        client_words=limits[CLIENT],
        attempts=retry.attempts,
        max_kept=retry.max_kept,
    )


def _system(protocol: Protocol, role: Role, words: int, condition: str) -> str:
    prompt = protocol.role(role)
    steps = (f"{n}. {p.title}: {p.guidance}" for n, p in enumerate(protocol.phases, start=1))
    values = {"words": str(words), "marker": protocol.ending.marker, "steps": "\n".join(steps)}
    variant = prompt.variant_for(condition)
    parts = [prompt.system, *([variant.text] if variant else [])]
    return "\n\n".join(substitute(part, values) for part in parts)


def _case(protocol: Protocol, role: Role, texts: Mapping[str, str]) -> str:
    prompt = protocol.role(role)
    if prompt.sees not in PROFILE_TEXTS:
        return prompt.case.strip()
    if prompt.sees not in texts:
        raise ProtocolError(
            f"the {role} of {protocol.key} sees {prompt.sees}, which was not given."
        )
    text = texts[prompt.sees]
    if len(text) > protocol.profile_limit:
        raise ProtocolError(
            f"the profile text {prompt.sees} has {len(text)} characters, "
            f"{protocol.key} allows {protocol.profile_limit}: shorten the profile."
        )
    return substitute(prompt.case, {prompt.sees: fenced(text)}).strip()
