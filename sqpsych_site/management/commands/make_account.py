"""Make an account with a random password, which is printed once."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from sqpsych_site.people import AccountRefused, create_account
from sqpsych_site.roles import Role


class Command(BaseCommand):
    """Prints the name and the password."""

    help = "Make an account; the password is shown only now."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--role", required=True, help=", ".join(Role.values))

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            user, password = create_account(
                username=options["username"], role=options["role"], by=None
            )
        except AccountRefused as refused:
            raise CommandError(str(refused)) from None
        self.stdout.write(f"account {user.username} ({user.get_role_display().lower()})")
        self.stdout.write(f"password {password}")
