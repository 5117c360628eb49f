"""A practice dialogue for each study: the same form, and nothing of it counts."""

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from generation.demo.load import practice_dialogue
from generation.models import Dialogue, DialogueState, Origin, Turn
from review.actions.errors import Refused
from review.models import (
    Assignment,
    AssignmentKind,
    AssignmentState,
    Study,
    StudyDialogue,
    StudyInstrument,
    StudyKind,
    StudyState,
)
from sqpsych_site.models import User

CODE = "PRACTICE"


@transaction.atomic
def start_practice(*, study: Study, by: User) -> Assignment:
    """The rater's practice for a study, made when first asked for and taken up again later.

    Refused to whoever is no rater of the study.
    """
    # One at a time for each study: two clicks must not make two.
    locked = Study.objects.select_for_update(of=("self",)).get(pk=study.pk)
    mine = locked.study_raters.filter(rater=by, active=True).exists()
    hidden = locked.state in {StudyState.DRAFT, StudyState.ARCHIVED}
    if not mine or hidden or locked.kind != StudyKind.RATING:
        raise Refused("not_yours", _("This study is not in your queue."), status=404)
    practice = _practice_for(locked)
    row = practice.study_dialogues.get()
    assignment, made = Assignment.objects.get_or_create(
        study_dialogue=row,
        rater=by,
        kind=AssignmentKind.PRACTICE,
        defaults={"study": practice, "position": 1},
    )
    if not made and assignment.state in {AssignmentState.SUBMITTED, AssignmentState.RETURNED}:
        Assignment.objects.filter(pk=assignment.pk).update(
            state=AssignmentState.STARTED, submitted_at=None, return_reason="", return_note=""
        )
    return assignment


def _practice_for(study: Study) -> Study:
    name = f"Practice for study {study.pk}"
    found = Study.objects.filter(name=name, kind=StudyKind.PRACTICE).first()
    if found is not None:
        return found
    practice = Study.objects.create(
        name=name,
        kind=StudyKind.PRACTICE,
        state=StudyState.DRAFT,
        guidelines=study.guidelines,
        contact=study.contact,
        settings=study.settings,
    )
    StudyInstrument.objects.bulk_create(
        StudyInstrument(study=practice, instrument=link.instrument, position=link.position)
        for link in study.study_instruments.select_related("instrument")
    )
    StudyDialogue.objects.create(study=practice, dialogue=_dialogue(), code=CODE)
    Study.objects.filter(pk=practice.pk).update(state=StudyState.RUNNING)
    return practice


def _dialogue() -> Dialogue:
    """The stored practice dialogue, one for the installation."""
    found = Dialogue.objects.filter(origin=Origin.PRACTICE).order_by("pk").first()
    if found is not None:
        return found
    written, now = practice_dialogue(), timezone.now()
    row = Dialogue.objects.create(
        origin=Origin.PRACTICE,
        external_id=written.key,
        title=written.title,
        state=DialogueState.COMPLETE,
        turn_count=len(written.turns),
        provenance={"written_for": "practice"},
        finished_at=now,
    )
    Turn.objects.bulk_create(
        Turn(dialogue=row, number=number, role=turn.role, text=turn.text, created_at=now)
        for number, turn in enumerate(written.turns, start=1)
    )
    return row
