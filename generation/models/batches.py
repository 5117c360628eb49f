"""Batches, their arms, and what the engine decided about them."""

from typing import ClassVar

import pghistory
import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models import Q

from generation.models.definitions import Protocol
from generation.models.profiles import ProfileSet


class BatchState(models.TextChoices):
    """The life of a batch."""

    RUNNING = "running", "Running"
    PAUSED = "paused", "Paused"
    CANCELLED = "cancelled", "Cancelled"
    FINISHED = "finished", "Finished"


@pghistory.track(append_only=True)
class Batch(models.Model):
    """Profiles x arms x replicates, one dialogue row each."""

    name = models.CharField(max_length=120)
    profile_set = models.ForeignKey(ProfileSet, on_delete=models.PROTECT, related_name="batches")
    per_profile = models.PositiveIntegerField(default=1)
    seed = models.BigIntegerField()
    profile_filter = models.JSONField(
        default=dict, blank=True, help_text="which profiles of the set: see selection.py"
    )
    with_risk = models.BooleanField(
        default=True, help_text="whether profiles with a positive risk item take part"
    )
    risk_reason = models.CharField(
        max_length=300, blank=True, help_text="why they take part, where a protocol asks for it"
    )
    preview = models.BooleanField(
        default=False, help_text="a few dialogues for a look at a design; in no list, in no study"
    )
    state = models.CharField(max_length=12, choices=BatchState.choices, default=BatchState.RUNNING)
    state_reason = models.CharField(max_length=300, blank=True)
    watched_from = models.DateTimeField(
        null=True, blank=True, help_text="failures before this moment count no longer"
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=Q(per_profile__gte=1), name="batch_per_profile_positive"
            ),
            models.CheckConstraint(
                condition=Q(risk_reason="") | Q(with_risk=True), name="batch_risk_reason_says_why"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Arm(models.Model):
    """One condition of a batch: protocol, the two models, sampling. Never changed."""

    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="arms")
    label = models.CharField(max_length=40, default="A")
    protocol = models.ForeignKey(Protocol, on_delete=models.PROTECT, related_name="arms")
    therapist_model = models.CharField(max_length=200)
    client_model = models.CharField(max_length=200)
    sampling = models.JSONField(default=dict, help_text="role -> sampling values")
    switches = models.JSONField(default=dict, help_text="what is otherwise than the protocol says")
    sha256 = models.CharField(max_length=64, help_text="hash over all settings of the arm")

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["batch", "label"], name="arm_label_once_per_batch")
        ]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            pgtrigger.Protect(name="immutable", operation=pgtrigger.Update)
        ]
        ordering: ClassVar[list[str]] = ["batch_id", "label"]

    def __str__(self) -> str:
        return f"{self.batch} {self.label}"


class EngineEvent(models.Model):
    """What the engine decided, in words, for the batch page's log (ids and figures only)."""

    batch = models.ForeignKey(
        Batch, null=True, blank=True, on_delete=models.CASCADE, related_name="decisions"
    )
    at = models.DateTimeField(auto_now_add=True)
    message = models.CharField(max_length=300)

    class Meta:
        ordering: ClassVar[list[str]] = ["-id"]

    def __str__(self) -> str:
        return self.message
