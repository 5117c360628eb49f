"""Studies and batches by what a person types: a number or a name."""

from generation.models import Batch
from review.actions import Refused
from review.models import Study


def find_study(text: str) -> Study:
    """The study with this name, else with this number. Raises Refused."""
    found = Study.objects.filter(name=text.strip()).first()
    if found is None and text.isdecimal():
        found = Study.objects.filter(pk=int(text[:18])).first()
    if found is None:
        known = ", ".join(f"{pk} “{name}”" for pk, name in _newest())
        offer = f"the newest are: {known}" if known else "there is none yet"
        raise Refused("unknown_study", f"There is no study “{text}”; {offer}.")
    return found


def _newest() -> list[tuple[int, str]]:
    return list(Study.objects.listed().order_by("-pk").values_list("pk", "name")[:5])


def find_batch(text: str) -> Batch:
    """The batch with this name, else with this number. Raises Refused, also when several fit."""
    found = list(Batch.objects.filter(name=text.strip()).order_by("pk")[:10])
    if not found and text.isdecimal():
        found = list(Batch.objects.filter(pk=int(text[:18])))
    if not found:
        raise Refused("unknown_batch", f"There is no batch “{text}”.")
    if len(found) > 1:
        numbers = ", ".join(str(row.pk) for row in found)
        sentence = f"Several batches are called “{text}”: give a number, one of {numbers}."
        raise Refused("several_batches", sentence)
    return found[0]
