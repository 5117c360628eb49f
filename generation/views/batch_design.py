"""The batch designer: what is asked for, what it would take, a look at it, and the start."""

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from generation import actions, words
from generation.actions import Refused
from generation.batch_forms import BatchDesign, Chosen
from generation.batch_rows import blank, changed_rows, like
from generation.estimates import Amount, Estimate, Range
from generation.measuring import estimated
from generation.models import Batch, BatchState
from generation.views.dialogue_page import TONES, with_findings
from generation.views.page import STOP_POLLING, go_to
from sqpsych_site.roles import AuthenticatedRequest, Verb, require

TEMPLATE = "generation/batch_create.html"


@require_http_methods(["GET", "POST"])
@require(Verb.MANAGE_BATCHES)
def batch_create(request: AuthenticatedRequest) -> HttpResponseBase:
    """The designer; ``?from=ID`` or ``?profile_set=ID`` fills it in beforehand. Every button sends
    the whole form; only "start" and "preview" complain of what is missing."""
    if request.method == "GET":
        return _page(request, _beginning(request), quiet=True)
    action = request.POST.get("action", "start")
    if action not in ("start", "preview"):
        data = changed_rows(request.POST, action)
        return _page(request, data, quiet=True, part="estimate" if action == "estimate" else "form")
    design = BatchDesign(request.POST)
    if not design.is_valid:
        return _page(request, request.POST, design=design)
    try:
        if action == "preview":
            return _page(request, _previewed(request, design), quiet=True)
        made = actions.create_batch(**design.arguments(), by=request.user)
    except Refused as refused:
        design.refuse(str(refused))
        return _page(request, request.POST, design=design)
    messages.success(request, f"The batch “{made.name}” was started.")
    return go_to(request, reverse("generation:batch_detail", args=[made.pk]))


def _beginning(request: AuthenticatedRequest) -> QueryDict:
    given = request.GET.get("from", "")
    if given.isdecimal() and (batch := Batch.objects.filter(pk=int(given[:18])).first()):
        return like(batch)
    chosen = request.GET.get("profile_set", "")
    return blank(chosen if chosen.isdecimal() and len(chosen) < 19 else "")


def _page(
    request: AuthenticatedRequest,
    data: QueryDict,
    *,
    design: BatchDesign | None = None,
    quiet: bool = False,
    part: str = "form",
) -> HttpResponse:
    """The page, or for htmx the asked part of it. With problems to be shown it is a 422."""
    design = design or BatchDesign(data)
    chosen = design.chosen()
    sums = estimated(design, chosen) if chosen else None
    if quiet:
        design.hush()
    preview = _preview(design.form["preview"].value())
    context = {
        "design": design,
        "form": design.form,
        "chosen": chosen,
        "estimate": _estimate_view(sums, chosen) if sums and chosen and sums.arms else None,
        "may_enter_servers": request.user.may(Verb.MANAGE_ENDPOINTS),
        **(_preview_context(preview) if preview else {}),
    }
    template = f"{TEMPLATE}#{part}" if request.htmx else TEMPLATE
    return render(request, template, context, status=200 if quiet else 422)


# -- what it would take, in words ----------------------------------------------------------


@dataclass(frozen=True)
class EstimateView:
    """The estimate in words."""

    facts: list[tuple[str, str]]
    basis: str
    arms: list[tuple[str, str, str, str, str]]


def _estimate_view(sums: Estimate, chosen: Chosen) -> EstimateView:
    whole = sums.whole
    facts = [
        ("Profiles", f"{chosen.taken:,}"),
        ("Dialogues", f"{whole.dialogues:,}"),
        ("Requests", _range(whole.requests)),
        ("Tokens read", _range(whole.read)),
        ("Tokens written", _range(whole.written)),
        ("Time", _span(sums.seconds)),
        ("GPU time", "not known yet" if whole.gpu_hours is None else _hours(whole.gpu_hours)),
        ("Cost", _money(whole)),
    ]
    arms = [
        (label, f"{each.dialogues:,}", _range(each.requests), _range(each.written), _money(each))
        for label, each in sums.arms
    ]
    return EstimateView(facts, _basis(sums), arms if len(arms) > 1 else [])


def _basis(sums: Estimate) -> str:
    if sums.unmeasured and not sums.measured:
        return (
            "By rule of thumb: no dialogue with these models has been measured here. A preview"
            " measures them."
        )
    made = f"From {words.count(sums.measured, 'complete dialogue')} with these models."
    if sums.unmeasured:
        arms = ", ".join(sums.unmeasured)
        return f"{made} Nothing is measured of {arms}: a rule of thumb; a preview measures them."
    return made


def _range(given: Range) -> str:
    low, high = words.compact(given.low), words.compact(given.high)
    return f"about {low}" if low == high else f"{low} to {high}"


def _span(seconds: Range | None) -> str:
    if seconds is None:
        return "not known yet"
    low, high = words.duration(seconds.low), words.duration(seconds.high)
    return f"about {low}" if low == high else f"{low} to {high}"


def _hours(hours: float) -> str:
    return f"about {words.figure(hours)} h"


def _money(amount: Amount) -> str:
    if amount.money is None:
        return "no price entered" if amount.gpu_hours is not None else "not known yet"
    part = ", servers without a price aside" if amount.unpriced else ""
    return f"about {amount.money:,.2f}{part}"


# -- a look at it --------------------------------------------------------------------------


@require_GET
@require(Verb.MANAGE_BATCHES)
def preview_detail(request: AuthenticatedRequest, batch_id: int) -> HttpResponseBase:
    """How far a preview is: the part of the designer that asks for itself until it is over."""
    batch = get_object_or_404(Batch, pk=batch_id, preview=True)
    if not request.htmx:
        return go_to(request, reverse("generation:batch_detail", args=[batch.pk]))
    context = _preview_context(batch)
    status = STOP_POLLING if context["preview_over"] else 200
    return render(request, f"{TEMPLATE}#preview", context, status=status)


def _previewed(request: AuthenticatedRequest, design: BatchDesign) -> QueryDict:
    """What was sent, with the number of the preview that was started."""
    arguments = design.arguments()
    arguments["name"] = f"Preview of {arguments['name']}"[:120]
    batch = actions.start_preview(
        **arguments, instead_of=_preview(design.form["preview"].value()), by=request.user
    )
    data = request.POST.copy()
    data["preview"] = str(batch.pk)
    return data


def _preview(given: Any) -> Batch | None:
    number = str(given or "")
    if not (number.isdecimal() and len(number) < 19):
        return None
    return Batch.objects.filter(pk=int(number), preview=True).first()


def _preview_context(batch: Batch) -> dict[str, Any]:
    """One query."""
    rows = with_findings(batch.dialogues.all()).order_by("pk")
    return {
        "preview": batch,
        "preview_over": batch.state in (BatchState.FINISHED, BatchState.CANCELLED),
        "preview_rows": [(row, TONES[row.state]) for row in rows],  # type: ignore[index]  # a str
    }
