"""What a rater may reach and see. Blindness is decided here and nowhere else."""

from dataclasses import dataclass

from django.shortcuts import get_object_or_404

from review.models import Assignment, Study
from sqpsych_site.models import User


@dataclass(frozen=True)
class Visible:
    """What the study lets its raters know beyond the text of the dialogue."""

    model: bool = False
    condition: bool = False
    totals: bool = False


def visible_in(study: Study) -> Visible:
    """Read a study's blinding choices; anything unsaid is hidden."""
    return Visible(
        model=study.settings.get("show_model") is True,
        condition=study.settings.get("show_condition") is True,
        totals=study.settings.get("show_totals") is True,
    )


def assignment_of(user: User, uid: object) -> Assignment:
    """The person's own assignment, with its study and dialogue; another's is not found (404)."""
    return get_object_or_404(
        Assignment.objects.visible_to(user).select_related("study", "study_dialogue__dialogue"),
        uid=uid,
    )
