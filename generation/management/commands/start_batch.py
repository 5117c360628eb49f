"""Start a batch of dialogues, and watch it if wanted."""

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from generation.actions import ArmSpec, Refused, create_batch
from generation.sightings import check_all_endpoints
from generation.waiting import Patience, WaitError, wait_for_batch


def _arms(options: Mapping[str, Any]) -> list[ArmSpec]:
    if not options["arm"] and not options["model"]:
        raise CommandError("Give --model, or --arm for each arm.")
    if options["arm"] and any(
        options[name] for name in ("model", "therapist_model", "client_model")
    ):
        raise CommandError("--arm names the models itself; leave --model out.")
    return [_arm(text) for text in options["arm"]]


def _arm(text: str) -> ArmSpec:
    parts = text.split(":")
    if len(parts) not in {4, 5}:
        raise CommandError(
            f"--arm {text}: write LABEL:PROTOCOL:THERAPIST:CLIENT, and :SWITCH,SWITCH where wanted."
        )
    label, protocol, therapist, client, *rest = (part.strip() for part in parts)
    switches = [each.partition("=") for each in ",".join(rest).split(",") if each.strip()]
    return ArmSpec(
        label=label,
        protocol=protocol,
        therapist_model=therapist,
        client_model=client,
        switches={key.strip(): value.strip() or True for key, _, value in switches},
    )


class Command(BaseCommand):
    """Prints ``batch ID`` first, whatever happens after."""

    help = "Start a batch: profiles x arms x dialogues per profile."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--name", required=True)
        parser.add_argument("--profile-set", required=True, help="name or number")
        parser.add_argument("--protocol", default="sqpsych", help="key, e.g. sqpsych")
        parser.add_argument("--model", default="", help="as the model server names it")
        parser.add_argument("--therapist-model", default=None)
        parser.add_argument("--client-model", default=None)
        parser.add_argument(
            "--arm",
            action="append",
            default=[],
            metavar="LABEL:PROTOCOL:THERAPIST:CLIENT[:SWITCH,...]",
            help="instead of --protocol and --model, once for each arm; a switch is KEY or"
            " KEY=VALUE, as the protocol declares it",
        )
        parser.add_argument(
            "--with-risk",
            default="",
            metavar="REASON",
            help="let profiles with a positive risk item take part, and why",
        )
        parser.add_argument("--per-profile", type=int, default=1, metavar="K")
        parser.add_argument("--seed", type=int, default=0, metavar="S")
        parser.add_argument("--wait", action="store_true", help="until every dialogue has ended")
        parser.add_argument("--timeout", type=float, default=None, metavar="SECONDS")

    def handle(self, *args: Any, **options: Any) -> None:
        arms = _arms(options)
        check_all_endpoints()
        try:
            batch = create_batch(
                name=options["name"],
                profile_set=options["profile_set"],
                arms=arms,
                risk_reason=options["with_risk"],
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
