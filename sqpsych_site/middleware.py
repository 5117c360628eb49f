"""Small middleware: login everywhere, who-did-it for the audit, and no caching of private pages."""

from collections.abc import Callable
from typing import Any

import pghistory
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from django_htmx.http import HttpResponseClientRedirect

Handler = Callable[[HttpRequest], HttpResponseBase]
SAFE = {"GET", "HEAD", "OPTIONS", "TRACE"}


class LoginRequired(LoginRequiredMiddleware):
    """Login everywhere by default; an htmx request is sent to the whole login page.

    Without this a fragment request after the session has ended would swap a login form into
    the middle of the page.
    """

    def handle_no_permission(  # type: ignore[override]  # a fragment gets no redirect
        self, request: HttpRequest, view_func: Any
    ) -> HttpResponseBase:
        if request.headers.get("X-SQPsych-Save"):
            return HttpResponse("Please sign in again.", status=401, content_type="text/plain")
        if request.headers.get("X-Requested-With") == "fetch":
            # The rating page keeps its answers and says so; it must not be navigated away.
            return JsonResponse(
                {"code": "sign_in", "sentence": "Please sign in again."}, status=401
            )
        response = super().handle_no_permission(request, view_func)
        if request.headers.get("HX-Request") == "true" and isinstance(response, HttpResponse):
            return HttpResponseClientRedirect(response.headers["Location"])
        return response


class AuditContext:
    """Give every change made while answering a writing request its author."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.method in SAFE:
            return self.get_response(request)
        # The path holds ids only: texts never travel in a URL.
        with pghistory.context(user=request.user.pk, path=request.path_info):
            return self.get_response(request)


class PrivatePages:
    """Pages of a signed-in person are kept by no cache; fragments and pages never mix.

    Signing out also empties the browser's storage: a rating page keeps there what it could not
    send yet, encrypted.
    """

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        signed_in = request.user.is_authenticated
        response = self.get_response(request)
        if signed_in and not request.user.is_authenticated:
            response.headers["Clear-Site-Data"] = '"storage"'
        if request.user.is_authenticated and "Cache-Control" not in response.headers:
            response.headers["Cache-Control"] = "no-store"
        if isinstance(response, HttpResponse):
            patch_vary_headers(response, ["HX-Request"])
        return response
