"""Print how far the raters of a study agree, item by item."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from review.actions import Refused
from review.bootstrap import Result
from review.lookup import find_study
from review.study_agreement import ItemAgreement, agreement_of


class Command(BaseCommand):
    """A table for people, or JSON for programs."""

    help = "Agreement per item over submitted ratings, each figure with its 95 % interval."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("study", help="name or number")
        parser.add_argument("--json", action="store_true", help="for programs")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            study = find_study(options["study"])
        except Refused as refused:
            raise CommandError(refused.sentence) from None
        items = list(agreement_of(study))
        if options["json"]:
            body = {
                "study": study.pk,
                "name": study.name,
                "items": [one.as_json() for one in items],
            }
            self.stdout.write(json.dumps(body, ensure_ascii=False, indent=2))
            return
        self.stdout.write(_line("item", "level", "units", "% agreement", "alpha", "Gwet AC"))
        for one in items:
            self.stdout.write(_row(one))


def _row(one: ItemAgreement) -> str:
    return _line(
        f"{one.instrument}/{one.item}",
        one.level,
        str(one.units),
        _figure(one.percent_agreement, 100),
        _figure(one.krippendorff_alpha),
        _figure(one.gwet_ac),
    )


def _line(*cells: str) -> str:
    widths = (40, 8, 6, 22, 22, 22)
    return " ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _figure(result: Result, times: int = 1) -> str:
    if result.estimate is None:
        return "not defined"
    digits = 0 if times == 100 else 2
    text = f"{result.estimate * times:.{digits}f}"
    if result.low is None or result.high is None:
        return text
    return f"{text} [{result.low * times:.{digits}f}, {result.high * times:.{digits}f}]"
