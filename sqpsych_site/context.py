"""What every page shows around its content: navigation by role and notices of the system."""

from typing import Any, cast

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext, gettext_noop

from sqpsych_site.models import User
from sqpsych_site.roles import Verb

NAV: tuple[tuple[str, str, Verb], ...] = (
    ("review:queue", gettext_noop("My queue"), Verb.RATE),
    ("generation:profile_list", "Profiles", Verb.SEE_PROFILES),
    ("generation:batch_list", "Batches", Verb.SEE_BATCHES),
    ("generation:dialogue_list", "Dialogues", Verb.SEE_BATCHES),
    ("review:study_list", "Studies", Verb.SEE_STUDIES),
    ("review:instrument_list", "Instruments", Verb.SEE_STUDIES),
    ("generation:corpus_list", "Corpus", Verb.EXPORT_CORPUS),
    ("people", "People", Verb.MANAGE_USERS),
)


def navigation(request: HttpRequest) -> dict[str, Any]:
    """``nav_items`` by role, the chosen ``theme``, ``crisis_contact``; no query is made."""
    theme = request.COOKIES.get("theme", "auto")
    context: dict[str, Any] = {
        "theme": theme if theme in {"light", "dark", "contrast"} else "auto",
        "nav_items": [],
        "crisis_contact": settings.CRISIS_CONTACT,
    }
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return context
    person = cast(User, user)
    for name, label, verb in NAV:
        if person.may(verb):
            url = reverse(name)
            context["nav_items"].append(
                {"url": url, "label": gettext(label), "current": request.path.startswith(url)}
            )
    return context
