"""Client profiles and the sets they came in with."""

from typing import ClassVar

import pghistory
import pgtrigger
from django.conf import settings
from django.db import models


@pghistory.track(append_only=True)
class ProfileSet(models.Model):
    """Client profiles that came in together, from one file or from the sampler."""

    name = models.CharField(max_length=120, unique=True)
    source = models.CharField(max_length=200, help_text="file name, or the sampler and its seed")
    sha256 = models.CharField(max_length=64, blank=True)
    synthetic = models.BooleanField(default=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-created_at", "-id"]

    def __str__(self) -> str:
        return self.name


class ClientProfile(models.Model):
    """One client: demographics and questionnaire answers under a pseudonym. Never changed."""

    profile_set = models.ForeignKey(ProfileSet, on_delete=models.CASCADE, related_name="profiles")
    profile_id = models.CharField(max_length=64)
    age = models.PositiveSmallIntegerField()
    gender = models.CharField(max_length=40, blank=True)
    condition = models.CharField(max_length=60, blank=True)
    demographics = models.JSONField(default=dict)
    answers = models.JSONField(default=dict, help_text="questionnaire key -> item key -> value")
    totals = models.JSONField(default=dict, help_text="questionnaire key -> total")
    bands = models.JSONField(default=dict, help_text="questionnaire key -> severity band")
    questionnaires = models.JSONField(default=dict, help_text="questionnaire key -> sha256")
    risk_positive = models.BooleanField(default=False)
    findings = models.JSONField(default=list, help_text="contradictions: kind and message")
    sha256 = models.CharField(max_length=64)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["profile_set", "profile_id"], name="profile_id_once_per_set"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["profile_id"], name="profile_by_its_id")
        ]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            pgtrigger.Protect(name="immutable", operation=pgtrigger.Update)
        ]
        ordering: ClassVar[list[str]] = ["profile_set_id", "profile_id"]

    def __str__(self) -> str:
        return self.profile_id
