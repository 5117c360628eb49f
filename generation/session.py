"""The turn-taking of ONE dialogue: what is asked next, what a reply means, when it ends. Pure.

Turn 1 is the therapist's, then the roles alternate; roles come from here, never from a model's
text. An exchange is a therapist's turn with the client's answer.

A session ends
- ``marker``: the last reply ends with the end marker, it comes from a role that may close, and
  ``min_exchanges`` are complete (a client's closing turn completes its own exchange). A therapist's
  closing turn is the last turn; no client's answer follows. A reply that is nothing but a valid
  marker is asked again like any empty reply; after the last attempt the session ends with the
  complete exchange before it.
- ``limit``: ``stop_at`` exchanges are complete, so the last word is the client's.
- failed: a defect whose rule is "fail" outlasts the attempts, more turns than ``max_kept`` had to
  be kept with a defect, or the history no longer fits the model's context.

From the turn that opens exchange ``nudge_from`` the therapist gets a note to close, in the last
exchange a note to say goodbye now. A note stands at the end of the last user message of that one
request and is part of no later request, so each request of a role starts with the whole previous
request of that role, note aside: a server's prefix cache serves all but the newest turns.

A session holds no time, chance or network. It is a function of protocol, prompts, stored turns and
the count of attempts already used for the current turn, so it resumes anywhere.
"""

from collections.abc import Sequence

from generation.defects import Defect, DefectKind, Expected, defects
from generation.prompts import Prompts, substitute
from generation.protocols import Protocol, RetryPolicy
from generation.turns import (
    Accepted,
    ChatMessage,
    ContextLimit,
    Ended,
    EndReason,
    Estimate,
    Failed,
    Rejected,
    Reply,
    TurnRequest,
    estimate_tokens,
    turn_seed,
)
from generation.utterances import CLIENT, THERAPIST, Role, Utterance, role_of

__all__ = [
    "Accepted",
    "ChatMessage",
    "ContextLimit",
    "EndReason",
    "Ended",
    "Estimate",
    "Failed",
    "Rejected",
    "Reply",
    "Session",
    "TurnRequest",
    "Utterance",
    "estimate_tokens",
    "turn_seed",
]


class Session:
    """One dialogue in progress. Not safe to share between threads; nothing in it blocks."""

    def __init__(
        self,
        protocol: Protocol,
        prompts: Prompts,
        history: Sequence[Utterance] = (),
        *,
        attempts_used: int = 0,
        context: ContextLimit | None = None,
    ) -> None:
        """Start a dialogue, or resume it from its stored turns.

        Args:
            history: the accepted turns, oldest first.
            attempts_used: rejected replies for the turn that comes next (requests that brought no
                reply, such as time-outs, are not counted). Where they are used up already, the
                next reply is judged as the last attempt.

        Raises:
            ValueError: the turns are not numbered from 1 with alternating roles, or a role whose
                protocol has a case text was given none.
        """
        for place, turn in enumerate(history, start=1):
            if turn.number != place or turn.role != role_of(place):
                raise ValueError(f"stored turn {place} has number {turn.number}, role {turn.role}")
        for role in (THERAPIST, CLIENT):
            if protocol.role(role).case and not _case(prompts, role):
                raise ValueError(f"the case text of the {role} is missing")
        self._protocol = protocol
        self._prompts = prompts
        self._retry = _retry(protocol, prompts)
        self._turns = list(history)
        self._attempts_used = attempts_used
        self._context = context
        self._failed: Failed | None = None
        self._ended: EndReason | None = self._end_after_last_turn()

    @property
    def turns(self) -> tuple[Utterance, ...]:
        """The accepted turns so far."""
        return tuple(self._turns)

    @property
    def exchanges(self) -> int:
        """Complete exchanges so far."""
        return len(self._turns) // 2

    def next_request(self) -> TurnRequest | Ended | Failed:
        """What to do now. Asking twice without a reply in between gives the same answer."""
        if self._failed is not None:
            return self._failed
        if self._ended is not None:
            return Ended(self._ended)
        request = self._request()
        if self._context is None:
            return request
        tokens = request.estimated_tokens(self._context.estimate)
        if tokens <= (room := self._context.room(request.role)):
            return request
        # The protocol's context_rule: "fail" is the only one so far; nothing is ever cut.
        self._failed = Failed(
            "context_full", f"turn {request.number} needs about {tokens} prompt tokens of {room}"
        )
        return self._failed

    def receive(self, reply: Reply) -> Accepted | Rejected | Ended | Failed:
        """Judge the reply to the current request.

        Only outer white space and the end marker at the end come off; the text is otherwise taken
        exactly as it is, or not at all.

        Raises:
            RuntimeError: the session is over.
        """
        if self._ended is not None or self._failed is not None:
            raise RuntimeError("the session is over and takes no more replies")
        number = len(self._turns) + 1
        role = role_of(number)
        text, marked = self._without_marker(reply.text)
        closing = marked and self._may_close(role)
        found = defects(
            text,
            role=role,
            finish_reason=reply.finish_reason,
            stop_reason=reply.stop_reason,
            history=self._turns,
            expected=self._expected(role),
        )
        if marked and not closing:
            found.append(Defect(DefectKind.EARLY_MARKER, self._why_early(role)))
        self._attempts_used += 1
        kept = self._retry.asks_again(defect.kind for defect in found)
        left = self._retry.attempts - self._attempts_used
        if kept and left > 0:
            return Rejected(tuple(found), left)
        if not text and closing:
            self._ended = "marker"
            return Ended("marker")
        return self._settle(Utterance(number, role, text, kept=kept, closing=closing), found)

    def _settle(self, turn: Utterance, found: list[Defect]) -> Accepted | Failed:
        """Take the turn, or fail the dialogue where the retry policy says so."""
        retry = self._retry
        fatal = next((d for d in found if retry.action(d.kind) == "fail"), None)
        if fatal is not None:
            detail = f"turn {turn.number} ({turn.role}): {fatal.detail or fatal.kind.value}"
            self._failed = Failed(fatal.kind.value, detail, tuple(found))
            return self._failed
        kept = sum(earlier.kept for earlier in self._turns) + turn.kept
        if retry.max_kept is not None and kept > retry.max_kept:
            detail = f"turn {turn.number}: {kept} turns with defects, {retry.max_kept} allowed"
            self._failed = Failed("too_many_defects", detail, tuple(found))
            return self._failed
        self._turns.append(turn)
        self._attempts_used = 0
        self._ended = self._end_after_last_turn()
        return Accepted(turn, tuple(found), self._ended)

    def _end_after_last_turn(self) -> EndReason | None:
        if self._turns and self._turns[-1].closing:
            return "marker"
        return "limit" if self.exchanges >= self._protocol.ending.stop_at else None

    def _may_close(self, role: Role) -> bool:
        ending = self._protocol.ending
        complete = self.exchanges + (role == CLIENT)
        return role in ending.marker_from and complete >= ending.min_exchanges

    def _why_early(self, role: Role) -> str:
        if role not in self._protocol.ending.marker_from:
            return f"the {role} may not end the session"
        return f"after {self.exchanges} of at least {self._protocol.ending.min_exchanges} exchanges"

    def _without_marker(self, text: str) -> tuple[str, bool]:
        """The text without outer white space and closing markers, and whether there was one."""
        marker = self._protocol.ending.marker
        text = text.strip()
        end = len(text)
        while (start := end - len(marker)) >= 0 and text[start:end].casefold() == marker.casefold():
            end = start
            while end and text[end - 1].isspace():
                end -= 1
        return text[:end], end < len(text)

    def _expected(self, role: Role) -> Expected:
        prompt, ending = self._protocol.role(role), self._protocol.ending
        words = self._prompts.therapist_words if role == THERAPIST else self._prompts.client_words
        return Expected(
            word_limit=words or prompt.words,
            silence=prompt.silence,
            latin=self._protocol.script == "latin",
            control=(ending.marker,),
            notes=(ending.note_open,),
            stop=prompt.stop,
        )

    def _request(self) -> TurnRequest:
        number = len(self._turns) + 1
        role = role_of(number)
        note = self._note(role)
        return TurnRequest(
            role=role,
            number=number,
            attempt=self._attempts_used + 1,
            exchange=(number + 1) // 2,
            messages=self._messages(role, note),
            stop=self._protocol.role(role).stop,
            note=note,
        )

    def _note(self, role: Role) -> str:
        """The supervisor's note for this request, ready to append, or nothing."""
        ending, exchange = self._protocol.ending, self.exchanges + 1
        if role != THERAPIST or exchange < min(ending.nudge_from, ending.stop_at):
            return ""
        sentence = ending.last if exchange == ending.stop_at else ending.nudge
        sentence = substitute(sentence, {"marker": ending.marker})
        return f"\n\n{ending.note_open} {sentence}{ending.note_close}"

    def _messages(self, role: Role, note: str) -> tuple[ChatMessage, ...]:
        """System prompt, then the turns as this role sees them: its own are the assistant's."""
        prompts, said = self._prompts, [(turn.role, turn.wire) for turn in self._turns]
        if role == THERAPIST:
            said.insert(0, (CLIENT, self._protocol.therapist.opening.strip()))
        if case := _case(prompts, role):
            said[0] = (said[0][0], f"{case}\n\n{said[0][1]}")
        said[-1] = (said[-1][0], said[-1][1] + note)
        system = prompts.therapist_system if role == THERAPIST else prompts.client_system
        return (
            ChatMessage("system", system),
            *(ChatMessage("assistant" if who == role else "user", text) for who, text in said),
        )


def _retry(protocol: Protocol, prompts: Prompts) -> RetryPolicy:
    limits = {"attempts": prompts.attempts, "max_kept": prompts.max_kept}
    changes = {name: value for name, value in limits.items() if value is not None}
    return protocol.retry.model_copy(update=changes)


def _case(prompts: Prompts, role: Role) -> str:
    return prompts.therapist_case if role == THERAPIST else prompts.client_case
