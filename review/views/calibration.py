"""Calibration as raters and coordinators see it: feedback, references, standings."""

from uuid import UUID

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from review import actions
from review.calibration_feedback import feedback_on
from review.models import AssignmentState
from review.permissions import assignment_of
from sqpsych_site.roles import AuthenticatedRequest, Verb, require


@require_GET
@require(Verb.RATE)
def feedback(request: AuthenticatedRequest, uid: UUID) -> HttpResponse:
    """After a training dialogue: the rater's answers beside the reference, with its reasons."""
    assignment = assignment_of(request.user, uid)
    if assignment.state != AssignmentState.SUBMITTED or actions.after_submit(assignment) is None:
        raise Http404
    context = {
        "assignment": assignment,
        "feedback": feedback_on(assignment),
        "next": actions.next_assignment(by=request.user, after=assignment),
    }
    return render(request, "review/feedback.html", context)
