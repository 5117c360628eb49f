"""Where in its session a dialogue is: which phase the next therapist's turn belongs to. Pure."""

from collections.abc import Sequence

from generation.protocol_parts import Phase
from generation.utterances import THERAPIST, Utterance


def tracked(phases: Sequence[Phase]) -> bool:
    """Whether the phases say how long they last, so that a dialogue can be told where it is."""
    return any(phase.most is not None for phase in phases)


def phase_at(phases: Sequence[Phase], turns: Sequence[Utterance]) -> Phase | None:
    """The phase of the therapist's turn that comes after these turns; None where none is tracked.

    A phase is left after ``most`` of the therapist's turns, or before, from ``least`` on, with the
    turn of which the critique said that the phase's goal is reached. The last one is not left.
    """
    if not tracked(phases):
        return None
    keys = [phase.key for phase in phases]
    own = [turn for turn in turns if turn.role == THERAPIST]
    place = keys.index(own[-1].phase) if own and own[-1].phase in keys else 0
    spent = 0
    for turn in reversed(own):
        if turn.phase != keys[place]:
            break
        spent += 1
    phase = phases[place]
    reached = bool(own) and own[-1].goal_reached and spent >= phase.least
    full = phase.most is not None and spent >= phase.most
    return phases[min(place + 1, len(phases) - 1)] if reached or full else phase
