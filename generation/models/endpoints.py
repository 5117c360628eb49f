"""Model servers that an administrator entered."""

from typing import ClassVar

import pghistory
from django.db import models
from django.db.models import Q


class EndpointState(models.TextChoices):
    """What is known of a model server."""

    STARTING = "starting", "Starting"
    READY = "ready", "Ready"
    UNREACHABLE = "unreachable", "Not answering"
    WRONG_MODEL = "wrong_model", "Serves another model"
    UNAVAILABLE = "unavailable", "Cannot run here"
    UNKNOWN = "unknown", "Not asked yet"


@pghistory.track(
    append_only=True,
    fields=["name", "base_url", "model", "api_key_name", "max_concurrency", "enabled"],
)
class Endpoint(models.Model):
    """A model server that an administrator entered. The key itself stays in the environment."""

    name = models.CharField(max_length=60, unique=True)
    base_url = models.CharField(max_length=300)
    model = models.CharField(max_length=200)
    api_key_name = models.CharField(
        max_length=80, blank=True, help_text="name of the environment variable that holds the key"
    )
    context_length = models.PositiveIntegerField(null=True, blank=True)
    max_concurrency = models.PositiveIntegerField(default=32)
    supports_seed = models.BooleanField(default=False)
    gpus = models.PositiveSmallIntegerField(default=1, help_text="GPUs that the server occupies")
    price_per_hour = models.DecimalField(
        max_digits=8, decimal_places=3, null=True, blank=True, help_text="of the whole server"
    )
    enabled = models.BooleanField(default=True)
    state = models.CharField(
        max_length=20, choices=EndpointState.choices, default=EndpointState.UNKNOWN
    )
    state_detail = models.CharField(max_length=300, blank=True)
    server_version = models.CharField(max_length=60, blank=True)
    checked_at = models.DateTimeField(null=True, blank=True)
    abilities = models.JSONField(
        default=dict, help_text="what the program saw the server do: ability -> yes or no"
    )

    class Meta:
        ordering: ClassVar[list[str]] = ["name"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=Q(max_concurrency__gte=1), name="endpoint_concurrency_positive"
            )
        ]

    def __str__(self) -> str:
        return self.name
