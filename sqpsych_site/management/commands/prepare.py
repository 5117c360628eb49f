"""What every start does first: definitions, and once the accounts and the demo."""

from argparse import ArgumentParser, BooleanOptionalAction
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from generation.actions import Refused as GenerationRefused
from generation.demo.load import DemoError
from generation.sightings import check_all_endpoints
from review.actions import Refused
from sqpsych_site.people import AccountRefused
from sqpsych_site.prepare import NewAccount, prepare

RULE = "=" * 68


class Command(BaseCommand):
    """Says nothing when nothing was to be done."""

    help = "Store what comes with the program; with --demo fill a first demo, once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--demo", action=BooleanOptionalAction, default=True)

    def handle(self, *args: Any, **options: Any) -> None:
        if options["demo"] and settings.SQPSYCH_VLLM_URL:
            check_all_endpoints()
        try:
            prepare(demo=options["demo"], announce=self._announce)
        except Refused as refused:
            raise CommandError(refused.sentence) from None
        except (GenerationRefused, AccountRefused, DemoError) as refused:
            raise CommandError(str(refused)) from None

    def _announce(self, accounts: Sequence[NewAccount]) -> None:
        width = max(len(account.username) for account in accounts)
        lines = ["", RULE, "  SQPsych made these accounts. The passwords are shown only now.", ""]
        lines += [
            f"    {one.username.ljust(width)}   {one.password}   {one.role}" for one in accounts
        ]
        self.stdout.write("\n".join([*lines, RULE, ""]))
        self.stdout.flush()
