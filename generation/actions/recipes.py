"""How an arm's dialogues are made: resolved settings, rendered prompts, seeds and provenance."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings
from pydantic import ValidationError

from generation.actions.definitions import (
    arm_protocol,
    parsed_protocol,
    protocol_row,
    stored_definitions,
)
from generation.actions.errors import Refused
from generation.actions.profiles import record_of
from generation.actions.seals import arm_digest, prompts_digest
from generation.models import Arm, Batch, ClientProfile, Dialogue, Protocol
from generation.profiles import client_text, full_text, intake_text, life_text
from generation.prompts import Prompts, render
from generation.protocol_parts import MIXED
from generation.protocol_switches import SwitchError, Value
from generation.protocols import Protocol as ProtocolData
from generation.protocols import ProtocolError, Sampling
from generation.questionnaires import Definition
from generation.utterances import CLIENT, THERAPIST

ROLES = (THERAPIST, CLIENT)


@dataclass(frozen=True)
class ArmSpec:
    """What a person chose for an arm. ``sampling`` (role -> values) goes over the protocol's own,
    ``switches`` (key -> setting) are those that the protocol declares."""

    label: str
    protocol: Protocol | str
    therapist_model: str
    client_model: str
    sampling: Mapping[str, Mapping[str, float | int]] = field(default_factory=dict)
    switches: Mapping[str, object] = field(default_factory=dict)


def arm_for(spec: ArmSpec, *, batch: Batch) -> Arm:
    """The unsaved arm with every setting resolved. Raises Refused where one makes no sense."""
    row = protocol_row(spec.protocol)
    switches, protocol = _switched(spec, row)
    models = {THERAPIST: spec.therapist_model, CLIENT: spec.client_model}
    if unknown := sorted(set(spec.sampling) - set(ROLES)):
        raise Refused(f"Sampling values are given for “{unknown[0]}”, which is no role.")
    resolved = {
        role: _sampling(protocol, role, models[role], spec.sampling.get(role, {})) for role in ROLES
    }
    arm = Arm(
        batch=batch,
        label=spec.label.strip(),
        protocol=row,
        therapist_model=spec.therapist_model,
        client_model=spec.client_model,
        sampling=resolved,
        switches=switches,
    )
    arm.sha256 = arm_digest(arm)
    return arm


def _switched(spec: ArmSpec, row: Protocol) -> tuple[dict[str, Value], ProtocolData]:
    try:
        switches = parsed_protocol(row.toml).settings(spec.switches)
        return switches, arm_protocol(row.toml, switches)
    except (SwitchError, ProtocolError) as error:
        raise Refused(f"Arm {spec.label}, protocol {row.key}: {error}") from None


def _sampling(
    protocol: ProtocolData, role: str, model: str, given: Mapping[str, float | int]
) -> dict[str, float | int]:
    defaults = protocol.sampling_for(model)
    try:
        return Sampling.model_validate({**defaults.model_dump(), **given}).as_request()
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
        name = ".".join(str(part) for part in problem["loc"])
        words = problem["msg"].rstrip(".")
        raise Refused(f"The sampling value {name} of the {role} is wrong: {words}.") from None


def dialogues_for(
    arm: Arm,
    profiles: Iterable[ClientProfile],
    replicates: Sequence[int],
    known: "DefinitionShelf | None" = None,
) -> list[Dialogue]:
    """Unsaved waiting dialogues, one per profile and replicate."""
    known = known or DefinitionShelf()
    protocol = arm_protocol(arm.protocol.toml, arm.switches)
    rows = []
    for profile in profiles:
        texts = _texts(profile, known.of(profile))
        made: dict[str, tuple[Prompts, dict[str, Any]]] = {}
        for number in replicates:
            style = client_style(protocol, arm.batch.seed, profile.profile_id, number)
            if style not in made:
                prompts = _prompts(arm, protocol, profile, texts, style)
                made[style] = (prompts, _provenance(arm, profile, prompts))
            rows.append(_dialogue(arm, profile, number, *made[style]))
    return rows


def client_style(protocol: ProtocolData, seed: int, profile_id: str, replicate: int) -> str:
    """The client's style where each dialogue draws its own: the same in every arm of a batch."""
    if protocol.client.style != MIXED:
        return protocol.client.style
    lot = hashlib.sha256(json.dumps([seed, "style", profile_id, replicate]).encode()).digest()
    styles = protocol.client.styles
    return styles[int.from_bytes(lot[:8], "big") % len(styles)].key


def dialogue_seed(batch_seed: int, label: str, profile_id: str, replicate: int) -> int:
    """The seed of one dialogue, 0 to 2**63 - 1: the same on every machine."""
    name = json.dumps([batch_seed, label, profile_id, replicate]).encode()
    return int.from_bytes(hashlib.sha256(name).digest()[:8], "big") >> 1


class DefinitionShelf:
    """Definitions by the hashes a profile names; most profiles name the same."""

    def __init__(self) -> None:
        self._found: dict[str, dict[str, Definition]] = {}

    def of(self, profile: ClientProfile) -> dict[str, Definition]:
        name = json.dumps(profile.questionnaires, sort_keys=True)
        if name not in self._found:
            self._found[name] = stored_definitions(profile.questionnaires)
        return self._found[name]


def _texts(profile: ClientProfile, definitions: Mapping[str, Definition]) -> dict[str, str]:
    record = record_of(profile)
    return {
        "client_text": client_text(record, definitions),
        "intake_text": intake_text(record),
        "life_text": life_text(record),
        "full_text": full_text(record, definitions),
    }


def _prompts(
    arm: Arm, protocol: ProtocolData, profile: ClientProfile, texts: Mapping[str, str], style: str
) -> Prompts:
    try:
        return render(
            protocol,
            texts,
            therapist_model=arm.therapist_model,
            client_model=arm.client_model,
            condition=profile.condition,
            style=style,
        )
    except ProtocolError as error:
        raise Refused(f"Profile {profile.profile_id}: {error}") from None


def _dialogue(
    arm: Arm, profile: ClientProfile, replicate: int, prompts: Prompts, facts: dict[str, Any]
) -> Dialogue:
    seed = dialogue_seed(arm.batch.seed, arm.label, profile.profile_id, replicate)
    return Dialogue(
        batch=arm.batch,
        arm=arm,
        profile=profile,
        replicate=replicate,
        seed=seed,
        therapist_system=prompts.therapist_system,
        client_system=prompts.client_system,
        provenance={**facts, "seed": seed},
    )


def _provenance(arm: Arm, profile: ClientProfile, prompts: Prompts) -> dict[str, Any]:
    """Everything that decides a dialogue, as hashes and settings.

    ``prompts`` holds the case texts and word limits, which have no column of their own.
    """
    protocol = arm.protocol
    return {
        "profile": {"profile_id": profile.profile_id, "sha256": profile.sha256},
        "questionnaires": profile.questionnaires,
        "protocol": {
            "key": protocol.key,
            "version": protocol.version,
            "sha256": protocol.sha256,
        },
        "arm": {"label": arm.label, "sha256": arm.sha256},
        "switches": arm.switches,
        "models": {THERAPIST: arm.therapist_model, CLIENT: arm.client_model},
        "sampling": arm.sampling,
        "prompts": {
            "sha256": prompts_digest(prompts),
            "therapist_case": prompts.therapist_case,
            "client_case": prompts.client_case,
            "therapist_words": prompts.therapist_words,
            "client_words": prompts.client_words,
            "attempts": prompts.attempts,
            "max_kept": prompts.max_kept,
            "preparations": prompts.preparations,
            "style": prompts.style,
        },
        "code": code_version(),
    }


@cache
def code_version() -> str:
    """The program's version, with the commit where it runs from a checkout."""
    commit = _commit(settings.BASE_DIR / ".git")
    return f"{settings.VERSION}+{commit[:12]}" if commit else str(settings.VERSION)


def _commit(folder: Path) -> str:
    try:
        head = (folder / "HEAD").read_text(encoding="ascii").strip()
        if not head.startswith("ref: "):
            return head
        name = head.removeprefix("ref: ")
        if (folder / name).is_file():
            return (folder / name).read_text(encoding="ascii").strip()
        packed = (folder / "packed-refs").read_text(encoding="ascii").splitlines()
        return next((line.split()[0] for line in packed if line.endswith(f" {name}")), "")
    except (OSError, UnicodeDecodeError):
        return ""
