"""The rater's own list of dialogues."""

from itertools import groupby

from django.db.models import Count, Q
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from review import actions
from review.models import Assignment, AssignmentState, Comparison, StudyState
from review.pace import progress_of
from sqpsych_site.roles import AuthenticatedRequest, Verb, require


@require_GET
@require(Verb.RATE)
def queue(request: AuthenticatedRequest) -> HttpResponse:
    """What is due, in progress, done and handed back; the next one is one click away."""
    mine = Assignment.objects.visible_to(request.user)
    counts = mine.aggregate(
        due=Count("pk", filter=Q(state=AssignmentState.DUE)),
        started=Count("pk", filter=Q(state=AssignmentState.STARTED)),
        submitted=Count("pk", filter=Q(state=AssignmentState.SUBMITTED)),
        returned=Count("pk", filter=Q(state=AssignmentState.RETURNED)),
    )
    following = actions.next_assignment(by=request.user)
    rows = mine.select_related("study", "study_dialogue").order_by("study_id", "position")
    groups = [
        {
            "study": study,
            "takes_ratings": StudyState(study.state).takes_ratings,
            "assignments": list(assignments),
        }
        for study, assignments in groupby(rows, key=lambda one: one.study)
    ]
    compared = Comparison.objects.visible_to(request.user).aggregate(
        open=Count("pk", filter=Q(state__in=["due", "started"])),
        submitted=Count("pk", filter=Q(state=AssignmentState.SUBMITTED)),
    )
    context = {
        "compared": compared,
        "next_pair": actions.next_comparison(by=request.user) if compared["open"] else None,
        "counts": counts,
        "total": sum(counts.values()) - counts["returned"],
        "next": following,
        "progress": progress_of(following) if following else None,
        "groups": groups,
    }
    return render(request, "review/queue.html", context)
