"""How a rater likes to read: text size and line length, remembered in a cookie of this site."""

from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from sqpsych_site.roles import AuthenticatedRequest, Verb, require

COOKIE = "reading"
SIZES = ("small", "medium", "large", "huge")
WIDTHS = ("narrow", "medium", "wide")


@dataclass(frozen=True)
class Reading:
    """Size of the dialogue's text and length of its lines."""

    size: str = "medium"
    width: str = "medium"

    @property
    def sizes(self) -> list[tuple[str, str]]:
        """What can be chosen, in words."""
        return list(zip(SIZES, (_("Small"), _("Medium"), _("Large"), _("Huge")), strict=True))

    @property
    def widths(self) -> list[tuple[str, str]]:
        """What can be chosen, in words."""
        return list(zip(WIDTHS, (_("Short"), _("Medium"), _("Long")), strict=True))


def reading_of(request: HttpRequest) -> Reading:
    """What this browser has chosen; anything else in the cookie is the default."""
    size, _dot, width = request.COOKIES.get(COOKIE, "").partition(".")
    return Reading(
        size if size in SIZES else Reading.size, width if width in WIDTHS else Reading.width
    )


@require_POST
@require(Verb.RATE)
def reading(request: AuthenticatedRequest) -> HttpResponseBase:
    """Remember a choice and go back to the dialogue."""
    now = reading_of(request)
    size, width = request.POST.get("size", now.size), request.POST.get("width", now.width)
    back = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(back, allowed_hosts={request.get_host()}):
        back = "/"
    response = redirect(back)
    response.set_cookie(
        COOKIE,
        f"{size if size in SIZES else now.size}.{width if width in WIDTHS else now.width}",
        max_age=365 * 24 * 3600,
        samesite="Lax",
        secure=settings.HTTPS,
        httponly=True,
    )
    return response
