"""A study's instruments as rows and parsed; they never change, so the process keeps them."""

from functools import lru_cache

from review import instruments
from review.models import Assignment, Instrument


def definition_of(row: Instrument, language: str = "en") -> instruments.Instrument:
    """The parsed instrument in one language."""
    return instruments.cached_instrument(row.toml, language)


@lru_cache(maxsize=256)
def stored_instrument(pk: int) -> Instrument:
    """The row with this number; a trigger keeps rows from changing, so one look is enough."""
    return Instrument.objects.get(pk=pk)


def instruments_of(assignment: Assignment) -> list[Instrument]:
    """The study's instruments in their order; no query for what came :meth:`with_work`."""
    numbers = getattr(assignment, "instrument_ids", None)
    if numbers is None:
        links = assignment.study.study_instruments.order_by("position")
        numbers = links.values_list("instrument_id", flat=True)
    return [stored_instrument(pk) for pk in numbers]
