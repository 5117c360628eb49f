"""Make a study from the complete dialogues of a batch."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from generation.models import Dialogue, DialogueState, Origin
from review.actions import Refused, create_study
from review.actions.study_design import DEFAULT_INSTRUMENTS
from review.lookup import find_batch


class Command(BaseCommand):
    """Prints ``study ID`` first."""

    help = "Make a study: dialogues x raters under one design."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--name", required=True)
        source = parser.add_mutually_exclusive_group(required=True)
        source.add_argument("--batch", help="name or number; its complete dialogues are taken")
        source.add_argument("--demo", action="store_true", help="take the demo dialogues")
        parser.add_argument(
            "--instrument",
            action="append",
            metavar="KEY",
            help=f"may be given several times; default: {', '.join(DEFAULT_INSTRUMENTS)}",
        )
        parser.add_argument("--raters", required=True, metavar="A,B,C", help="names of accounts")
        parser.add_argument("--overlap", type=int, default=1, metavar="K")
        parser.add_argument("--seed", type=int, default=0, metavar="S")

    def handle(self, *args: Any, **options: Any) -> None:
        keys = options["instrument"] or list(DEFAULT_INSTRUMENTS)
        try:
            study = create_study(
                name=options["name"],
                raters=_names(options["raters"]),
                by=None,
                instruments=[key for part in keys for key in _names(part)],
                overlap=options["overlap"],
                seed=options["seed"],
                **_dialogues(options),
            )
        except Refused as refused:
            raise CommandError(refused.sentence) from None
        report = study.design
        self.stdout.write(f"study {study.pk}")
        loads = ", ".join(f"{rater} {load}" for rater, load in report["loads"].items())
        dialogues = sum(report["raters_per_dialogue"].values())
        self.stdout.write(f"{dialogues} dialogues; dialogues per rater: {loads}")
        for sentence in report["unmet"]:
            self.stdout.write(f"note: {sentence}")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _dialogues(options: dict[str, Any]) -> dict[str, Any]:
    if options["demo"]:
        rows = Dialogue.objects.filter(origin=Origin.DEMO, state=DialogueState.COMPLETE)
        return {"dialogues": rows}
    return {"batch": find_batch(options["batch"])}
