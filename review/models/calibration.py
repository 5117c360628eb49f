"""Reference ratings: what the training dialogues of a study should be rated, and why."""

from typing import ClassVar

import pghistory
from django.conf import settings as site
from django.db import models

from review.models.studies import Instrument, StudyDialogue


@pghistory.track(append_only=True)
class Reference(models.Model):
    """The reference answer to one item of a training dialogue, with its reason.

    Or the reference about one kind of flag: a severity, or ``none``. An item about turns has a
    reference for each turn; otherwise ``turn_number`` is empty.
    """

    study_dialogue = models.ForeignKey(
        StudyDialogue, on_delete=models.CASCADE, related_name="references"
    )
    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT, related_name="+")
    item = models.CharField(max_length=60, blank=True)
    category = models.CharField(max_length=60, blank=True, help_text="of a flag")
    turn_number = models.PositiveIntegerField(null=True, blank=True)
    value = models.TextField(help_text="in the stored form of a rating")
    reason = models.TextField(blank=True)
    set_by = models.ForeignKey(
        site.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering: ClassVar[list[str]] = [
            "study_dialogue_id", "instrument_id", "item", "category", "turn_number",
        ]  # fmt: skip
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["study_dialogue", "instrument", "item", "category", "turn_number"],
                nulls_distinct=False,
                name="reference_once_per_item",
            ),
            models.CheckConstraint(
                condition=models.Q(item="") ^ models.Q(category=""),
                name="reference_of_item_or_flag",
            ),
            models.CheckConstraint(condition=~models.Q(value=""), name="reference_has_a_value"),
        ]

    def __str__(self) -> str:
        return self.item or self.category
