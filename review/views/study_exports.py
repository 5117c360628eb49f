"""Exports of a study: the page, single files, all of them as a ZIP, and the key by itself."""

from typing import IO, Any

from django.http import FileResponse, Http404, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from generation.views.page import keyset_page
from review.export_forms import ExportForm
from review.exports import KEY_FILE, Origin, export_table, export_zip, files_of
from review.models import Study
from review.tables import Options
from review.views.study_tabs import study_tabs
from review.writers import FORMATS
from sqpsych_site.models import AuditEntry
from sqpsych_site.roles import AuthenticatedRequest, Verb, require

TYPES = {
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/jsonl; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}
ACTIONS = ("export.ratings", "export.key")


@require_GET
@require(Verb.EXPORT_RATINGS)
def study_exports(request: AuthenticatedRequest, study_id: int) -> HttpResponse:
    """What can be downloaded, and every download so far."""
    study = get_object_or_404(Study.objects.listed(), pk=study_id)
    rows = AuditEntry.objects.filter(target=f"study {study.pk}", action__in=ACTIONS)
    page = keyset_page(rows, request.GET, size=20)
    context: dict[str, Any] = {
        "study": study,
        "tabs": study_tabs(study, request.user, "exports"),
        "form": _form(request, study, given=False),
        "files": files_of(study),
        "key_file": KEY_FILE,
        "may_export_key": request.user.may(Verb.EXPORT_KEY),
        "page": page,
        "past": [_past(entry) for entry in page.rows],
    }
    return render(request, "review/study_exports.html", context)


def _past(entry: AuditEntry) -> dict[str, Any]:
    """A past export in words; entries of earlier versions have fewer details."""
    options = entry.detail.get("options", {})
    chosen = [
        f"{name} {', '.join(value) if isinstance(value, list) else value}"
        for name, value in options.items()
        if name not in ("comments", "format") and value
    ]
    files = entry.detail.get("files", {})
    return {
        "at": entry.at,
        "by": entry.actor or "a command",
        "key": entry.action == "export.key",
        "format": options.get("format", "csv"),
        "comments": options.get("comments", entry.detail.get("comments", True)),
        "chosen": "; ".join(chosen),
        "others": [pk for pk in entry.detail.get("studies", []) if f"study {pk}" != entry.target],
        "files": [(name, one["rows"], one["sha256"]) for name, one in sorted(files.items())],
    }


def _form(request: AuthenticatedRequest, study: Study, *, given: bool = True) -> ExportForm:
    with_arms = request.user.may(Verb.EXPORT_KEY)
    return ExportForm(study, request.GET if given else None, with_arms=with_arms)


@require_GET
@require(Verb.EXPORT_RATINGS)
def study_zip(request: AuthenticatedRequest, study_id: int) -> HttpResponseBase:
    """All files with their manifest."""
    study = get_object_or_404(Study.objects.listed(), pk=study_id)
    form = _form(request, study)
    if not form.is_valid():
        return _bad_request(form)
    origin = Origin(request.user, "page")
    out = export_zip(studies=form.studies, options=form.options, origin=origin)
    return _attachment(out, f"study-{study.pk}-ratings.zip", "application/zip")


@require_GET
@require(Verb.EXPORT_RATINGS)
def study_file(
    request: AuthenticatedRequest, study_id: int, name: str, kind: str
) -> HttpResponseBase:
    """One file of the export."""
    study = get_object_or_404(Study.objects.listed(), pk=study_id)
    if name not in dict(files_of(study)) or kind not in FORMATS:
        raise Http404
    given = request.GET.copy()
    given["format"] = kind
    form = ExportForm(study, given, with_arms=request.user.may(Verb.EXPORT_KEY))
    if not form.is_valid():
        return _bad_request(form)
    return _file(request, form.studies, name, form.options)


@require_GET
@require(Verb.EXPORT_KEY)
def study_key(request: AuthenticatedRequest, study_id: int) -> HttpResponseBase:
    """What each code stands for."""
    study = get_object_or_404(Study.objects.listed(), pk=study_id)
    return _file(request, [study], KEY_FILE[0], Options())


def _file(
    request: AuthenticatedRequest, studies: list[Study], name: str, options: Options
) -> HttpResponseBase:
    origin = Origin(request.user, "page")
    out = export_table(studies=studies, name=name, options=options, origin=origin)
    filename = f"study-{studies[0].pk}-{name}.{options.format}"
    return _attachment(out, filename, TYPES[options.format])


def _attachment(out: IO[bytes], filename: str, content_type: str) -> FileResponse:
    return FileResponse(out, as_attachment=True, filename=filename, content_type=content_type)


def _bad_request(form: ExportForm) -> HttpResponse:
    return HttpResponse(f"{form.problem}\n", status=400, content_type="text/plain; charset=utf-8")
