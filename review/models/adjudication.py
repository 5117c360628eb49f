"""Adjudication: who decides where raters disagree, from what distance on, and what was decided."""

from typing import ClassVar

import pghistory
from django.conf import settings as site
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from review.models.studies import Instrument, Study, StudyDialogue


@pghistory.track(append_only=True)
class AdjudicationPlan(models.Model):
    """What counts as a disagreement in a study; without a row the defaults hold."""

    study = models.OneToOneField(Study, on_delete=models.CASCADE, related_name="adjudication_plan")
    limit = models.DecimalField(
        max_digits=5,
        decimal_places=2,
        default=1,
        validators=[MinValueValidator(0), MaxValueValidator(100)],
        help_text="scale points that two ratings may differ without being adjudicated",
    )
    flags = models.BooleanField(
        default=True, help_text="whether flags that not every rater raised are adjudicated"
    )

    def __str__(self) -> str:
        return f"adjudication of study {self.study_id}"


@pghistory.track(append_only=True)
class Adjudicator(models.Model):
    """A person who decides where the raters of a study disagree, under a pseudonym."""

    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="adjudicators")
    person = models.ForeignKey(
        site.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="adjudicates"
    )
    code = models.CharField(max_length=12)
    active = models.BooleanField(default=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["study_id", "code"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["study", "person"], name="adjudicator_once_per_study"),
            models.UniqueConstraint(fields=["study", "code"], name="adjudicator_code_once"),
        ]

    def __str__(self) -> str:
        return self.code


@pghistory.track(append_only=True)
class Adjudication(models.Model):
    """The decision on one item, or on one kind of flag, of one dialogue. Ratings stay as they are.

    An item about turns is decided turn by turn; otherwise ``turn_number`` is empty.

    ``value`` is in the stored form of a rating; for a flag it is a severity, or ``none``.
    """

    study_dialogue = models.ForeignKey(
        StudyDialogue, on_delete=models.PROTECT, related_name="adjudications"
    )
    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT, related_name="+")
    item = models.CharField(max_length=60, blank=True)
    category = models.CharField(max_length=60, blank=True)
    turn_number = models.PositiveIntegerField(null=True, blank=True)
    value = models.CharField(max_length=60)
    reason = models.TextField()
    decided_by = models.ForeignKey(Adjudicator, on_delete=models.PROTECT, related_name="decisions")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering: ClassVar[list[str]] = [
            "study_dialogue_id", "instrument_id", "item", "category", "turn_number",
        ]  # fmt: skip
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["study_dialogue", "instrument", "item", "category", "turn_number"],
                nulls_distinct=False,
                name="adjudicated_once",
            ),
            models.CheckConstraint(
                condition=Q(item="") ^ Q(category=""), name="adjudication_of_item_or_flag"
            ),
            models.CheckConstraint(
                condition=~Q(value="") & ~Q(reason=""), name="adjudication_is_whole"
            ),
        ]

    def __str__(self) -> str:
        return self.item or self.category
