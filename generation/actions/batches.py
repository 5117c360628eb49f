"""Batches under way: paused, resumed, cancelled, tried again, extended."""

from typing import Any

from django.db import transaction
from django.db.models import Max
from django.db.models.functions import Now

from generation.actions.batch_making import add_dialogues, check_size
from generation.actions.chosen_profiles import profiles_of
from generation.actions.errors import Refused
from generation.actions.seals import broken_arm
from generation.actions.waking import wake_engine
from generation.models import (
    Batch,
    BatchState,
    DialogueState,
    EngineEvent,
)
from sqpsych_site import audit
from sqpsych_site.models import User

_OPEN = (DialogueState.WAITING, DialogueState.RUNNING)


@transaction.atomic
def pause_batch(*, batch: Batch, by: User | None, reason: str = "") -> None:
    """Let no dialogue of the batch go on; replies under way are still stored."""
    how = reason or _by(by).strip()
    words = f"paused {how}".strip()
    _change(batch, BatchState.RUNNING, BatchState.PAUSED, words, problem="is not running")
    EngineEvent.objects.create(batch=batch, message=f"The batch was {words}"[:299] + ".")


@transaction.atomic
def resume_batch(*, batch: Batch, by: User | None) -> None:
    """Let a paused batch go on where it stopped. Refused where an arm is not what it was."""
    _check_seals(batch)
    _change(batch, BatchState.PAUSED, BatchState.RUNNING, "", problem="is not paused")
    _watch_anew(batch)
    EngineEvent.objects.create(batch=batch, message=f"The batch was resumed{_by(by)}.")
    wake_engine()


@transaction.atomic
def cancel_batch(*, batch: Batch, by: User | None) -> int:
    """End the batch now. Returns how many dialogues were cancelled.

    Turns already stored stay; requests under way are aborted by the engine within two seconds.
    """
    locked = _locked(batch)
    if locked.state not in {BatchState.RUNNING, BatchState.PAUSED}:
        raise Refused(f"The batch “{locked.name}” is over already; there is nothing to cancel.")
    words = f"cancelled{_by(by)}"
    Batch.objects.filter(pk=locked.pk).update(
        state=BatchState.CANCELLED, state_reason=words, finished_at=Now()
    )
    # Locked in the order in which the engine locks, so that neither waits for the other in a ring.
    rows = locked.dialogues.filter(state__in=_OPEN).order_by("pk").select_for_update()
    ids = list(rows.values_list("pk", flat=True))
    cancelled = locked.dialogues.filter(pk__in=ids).update(
        state=DialogueState.CANCELLED, lease_owner=None, lease_until=None, finished_at=Now()
    )
    EngineEvent.objects.create(
        batch=locked, message=f"The batch was cancelled; {cancelled} dialogues were not finished."
    )
    return cancelled


@transaction.atomic
def retry_failed(*, batch: Batch, by: User | None) -> int:
    """Let the failed dialogues go on from their last stored turn. Returns how many.

    Attempts made before now are kept, but count no longer towards the limits.
    """
    locked = _locked(batch)
    if locked.state == BatchState.CANCELLED:
        raise Refused(f"The batch “{locked.name}” was cancelled; start a new one instead.")
    _check_seals(locked)
    count = locked.dialogues.filter(state=DialogueState.FAILED).update(
        state=DialogueState.WAITING,
        failure_reason="",
        failure_detail="",
        finished_at=None,
        claims=0,
        not_before=Now(),
    )
    if not count:
        raise Refused(f"The batch “{locked.name}” has no failed dialogue.")
    _reopen(locked)
    _watch_anew(locked)
    EngineEvent.objects.create(batch=locked, message=f"{count} failed dialogues are tried again.")
    audit.record(by=by, action="batch.retry_failed", target=f"batch {locked.pk}", dialogues=count)
    wake_engine()
    return count


@transaction.atomic
def add_replicates(*, batch: Batch, count: int, by: User | None) -> int:
    """Add ``count`` more dialogues per profile, in every arm. Returns how many were made."""
    locked = _locked(batch)
    if locked.state == BatchState.CANCELLED:
        raise Refused(f"The batch “{locked.name}” was cancelled; start a new one instead.")
    arms = list(locked.arms.select_related("protocol", "batch__profile_set"))
    check_size(profiles_of(locked).count(), locked.per_profile + count, len(arms))
    if count < 1:
        raise Refused("The number of further dialogues per profile must be at least 1.")
    last = locked.dialogues.aggregate(last=Max("replicate"))["last"] or 0
    made = sum(add_dialogues(arm, range(last + 1, last + count + 1)) for arm in arms)
    Batch.objects.filter(pk=locked.pk).update(per_profile=last + count)
    _reopen(locked)
    EngineEvent.objects.create(batch=locked, message=f"{made} dialogues were added.")
    audit.record(by=by, action="batch.add_replicates", target=f"batch {locked.pk}", dialogues=made)
    wake_engine()
    return made


def _check_seals(batch: Batch) -> None:
    for arm in batch.arms.select_related("protocol"):
        if part := broken_arm(arm):
            raise Refused(
                f"The batch “{batch.name}” cannot go on: the {part} of arm {arm.label} no longer"
                " match the hash that it began with; start a new batch."
            )


def _watch_anew(batch: Batch) -> None:
    """A person has seen what failed: the circuit breaker looks at what comes from now on."""
    Batch.objects.filter(pk=batch.pk).update(watched_from=Now())


def _by(person: User | None) -> str:
    return f" by {person.username}" if person else ""


def _locked(batch: Batch) -> Batch:
    return Batch.objects.select_for_update(of=("self",)).get(pk=batch.pk)


def _reopen(batch: Batch) -> None:
    Batch.objects.filter(pk=batch.pk, state=BatchState.FINISHED).update(
        state=BatchState.RUNNING, finished_at=None
    )


def _change(batch: Batch, old: BatchState, new: BatchState, reason: str, *, problem: str) -> None:
    changed: dict[str, Any] = {"state": new, "state_reason": reason[:300]}
    if not Batch.objects.filter(pk=batch.pk, state=old).update(**changed):
        raise Refused(f"The batch “{batch.name}” {problem}; look at its page again.")
