"""Write the ratings of one study or several as files."""

from argparse import ArgumentParser
from datetime import date
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from review.actions import Refused
from review.exports import MANIFEST, Origin, export_to
from review.lookup import find_study
from review.tables import Options
from review.writers import FORMATS


class Command(BaseCommand):
    """Prints one line per file."""

    help = "Write ratings_long, ratings_wide, flags, evidence, agreement, codebook, manifest, ..."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("study", nargs="+", help="name or number")
        parser.add_argument("--output", required=True, metavar="DIR")
        parser.add_argument("--format", choices=FORMATS, default="csv")
        parser.add_argument("--no-comments", action="store_true", help="leave out all comments")
        parser.add_argument(
            "--key", action="store_true", help="also write the blinding key; keep it apart"
        )
        for name, metavar in (
            ("instrument", "KEY"),
            ("arm", "NAME"),
            ("rater", "CODE"),
            ("state", "STATE"),
        ):
            parser.add_argument(
                f"--{name}", action="append", default=[], metavar=metavar,
                help="only these; may be given several times",
            )  # fmt: skip
        parser.add_argument("--since", type=date.fromisoformat, metavar="YYYY-MM-DD")
        parser.add_argument("--until", type=date.fromisoformat, metavar="YYYY-MM-DD")

    def handle(self, *args: Any, **options: Any) -> None:
        directory = Path(options["output"])
        chosen = Options(
            comments=not options["no_comments"],
            format=options["format"],
            instruments=tuple(options["instrument"]),
            arms=tuple(options["arm"]),
            raters=tuple(options["rater"]),
            states=tuple(options["state"]),
            since=options["since"],
            until=options["until"],
        )
        try:
            files = export_to(
                studies=[find_study(one) for one in options["study"]],
                directory=directory,
                options=chosen,
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
