"""The circuit breaker: a batch of which too many dialogues fail is paused, and says why."""

from collections.abc import Iterable

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from generation.actions.batches import pause_batch
from generation.breaker import Breaker
from generation.models import Batch, BatchState, DialogueState


def trip_breakers(batch_ids: Iterable[int]) -> list[int]:
    """Pause those of these batches that fail too often. Returns their ids."""
    return [pk for pk in sorted(set(batch_ids)) if _trip(pk)]


@transaction.atomic
def _trip(pk: int) -> bool:
    running = Batch.objects.select_for_update(of=("self",)).filter(state=BatchState.RUNNING)
    batch = running.filter(pk=pk).first()
    if batch is None:
        return False
    rule = Breaker(
        settings.BREAKER_SHARE, minimum=settings.BREAKER_MINIMUM, window=settings.BREAKER_WINDOW
    )
    ended = Q(state__in=(DialogueState.COMPLETE, DialogueState.FAILED))
    # A person who resumes the batch has dealt with what failed before.
    since = batch.watched_from or batch.created_at
    rows = batch.dialogues.filter(ended, finished_at__gte=since).order_by("-finished_at")
    why = rule.verdict(list(rows.values_list("failure_reason", flat=True)[: rule.window]))
    if why:
        pause_batch(batch=batch, by=None, reason=f"by the circuit breaker: {why}")
    return bool(why)
