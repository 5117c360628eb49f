"""One dialogue, driven: ask, wait, ask again, judge, store, until it ends or must be let go.

The only retry layer is here. A request that brought no reply is asked again after a pause that
grows and is jittered, or as long as the server wishes; how often is capped per turn. A server that
is away costs a dialogue nothing but time.
"""

import asyncio
import hashlib
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import structlog
from django.conf import settings

from generation import screening
from generation.lanes import Lane, Lanes
from generation.ledger import Entry, Finish, Ledger
from generation.loading import Work
from generation.models import Attempt, AttemptOutcome, Finding, Turn
from generation.session import (
    Accepted,
    ContextLimit,
    Ended,
    Failed,
    Rejected,
    Reply,
    Session,
    TurnRequest,
    turn_seed,
)
from generation.utterances import CLIENT, THERAPIST, Utterance
from generation.vllm import (
    ChatMessage,
    Completion,
    ModelServerError,
    Permanent,
    Retryable,
    Sampling,
    Unavailable,
)
from generation.watching import EndpointWatch

# Requests for one turn that may fail on the way, over all workers; and how many more of those
# that were only put off (429, 503), since the request itself was never looked at.
ERROR_CAP = 8
BUSY_CAP = 40
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
_BUSY = frozenset({"rate_limited", "overloaded"})
_OVERLOAD = _BUSY | {"deadline", "idle"}
_NO_LIMIT = 2**31
log = structlog.get_logger(__name__)


class LetGo(Exception):  # noqa: N818 - named for what happens
    """The dialogue is to be given back as it is."""


class Lost(Exception):  # noqa: N818 - named for what happened
    """The lease is gone: somebody else has the dialogue, or its batch was cancelled."""


class _GaveUp(Exception):  # noqa: N818 - named for what happened
    def __init__(self, entry: Entry) -> None:
        super().__init__()
        self.entry = entry


@dataclass(frozen=True, slots=True)
class _Sent:
    """One request that is under way or over."""

    request: TurnRequest
    lane: Lane
    sampling: Sampling
    record: dict[str, Any]


@dataclass
class Driver:
    """What all dialogues of one engine share."""

    ledger: Ledger
    lanes: Lanes
    watch: EndpointWatch
    draining: asyncio.Event
    is_paused: Callable[[int], bool]
    turns: int = 0
    finished: int = 0

    async def drive(self, work: Work) -> None:
        """Drive a dialogue to its end. Raises LetGo (give it back) or Lost (forget it)."""
        session = Session(
            work.plan.protocol,
            work.prompts,
            work.history,
            attempts_used=work.rejected,
            context=self._context(work),
        )
        step = session.next_request()
        while isinstance(step, TurnRequest):
            if self.draining.is_set() or self.is_paused(work.batch_id):
                raise LetGo
            try:
                sent, completion = await self._ask(work, step)
            except _GaveUp as given_up:
                await self._store(given_up.entry)
                return
            reply = Reply(completion.text, completion.finish_reason, _stop_reason(completion))
            verdict = session.receive(reply)
            if await self._keep(work, session, sent, completion, verdict):
                return
            step = session.next_request()
        await self._store(await self._ending(work, session, step))

    def _context(self, work: Work) -> ContextLimit | None:
        """The smallest context of the servers that may be asked, as far as they told it."""
        room = {
            role: min(
                (lane.context_length for lane in self.lanes.of(model) if lane.context_length),
                default=_NO_LIMIT,
            )
            for role, model in work.plan.models.items()
        }
        reply = {role: work.plan.sampling[role].get("max_tokens", 0) for role in room}
        return ContextLimit(
            therapist_tokens=room[THERAPIST],
            client_tokens=room[CLIENT],
            therapist_reply=reply[THERAPIST],
            client_reply=reply[CLIENT],
        )

    # -- asking --------------------------------------------------------------------------------

    async def _ask(self, work: Work, request: TurnRequest) -> tuple[_Sent, Completion]:
        """One reply, however many requests it takes. Raises LetGo, Lost or _GaveUp."""
        model = work.plan.models[request.role]
        messages = [ChatMessage(each.role, each.content) for each in request.messages]
        digest = messages_sha256(messages)
        while True:
            lane = await self.lanes.acquire(model, work.lanes.get(request.role))
            pause = 0.0
            try:
                if self.draining.is_set() or self.is_paused(work.batch_id):
                    raise LetGo
                sent = self._prepare(work, request, lane, digest)
                sent_at = lane.limit.now()
                completion = await lane.server.chat(
                    messages, sent.sampling, request.stop, float(settings.ENGINE_REQUEST_SECONDS)
                )
            except Unavailable as error:
                self.watch.went_down(lane, error)
                continue
            except ModelServerError as error:
                pause = await self._after_error(work, sent, error, sent_at)
            else:
                self.watch.succeeded(lane)
                work.lanes[request.role] = lane.endpoint_id
                work.servers[lane.name] = lane.version
                return sent, completion
            finally:
                self.lanes.release(lane)
            await self._pause(pause)

    def _prepare(self, work: Work, request: TurnRequest, lane: Lane, digest: str) -> _Sent:
        values = dict(work.plan.sampling[request.role])
        if lane.supports_seed:
            values["seed"] = turn_seed(work.seed, request.number, work.requests + 1)
        record = {
            "model": lane.model,
            "sampling": values,
            "stop": list(request.stop),
            "note": request.note,
            "messages_sha256": digest,
        }
        return _Sent(request, lane, Sampling(**values), record)

    async def _after_error(
        self, work: Work, sent: _Sent, error: ModelServerError, sent_at: float
    ) -> float:
        """Note a failed request. Returns the pause before the next; raises when there is none."""
        lane = sent.lane
        if error.reason in _OVERLOAD:
            self.watch.overloaded(lane, sent_at)
        if error.endpoint_at_fault:
            self.watch.went_down(lane, error)
        elif error.reason != "rate_limited" and await self.watch.suspect(lane):
            # The server is not well: it is waited for, and this request is not held against
            # the dialogue.
            return 0.0
        work.errors += 1
        attempt = self._attempt(work, sent, AttemptOutcome.ERROR, error=error.reason)
        cap = BUSY_CAP if error.reason in _BUSY else ERROR_CAP
        final = isinstance(error, Permanent) and not error.endpoint_at_fault
        if final or work.errors >= cap:
            detail = f"turn {sent.request.number}: {error.detail}"
            if not final:
                detail += f" ({work.errors} requests failed)"
            finish = Finish(reason=error.reason, detail=detail, facts=_facts(work))
            raise _GaveUp(Entry(work.dialogue_id, attempts=(attempt,), finish=finish))
        await self._store(Entry(work.dialogue_id, attempts=(attempt,)))
        wish = error.retry_after if isinstance(error, Retryable) else None
        return pause_s(work.errors, wish, random.random())

    async def _pause(self, seconds: float) -> None:
        """Wait, unless the engine is to end meanwhile."""
        if seconds <= 0:
            return
        try:
            await asyncio.wait_for(self.draining.wait(), seconds)
        except TimeoutError:
            return
        raise LetGo

    # -- keeping -------------------------------------------------------------------------------

    async def _keep(
        self,
        work: Work,
        session: Session,
        sent: _Sent,
        completion: Completion,
        verdict: Accepted | Rejected | Ended | Failed,
    ) -> bool:
        """Store a judged reply. Returns whether the dialogue is over with it."""
        defects: Sequence[Any] = ()
        outcome = AttemptOutcome.REJECTED
        if isinstance(verdict, Accepted):
            outcome, defects = AttemptOutcome.ACCEPTED, verdict.findings
        elif not isinstance(verdict, Ended):
            defects = verdict.defects
        attempt = self._attempt(work, sent, outcome, completion=completion, defects=defects)
        if isinstance(verdict, Rejected):
            work.rejected += 1
            await self._store(Entry(work.dialogue_id, attempts=(attempt,)))
            return False
        if isinstance(verdict, Ended | Failed):
            await self._store(await self._ending(work, session, verdict, attempt))
            return True
        turn = _turn(work, sent, completion, verdict.utterance, attempt)
        if verdict.ended:
            ended = Ended(verdict.ended)
            await self._store(await self._ending(work, session, ended, attempt, turn))
        else:
            findings = _turn_findings(work, verdict)
            await self._store(Entry(work.dialogue_id, turn, (attempt,), findings))
        self.turns += 1
        work.requests = work.rejected = work.errors = 0
        return verdict.ended is not None

    async def _ending(
        self,
        work: Work,
        session: Session,
        end: Ended | Failed,
        attempt: Attempt | None = None,
        turn: Turn | None = None,
    ) -> Entry:
        """The last entry of a dialogue, with what the program noticed about the whole."""
        if isinstance(end, Ended):
            finish = Finish(ended_by=end.reason, facts=_facts(work))
        else:
            finish = Finish(reason=end.reason, detail=end.detail, facts=_facts(work))
        findings = await asyncio.to_thread(_screened, work.dialogue_id, session.turns)
        attempts = (attempt,) if attempt else ()
        return Entry(work.dialogue_id, turn, attempts, findings, finish)

    async def _store(self, entry: Entry) -> None:
        if not await self.ledger.store(entry):
            raise Lost
        if entry.finish is not None:
            self.finished += 1

    def _attempt(
        self,
        work: Work,
        sent: _Sent,
        outcome: AttemptOutcome,
        *,
        completion: Completion | None = None,
        defects: Sequence[Any] = (),
        error: str = "",
    ) -> Attempt:
        work.requests += 1
        attempt = Attempt(
            dialogue_id=work.dialogue_id,
            turn_number=sent.request.number,
            number=work.requests,
            role=sent.request.role,
            outcome=outcome,
            defects=[asdict(defect) for defect in defects],
            error=error,
            endpoint_id=sent.lane.endpoint_id,
            request=sent.record,
            created_at=datetime.now(UTC),
        )
        if completion is not None:
            attempt.text = completion.text
            attempt.finish_reason = completion.finish_reason
            attempt.prompt_tokens = completion.prompt_tokens
            attempt.cached_tokens = completion.cached_tokens
            attempt.completion_tokens = completion.completion_tokens
            attempt.latency_ms = round(completion.latency_s * 1000)
            attempt.response = without_text(completion.response)
        return attempt
