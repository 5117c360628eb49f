"""What each column of a foreign profile file is: guessed, corrected, looked at, stored."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseBase
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from generation import actions
from generation.actions import Refused
from generation.actions.definitions import known_definitions
from generation.mapping_forms import MappingForm
from generation.models import Upload, UploadPurpose
from generation.profile_mapping import check_source
from generation.profile_records import Checked, Problem, Problems, ProfileFileError
from generation.profile_sources import Source, read_source
from generation.questionnaires import Definition, Score, score
from generation.views.page import go_to, show
from generation.views.profiles import stored
from sqpsych_site.roles import AuthenticatedRequest, Verb, require

SHOWN = 5


@dataclass(frozen=True)
class Preview:
    """How the file would be stored: some clients, or what is wrong."""

    problems: tuple[Problem, ...] = ()
    more: bool = False
    size: int = 0
    flagged: int = 0
    clients: tuple[tuple[Checked, list[tuple[str, Score]]], ...] = ()


def _own_upload(request: AuthenticatedRequest, uid: UUID) -> Upload:
    upload = actions.waiting_upload(uid=uid, purpose=UploadPurpose.PROFILES, by=request.user)
    if upload is None:
        raise Http404
    return upload


@require_http_methods(["GET", "POST"])
@require(Verb.MANAGE_PROFILES)
def profile_mapping(request: AuthenticatedRequest, uid: UUID) -> HttpResponseBase:
    """Say what the columns are, see how the clients come out, and store them."""
    upload = _own_upload(request, uid)
    definitions = known_definitions()
    content = bytes(upload.content)
    try:
        source = read_source(upload.filename, content, definitions, Problems(upload.filename))
    except ProfileFileError:
        # It could be read an hour ago: a definition it needs has changed since.
        raise Http404 from None
    sent = request.POST if request.method == "POST" else None
    form = MappingForm(sent, source=source, definitions=definitions)
    if sent is not None and not form.is_valid():
        return _page(request, upload, form, None, status=422)
    preview = _preview(upload, source, form, definitions)
    if sent is not None and "import" in sent and not preview.problems:
        try:
            made = actions.import_profiles(
                name=upload.name,
                filename=upload.filename,
                content=content,
                choice=form.choice,
                by=request.user,
            )
        except Refused as refused:
            form.add_error(None, str(refused))
            return _page(request, upload, form, preview, status=422)
        actions.discard_upload(upload=upload)
        return stored(request, made)
    status = 422 if sent is not None and preview.problems else 200
    return _page(request, upload, form, preview, status=status)


def _page(
    request: AuthenticatedRequest,
    upload: Upload,
    form: MappingForm,
    preview: Preview | None,
    *,
    status: int,
) -> HttpResponse:
    context: dict[str, Any] = {"upload": upload, "form": form, "preview": preview}
    template = "generation/profile_mapping.html"
    return show(request, template, context, part="mapping", status=status)


def _preview(
    upload: Upload, source: Source, form: MappingForm, definitions: dict[str, Definition]
) -> Preview:
    try:
        found = check_source(
            source,
            form.choice,
            definitions,
            Problems(upload.filename),
            allow_minors=settings.ALLOW_MINORS,
        )
    except ProfileFileError as error:
        return Preview(error.problems, error.more)
    return Preview(
        size=len(found),
        flagged=sum(bool(each.findings) for each in found),
        clients=tuple((each, _scores(each, definitions)) for each in found[:SHOWN]),
    )


def _scores(checked: Checked, definitions: dict[str, Definition]) -> list[tuple[str, Score]]:
    return [
        (definitions[key].title, score(definitions[key], answers))
        for key, answers in checked.record.answers.items()
    ]


@require_POST
@require(Verb.MANAGE_PROFILES)
def profile_discard(request: AuthenticatedRequest, uid: UUID) -> HttpResponseBase:
    """Forget the file at once."""
    actions.discard_upload(upload=_own_upload(request, uid))
    messages.success(request, "The file was discarded. Nothing was stored.")
    return go_to(request, reverse("generation:profile_import"))
