"""Pairwise studies for those who make and read them: the form, the results, their files."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from generation.views.page import go_to, show
from review import actions
from review.actions import Refused
from review.cells import cell
from review.comparison_forms import ComparisonStudyForm
from review.comparison_results import ComparisonResults, counts_by_rater, results_of
from review.models import Study, StudyKind
from review.progress import Counts
from review.views.study_tabs import study_tabs
from sqpsych_site.roles import AuthenticatedRequest, Verb, require

FIELD_OF = {
    "no_name": "name",
    "name_taken": "name",
    "overlap": "overlap",
    "per_arms": "per_arms",
    "no_pairs": "batches",
    "no_dialogues": "batches",
    "too_many": "per_arms",
    "seed": "seed",
}


@require_http_methods(["GET", "POST"])
@require(Verb.MANAGE_STUDIES)
def comparison_create(request: AuthenticatedRequest) -> HttpResponseBase:
    """The form of a new pairwise study."""
    template = "review/comparison_new.html"
    if request.method == "GET":
        return show(request, template, {"form": ComparisonStudyForm()}, part="form")
    form = ComparisonStudyForm(request.POST)
    if form.is_valid():
        try:
            made = actions.create_comparison_study(**form.as_arguments(), by=request.user)
        except Refused as refused:
            form.add_error(FIELD_OF.get(refused.code), refused.sentence)
        else:
            messages.success(request, f"The study “{made.name}” is running.")
            return go_to(request, reverse("review:comparison_results", args=[made.pk]))
    return show(request, template, {"form": form}, part="form", status=422)


def _study(study_id: int) -> Study:
    return get_object_or_404(
        Study.objects.select_related("created_by"), pk=study_id, kind=StudyKind.PAIRWISE
    )


@require_GET
@require(Verb.SEE_STUDIES)
def comparison_results(request: AuthenticatedRequest, study_id: int) -> HttpResponse:
    """How far the raters are, who wins against whom, and how strong each arm is."""
    study = _study(study_id)
    raters = counts_by_rater(study)
    results = results_of(study)
    context = {
        "study": study,
        "tabs": study_tabs(study, request.user, "study"),
        "raters": raters,
        "total": _sum(counts for _, counts in raters),
        "results": results,
        "forest": _forest(results),
        "may_manage": request.user.may(Verb.MANAGE_STUDIES),
        "may_export": request.user.may(Verb.EXPORT_RATINGS),
        "may_export_key": request.user.may(Verb.EXPORT_KEY),
    }
    return render(request, "review/comparison_results.html", context)


def _sum(parts: Any) -> Counts:
    rows = list(parts)
    names = ("due", "started", "submitted", "returned")
    return Counts(**{name: sum(getattr(row, name) for row in rows) for name in names})


def _forest(results: ComparisonResults) -> list[dict[str, Any]]:
    """Each strength with its interval as places on a line from 0 to 100."""
    arms = results.strengths.arms
    if not arms:
        return []
    reach = max(max(abs(one.low), abs(one.high)) for one in arms) or 1.0

    def place(value: float) -> float:
        return round(50 + 48 * value / reach, 2)

    return [
        {
            "strength": one,
            "low": place(one.low),
            "high": place(one.high),
            "at": place(one.estimate),
            "width": round(place(one.high) - place(one.low), 2),
        }
        for one in arms
    ]


@require_GET
@require(Verb.EXPORT_RATINGS)
def comparison_file(request: AuthenticatedRequest, study_id: int, name: str) -> HttpResponse:
    """The numbers of the results page as CSV."""
    tables = {"win_tie_loss": _tally_rows, "strengths": _strength_rows}
    if name not in tables:
        raise Http404
    study = _study(study_id)
    lines = [",".join(cell(value) for value in row) for row in tables[name](results_of(study))]
    response = HttpResponse("\r\n".join(["\ufeff" + lines[0], *lines[1:], ""]))
    response["Content-Type"] = "text/csv; charset=utf-8"
    response["Content-Disposition"] = f'attachment; filename="study-{study.pk}-{name}.csv"'
    return response


def _tally_rows(results: ComparisonResults) -> list[list[Any]]:
    names = ("one", "other", "judgments", "wins", "ties", "losses", "share", "low", "high")
    return [list(names), *([getattr(row, name) for name in names] for row in results.tallies)]


def _strength_rows(results: ComparisonResults) -> list[list[Any]]:
    names = ("arm", "estimate", "low", "high", "against_average")
    found = results.strengths
    rows = ([getattr(one, name) for name in names] for one in found.arms)
    size = [found.judgments, found.clusters]
    return [[*names, "judgments", "profiles"], *([*row, *size] for row in rows)]
