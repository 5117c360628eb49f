"""Writes of the generation side: one keyword-only function each, ``by=`` the acting person.

Each changes rows and leaves its audit trail in one transaction, or raises ``Refused`` with one
sentence and changes nothing.
"""

from generation.actions.batch_making import create_batch
from generation.actions.batches import (
    add_replicates,
    cancel_batch,
    pause_batch,
    resume_batch,
    retry_failed,
)
from generation.actions.claims import (
    claim_dialogues,
    finish_batches,
    release_leases,
    renew_leases,
)
from generation.actions.corpus import corpus_of, export_corpus, export_folder, export_to_file
from generation.actions.definitions import (
    add_protocol,
    add_questionnaire,
    current_definitions,
    protocol_row,
    sync_definitions,
)
from generation.actions.dialogues import import_dialogues, receive_dialogues
from generation.actions.endpoints import add_endpoint, change_endpoint, set_endpoint_state
from generation.actions.errors import Refused
from generation.actions.looking import screen_imported
from generation.actions.previews import start_preview
from generation.actions.profiles import (
    import_profiles,
    receive_profiles,
    record_of,
    sample_profiles,
)
from generation.actions.recipes import ArmSpec
from generation.actions.samples import prune_samples
from generation.actions.uploads import discard_upload, purge_uploads, store_upload, waiting_upload

__all__ = [
    "ArmSpec",
    "Refused",
    "add_endpoint",
    "add_protocol",
    "add_questionnaire",
    "add_replicates",
    "cancel_batch",
    "change_endpoint",
    "claim_dialogues",
    "corpus_of",
    "create_batch",
    "current_definitions",
    "discard_upload",
    "export_corpus",
    "export_folder",
    "export_to_file",
    "finish_batches",
    "import_dialogues",
    "import_profiles",
    "pause_batch",
    "protocol_row",
    "prune_samples",
    "purge_uploads",
    "receive_dialogues",
    "receive_profiles",
    "record_of",
    "release_leases",
    "renew_leases",
    "resume_batch",
    "retry_failed",
    "sample_profiles",
    "screen_imported",
    "set_endpoint_state",
    "start_preview",
    "store_upload",
    "sync_definitions",
    "waiting_upload",
]
