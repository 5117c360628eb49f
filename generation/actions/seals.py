"""Whether what decides a dialogue is still what it was when the dialogue was made.

Rows of arms, protocols and profiles cannot be changed, and the hashes say that nobody did it
nevertheless: past the triggers, by a restored backup, by another program.
"""

import hashlib
import json
from dataclasses import asdict
from typing import Any

from generation.actions.definitions import parsed_protocol
from generation.models import Arm, Dialogue
from generation.prompts import Prompts
from generation.protocols import ProtocolError

# Why a dialogue does not go on; the detail says which part.
RECIPE_CHANGED = "recipe_changed"


def digest(value: Any) -> str:
    """SHA-256 over canonical JSON."""
    canonical = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


def arm_digest(arm: Arm) -> str:
    """The hash over all settings of an arm."""
    return digest(
        {
            "protocol": arm.protocol.sha256,
            "therapist_model": arm.therapist_model,
            "client_model": arm.client_model,
            "sampling": arm.sampling,
            "switches": arm.switches,
        }
    )


def prompts_digest(prompts: Prompts) -> str:
    """The hash over what a dialogue's prompts hold; what is not set does not count."""
    return digest({name: value for name, value in asdict(prompts).items() if value})


def broken_arm(arm: Arm) -> str:
    """Which part of an arm is not what its hash says, or nothing."""
    try:
        protocol = parsed_protocol(arm.protocol.toml)
    except ProtocolError:
        return "protocol"
    if protocol.sha256 != arm.protocol.sha256:
        return "protocol"
    return "" if arm_digest(arm) == arm.sha256 else "models and sampling"


def broken_dialogue(row: Dialogue, arm: Arm, prompts: Prompts) -> str:
    """Which part of a dialogue's recipe is not what it was made with, or nothing."""
    if part := broken_arm(arm):
        return part
    began = row.provenance
    if began["protocol"]["sha256"] != arm.protocol.sha256:
        return "protocol"
    if began["arm"]["sha256"] != arm.sha256:
        return "models and sampling"
    if row.profile is None or began["profile"]["sha256"] != row.profile.sha256:
        return "profile"
    return "" if began["prompts"]["sha256"] == prompts_digest(prompts) else "prompts"
