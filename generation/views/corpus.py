"""The corpus: dialogues out in several forms, and dialogues made elsewhere in."""

from dataclasses import dataclass

from django.db.models import Count, Exists, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import FileResponse, Http404, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from generation import actions
from generation.actions.corpus import ALL_FORMATS, FOLDER
from generation.corpus import SUFFIXES
from generation.models import Batch, Dialogue, DialogueState
from generation.views.page import keyset_page
from sqpsych_site.roles import AuthenticatedRequest, Verb, require


@dataclass(frozen=True)
class Form:
    """One form that a corpus can leave in."""

    key: str
    title: str
    file: str
    words: str
    for_others: bool = False


FORMS = (
    Form(
        FOLDER,
        "Folder for Hugging Face datasets",
        "ZIP with Parquet and a data card",
        "Chat messages in train, validation and test, split by client profile. A key stands for "
        "the profile; its pseudonym is not in it.",
        for_others=True,
    ),
    Form(
        "messages",
        "Chat messages",
        "JSONL",
        "One dialogue a line, for fine-tuning: the therapist is “assistant”, the client “user”.",
    ),
    Form(
        "sqpsychconv",
        "SQPsychConv",
        "CSV",
        "The columns of the published corpus, each dialogue as one string.",
        for_others=True,
    ),
    Form("sqpsychconv-jsonl", "SQPsychConv", "JSONL", "The same.", for_others=True),
    Form("sqpsychconv-parquet", "SQPsychConv", "Parquet", "The same.", for_others=True),
    Form("turns", "Turns", "CSV", "One utterance a row, with attempts and tokens."),
    Form("turns-parquet", "Turns", "Parquet", "The same."),
)


_COMPLETE = Dialogue.objects.filter(batch=OuterRef("pk"), state=DialogueState.COMPLETE)


def _with_counts(batches: QuerySet[Batch]) -> QuerySet[Batch]:
    """Each with the number of its complete dialogues as ``complete``."""
    count = _COMPLETE.order_by().values("batch").annotate(n=Count("pk")).values("n")
    return batches.annotate(complete=Coalesce(Subquery(count), 0))


@require_GET
@require(Verb.EXPORT_CORPUS)
def corpus_list(request: AuthenticatedRequest) -> HttpResponse:
    """The batches that have complete dialogues, newest first."""
    batches = Batch.objects.filter(Exists(_COMPLETE), preview=False).prefetch_related("arms")
    page = keyset_page(_with_counts(batches), request.GET)
    context = {
        "page": page,
        "rows": [(batch, _models(batch)) for batch in page.rows],
        "may_import": request.user.may(Verb.MANAGE_BATCHES),
    }
    return render(request, "generation/corpus_list.html", context)


def _models(batch: Batch) -> str:
    arms = list(batch.arms.all())
    if not arms:
        return "imported"
    names = dict.fromkeys(name for arm in arms for name in (arm.therapist_model, arm.client_model))
    return ", ".join(names)


@require_GET
@require(Verb.EXPORT_CORPUS)
def corpus_detail(request: AuthenticatedRequest, batch_id: int) -> HttpResponse:
    """The forms in which a batch's dialogues can leave."""
    batch = get_object_or_404(_with_counts(Batch.objects.all()), pk=batch_id, preview=False)
    context = {"batch": batch, "forms": FORMS}
    return render(request, "generation/corpus.html", context)


@require_GET
@require(Verb.EXPORT_CORPUS)
def corpus_file(request: AuthenticatedRequest, batch_id: int, file_format: str) -> HttpResponseBase:
    """One file, complete before its first byte is sent."""
    batch = get_object_or_404(Batch, pk=batch_id, preview=False)
    if file_format not in ALL_FORMATS:
        raise Http404
    out = actions.export_to_file(batch=batch, file_format=file_format, by=request.user)
    suffix = SUFFIXES.get(file_format, "zip")
    name = f"batch-{batch.pk}-{file_format.split('-', maxsplit=1)[0]}.{suffix}"
    return FileResponse(out, as_attachment=True, filename=name)
