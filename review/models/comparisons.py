"""Pairwise studies: which two dialogues are compared, and each rater's choice with its history."""

import uuid
from typing import ClassVar

import pghistory
from django.conf import settings as site
from django.db import models
from django.db.models import F, Q

from review.models.ratings import AssignmentState
from review.models.studies import Study, StudyDialogue, StudyState
from sqpsych_site.models import User


class ComparisonPair(models.Model):
    """Two dialogues of a study that differ in their arm, under a code that tells nothing."""

    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="comparison_pairs")
    code = models.CharField(max_length=12)
    one = models.ForeignKey(StudyDialogue, on_delete=models.CASCADE, related_name="+")
    other = models.ForeignKey(StudyDialogue, on_delete=models.CASCADE, related_name="+")

    class Meta:
        ordering: ClassVar[list[str]] = ["study_id", "code"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["study", "code"], name="pair_code_once_per_study"),
            models.UniqueConstraint(fields=["one", "other"], name="pair_once"),
            models.CheckConstraint(condition=~Q(one=F("other")), name="pair_is_of_two"),
        ]

    def __str__(self) -> str:
        return self.code


class Choice(models.TextChoices):
    """What a rater prefers, in terms of the pair and not of the screen."""

    ONE = "one", "The first of the pair"
    OTHER = "other", "The second of the pair"
    TIE = "tie", "Both alike"


class ComparisonQuerySet(models.QuerySet["Comparison"]):
    """Chainable questions about comparisons."""

    def visible_to(self, user: User) -> "ComparisonQuerySet":
        """A rater's own comparisons, of studies that have begun."""
        return self.filter(rater=user).exclude(
            study__state__in=[StudyState.DRAFT, StudyState.ARCHIVED]
        )

    def open(self) -> "ComparisonQuerySet":
        """Not yet submitted nor handed back."""
        return self.filter(state__in=[AssignmentState.DUE, AssignmentState.STARTED])


@pghistory.track(append_only=True)
class Comparison(models.Model):
    """One rater's task with one pair. ``swapped``: the pair's ``other`` stands on the left."""

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="comparisons")
    pair = models.ForeignKey(ComparisonPair, on_delete=models.CASCADE, related_name="comparisons")
    rater = models.ForeignKey(
        site.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="comparisons"
    )
    position = models.PositiveIntegerField(help_text="place in this rater's order, from 1")
    swapped = models.BooleanField()
    state = models.CharField(
        max_length=10, choices=AssignmentState.choices, default=AssignmentState.DUE
    )
    choice = models.CharField(max_length=10, choices=Choice.choices, blank=True)
    reasons = models.JSONField(default=list, help_text="keys of the study's reasons")
    comment = models.TextField(blank=True)
    return_reason = models.CharField(max_length=40, blank=True)
    revision = models.PositiveIntegerField(default=0, help_text="raised by every saved change")
    opened_at = models.DateTimeField(null=True, blank=True)
    submitted_at = models.DateTimeField(null=True, blank=True)

    objects = ComparisonQuerySet.as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["rater_id", "study_id", "position"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["pair", "rater"], name="comparison_once_per_rater"),
            models.UniqueConstraint(
                fields=["study", "rater", "position"], name="comparison_position_once"
            ),
            models.CheckConstraint(
                condition=~Q(state="submitted") | (Q(submitted_at__isnull=False) & ~Q(choice="")),
                name="submitted_comparison_has_choice_and_time",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["rater", "state", "position"], name="comparison_queue"),
            models.Index(fields=["study", "state"], name="comparison_progress"),
        ]

    def __str__(self) -> str:
        return str(self.uid)
