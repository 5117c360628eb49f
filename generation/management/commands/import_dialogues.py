"""Import dialogues made elsewhere, to be rated here."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from generation.actions import Refused, import_dialogues
from generation.corpus import READABLE


class Command(BaseCommand):
    """The file becomes one finished batch; it is stored whole or not at all."""

    help = "Import dialogues from a file as one finished batch."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE", type=Path)
        parser.add_argument("--format", choices=READABLE, default=None, dest="file_format")
        parser.add_argument("--name", default="", help="name of the batch; else the file's name")

    def handle(
        self, *args: Any, file: Path, file_format: str | None, name: str, **options: Any
    ) -> None:
        chosen = file_format or ("messages" if file.suffix.lower() == ".jsonl" else "turns")
        try:
            content = file.read_bytes()
        except OSError as error:
            raise CommandError(f"{file} cannot be read: {error.strerror}.") from None
        try:
            batch = import_dialogues(
                name=name or file.stem,
                filename=file.name,
                content=content,
                file_format=chosen,
                by=None,
            )
        except Refused as refusal:
            raise CommandError(str(refusal)) from None
        self.stdout.write(f"batch {batch.pk}: {batch.dialogues.count()} dialogues imported")
