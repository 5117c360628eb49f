"""Protocols: which there are, what one of them says, and loading a group's own."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from generation import actions
from generation.actions import Refused
from generation.actions.definitions import parsed_protocol
from generation.forms import ProtocolForm
from generation.models import Protocol
from generation.protocol_facts import about, prompt_texts, rules, switch_rows
from generation.protocols import Protocol as ProtocolData
from generation.protocols import builtin_protocols
from generation.views.page import go_to, show
from sqpsych_site.roles import AuthenticatedRequest, Verb, require


@dataclass(frozen=True)
class Listed:
    """One protocol as the list shows it; ``current``: a batch that names its key gets it."""

    row: Protocol
    protocol: ProtocolData
    builtin: bool
    current: bool


@require_GET
@require(Verb.SEE_BATCHES)
def protocol_list(request: AuthenticatedRequest) -> HttpResponse:
    """All protocols by key, the newest version of each first."""
    context = {
        "listed": _listed(list(Protocol.objects.order_by("key", "-created_at", "-id"))),
        "may_manage": request.user.may(Verb.MANAGE_BATCHES),
    }
    return render(request, "generation/protocol_list.html", context)


def _listed(rows: Sequence[Protocol]) -> list[Listed]:
    builtin = {each.key: each.sha256 for each in builtin_protocols().values()}
    newest: dict[str, int] = {}
    for row in rows:
        if builtin.get(row.key, row.sha256) == row.sha256:
            newest.setdefault(row.key, row.pk)
    return [
        Listed(row, parsed_protocol(row.toml), row.key in builtin, newest.get(row.key) == row.pk)
        for row in rows
    ]


@require_http_methods(["GET", "POST"])
@require(Verb.MANAGE_BATCHES)
def protocol_add(request: AuthenticatedRequest) -> HttpResponseBase:
    """Load a protocol; what is wrong is said with file, line and key."""
    form = ProtocolForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        upload = form.cleaned_data["file"]
        name = str(upload.name)[:100]
        try:
            text = upload.read().decode("utf-8-sig")
            row = actions.add_protocol(text=text, origin=name, by=request.user)
        except UnicodeDecodeError:
            form.add_error("file", f"{name} is not in UTF-8; save it in UTF-8.")
        except Refused as refused:
            form.add_error("file", str(refused))
        else:
            messages.success(request, f"The protocol {row} is loaded.")
            return go_to(request, reverse("generation:protocol_detail", args=[row.pk]))
    status = 422 if request.method == "POST" else 200
    examples = Protocol.objects.filter(sha256__in=[p.sha256 for p in builtin_protocols().values()])
    context = {"form": form, "examples": examples}
    return show(request, "generation/protocol_add.html", context, part="add", status=status)


@require_GET
@require(Verb.SEE_BATCHES)
def protocol_detail(request: AuthenticatedRequest, protocol_id: int) -> HttpResponse:
    """What a protocol says: its rules, its prompts word by word, its switches."""
    row = get_object_or_404(Protocol, pk=protocol_id)
    protocol = parsed_protocol(row.toml)
    context = {
        "row": row,
        "protocol": protocol,
        "about": about(protocol),
        "rules": rules(protocol),
        "prompts": prompt_texts(protocol),
        "switches": switch_rows(protocol),
    }
    return render(request, "generation/protocol.html", context)


@require_GET
@require(Verb.SEE_BATCHES)
def protocol_file(request: AuthenticatedRequest, protocol_id: int) -> HttpResponse:
    """The protocol's file, as it was loaded."""
    row = get_object_or_404(Protocol, pk=protocol_id)
    return HttpResponse(
        row.toml,
        content_type="application/toml; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{row.key}.toml"'},
    )
