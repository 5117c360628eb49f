"""The rows that a step of a dialogue leaves behind, built but not yet stored."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from generation import screening
from generation.lanes import Lane, Place
from generation.loading import Work
from generation.model_forms import schema
from generation.models import Attempt, AttemptOutcome, Finding, Turn
from generation.session import TurnRequest, turn_seed
from generation.turns import ChatMessage
from generation.utterances import Utterance
from generation.vllm import Completion, Sampling

CACHED_TOKENS = "cached_tokens"


@dataclass(frozen=True, slots=True)
class Sent:
    """One request: what was asked of which server, and how it will be recorded."""

    request: TurnRequest
    place: Place
    sampling: Sampling
    record: dict[str, Any]

    @property
    def lane(self) -> Lane:
        """The server that was asked."""
        return self.place.lane

    @property
    def schema(self) -> dict[str, Any] | None:
        """The JSON schema that the reply is held to, if a form was asked for."""
        return schema(self.request.form) if self.request.form else None


def prepare(work: Work, request: TurnRequest, place: Place, digest: str) -> Sent:
    """The request as it goes to this place; ``digest`` is the hash of its messages."""
    lane = place.lane
    values = {**work.plan.sampling[request.role], **request.sampling}
    if lane.supports_seed:
        values["seed"] = turn_seed(work.seed, request.number, work.requests + 1)
    record = {
        "model": lane.model,
        "sampling": values,
        "stop": list(request.stop),
        "note": request.note,
        "messages_sha256": digest,
        "server": {"name": lane.name, "version": lane.version},
    }
    if request.form:
        record["form"] = request.form
    return Sent(request, place, Sampling(**values), record)


def messages_sha256(messages: Sequence[ChatMessage]) -> str:
    """SHA-256 of the messages as compact JSON: a list of [role, content] pairs in UTF-8.

    With the stored prompts, turns and note it proves what was sent.
    """
    pairs = [[message.role, message.content] for message in messages]
    return hashlib.sha256(
        json.dumps(pairs, ensure_ascii=False, separators=(",", ":")).encode()
    ).hexdigest()


def attempt_row(
    work: Work,
    sent: Sent,
    outcome: AttemptOutcome,
    *,
    completion: Completion | None = None,
    defects: Sequence[screening.Defect] = (),
    error: str = "",
) -> Attempt:
    """The row of one request, counted in ``work.requests``."""
    work.requests += 1
    place = sent.place
    place.end()
    attempt = Attempt(
        dialogue_id=work.dialogue_id,
        turn_number=sent.request.number,
        number=work.requests,
        purpose=sent.request.purpose,
        role=sent.request.role,
        outcome=outcome,
        defects=[asdict(defect) for defect in defects],
        error=error,
        endpoint_id=sent.lane.endpoint_id,
        request=sent.record,
        latency_ms=round(place.took_s * 1000),
        gpu_us=place.gpu_us,
        cost=place.cost,
        created_at=datetime.now(UTC),
    )
    if completion is not None:
        attempt.text = completion.text
        attempt.finish_reason = completion.finish_reason
        attempt.prompt_tokens = completion.prompt_tokens
        attempt.cached_tokens = _cached(completion, sent.lane)
        attempt.completion_tokens = completion.completion_tokens
        attempt.latency_ms = round(completion.latency_s * 1000)
        attempt.response = without_text(completion.response)
    return attempt


def _cached(completion: Completion, lane: Lane) -> int | None:
    """Prompt tokens from the cache. A server that has told some says nothing where it means 0."""
    told = completion.cached_tokens
    if told is None:
        return 0 if lane.abilities.setdefault(CACHED_TOKENS, False) else None
    lane.abilities[CACHED_TOKENS] = True
    return told


def without_text(response: dict[str, Any]) -> dict[str, Any]:
    """A raw answer without the reply's text, which the attempt keeps in its own column."""
    choices = response.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        return response
    message = choices[0].get("message")
    if not isinstance(message, dict):
        return response
    rest = {name: value for name, value in message.items() if name != "content"}
    return {**response, "choices": [{**choices[0], "message": rest}, *choices[1:]]}


def turn_row(said: Utterance, source: Attempt, last: Attempt) -> Turn:
    """The row of an accepted utterance, with the figures of the attempt that brought its words.

    ``last`` is the turn's last attempt: another one where a critique let a draft stand.
    """
    return Turn(
        dialogue_id=source.dialogue_id,
        number=said.number,
        role=said.role,
        text=said.text,
        tracked=tracked(said),
        attempts_used=last.number,
        finish_reason=source.finish_reason,
        prompt_tokens=source.prompt_tokens,
        cached_tokens=source.cached_tokens,
        completion_tokens=source.completion_tokens,
        latency_ms=source.latency_ms,
        endpoint_id=source.endpoint_id,
        created_at=last.created_at,
    )


def tracked(said: Utterance) -> dict[str, Any]:
    """What a protocol keeps track of, as far as it does."""
    found: dict[str, Any] = {}
    if said.phase:
        found["phase"] = said.phase
    if said.goal_reached:
        found["goal_reached"] = True
    if said.resistance is not None:
        found["resistance"] = said.resistance
    return found


def defect_findings(attempt: Attempt, defects: Sequence[screening.Defect]) -> list[Finding]:
    """A finding on the turn for each defect that it was accepted with."""
    return [
        Finding(
            dialogue_id=attempt.dialogue_id,
            kind=defect.kind.value,
            turn_number=attempt.turn_number,
            detail=defect.detail[:300],
            created_at=attempt.created_at,
        )
        for defect in defects
    ]
