"""What a rater does with one pair: open, choose, give reasons, submit, reopen, hand back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from review.actions.answering import MAX_COMMENT
from review.actions.errors import Refused
from review.actions.rating import RETURN_REASONS
from review.models import AssignmentState, Choice, Comparison, Study, StudyState
from sqpsych_site.models import User

Side = Literal["left", "right", "tie", ""]


def as_side(choice: str, swapped: bool) -> Side:
    """A stored choice as the screen shows it."""
    if choice in {"", Choice.TIE}:
        return "tie" if choice else ""
    return "right" if (choice == Choice.ONE) == swapped else "left"


def as_choice(side: str, swapped: bool) -> str:
    """A side of the screen as it is stored. Refused when it is none."""
    if side in {"", "tie"}:
        return Choice.TIE if side else ""
    if side not in {"left", "right"}:
        raise Refused(
            "unknown_choice", _("Please choose the left one, the right one, or both alike.")
        )
    return Choice.ONE if (side == "left") != swapped else Choice.OTHER


def reasons_of(study: Study) -> dict[str, str]:
    """The reasons that a pairwise study offers, in its order: key -> words."""
    return dict(study.settings.get("reasons", []))


@dataclass(frozen=True)
class Judged:
    """All that a rater says of a pair, as the page sends it; ``base`` is the revision it saw."""

    side: str
    reasons: Sequence[str] = ()
    comment: str = ""
    base: int | None = None


class StaleComparison(Refused):
    """The judgment was changed elsewhere since the page last saw it; ``stored`` is what counts."""

    def __init__(self, stored: Comparison) -> None:
        super().__init__(
            "stale",
            _("This judgment was changed in another window. Choose which one counts."),
            status=409,
        )
        self.stored = stored


def _locked(uid: UUID, by: User) -> Comparison:
    row = (
        Comparison.objects.visible_to(by)
        .select_for_update(of=("self",))
        .select_related("study")
        .filter(uid=uid)
        .first()
    )
    if row is None:
        raise Refused("not_yours", _("This pair is not in your queue."), status=404)
    return row


def _check_open(row: Comparison) -> None:
    if not StudyState(row.study.state).takes_ratings:
        sentence = _("This study takes no answers at the moment. Nothing was changed.")
        raise Refused("closed_study", sentence, status=409)
    if row.state == AssignmentState.SUBMITTED:
        sentence = _("This pair is already submitted. Reopen it to change your choice.")
        raise Refused("submitted", sentence, status=409)
    if row.state == AssignmentState.RETURNED:
        raise Refused("returned", _("You handed this pair back."), status=409)


@transaction.atomic
def save_comparison(*, uid: UUID, by: User, judged: Judged) -> Comparison:
    """Store a judgment so far; the same one sent twice changes nothing more.

    Raises StaleComparison when a newer, different one is stored.
    """
    row = _locked(uid, by)
    _check_open(row)
    choice = as_choice(judged.side, row.swapped)
    known = reasons_of(row.study)
    unknown = sorted(set(judged.reasons) - set(known))
    if unknown:
        raise Refused("unknown_reason", _("Please choose reasons from the list."))
    if len(judged.comment) > MAX_COMMENT:
        raise Refused("too_long", _("A comment may have at most 10,000 characters."))
    reasons = [key for key in known if key in judged.reasons]
    if (row.choice, row.reasons, row.comment) == (choice, reasons, judged.comment):
        return row
    if judged.base is not None and judged.base != row.revision:
        raise StaleComparison(row)
    row.choice, row.reasons, row.comment = choice, reasons, judged.comment
    row.revision += 1
    row.opened_at = row.opened_at or timezone.now()
    row.state = AssignmentState.STARTED
    row.save()
    return row


def open_comparison(*, comparison: Comparison) -> None:
    """Note when the rater first saw the pair; looking again changes nothing."""
    if comparison.opened_at is None:
        Comparison.objects.filter(pk=comparison.pk, opened_at=None).update(
            opened_at=timezone.now(), state=AssignmentState.STARTED
        )


@transaction.atomic
def submit_comparison(*, uid: UUID, by: User) -> None:
    """Close the judgment; twice is the same as once. Refused while no choice is made."""
    row = _locked(uid, by)
    if row.state == AssignmentState.SUBMITTED:
        return
    _check_open(row)
    if not row.choice:
        sentence = _("Please choose the left one, the right one, or both alike.")
        raise Refused("no_choice", sentence)
    Comparison.objects.filter(pk=row.pk).update(
        state=AssignmentState.SUBMITTED, submitted_at=timezone.now()
    )


@transaction.atomic
def reopen_comparison(*, uid: UUID, by: User) -> None:
    """Take a submitted or handed-back pair up again, while the study takes answers."""
    row = _locked(uid, by)
    if not StudyState(row.study.state).takes_ratings:
        raise Refused("closed_study", _("This study takes no changes any more."), status=409)
    if row.state in {AssignmentState.SUBMITTED, AssignmentState.RETURNED}:
        Comparison.objects.filter(pk=row.pk).update(
            state=AssignmentState.STARTED, submitted_at=None
        )


@transaction.atomic
def hand_back_comparison(*, uid: UUID, by: User, reason: str) -> None:
    """Leave this pair; what was chosen so far stays stored, and does not count."""
    row = _locked(uid, by)
    _check_open(row)
    if reason not in RETURN_REASONS:
        raise Refused("unknown_reason", _("Please choose one of the reasons."))
    Comparison.objects.filter(pk=row.pk).update(
        state=AssignmentState.RETURNED, return_reason=reason
    )


def next_comparison(*, by: User, after: Comparison | None = None) -> Comparison | None:
    """What to open next: the rest of this study in order, then work begun, then the next due."""
    queue = (
        Comparison.objects.visible_to(by)
        .open()
        .filter(study__state__in=[StudyState.RUNNING, StudyState.CALIBRATION])
    )
    if after is not None:
        queue = queue.exclude(pk=after.pk)
        later = queue.filter(study=after.study_id, position__gt=after.position)
        if found := later.order_by("position").first():
            return found
    return queue.order_by("-state", "study_id", "position").first()
