"""What the fake model answers when a request holds it to a JSON schema (response_format)."""

import json
from collections.abc import Mapping
from typing import Any

_FORMS: dict[str, dict[str, Any]] = {
    "Conceptualisation": {
        "history": "Grew up as the eldest and looked after the others early on.",
        "core_beliefs": ["I am not enough."],
        "intermediate_beliefs": ["If I rest, everything falls apart."],
        "situation": "A message from work came on Sunday evening.",
        "automatic_thoughts": ["They have noticed that I cannot cope."],
        "emotions": ["shame", "worry"],
        "behaviours": ["Answered at once and did not sleep."],
        "coping": ["Keeps busy.", "Says nothing to anybody."],
    },
    "SessionPlan": {
        "focus": "What the weeks before the first visit were like.",
        "goals": ["Understand one hard moment together."],
        "agenda": ["How the week was", "One situation"],
        "techniques": ["Guided discovery, to look at one thought"],
        "steps": [
            {"phase": "arrive", "intention": "Welcome and hear what brings the client."},
            {"phase": "close", "intention": "Sum up and ask for feedback."},
        ],
        "homework": "Note one moment that was a little easier.",
    },
}


def form_answer(response_format: Mapping[str, Any], number: int) -> str | None:
    """The JSON asked for; a critique has every third draft revised, every other goal reached.

    None: nothing was asked for that is known here.
    """
    name = response_format.get("json_schema", {}).get("name")
    if name == "Critique":
        revise = number % 3 == 2
        form = {
            "verdict": "revise" if revise else "keep",
            "problems": ["Two questions at once."] if revise else [],
            "advice": "Ask one of them only." if revise else "",
            "goal_reached": number % 2 == 1,
        }
        return json.dumps(form)
    return json.dumps(_FORMS[name]) if name in _FORMS else None
