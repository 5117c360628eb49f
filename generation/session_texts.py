"""What each request of one dialogue says: the messages of a role, notes, forms asked for. Pure.

A note stands at the end of the last user message of that one request and is part of no later
request, so each request of a role starts with the whole previous request of that role, note aside:
a server's prefix cache serves all but the newest turns. A critique and a revision start with all of
the request that brought the draft.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from generation.model_forms import Critique, form_text
from generation.phases import phase_at
from generation.prompts import Prompts, fenced, substitute
from generation.protocol_parts import Phase
from generation.protocol_steps import CritiquePolicy, Preparation
from generation.protocols import Protocol
from generation.turns import ChatMessage, TurnRequest
from generation.utterances import CLIENT, THERAPIST, Role, Utterance, role_of, wire_text


class Texts:
    """The requests of a dialogue, given what was said so far. Holds nothing that changes."""

    def __init__(
        self, protocol: Protocol, prompts: Prompts, forms: Mapping[str, Mapping[str, Any]]
    ) -> None:
        self._protocol = protocol
        self._prompts = prompts
        self._forms = forms

    def words(self, role: Role) -> int:
        """The word limit that the role was told."""
        told = self._prompts.therapist_words if role == THERAPIST else self._prompts.client_words
        return told or self._protocol.role(role).words

    def phase(self, turns: Sequence[Utterance]) -> Phase | None:
        """The phase of the turn that comes next: a client answers in the therapist's."""
        if role_of(len(turns) + 1) == CLIENT:
            keys = {phase.key: phase for phase in self._protocol.phases}
            return keys.get(turns[-1].phase)
        return phase_at(self._protocol.phases, turns)

    def preparation(self, step: Preparation, attempt: int) -> TurnRequest:
        """The request for a form before the first turn."""
        told = self._prompts.preparations[step.key]
        return TurnRequest(
            role=step.by,
            number=0,
            attempt=attempt,
            exchange=0,
            messages=(ChatMessage("system", told["system"]), ChatMessage("user", told["case"])),
            stop=(),
            purpose="preparation",
            form=step.form,
            sampling={"temperature": step.temperature, "max_tokens": step.max_tokens},
        )

    def turn(self, turns: Sequence[Utterance], attempt: int, *, closing: bool) -> TurnRequest:
        """The request for the next turn; ``closing``: there is room for no other exchange."""
        number = len(turns) + 1
        role = role_of(number)
        note = self._note(role, turns, closing=closing)
        return TurnRequest(
            role=role,
            number=number,
            attempt=attempt,
            exchange=(number + 1) // 2,
            messages=self.messages(role, turns, note),
            stop=self._protocol.role(role).stop,
            note=note,
        )

    def critique(
        self, policy: CritiquePolicy, turn: TurnRequest, turns: Sequence[Utterance], draft: str
    ) -> TurnRequest:
        """The request for a look at a draft; ``turn`` is the request that brought it."""
        phase = self.phase(turns)
        values = {
            "words": str(self.words(policy.role)),
            "phase": phase.title if phase else "",
            "goal": phase.goal if phase else "",
        }
        return replace(
            turn,
            messages=(*turn.messages, *_about(draft, substitute(policy.ask, values))),
            stop=(),
            purpose="critique",
            form="critique",
            sampling={"temperature": policy.temperature, "max_tokens": policy.max_tokens},
        )

    def revision(
        self, policy: CritiquePolicy, turn: TurnRequest, draft: str, critique: Critique
    ) -> TurnRequest:
        """The request for a draft's second version."""
        values = {
            "words": str(self.words(policy.role)),
            "advice": fenced(critique.advice or "No further advice.", "advice"),
            "problems": fenced("\n".join(critique.problems) or "None named.", "problems"),
        }
        more = _about(draft, substitute(policy.revise, values))
        return replace(turn, messages=(*turn.messages, *more), purpose="revision")

    def messages(
        self, role: Role, turns: Sequence[Utterance], note: str = ""
    ) -> tuple[ChatMessage, ...]:
        """System prompt, then the turns as this role sees them: its own are the assistant's."""
        said = [(turn.role, turn.wire) for turn in turns]
        if role == THERAPIST:
            said.insert(0, (CLIENT, self._protocol.therapist.opening.strip()))
        if case := self._case(role):
            said[0] = (said[0][0], f"{case}\n\n{said[0][1]}")
        said[-1] = (said[-1][0], said[-1][1] + note)
        system = self._prompts.therapist_system
        if role == CLIENT:
            system = self._prompts.client_system
        return (
            ChatMessage("system", system),
            *(ChatMessage("assistant" if who == role else "user", text) for who, text in said),
        )

    def _case(self, role: Role) -> str:
        """What opens the role's first message: the profile text it sees, then what was prepared."""
        own = self._prompts.therapist_case if role == THERAPIST else self._prompts.client_case
        given = [
            substitute(step.given, {"result": fenced(form_text(self._forms[step.key]), step.form)})
            for step in self._protocol.preparations
            if step.given_to == role
        ]
        return "\n\n".join(part.strip() for part in (own, *given) if part.strip())

    def _note(self, role: Role, turns: Sequence[Utterance], *, closing: bool) -> str:
        """The note for this request, ready to append, or nothing."""
        if role == CLIENT:
            rule = self._protocol.resistance
            return f"\n\n{rule.note(rule.level(turns))}" if rule else ""
        sentences = [self._phase_sentence(turns), self._ending_sentence(turns, closing=closing)]
        told = " ".join(sentence for sentence in sentences if sentence)
        ending = self._protocol.ending
        return f"\n\n{ending.note_open} {told}{ending.note_close}" if told else ""

    def _phase_sentence(self, turns: Sequence[Utterance]) -> str:
        phases, phase = self._protocol.phases, self.phase(turns)
        if phase is None:
            return ""
        values = {
            "number": str(phases.index(phase) + 1),
            "of": str(len(phases)),
            "title": phase.title,
            "guidance": phase.guidance,
        }
        return substitute(self._protocol.phase_note, values).strip()

    def _ending_sentence(self, turns: Sequence[Utterance], *, closing: bool) -> str:
        ending, exchange = self._protocol.ending, len(turns) // 2 + 1
        if not closing and exchange < min(ending.nudge_from, ending.stop_at):
            return ""
        sentence = ending.last if closing or exchange == ending.stop_at else ending.nudge
        return substitute(sentence, {"marker": ending.marker})


def _about(draft: str, ask: str) -> tuple[ChatMessage, ChatMessage]:
    """A draft as if it had been said, and what is asked about it."""
    return ChatMessage("assistant", wire_text(draft.strip())), ChatMessage("user", ask.strip())
