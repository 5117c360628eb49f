"""Dialogues that may not go on, because what decides them is no longer what it was."""

from collections import Counter
from collections.abc import Sequence
from uuid import UUID

from generation import words
from generation.actions.seals import RECIPE_CHANGED, broken_dialogue
from generation.loading import stored_prompts
from generation.models import Dialogue, EngineEvent
from generation.storing import Entry, Finish, store_entries


def refuse_changed(owner: UUID, ids: Sequence[int]) -> set[int]:
    """Fail those of the owner's claimed dialogues whose recipe has changed. Returns their ids.

    Nothing is asked of a model for them; turns stored before stay.
    """
    rows = Dialogue.objects.filter(pk__in=ids).select_related("arm__protocol", "profile")
    parts = {row: _broken(row) for row in rows.order_by("pk")}
    broken = {row: part for row, part in parts.items() if part}
    if not broken:
        return set()
    store_entries(
        owner,
        [
            Entry(row.pk, finish=Finish(reason=RECIPE_CHANGED, detail=_detail(row, part)))
            for row, part in broken.items()
        ],
    )
    found = Counter((row.batch_id, part) for row, part in broken.items())
    EngineEvent.objects.bulk_create(
        EngineEvent(batch_id=batch, message=_told(part, number))
        for (batch, part), number in found.items()
    )
    return {row.pk for row in broken}


def _broken(row: Dialogue) -> str:
    return "" if row.arm is None else broken_dialogue(row, row.arm, stored_prompts(row))


def _told(part: str, number: int) -> str:
    dialogues = words.count(number, "dialogue")
    return f"Refused because the hash of their {part} no longer matches: {dialogues}."


def _detail(row: Dialogue, part: str) -> str:
    done = f"after turn {row.turn_count}" if row.turn_count else "before its first turn"
    return f"{done}: the hash of the {part} is not the one that this dialogue was made with"
