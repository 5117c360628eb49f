"""Results of a study: agreement, scores, raters, one measure, and figures to download."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.http import Http404, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.text import slugify
from django.views.decorators.http import require_GET, require_http_methods

from generation.views.page import SeeOther
from review import result_rows
from review.drawing import Drawing, drawing_of
from review.figures import Figure, Numbers
from review.kept_figures import Results, make_figures, results_of
from review.models import Study
from review.result_rows import COLUMNS
from review.views.study_setup import rating_study
from review.views.study_tabs import study_tabs
from sqpsych_site.roles import AuthenticatedRequest, Verb, require

ASK_AGAIN_SECONDS = 3


class ResultsForm(forms.Form):
    """Which arm and which statistic a page of results shows; nonsense is passed over."""

    arm = forms.ChoiceField(required=False, label="Arm")
    show = forms.ChoiceField(choices=list(COLUMNS.items()), required=False, label="Figure")

    def __init__(self, given: Mapping[str, Any], figures: Mapping[str, Any]) -> None:
        super().__init__({"show": "alpha", **given})
        names = [one["name"] for one in figures["arms"]]
        self.fields["arm"].choices = [("", "all arms"), *((name, name) for name in names)]  # type: ignore[attr-defined]
        self.several = len(names) > 1
        self.is_valid()

    @property
    def of_arm(self) -> str:
        """The arm asked for, or nothing."""
        return str(self.cleaned_data.get("arm", ""))

    @property
    def column(self) -> str:
        """The statistic to draw."""
        return str(self.cleaned_data.get("show") or "alpha")


def _page(
    request: AuthenticatedRequest, study_id: int, template: str, here: str
) -> tuple[Study, Results, dict[str, Any]]:
    study = rating_study(study_id)
    results = results_of(study)
    context: dict[str, Any] = {
        "study": study,
        "tabs": study_tabs(study, request.user, "results"),
        "parts": _parts(study, here),
        "here": here,
        "results": results,
        "figures": results.figures,
        "ask_every": 0 if results.fresh else ASK_AGAIN_SECONDS,
        "template": template,
    }
    return study, results, context


def _parts(study: Study, here: str) -> list[dict[str, Any]]:
    names = {"results": "Agreement", "scores": "Scores", "result_raters": "Pairs of raters"}
    return [
        {
            "url": reverse(f"review:{name}", args=[study.pk]),
            "label": label,
            "current": name == here,
        }
        for name, label in names.items()
    ]


def _query(**given: str | int) -> str:
    chosen = {name: value for name, value in given.items() if value}
    return f"?{urlencode(chosen)}" if chosen else ""


def _drawn(figure: Figure) -> tuple[Drawing, Numbers]:
    return drawing_of(figure), figure.numbers


@require_GET
@require(Verb.SEE_STUDIES)
def results(request: AuthenticatedRequest, study_id: int) -> HttpResponse:
    """Agreement per item, total and flag, with intervals."""
    _, found, context = _page(request, study_id, "review/results.html", "results")
    if found.figures:
        form = ResultsForm(request.GET.dict(), found.figures)
        context |= {
            "form": form,
            "columns": list(COLUMNS.values()),
            "groups": [
                (heading, result_rows.lines(found.figures, kind, form.of_arm))
                for kind, heading in result_rows.HEADINGS.items()
            ],
            "name": f"agreement_{form.column}",
            "query": _query(arm=form.of_arm),
            "drawing": drawing_of(
                result_rows.agreement_figure(found.figures, form.column, form.of_arm)
            ),
        }
    return _show(request, context)


@require_GET
@require(Verb.SEE_STUDIES)
def scores(request: AuthenticatedRequest, study_id: int) -> HttpResponse:
    """How scores are spread, in each arm, and the safety flags."""
    _, found, context = _page(request, study_id, "review/scores.html", "scores")
    if found.figures:
        form = ResultsForm(request.GET.dict(), found.figures)
        context |= {
            "form": form,
            "drawn": [
                (*_drawn(one), _query(arm=form.of_arm, part=place))
                for place, one in enumerate(
                    result_rows.arm_figure(found.figures, form.of_arm), start=1
                )
            ],
            "means": list(result_rows.mean_rows(found.figures)),
            "flags": _drawn(result_rows.flag_figure(found.figures)),
        }
    return _show(request, context)


@require_GET
@require(Verb.SEE_STUDIES)
def result_raters(request: AuthenticatedRequest, study_id: int) -> HttpResponse:
    """Each pair of raters over all items."""
    _, found, context = _page(request, study_id, "review/result_raters.html", "result_raters")
    if found.figures:
        context |= {
            "drawing": drawing_of(result_rows.rater_figure(found.figures)),
            "rows": [
                (
                    pair["raters"],
                    result_rows.shown(pair["percent"], percent=True),
                    result_rows.shown(pair["kappa"]),
                )
                for pair in found.figures["pairs"]
            ],
        }
    return _show(request, context)


@require_GET
@require(Verb.SEE_STUDIES)
def measure(
    request: AuthenticatedRequest, study_id: int, kind: str, instrument: str, key: str
) -> HttpResponse:
    """Everything about one item, total or kind of flag."""
    _, found, context = _page(request, study_id, "review/measure.html", "results")
    if found.figures:
        one = result_rows.find_measure(found.figures, kind, instrument, key)
        if one is None:
            raise Http404
        context |= {
            "measure": one,
            "statistics": result_rows.statistics(one),
            "arms": [
                (arm, part, [_cell(part, name) for name in COLUMNS])
                for arm, part in result_rows.arms_of(one)
            ],
            "columns": list(COLUMNS.values()),
            "kappas": list(result_rows.KAPPAS.values()),
            "pairs": [
                (
                    pair["raters"],
                    [
                        result_rows.shown(pair.get(name), percent=name == "percent")
                        for name in result_rows.KAPPAS
                    ],
                )
                for pair in one["pairs"]
            ],
            "drawn": _drawn(result_rows.score_figure(one)) if kind == "item" else None,
            "query": _query(item=f"{instrument}.{key}"),
        }
    return _show(request, context)


def _cell(part: Mapping[str, Any], name: str) -> Any:
    return result_rows.shown(part["figures"].get(name), percent=name == "percent")


def _show(request: AuthenticatedRequest, context: dict[str, Any]) -> HttpResponse:
    """The page; a page that waits for figures asks for its content alone until they are there."""
    template = context["template"]
    return render(request, f"{template}#results" if request.htmx else template, context)


@require_http_methods(["POST"])
@require(Verb.SEE_STUDIES)
def results_now(request: AuthenticatedRequest, study_id: int) -> HttpResponseBase:
    """Calculate the figures while the page waits: for systems in which no worker runs."""
    study = rating_study(study_id)
    make_figures(study)
    page = "quality" if request.POST.get("page") == "quality" else "results"
    return SeeOther(reverse(f"review:{page}", args=[study.pk]))


@require_GET
@require(Verb.SEE_STUDIES)
def figure_file(
    request: AuthenticatedRequest, study_id: int, name: str, kind: str
) -> HttpResponseBase:
    """A figure as SVG, PNG, PDF, or its numbers as CSV."""
    from review.figure_files import FORMATS, figure_file

    study = rating_study(study_id)
    results = results_of(study)
    if results.figures is None or not results.fresh:  # that page says why, and when it is done
        return SeeOther(reverse("review:results", args=[study.pk]))
    form = ResultsForm(request.GET.dict(), results.figures)
    found = result_rows.named_figure(
        results.figures, name, form.of_arm, request.GET.get("item", "")
    )
    place = request.GET.get("part", "1")
    number = int(place) if place.isdecimal() and len(place) < 4 else 0
    if kind not in FORMATS or not 0 < number <= len(found):
        raise Http404
    words = [f"study-{study.pk}", name.replace("_", "-"), slugify(form.of_arm)]
    words += [slugify(request.GET.get("item", "").replace(".", "-")), "" if number == 1 else place]
    filename = f"{'-'.join(word for word in words if word)}.{kind}"
    response = HttpResponse(figure_file(found[number - 1], kind), content_type=FORMATS[kind])
    response["Content-Disposition"] = f'attachment; filename="{filename}"'
    return response
