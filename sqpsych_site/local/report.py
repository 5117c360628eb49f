"""Tell the application what is known of the model server of this run.

``python -m sqpsych_site.local.report JSON``: a short-lived process, so that the supervisor needs
neither Django nor a database connection. The JSON is the content of ``run/model_server.json``
with ``name``; it holds no client text.
"""

import json
import sys

# The supervisor's words -> the application's.
STATES = {
    "installing": "starting",
    "downloading": "starting",
    "converting": "starting",
    "starting": "starting",
    "ready": "ready",
    "stopped": "unreachable",
    "cannot run": "unavailable",
    "none": "unavailable",
}


def main(arguments: list[str]) -> int:
    """Store one state; return the exit status."""
    import django

    django.setup()
    from generation.actions import Refused, set_endpoint_state

    known = json.loads(arguments[0])
    name, state, detail = known["name"], known["state"], known["detail"]
    if STATES[state] == "starting" and detail and not detail.startswith(state):
        detail = f"{state}: {detail}"
    extra = {key: known[key] for key in ("context_length", "api_key_name") if known.get(key)}
    try:
        set_endpoint_state(
            name=name,
            state=STATES[state],
            detail=detail,
            base_url=known["url"] or None,
            model=known["model"] or None,
            **extra,
        )
    except Refused as refusal:
        set_endpoint_state(name=name, state="unreachable", detail=str(refusal))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
