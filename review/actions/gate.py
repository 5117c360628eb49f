"""The gate before live work: where each rater stands against the references, and what opens.

Live work of a rater stays ``LOCKED`` until the study runs and the rater is cleared: by the gate
(all training dialogues done, agreement with the reference at or above the study's level), or by a
coordinator.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from review.actions.errors import Refused
from review.actions.sights import reference_sights, sights_of
from review.instruments import cached_instrument
from review.likeness import Compared, Sight, agreement, compare_sights, same_share
from review.models import AssignmentKind, AssignmentState, Study, StudyState
from sqpsych_site import audit
from sqpsych_site.models import User

LIVE_KINDS = (AssignmentKind.LIVE, AssignmentKind.REPEAT)
OVER = (AssignmentState.SUBMITTED, AssignmentState.RETURNED)


@dataclass(frozen=True)
class Standing:
    """How far a rater is with the training dialogues, and how close to the reference."""

    done: int
    total: int
    agreement: float | None
    same: float | None
    level: float
    cleared: bool

    @property
    def finished(self) -> bool:
        """Whether every training dialogue is submitted or handed back."""
        return self.done == self.total

    @property
    def agreement_percent(self) -> int | None:
        """The agreement in whole percent, rounded down: 79.6 has not reached 80."""
        return None if self.agreement is None else int(self.agreement * 100 + 1e-9)

    @property
    def level_percent(self) -> int:
        """The level in whole percent."""
        return round(self.level * 100)

    @property
    def passed(self) -> bool:
        """Whether the gate would open now."""
        close_enough = self.agreement is not None and self.agreement >= self.level - 1e-9
        return self.finished and (close_enough or not self.total)


def _compared(study: Study, raters: Collection[int]) -> dict[int, list[tuple[Compared, ...]]]:
    """Each rater's submitted training dialogues, oldest first, compared with the reference."""
    references = reference_sights(study)
    links = study.study_instruments.select_related("instrument").order_by("position")
    forms = {link.instrument_id: cached_instrument(link.instrument.toml) for link in links}
    works = study.assignments.filter(
        rater__in=raters, kind=AssignmentKind.CALIBRATION, state=AssignmentState.SUBMITTED
    ).order_by("submitted_at", "pk")
    given = sights_of(works, forms)
    found: dict[int, list[tuple[Compared, ...]]] = {}
    for work in works:
        wanted = references.get(work.study_dialogue_id, {})
        parts = [
            compare_sights(form, given[work.pk].get(pk, Sight()), wanted.get(pk, Sight()))
            for pk, form in forms.items()
        ]
        if together := tuple(one for part in parts for one in part):
            found.setdefault(work.rater_id, []).append(together)
    return found


def standings_of(study: Study, raters: Collection[int]) -> dict[int, Standing]:
    """Where each of these raters stands before the gate. Seven queries for any number of them."""
    works = study.assignments.filter(rater__in=raters, kind=AssignmentKind.CALIBRATION).order_by()
    done, total = Counter[int](), Counter[int]()
    for rater, state in works.values_list("rater_id", "state"):
        total[rater] += 1
        done[rater] += state in OVER
    cleared = set(
        study.study_raters.filter(rater__in=raters)
        .exclude(cleared_at=None)
        .values_list("rater_id", flat=True)
    )
    compared = _compared(study, raters)
    found = {}
    for rater in raters:
        counted = [
            one for part in compared.get(rater, [])[-(study.gate_last or 0) :] for one in part
        ]
        found[rater] = Standing(
            done=done[rater],
            total=total[rater],
            agreement=agreement(counted),
            same=same_share(counted),
            level=study.gate or 0.0,
            cleared=rater in cleared,
        )
    return found


def standing_of(study: Study, rater_id: int) -> Standing:
    """Where one rater stands."""
    return standings_of(study, [rater_id])[rater_id]


def judge(study: Study, rater_id: int) -> None:
    """Open the live work of a rater who has passed; one who was cleared before stays cleared.

    The study's row is locked first: a study that begins to run at the same moment would otherwise
    miss this rater, and the rater the study.
    """
    if standing_of(study, rater_id).passed:
        Study.objects.select_for_update().get(pk=study.pk)
        waiting = study.study_raters.filter(rater=rater_id, cleared_at=None, expert=False)
        if waiting.update(cleared_at=timezone.now()):
            release(study)


@transaction.atomic
def clear_rater(*, study: Study, rater: User, by: User) -> None:
    """Let a rater through to live work whatever the gate says; noted with who did it."""
    Study.objects.select_for_update().get(pk=study.pk)
    row = study.study_raters.filter(rater=rater, expert=False).first()
    if row is None:
        raise Refused("unknown_rater", "This person does not rate in this study.", status=404)
    if row.cleared_at is None:
        standing = standing_of(study, rater.pk)
        study.study_raters.filter(pk=row.pk).update(cleared_at=timezone.now())
        audit.record(
            by=by,
            action="study.clear_rater",
            target=f"study {study.pk}",
            rater=row.code,
            done=standing.done,
            agreement=standing.agreement,
        )
        release(study)


def release(study: Study) -> None:
    """Open the locked live work of every cleared rater, once the study runs."""
    if Study.objects.filter(
        pk=study.pk, state__in=[StudyState.RUNNING, StudyState.PAUSED]
    ).exists():
        cleared = study.study_raters.exclude(cleared_at=None).values("rater")
        study.assignments.filter(
            kind__in=LIVE_KINDS, state=AssignmentState.LOCKED, rater__in=cleared
        ).update(state=AssignmentState.DUE)
