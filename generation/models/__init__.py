"""Rows of the generation side. The database is the truth: a dialogue's state, lease and attempts
decide what happens next, never a message in the broker."""

from generation.models.batches import Arm, Batch, BatchState, EngineEvent
from generation.models.definitions import IMMUTABLE, Protocol, Questionnaire, VersionedDefinition
from generation.models.dialogues import (
    Attempt,
    AttemptOutcome,
    AttemptPurpose,
    Dialogue,
    DialogueQuerySet,
    DialogueState,
    Finding,
    Origin,
    Turn,
    TurnRole,
)
from generation.models.endpoints import Endpoint, EndpointState
from generation.models.profiles import ClientProfile, ProfileSet
from generation.models.samples import BatchSample, EndpointSample
from generation.models.traits import DialogueTrait
from generation.models.uploads import Upload, UploadPurpose

__all__ = [
    "IMMUTABLE",
    "Arm",
    "Attempt",
    "AttemptOutcome",
    "AttemptPurpose",
    "Batch",
    "BatchSample",
    "BatchState",
    "ClientProfile",
    "Dialogue",
    "DialogueQuerySet",
    "DialogueState",
    "DialogueTrait",
    "Endpoint",
    "EndpointSample",
    "EndpointState",
    "EngineEvent",
    "Finding",
    "Origin",
    "ProfileSet",
    "Protocol",
    "Questionnaire",
    "Turn",
    "TurnRole",
    "Upload",
    "UploadPurpose",
    "VersionedDefinition",
]
