"""Assignments and every judgment with its history: ratings, flags, evidence."""

import uuid
from typing import ClassVar

import pghistory
from django.conf import settings as site
from django.contrib.postgres.expressions import ArraySubquery
from django.db import models
from django.db.models import OuterRef, Q

from review.models.studies import Instrument, Study, StudyDialogue, StudyInstrument, StudyState
from sqpsych_site.models import User


class AssignmentState(models.TextChoices):
    """The life of one rater's task with one dialogue. ``LOCKED`` work waits for the gate of the
    calibration, or for the study to run; its rater cannot see it."""

    LOCKED = "locked", "Not open yet"
    DUE = "due", "To do"
    STARTED = "started", "In progress"
    SUBMITTED = "submitted", "Done"
    RETURNED = "returned", "Handed back"


class AssignmentKind(models.TextChoices):
    """What an assignment is for. Only ``LIVE`` and ``REPEAT`` ratings belong to a study's data."""

    LIVE = "live", "Rating"
    PRACTICE = "practice", "Practice"
    CALIBRATION = "calibration", "Calibration"
    REPEAT = "repeat", "Hidden repeat"


# What a study's data are made of; practice and calibration are for learning only.
DATA_KINDS = (AssignmentKind.LIVE, AssignmentKind.REPEAT)


class AssignmentQuerySet(models.QuerySet["Assignment"]):
    """Chainable questions about assignments."""

    def visible_to(self, user: User) -> "AssignmentQuerySet":
        """A rater's own assignments that are open to them, of studies that have begun."""
        return (
            self.filter(rater=user)
            .exclude(study__state__in=[StudyState.DRAFT, StudyState.ARCHIVED])
            .exclude(state=AssignmentState.LOCKED)
        )

    def with_work(self) -> "AssignmentQuerySet":
        """With the study, the dialogue's place in it, and ``instrument_ids`` in their order."""
        forms = StudyInstrument.objects.filter(study=OuterRef("study_id")).order_by("position")
        rows = self.select_related("study", "study_dialogue")
        return rows.annotate(instrument_ids=ArraySubquery(forms.values("instrument_id")))

    def open(self) -> "AssignmentQuerySet":
        """Not yet submitted nor handed back."""
        return self.filter(state__in=[AssignmentState.DUE, AssignmentState.STARTED])


@pghistory.track(
    append_only=True,
    exclude=["active_seconds", "paused_seconds", "revision", "undo_step", "redo_step"],
)
class Assignment(models.Model):
    """One rater's task: one dialogue of one study."""

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    # No index of their own: each begins one of those below, and every save writes to all of them.
    study = models.ForeignKey(
        Study, on_delete=models.CASCADE, related_name="assignments", db_index=False
    )
    study_dialogue = models.ForeignKey(
        StudyDialogue, on_delete=models.CASCADE, related_name="assignments", db_index=False
    )
    rater = models.ForeignKey(
        site.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="assignments", db_index=False
    )
    kind = models.CharField(
        max_length=12, choices=AssignmentKind.choices, default=AssignmentKind.LIVE
    )
    alias = models.CharField(
        max_length=12, blank=True, help_text="code shown for a hidden repeat instead of its own"
    )
    position = models.PositiveIntegerField(help_text="place in this rater's order, from 1")
    state = models.CharField(
        max_length=10, choices=AssignmentState.choices, default=AssignmentState.DUE
    )
    return_reason = models.CharField(max_length=40, blank=True)
    return_note = models.TextField(blank=True)
    comment = models.TextField(blank=True, help_text="about the dialogue as a whole")
    comment_revision = models.PositiveIntegerField(default=0)
    revision = models.PositiveIntegerField(default=0, help_text="raised by every step")
    undo_step = models.PositiveIntegerField(default=0, help_text="what undo takes back, 0: nothing")
    redo_step = models.PositiveIntegerField(default=0, help_text="what redo does again")
    active_seconds = models.PositiveIntegerField(default=0)
    paused_seconds = models.PositiveIntegerField(default=0)
    opened_at = models.DateTimeField(null=True, blank=True)
    submitted_at = models.DateTimeField(null=True, blank=True)

    objects = AssignmentQuerySet.as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["rater_id", "study_id", "position"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["study_dialogue", "rater", "kind"], name="assignment_once_per_rater"
            ),
            models.UniqueConstraint(
                fields=["study", "rater", "position"], name="assignment_position_once"
            ),
            models.CheckConstraint(
                condition=~Q(state="submitted") | Q(submitted_at__isnull=False),
                name="submitted_has_a_time",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["rater", "state", "position"], name="assignment_queue"),
            models.Index(fields=["study", "state"], name="assignment_progress"),
        ]

    def __str__(self) -> str:
        return str(self.uid)

    @property
    def code(self) -> str:
        """The code under which the rater knows the dialogue; a hidden repeat has one of its own."""
        return self.alias or self.study_dialogue.code


@pghistory.track(append_only=True, level=pghistory.Statement)
class Rating(models.Model):
    """One rater's answer to one item of one dialogue; the value is kept in the stored form that
    instruments.py defines ('0', '1.5', 'yes', 'not_sure', 'na', text)."""

    # Found by the index of the constraint below; nobody looks for all answers to an instrument.
    assignment = models.ForeignKey(
        Assignment, on_delete=models.PROTECT, related_name="ratings", db_index=False
    )
    instrument = models.ForeignKey(
        Instrument, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    item = models.CharField(max_length=60)
    turn_number = models.PositiveIntegerField(null=True, blank=True, help_text="turn-level items")
    value = models.TextField(blank=True, help_text="empty: only a comment so far, or cleared")
    comment = models.TextField(blank=True)
    revision = models.PositiveIntegerField(default=1)
    saved_by_key = models.UUIDField(null=True, blank=True, help_text="the request that wrote it")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["assignment_id", "instrument_id", "item"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["assignment", "instrument", "item", "turn_number"],
                name="rating_once_per_item",
                nulls_distinct=False,
            )
        ]

    def __str__(self) -> str:
        return self.item


@pghistory.track(append_only=True)
class Flag(models.Model):
    """A safety concern a rater raised about a turn or the dialogue. Withdrawn, never deleted."""

    uid = models.UUIDField(default=uuid.uuid4, unique=True)
    assignment = models.ForeignKey(Assignment, on_delete=models.PROTECT, related_name="flags")
    category = models.CharField(max_length=60)
    severity = models.CharField(max_length=20)
    details = models.JSONField(default=dict, help_text="further questions of the flag form")
    turn_number = models.PositiveIntegerField(null=True, blank=True)
    start = models.PositiveIntegerField(null=True, blank=True, help_text="characters, inclusive")
    end = models.PositiveIntegerField(null=True, blank=True, help_text="characters, exclusive")
    note = models.TextField(blank=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["assignment_id", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=Q(start=None, end=None) | Q(end__gt=models.F("start")),
                name="flag_span_is_whole",
            )
        ]

    def __str__(self) -> str:
        return self.category


@pghistory.track(append_only=True)
class Evidence(models.Model):
    """A passage that a rater attached to an item or to a flag.

    Offsets count Unicode code points in the turn.
    """

    uid = models.UUIDField(default=uuid.uuid4, unique=True)
    assignment = models.ForeignKey(Assignment, on_delete=models.PROTECT, related_name="evidence")
    instrument = models.ForeignKey(
        Instrument, null=True, on_delete=models.PROTECT, related_name="+"
    )
    item = models.CharField(max_length=60, blank=True)
    flag = models.ForeignKey(Flag, null=True, on_delete=models.PROTECT, related_name="evidence")
    turn_number = models.PositiveIntegerField()
    start = models.PositiveIntegerField(null=True, blank=True)
    end = models.PositiveIntegerField(null=True, blank=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["assignment_id", "id"]
        verbose_name_plural = "evidence"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=Q(start=None, end=None) | Q(end__gt=models.F("start")),
                name="evidence_span_is_whole",
            ),
            models.CheckConstraint(
                condition=Q(flag=None, instrument__isnull=False) & ~Q(item="")
                | Q(flag__isnull=False, instrument=None, item=""),
                name="evidence_of_an_item_or_a_flag",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.item or 'flag'} turn {self.turn_number}"
