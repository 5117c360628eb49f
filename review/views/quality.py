"""Progress and quality of a study: who is how far, when it will end, where to look."""

from typing import Any

from django.http import Http404, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from generation.views.page import SeeOther
from review.drawing import drawing_of
from review.kept_figures import results_of
from review.quality import RaterQuality
from review.result_rows import say, shown
from review.study_quality import WEEKS, Pace, lines_in, paces_of, raters_in, study_end
from review.views.results import ASK_AGAIN_SECONDS
from review.views.study_setup import rating_study
from review.views.study_tabs import study_tabs
from sqpsych_site.roles import AuthenticatedRequest, Verb, require


@require_GET
@require(Verb.SEE_STUDIES)
def quality(request: AuthenticatedRequest, study_id: int) -> HttpResponse:
    """Each rater's pace and signs of trouble, items that split the raters, flags over time."""
    study = rating_study(study_id)
    results, paces = results_of(study), paces_of(study)
    ends, unknown = study_end(paces)
    context: dict[str, Any] = {
        "study": study,
        "tabs": study_tabs(study, request.user, "quality"),
        "results": results,
        "figures": results.figures,
        "ask_every": 0 if results.fresh else ASK_AGAIN_SECONDS,
        "ends": ends,
        "unknown": unknown,
        "done": sum(one.done for one in paces),
        "total": sum(one.done + one.left for one in paces),
        "late": bool(study.deadline and ends and ends > study.deadline),
        **_kept(results.figures["quality"] if results.figures else None, paces),
    }
    template = "review/quality.html"
    return render(request, f"{template}#quality" if request.htmx else template, context)


def _kept(found: dict[str, Any] | None, paces: list[Pace]) -> dict[str, Any]:
    """What the kept figures say; nothing of it before they are made for the first time."""
    signs = raters_in(found) if found else {}
    context: dict[str, Any] = {
        "rows": [_row(pace, signs.get(pace.rater, RaterQuality(pace.rater))) for pace in paces],
        "signs": [(one.rater, sign) for one in signs.values() for sign in one.signs],
    }
    if found:
        context |= {
            "limit": found["limit"],
            "splitting": [
                (one, say(one["apart"] / one["units"], percent=True)) for one in found["splitting"]
            ],
            "drawn": [
                (drawing_of(lines), lines.numbers, name)
                for name in WEEKS
                if (lines := lines_in(found, name)).steps
            ],
        }
    return context


def _row(pace: Pace, one: RaterQuality) -> dict[str, Any]:
    return {
        "pace": pace,
        "minutes": one.minutes,
        "rushed": _percent(one.rushed),
        "lines": _percent(one.lines),
        "drift": "–" if one.drift is None else f"{100 * one.drift:+.0f} %",
        "repeats": shown(one.repeats) if one.repeats else None,
    }


def _percent(share: float | None) -> str:
    return "–" if share is None else say(share, percent=True)


@require_GET
@require(Verb.SEE_STUDIES)
def quality_file(
    request: AuthenticatedRequest, study_id: int, name: str, kind: str
) -> HttpResponseBase:
    """A figure of that page as SVG, PNG, PDF, or its numbers as CSV."""
    from review.figure_files import FORMATS, figure_file

    study = rating_study(study_id)
    if name not in WEEKS or kind not in FORMATS:
        raise Http404
    results = results_of(study)
    if results.figures is None or not results.fresh:  # that page says why, and when it is done
        return SeeOther(reverse("review:quality", args=[study.pk]))
    lines = lines_in(results.figures["quality"], name)
    response = HttpResponse(figure_file(lines, kind), content_type=FORMATS[kind])
    filename = f"study-{study.pk}-{name.replace('_', '-')}.{kind}"
    response["Content-Disposition"] = f'attachment; filename="{filename}"'
    return response
