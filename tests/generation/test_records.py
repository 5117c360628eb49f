"""The rows of one request: what the server told, and what it left unsaid."""

from typing import Any

import pytest

from generation.adaptive import AdaptiveLimit
from generation.lanes import Lane, Place
from generation.models import AttemptOutcome
from generation.records import Sent, attempt_row
from generation.session import TurnRequest
from generation.vllm import Completion, ModelServer, Sampling


def completion(cached: int | None) -> Completion:
    return Completion("Hello.", "stop", 100, 5, cached, 0.5, {"choices": [{}]})


class Work:
    """As much of a dialogue as a row needs."""

    dialogue_id, requests = 1, 0


@pytest.mark.parametrize(
    ("told", "kept", "able"),
    [
        ([None, None], [None, None], False),
        ([64, None, 32], [64, 0, 32], True),
        # Nobody can say yet whether silence means nothing or nothing told.
        ([None, 64, None], [None, 64, 0], True),
    ],
)
def test_silence_on_cached_tokens_means_none_once_the_server_has_told_some(
    told: list[int | None], kept: list[int | None], able: bool
) -> None:
    server = ModelServer("http://127.0.0.1:8000/v1", "m")
    lane = Lane(1, "e1", "m", server, AdaptiveLimit(4))
    request = TurnRequest("client", 2, 1, 1, (), ())
    work: Any = Work()
    rows = [
        attempt_row(
            work,
            Sent(request, Place.on(lane, 1), Sampling(), {}),
            AttemptOutcome.ACCEPTED,
            completion=completion(cached),
        )
        for cached in told
    ]
    assert [row.cached_tokens for row in rows] == kept
    assert [row.number for row in rows] == [1, 2, 3][: len(told)]
    assert lane.abilities == {"cached_tokens": able}
