"""Who works on which dialogue: leases on rows, taken and given back by conditional updates.

An owner is one run of the engine. A dialogue is claimed by one owner at a time; a lease that is
not renewed runs out, and then another owner may take the dialogue over. Nothing is stored for an
owner whose lease is gone (generation.ledger checks it in the storing transaction).
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Coalesce, Greatest, Now

from generation import words
from generation.models import (
    Batch,
    BatchState,
    Dialogue,
    DialogueQuerySet,
    DialogueState,
    Endpoint,
    EndpointState,
    EngineEvent,
    Origin,
)

# Claims in a row that end without a new turn and without an orderly hand-back: the dialogue
# takes its worker down with it.
MAX_CLAIMS = 6
WORKER_LOST = "worker_lost"


def served_models() -> list[str]:
    """The models that an enabled, ready endpoint serves now."""
    ready = Endpoint.objects.filter(enabled=True, state=EndpointState.READY)
    return sorted(set(ready.values_list("model", flat=True)))


def claimable(models: Sequence[str], now: datetime | None = None) -> DialogueQuerySet:
    """Dialogues that may be taken up for these models; ``now`` defaults to the database's clock."""
    moment: Any = now or Now()
    return Dialogue.objects.claimable(moment).filter(
        Q(not_before=None) | Q(not_before__lte=moment),
        arm__therapist_model__in=models,
        arm__client_model__in=models,
    )


@transaction.atomic
def claim_dialogues(
    *,
    owner: UUID,
    limit: int,
    models: Sequence[str],
    without: Collection[int] = (),
    now: datetime | None = None,
) -> list[int]:
    """Take up to ``limit`` dialogues, oldest first, for ``owner``. Returns their ids.

    ``without``: dialogues that the owner has in hand, lease or not; to drive one twice would mix
    two conversations. Previews come first: somebody waits for them, and they are three at most.
    Rows that another owner is taking at this moment are passed over, never waited for.
    """
    moment: Any = now or Now()
    _give_up_on_poison(moment)
    free = claimable(models, now).exclude(pk__in=without).order_by("pk")
    free = free.select_for_update(skip_locked=True, of=("self",))
    rows = list[tuple[int, str, int | None]]()
    for some in (free.filter(origin=Origin.PREVIEW), free.exclude(origin=Origin.PREVIEW)):
        rows += some.values_list("pk", "state", "batch_id")[: limit - len(rows)]
    ids = [pk for pk, _, _ in rows]
    if ids:
        Dialogue.objects.filter(pk__in=ids).update(
            state=DialogueState.RUNNING,
            lease_owner=owner,
            lease_until=moment + _lease(),
            claims=F("claims") + 1,
            started_at=Coalesce("started_at", moment),
        )
        orphans: Counter[int | None] = Counter(
            batch for _, state, batch in rows if state == DialogueState.RUNNING
        )
        _tell(orphans, "Taken up again from a lost worker")
    return ids


def _give_up_on_poison(moment: Any) -> None:
    """Fail the dialogues that were claimed too often without getting anywhere."""
    hopeless = Dialogue.objects.claimable(moment).filter(
        state=DialogueState.RUNNING, claims__gte=MAX_CLAIMS
    )
    rows = list(
        hopeless.select_for_update(skip_locked=True, of=("self",)).values_list("pk", "batch_id")
    )
    if rows:
        Dialogue.objects.filter(pk__in=[pk for pk, _ in rows]).update(
            state=DialogueState.FAILED,
            failure_reason=WORKER_LOST,
            failure_detail=f"{MAX_CLAIMS} workers in a row stopped without bringing a new turn",
            lease_owner=None,
            lease_until=None,
            finished_at=Now(),
        )
        _tell(
            Counter([batch for _, batch in rows]),
            f"Failed because {MAX_CLAIMS} workers in a row stopped on them",
        )
        finish_batches({batch for _, batch in rows if batch is not None})


def _tell(dialogues: "Counter[int | None]", what: str) -> None:
    """A line in the log of each batch: what was done, with how many of its dialogues."""
    EngineEvent.objects.bulk_create(
        EngineEvent(batch_id=batch, message=f"{what}: {words.count(number, 'dialogue')}.")
        for batch, number in dialogues.items()
    )


def renew_leases(*, owner: UUID, ids: Sequence[int], now: datetime | None = None) -> set[int]:
    """Extend the leases on these dialogues. Returns those that still are the owner's."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE generation_dialogue"
            " SET lease_until = coalesce(%s, now()) + %s * interval '1 second'"
            " WHERE id = ANY(%s) AND lease_owner = %s AND state = 'running' RETURNING id",
            [now, settings.ENGINE_LEASE_SECONDS, list(ids), owner],
        )
        return {pk for (pk,) in cursor.fetchall()}


def release_leases(*, owner: UUID, ids: Sequence[int] | None = None) -> int:
    """Give dialogues back in good order, so that any worker may take them at once.

    Returns how many were given back; ``ids`` None means all of the owner's.
    """
    ours = Dialogue.objects.filter(lease_owner=owner, state=DialogueState.RUNNING)
    if ids is not None:
        ours = ours.filter(pk__in=ids)
    return ours.update(
        state=DialogueState.WAITING,
        lease_owner=None,
        lease_until=None,
        claims=Greatest(F("claims") - 1, 0),
    )


def finish_batches(batch_ids: Iterable[int] | None = None) -> list[int]:
    """Close running batches (these, or all) that have nothing left to do. Returns their ids."""
    candidates = Batch.objects.filter(~Exists(_open(OuterRef("pk"))), state=BatchState.RUNNING)
    if batch_ids is not None:
        candidates = candidates.filter(pk__in=batch_ids)
    return [pk for pk in candidates.order_by("pk").values_list("pk", flat=True) if _finish(pk)]


@transaction.atomic
def _finish(pk: int) -> bool:
    # Locked first, looked at after: whoever adds dialogues locks the batch too, so that nothing
    # can be added between the look and the update.
    batch = (
        Batch.objects.select_for_update(of=("self",))
        .filter(pk=pk, state=BatchState.RUNNING)
        .first()
    )
    if batch is None or _open(pk).exists():
        return False
    Batch.objects.filter(pk=pk).update(state=BatchState.FINISHED, finished_at=Now())
    counts = batch.dialogues.all().counts_by_state()
    words = f"{counts[DialogueState.COMPLETE]} complete, {counts[DialogueState.FAILED]} failed"
    EngineEvent.objects.create(batch=batch, message=f"The batch is finished: {words}.")
    return True


def _open(batch: Any) -> DialogueQuerySet:
    states = (DialogueState.WAITING, DialogueState.RUNNING)
    return Dialogue.objects.filter(batch=batch, state__in=states)


def _lease() -> timedelta:
    return timedelta(seconds=settings.ENGINE_LEASE_SECONDS)
