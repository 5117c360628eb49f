"""Make a study from the complete dialogues of a batch."""

from argparse import ArgumentParser
from dataclasses import replace
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from generation.models import Dialogue, DialogueState, Origin
from review.actions import Choices, Refused, Wishes, begin_study, draft_study
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
        parser.add_argument(
            "--share",
            type=int,
            default=100,
            metavar="PERCENT",
            help="for so many of the dialogues; the others get one rater",
        )
        parser.add_argument("--repeats", type=int, default=0, help="hidden repeats per rater")
        parser.add_argument("--draft", action="store_true", help="do not begin it yet")

    def handle(self, *args: Any, **options: Any) -> None:
        keys = options["instrument"] or list(DEFAULT_INSTRUMENTS)
        wishes = Wishes(
            raters=_names(options["raters"]),
            instruments=[key for part in keys for key in _names(part)],
            overlap=options["overlap"],
            seed=options["seed"],
            choices=Choices(share=options["share"] / 100, repeats=options["repeats"]),
        )
        try:
            with transaction.atomic():
                wishes = replace(wishes, **_dialogues(options))
                study = draft_study(name=options["name"], wishes=wishes, by=None)
                if not options["draft"]:
                    begin_study(study=study, by=None)
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
