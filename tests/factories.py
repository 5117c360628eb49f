"""Rows for tests, with explicit values: nothing random, nothing surprising."""

from collections.abc import Sequence
from datetime import UTC, datetime

from generation.models import Dialogue, DialogueState, Origin, Turn
from review.instruments import builtin_instruments
from review.models import (
    Assignment,
    Instrument,
    Study,
    StudyDialogue,
    StudyInstrument,
    StudyRater,
)
from sqpsych_site.models import User

WHEN = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def make_dialogue(texts: Sequence[str] = ("Hello.", "Um, hello."), **values: object) -> Dialogue:
    """A complete dialogue; the therapist speaks first."""
    defaults: dict[str, object] = {
        "origin": Origin.IMPORTED,
        "state": DialogueState.COMPLETE,
        "turn_count": len(texts),
    }
    dialogue = Dialogue.objects.create(**defaults | values)
    Turn.objects.bulk_create(
        Turn(
            dialogue=dialogue,
            number=number,
            role="therapist" if number % 2 else "client",
            text=text,
            created_at=WHEN,
        )
        for number, text in enumerate(texts, start=1)
    )
    return dialogue


def make_dialogues(count: int) -> list[Dialogue]:
    """Many complete dialogues without a word, in one statement."""
    values = {"origin": Origin.IMPORTED, "state": DialogueState.COMPLETE, "turn_count": 2}
    return Dialogue.objects.bulk_create(Dialogue(**values) for _ in range(count))


def make_instrument(key: str = "sqpsych-expert") -> Instrument:
    """A built-in instrument as a row."""
    form = builtin_instruments()[key]
    row, _ = Instrument.objects.get_or_create(
        sha256=form.sha256,
        defaults={
            "key": form.key,
            "version": form.version,
            "title": str(form.title),
            "toml": form.toml,
            "licence": form.licence,
        },
    )
    return row


def make_study(
    raters: Sequence[User],
    dialogues: Sequence[Dialogue] | None = None,
    *,
    name: str = "Study",
    instruments: Sequence[str | Instrument] = ("sqpsych-expert", "safety"),
    **values: object,
) -> Study:
    """A running study in which every rater has every dialogue, in the same order."""
    study = Study.objects.create(name=name, overlap=max(1, len(raters)), **values)
    for position, form in enumerate(instruments, start=1):
        instrument = make_instrument(form) if isinstance(form, str) else form
        StudyInstrument.objects.create(study=study, instrument=instrument, position=position)
    rows = [
        StudyDialogue.objects.create(study=study, dialogue=dialogue, code=f"D{number:03}")
        for number, dialogue in enumerate(dialogues or [make_dialogue()], start=1)
    ]
    for number, rater in enumerate(raters, start=1):
        StudyRater.objects.create(study=study, rater=rater, code=f"R{number}")
        for position, row in enumerate(rows, start=1):
            Assignment.objects.create(
                study=study, study_dialogue=row, rater=rater, position=position
            )
    return study


def assignments_of(study: Study, rater: User) -> list[Assignment]:
    """A rater's assignments in order."""
    return list(study.assignments.filter(rater=rater).order_by("position"))
