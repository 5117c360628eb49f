"""What a rater did, step by step, and how long each look at a dialogue took."""

from typing import ClassVar

import pgtrigger
from django.db import models

from review.models.ratings import Assignment
from review.models.studies import Instrument


class StepKind(models.TextChoices):
    """The kinds of step. Only ``ANSWER`` can be taken back by undo."""

    ANSWER = "answer", "Answer"
    UNDO = "undo", "Undone"
    REDO = "redo", "Done again"
    COMMENT = "comment", "Comment on the dialogue"
    EVIDENCE = "evidence", "Passage marked"
    UNMARK = "unmark", "Mark taken back"
    FLAG = "flag", "Flag raised"
    UNFLAG = "unflag", "Flag taken back"


class Step(models.Model):
    """One thing a rater did, under the key its request carried: a key seen again does nothing.

    Answers form a tree: ``parent`` of an answer is the answer undo leads back to (0: none), so the
    newest child is what redo leads to. An undo or redo names the answer it moved as its parent.
    """

    # Found by the indexes of the constraints below.
    assignment = models.ForeignKey(
        Assignment, on_delete=models.PROTECT, related_name="steps", db_index=False
    )
    number = models.PositiveIntegerField(help_text="the assignment's revision after this step")
    parent = models.PositiveIntegerField(default=0)
    key = models.UUIDField()
    kind = models.CharField(max_length=10, choices=StepKind.choices)
    instrument = models.ForeignKey(
        Instrument, null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    item = models.CharField(max_length=60, blank=True)
    turn_number = models.PositiveIntegerField(null=True)
    mark = models.UUIDField(null=True, help_text="the flag or marked passage")
    value_before = models.TextField(blank=True)
    comment_before = models.TextField(blank=True)
    value = models.TextField(blank=True)
    comment = models.TextField(blank=True)
    revision = models.PositiveIntegerField(default=0, help_text="of the answer, after this step")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["assignment_id", "number"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            pgtrigger.Protect(name="append_only", operation=pgtrigger.Update | pgtrigger.Delete)
        ]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["assignment", "number"], name="step_number_once"),
            models.UniqueConstraint(fields=["assignment", "key"], name="step_key_once"),
        ]

    def __str__(self) -> str:
        return f"{self.number} {self.kind}"


class Visit(models.Model):
    """One look at a dialogue: seconds in use and seconds left alone, as its page told last."""

    uid = models.UUIDField(unique=True)
    assignment = models.ForeignKey(Assignment, on_delete=models.PROTECT, related_name="visits")
    active_seconds = models.PositiveIntegerField(default=0)
    paused_seconds = models.PositiveIntegerField(default=0)
    began_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["assignment_id", "id"]

    def __str__(self) -> str:
        return str(self.uid)
