"""Write a batch's dialogues to a file or folder."""

import os
import shutil
import tempfile
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from generation.actions import export_corpus, export_folder
from generation.actions.corpus import ALL_FORMATS, FOLDER
from generation.models import Batch


class Command(BaseCommand):
    """Only complete dialogues are written; every row says that it is synthetic."""

    help = "Write the complete dialogues of a batch to a file, or to a folder for datasets."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("batch", metavar="BATCH", help="number of the batch")
        parser.add_argument("--format", choices=ALL_FORMATS, required=True, dest="file_format")
        parser.add_argument(
            "--output", metavar="PATH", type=Path, required=True, help="file, or new folder"
        )

    def handle(
        self, *args: Any, batch: str, file_format: str, output: Path, **options: Any
    ) -> None:
        row = Batch.objects.filter(pk=int(batch[:18])).first() if batch.isdecimal() else None
        if row is None:
            raise CommandError(f"There is no batch {batch}.")
        if row.preview:
            raise CommandError(f"Batch {batch} is a preview; previews are in no corpus.")
        try:
            count = (
                _write_folder(row, output)
                if file_format == FOLDER
                else _write_file(row, file_format, output)
            )
        except OSError as error:
            raise CommandError(f"{output} cannot be written: {error.strerror}.") from None
        self.stdout.write(f"{count} dialogues written to {output}")


def _write_file(batch: Batch, file_format: str, output: Path) -> int:
    """The file appears under its name only when it is complete."""
    handle, draft = tempfile.mkstemp(dir=output.parent, prefix=f".{output.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            count = export_corpus(batch=batch, file_format=file_format, out=file, by=None)
        Path(draft).replace(output)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
    return count


def _write_folder(batch: Batch, output: Path) -> int:
    """The folder appears under its name only when it is complete; one that is there stays."""
    if output.exists():
        raise CommandError(f"{output} is there already; name a folder that is not.")
    draft = Path(tempfile.mkdtemp(dir=output.parent, prefix=f".{output.name}."))
    try:
        count = export_folder(batch=batch, folder=draft / "corpus", by=None)
        (draft / "corpus").rename(output)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return count
