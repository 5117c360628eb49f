"""Calibration: references, each rater's standing against them, and the gate before live work.

Live work of a rater stays ``LOCKED`` until the study runs and the rater is cleared: by the gate
(all training dialogues done, agreement with the reference at or above the study's level), or by a
coordinator. Raters' training dialogues are locked until each of them has a reference.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from review.actions.errors import Refused
from review.instruments import AnswerRefused, cached_instrument
from review.likeness import Compared, agreement, compare, same_share
from review.models import (
    Assignment,
    AssignmentKind,
    AssignmentState,
    Instrument,
    Rating,
    Reference,
    Study,
    StudyDialogue,
    StudyRater,
    StudyState,
)
from review.reference_files import ReferenceLine
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


def after_submit(assignment: Assignment) -> str | None:
    """Where a rater goes after submitting: from practice to the queue, from a training dialogue to
    its feedback, else no place."""
    if assignment.kind == AssignmentKind.PRACTICE:
        return reverse("review:queue")
    if assignment.kind != AssignmentKind.CALIBRATION or _is_expert(assignment):
        return None
    return reverse("review:feedback", args=[assignment.uid])


def note_submitted(assignment: Assignment) -> None:
    """What follows from a submission, in its transaction: a reference, or a look at the gate."""
    if assignment.kind != AssignmentKind.CALIBRATION:
        return
    if _is_expert(assignment):
        _keep_as_reference(assignment)
        open_training(assignment.study)
    judge(assignment.study, assignment.rater_id)


def note_returned(assignment: Assignment) -> None:
    """A training dialogue that a rater hands back keeps nobody from going on."""
    if assignment.kind == AssignmentKind.CALIBRATION:
        judge(assignment.study, assignment.rater_id)


def check_reopening(assignment: Assignment) -> None:
    """Refuse to take up what must stay: seen feedback would turn the gate into a copy; and what
    somebody else has taken over would be rated once too often."""
    if assignment.kind == AssignmentKind.CALIBRATION and not _is_expert(assignment):
        if assignment.state == AssignmentState.SUBMITTED:
            sentence = _("A training dialogue cannot be changed after its feedback was shown.")
            raise Refused("calibrated", sentence, status=409)
    elif assignment.state == AssignmentState.RETURNED:
        place = assignment.study_dialogue
        others = place.assignments.filter(kind=assignment.kind)
        taken = others.exclude(state=AssignmentState.RETURNED).count()
        wanted = place.wanted or assignment.study.overlap
        if assignment.kind == AssignmentKind.LIVE and taken >= wanted:
            sentence = _("Somebody else has taken this dialogue over. Thank you all the same.")
            raise Refused("taken_over", sentence, status=409)


def _is_expert(assignment: Assignment) -> bool:
    return StudyRater.objects.filter(
        study=assignment.study_id, rater=assignment.rater_id, expert=True
    ).exists()


# -- references -----------------------------------------------------------------------------------


def _keep_as_reference(assignment: Assignment) -> None:
    """An expert's submitted answers and remarks become the reference for this dialogue."""
    for rating in assignment.ratings.filter(turn_number=None).exclude(value=""):
        Reference.objects.update_or_create(
            study_dialogue=assignment.study_dialogue,
            instrument=rating.instrument,
            item=rating.item,
            defaults={
                "value": rating.value,
                "reason": rating.comment,
                "set_by": assignment.rater,
            },
        )


@transaction.atomic
def set_references(*, study: Study, lines: Sequence[ReferenceLine], by: User) -> int:
    """Store the reference answers of a file, over those that were there; all of them or none.

    Returns how many were stored. Raises Refused with the line of the first that cannot be.
    """
    study = Study.objects.select_for_update().get(pk=study.pk)
    if study.state in (StudyState.CLOSED, StudyState.ARCHIVED):
        raise Refused("wrong_state", "This study is over; its references stay as they are.")
    places = {row.code: row for row in study.study_dialogues.filter(training=True)}
    links = study.study_instruments.select_related("instrument")
    forms = {link.instrument.key: link.instrument for link in links}
    answers: dict[tuple[str, str], dict[str, str]] = {}
    for line in lines:
        answers.setdefault((line.dialogue, line.instrument), {})[line.item] = line.value
    for line in lines:
        place, form = places.get(line.dialogue), forms.get(line.instrument)
        if place is None:
            raise _refused(line, f"“{line.dialogue[:20]}” is no training dialogue of this study")
        if form is None:
            raise _refused(line, f"“{line.instrument[:60]}” is no instrument of this study")
        _check_line(form, line, answers[line.dialogue, line.instrument])
        Reference.objects.update_or_create(
            study_dialogue=place,
            instrument=form,
            item=line.item,
            defaults={"value": line.value, "reason": line.reason, "set_by": by},
        )
    audit.record(by=by, action="study.references", target=f"study {study.pk}", answers=len(lines))
    open_training(study)
    for rater_id in study.study_raters.filter(expert=False).values_list("rater_id", flat=True):
        judge(study, rater_id)
    return len(lines)


def _refused(line: ReferenceLine, what: str) -> Refused:
    return Refused("bad_reference", f"Line {line.line}: {what}. Nothing was stored.")


def _check_line(form: Instrument, line: ReferenceLine, answers: Mapping[str, str]) -> None:
    definition = cached_instrument(form.toml)
    known = {item.key: item for item in definition.items}
    if line.item not in known or known[line.item].level == "turn":
        raise _refused(line, f"“{line.item[:60]}” is no item about the dialogue in this form")
    try:
        definition.check_answer(line.item, line.value, answers)
    except AnswerRefused as refused:
        raise _refused(line, refused.sentence.rstrip(".")) from None


def references_of(study: Study) -> dict[int, dict[int, dict[str, Reference]]]:
    """Training dialogue -> instrument -> item -> reference. One query."""
    found: dict[int, dict[int, dict[str, Reference]]] = {}
    for row in Reference.objects.filter(study_dialogue__study=study, study_dialogue__training=True):
        forms = found.setdefault(row.study_dialogue_id, {})
        forms.setdefault(row.instrument_id, {})[row.item] = row
    return found


def lacking_references(study: Study) -> list[str]:
    """Codes of the training dialogues without a reference."""
    rows: list[StudyDialogue] = list(
        study.study_dialogues.filter(training=True, references=None).order_by("code")
    )
    return [row.code for row in rows]


def open_training(study: Study) -> None:
    """Let raters begin with the training dialogues once each of them has a reference."""
    if study.study_dialogues.filter(training=True, references=None).exists():
        return
    study.assignments.filter(kind=AssignmentKind.CALIBRATION, state=AssignmentState.LOCKED).update(
        state=AssignmentState.DUE
    )


# -- the gate -------------------------------------------------------------------------------------


def _compared(study: Study, raters: Collection[int]) -> dict[int, list[tuple[Compared, ...]]]:
    """Each rater's submitted training dialogues, oldest first, compared with the reference."""
    references = references_of(study)
    links = study.study_instruments.select_related("instrument").order_by("position")
    forms = {link.instrument_id: cached_instrument(link.instrument.toml) for link in links}
    works = study.assignments.filter(
        rater__in=raters, kind=AssignmentKind.CALIBRATION, state=AssignmentState.SUBMITTED
    ).order_by("submitted_at", "pk")
    given: dict[tuple[int, int], dict[str, str]] = {}
    rows = Rating.objects.filter(assignment__in=works, turn_number=None).order_by()
    cells = rows.values_list("assignment_id", "instrument_id", "item", "value")
    for assignment_id, instrument_id, item, value in cells:
        given.setdefault((assignment_id, instrument_id), {})[item] = value
    found: dict[int, list[tuple[Compared, ...]]] = {}
    for work in works:
        wanted = references.get(work.study_dialogue_id, {})
        parts = [
            compare(
                form.items,
                given.get((work.pk, pk), {}),
                {item: one.value for item, one in wanted.get(pk, {}).items()},
            )
            for pk, form in forms.items()
        ]
        if together := tuple(one for part in parts for one in part):
            found.setdefault(work.rater_id, []).append(together)
    return found


def standings_of(study: Study, raters: Collection[int]) -> dict[int, Standing]:
    """Where each of these raters stands before the gate. Six queries for any number of them."""
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
