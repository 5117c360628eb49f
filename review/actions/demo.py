"""The demo: dialogues written for this project, and a study of them ready to be rated."""

from collections.abc import Sequence

from django.db import transaction
from django.utils import timezone

from generation.actions import import_profiles
from generation.actions.definitions import current_definitions
from generation.actions.looking import screened
from generation.actions.traits import note_traits
from generation.demo.load import DemoDialogue, demo_dialogues
from generation.models import (
    ClientProfile,
    Dialogue,
    DialogueState,
    Finding,
    Origin,
    ProfileSet,
    Turn,
)
from generation.profiles import ProfileRecord, write_profiles
from generation.utterances import Utterance
from review.actions.studies import create_study
from review.actions.study_choices import StudyTexts
from review.models import Study
from sqpsych_site.models import User

DEMO_CLIENTS = "Demo clients"
DEMO_STUDY = "Demo study"
GUIDELINES = (
    "This study is for trying things out. The eight conversations were written for this project;"
    " some have a fault in them on purpose. Nobody in them is real."
)


@transaction.atomic
def add_demo_dialogues(*, by: User | None) -> list[Dialogue]:
    """Store the demo dialogues with their clients as complete dialogues of origin ``demo``."""
    written = demo_dialogues()
    profiles = _profiles(written, by=by)
    now = timezone.now()
    rows = Dialogue.objects.bulk_create(
        Dialogue(
            origin=Origin.DEMO,
            external_id=one.key,
            title=one.title,
            profile=profiles[one.profile.profile_id],
            state=DialogueState.COMPLETE,
            turn_count=len(one.turns),
            provenance=_provenance(one),
            started_at=now,
            finished_at=now,
        )
        for one in written
    )
    spoken = [
        [Utterance(number, turn.role, turn.text) for number, turn in enumerate(one.turns, start=1)]
        for one in written
    ]
    Turn.objects.bulk_create(
        Turn(dialogue=row, number=turn.number, role=turn.role, text=turn.text, created_at=now)
        for row, turns in zip(rows, spoken, strict=True)
        for turn in turns
    )
    for row, turns in zip(rows, spoken, strict=True):
        Finding.objects.bulk_create(screened(row.pk, turns))
    note_traits(rows)
    return rows


def _profiles(written: Sequence[DemoDialogue], *, by: User | None) -> dict[str, ClientProfile]:
    """The invented clients as a profile set of their own, by pseudonym."""
    records = [
        ProfileRecord(
            profile_id=one.profile.profile_id,
            age=one.profile.age,
            gender=one.profile.gender,
            condition=one.condition,
            demographics=one.profile.demographics,
            answers=one.profile.answers,
        )
        for one in written
    ]
    content = write_profiles(records, current_definitions())
    clients = import_profiles(
        name=DEMO_CLIENTS, filename="demo-clients.csv", content=content, by=by
    )
    ProfileSet.objects.filter(pk=clients.pk).update(synthetic=True)
    return {profile.profile_id: profile for profile in clients.profiles.all()}


def _provenance(one: DemoDialogue) -> dict[str, object]:
    """Where it comes from; a planted fault is for coordinators and researchers only."""
    known: dict[str, object] = {"written_for": "demo", "key": one.key}
    if one.planted is not None:
        known["planted"] = {
            "kind": one.planted.kind,
            "turns": list(one.planted.turns),
            "note": one.planted.note,
        }
    return known


@transaction.atomic
def add_demo_study(*, dialogues: Sequence[Dialogue], raters: Sequence[User], by: User) -> Study:
    """A study in which every rater has every demo dialogue, each in an order of their own."""
    return create_study(
        name=DEMO_STUDY,
        raters=raters,
        by=by,
        dialogues=dialogues,
        overlap=len(raters),
        seed=1,
        texts=StudyTexts(guidelines=GUIDELINES, contact=f"the coordinator, {by.username}"),
    )
