"""One dialogue, driven: ask, wait, ask again, judge, store, until it ends or must be let go.

The only retry layer is here. A request that brought no reply is asked again after a pause that
grows and is jittered, or as long as the server wishes; how often is capped per turn. A server that
is away costs a dialogue nothing but time.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from django.conf import settings

from generation.lanes import Lanes
from generation.ledger import Entry, Finish, Ledger
from generation.loading import Work
from generation.models import Attempt, AttemptOutcome, Finding, Turn
from generation.records import (
    Sent,
    attempt_row,
    defect_findings,
    messages_sha256,
    prepare,
    screened,
    turn_row,
)
from generation.session import (
    Accepted,
    ContextLimit,
    Ended,
    Failed,
    Rejected,
    Reply,
    Session,
    TurnRequest,
)
from generation.utterances import CLIENT, THERAPIST
from generation.vllm import Completion, ModelServerError, Permanent, Retryable, Unavailable
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
        session = Session(
            work.plan.protocol,
            work.prompts,
            work.history,
            attempts_used=work.rejected,
            context=self._context(work),
        )
        step = session.next_request()
        while isinstance(step, TurnRequest):
            self._check(work)
            try:
                sent, completion = await self._ask(work, step)
            except _GaveUp as given_up:
                await self._store(given_up.entry)
                return
            stop_reason = _stop_reason(completion)
            verdict = session.receive(Reply(completion.text, completion.finish_reason, stop_reason))
            if await self._keep(work, session, sent, completion, verdict):
                return
            step = session.next_request()
        await self._store(await self._ending(work, session, step))

    def _check(self, work: Work) -> None:
        if self.draining.is_set() or self.is_paused(work.batch_id):
            raise LetGo

    def _context(self, work: Work) -> ContextLimit:
        """The smallest context of the servers that may be asked, as far as they told it."""
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
        final = isinstance(error, Permanent) and not error.endpoint_at_fault
        if final or work.errors >= (BUSY_CAP if error.reason in _BUSY else ERROR_CAP):
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
            async with asyncio.timeout(seconds):
                await self.draining.wait()
        except TimeoutError:
            return
        raise LetGo

    # -- keeping -------------------------------------------------------------------------------

    async def _keep(
        self,
        work: Work,
        session: Session,
        sent: Sent,
        completion: Completion,
        verdict: Accepted | Rejected | Ended | Failed,
    ) -> bool:
        """Store a judged reply. Returns whether the dialogue is over with it."""
        if isinstance(verdict, Accepted):
            return await self._keep_turn(work, session, sent, completion, verdict)
        # A reply that is nothing but a valid end marker has no turn: the one before is the last.
        defects = () if isinstance(verdict, Ended) else verdict.defects
        rejected = AttemptOutcome.REJECTED
        attempt = attempt_row(work, sent, rejected, completion=completion, defects=defects)
        if isinstance(verdict, Rejected):
            await self._store(Entry(work.dialogue_id, attempts=(attempt,)))
            return False
        await self._store(await self._ending(work, session, verdict, attempt))
        return True

    async def _keep_turn(
        self,
        work: Work,
        session: Session,
        sent: Sent,
        completion: Completion,
        verdict: Accepted,
    ) -> bool:
        defects = verdict.findings
        accepted = AttemptOutcome.ACCEPTED
        attempt = attempt_row(work, sent, accepted, completion=completion, defects=defects)
        turn = turn_row(verdict.utterance, attempt)
        found = defect_findings(attempt, defects)
        if verdict.ended:
            # With the turn in one transaction: no closing turn without its dialogue's end.
            ended = Ended(verdict.ended)
            entry = await self._ending(work, session, ended, attempt, turn, found)
        else:
            entry = Entry(work.dialogue_id, turn, (attempt,), tuple(found))
        await self._store(entry)
        self.turns += 1
        self.turns_of[work.batch_id] += 1
        work.requests = work.rejected = work.errors = 0
        return entry.finish is not None

    async def _ending(
        self,
        work: Work,
        session: Session,
        end: Ended | Failed,
        attempt: Attempt | None = None,
        turn: Turn | None = None,
        found: Sequence[Finding] = (),
    ) -> Entry:
        """The last entry of a dialogue, with what the program notices about the whole."""
        if isinstance(end, Ended):
            finish = Finish(ended_by=end.reason, facts=_facts(work))
        else:
            finish = Finish(reason=end.reason, detail=end.detail, facts=_facts(work))
        noticed = await asyncio.to_thread(screened, work.dialogue_id, session.turns)
        attempts = (attempt,) if attempt else ()
        return Entry(work.dialogue_id, turn, attempts, (*found, *noticed), finish)

    async def _store(self, entry: Entry) -> None:
        if not await self.ledger.store(entry):
            raise Lost
        if entry.finish is not None:
            self.finished += 1


def _facts(work: Work) -> dict[str, object]:
    """What joins a dialogue's provenance at its end: the servers that spoke, with versions."""
    return {"servers": dict(work.servers)}


def _stop_reason(completion: Completion) -> str | None:
    """vLLM names the stop sequence it met beside the finish reason."""
    choice = completion.response["choices"][0]
    reason = choice.get("stop_reason")
    return reason if isinstance(reason, str) else None
