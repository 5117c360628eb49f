"""Studies: instruments, dialogues under codes, raters under pseudonyms."""

from typing import Any, ClassVar

import pghistory
import pgtrigger
from django.conf import settings as site
from django.db import models
from django.db.models import Q

from generation.models import Dialogue, VersionedDefinition
from review.models.frozen import FROZEN_DESIGN, frozen_with_the_study

IMMUTABLE = pgtrigger.Protect(name="immutable", operation=pgtrigger.Update)


class Instrument(VersionedDefinition):
    """A rating instrument: see instruments.py."""

    licence = models.CharField(max_length=200, blank=True)

    class Meta:
        triggers: ClassVar[list[pgtrigger.Trigger]] = [IMMUTABLE]
        ordering: ClassVar[list[str]] = ["key", "-created_at"]


class StudyState(models.TextChoices):
    """The life of a study."""

    DRAFT = "draft", "Draft"
    CALIBRATION = "calibration", "Calibration"
    RUNNING = "running", "Running"
    PAUSED = "paused", "Paused"
    CLOSED = "closed", "Closed"
    ARCHIVED = "archived", "Archived"

    @property
    def takes_ratings(self) -> bool:
        """Whether raters may give answers now."""
        return self in {StudyState.RUNNING, StudyState.CALIBRATION}


class RatingOrder(models.TextChoices):
    """In which order raters meet their dialogues; arms are always spread over the whole order."""

    OWN = "own", "each rater in an order of their own"
    SAME = "same", "all raters in the same order"


class StudyKind(models.TextChoices):
    """What raters do: rate dialogues one by one, or compare two at a time."""

    RATING = "rating", "Rating"
    PAIRWISE = "pairwise", "Comparison of two"
    PRACTICE = "practice", "Practice for another study"


class StudyQuerySet(models.QuerySet["Study"]):
    """Chainable questions about studies."""

    def listed(self) -> "StudyQuerySet":
        """Those that people made: practice belongs to a study and yields no data."""
        return self.exclude(kind=StudyKind.PRACTICE)


@pghistory.track(append_only=True)
class Study(models.Model):
    """Dialogues x raters under one design."""

    objects = StudyQuerySet.as_manager()

    name = models.CharField(max_length=120, unique=True)
    kind = models.CharField(max_length=10, choices=StudyKind.choices, default=StudyKind.RATING)
    state = models.CharField(max_length=12, choices=StudyState.choices, default=StudyState.RUNNING)
    overlap = models.PositiveSmallIntegerField(default=1)
    overlap_share = models.FloatField(
        default=1.0, help_text="part of the dialogues that gets the overlap; the others get one"
    )
    rating_order = models.CharField(
        max_length=8, choices=RatingOrder.choices, default=RatingOrder.OWN
    )
    same_profile = models.BooleanField(
        default=False, help_text="a rater may see several dialogues of one profile"
    )
    repeats = models.PositiveSmallIntegerField(default=0, help_text="hidden repeats per rater")
    gate = models.FloatField(
        null=True, blank=True, help_text="agreement with the reference needed before live work"
    )
    gate_last = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="only so many latest training dialogues count; empty: all"
    )
    selection = models.JSONField(default=dict, help_text="how its dialogues were chosen")
    seed = models.BigIntegerField(default=0)
    deadline = models.DateField(null=True, blank=True)
    guidelines = models.TextField(blank=True)
    contact = models.CharField(max_length=300, blank=True, help_text="whom raters turn to")
    settings = models.JSONField(default=dict, help_text="blinding and display choices")
    design = models.JSONField(default=dict, help_text="report of the allocation")
    created_by = models.ForeignKey(
        site.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-id"]
        verbose_name_plural = "studies"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=Q(overlap__gte=1), name="study_overlap_positive"),
            models.CheckConstraint(
                condition=Q(overlap_share__gte=0, overlap_share__lte=1),
                name="study_share_is_a_part",
            ),
            models.CheckConstraint(
                condition=Q(gate=None) | Q(gate__gte=0, gate__lte=1), name="study_gate_is_a_part"
            ),
        ]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [FROZEN_DESIGN]

    def __str__(self) -> str:
        return self.name


class StudyInstrument(models.Model):
    """An instrument of a study, in order. Frozen once the study runs."""

    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="study_instruments")
    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT, related_name="+")
    position = models.PositiveSmallIntegerField(default=1)

    class Meta:
        ordering: ClassVar[list[str]] = ["study_id", "position"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["study", "instrument"], name="instrument_once_per_study"
            )
        ]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            frozen_with_the_study(pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete)
        ]

    def __str__(self) -> str:
        return f"{self.study} {self.instrument}"


class StudyDialogue(models.Model):
    """A dialogue in a study, under a code that tells nothing about it."""

    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="study_dialogues")
    dialogue = models.ForeignKey(Dialogue, on_delete=models.PROTECT, related_name="+")
    code = models.CharField(max_length=12)
    training = models.BooleanField(default=False, help_text="for calibration only, never data")
    wanted = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="raters it should have; empty: the study's overlap"
    )

    class Meta:
        ordering: ClassVar[list[str]] = ["study_id", "code"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            frozen_with_the_study(
                pgtrigger.UpdateOf("study_id", "dialogue_id", "code", "training")  # type: ignore[no-untyped-call]  # half typed
                | pgtrigger.Delete
            )
        ]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["study", "dialogue"], name="dialogue_once_per_study"),
            models.UniqueConstraint(fields=["study", "code"], name="code_once_per_study"),
        ]

    def __str__(self) -> str:
        return self.code


class StudyRater(models.Model):
    """A rater in a study, under a pseudonym for exports."""

    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="study_raters")
    rater = models.ForeignKey(
        site.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="study_raters"
    )
    code = models.CharField(max_length=12)
    active = models.BooleanField(default=True)
    expert = models.BooleanField(
        default=False, help_text="rates the training dialogues only; sets the reference"
    )
    quota = models.PositiveIntegerField(null=True, blank=True, help_text="most dialogues in all")
    cleared_at = models.DateTimeField(null=True, blank=True, help_text="when live work opened")
    profession = models.CharField(max_length=60, blank=True, help_text="for exports")
    years = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="of practice, for exports"
    )

    class Meta:
        ordering: ClassVar[list[str]] = ["study_id", "code"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["study", "rater"], name="rater_once_per_study"),
            models.UniqueConstraint(fields=["study", "code"], name="rater_code_once_per_study"),
        ]

    def __str__(self) -> str:
        return self.code


def blank_settings() -> dict[str, Any]:
    """What raters may see beyond the text: nothing, unless a study says so."""
    return {"show_model": False, "show_condition": False, "show_totals": False}
