"""Studies: made with their whole design at once, then paused, resumed, closed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from django.db import IntegrityError, transaction

from generation.models import Batch, Dialogue
from review.actions.errors import Refused
from review.actions.study_checks import (
    check_design,
    checked_name,
    dialogue_rows,
    instrument_rows,
    rater_rows,
    taken,
)
from review.actions.study_design import Design
from review.models import Flag, Instrument, Study, StudyInstrument, StudyState, blank_settings
from sqpsych_site import audit
from sqpsych_site.models import AuditEntry, User

DEFAULT_INSTRUMENTS = ("sqpsych-expert", "safety")
FLAG_SEEN = "flag.seen"


@dataclass(frozen=True)
class StudyTexts:
    """What raters are told about a study."""

    guidelines: str = ""
    contact: str = ""
    deadline: date | None = None


@transaction.atomic
def create_study(
    *,
    name: str,
    raters: Sequence[User | str],
    by: User | None,
    dialogues: Iterable[Dialogue] | None = None,
    batch: Batch | None = None,
    instruments: Sequence[Instrument | str] = DEFAULT_INSTRUMENTS,
    overlap: int = 1,
    seed: int = 0,
    texts: StudyTexts = StudyTexts(),
    settings: Mapping[str, bool] | None = None,
) -> Study:
    """Make a running study of the complete dialogues given, or of those of a batch.

    Every dialogue gets a code, every rater a pseudonym, both in an order that ``seed`` shuffles;
    assignments come from :func:`review.allocation.allocate`. The design is stored with the study.
    Raises Refused, and nothing is stored.
    """
    title = checked_name(name)
    forms = instrument_rows(instruments)
    people = rater_rows(raters)
    chosen = dialogue_rows(dialogues, batch)
    check_design(len(people), overlap, seed)
    study = Study(
        name=title,
        overlap=overlap,
        seed=seed,
        deadline=texts.deadline,
        guidelines=texts.guidelines,
        contact=texts.contact,
        settings=blank_settings() | dict(settings or {}),
        created_by=by,
    )
    try:
        with transaction.atomic():
            study.save(force_insert=True)
    except IntegrityError:  # somebody else was faster
        raise taken(title) from None
    StudyInstrument.objects.bulk_create(
        StudyInstrument(study=study, instrument=row, position=position)
        for position, row in enumerate(forms, start=1)
    )
    Design(study, people, chosen).store()
    audit.record(
        by=by,
        action="study.create",
        target=f"study {study.pk}",
        dialogues=len(chosen),
        raters=len(people),
        overlap=overlap,
        seed=seed,
        instruments=[row.sha256 for row in forms],
    )
    return study


CHANGES: Mapping[str, tuple[frozenset[str], StudyState, str]] = {
    "pause": (frozenset({StudyState.RUNNING}), StudyState.PAUSED, "is not running"),
    "resume": (frozenset({StudyState.PAUSED}), StudyState.RUNNING, "is not paused"),
    "close": (
        frozenset({StudyState.CALIBRATION, StudyState.RUNNING, StudyState.PAUSED}),
        StudyState.CLOSED,
        "is not open",
    ),
    "reopen": (frozenset({StudyState.CLOSED}), StudyState.PAUSED, "is not closed"),
}


@transaction.atomic
def change_study(*, study: Study, change: str, by: User | None) -> None:
    """Pause, resume, close or reopen (to paused) a study; one conditional update.

    Raises Refused when the study is not in a state that allows it.
    """
    if change not in CHANGES:
        raise Refused("unknown_change", "A study can be paused, resumed, closed or reopened.")
    before, after, problem = CHANGES[change]
    if Study.objects.filter(pk=study.pk, state__in=before).update(state=after) != 1:
        raise Refused(
            "wrong_state",
            f"The study “{study.name}” {problem}; look at its page again.",
            status=409,
        )
    audit.record(by=by, action=f"study.{change}", target=f"study {study.pk}")


@transaction.atomic
def mark_flag_seen(*, flag: Flag, by: User) -> None:
    """Note that a person of the study has looked at a safety flag; once is enough.

    A flag that its rater changes later counts as not seen again.
    """
    seen = AuditEntry.objects.filter(
        action=FLAG_SEEN, target=f"flag {flag.uid}", at__gte=flag.updated_at
    )
    if not seen.exists():
        audit.record(by=by, action=FLAG_SEEN, target=f"flag {flag.uid}")
