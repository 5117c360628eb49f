"""Changes of a study that has begun: people and dialogues come and go, what is done stays."""

from collections.abc import Iterable, Sequence

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from generation.models import Dialogue
from review.actions.dealing import UNOPENED, Dealt, deal
from review.actions.errors import Refused
from review.actions.studies import OPEN, locked_study
from review.actions.study_checks import MAX_DIALOGUES, dialogue_rows, rater_rows
from review.actions.study_design import further_codes, give_training
from review.models import AssignmentKind, AssignmentState, Study, StudyDialogue, StudyRater
from sqpsych_site import audit
from sqpsych_site.models import User

LEFT_STUDY = "left"
MAX_PROFESSION = 60
MAX_YEARS = 70


@transaction.atomic
def add_raters(*, study: Study, raters: Sequence[User | str], by: User | None) -> Dealt:
    """Invite raters into a study that has begun.

    Everything that nobody has opened is shared out anew, so that newcomers get their part. One
    who was in the study before comes back under the same pseudonym.
    """
    study = locked_study(study, *OPEN)
    people = rater_rows(raters)
    known = {row.rater_id: row for row in study.study_raters.all()}
    if any(person.pk in known and known[person.pk].expert for person in people):
        raise Refused("expert", "The expert sets the reference and cannot be rated against it.")
    there = [one.username for one in people if one.pk in known and known[one.pk].active]
    if there:
        raise Refused("in_study", f"“{there[0]}” is in this study already.")
    study.study_raters.filter(rater__in=people).update(active=True)
    new = [person for person in people if person.pk not in known]
    codes = further_codes(
        "R", (row.code for row in known.values()), len(new), f"{study.seed} rater codes"
    )
    trains = study.study_dialogues.filter(training=True).exists()
    rows = StudyRater.objects.bulk_create(
        StudyRater(
            study=study, rater=person, code=code, cleared_at=None if trains else timezone.now()
        )
        for person, code in zip(new, codes, strict=True)
    )
    give_training(study, rows)
    return _dealt("study.add_raters", study, by, take_back=Q(), raters=len(people))


@transaction.atomic
def remove_rater(*, study: Study, rater: User, by: User | None) -> Dealt:
    """Let a rater go: what they submitted stays, everything else goes to the others."""
    study = locked_study(study, *OPEN)
    row = _row(study, rater)
    if not study.study_raters.filter(active=True, expert=False).exclude(pk=row.pk).exists():
        raise Refused("last_rater", "Nobody would be left to rate; invite somebody else first.")
    study.study_raters.filter(pk=row.pk).update(active=False)
    begun = Q(state=AssignmentState.STARTED) | ~UNOPENED & Q(state=AssignmentState.DUE)
    mine = study.assignments.filter(rater=rater)
    mine.filter(begun).update(state=AssignmentState.RETURNED, return_reason=LEFT_STUDY)
    mine.filter(UNOPENED, kind=AssignmentKind.CALIBRATION).delete()
    return _dealt("study.remove_rater", study, by, take_back=Q(rater=rater), rater=row.code)


@transaction.atomic
def limit_rater(*, study: Study, rater: User, left: int, by: User | None) -> Dealt:
    """Leave a rater at most ``left`` dialogues that they have not opened; others get the rest."""
    study = locked_study(study, *OPEN)
    row = _row(study, rater)
    if left < 0:
        raise Refused("quota", "The most dialogues of a rater cannot be below 0.")
    mine = study.assignments.filter(rater=rater, kind=AssignmentKind.LIVE)
    waiting = list(mine.filter(UNOPENED).order_by("position").values_list("pk", flat=True))
    opened = mine.exclude(pk__in=waiting).exclude(state=AssignmentState.RETURNED).count()
    study.study_raters.filter(pk=row.pk).update(quota=opened + left)
    too_many = Q(pk__in=waiting[left:])
    return _dealt("study.limit_rater", study, by, take_back=too_many, rater=row.code, left=left)


@transaction.atomic
def describe_rater(
    *, study: Study, code: str, profession: str, years: int | None, by: User | None
) -> None:
    """Note what an export says of a rater beside the pseudonym; possible in every state."""
    words = " ".join(profession.split())
    if len(words) > MAX_PROFESSION:
        raise Refused("profession", f"A profession has at most {MAX_PROFESSION} characters.")
    if years is not None and not 0 <= years <= MAX_YEARS:
        raise Refused("years", f"Years of practice lie between 0 and {MAX_YEARS}.")
    changed = StudyRater.objects.filter(study=study, code=code)
    if not changed.update(profession=words, years=years):
        raise Refused("unknown_rater", "This person does not rate in this study.", status=404)
    audit.record(
        by=by, action="study.describe_rater", target=f"study {study.pk}", rater=code,
        profession=words, years=years,
    )  # fmt: skip


@transaction.atomic
def make_up(*, study: Study, by: User | None) -> Dealt:
    """Give dialogues that were handed back to somebody else; twice does no more than once."""
    return _dealt("study.make_up", locked_study(study, *OPEN), by, take_back=None)


@transaction.atomic
def add_dialogues(*, study: Study, dialogues: Iterable[Dialogue], by: User | None) -> Dealt:
    """Add complete dialogues; raters find them after what they have."""
    study = locked_study(study, *OPEN)
    rows = dialogue_rows(dialogues, None)
    places = study.study_dialogues
    if places.filter(dialogue__in=[row.pk for row in rows]).exists():
        raise Refused("in_study", "Some of these dialogues are in the study already.")
    if places.count() + len(rows) > MAX_DIALOGUES:
        raise Refused("too_many", f"A study has at most {MAX_DIALOGUES:,} dialogues.")
    taken = [*places.values_list("code", flat=True), *study.design.get("aliases", [])]
    codes = further_codes("D", taken, len(rows), f"{study.seed} dialogue codes")
    StudyDialogue.objects.bulk_create(
        StudyDialogue(study=study, dialogue=row, code=code)
        for row, code in zip(rows, codes, strict=True)
    )
    return _dealt("study.add_dialogues", study, by, take_back=None, dialogues=len(rows))


def _row(study: Study, rater: User) -> StudyRater:
    row = study.study_raters.filter(rater=rater, active=True, expert=False).first()
    if row is None:
        raise Refused("unknown_rater", "This person does not rate in this study.", status=404)
    return row


def _dealt(
    action: str, study: Study, by: User | None, *, take_back: Q | None, **detail: object
) -> Dealt:
    dealt = deal(study, take_back=take_back)
    audit.record(
        by=by,
        action=action,
        target=f"study {study.pk}",
        taken_back=dealt.taken,
        given=dealt.given,
        **detail,
    )
    return dealt
