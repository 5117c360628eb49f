"""Dialogues made elsewhere: a known form at once, other columns after they were mapped."""

import io
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseBase
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from generation import actions, words
from generation.actions import Refused
from generation.actions.dialogues import UTTERANCES
from generation.corpus import CorpusDialogue, CorpusError
from generation.corpus_forms import MOST_ROLES, CorpusForm, RowsForm
from generation.corpus_rows import csv_cells, header_of, read_mapped
from generation.models import Batch, Upload, UploadPurpose
from generation.views.page import go_to, show
from sqpsych_site.roles import AuthenticatedRequest, Verb, require

SHOWN_TURNS = 6


@require_http_methods(["GET", "POST"])
@require(Verb.MANAGE_BATCHES)
def corpus_import(request: AuthenticatedRequest) -> HttpResponseBase:
    """Take a file in, whole or not at all."""
    form = CorpusForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        upload = form.cleaned_data["file"]
        try:
            made = actions.receive_dialogues(
                name=form.batch_name(), filename=upload.name, source=upload.file, by=request.user
            )
        except Refused as refused:
            form.add_error("file", str(refused))
        else:
            if isinstance(made, Upload):
                return go_to(request, reverse("generation:corpus_mapping", args=[made.uid]))
            return _made(request, made)
    status = 422 if request.method == "POST" else 200
    template = "generation/corpus_import.html"
    return show(request, template, {"form": form}, part="import", status=status)


def _made(request: AuthenticatedRequest, batch: Batch) -> HttpResponseBase:
    number = words.count(batch.dialogues.count(), "dialogue")
    messages.success(request, f"{number} imported as the batch “{batch.name}”.")
    return go_to(request, reverse("generation:batch_detail", args=[batch.pk]))


def _own_upload(request: AuthenticatedRequest, uid: UUID) -> Upload:
    upload = actions.waiting_upload(uid=uid, purpose=UploadPurpose.DIALOGUES, by=request.user)
    if upload is None:
        raise Http404
    return upload


@dataclass(frozen=True)
class Preview:
    """How the file would be stored: the first dialogue, or the first thing that is wrong."""

    problem: str = ""
    dialogues: int = 0
    turns: int = 0
    first: CorpusDialogue | None = None

    @property
    def shown(self) -> list[tuple[int, Any]]:
        """The first turns of the first dialogue."""
        return list(enumerate(self.first.turns[:SHOWN_TURNS], start=1)) if self.first else []


@require_http_methods(["GET", "POST"])
@require(Verb.MANAGE_BATCHES)
def corpus_mapping(request: AuthenticatedRequest, uid: UUID) -> HttpResponseBase:
    """Say what the columns are, see the first dialogue, and store them all."""
    upload = _own_upload(request, uid)
    content = bytes(upload.content)
    sent = request.POST if request.method == "POST" else None
    try:
        header = header_of(upload.filename, io.BytesIO(content))
        values = _values(upload.filename, content, header)
    except CorpusError as error:
        return _page(request, upload, None, Preview(str(error)), status=422)
    form = RowsForm(sent, header=header, values=values)
    if sent is not None and not form.is_valid():
        return _page(request, upload, form, None, status=422)
    preview = _preview(upload, content, form)
    if sent is None or "import" not in sent or preview.problem:
        status = 422 if sent is not None and preview.problem else 200
        return _page(request, upload, form, preview, status=status)
    try:
        made = actions.import_dialogues(
            name=upload.name,
            filename=upload.filename,
            source=io.BytesIO(content),
            file_format=UTTERANCES,
            choice=form.choice,
            by=request.user,
        )
    except Refused as refused:
        form.add_error(None, str(refused))
        return _page(request, upload, form, preview, status=422)
    actions.discard_upload(upload=upload)
    return _made(request, made)


def _values(filename: str, content: bytes, header: list[str]) -> dict[str, list[str]]:
    """The different values of each column, as far as they can be roles."""
    found: dict[str, dict[str, None]] = {column: {} for column in header}
    for _, cells in csv_cells(filename, io.BytesIO(content)):
        for column, seen in found.items():
            if len(seen) <= MOST_ROLES:
                seen[cells[column].strip()] = None
    return {column: list(seen) for column, seen in found.items()}


def _preview(upload: Upload, content: bytes, form: RowsForm) -> Preview:
    if not form.complete:
        return Preview("Choose the columns below.")
    try:
        found = read_mapped(upload.filename, io.BytesIO(content), form.choice)
    except CorpusError as error:
        return Preview(str(error))
    if not found:
        return Preview("There is no dialogue in this file as its columns are chosen now.")
    return Preview("", len(found), sum(len(each.turns) for each in found), found[0])


def _page(
    request: AuthenticatedRequest,
    upload: Upload,
    form: RowsForm | None,
    preview: Preview | None,
    *,
    status: int,
) -> HttpResponse:
    context: dict[str, Any] = {"upload": upload, "form": form, "preview": preview}
    template = "generation/corpus_mapping.html"
    return show(request, template, context, part="mapping", status=status)


@require_POST
@require(Verb.MANAGE_BATCHES)
def corpus_discard(request: AuthenticatedRequest, uid: UUID) -> HttpResponseBase:
    """Forget the file at once."""
    actions.discard_upload(upload=_own_upload(request, uid))
    messages.success(request, "The file was discarded. Nothing was stored.")
    return go_to(request, reverse("generation:corpus_import"))
