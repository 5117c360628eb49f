"""Start a batch of dialogues, and watch it if wanted."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from generation.actions import Refused, create_batch
from generation.sightings import check_all_endpoints
from generation.waiting import Patience, WaitError, wait_for_batch


class Command(BaseCommand):
    """Prints ``batch ID`` first, whatever happens after."""

    help = "Start a batch: profiles x dialogues per profile, under one protocol and model."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--name", required=True)
        parser.add_argument("--profile-set", required=True, help="name or number")
        parser.add_argument("--protocol", default="sqpsych", help="key, e.g. sqpsych")
        parser.add_argument("--model", required=True, help="as the model server names it")
        parser.add_argument("--therapist-model", default=None)
        parser.add_argument("--client-model", default=None)
        parser.add_argument("--per-profile", type=int, default=1, metavar="K")
        parser.add_argument("--seed", type=int, default=0, metavar="S")
        parser.add_argument("--wait", action="store_true", help="until every dialogue has ended")
        parser.add_argument("--timeout", type=float, default=None, metavar="SECONDS")

    def handle(self, *args: Any, **options: Any) -> None:
        check_all_endpoints()
        try:
            batch = create_batch(
                name=options["name"],
                profile_set=options["profile_set"],
                protocol=options["protocol"],
                model=options["model"],
                therapist_model=options["therapist_model"],
                client_model=options["client_model"],
                per_profile=options["per_profile"],
                seed=options["seed"],
                by=None,
            )
        except Refused as refusal:
            raise CommandError(str(refusal)) from None
        self.stdout.write(f"batch {batch.pk}")
        self.stdout.flush()
        if not options["wait"]:
            return
        try:
            last = wait_for_batch(batch, Patience(options["timeout"]), self._say)
        except WaitError as error:
            raise CommandError(str(error)) from None
        self._say(last)

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
