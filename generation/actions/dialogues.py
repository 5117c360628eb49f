"""Dialogues made elsewhere, in: as one finished batch, whole or not at all."""

import tempfile
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from django.db import transaction
from django.utils import timezone

from generation.actions.errors import Refused
from generation.actions.looking import wait_for_screening
from generation.actions.traits import note_traits
from generation.actions.uploads import store_upload
from generation.corpus import CorpusDialogue, CorpusError, detected_format, read_corpus
from generation.corpus_folder import read_folder
from generation.corpus_rows import RowChoice, read_mapped
from generation.models import (
    Batch,
    BatchState,
    Dialogue,
    DialogueState,
    Origin,
    ProfileSet,
    Turn,
    Upload,
    UploadPurpose,
)
from sqpsych_site import audit
from sqpsych_site.models import User

MAX_MAPPED_BYTES = 50 * 1024 * 1024
FOLDER = "folder"
UTTERANCES = "utterances"
_CHUNK = 200


@transaction.atomic
def import_dialogues(
    *,
    name: str,
    filename: str,
    source: BinaryIO,
    file_format: str,
    by: User | None,
    choice: RowChoice | None = None,
) -> Batch:
    """Store the dialogues of a file as one finished batch, so that they can go into a study.

    ``file_format`` is one that ``corpus`` reads, ``folder`` (zipped), or ``utterances`` with a
    ``choice`` of columns. The batch has no arm and an empty profile set of its name. Workers look
    the dialogues through afterwards. Raises Refused (name taken or unusable file); a file is
    stored whole or not at all.
    """
    title = _free_name(name)
    short = filename.replace("\\", "/").rsplit("/", 1)[-1]
    profile_set = ProfileSet.objects.create(
        name=title, source=f"dialogues imported from {short}"[:200], created_by=by
    )
    batch = Batch.objects.create(
        name=title,
        profile_set=profile_set,
        seed=0,
        state=BatchState.FINISHED,
        state_reason="imported",
        created_by=by,
        finished_at=timezone.now(),
    )
    count = 0
    with tempfile.TemporaryDirectory(prefix="sqpsych-") as work:
        try:
            found = iter(_read(filename, source, file_format, choice, Path(work)))
            while chunk := list(islice(found, _CHUNK)):
                _store(batch, chunk)
                count += len(chunk)
        except CorpusError as error:
            raise Refused(str(error)) from None
    audit.record(by=by, action="dialogues.import", target=f"batch {batch.pk}", dialogues=count)
    return batch


@transaction.atomic
def receive_dialogues(*, name: str, filename: str, source: BinaryIO, by: User) -> Batch | Upload:
    """Store a file of a known form as a batch; keep CSV with other columns until they are mapped.

    Raises Refused.
    """
    title = _free_name(name)
    found = format_of(filename, source)
    if found != UTTERANCES:
        return import_dialogues(
            name=title, filename=filename, source=source, file_format=found, by=by
        )
    content = source.read(MAX_MAPPED_BYTES + 1)
    if len(content) > MAX_MAPPED_BYTES:
        raise Refused(
            f"{filename}: is larger than 50 MB; name its columns dialogue_id, turn, role and text, "
            "or split it."
        )
    purpose = UploadPurpose.DIALOGUES
    return store_upload(purpose=purpose, name=title, filename=filename, content=content, by=by)


def format_of(filename: str, source: BinaryIO) -> str:
    """The form of a file by its content. Raises Refused when it is no such file at all."""
    begin = source.read(4)
    source.seek(0)
    if begin == b"PK\x03\x04":
        return FOLDER
    try:
        return detected_format(filename, source) or UTTERANCES
    except CorpusError as error:
        raise Refused(str(error)) from None


def _read(
    filename: str, source: BinaryIO, file_format: str, choice: RowChoice | None, work: Path
) -> Iterable[CorpusDialogue]:
    if file_format == FOLDER:
        return read_folder(filename, source, work)
    if file_format != UTTERANCES:
        return read_corpus(filename, source, file_format)
    if choice is None:
        raise Refused(f"{filename}: the columns are not ours; say which one is what.")
    found = read_mapped(filename, source, choice)
    if not found:
        raise Refused(f"{filename}: there is no dialogue in this file.")
    return found


def _free_name(name: str) -> str:
    title = name.strip()
    if not title or len(title) > 120:
        raise Refused("The name of an import must have 1 to 120 characters.")
    if ProfileSet.objects.filter(name=title).exists():
        raise Refused(f"A profile set named “{title}” exists already; choose another name.")
    return title


def _store(batch: Batch, found: Sequence[CorpusDialogue]) -> None:
    now = timezone.now()
    rows = Dialogue.objects.bulk_create(
        Dialogue(
            origin=Origin.IMPORTED,
            external_id=each.dialogue_id,
            batch=batch,
            state=DialogueState.COMPLETE,
            turn_count=len(each.turns),
            provenance={"imported": True, "facts": each.facts},
            finished_at=now,
        )
        for each in found
    )
    Turn.objects.bulk_create(
        (
            Turn(
                dialogue=row,
                number=number,
                role=turn.role,
                text=turn.text,
                attempts_used=turn.facts.get("attempts", 1),
                finish_reason=turn.facts.get("finish_reason", ""),
                prompt_tokens=turn.facts.get("prompt_tokens", 0),
                completion_tokens=turn.facts.get("completion_tokens", 0),
                created_at=now,
            )
            for row, each in zip(rows, found, strict=True)
            for number, turn in enumerate(each.turns, start=1)
        ),
        batch_size=2_000,
    )
    note_traits(rows)
    wait_for_screening(rows)
