"""Who may do what: roles are sets of verbs; a view names the verb it needs."""

from collections.abc import Callable
from enum import StrEnum
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, cast

from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import HttpRequest, HttpResponseBase

if TYPE_CHECKING:
    from sqpsych_site.models import User

P = ParamSpec("P")


class Verb(StrEnum):
    """One thing a person may be allowed to do."""

    RATE = "rate dialogues assigned to me"
    ADJUDICATE = "decide where raters disagree, where I am appointed"
    SEE_PROFILES = "see client profiles"
    MANAGE_PROFILES = "import and delete client profiles"
    SEE_BATCHES = "see batches and their dialogues"
    MANAGE_BATCHES = "start, pause and cancel batches"
    MANAGE_ENDPOINTS = "enter model servers"
    SEE_STUDIES = "see studies and their figures"
    MANAGE_STUDIES = "make studies and invite raters"
    EXPORT_RATINGS = "export ratings"
    EXPORT_KEY = "export the blinding key"
    EXPORT_CORPUS = "export dialogues"
    MANAGE_USERS = "make accounts and set roles"
    SEE_AUDIT = "read the audit log"


# To adjudicate takes an appointment in the study too, and never concerns one's own dialogues.
_RATER = frozenset({Verb.RATE, Verb.ADJUDICATE})
_RESEARCHER = frozenset(
    {
        Verb.SEE_BATCHES,
        Verb.SEE_STUDIES,
        Verb.EXPORT_RATINGS,
        Verb.EXPORT_KEY,
        Verb.EXPORT_CORPUS,
    }
)
_COORDINATOR = _RESEARCHER | {
    Verb.ADJUDICATE,
    Verb.SEE_PROFILES,
    Verb.MANAGE_PROFILES,
    Verb.MANAGE_BATCHES,
    Verb.MANAGE_STUDIES,
    Verb.MANAGE_ENDPOINTS,
}
_ADMINISTRATOR = _COORDINATOR | {Verb.MANAGE_USERS, Verb.SEE_AUDIT}


class Role(models.TextChoices):
    """The four kinds of people. Raters stay blind, so a rater sees nothing else."""

    RATER = "rater", "Rater"
    COORDINATOR = "coordinator", "Coordinator"
    RESEARCHER = "researcher", "Researcher"
    ADMINISTRATOR = "administrator", "Administrator"

    @property
    def verbs(self) -> frozenset[Verb]:
        """What this role may do."""
        return {
            Role.RATER: _RATER,
            Role.COORDINATOR: _COORDINATOR,
            Role.RESEARCHER: _RESEARCHER,
            Role.ADMINISTRATOR: _ADMINISTRATOR,
        }[self]


class AuthenticatedRequest(HttpRequest):
    """A request behind the login wall: its user is one of ours."""

    user: "User"
    htmx: object


def require(
    verb: Verb,
) -> Callable[
    [Callable[Concatenate[AuthenticatedRequest, P], HttpResponseBase]],
    Callable[Concatenate[HttpRequest, P], HttpResponseBase],
]:
    """Let only people whose role has ``verb`` into the view; others get 403."""

    def decorate(
        view: Callable[Concatenate[AuthenticatedRequest, P], HttpResponseBase],
    ) -> Callable[Concatenate[HttpRequest, P], HttpResponseBase]:
        @wraps(view)
        def guarded(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            if not cast("User", request.user).may(verb):
                raise PermissionDenied
            return view(cast(AuthenticatedRequest, request), *args, **kwargs)

        guarded.verb = verb  # type: ignore[attr-defined]  # read by the URL x role test
        return cast(Callable[Concatenate[HttpRequest, P], HttpResponseBase], guarded)

    return decorate
