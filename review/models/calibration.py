"""Reference ratings: what the training dialogues of a study should be rated, and why."""

from typing import ClassVar

import pghistory
from django.conf import settings as site
from django.db import models

from review.models.studies import Instrument, StudyDialogue


@pghistory.track(append_only=True)
class Reference(models.Model):
    """The reference answer to one item of a training dialogue, with its reason."""

    study_dialogue = models.ForeignKey(
        StudyDialogue, on_delete=models.CASCADE, related_name="references"
    )
    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT, related_name="+")
    item = models.CharField(max_length=60)
    value = models.TextField(help_text="in the stored form of a rating")
    reason = models.TextField(blank=True)
    set_by = models.ForeignKey(
        site.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["study_dialogue_id", "instrument_id", "item"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["study_dialogue", "instrument", "item"], name="reference_once_per_item"
            ),
            models.CheckConstraint(condition=~models.Q(value=""), name="reference_has_a_value"),
        ]

    def __str__(self) -> str:
        return self.item
