"""What follows when raters submit or hand back training: references, feedback, the gate."""

from django.urls import reverse
from django.utils.translation import gettext as _

from review.actions.errors import Refused
from review.actions.gate import judge
from review.actions.references import keep_as_reference, open_training
from review.models import Assignment, AssignmentKind, AssignmentState, StudyRater


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
        keep_as_reference(assignment)
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
