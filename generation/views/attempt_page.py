"""What the page of one request shows: the messages as they were sent, and both sides raw."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from generation import words
from generation.actions.definitions import stored_definitions
from generation.asked import asked_again
from generation.models import Attempt
from generation.questionnaires import without_wording
from generation.records import messages_sha256
from generation.turns import ChatMessage
from generation.views.dialogue_page import attempt_view

ROLE_WORDS = {"system": "Instructions", "user": "User", "assistant": "Assistant"}


@dataclass(frozen=True)
class Message:
    """One chat message as the model server got it; ``hidden``: it holds profile text."""

    role: str
    text: str
    hidden: bool = False


def attempt_context(attempt: Attempt, *, with_profile: bool) -> dict[str, Any]:
    """Everything on the page, in a fixed number of queries."""
    sent = _messages(attempt)
    proven = sent is not None and attempt.request.get("messages_sha256") == messages_sha256(sent)
    number = attempt.turn_number
    return {
        "attempt": attempt_view(attempt),
        "title": f"{f'Turn {number}' if number else 'Preparation'}, request {attempt.number}",
        "role": attempt.role,
        "turn": number,
        "at": attempt.created_at,
        "messages_sent": _shown(attempt, sent, with_profile) if sent and proven else [],
        "lost": bool(attempt.request.get("messages_sha256")) and not proven,
        "text": attempt.text,
        "request_json": _json(attempt.request),
        "response_json": _json(attempt.response),
        **_beside(attempt),
    }


def _messages(attempt: Attempt) -> tuple[ChatMessage, ...] | None:
    """The messages again, made from what is stored; None where they cannot be."""
    if attempt.dialogue.arm_id is None:
        return None
    try:
        request = asked_again(attempt)
    except (KeyError, TypeError, ValueError):  # a record of another version, or a broken one
        return None
    return request.messages if request else None


def _shown(attempt: Attempt, sent: Sequence[ChatMessage], with_profile: bool) -> list[Message]:
    """The messages in words. A role's first user message opens with the profile's text, which
    asks for its own right, and never shows wording that its licence forbids to show."""
    profile = attempt.dialogue.profile
    definitions = stored_definitions(profile.questionnaires if profile else {}).values()
    first = next((place for place, each in enumerate(sent) if each.role != "system"), None)
    return [
        Message(ROLE_WORDS.get(each.role, each.role), "", hidden=True)
        if place == first and not with_profile
        else Message(
            ROLE_WORDS.get(each.role, each.role), without_wording(each.content, definitions)
        )
        for place, each in enumerate(sent)
    ]


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) if value else ""


def _beside(attempt: Attempt) -> dict[str, Any]:
    """The requests before and after this one, as pairs of turn and number. One query."""
    rows = Attempt.objects.filter(dialogue=attempt.dialogue_id)
    places = list(rows.values_list("turn_number", "number"))
    here = places.index((attempt.turn_number, attempt.number))
    return {
        "previous": places[here - 1] if here else None,
        "next": places[here + 1] if here + 1 < len(places) else None,
        "tries": words.count(sum(turn == attempt.turn_number for turn, _ in places), "request"),
    }
