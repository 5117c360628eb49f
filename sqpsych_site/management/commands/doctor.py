"""Say what is fine and what is not; the exit status is 1 when something is not."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from sqpsych_site.diagnosis import diagnosis


class Command(BaseCommand):
    """One line per part."""

    help = "Look at the database, broker, worker, model servers, disk and versions."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        bad = []
        for check in diagnosis():
            self.stdout.write(f"{'ok  ' if check.ok else 'FAIL'} {check.name}: {check.detail}")
            bad += [] if check.ok else [check.name]
        if bad:
            raise CommandError(f"Not fine: {', '.join(dict.fromkeys(bad))}.")
