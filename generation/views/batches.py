"""Batches: list, form, live page, and what can be done with one."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from generation import actions, progress, words
from generation.actions import Refused
from generation.filters import BatchFilter, DialogueFilter
from generation.forms import ExtendForm
from generation.models import Batch, BatchState, Dialogue
from generation.views.batch_page import OVER, TONES, decisions, live_context
from generation.views.dialogue_page import TONES as DIALOGUE_TONES
from generation.views.dialogue_page import with_findings
from generation.views.page import STOP_POLLING, SeeOther, keyset_page
from sqpsych_site.roles import AuthenticatedRequest, Verb, require

DIALOGUES_SHOWN = 25
SMALL_BATCH = 5000


@require_GET
@require(Verb.SEE_BATCHES)
def batch_list(request: AuthenticatedRequest) -> HttpResponse:
    """All batches, newest first, with how far each is."""
    chosen = BatchFilter(request.GET)
    rows = Batch.objects.filter(preview=False).select_related("created_by", "profile_set")
    if state := chosen.chosen("state"):
        rows = rows.filter(state=state)
    page = keyset_page(rows, request.GET, size=20)
    ids = [batch.pk for batch in page.rows]
    counts = progress.counts_by_batch(Dialogue.objects.filter(batch__in=ids))
    context = {
        "filter": chosen,
        "page": page,
        "rows": [
            (batch, TONES[BatchState(batch.state)], counts.get(batch.pk, progress.Counts()))
            for batch in page.rows
        ],
        **_rights(request),
    }
    return render(request, "generation/batch_list.html", context)


def _rights(request: AuthenticatedRequest) -> dict[str, bool]:
    return {
        "may_manage": request.user.may(Verb.MANAGE_BATCHES),
        "may_see_profiles": request.user.may(Verb.SEE_PROFILES),
        "may_enter_servers": request.user.may(Verb.MANAGE_ENDPOINTS),
    }


@require_GET
@require(Verb.SEE_BATCHES)
def batch_detail(request: AuthenticatedRequest, batch_id: int) -> HttpResponse:
    """One batch, live. While it runs the page asks again for its changing parts alone; the
    answer's status tells the browser to stop when there is nothing more to come."""
    batch = get_object_or_404(
        Batch.objects.select_related("profile_set", "created_by"), pk=batch_id
    )
    chosen = DialogueFilter(request.GET, batch=batch)
    chosen.offer()
    rows = chosen.apply(Dialogue.objects.all())
    live = live_context(batch)
    context = {
        **live,
        **_rights(request),
        "filter": chosen,
        "page": keyset_page(rows, request.GET, size=DIALOGUES_SHOWN, dress=with_findings),
        "tones": DIALOGUE_TONES,
        "questions": [
            {"verb": verb, "question": _question(verb, batch), "tone": tone}
            for verb, tone in (("cancel", "danger"), ("retry", ""))
        ],
        **_polling(request, batch, live["counts"].total),
    }
    context["head_key"] = f"{batch.state}-{live['counts'].failed > 0}"
    context["poll_url"] += context["head_key"]
    if not request.htmx:
        return render(request, "generation/batch.html", context)
    over = batch.state in OVER
    status = STOP_POLLING if over else 200
    response = render(
        request, "generation/batch.html#live", {**context, "oob": True}, status=status
    )
    if over:
        response["HX-Trigger"] = f'{{"say": "The batch is {batch.get_state_display().lower()}."}}'
    return response


def _polling(request: AuthenticatedRequest, batch: Batch, dialogues: int) -> dict[str, Any]:
    """When and where the page asks again; ``seen``: the heading that the browser shows."""
    kept = request.GET.copy()
    kept.pop("seen", None)
    # A look at a large batch costs the database more, and its figures move less.
    pause_s = {BatchState.RUNNING: 3 if dialogues <= SMALL_BATCH else 10, BatchState.PAUSED: 15}
    return {
        "seen": request.GET.get("seen"),
        "poll_every": pause_s.get(BatchState(batch.state)),
        "poll_url": f"?{kept.urlencode()}&seen=" if kept else "?seen=",
    }


QUESTIONS = {
    "pause": (
        "Pause {name}?",
        "No further request is sent for this batch until it is resumed.",
        "Pause the batch",
    ),
    "resume": ("Resume {name}?", "Its dialogues go on where they stopped.", "Resume the batch"),
    "cancel": (
        "Cancel {name}?",
        "Dialogues that are not complete are given up for good. What is stored stays.",
        "Cancel the batch",
    ),
    "retry": (
        "Try the failed dialogues of {name} again?",
        "They go on from their last stored turn.",
        "Retry failed",
    ),
    "extend": (
        "Add dialogues to {name}?",
        "Each profile gets so many more in each arm, with seeds of their own. What is made stays.",
        "Add them",
    ),
}


@require_http_methods(["GET", "POST"])
@require(Verb.MANAGE_BATCHES)
def batch_action(request: AuthenticatedRequest, batch_id: int, verb: str) -> HttpResponseBase:
    """Ask before, then pause, resume, cancel, retry or extend."""
    batch = get_object_or_404(Batch, pk=batch_id)
    form = ExtendForm(request.POST or None) if verb == "extend" else None
    if request.method == "GET" or (form and not form.is_valid()):
        return _ask(request, batch, verb, form)
    count = form.cleaned_data["count"] if form else 0
    try:
        messages.success(request, _act(batch, verb, request, count))
    except Refused as refused:
        messages.error(request, str(refused))
    return SeeOther(reverse("generation:batch_detail", args=[batch.pk]))


def _ask(
    request: AuthenticatedRequest, batch: Batch, verb: str, form: ExtendForm | None
) -> HttpResponse:
    title, text, label = _question(verb, batch)
    context = {
        "batch": batch,
        "verb": verb,
        "title": title,
        "text": text,
        "label": label,
        "form": form,
    }
    status = 200 if request.method == "GET" else 422
    return render(request, "generation/batch_action.html", context, status=status)


def _question(verb: str, batch: Batch) -> tuple[str, str, str]:
    """Title, explanation and button of the question asked before."""
    title, text, label = QUESTIONS[verb]
    return title.format(name=batch.name), text, label


def _act(batch: Batch, verb: str, request: AuthenticatedRequest, count: int) -> str:
    """Do it and say so."""
    if verb == "pause":
        actions.pause_batch(batch=batch, by=request.user)
        return "The batch is paused."
    if verb == "resume":
        actions.resume_batch(batch=batch, by=request.user)
        return "The batch goes on."
    if verb == "cancel":
        number = actions.cancel_batch(batch=batch, by=request.user)
        return f"The batch is cancelled; {words.count(number, 'dialogue')} given up."
    if verb == "extend":
        number = actions.add_replicates(batch=batch, count=count, by=request.user)
        return f"{words.count(number, 'dialogue')} added."
    number = actions.retry_failed(batch=batch, by=request.user)
    return f"{words.count(number, 'dialogue')} tried again."


@require_GET
@require(Verb.SEE_BATCHES)
def batch_log(request: AuthenticatedRequest, batch_id: int) -> HttpResponse:
    """All that was decided on a batch, newest first."""
    batch = get_object_or_404(Batch, pk=batch_id)
    page = keyset_page(decisions(batch), request.GET, size=100)
    return render(request, "generation/batch_log.html", {"batch": batch, "page": page})
