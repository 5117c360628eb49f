"""Dialogues, their turns, attempts and findings."""

import uuid
from typing import Any, ClassVar

import pgtrigger
from django.db import models
from django.db.models import F, Q

from generation.models.batches import Arm, Batch, BatchState
from generation.models.endpoints import Endpoint
from generation.models.profiles import ClientProfile


class DialogueState(models.TextChoices):
    """The life of a dialogue."""

    WAITING = "waiting", "Waiting"
    RUNNING = "running", "In progress"
    COMPLETE = "complete", "Complete"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


class Origin(models.TextChoices):
    """Where a dialogue comes from."""

    GENERATED = "generated", "Generated here"
    IMPORTED = "imported", "Imported"
    DEMO = "demo", "Written for the demo"
    PRACTICE = "practice", "Written for practice"
    PREVIEW = "preview", "Made for a preview"


class DialogueQuerySet(models.QuerySet["Dialogue"]):
    """Chainable questions about dialogues."""

    def claimable(self, now: Any) -> "DialogueQuerySet":
        """Waiting ones, and running ones whose lease has run out, of running batches."""
        return self.filter(
            Q(state=DialogueState.WAITING) | Q(state=DialogueState.RUNNING, lease_until__lt=now),
            batch__state=BatchState.RUNNING,
        )

    def counts_by_state(self) -> dict[str, int]:
        """State -> number, zero included."""
        rows = self.order_by().values_list("state").annotate(n=models.Count("pk"))
        return {str(state): 0 for state in DialogueState.values} | dict(rows)


class Dialogue(models.Model):
    """One therapy dialogue. Its public id carries no condition, model or order."""

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    origin = models.CharField(max_length=10, choices=Origin.choices, default=Origin.GENERATED)
    external_id = models.CharField(max_length=120, blank=True)
    title = models.CharField(max_length=120, blank=True)
    batch = models.ForeignKey(
        Batch, null=True, blank=True, on_delete=models.PROTECT, related_name="dialogues"
    )
    arm = models.ForeignKey(
        Arm, null=True, blank=True, on_delete=models.PROTECT, related_name="dialogues"
    )
    profile = models.ForeignKey(
        ClientProfile, null=True, blank=True, on_delete=models.PROTECT, related_name="dialogues"
    )
    replicate = models.PositiveIntegerField(default=1)
    seed = models.BigIntegerField(default=0)
    state = models.CharField(
        max_length=10, choices=DialogueState.choices, default=DialogueState.WAITING
    )
    lease_owner = models.UUIDField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    claims = models.PositiveIntegerField(default=0, help_text="how often a worker took it up")
    not_before = models.DateTimeField(null=True, blank=True)
    ended_by = models.CharField(max_length=20, blank=True, help_text="marker, limit or context")
    failure_reason = models.CharField(max_length=60, blank=True)
    failure_detail = models.CharField(max_length=300, blank=True)
    turn_count = models.PositiveIntegerField(default=0)
    requests = models.PositiveIntegerField(default=0, help_text="that were judged or failed")
    prompt_tokens = models.PositiveBigIntegerField(default=0)
    cached_tokens = models.PositiveBigIntegerField(default=0)
    cached_of_tokens = models.PositiveBigIntegerField(
        default=0, help_text="prompt tokens of those requests that had cached tokens told"
    )
    completion_tokens = models.PositiveBigIntegerField(default=0)
    reply_ms = models.PositiveBigIntegerField(default=0, help_text="waited for the servers")
    gpu_us = models.PositiveBigIntegerField(default=0, help_text="GPU time, shares added up")
    unpriced_us = models.PositiveBigIntegerField(
        default=0, help_text="of it, on servers without a price"
    )
    cost = models.DecimalField(max_digits=16, decimal_places=8, default=0)
    therapist_system = models.TextField(blank=True)
    client_system = models.TextField(blank=True)
    forms = models.JSONField(
        default=dict, blank=True, help_text="what was prepared before turn 1, by preparation"
    )
    provenance = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = DialogueQuerySet.as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["-id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["arm", "profile", "replicate"],
                name="dialogue_once_per_arm_profile_replicate",
            ),
            models.CheckConstraint(
                condition=Q(state="running") | Q(lease_owner=None), name="only_running_is_leased"
            ),
            models.CheckConstraint(
                condition=Q(failure_reason="") | Q(state="failed"), name="only_failed_has_reason"
            ),
            models.CheckConstraint(
                condition=~Q(state="failed") | ~Q(failure_reason=""), name="failed_has_a_reason"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(
                fields=["id"],
                name="dialogue_claimable",
                condition=Q(state__in=["waiting", "running"]),
            ),
            # One for each filter of the lists, in the lists' order.
            models.Index(fields=["batch", "-id"], name="dialogue_batch_newest"),
            models.Index(
                fields=["batch", "-finished_at"],
                name="dialogue_batch_last_ended",
                condition=Q(state__in=["complete", "failed"]),
            ),
            models.Index(fields=["batch", "state", "-id"], name="dialogue_batch_state_newest"),
            models.Index(fields=["state", "-id"], name="dialogue_state_newest"),
            models.Index(fields=["arm", "-id"], name="dialogue_arm_newest"),
            models.Index(
                fields=["failure_reason", "-id"],
                name="dialogue_failed_newest",
                condition=Q(state="failed"),
            ),
            models.Index(
                fields=["origin", "-id"],
                name="dialogue_foreign_newest",
                condition=~Q(origin="generated"),
            ),
            models.Index(
                fields=["external_id"],
                name="dialogue_external_id",
                condition=~Q(external_id=""),
            ),
        ]

    def __str__(self) -> str:
        return str(self.uid)


class TurnRole(models.TextChoices):
    """Who speaks."""

    THERAPIST = "therapist", "Therapist"
    CLIENT = "client", "Client"


class Turn(models.Model):
    """One utterance as accepted. Never changed: what the model said is what is kept."""

    dialogue = models.ForeignKey(Dialogue, on_delete=models.CASCADE, related_name="turns")
    number = models.PositiveIntegerField(help_text="from 1")
    role = models.CharField(max_length=10, choices=TurnRole.choices)
    text = models.TextField()
    tracked = models.JSONField(
        default=dict, blank=True, help_text="phase, goal_reached, resistance, where tracked"
    )
    attempts_used = models.PositiveSmallIntegerField(default=1)
    finish_reason = models.CharField(max_length=20, blank=True)
    prompt_tokens = models.PositiveIntegerField(default=0)
    cached_tokens = models.PositiveIntegerField(null=True, blank=True)
    completion_tokens = models.PositiveIntegerField(default=0)
    latency_ms = models.PositiveIntegerField(default=0)
    endpoint = models.ForeignKey(
        Endpoint, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar[list[str]] = ["dialogue_id", "number"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["dialogue", "number"], name="turn_number_once"),
            models.CheckConstraint(condition=Q(number__gte=1), name="turn_number_from_one"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["created_at"], name="turn_created_at")
        ]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            pgtrigger.Protect(
                name="immutable",
                operation=pgtrigger.UpdateOf(  # type: ignore[no-untyped-call]  # half typed
                    "dialogue_id",
                    "number",
                    "role",
                    "text",
                    "tracked",
                    "attempts_used",
                    "created_at",
                ),
            )
        ]

    def __str__(self) -> str:
        return f"{self.number} {self.role}"


class AttemptPurpose(models.TextChoices):
    """What a request was for. A critique and a revision belong to the draft before them."""

    TURN = "turn", "Words"
    PREPARATION = "preparation", "Preparation"
    CRITIQUE = "critique", "Critique"
    REVISION = "revision", "Revision"


class AttemptOutcome(models.TextChoices):
    """What became of one request: a draft is accepted once it stands, or stays a draft."""

    ACCEPTED = "accepted", "Accepted"
    DRAFTED = "drafted", "Draft, revised later"
    REJECTED = "rejected", "Rejected"
    ERROR = "error", "No usable answer"


class Attempt(models.Model):
    """One request with its whole answer, kept whether it was used or not.

    The request's messages are not stored again each time: they are the dialogue's two system
    prompts plus its turns so far plus ``request["note"]``, for a critique or a revision with the
    draft and the protocol's question after it; ``request["messages_sha256"]`` proves it.
    """

    dialogue = models.ForeignKey(Dialogue, on_delete=models.CASCADE, related_name="attempts")
    turn_number = models.PositiveIntegerField(help_text="0 for what is prepared before turn 1")
    purpose = models.CharField(
        max_length=12, choices=AttemptPurpose.choices, default=AttemptPurpose.TURN
    )
    number = models.PositiveSmallIntegerField(help_text="from 1, over all requests for this turn")
    role = models.CharField(max_length=10, choices=TurnRole.choices)
    outcome = models.CharField(max_length=10, choices=AttemptOutcome.choices)
    defects = models.JSONField(default=list)
    error = models.CharField(max_length=200, blank=True)
    text = models.TextField(blank=True)
    finish_reason = models.CharField(max_length=20, blank=True)
    prompt_tokens = models.PositiveIntegerField(default=0)
    cached_tokens = models.PositiveIntegerField(null=True, blank=True)
    completion_tokens = models.PositiveIntegerField(default=0)
    latency_ms = models.PositiveIntegerField(default=0)
    gpu_us = models.PositiveBigIntegerField(
        default=0, help_text="its share of the server's time while it ran, times its GPUs"
    )
    cost = models.DecimalField(
        max_digits=14, decimal_places=8, null=True, blank=True, help_text="at the price of then"
    )
    endpoint = models.ForeignKey(
        Endpoint, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    request = models.JSONField(default=dict)
    response = models.JSONField(default=dict)
    created_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar[list[str]] = ["dialogue_id", "turn_number", "number"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["dialogue", "turn_number", "number"], name="attempt_number_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.turn_number}.{self.number} {self.outcome}"


class Finding(models.Model):
    """Something noticed about a dialogue by the program: triage for people, never a verdict."""

    dialogue = models.ForeignKey(Dialogue, on_delete=models.CASCADE, related_name="findings")
    kind = models.CharField(max_length=60)
    severity = models.CharField(max_length=12, default="notice")
    turn_number = models.PositiveIntegerField(null=True, blank=True)
    detail = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar[list[Any]] = ["dialogue_id", F("turn_number").asc(nulls_last=True), "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["dialogue", "kind", "turn_number"],
                name="finding_once",
                nulls_distinct=False,
            )
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["kind", "-dialogue"], name="finding_kind_newest"),
            models.Index(fields=["severity", "-dialogue"], name="finding_severity_newest"),
        ]

    def __str__(self) -> str:
        return self.kind
