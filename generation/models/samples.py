"""What was seen of servers and batches every few seconds: for plots and for diagnosis, then pruned.

Nothing is decided by these rows, and a lost one is no loss.
"""

from typing import ClassVar

from django.db import models

from generation.models.batches import Batch
from generation.models.endpoints import Endpoint


class EndpointSample(models.Model):
    """One look at a server: its own counters, and what all engines together have under way there.

    The counters run from the server's start, so only differences of two samples mean anything; a
    counter that falls says that the server was started anew.
    """

    endpoint = models.ForeignKey(Endpoint, on_delete=models.CASCADE, related_name="samples")
    at = models.DateTimeField()
    running = models.PositiveIntegerField(null=True)
    waiting = models.PositiveIntegerField(null=True)
    kv_cache_usage = models.FloatField(null=True, help_text="0 to 1")
    prefix_queries = models.PositiveBigIntegerField(null=True, help_text="prompt tokens looked up")
    prefix_hits = models.PositiveBigIntegerField(null=True, help_text="of them, found")
    prompt_tokens = models.PositiveBigIntegerField(null=True)
    generation_tokens = models.PositiveBigIntegerField(null=True)
    preemptions = models.PositiveBigIntegerField(null=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["endpoint_id", "at"]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["endpoint", "at"], name="endpointsample_endpoint_at"),
            models.Index(fields=["at"], name="endpointsample_at"),
        ]

    def __str__(self) -> str:
        return f"{self.endpoint_id} {self.at:%H:%M:%S}"


class BatchSample(models.Model):
    """What one run of the engine had under way for a batch at one moment."""

    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="samples")
    engine = models.UUIDField(help_text="the run of the engine, as in a dialogue's lease")
    at = models.DateTimeField()
    dialogues = models.PositiveIntegerField(help_text="being driven")
    requests = models.PositiveIntegerField(help_text="sent and not yet answered")
    turns = models.PositiveIntegerField(help_text="stored since the sample before")

    class Meta:
        ordering: ClassVar[list[str]] = ["batch_id", "at"]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["batch", "at"], name="batchsample_batch_at"),
            models.Index(fields=["at"], name="batchsample_at"),
        ]

    def __str__(self) -> str:
        return f"{self.batch_id} {self.at:%H:%M:%S}"
