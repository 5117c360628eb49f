"""Files that wait for their columns to be mapped."""

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models


class UploadPurpose(models.TextChoices):
    """What a file is to become."""

    PROFILES = "profiles", "Client profiles"
    DIALOGUES = "dialogues", "Dialogues"


class Upload(models.Model):
    """A file between its upload and the choice of its columns: its owner's alone, and gone after
    an hour. Not tracked: what is stored from it is."""

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    purpose = models.CharField(max_length=10, choices=UploadPurpose.choices)
    name = models.CharField(max_length=120, help_text="of the set or batch to be made")
    filename = models.CharField(max_length=200)
    content = models.BinaryField()
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-id"]

    def __str__(self) -> str:
        return f"upload {self.pk}"
