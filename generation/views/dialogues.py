"""Dialogues: a list that stays fast, one dialogue to read, and one request behind it."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_GET

from generation import words
from generation.actions.definitions import stored_definitions
from generation.filters import DialogueFilter
from generation.models import Attempt, Dialogue, DialogueState, Origin
from generation.questionnaires import without_wording
from generation.views.attempt_page import attempt_context
from generation.views.dialogue_page import (
    TONES,
    finding_view,
    part,
    prepared_context,
    provenance_facts,
    turn_views,
    with_findings,
)
from generation.views.page import how_many, keyset_page
from sqpsych_site.roles import AuthenticatedRequest, Verb, require

ORIGIN_WORDS = {
    Origin.GENERATED: "A model wrote both parts. No real client speaks here.",
    Origin.PREVIEW: "Made by a model for a preview; in no list and no study.",
    Origin.DEMO: "Written for this project. No real client speaks here.",
    Origin.PRACTICE: "Written for raters to practise on. No real client speaks here.",
    Origin.IMPORTED: "Made elsewhere and imported from a file.",
}


@require_GET
@require(Verb.SEE_BATCHES)
def dialogue_list(request: AuthenticatedRequest) -> HttpResponse:
    """All dialogues, newest first, filtered and paged."""
    chosen = DialogueFilter(request.GET, profiles=request.user.may(Verb.SEE_PROFILES))
    chosen.offer()
    fitting = chosen.apply(Dialogue.objects.all())
    reason = chosen.chosen("reason")
    context = {
        "filter": chosen,
        "reason": reason,
        "reason_words": words.failure(reason) if reason else "",
        "page": keyset_page(fitting, request.GET, dress=with_findings),
        "number": how_many(fitting, "dialogue"),
        "tones": TONES,
        "may_see_profiles": request.user.may(Verb.SEE_PROFILES),
        "may_manage": request.user.may(Verb.MANAGE_BATCHES),
    }
    return render(request, "generation/dialogue_list.html", context)


@require_GET
@require(Verb.SEE_BATCHES)
def dialogue_detail(request: AuthenticatedRequest, uid: UUID) -> HttpResponse:
    """One dialogue as a conversation, with what was noticed, what was tried and its provenance."""
    dialogue = get_object_or_404(
        Dialogue.objects.select_related("batch", "arm__protocol", "profile"), uid=uid
    )
    turns = list(dialogue.turns.select_related("endpoint"))
    attempts = list(dialogue.attempts.select_related("endpoint").defer("request", "response"))
    prepared = prepared_context(dialogue, attempts)
    findings = list(dialogue.findings.all())
    context = {
        "dialogue": dialogue,
        "open": dialogue.state in (DialogueState.WAITING, DialogueState.RUNNING),
        "heading": _heading(dialogue),
        "lede": _lede(dialogue),
        "origin_words": ORIGIN_WORDS[Origin(dialogue.origin)],
        "tone": TONES[DialogueState(dialogue.state)],
        "failure": words.failure(dialogue.failure_reason) if dialogue.failure_reason else "",
        "turns": turn_views(turns, attempts, findings, prepared["phases"]),
        **prepared,
        "findings": [finding_view(row) for row in findings],
        "facts": provenance_facts(dialogue),
        "may_see_profiles": request.user.may(Verb.SEE_PROFILES),
        **_prompts(request, dialogue),
        **_neighbours(request, dialogue),
    }
    return render(request, "generation/dialogue.html", context)


@require_GET
@require(Verb.SEE_BATCHES)
def attempt_detail(
    request: AuthenticatedRequest, uid: UUID, turn: int, number: int
) -> HttpResponse:
    """One request for a turn: what was sent, what came back."""
    attempt = get_object_or_404(
        Attempt.objects.select_related("dialogue__batch", "dialogue__profile", "endpoint"),
        dialogue__uid=uid,
        turn_number=turn,
        number=number,
    )
    context = {
        "dialogue": attempt.dialogue,
        "heading": _heading(attempt.dialogue),
        **attempt_context(attempt, with_profile=request.user.may(Verb.SEE_PROFILES)),
    }
    return render(request, "generation/attempt.html", context)


def _heading(dialogue: Dialogue) -> str:
    return dialogue.title or f"Dialogue {str(dialogue.uid)[:8]}"


def _lede(dialogue: Dialogue) -> str:
    """What it is, in one line."""
    parts = [words.count(dialogue.turn_count, "turn")]
    if dialogue.profile is not None:
        parts.insert(0, f"Profile {dialogue.profile.profile_id}")
    if dialogue.arm is not None:
        parts.append(f"arm {dialogue.arm.label}, number {dialogue.replicate}")
    return ", ".join(parts)


def _prompts(request: AuthenticatedRequest, dialogue: Dialogue) -> dict[str, Any]:
    """What each role was told. The cases are made from the profile, so they ask for its verb."""
    told = [
        ("The therapist’s instructions", dialogue.therapist_system),
        ("The client’s instructions", dialogue.client_system),
    ]
    prompts = part(dialogue.provenance, "prompts")
    if request.user.may(Verb.SEE_PROFILES):
        hashes = dialogue.profile.questionnaires if dialogue.profile else {}
        definitions = stored_definitions(hashes).values()
        told += [
            (title, without_wording(prompts.get(name, ""), definitions))
            for title, name in (
                ("What the therapist knows about the client", "therapist_case"),
                ("What the client knows about itself", "client_case"),
            )
        ]
    return {"prompts": [(title, text) for title, text in told if text]}


def _neighbours(request: AuthenticatedRequest, dialogue: Dialogue) -> dict[str, Any]:
    """The way to the dialogues beside this one, in the order of the list that led here: the one
    that the filters in the address make, else that of its batch. Two queries."""
    chosen = DialogueFilter(request.GET, profiles=request.user.may(Verb.SEE_PROFILES))
    query = chosen.query
    if query:
        rows: QuerySet[Dialogue] = chosen.apply(Dialogue.objects.all())
        back = f"{reverse('generation:dialogue_list')}?{query}"
    elif dialogue.batch_id is not None:
        rows = Dialogue.objects.filter(batch=dialogue.batch_id)
        back = ""
    else:
        return {}
    uids = rows.values_list("uid", flat=True)
    around = {
        "previous": uids.filter(pk__gt=dialogue.pk).order_by("pk").first(),
        "next": uids.filter(pk__lt=dialogue.pk).order_by("-pk").first(),
    }
    urls = {
        side: f"{reverse('generation:dialogue_detail', args=[uid])}{query and f'?{query}'}"
        for side, uid in around.items()
        if uid
    }
    return {**urls, "back": back}
