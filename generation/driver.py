"""One dialogue, driven: ask, wait, ask again, judge, store, until it ends or must be let go.

The only retry layer is here. A request that brought no reply is asked again after a pause that
grows and is jittered, or as long as the server wishes; how often is capped per turn. A server that
is away costs a dialogue nothing but time.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from django.conf import settings

from generation.actions.looking import screened
from generation.keeping import early_end, end_of, entry_of, outcome_of, remember
from generation.lanes import Lanes
from generation.ledger import Ledger
from generation.loading import Work
from generation.models import Attempt, AttemptOutcome
from generation.records import Sent, attempt_row, messages_sha256, prepare
from generation.session import (
    ContextLimit,
    Ended,
    Failed,
    Reply,
    Session,
    TurnRequest,
    Verdict,
)
from generation.storing import Entry, Finish
from generation.token_scale import scaled_estimate
from generation.utterances import CLIENT, THERAPIST
from generation.vllm import (
    Completion,
    ContextFull,
    ModelServerError,
    Permanent,
    Retryable,
    Unavailable,
)
from generation.watching import EndpointWatch

# Requests for one turn that may fail on the way, over all workers; and how many may be put off
# (429, 503), since those were never looked at.
ERROR_CAP = 8
BUSY_CAP = 40
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
_BUSY = frozenset({"rate_limited", "overloaded"})
_OVERLOAD = _BUSY | {"deadline", "idle"}
_NO_LIMIT = 2**31


class LetGo(Exception):
    """The dialogue is to be given back as it is."""


class Lost(Exception):
    """The lease is gone: somebody else has the dialogue, or its batch was cancelled."""


class _GaveUp(Exception):
    """No reply will be had for this turn; ``entry`` fails the dialogue."""

    def __init__(self, entry: Entry) -> None:
        super().__init__()
        self.entry = entry


class _NoRoom(Exception):
    """The server says that the request does not fit its model's context."""

    def __init__(self, attempt: Attempt) -> None:
        super().__init__()
        self.attempt = attempt


def pause_s(errors: int, wish: float | None, chance: float) -> float:
    """Seconds before the next request after ``errors`` failures: the server's wish, or 0.5, 1, 2
    ... 30, each spread by ``chance`` (0 to 1) so that what failed together does not come back
    together."""
    if wish is not None:
        return wish * (1.0 + 0.25 * chance)
    doubled = FIRST_PAUSE_S * 2.0 ** min(errors - 1, 10)
    return min(doubled, LONGEST_PAUSE_S) * (0.5 + chance)


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
    turns_of: Counter[int] = field(default_factory=Counter)

    async def drive(self, work: Work) -> None:
        """Drive a dialogue to its end. Raises LetGo (give it back) or Lost (forget it)."""
        session = work.session(self._context(work))
        step = session.next_request()
        while isinstance(step, TurnRequest):
            self._check(work)
            try:
                sent, completion = await self._ask(work, step)
            except _GaveUp as given_up:
                await self._store(given_up.entry)
                return
            except _NoRoom as refused:
                verdict: Verdict = session.no_room()
                attempt = refused.attempt
            else:
                verdict = session.receive(_reply(completion))
                outcome, defects = outcome_of(verdict)
                attempt = attempt_row(work, sent, outcome, completion=completion, defects=defects)
            if await self._keep(work, session, attempt, verdict):
                return
            number, step = step.number, session.next_request()
            if isinstance(step, TurnRequest) and step.number != number:
                work.requests = work.errors = 0
        await self._store(await self._with_end(Entry(work.dialogue_id), work, session, step))

    def _check(self, work: Work) -> None:
        if self.draining.is_set() or self.is_paused(work.batch_id):
            raise LetGo

    def _context(self, work: Work) -> ContextLimit:
        """The smallest context of the servers that may be asked, as far as they told it."""
        asked = [lane for model in work.plan.models.values() for lane in self.lanes.of(model)]
        room = {
            role: min(
                (lane.context_length for lane in self.lanes.of(model) if lane.context_length),
                default=_NO_LIMIT,
            )
            for role, model in work.plan.models.items()
        }
        return ContextLimit(
            therapist_tokens=room[THERAPIST],
            client_tokens=room[CLIENT],
            therapist_reply=work.plan.sampling[THERAPIST].get("max_tokens", 0),
            client_reply=work.plan.sampling[CLIENT].get("max_tokens", 0),
            estimate=lambda messages: scaled_estimate(messages, [lane.scale for lane in asked]),
        )

    # -- asking --------------------------------------------------------------------------------

    async def _ask(self, work: Work, request: TurnRequest) -> tuple[Sent, Completion]:
        """One reply, however many requests it takes. Raises LetGo, Lost or _GaveUp."""
        model = work.plan.models[request.role]
        digest = messages_sha256(request.messages)
        while True:
            last = work.lanes.get(request.role)
            place = await self.lanes.acquire(model, last, batch_id=work.batch_id)
            lane = place.lane
            sent = prepare(work, request, place, digest)
            sent_at = lane.limit.now()
            try:
                self._check(work)
                completion = await lane.server.chat(
                    request.messages,
                    sent.sampling,
                    request.stop,
                    float(settings.ENGINE_REQUEST_SECONDS),
                    form=sent.schema,
                )
            except Unavailable as error:
                self.watch.went_down(lane, error)
                continue
            except ModelServerError as error:
                pause = await self._after_error(work, sent, error, sent_at)
            else:
                self.watch.succeeded(lane)
                lane.scale.note(request.messages, completion.prompt_tokens)
                work.lanes[request.role] = lane.endpoint_id
                return sent, completion
            finally:
                self.lanes.release(place)
            await self._pause(pause)

    async def _after_error(
        self, work: Work, sent: Sent, error: ModelServerError, sent_at: float
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
        attempt = attempt_row(work, sent, AttemptOutcome.ERROR, error=error.reason)
        if isinstance(error, ContextFull):
            raise _NoRoom(attempt)
        final = isinstance(error, Permanent) and not error.endpoint_at_fault
        if final or work.errors >= (BUSY_CAP if error.reason in _BUSY else ERROR_CAP):
            detail = f"turn {sent.request.number}: {error.detail}"
            if not final:
                detail += f" ({work.errors} requests failed)"
            finish = Finish(reason=error.reason, detail=detail)
            raise _GaveUp(Entry(work.dialogue_id, attempts=(attempt,), finish=finish))
        await self._store(Entry(work.dialogue_id, attempts=(attempt,)))
        wish = error.retry_after if isinstance(error, Retryable) else None
        return pause_s(work.errors, wish, random.random())

    async def _pause(self, seconds: float) -> None:
        """Wait, unless the engine is to end meanwhile."""
        if seconds <= 0:
            return
        try:
            async with asyncio.timeout(seconds):
                await self.draining.wait()
        except TimeoutError:
            return
        raise LetGo

    # -- keeping -------------------------------------------------------------------------------

    async def _keep(self, work: Work, session: Session, attempt: Attempt, verdict: Verdict) -> bool:
        """Store what a verdict leaves behind. Returns whether the dialogue is over with it."""
        entry = entry_of(work, attempt, verdict)
        if (end := end_of(verdict)) is not None:
            # With the turn in one transaction: no closing turn without its dialogue's end.
            entry = await self._with_end(entry, work, session, end)
        await self._store(entry)
        remember(work, attempt, verdict)
        if entry.turn is not None:
            self.turns += 1
            self.turns_of[work.batch_id] += 1
        return entry.finish is not None

    async def _with_end(
        self, entry: Entry, work: Work, session: Session, end: Ended | Failed
    ) -> Entry:
        """The last entry of a dialogue, with what the program notices about the whole."""
        if isinstance(end, Ended):
            finish = Finish(ended_by=end.reason)
        else:
            finish = Finish(reason=end.reason, detail=end.detail)
        found = await asyncio.to_thread(screened, work.dialogue_id, session.turns)
        if isinstance(end, Ended) and end.reason == "context":
            found.append(early_end(work))
        return replace(entry, findings=(*entry.findings, *found), finish=finish)

    async def _store(self, entry: Entry) -> None:
        if not await self.ledger.store(entry):
            raise Lost
        if entry.finish is not None:
            self.finished += 1


def _reply(completion: Completion) -> Reply:
    """What the session is to judge; vLLM names the stop sequence met beside the finish reason."""
    stop = completion.response["choices"][0].get("stop_reason")
    return Reply(completion.text, completion.finish_reason, stop if isinstance(stop, str) else None)
