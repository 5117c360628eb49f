"""What a dialogue's profile is like, kept beside the dialogue so that long lists can be filtered.

A profile never changes, so neither do these rows. They say nothing that the profile does not.
"""

from typing import ClassVar

from django.db import models

from generation.models.dialogues import Dialogue


class DialogueTrait(models.Model):
    """One word on a dialogue's profile: ``condition:mdd``, ``band:phq9:severe``."""

    dialogue = models.ForeignKey(
        Dialogue, on_delete=models.CASCADE, related_name="traits", db_index=False
    )
    name = models.CharField(max_length=200)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["dialogue", "name"], name="trait_once"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["name", "-dialogue"], name="trait_name_newest"),
        ]

    def __str__(self) -> str:
        return self.name
