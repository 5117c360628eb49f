"""The language of the interface: raters choose theirs, staff pages are in English."""

from collections.abc import Callable

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from sqpsych_site.roles import Role

LANGUAGES = dict(settings.LANGUAGES)


def language_of(request: HttpRequest) -> str:
    """A rater's choice, else what the browser asks for. Staff pages exist in English only, and a
    page must not say that it is in another language than it is."""
    if getattr(request.user, "role", Role.RATER) != Role.RATER:
        return settings.LANGUAGE_CODE
    chosen = request.COOKIES.get("language", "")
    return chosen if chosen in LANGUAGES else translation.get_language_from_request(request)


class Language:
    """Answer each request in its person's language."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        with translation.override(language_of(request)):
            response = self.get_response(request)
        patch_vary_headers(response, ["Accept-Language"])
        return response


@login_not_required
@require_POST
def language(request: HttpRequest) -> HttpResponseBase:
    """Remember the language in a cookie and go back."""
    choice = request.POST.get("language", "")
    back = request.POST.get("next", "/")
    if not url_has_allowed_host_and_scheme(back, allowed_hosts={request.get_host()}):
        back = "/"
    response = redirect(back)
    if choice in LANGUAGES:
        response.set_cookie(
            "language",
            choice,
            max_age=365 * 24 * 3600,
            samesite="Lax",
            secure=settings.HTTPS,
            httponly=True,
        )
    return response
