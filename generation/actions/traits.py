"""What the dialogues' profiles are like, noted with the dialogues."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from django.db import connection

from generation.copying import copy_rows
from generation.models import ClientProfile, Dialogue, DialogueTrait

CONDITION, BAND = "condition:", "band:"
_LONGEST = 200

# The index holds few different names, each many times: from each the next is looked up.
_NAMES = """
WITH RECURSIVE found(name) AS (
    (SELECT name FROM generation_dialoguetrait ORDER BY name LIMIT 1)
    UNION ALL
    SELECT (SELECT t.name FROM generation_dialoguetrait t WHERE t.name > found.name
            ORDER BY t.name LIMIT 1)
    FROM found WHERE found.name IS NOT NULL
)
SELECT name FROM found WHERE name IS NOT NULL
"""


def note_traits(dialogues: Sequence[Dialogue]) -> None:
    """Keep condition and severity bands beside new dialogues, as far as they are known."""
    copy_rows(
        [
            DialogueTrait(dialogue=row, name=name)
            for row in dialogues
            for name in dict.fromkeys(_names(row))
            if len(name) <= _LONGEST
        ]
    )


def trait_names() -> list[str]:
    """All names that occur, in order; costs as much as there are names, not dialogues."""
    with connection.cursor() as cursor:
        cursor.execute(_NAMES)
        return [name for (name,) in cursor.fetchall()]


def _names(row: Dialogue) -> Iterator[str]:
    if row.profile is not None:
        yield from _of_profile(row.profile)
    elif condition := _told(row.provenance).get("condition"):
        yield f"{CONDITION}{condition}"


def _of_profile(profile: ClientProfile) -> Iterable[str]:
    if profile.condition:
        yield f"{CONDITION}{profile.condition}"
    for key, band in profile.bands.items():
        if band:
            yield f"{BAND}{key}:{band}"


def _told(provenance: object) -> Mapping[str, object]:
    """What the file that an imported dialogue came from said of it."""
    facts = provenance.get("facts") if isinstance(provenance, dict) else None
    return facts if isinstance(facts, dict) else {}
