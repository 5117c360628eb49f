"""Import client profiles from files."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from generation.actions import Refused, import_profiles
from generation.profiles import ProfileFileError


class Command(BaseCommand):
    """One profile set per file; a file is stored whole or not at all."""

    help = "Import client profiles from CSV or JSONL files, one profile set per file."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("files", nargs="+", metavar="FILE", type=Path)
        parser.add_argument(
            "--name", default="", help="name of the set (one file only); else the file's name"
        )

    def handle(self, *args: Any, files: list[Path], name: str, **options: Any) -> None:
        if name and len(files) > 1:
            raise CommandError("--name goes with one file only; leave it out to use their names.")
        for path in files:
            try:
                content = path.read_bytes()
            except OSError as error:
                raise CommandError(f"{path} cannot be read: {error.strerror}.") from None
            self._store(name or path.stem, path.name, content)

    def _store(self, name: str, filename: str, content: bytes) -> None:
        try:
            found = import_profiles(name=name, filename=filename, content=content, by=None)
        except ProfileFileError as error:
            for problem in error.problems:
                self.stderr.write(str(problem))
            raise CommandError(f"{filename}: nothing was stored.") from None
        except Refused as refusal:
            raise CommandError(str(refusal)) from None
        count = found.profiles.count()
        self.stdout.write(f"profile set {found.pk} “{found.name}”: {count} profiles")
