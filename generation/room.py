"""Whether what comes next fits the models' contexts, by estimate; the server has the last word.

Pure. A history near the limit follows the protocol's ``context_rule``; nothing is ever cut.
"""

from collections.abc import Sequence

from generation.protocols import Protocol
from generation.session_texts import Texts
from generation.turns import ContextLimit, TurnRequest, estimate_tokens
from generation.utterances import CLIENT, THERAPIST, Role, Utterance, role_of


class Room:
    """The room that the models of one dialogue have; without a limit there is always some."""

    def __init__(self, protocol: Protocol, texts: Texts, limit: ContextLimit | None) -> None:
        self.ends_early = protocol.context_rule == "end_early"
        self._texts = texts
        self._limit = limit

    def short_of(self, request: TurnRequest) -> str | None:
        """Words on a request that does not fit, else None."""
        if self._limit is None:
            return None
        tokens = request.estimated_tokens(self._limit.estimate)
        reply = request.sampling.get("max_tokens")
        room = self._limit.room(request.role, None if reply is None else int(reply))
        return None if tokens <= room else f"needs about {tokens} prompt tokens of {room}"

    def for_turn(self, turn: TurnRequest, turns: Sequence[Utterance]) -> bool:
        """Whether a turn fits, and the client's answer too where a dialogue may end before it."""
        if self.short_of(turn) is not None:
            return False
        return not self.ends_early or turn.role == CLIENT or self._exchanges(1, turns)

    def only_for_one(self, turns: Sequence[Utterance]) -> bool:
        """Whether the exchange that begins now has to be the last, so that it can say goodbye."""
        begins = role_of(len(turns) + 1) == THERAPIST
        return self.ends_early and begins and not self._exchanges(2, turns)

    def _exchanges(self, number: int, turns: Sequence[Utterance]) -> bool:
        return all(self._holds(role, number, turns) for role in (THERAPIST, CLIENT))

    def _holds(self, role: Role, exchanges: int, turns: Sequence[Utterance]) -> bool:
        """Whether so many more exchanges fit one model's context, each reply at its longest."""
        if self._limit is None or (role == CLIENT and not turns):
            return True
        estimate = self._limit.estimate or estimate_tokens
        both = self._limit.reply(THERAPIST) + self._limit.reply(CLIENT)
        # A client's last request holds the therapist's reply that it answers.
        more = (exchanges - 1) * both + (role == CLIENT) * self._limit.reply(THERAPIST)
        return estimate(self._texts.messages(role, turns)) + more <= self._limit.room(role)
