"""The request of a stored attempt, put together again from what is stored around it.

``messages_sha256`` of the attempt says whether it is the one that was sent.
"""

from collections.abc import Sequence

from generation.loading import SPOKEN, Work, load_work, read_critique
from generation.models import Attempt, AttemptOutcome, AttemptPurpose
from generation.session_texts import Texts
from generation.turns import TurnRequest


def asked_again(attempt: Attempt) -> TurnRequest | None:
    """The request that the attempt answered; None where it cannot be put together."""
    (work,) = load_work([attempt.dialogue_id], {})
    earlier = Attempt.objects.filter(
        dialogue=attempt.dialogue_id, turn_number=attempt.turn_number, number__lt=attempt.number
    )
    taken = list(
        earlier.filter(outcome__in=[AttemptOutcome.ACCEPTED, AttemptOutcome.DRAFTED])
        .only("purpose", "text", "outcome", "number")
        .order_by("number")
    )
    texts = Texts(work.plan.protocol, work.prompts, work.forms)
    if attempt.purpose == AttemptPurpose.PREPARATION:
        steps = work.plan.protocol.preparations
        return texts.preparation(steps[len(taken)], 1) if len(taken) < len(steps) else None
    return _for_turn(work, texts, attempt, taken)


def _for_turn(
    work: Work, texts: Texts, attempt: Attempt, taken: Sequence[Attempt]
) -> TurnRequest | None:
    before = work.history[: attempt.turn_number - 1]
    turn = texts.turn(before, 1, closing=False)
    if turn.note != attempt.request.get("note", turn.note):
        # The models' room of then is not known any more, but the note says what was decided.
        turn = texts.turn(before, 1, closing=True)
    if attempt.purpose == AttemptPurpose.TURN:
        return turn
    draft = next((each for each in reversed(taken) if each.purpose in SPOKEN), None)
    policy = work.plan.protocol.critique
    if policy is None or draft is None:
        return None
    if attempt.purpose == AttemptPurpose.CRITIQUE:
        return texts.critique(policy, turn, before, draft.text)
    found = [read_critique(each.text) for each in taken if each.purpose == AttemptPurpose.CRITIQUE]
    critique = found[-1] if found else None
    return texts.revision(policy, turn, draft.text, critique) if critique else None
