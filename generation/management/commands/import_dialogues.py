"""Import dialogues made elsewhere, to be rated here."""

import tempfile
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, BinaryIO, cast

from django.core.management.base import BaseCommand, CommandError

from generation.actions import Refused, import_dialogues, screen_imported
from generation.actions.dialogues import FOLDER, UTTERANCES, format_of
from generation.corpus import READABLE
from generation.corpus_folder import pack
from generation.corpus_rows import RowChoice
from generation.models import Batch


class Command(BaseCommand):
    """The file becomes one finished batch; it is stored whole or not at all."""

    help = "Import dialogues from a file (or a folder made for datasets) as one finished batch."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE", type=Path)
        parser.add_argument(
            "--format", choices=(*READABLE, FOLDER, UTTERANCES), default=None, dest="file_format"
        )
        parser.add_argument("--name", default="", help="name of the batch; else the file's name")
        columns = parser.add_argument_group("columns", "for CSV with one utterance a row")
        columns.add_argument("--dialogue-column", default="", metavar="COLUMN")
        columns.add_argument("--turn-column", default="", metavar="COLUMN")
        columns.add_argument("--role-column", default="", metavar="COLUMN")
        columns.add_argument("--text-column", default="", metavar="COLUMN")
        columns.add_argument(
            "--therapist", default="therapist", metavar="VALUE", help="in the role column"
        )
        columns.add_argument(
            "--client", default="client", metavar="VALUE", help="in the role column"
        )

    def handle(self, *args: Any, file: Path, name: str, **options: Any) -> None:
        try:
            if file.is_dir():
                with tempfile.TemporaryFile(prefix="sqpsych-") as packed:
                    pack(file, cast(BinaryIO, packed), root=file.name, only="*.parquet")
                    packed.seek(0)
                    batch = self._store(file, cast(BinaryIO, packed), name, options)
            else:
                with file.open("rb") as source:
                    batch = self._store(file, source, name, options)
        except OSError as error:
            raise CommandError(f"{file} cannot be read: {error.strerror}.") from None
        except Refused as refusal:
            raise CommandError(str(refusal)) from None
        while screen_imported():
            pass
        self.stdout.write(f"batch {batch.pk}: {batch.dialogues.count()} dialogues imported")

    def _store(self, file: Path, source: BinaryIO, name: str, options: dict[str, Any]) -> Batch:
        choice = None
        if options["dialogue_column"]:
            choice = RowChoice(
                dialogue=options["dialogue_column"],
                turn=options["turn_column"],
                role=options["role_column"],
                text=options["text_column"],
                roles={options["therapist"]: "therapist", options["client"]: "client"},
            )
        known = UTTERANCES if choice else options["file_format"]
        return import_dialogues(
            name=name or file.stem,
            filename=file.name,
            source=source,
            file_format=known or format_of(file.name, source),
            choice=choice,
            by=None,
        )
