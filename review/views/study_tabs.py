"""The tabs that all pages about one study share."""

from typing import Any

from django.urls import reverse

from review.models import Study, StudyKind
from sqpsych_site.models import User
from sqpsych_site.roles import Verb

TABS: tuple[tuple[str, str, str, Verb], ...] = (
    ("study", "review:study_detail", "Study", Verb.SEE_STUDIES),
    ("design", "review:study_design", "Design", Verb.SEE_STUDIES),
    ("raters", "review:study_raters", "Raters", Verb.MANAGE_STUDIES),
    ("dialogues", "review:study_dialogues", "Dialogues", Verb.MANAGE_STUDIES),
    ("calibration", "review:study_calibration", "Calibration", Verb.MANAGE_STUDIES),
    ("results", "review:results", "Results", Verb.SEE_STUDIES),
    ("quality", "review:quality", "Progress and quality", Verb.SEE_STUDIES),
    ("adjudication", "review:adjudication_plan", "Adjudication", Verb.MANAGE_STUDIES),
    ("exports", "review:study_exports", "Exports", Verb.EXPORT_RATINGS),
)

PAIRWISE_TABS = (("study", "review:comparison_results", "Study", Verb.SEE_STUDIES), TABS[-1])


def study_tabs(study: Study, user: User, here: str) -> list[dict[str, Any]]:
    """What this person can open, for ``_components/tabs.html``."""
    return [
        {"url": reverse(name, args=[study.pk]), "label": label, "current": key == here}
        for key, name, label, verb in (PAIRWISE_TABS if study.kind == StudyKind.PAIRWISE else TABS)
        if user.may(verb)
    ]
