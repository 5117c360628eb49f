"""A model server of the user's (SQPSYCH_VLLM_URL): wait until it answers, learn its model.

``python -m sqpsych_site.local.own_server DATA_DIR``; ends with status 0 once the server has
answered: from then on the application itself looks after it.
"""

import http.client
import json
import os
import sys
import time
from urllib.parse import urlsplit

from sqpsych_site.local.engine import state_file
from sqpsych_site.local.errors import LocalServiceError
from sqpsych_site.local.paths import places
from sqpsych_site.local.private import make_places, write_json

ASK_EVERY = 3.0
MAX_BYTES = 1024 * 1024


def first_model(url: str, api_key: str) -> str:
    """Return the first model that ``URL/models`` names.

    A redirect is not followed (the key would travel with it) and no proxy is used.

    Raises:
        LocalServiceError: the address cannot be used, or the server's answer is no list of models.
        OSError, http.client.HTTPException: it does not answer.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise LocalServiceError(
            "SQPSYCH_VLLM_URL is no address: give one like http://host:8000/v1."
        )
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=10)
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    try:
        connection.request("GET", f"{parts.path.rstrip('/')}/models", headers=headers)
        with connection.getresponse() as answer:
            body = answer.read(MAX_BYTES)
    finally:
        connection.close()
    if answer.status in (401, 403):
        raise LocalServiceError("the server wants another key: check SQPSYCH_VLLM_API_KEY")
    if answer.status != 200:
        raise LocalServiceError(f"the server answered {answer.status} to /models")
    try:
        return str(json.loads(body)["data"][0]["id"])
    except (ValueError, LookupError, TypeError) as error:
        raise LocalServiceError("the server's list of models cannot be read") from error


def main(arguments: list[str]) -> int:
    """Ask until the server answers; return the exit status."""
    home = places(arguments[0])
    make_places(home)
    url = os.environ["SQPSYCH_VLLM_URL"].strip().rstrip("/")
    wanted = os.environ.get("SQPSYCH_MODEL", "").strip()
    began = time.monotonic()
    last = ("", "")
    while True:
        state, detail, model = "ready", "", wanted
        try:
            found = first_model(url, os.environ.get("SQPSYCH_VLLM_API_KEY", ""))
            model = wanted or found
        except (LocalServiceError, OSError, http.client.HTTPException, ValueError) as error:
            state, detail = "stopped", str(error) or type(error).__name__
        if (state, detail) != last:
            seconds = round(time.monotonic() - began, 1)
            value = {"state": state, "detail": detail, "since": time.time(), "seconds": seconds}
            write_json(state_file(home), {**value, "url": url, "model": model})
            last = (state, detail)
        if state == "ready":
            return 0
        time.sleep(ASK_EVERY)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
