"""Users, the state of background services, and the log of exports and other notable acts."""

from typing import ClassVar

import pghistory
import pgtrigger
from django.contrib.auth.models import AbstractUser
from django.db import models

from sqpsych_site.roles import Role, Verb


@pghistory.track(exclude=["password", "last_login"], append_only=True)
class User(AbstractUser):
    """One person with one role; what a role may do is in roles.py."""

    role = models.CharField(max_length=20, choices=Role.choices, default=Role.RATER)

    class Meta(AbstractUser.Meta):
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=models.Q(role__in=Role.values), name="user_role_is_known"
            )
        ]

    def may(self, verb: Verb) -> bool:
        """Whether this person's role includes the verb."""
        return self.is_active and verb in Role(self.role).verbs


class ServiceState(models.Model):
    """The last sign of life of a background service (worker, beat, model server start-up)."""

    name = models.CharField(max_length=60, primary_key=True)
    state = models.CharField(max_length=30)
    detail = models.CharField(max_length=300, blank=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name}: {self.state}"


class AuditEntry(models.Model):
    """A notable act that is no row change: an export, a refused access, a printed password.

    Row changes are recorded by database triggers (django-pghistory) in the ``*Event`` tables.
    No foreign keys: the record outlives what it speaks of.
    """

    at = models.DateTimeField(auto_now_add=True)
    actor = models.CharField(max_length=150, blank=True)
    action = models.CharField(max_length=60)
    target = models.CharField(max_length=120, blank=True)
    detail = models.JSONField(default=dict)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["-at"])]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            pgtrigger.Protect(
                name="append_only",
                operation=pgtrigger.Update | pgtrigger.Delete,
            )
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {self.actor} {self.action} {self.target}"
