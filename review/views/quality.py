"""Progress and quality of a study: who is how far, when it will end, where to look."""

from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from review.drawing import drawing_of
from review.models import Study, StudyKind
from review.result_rows import say, shown
from review.study_quality import quality_of
from review.summary import figure
from review.views.study_tabs import study_tabs
from sqpsych_site.roles import AuthenticatedRequest, Verb, require


@require_GET
@require(Verb.SEE_STUDIES)
def quality(request: AuthenticatedRequest, study_id: int) -> HttpResponse:
    """Each rater's pace and signs of trouble, items that split the raters, flags over time."""
    study = get_object_or_404(Study, pk=study_id, kind=StudyKind.RATING)
    found = quality_of(study)
    context: dict[str, Any] = {
        "study": study,
        "tabs": study_tabs(study, request.user, "quality"),
        "quality": found,
        "late": bool(study.deadline and found.ends and found.ends > study.deadline),
        "rows": [
            (
                one,
                _percent(one.rushed),
                _percent(one.lines),
                _signed(one.drift),
                shown(figure(one.repeats)) if one.repeats else None,
            )
            for one in found.raters
        ],
        "splitting": [
            (one, apart, units, say(apart / units, percent=True))
            for one, apart, units in found.splitting
        ],
        "drawn": [
            (drawing_of(lines), lines.numbers, name)
            for lines, name in ((found.weeks, "weeks"), (found.flags, "flag_weeks"))
            if lines.steps
        ],
    }
    return render(request, "review/quality.html", context)


def _percent(share: float | None) -> str:
    return "–" if share is None else say(share, percent=True)


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:+.0f} %"


@require_GET
@require(Verb.SEE_STUDIES)
def quality_file(
    request: AuthenticatedRequest, study_id: int, name: str, kind: str
) -> HttpResponse:
    """A figure of that page as SVG, PNG, PDF, or its numbers as CSV."""
    from review.figure_files import FORMATS, figure_file

    study = get_object_or_404(Study, pk=study_id, kind=StudyKind.RATING)
    if name not in ("weeks", "flag_weeks") or kind not in FORMATS:
        raise Http404
    found = quality_of(study)
    lines = found.weeks if name == "weeks" else found.flags
    response = HttpResponse(figure_file(lines, kind), content_type=FORMATS[kind])
    filename = f"study-{study.pk}-{name.replace('_', '-')}.{kind}"
    response["Content-Disposition"] = f'attachment; filename="{filename}"'
    return response
