"""What a study may be made of: names, instruments, raters, dialogues; one sentence for each no."""

from collections.abc import Iterable, Sequence

from generation.models import Batch, Dialogue, DialogueState, Origin
from review.actions.errors import Refused
from review.actions.instruments import current_instruments
from review.models import Instrument, Study
from sqpsych_site.models import User
from sqpsych_site.roles import Verb

MAX_DIALOGUES = 20_000


def checked_name(name: str, *, of: Study | None = None) -> str:
    """The name as it is stored; refused when empty, too long or taken by another than ``of``."""
    title = " ".join(name.split())
    if not title:
        raise Refused("no_name", "A study needs a name.")
    if len(title) > 120:
        raise Refused("long_name", "The name of a study has at most 120 characters.")
    if Study.objects.filter(name=title).exclude(pk=of.pk if of else 0).exists():
        raise taken(title)
    return title


def taken(title: str) -> Refused:
    """Why a second study cannot have this name."""
    return Refused("name_taken", f"A study named “{title}” exists already; choose another name.")


def instrument_rows(wanted: Sequence[Instrument | str]) -> list[Instrument]:
    """The instruments in their order, each once."""
    if not wanted:
        raise Refused("no_instrument", "A study needs at least one instrument.")
    known = current_instruments()
    rows: list[Instrument] = []
    for one in wanted:
        row = known.get(one) if isinstance(one, str) else one
        if row is None:
            names = ", ".join(sorted(known))
            raise Refused(
                "unknown_instrument",
                f"There is no instrument “{one}”; the instruments here are: {names}.",
            )
        if row not in rows:
            rows.append(row)
    return rows


def rater_rows(wanted: Sequence[User | str]) -> list[User]:
    """The raters in the order given, each once."""
    if not wanted:
        raise Refused("no_raters", "A study needs at least one rater.")
    names = [one if isinstance(one, str) else one.username for one in wanted]
    known = {person.username: person for person in User.objects.filter(username__in=names)}
    people: list[User] = []
    for name in names:
        person = known.get(name)
        if person is None:
            raise Refused("unknown_rater", f"There is no account “{name}”; make it first.")
        if not person.is_active:
            raise Refused("inactive_rater", f"The account “{name}” is switched off.")
        if not person.may(Verb.RATE):
            role = person.get_role_display().lower()
            raise Refused(
                "not_a_rater", f"“{name}” is a {role}, but only raters can rate in a study."
            )
        if person not in people:
            people.append(person)
    return people


def dialogue_rows(dialogues: Iterable[Dialogue] | None, batch: Batch | None) -> list[Dialogue]:
    """The complete dialogues by age, each once."""
    if batch is not None:
        dialogues = Dialogue.objects.filter(batch=batch, state=DialogueState.COMPLETE)
    wanted = {dialogue.pk for dialogue in dialogues or ()}
    rows = list(
        Dialogue.objects.filter(pk__in=wanted)
        .select_related("arm__batch")
        .defer("therapist_system", "client_system", "provenance")
        .order_by("pk")
    )
    unfinished = sum(row.state != DialogueState.COMPLETE for row in rows)
    if unfinished:
        raise Refused(
            "unfinished",
            f"{unfinished} of the {len(rows)} dialogues are not complete; leave them out.",
        )
    if any(row.origin == Origin.PREVIEW for row in rows):
        raise Refused("preview", "Dialogues of a preview are not for studies; leave them out.")
    if not rows:
        where = f"The batch “{batch.name}”" if batch else "The selection"
        raise Refused("no_dialogues", f"{where} has no complete dialogue to rate.")
    if len(rows) > MAX_DIALOGUES:
        raise Refused(
            "too_many", f"A study has at most {MAX_DIALOGUES:,} dialogues; these are {len(rows):,}."
        )
    return rows


def check_design(people: int, overlap: int, seed: int) -> None:
    """Refuse an overlap or seed that cannot be."""
    if overlap < 1:
        raise Refused("overlap", "The number of raters per dialogue must be at least 1.")
    if overlap > people:
        raise Refused(
            "overlap",
            f"{overlap} raters per dialogue are wanted, but there are only {people};"
            " add raters or lower the number.",
        )
    if not -(2**63) <= seed < 2**63:
        raise Refused("seed", "The seed must be a whole number of at most 18 digits.")
