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
    from generation.actions import set_endpoint_state

    known = json.loads(arguments[0])
    state = known["state"]
    detail = known["detail"]
    if STATES[state] == "starting" and detail:
        detail = f"{state}: {detail}" if not detail.startswith(state) else detail
    extra: dict[str, object] = {}
    if known.get("context_length"):
        extra["context_length"] = known["context_length"]
    if known.get("api_key_name"):
        extra["api_key_name"] = known["api_key_name"]
    set_endpoint_state(
        name=known["name"],
        state=STATES[state],
        detail=detail,
        base_url=known["url"] or None,
        model=known["model"] or None,
        **extra,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
