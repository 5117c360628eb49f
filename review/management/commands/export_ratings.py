"""Write the ratings of a study as CSV files."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from review.actions import Refused
from review.exports import MANIFEST, Origin, export_to
from review.lookup import find_study
from review.tables import Options


class Command(BaseCommand):
    """Prints one line per file."""

    help = "Write ratings_long.csv, ratings_wide.csv, flags.csv, evidence.csv, codebook, manifest."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("study", help="name or number")
        parser.add_argument("--output", required=True, metavar="DIR")
        parser.add_argument("--no-comments", action="store_true", help="leave out all comments")
        parser.add_argument(
            "--key", action="store_true", help="also write blinding_key.csv; keep it apart"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        directory = Path(options["output"])
        try:
            files = export_to(
                study=find_study(options["study"]),
                directory=directory,
                options=Options(comments=not options["no_comments"]),
                origin=Origin(None, "command"),
                key=options["key"],
            )
        except Refused as refused:
            raise CommandError(refused.sentence) from None
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise CommandError(f"{directory} cannot be written: {reason}.") from None
        for file in files:
            self.stdout.write(f"{directory / file.name}: {file.rows:,} rows")
        self.stdout.write(f"{directory / MANIFEST}: hashes of the files")
