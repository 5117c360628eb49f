"""Model servers: which there are, how they are, and a form for another."""

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.views.decorators.http import require_http_methods, require_POST

from generation import actions
from generation.actions import Refused
from generation.actions.switching import switch_endpoint
from generation.forms import EndpointForm, EndpointUseForm
from generation.models import Endpoint, EndpointState
from generation.views.page import SeeOther, go_to, show
from sqpsych_site.roles import AuthenticatedRequest, Verb, require

TONES = {
    EndpointState.READY: "accent",
    EndpointState.STARTING: "soft",
    EndpointState.UNREACHABLE: "danger",
    EndpointState.WRONG_MODEL: "danger",
    EndpointState.UNAVAILABLE: "warn",
    EndpointState.UNKNOWN: "",
}


@require_http_methods(["GET", "POST"])
@require(Verb.MANAGE_ENDPOINTS)
def endpoint_list(request: AuthenticatedRequest) -> HttpResponseBase:
    """All model servers with their state; a POST enters another."""
    if request.method == "GET":
        return _page(request, EndpointForm())
    form = EndpointForm(request.POST)
    if not form.is_valid():
        return _page(request, form, status=422)
    try:
        made = actions.add_endpoint(**form.cleaned_data, by=request.user)
    except Refused as refused:
        form.add_error(None, str(refused))
        return _page(request, form, status=422)
    messages.success(request, f"“{made.name}” was entered; it is looked at within seconds.")
    return go_to(request, reverse("generation:endpoint_list"))


def _page(request: AuthenticatedRequest, form: EndpointForm, *, status: int = 200) -> HttpResponse:
    rows = [(row, TONES[EndpointState(row.state)]) for row in Endpoint.objects.all()]
    template = "generation/endpoint_list.html"
    return show(request, template, {"rows": rows, "form": form}, part="form", status=status)


@require_http_methods(["GET", "POST"])
@require(Verb.MANAGE_ENDPOINTS)
def endpoint_detail(request: AuthenticatedRequest, endpoint_id: int) -> HttpResponseBase:
    """What is known of a server, and how it is used; a POST changes the latter."""
    endpoint = get_object_or_404(Endpoint, pk=endpoint_id)
    if request.method == "GET":
        initial = {name: getattr(endpoint, name) for name in EndpointUseForm.base_fields}
        return _detail(request, endpoint, EndpointUseForm(initial=initial))
    form = EndpointUseForm(request.POST)
    if not form.is_valid():
        return _detail(request, endpoint, form, status=422)
    try:
        actions.change_endpoint(endpoint=endpoint, **form.cleaned_data, by=request.user)
    except Refused as refused:
        form.add_error(None, str(refused))
        return _detail(request, endpoint, form, status=422)
    messages.success(request, f"“{endpoint.name}” is used as you said, within seconds.")
    return go_to(request, reverse("generation:endpoint_list"))


def _detail(
    request: AuthenticatedRequest, endpoint: Endpoint, form: EndpointUseForm, *, status: int = 200
) -> HttpResponse:
    context = {
        "endpoint": endpoint,
        "form": form,
        "state": endpoint.get_state_display().lower() if endpoint.enabled else "switched off",
        "tone": TONES[EndpointState(endpoint.state)] if endpoint.enabled else "",
        "facts": _facts(endpoint),
    }
    return show(request, "generation/endpoint.html", context, part="form", status=status)


def _facts(endpoint: Endpoint) -> list[tuple[str, str]]:
    checked = endpoint.checked_at
    able = [f"{name.replace('_', ' ')}: {_yes(has)}" for name, has in endpoint.abilities.items()]
    facts = [
        ("Address", endpoint.base_url),
        ("Model", endpoint.model),
        ("Key from", endpoint.api_key_name),
        ("Context", f"{endpoint.context_length:,} tokens" if endpoint.context_length else ""),
        ("Version", f"vLLM {endpoint.server_version}" if endpoint.server_version else ""),
        ("Seen to do", ", ".join(able)),
        ("Looked at", date_format(timezone.localtime(checked), "j M Y, H:i:s") if checked else ""),
        ("State", endpoint.state_detail),
    ]
    return [(name, text) for name, text in facts if text]


def _yes(has: object) -> str:
    return "yes" if has else "no"


@require_POST
@require(Verb.MANAGE_ENDPOINTS)
def endpoint_switch(request: AuthenticatedRequest, endpoint_id: int, to: str) -> HttpResponseBase:
    """Let a server be used, or send it nothing more."""
    endpoint = get_object_or_404(Endpoint, pk=endpoint_id)
    switch_endpoint(endpoint=endpoint, enabled=to == "enable", by=request.user)
    done = "is used again" if to == "enable" else "is sent nothing more"
    messages.success(request, f"“{endpoint.name}” {done}.")
    return SeeOther(reverse("generation:endpoint_list"))
