"""Downloads of a study: single files, all of them as a ZIP, and the blinding key by itself."""

from typing import IO

from django.http import FileResponse, Http404, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET

from review.exports import FILES, KEY_FILE, Origin, export_table, export_zip
from review.models import Study
from review.study_forms import ExportForm
from review.tables import Options
from sqpsych_site.roles import AuthenticatedRequest, Verb, require

NAMES = frozenset(name for name, _ in FILES)


@require_GET
@require(Verb.EXPORT_RATINGS)
def study_zip(request: AuthenticatedRequest, study_id: int) -> HttpResponseBase:
    """All files with their manifest."""
    study = get_object_or_404(Study, pk=study_id)
    form = ExportForm(request.GET)
    if not form.is_valid():
        return _bad_request()
    out = export_zip(study=study, options=form.options, origin=Origin(request.user, "page"))
    return _attachment(out, f"study-{study.pk}-ratings.zip", "application/zip")


@require_GET
@require(Verb.EXPORT_RATINGS)
def study_file(request: AuthenticatedRequest, study_id: int, name: str) -> HttpResponseBase:
    """One file of the export."""
    study = get_object_or_404(Study, pk=study_id)
    if name not in NAMES:
        raise Http404
    form = ExportForm(request.GET)
    if not form.is_valid():
        return _bad_request()
    return _csv(request, study, name, form.options)


@require_GET
@require(Verb.EXPORT_KEY)
def study_key(request: AuthenticatedRequest, study_id: int) -> HttpResponseBase:
    """What each code stands for."""
    return _csv(request, get_object_or_404(Study, pk=study_id), KEY_FILE[0], Options())


def _csv(
    request: AuthenticatedRequest, study: Study, name: str, options: Options
) -> HttpResponseBase:
    origin = Origin(request.user, "page")
    out = export_table(study=study, name=name, options=options, origin=origin)
    return _attachment(out, f"study-{study.pk}-{name}.csv", "text/csv; charset=utf-8")


def _attachment(out: IO[bytes], filename: str, content_type: str) -> FileResponse:
    return FileResponse(out, as_attachment=True, filename=filename, content_type=content_type)


def _bad_request() -> HttpResponse:
    return HttpResponse(
        "comments must be yes or no.\n", status=400, content_type="text/plain; charset=utf-8"
    )
