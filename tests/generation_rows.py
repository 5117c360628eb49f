"""Profile sets, batches and dialogues for the tests of the generation pages."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from django.utils import timezone

from generation import actions
from generation.models import (
    Attempt,
    AttemptOutcome,
    Batch,
    Dialogue,
    DialogueState,
    Endpoint,
    EndpointState,
    Finding,
    ProfileSet,
    Turn,
)

WHEN = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
MODEL = "smollm2"


def make_server(name: str = "gpu-1", model: str = MODEL, **values: Any) -> Endpoint:
    """A model server, ready unless said otherwise."""
    defaults = {
        "base_url": "http://127.0.0.1:8001/v1",
        "model": model,
        "state": EndpointState.READY,
        "checked_at": WHEN,
    }
    return Endpoint.objects.create(name=name, **defaults | values)


def make_set(count: int = 3, name: str = "demo", seed: int = 1) -> ProfileSet:
    """Sampled profiles."""
    return actions.sample_profiles(name=name, count=count, seed=seed, by=None)


def make_batch(
    profiles: int = 2, name: str = "pilot", per_profile: int = 1, **values: Any
) -> Batch:
    """A running batch with one waiting dialogue per profile and replicate, and a ready server."""
    if not Endpoint.objects.exists():
        make_server()
    return actions.create_batch(
        name=name,
        profile_set=make_set(profiles, f"profiles of {name}"),
        protocol="sqpsych",
        model=MODEL,
        per_profile=per_profile,
        by=None,
        **values,
    )


def speak(
    dialogue: Dialogue,
    texts: Sequence[str],
    *,
    at: datetime | None = None,
    every_s: float = 2.0,
    cached: int | None = None,
    endpoint: Endpoint | None = None,
) -> list[Turn]:
    """Store turns with an accepted attempt each; 10 tokens written and 100 read a turn."""
    begin = at or timezone.now() - timedelta(seconds=every_s * len(texts))
    shared = {
        "finish_reason": "stop",
        "prompt_tokens": 100,
        "cached_tokens": cached,
        "completion_tokens": 10,
        "latency_ms": 500,
        "endpoint": endpoint,
    }
    rows = [
        {
            "dialogue": dialogue,
            "role": "therapist" if number % 2 else "client",
            "text": text,
            "created_at": begin + timedelta(seconds=every_s * number),
        }
        for number, text in enumerate(texts, start=1)
    ]
    turns = Turn.objects.bulk_create(
        Turn(number=number, **row, **shared) for number, row in enumerate(rows, start=1)
    )
    Attempt.objects.bulk_create(
        Attempt(turn_number=number, number=1, outcome=AttemptOutcome.ACCEPTED, **row, **shared)
        for number, row in enumerate(rows, start=1)
    )
    number = len(texts)
    Dialogue.objects.filter(pk=dialogue.pk).update(
        turn_count=number,
        requests=number,
        prompt_tokens=100 * number,
        completion_tokens=10 * number,
        cached_tokens=number * (cached or 0),
        cached_of_tokens=100 * number if cached is not None else 0,
        reply_ms=500 * number,
    )
    return turns


def reject(
    dialogue: Dialogue,
    turn: int,
    number: int,
    *,
    text: str = "Nope.",
    kind: str = "empty",
    error: str = "",
) -> Attempt:
    """Store an attempt that did not become a turn."""
    return Attempt.objects.create(
        dialogue=dialogue,
        turn_number=turn,
        number=number,
        role="therapist" if turn % 2 else "client",
        outcome=AttemptOutcome.ERROR if error else AttemptOutcome.REJECTED,
        defects=[] if error else [{"kind": kind, "detail": "no words"}],
        error=error,
        text="" if error else text,
        latency_ms=900,
        created_at=WHEN,
    )


def notice(
    dialogue: Dialogue,
    kind: str,
    turn: int | None = None,
    severity: str = "notice",
    detail: str = "",
) -> Finding:
    """Store a finding."""
    return Finding.objects.create(
        dialogue=dialogue,
        kind=kind,
        turn_number=turn,
        severity=severity,
        detail=detail,
        created_at=WHEN,
    )


def complete(dialogue: Dialogue, **values: Any) -> None:
    """End a dialogue well."""
    _change(dialogue, state=DialogueState.COMPLETE, ended_by="marker", **_times(), **values)


def fail(dialogue: Dialogue, reason: str = "empty", detail: str = "", **values: Any) -> None:
    """End a dialogue badly."""
    _change(
        dialogue,
        state=DialogueState.FAILED,
        failure_reason=reason,
        failure_detail=detail,
        **_times(),
        **values,
    )


def run(dialogue: Dialogue) -> None:
    """Let a worker hold the dialogue."""
    _change(
        dialogue,
        state=DialogueState.RUNNING,
        lease_owner=uuid4(),
        lease_until=timezone.now() + timedelta(minutes=1),
        started_at=timezone.now(),
    )


def _times() -> dict[str, datetime]:
    return {"started_at": WHEN, "finished_at": WHEN + timedelta(minutes=10)}


def _change(dialogue: Dialogue, **values: Any) -> None:
    Dialogue.objects.filter(pk=dialogue.pk).update(**values)
    dialogue.refresh_from_db()
