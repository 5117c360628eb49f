"""Studies: drafted with their whole design, begun, paused, resumed, closed, archived."""

from collections.abc import Iterable, Mapping, Sequence

from django.db import IntegrityError, transaction
from django.utils import timezone

from generation.models import Batch, Dialogue
from review.actions import gate
from review.actions.dealing import deal
from review.actions.errors import Refused
from review.actions.study_checks import checked_name, rater_rows, taken
from review.actions.study_choices import NO_TEXTS, USUAL_CHOICES, Choices, StudyTexts
from review.actions.study_design import DEFAULT_INSTRUMENTS, Draft, Wishes, give_training
from review.models import Flag, Instrument, Study, StudyState
from sqpsych_site import audit
from sqpsych_site.models import AuditEntry, User

FLAG_SEEN = "flag.seen"
OPEN = (StudyState.CALIBRATION, StudyState.RUNNING, StudyState.PAUSED)


@transaction.atomic
def draft_study(*, name: str, wishes: Wishes, by: User | None) -> Study:
    """Make a draft with its whole design.

    Every dialogue gets a code, every rater a pseudonym, both in an order that the seed shuffles;
    who rates what comes from :func:`review.allocation.allocate`, and the report on it is stored
    with the study. Raises Refused, and nothing is stored.
    """
    title = checked_name(name)
    study = Study(name=title, state=StudyState.DRAFT, created_by=by, **wishes.columns())
    draft = wishes.checked(study)
    try:
        with transaction.atomic():
            study.save(force_insert=True)
    except IntegrityError:  # somebody else was faster
        raise taken(title) from None
    draft.write()
    _record("study.create", draft, by)
    return study


@transaction.atomic
def revise_study(*, study: Study, name: str, wishes: Wishes, by: User | None) -> None:
    """Make a draft anew from other wishes."""
    study = locked_study(study, StudyState.DRAFT)
    study.name = checked_name(name, of=study)
    draft = wishes.checked(study)
    draft.erase()
    for column, value in wishes.columns().items():
        setattr(study, column, value)
    study.save()
    draft.write()
    _record("study.revise", draft, by)


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
    texts: StudyTexts = NO_TEXTS,
    settings: Mapping[str, bool] | None = None,
    choices: Choices = USUAL_CHOICES,
) -> Study:
    """Draft a study and begin it at once."""
    wishes = Wishes(
        raters=raters,
        dialogues=dialogues,
        batch=batch,
        instruments=instruments,
        overlap=overlap,
        seed=seed,
        texts=texts,
        settings=settings or {},
        choices=choices,
    )
    return begin_study(study=draft_study(name=name, wishes=wishes, by=by), by=by)


def _record(action: str, draft: Draft, by: User | None) -> None:
    audit.record(
        by=by,
        action=action,
        target=f"study {draft.study.pk}",
        dialogues=len(draft.dialogues),
        training=len(draft.training),
        raters=len(draft.people),
        overlap=draft.study.overlap,
        seed=draft.study.seed,
        instruments=[row.sha256 for row in draft.forms],
    )


def locked_study(study: Study, *states: StudyState) -> Study:
    """The study, its row locked until the transaction ends; refused in any other state."""
    row = Study.objects.select_for_update().get(pk=study.pk)
    if row.state not in states:
        raise Refused(
            "wrong_state",
            f"The study “{row.name}” is {row.get_state_display().lower()} now, so this cannot be"
            " done; look at its page again.",
            status=409,
        )
    return row


@transaction.atomic
def begin_study(*, study: Study, by: User | None) -> Study:
    """Give out the work of a draft: with training dialogues it begins to calibrate, else to run."""
    study = locked_study(study, StudyState.DRAFT)
    people = list(study.study_raters.select_related("rater"))
    rater_rows([row.rater for row in people])
    trains = study.study_dialogues.filter(training=True).exists()
    if not trains:
        study.study_raters.update(cleared_at=timezone.now())
    study.state = StudyState.CALIBRATION if trains else StudyState.RUNNING
    study.save(update_fields=["state"])
    give_training(study, people)
    dealt = deal(study)
    audit.record(by=by, action="study.begin", target=f"study {study.pk}", assignments=dealt.given)
    return study


CHANGES: Mapping[str, tuple[frozenset[str], StudyState, str]] = {
    "run": (frozenset({StudyState.CALIBRATION}), StudyState.RUNNING, "is not in calibration"),
    "pause": (frozenset({StudyState.RUNNING}), StudyState.PAUSED, "is not running"),
    "resume": (frozenset({StudyState.PAUSED}), StudyState.RUNNING, "is not paused"),
    "close": (frozenset(OPEN), StudyState.CLOSED, "is not open"),
    "reopen": (frozenset({StudyState.CLOSED}), StudyState.PAUSED, "is not closed"),
    "archive": (frozenset({StudyState.CLOSED}), StudyState.ARCHIVED, "is not closed"),
    "restore": (frozenset({StudyState.ARCHIVED}), StudyState.CLOSED, "is not archived"),
}


@transaction.atomic
def change_study(*, study: Study, change: str, by: User | None) -> None:
    """Run, pause, resume, close, reopen (to paused), archive or restore (to closed) a study; one
    conditional update.

    Raises Refused when the study is not in a state that allows it.
    """
    if change not in CHANGES:
        known = f"{', '.join(list(CHANGES)[:-1])} and {list(CHANGES)[-1]}"
        raise Refused("unknown_change", f"There is no such change of a study; there are {known}.")
    before, after, problem = CHANGES[change]
    if Study.objects.filter(pk=study.pk, state__in=before).update(state=after) != 1:
        raise Refused(
            "wrong_state",
            f"The study “{study.name}” {problem}; look at its page again.",
            status=409,
        )
    gate.release(study)
    audit.record(by=by, action=f"study.{change}", target=f"study {study.pk}")


@transaction.atomic
def set_texts(*, study: Study, texts: StudyTexts, by: User | None) -> None:
    """Change what raters are told: that may be done as long as the study is open."""
    study = locked_study(study, StudyState.DRAFT, *OPEN)
    study.guidelines, study.contact, study.deadline = (
        texts.guidelines,
        texts.contact,
        texts.deadline,
    )
    study.save(update_fields=["guidelines", "contact", "deadline"])
    audit.record(by=by, action="study.texts", target=f"study {study.pk}")


@transaction.atomic
def discard_study(*, study: Study, by: User | None) -> None:
    """Throw a draft away."""
    study = locked_study(study, StudyState.DRAFT)
    audit.record(by=by, action="study.discard", target=f"study {study.pk}", name=study.name)
    study.delete()


@transaction.atomic
def duplicate_study(*, study: Study, by: User) -> Study:
    """A draft with the same dialogues, instruments (in the same versions), raters and choices.

    Whoever can no longer rate is left out. The new draft has a seed of its own: two studies of
    the same dialogues must not give them the same codes.
    """
    people = study.study_raters.filter(active=True).select_related("rater")
    able = [row for row in people if row.rater.is_active]
    places = list(study.study_dialogues.select_related("dialogue"))
    expert = next((row.rater for row in able if row.expert), None)
    raters = [row for row in able if not row.expert]
    links = study.study_instruments.select_related("instrument").order_by("position")
    wishes = Wishes(
        raters=[row.rater for row in raters],
        dialogues=[place.dialogue for place in places if not place.training],
        instruments=[link.instrument for link in links],
        overlap=min(study.overlap, max(1, len(raters))),
        seed=study.seed + 1,
        texts=StudyTexts(study.guidelines, study.contact),
        settings=study.settings,
        choices=Choices(
            share=study.overlap_share,
            order=study.rating_order,
            same_profile=study.same_profile,
            repeats=study.repeats,
            gate=study.gate,
            gate_last=study.gate_last,
            expert=expert,
            training=[place.dialogue for place in places if place.training],
            quotas={row.rater.username: row.quota for row in raters if row.quota is not None},
            selection=study.selection,
        ),
    )
    return draft_study(name=_free_name(study.name), wishes=wishes, by=by)


def _free_name(name: str) -> str:
    number, stem = 2, name[:110]
    while Study.objects.filter(name=f"{stem} ({number})").exists():
        number += 1
    return f"{stem} ({number})"


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
