"""Print how far the raters of a study agree, item by item."""

import json
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from review import result_rows
from review.actions import Refused
from review.kept_figures import make_figures
from review.lookup import find_study
from review.result_rows import COLUMNS, Line, Shown

NAMES = ("estimate", "low", "high", "units", "note")


class Command(BaseCommand):
    """A table for people, or JSON for programs."""

    help = "Agreement over submitted ratings, each figure with its 95 % interval."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("study", help="name or number")
        parser.add_argument("--json", action="store_true", help="everything, for programs")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            study = find_study(options["study"])
        except Refused as refused:
            raise CommandError(refused.sentence) from None
        figures = make_figures(study)
        if options["json"]:
            body = {"study": study.pk, "name": study.name, **_named(figures)}
            self.stdout.write(json.dumps(body, ensure_ascii=False, indent=2))
            return
        for kind, heading in result_rows.HEADINGS.items():
            if rows := result_rows.lines(figures, kind):
                self.stdout.write(_line(heading, "level", "units", *COLUMNS.values()))
                for row in rows:
                    self.stdout.write(_row(row))


def _named(value: Any) -> Any:
    """The kept figures with each list of five as an object with named parts."""
    if isinstance(value, dict):
        return {key: _named(one) for key, one in value.items()}
    if (
        isinstance(value, list)
        and len(value) == len(NAMES)
        and [type(one) for one in value[3:]]
        == [
            int,
            str,
        ]
    ):
        return dict(zip(NAMES, value, strict=True))
    return [_named(one) for one in value] if isinstance(value, list) else value


def _row(row: Line) -> str:
    measure = row.measure
    return _line(
        f"{measure['instrument']}/{measure['key']}",
        measure["level"],
        str(row.units),
        *map(_figure, row.cells),
    )


def _line(*cells: str) -> str:
    widths: Sequence[int] = (40, 8, 6, 22, 22, 22, 22)
    return " ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _figure(cell: Shown | None) -> str:
    if cell is None:
        return ""
    return f"{cell.text} [{cell.interval}]" if cell.interval else cell.text
