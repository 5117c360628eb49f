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
from review.comparison_figures import FIGURES, named_figure
from review.comparison_forms import ComparisonStudyForm
from review.comparison_results import ComparisonResults, counts_by_rater, results_of
from review.drawing import drawing_of
from review.figures import Numbers
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
        "drawn": {
            name: drawing_of(figure)
            for name in FIGURES
            if (figure := named_figure(name, results.tallies, results.strengths)).rows
        },
        "may_manage": request.user.may(Verb.MANAGE_STUDIES),
        "may_export": request.user.may(Verb.EXPORT_RATINGS),
        "may_export_key": request.user.may(Verb.EXPORT_KEY),
    }
    return render(request, "review/comparison_results.html", context)


def _sum(parts: Any) -> Counts:
    rows = list(parts)
    names = ("due", "started", "submitted", "returned")
    return Counts(**{name: sum(getattr(row, name) for row in rows) for name in names})


@require_GET
@require(Verb.EXPORT_RATINGS)
def comparison_file(
    request: AuthenticatedRequest, study_id: int, name: str, kind: str
) -> HttpResponse:
    """A figure of the results page as SVG, PNG or PDF, or the numbers behind it as CSV."""
    from review.figure_files import FORMATS, figure_file, numbers_csv

    if name not in FIGURES or kind not in FORMATS:
        raise Http404
    study = _study(study_id)
    results = results_of(study)
    if kind == "csv" and name in TABLES:  # more than the figure shows
        data = numbers_csv(TABLES[name](results))
    else:
        data = figure_file(named_figure(name, results.tallies, results.strengths), kind)
    response = HttpResponse(data, content_type=FORMATS[kind])
    filename = f"study-{study.pk}-{name.replace('_', '-')}.{kind}"
    response["Content-Disposition"] = f'attachment; filename="{filename}"'
    return response


def _tally_rows(results: ComparisonResults) -> Numbers:
    names = ("one", "other", "judgments", "wins", "ties", "losses", "share", "low", "high")
    rows = (tuple(getattr(row, name) for name in names) for row in results.tallies)
    return Numbers(names, tuple(rows))


def _strength_rows(results: ComparisonResults) -> Numbers:
    names = ("arm", "estimate", "low", "high", "against_average")
    found = results.strengths
    size = found.judgments, found.clusters
    rows = ((*(getattr(one, name) for name in names), *size) for one in found.arms)
    return Numbers((*names, "judgments", "profiles"), tuple(rows))


TABLES = {"win_tie_loss": _tally_rows, "strengths": _strength_rows}
