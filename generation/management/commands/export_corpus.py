"""Write a batch's dialogues to a file."""

import os
import tempfile
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from generation.actions import corpus_of, record_export
from generation.corpus import FORMATS, CorpusDialogue, write_corpus
from generation.models import Batch


class Command(BaseCommand):
    """Only complete dialogues are written; every row says that it is synthetic."""

    help = "Write the complete dialogues of a batch to a file."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("batch", metavar="BATCH", help="number of the batch")
        parser.add_argument("--format", choices=FORMATS, required=True, dest="file_format")
        parser.add_argument("--output", metavar="FILE", type=Path, required=True)

    def handle(
        self, *args: Any, batch: str, file_format: str, output: Path, **options: Any
    ) -> None:
        row = Batch.objects.filter(pk=int(batch[:18])).first() if batch.isdecimal() else None
        if row is None:
            raise CommandError(f"There is no batch {batch}.")
        count = _Counted(corpus_of(row))
        try:
            _write_whole(output, write_corpus(count, file_format))
        except OSError as error:
            raise CommandError(f"{output} cannot be written: {error.strerror}.") from None
        record_export(batch=row, file_format=file_format, dialogues=count.seen, by=None)
        self.stdout.write(f"{count.seen} dialogues written to {output}")


class _Counted:
    """Counts what goes by."""

    def __init__(self, dialogues: Iterator[CorpusDialogue]) -> None:
        self._dialogues = dialogues
        self.seen = 0

    def __iter__(self) -> Iterator[CorpusDialogue]:
        for dialogue in self._dialogues:
            self.seen += 1
            yield dialogue


def _write_whole(output: Path, pieces: Iterator[str]) -> None:
    """The file appears under its name only when it is complete."""
    handle, draft = tempfile.mkstemp(dir=output.parent, prefix=f".{output.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.writelines(pieces)
        Path(draft).replace(output)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
