"""Definition files as they were when first used: a change is a new row."""

from typing import ClassVar

import pgtrigger
from django.db import models

IMMUTABLE = pgtrigger.Protect(name="immutable", operation=pgtrigger.Update)


class VersionedDefinition(models.Model):
    """A definition file as it was when first used: a change is a new row with its own hash."""

    key = models.CharField(max_length=60)
    version = models.CharField(max_length=20)
    title = models.CharField(max_length=200)
    sha256 = models.CharField(max_length=64, unique=True)
    toml = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.key} {self.version}"


class Questionnaire(VersionedDefinition):
    """A client questionnaire (PHQ-9, GAD-7, ...): see questionnaires.py."""

    class Meta:
        triggers: ClassVar[list[pgtrigger.Trigger]] = [IMMUTABLE]
        ordering: ClassVar[list[str]] = ["key", "-created_at"]


class Protocol(VersionedDefinition):
    """A therapy protocol (roles, prompts, ending rule): see protocols.py."""

    class Meta:
        triggers: ClassVar[list[pgtrigger.Trigger]] = [IMMUTABLE]
        ordering: ClassVar[list[str]] = ["key", "-created_at"]
