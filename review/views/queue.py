"""The rater's own list of dialogues."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from django.db.models import Count, Q
from django.http import Http404, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from review import actions
from review.actions import Refused
from review.adjudication import appointed
from review.models import (
    Assignment,
    AssignmentKind,
    AssignmentState,
    Comparison,
    Study,
    StudyState,
)
from review.pace import progress_by_study
from sqpsych_site.roles import AuthenticatedRequest, Verb, require


@require_GET
@require(Verb.RATE)
def queue(request: AuthenticatedRequest) -> HttpResponse:
    """What is due, in progress, done and handed back; the next one is one click away."""
    rater = request.user
    rows = (
        Assignment.objects.visible_to(rater)
        .exclude(kind=AssignmentKind.PRACTICE)
        .select_related("study", "study_dialogue")
        .order_by("study_id", "position")
    )
    locked = dict(
        Assignment.objects.filter(rater=rater, state=AssignmentState.LOCKED)
        .order_by()
        .values_list("study_id")
        .annotate(n=Count("*"))
    )
    progress = progress_by_study(rater)
    groups = [
        _group(study, list(mine), progress.get(study.pk), locked.get(study.pk, 0))
        for study, mine in groupby(rows, key=lambda one: one.study)
    ]
    following = actions.next_assignment(by=rater)
    pairs = Comparison.objects.visible_to(rater).aggregate(
        open=Count("pk", filter=Q(state__in=[AssignmentState.DUE, AssignmentState.STARTED])),
        submitted=Count("pk", filter=Q(state=AssignmentState.SUBMITTED)),
    )
    context = {
        "groups": groups,
        "next": following,
        "next_progress": progress.get(following.study_id) if following else None,
        "pairs": pairs,
        "adjudicates": appointed(rater).exists(),
        "next_pair": actions.next_comparison(by=rater) if pairs["open"] else None,
        "newcomer": not any(group["done"] for group in groups) and not pairs["submitted"],
    }
    return render(request, "review/queue.html", context)


def _group(study: Study, mine: Sequence[Assignment], progress: Any, locked: int) -> dict[str, Any]:
    """One study as the page shows it: its dialogues by what is to be done with them."""

    def of(*states: str) -> list[Assignment]:
        return [one for one in mine if one.state in states]

    training = [one for one in mine if one.kind == AssignmentKind.CALIBRATION]
    return {
        "study": study,
        "takes_ratings": StudyState(study.state).takes_ratings,
        "progress": progress,
        "started": of(AssignmentState.STARTED),
        "due": of(AssignmentState.DUE),
        "done": of(AssignmentState.SUBMITTED),
        "returned": of(AssignmentState.RETURNED),
        "locked": locked,
        "training": len(training),
        "training_done": sum(one.state == AssignmentState.SUBMITTED for one in training),
    }


@require_POST
@require(Verb.RATE)
def practise(request: AuthenticatedRequest, study_id: int) -> HttpResponseBase:
    """Open the practice dialogue of a study."""
    study = get_object_or_404(Study.objects.filter(study_raters__rater=request.user), pk=study_id)
    try:
        assignment = actions.start_practice(study=study, by=request.user)
    except Refused:
        raise Http404 from None
    return redirect("review:rate", uid=assignment.uid)
