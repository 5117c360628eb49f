"""The turn-taking of ONE dialogue: what is asked next, what a reply means, when it ends. Pure.

Before turn 1 come the protocol's preparations, each a form that a model writes. Turn 1 is the
therapist's, then the roles alternate; roles come from here, never from a model's text. An exchange
is a therapist's turn with the client's answer. Where the protocol has a critique, a good reply of
its role is a draft first: the critique has it spoken as it is, or revised once.

A session ends
- ``marker``: the last reply ends with the end marker, it comes from a role that may close, and
  ``min_exchanges`` are complete (a client's closing turn completes its own exchange). A therapist's
  closing turn is the last turn; no client's answer follows. A reply that is nothing but a valid
  marker is asked again like any empty reply; after the last attempt the session ends with the
  complete exchange before it.
- ``limit``: ``stop_at`` exchanges are complete, so the last word is the client's.
- ``context``: the next exchange no longer fits the model's context, the protocol's rule for that is
  ``end_early``, and ``min_exchanges`` are complete. The exchange before was told to be the last.
- failed: a defect whose rule is "fail" outlasts the attempts, more turns than ``max_kept`` had to
  be kept with a defect, the history does not fit the model's context, a preparation or a needed
  critique could not be had.

A session holds no time, chance or network. It is a function of protocol, prompts, forms, stored
turns, the draft and its critique, and the count of attempts already used, so it resumes anywhere.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from generation.defects import Defect, DefectKind
from generation.judging import Judge
from generation.model_forms import Critique, Form, FormError, FormName, read_form
from generation.prompts import Prompts
from generation.protocol_steps import Preparation
from generation.protocols import Protocol, RetryPolicy
from generation.room import Room
from generation.session_texts import Texts
from generation.turns import (
    Accepted,
    Advised,
    ChatMessage,
    ContextLimit,
    Draft,
    Drafted,
    Ended,
    EndReason,
    Estimate,
    Failed,
    Prepared,
    Rejected,
    Reply,
    TurnRequest,
    Verdict,
    estimate_tokens,
    turn_seed,
)
from generation.utterances import CLIENT, THERAPIST, Role, Utterance, role_of

__all__ = [
    "Accepted",
    "Advised",
    "ChatMessage",
    "ContextLimit",
    "Draft",
    "Drafted",
    "EndReason",
    "Ended",
    "Estimate",
    "Failed",
    "Prepared",
    "Rejected",
    "Reply",
    "Session",
    "TurnRequest",
    "Utterance",
    "Verdict",
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
        forms: Mapping[str, Mapping[str, Any]] | None = None,
        draft: Draft | None = None,
        critique: Critique | None = None,
    ) -> None:
        """Start a dialogue, or resume it from what is stored.

        Args:
            history: the accepted turns, oldest first.
            attempts_used: rejected replies for what comes next (requests that brought no reply,
                such as time-outs, are not counted). Where they are used up already, the next reply
                is judged as the last attempt.
            forms: the preparations written so far, by key.
            draft: the draft of the turn that comes next; critique: what it was found to be.

        Raises:
            ValueError: the turns are not numbered from 1 with alternating roles, or a role whose
                protocol has a case text was given none.
        """
        for place, turn in enumerate(history, start=1):
            if turn.number != place or turn.role != role_of(place):
                raise ValueError(f"stored turn {place} has number {turn.number}, role {turn.role}")
        cases: dict[Role, str] = {THERAPIST: prompts.therapist_case, CLIENT: prompts.client_case}
        for role, case in cases.items():
            if protocol.role(role).case and not case:
                raise ValueError(f"the case text of the {role} is missing")
        self._protocol = protocol
        self._retry = _retry(protocol, prompts)
        self._forms = dict(forms or {})
        self._texts = Texts(protocol, prompts, self._forms)
        self._turns = list(history)
        self._attempts_used = attempts_used
        self._judge = Judge(protocol, self._texts.words)
        self._room = Room(protocol, self._texts, context)
        self._draft = draft
        self._critique = critique
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
        attempt = self._attempts_used + 1
        if (step := self._to_prepare()) is not None:
            request = self._texts.preparation(step, attempt)
            return request if self._room.short_of(request) is None else self._full(request)
        closing = self._room.only_for_one(self._turns)
        turn = self._texts.turn(self._turns, attempt, closing=closing)
        if self._draft is None:
            return turn if self._room.for_turn(turn, self._turns) else self._full(turn)
        policy = self._protocol.critique
        if policy is None:
            raise RuntimeError("a draft without a critique in the protocol")
        if self._critique is None:
            return self._texts.critique(policy, turn, self._turns, self._draft.text)
        return self._texts.revision(policy, turn, self._draft.text, self._critique)

    def receive(self, reply: Reply) -> Verdict:
        """Judge the reply to the current request.

        Only outer white space and the end marker at the end come off; the text is otherwise taken
        exactly as it is, or not at all.

        Raises:
            RuntimeError: the session is over.
        """
        if self._ended is not None or self._failed is not None:
            raise RuntimeError("the session is over and takes no more replies")
        if (step := self._to_prepare()) is not None:
            return self._take_form(step, reply)
        if self._draft is not None and self._critique is None:
            return self._take_critique(self._draft, reply)
        return self._take_words(reply)

    def no_room(self) -> Accepted | Ended | Failed:
        """The server says that the current request does not fit its model's context."""
        if self._draft is not None:
            kind = DefectKind.NO_CRITIQUE if self._critique is None else DefectKind.NO_REVISION
            return self._let_stand(self._draft, Defect(kind, "it did not fit the context"))
        request = self.next_request()
        return self._full(request) if isinstance(request, TurnRequest) else request

    # -- forms -----------------------------------------------------------------------------------

    def _to_prepare(self) -> Preparation | None:
        if self._turns:
            return None
        steps = self._protocol.preparations
        return next((step for step in steps if step.key not in self._forms), None)

    def _take_form(self, step: Preparation, reply: Reply) -> Prepared | Rejected | Failed:
        form = _form(reply, step.form)
        self._attempts_used += 1
        if not isinstance(form, Defect):
            self._forms[step.key] = form.model_dump(mode="json")
            self._attempts_used = 0
            return Prepared(step.key, self._forms[step.key])
        if (left := step.attempts - self._attempts_used) > 0:
            return Rejected((form,), left)
        detail = f"the {step.key} after {self._attempts_used} replies: {form.detail}"
        self._failed = Failed("no_preparation", detail, (form,))
        return self._failed

    def _take_critique(self, draft: Draft, reply: Reply) -> Verdict:
        policy = self._protocol.critique
        if policy is None:
            raise RuntimeError("a critique that the protocol does not have")
        form = _form(reply, "critique")
        self._attempts_used += 1
        if isinstance(form, Critique):
            self._attempts_used = 0
            self._critique = form
            return Advised() if form.verdict == "revise" else self._let_stand(draft)
        fault = form if isinstance(form, Defect) else Defect(DefectKind.BAD_FORM)
        if (left := policy.attempts - self._attempts_used) > 0:
            return Rejected((fault,), left)
        if policy.after == "keep":
            return self._let_stand(draft, Defect(DefectKind.NO_CRITIQUE, fault.detail), (fault,))
        detail = f"turn {len(self._turns) + 1} ({policy.role}): {fault.detail}"
        self._failed = Failed("no_critique", detail, (fault,))
        return self._failed

    # -- words -----------------------------------------------------------------------------------

    def _take_words(self, reply: Reply) -> Verdict:
        number = len(self._turns) + 1
        role = role_of(number)
        judged = self._judge.judge(reply, self._turns)
        text, closing, found = judged.text, judged.closing, judged.defects
        self._attempts_used += 1
        asks_again = self._retry.asks_again(defect.kind for defect in found)
        left = self._retry.attempts - self._attempts_used
        if asks_again and left > 0:
            return Rejected(tuple(found), left)
        if self._draft is not None and asks_again:
            why = Defect(DefectKind.NO_REVISION, f"the revision: {found[0].kind.value}")
            return self._let_stand(self._draft, why, tuple(found))
        if not text and closing:
            self._ended = "marker"
            return Ended("marker")
        if self._draft is None and (fatal := self._fatal(found)) is not None:
            return fatal
        if self._draft is None and self._is_looked_at(role):
            self._draft = Draft(reply.text, tuple(found))
            self._attempts_used = 0
            return Drafted(tuple(found))
        turn = self._utterance(text, kept=asks_again, closing=closing)
        return self._settle(turn, found)

    def _is_looked_at(self, role: Role) -> bool:
        policy = self._protocol.critique
        return policy is not None and policy.role == role

    def _let_stand(
        self, draft: Draft, why: Defect | None = None, unused: tuple[Defect, ...] = ()
    ) -> Accepted | Failed:
        """Speak the draft; ``why`` it was not looked at or revised is a finding on the turn."""
        text, closing = self._judge.words_of(draft.text, self._turns)
        kept = self._retry.asks_again(defect.kind for defect in draft.defects)
        turn = self._utterance(text, kept=kept, closing=closing)
        found = [*draft.defects, *([why] if why else [])]
        return self._settle(turn, found, draft_stands=True, unused=unused)

    def _utterance(self, text: str, *, kept: bool, closing: bool) -> Utterance:
        number = len(self._turns) + 1
        role, phase = role_of(number), self._texts.phase(self._turns)
        rule = self._protocol.resistance
        return Utterance(
            number,
            role,
            text,
            kept=kept,
            closing=closing,
            phase=phase.key if phase else "",
            goal_reached=self._critique is not None and self._critique.goal_reached,
            resistance=rule.level(self._turns) if rule and role == CLIENT else None,
        )

    def _fatal(self, found: Sequence[Defect]) -> Failed | None:
        """The end of the dialogue, where the retry policy says so of a defect."""
        fatal = next((d for d in found if self._retry.action(d.kind) == "fail"), None)
        if fatal is not None:
            number = len(self._turns) + 1
            detail = f"turn {number} ({role_of(number)}): {fatal.detail or fatal.kind.value}"
            self._failed = Failed(fatal.kind.value, detail, tuple(found))
        return self._failed

    def _settle(
        self,
        turn: Utterance,
        found: Sequence[Defect],
        *,
        draft_stands: bool = False,
        unused: tuple[Defect, ...] = (),
    ) -> Accepted | Failed:
        """Take the turn, unless too many had to be kept with a defect."""
        most = self._retry.max_kept
        kept = sum(earlier.kept for earlier in self._turns) + turn.kept
        if most is not None and kept > most:
            detail = f"turn {turn.number}: {kept} turns with defects, {most} allowed"
            self._failed = Failed("too_many_defects", detail, tuple(found))
            return self._failed
        self._turns.append(turn)
        self._attempts_used = 0
        self._draft = self._critique = None
        self._ended = self._end_after_last_turn()
        return Accepted(turn, tuple(found), self._ended, draft_stands, unused)

    def _end_after_last_turn(self) -> EndReason | None:
        if self._turns and self._turns[-1].closing:
            return "marker"
        return "limit" if self.exchanges >= self._protocol.ending.stop_at else None

    def _full(self, request: TurnRequest) -> Ended | Failed:
        """What the protocol's rule says of a request that does not fit; nothing is ever cut."""
        enough = self.exchanges >= self._protocol.ending.min_exchanges
        if self._room.ends_early and enough and request.purpose == "turn":
            self._ended = "context"
            return Ended("context")
        short = self._room.short_of(request) or "does not fit the model's context"
        self._failed = Failed("context_full", f"turn {request.number} {short}")
        return self._failed


def _form(reply: Reply, name: FormName) -> Form | Defect:
    """The form in a reply, or the defect that it is none."""
    try:
        return read_form(reply.text, name)
    except FormError as error:
        cut = " (the token limit ended it)" if reply.finish_reason == "length" else ""
        return Defect(DefectKind.BAD_FORM, f"{error}{cut}")


def _retry(protocol: Protocol, prompts: Prompts) -> RetryPolicy:
    limits = {"attempts": prompts.attempts, "max_kept": prompts.max_kept}
    changes = {name: value for name, value in limits.items() if value is not None}
    return protocol.retry.model_copy(update=changes)
