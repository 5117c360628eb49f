"""Dialogues made here or imported, out: written whole, then recorded."""

import hashlib
import hmac
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO, cast

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from generation.actions.definitions import parsed_definition
from generation.actions.recipes import code_version
from generation.corpus import FORMATS, CorpusDialogue, CorpusTurn, write_corpus
from generation.corpus_folder import Card, pack, profile_key, splits_of, write_folder
from generation.models import Batch, Dialogue, DialogueState, Questionnaire, Turn
from generation.utterances import CLIENT, THERAPIST
from sqpsych_site import audit
from sqpsych_site.models import User

FOLDER = "folder"
ALL_FORMATS = (*FORMATS, FOLDER)
_CHUNK = 200


def corpus_of(batch: Batch) -> Iterator[CorpusDialogue]:
    """The batch's complete dialogues as the corpus knows them, oldest first, in few queries."""
    rows = (
        _complete(batch)
        .select_related("arm__protocol", "profile")
        .defer("therapist_system", "client_system")
        .prefetch_related("turns")
        .order_by("pk")
    )
    for row in rows.iterator(chunk_size=_CHUNK):
        turns = tuple(
            CorpusTurn(THERAPIST if turn.role == THERAPIST else CLIENT, turn.text, _figures(turn))
            for turn in row.turns.all()
        )
        yield CorpusDialogue(row.external_id or str(row.uid), turns, _facts(row))


@transaction.atomic
def export_corpus(*, batch: Batch, file_format: str, out: BinaryIO, by: User | None) -> int:
    """Write the batch's complete dialogues; the folder as a zip. Returns how many.

    Raises CorpusError for a format that does not exist. What was written is recorded last.
    """
    if file_format == FOLDER:
        with tempfile.TemporaryDirectory(prefix="sqpsych-") as work:
            folder = Path(work) / "corpus"
            count = export_folder(batch=batch, folder=folder, by=by)
            pack(folder, out, root=f"batch-{batch.pk}-corpus")
        return count
    count = write_corpus(corpus_of(batch), file_format, out)
    _record(batch, file_format, count, by)
    return count


def export_to_file(*, batch: Batch, file_format: str, by: User | None) -> IO[bytes]:
    """The export as an open temporary file, complete before the first byte is sent."""
    out = tempfile.TemporaryFile(prefix="sqpsych-")  # noqa: SIM115 - whoever sends it closes it
    try:
        export_corpus(batch=batch, file_format=file_format, out=cast(BinaryIO, out), by=by)
    except BaseException:
        out.close()
        raise
    out.seek(0)
    return out


@transaction.atomic
def export_folder(*, batch: Batch, folder: Path, by: User | None) -> int:
    """Write the folder that Hugging Face ``datasets`` loads. Returns how many dialogues."""
    splits = splits_of(map(profile_key, _keys(batch)))
    count = write_folder(corpus_of(batch), splits, _card(batch), folder)
    _record(batch, FOLDER, count, by)
    return count


def _record(batch: Batch, file_format: str, dialogues: int, by: User | None) -> None:
    audit.record(
        by=by,
        action="corpus.export",
        target=f"batch {batch.pk}",
        format=file_format,
        dialogues=dialogues,
    )


def _complete(batch: Batch) -> QuerySet[Dialogue]:
    return batch.dialogues.filter(state=DialogueState.COMPLETE)


def _keys(batch: Batch) -> Iterator[CorpusDialogue]:
    """The dialogues without their turns: enough to say what each is split by."""
    rows = _complete(batch).select_related("profile")
    for row in rows.defer("therapist_system", "client_system").iterator(chunk_size=2_000):
        facts = _imported_facts(row) | _profile_facts(row)
        yield CorpusDialogue(row.external_id or str(row.uid), (), facts)


def _figures(turn: Turn) -> dict[str, str | int]:
    """What making the turn took; nothing where no request is known of."""
    if not (turn.finish_reason or turn.prompt_tokens or turn.completion_tokens):
        return {}
    return {
        "attempts": turn.attempts_used,
        "finish_reason": turn.finish_reason,
        "prompt_tokens": turn.prompt_tokens,
        "completion_tokens": turn.completion_tokens,
    }


def _facts(row: Dialogue) -> dict[str, str | int]:
    if row.arm is None:
        return _imported_facts(row) | _profile_facts(row)
    return {
        "replicate": row.replicate,
        "seed": row.seed,
        **_profile_facts(row),
        "protocol": f"{row.arm.protocol.key} {row.arm.protocol.version}",
        "therapist_model": row.arm.therapist_model,
        "client_model": row.arm.client_model,
    }


def _profile_facts(row: Dialogue) -> dict[str, str | int]:
    if row.profile is None:
        return {}
    return {
        "profile_id": row.profile.profile_id,
        "profile_key": _key(row.profile.sha256),
        "condition": row.profile.condition,
    }


def _key(profile: str) -> str:
    """Stands for a profile where files are passed on: nobody outside can reckon it."""
    return hmac.new(settings.SECRET_KEY.encode(), profile.encode(), hashlib.sha256).hexdigest()[:16]


def _imported_facts(row: Dialogue) -> dict[str, str | int]:
    """What the file that it came from said of it."""
    known = row.provenance if isinstance(row.provenance, dict) else {}
    given = known.get("facts")
    facts = dict(given) if isinstance(given, dict) else {}
    if "profile_id" in facts:
        facts.setdefault("profile_key", _key(str(facts["profile_id"])))
    return facts


def _card(batch: Batch) -> Card:
    made = [
        f"Arm {arm.label}: protocol {arm.protocol.key} {arm.protocol.version} "
        f"(sha256 {arm.protocol.sha256}), therapist {arm.therapist_model}, "
        f"client {arm.client_model}, sampling {_sampling(arm.sampling)}."
        for arm in batch.arms.select_related("protocol")
    ]
    if made:
        made.append(f"Seed {batch.seed}, {batch.per_profile} for each profile and arm.")
        made.append(f"SQPsych {code_version()}.")
    hashes: set[str] = set()
    for found in batch.profile_set.profiles.values_list("questionnaires", flat=True).distinct():
        hashes.update(found.values())
    asked = [
        f"{definition.title}, {definition.key} {definition.version} (sha256 {definition.sha256}): "
        f"{definition.licence}"
        for definition in (
            parsed_definition(toml)
            for toml in Questionnaire.objects.filter(sha256__in=hashes).values_list(
                "toml", flat=True
            )
        )
    ]
    return Card(batch.name, made, sorted(asked))


def _sampling(values: object) -> str:
    if not isinstance(values, dict):
        return "not known"
    return "; ".join(
        f"{role} " + ", ".join(f"{name} {value}" for name, value in sorted(chosen.items()))
        for role, chosen in sorted(values.items())
        if isinstance(chosen, dict)
    )
