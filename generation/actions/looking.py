"""What the program notices about whole dialogues, as rows; imported dialogues in their turn.

Looking through a dialogue takes some 30 ms, so an import of thousands does not wait for it: each of
its dialogues gets the finding that it was not looked through, and workers put what they find in its
place, a few dialogues in each transaction.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import structlog
from django.db import transaction

from generation import screening
from generation.defects import Defect, Expected, defects
from generation.models import Dialogue, Finding, Turn
from generation.places import place_of
from generation.utterances import CLIENT, THERAPIST, Role, Utterance

NOT_SCREENED = "not_screened"
_WAITS = "waits for a worker"
_AT_ONCE = 20
# Of a dialogue made elsewhere nobody knows which limits and which language were asked for.
_FOREIGN = Expected(silence="...", latin=False)
log = structlog.get_logger(__name__)


def screened(
    dialogue_id: int, turns: Sequence[Utterance], *, foreign: bool = False
) -> list[Finding]:
    """What the program notices about a whole dialogue. Takes a while: call it off the loop.

    ``foreign``: also what its replies would have been asked again for, had they been made here.
    A screening that breaks must not lose a dialogue: it leaves a finding that says so.
    """
    now = datetime.now(UTC)
    try:
        found = screening.findings(turns)
        defective = list(_defects(turns)) if foreign else []
    except Exception as error:  # noqa: BLE001 - the dialogue itself is sound
        log.error("screening_failed", dialogue=dialogue_id, error=place_of(error))
        detail = f"the screening stopped with {type(error).__name__}"
        return [Finding(dialogue_id=dialogue_id, kind=NOT_SCREENED, detail=detail, created_at=now)]
    rows = [
        Finding(
            dialogue_id=dialogue_id,
            kind=each.kind.value,
            severity=each.severity.value,
            turn_number=each.turn,
            detail=each.detail[:300],
            created_at=now,
        )
        for each in found
    ]
    known = {(each.kind.value, each.turn) for each in found}
    return rows + [
        Finding(
            dialogue_id=dialogue_id,
            kind=defect.kind.value,
            turn_number=number,
            detail=defect.detail[:300],
            created_at=now,
        )
        for number, defect in defective
        if (defect.kind.value, number) not in known
    ]


def wait_for_screening(dialogues: Sequence[Dialogue]) -> None:
    """Note that imported dialogues are still to be looked through."""
    now = datetime.now(UTC)
    Finding.objects.bulk_create(
        Finding(dialogue=row, kind=NOT_SCREENED, detail=_WAITS, created_at=now) for row in dialogues
    )


@transaction.atomic
def screen_imported() -> int:
    """Look through the oldest few imported dialogues that wait for it. Returns how many.

    Several workers may do so at once; what breaks off leaves its dialogues waiting.
    """
    waiting = Finding.objects.filter(kind=NOT_SCREENED, detail=_WAITS).order_by("dialogue")
    marks = list(waiting.select_for_update(skip_locked=True)[:_AT_ONCE])
    rows = Dialogue.objects.filter(pk__in=[mark.dialogue_id for mark in marks])
    found: list[Finding] = []
    for row in rows.only("pk").prefetch_related("turns"):
        said = [Utterance(t.number, _role(t), t.text) for t in row.turns.all()]
        found += screened(row.pk, said, foreign=True)
    Finding.objects.filter(pk__in=[mark.pk for mark in marks]).delete()
    Finding.objects.bulk_create(found)
    return len(marks)


def _defects(said: Sequence[Utterance]) -> Iterator[tuple[int, Defect]]:
    for place, turn in enumerate(said):
        for defect in defects(turn.text, role=turn.role, history=said[:place], expected=_FOREIGN):
            yield turn.number, defect


def _role(turn: Turn) -> Role:
    return THERAPIST if turn.role == THERAPIST else CLIENT
