"""Import client profiles from files."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from generation.actions import Refused, current_definitions, import_profiles
from generation.profile_mapping import Choice, guessed
from generation.profile_records import Problems, ProfileFileError
from generation.profile_sources import has_our_columns, read_source


class Command(BaseCommand):
    """One profile set per file; a file is stored whole or not at all."""

    help = "Import client profiles from files, one profile set per file."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("files", nargs="+", metavar="FILE", type=Path)
        parser.add_argument(
            "--name", default="", help="name of the set (one file only); else the file's name"
        )
        parser.add_argument(
            "--map",
            action="append",
            default=[],
            metavar="COLUMN=TARGET",
            help="what a column is: profile_id, age, birth_year, gender, condition, item:phq9_1, "
            "total:phq9, band:phq9, fact, or nothing to leave it out; the rest is guessed",
        )
        parser.add_argument(
            "--code",
            action="append",
            default=[],
            metavar="COLUMN:CODE=MEANING",
            help="what a code of gender or condition means, such as gender:1=female",
        )
        parser.add_argument(
            "--same",
            action="append",
            default=[],
            metavar="COLUMN=VALUE",
            help="gender or condition of all clients, where no column holds it",
        )
        parser.add_argument("--event", default="", help="event to take the answers from (REDCap)")
        parser.add_argument(
            "--year", type=int, default=None, help="year of assessment; else this year"
        )

    def handle(self, *args: Any, files: list[Path], name: str, **options: Any) -> None:
        if name and len(files) > 1:
            raise CommandError("--name goes with one file only; leave it out to use their names.")
        for path in files:
            try:
                content = path.read_bytes()
            except OSError as error:
                raise CommandError(f"{path} cannot be read: {error.strerror}.") from None
            self._store(name or path.stem, path.name, content, options)

    def _store(self, name: str, filename: str, content: bytes, options: dict[str, Any]) -> None:
        try:
            choice = self._choice(filename, content, options)
            found = import_profiles(
                name=name, filename=filename, content=content, by=None, choice=choice
            )
        except ProfileFileError as error:
            for problem in error.problems:
                self.stderr.write(str(problem))
            raise CommandError(f"{filename}: nothing was stored.") from None
        except Refused as refusal:
            raise CommandError(str(refusal)) from None
        count = found.profiles.count()
        flagged = found.profiles.exclude(findings=[]).count()
        more = f", {flagged} with contradictions" if flagged else ""
        self.stdout.write(f"profile set {found.pk} “{found.name}”: {count} profiles{more}")

    def _choice(self, filename: str, content: bytes, options: dict[str, Any]) -> Choice | None:
        """How to read a file with other columns than ours; None for one with ours."""
        definitions = current_definitions()
        source = read_source(filename, content, definitions, Problems(filename))
        given = _pairs(options["map"], "--map")
        if has_our_columns(source) and not given:
            return None
        for column in given:
            if column not in source.table.columns:
                raise CommandError(f"{filename} has no column “{column}”, which --map names.")
        targets = guessed(source, definitions) | given
        left_out = [column for column, target in targets.items() if not target]
        if left_out:
            self.stdout.write(f"left out: {', '.join(left_out)}")
        codes: dict[str, dict[str, str]] = {}
        for coded, meaning in _pairs(options["code"], "--code").items():
            column, _, code = coded.partition(":")
            codes.setdefault(column, {})[code] = meaning
        return Choice(
            targets=targets,
            codes=codes,
            same=_pairs(options["same"], "--same"),
            event=options["event"],
            year=options["year"] or timezone.localdate().year,
        )


def _pairs(given: list[str], option: str) -> dict[str, str]:
    found = {}
    for each in given:
        name, sign, value = each.rpartition("=")
        if not sign:
            raise CommandError(f"{option} “{each}” has no “=”; write NAME=VALUE.")
        found[name] = value
    return found
