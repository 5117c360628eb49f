"""Pages that belong to no app: home, health, theme."""

from typing import cast

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.templatetags.static import static
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_GET, require_POST

from sqpsych_site import health
from sqpsych_site.models import User
from sqpsych_site.overview import overview
from sqpsych_site.roles import Verb

THEMES = ("auto", "light", "dark", "contrast")


@login_not_required
@require_GET
def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers."""
    return HttpResponse("ok\n", content_type="text/plain")


@login_not_required
@require_GET
def readyz(request: HttpRequest) -> JsonResponse:
    """Database, broker and worker: 200 when all are there, 503 otherwise."""
    checks = health.readiness()
    ready = all(check.ok for check in checks)
    body = {
        "ready": ready,
        "checks": {check.name: {"ok": check.ok, "detail": check.detail} for check in checks},
    }
    return JsonResponse(body, status=200 if ready else 503)


@login_not_required
@require_GET
@cache_control(max_age=86400, public=True)
def favicon(request: HttpRequest) -> HttpResponseBase:
    """Browsers ask for /favicon.ico whatever a page says."""
    return redirect(static("favicon.svg"))


@login_not_required
@require_POST
def theme(request: HttpRequest) -> HttpResponseBase:
    """Remember light, dark or high contrast in a cookie and go back."""
    choice = request.POST.get("theme", "auto")
    back = request.POST.get("next", "/")
    if not url_has_allowed_host_and_scheme(back, allowed_hosts={request.get_host()}):
        back = "/"
    response = redirect(back)
    response.set_cookie(
        "theme",
        choice if choice in THEMES else "auto",
        max_age=365 * 24 * 3600,
        samesite="Lax",
        secure=settings.HTTPS,
        httponly=True,
    )
    return response


@require_GET
def styleguide(request: HttpRequest) -> HttpResponse:
    """Every component on one page; development only."""
    return render(request, "styleguide.html")


@require_GET
def home(request: HttpRequest) -> HttpResponseBase:
    """The first page of each role: raters get their queue, everybody else what is going on."""
    user = cast(User, request.user)
    if not user.may(Verb.SEE_STUDIES):
        return redirect("review:queue")
    context = {
        "overview": overview(user),
        "may_manage_studies": user.may(Verb.MANAGE_STUDIES),
        "may_enter_servers": user.may(Verb.MANAGE_ENDPOINTS),
    }
    return render(request, "home.html", context)
