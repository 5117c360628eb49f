"""Dialogues made elsewhere, in; dialogues made here, out."""

from collections.abc import Iterator

from django.db import transaction
from django.utils import timezone

from generation.actions.errors import Refused
from generation.corpus import CorpusDialogue, CorpusError, CorpusTurn, read_corpus
from generation.models import (
    Batch,
    BatchState,
    Dialogue,
    DialogueState,
    Origin,
    ProfileSet,
    Turn,
)
from generation.utterances import CLIENT, THERAPIST
from sqpsych_site import audit
from sqpsych_site.models import User

_CHUNK = 200


@transaction.atomic
def import_dialogues(
    *, name: str, filename: str, content: bytes, file_format: str, by: User | None
) -> Batch:
    """Store the dialogues of a file as one finished batch, so that they can go into a study.

    The batch has no arm and an empty profile set of its name. Raises Refused (name taken or
    unusable file); a file is stored whole or not at all.
    """
    title = name.strip()
    if not title or len(title) > 120:
        raise Refused("The name of an import must have 1 to 120 characters.")
    try:
        found = read_corpus(filename, content, file_format)
    except CorpusError as error:
        raise Refused(str(error)) from None
    if ProfileSet.objects.filter(name=title).exists():
        raise Refused(f"A profile set named “{title}” exists already; choose another name.")
    source = f"dialogues imported from {filename.rsplit('/', 1)[-1]}"[:200]
    profile_set = ProfileSet.objects.create(name=title, source=source, created_by=by)
    batch = Batch.objects.create(
        name=title,
        profile_set=profile_set,
        seed=0,
        state=BatchState.FINISHED,
        state_reason="imported",
        created_by=by,
        finished_at=timezone.now(),
    )
    for start in range(0, len(found), _CHUNK):
        _store(batch, found[start : start + _CHUNK])
    audit.record(by=by, action="dialogues.import", target=f"batch {batch.pk}", dialogues=len(found))
    return batch


def _store(batch: Batch, found: list[CorpusDialogue]) -> None:
    now = timezone.now()
    rows = Dialogue.objects.bulk_create(
        Dialogue(
            origin=Origin.IMPORTED,
            external_id=each.dialogue_id,
            batch=batch,
            state=DialogueState.COMPLETE,
            turn_count=len(each.turns),
            provenance={"imported": True},
            finished_at=now,
        )
        for each in found
    )
    Turn.objects.bulk_create(
        Turn(dialogue=row, number=number, role=turn.role, text=turn.text, created_at=now)
        for row, each in zip(rows, found, strict=True)
        for number, turn in enumerate(each.turns, start=1)
    )


def corpus_of(batch: Batch) -> Iterator[CorpusDialogue]:
    """The batch's complete dialogues as the corpus knows them, oldest first, in few queries."""
    rows = (
        batch.dialogues.filter(state=DialogueState.COMPLETE)
        .select_related("arm__protocol", "profile")
        .defer("therapist_system", "client_system", "provenance")
        .prefetch_related("turns")
        .order_by("pk")
    )
    for row in rows.iterator(chunk_size=_CHUNK):
        yield CorpusDialogue(
            row.external_id or str(row.uid),
            tuple(
                CorpusTurn(
                    THERAPIST if turn.role == THERAPIST else CLIENT, turn.text, _figures(turn)
                )
                for turn in row.turns.all()
            ),
            _facts(row),
        )


def _figures(turn: Turn) -> dict[str, str | int]:
    return {
        "attempts": turn.attempts_used,
        "finish_reason": turn.finish_reason,
        "prompt_tokens": turn.prompt_tokens,
        "completion_tokens": turn.completion_tokens,
    }


def _facts(row: Dialogue) -> dict[str, str | int]:
    facts: dict[str, str | int] = {"replicate": row.replicate, "seed": row.seed}
    if row.profile is not None:
        facts |= {"profile_id": row.profile.profile_id, "condition": row.profile.condition}
    if row.arm is not None:
        facts |= {
            "protocol": f"{row.arm.protocol.key} {row.arm.protocol.version}",
            "therapist_model": row.arm.therapist_model,
            "client_model": row.arm.client_model,
        }
    return facts


@transaction.atomic
def record_export(*, batch: Batch, file_format: str, dialogues: int, by: User | None) -> None:
    """Leave an audit entry for dialogues that went out."""
    audit.record(
        by=by,
        action="corpus.export",
        target=f"batch {batch.pk}",
        format=file_format,
        dialogues=dialogues,
    )
