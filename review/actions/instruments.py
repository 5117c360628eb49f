"""Instruments as rows: a definition is stored once, unchanged, under its hash."""

from django.db import transaction

from review.actions.errors import Refused
from review.instruments import Instrument as Definition
from review.instruments import InstrumentError, builtin_instruments, load_instrument
from review.models import Instrument
from sqpsych_site import audit
from sqpsych_site.models import User


@transaction.atomic
def sync_instruments() -> int:
    """Store the instruments that come with the program. Returns how many were new.

    Safe to call at any time and from several processes: a row is known by its hash.
    """
    before = Instrument.objects.count()
    rows = [_row(definition) for definition in builtin_instruments().values()]
    Instrument.objects.bulk_create(rows, ignore_conflicts=True)
    return Instrument.objects.count() - before


@transaction.atomic
def add_instrument(*, text: str, origin: str, by: User | None) -> Instrument:
    """Store a group's own instrument file; the same text again gives the row it has."""
    try:
        definition = load_instrument(text, origin)
    except InstrumentError as error:
        raise Refused("bad_instrument", str(error)) from None
    Instrument.objects.bulk_create([_row(definition)], ignore_conflicts=True)
    row = Instrument.objects.get(sha256=definition.sha256)
    audit.record(by=by, action="instrument.add", target=str(row), sha256=row.sha256)
    return row


def current_instruments() -> dict[str, Instrument]:
    """The row to use for each key: the version that comes with the program, else the newest."""
    sync_instruments()
    rows = list(Instrument.objects.order_by("created_at", "pk"))
    built_in = {form.sha256 for form in builtin_instruments().values()}
    newest = {row.key: row for row in rows}
    return newest | {row.key: row for row in rows if row.sha256 in built_in}


def _row(definition: Definition) -> Instrument:
    return Instrument(
        key=definition.key,
        version=definition.version,
        title=str(definition.title),
        sha256=definition.sha256,
        toml=definition.toml,
        licence=definition.licence,
    )
