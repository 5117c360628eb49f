"""Batches: made, paused, resumed, cancelled, tried again, extended."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.db.models.functions import Now

from generation.actions.definitions import protocol_row
from generation.actions.errors import Refused
from generation.actions.recipes import Recipe, arm_for, dialogues_for
from generation.actions.waking import wake_engine
from generation.models import (
    Arm,
    Batch,
    BatchState,
    ClientProfile,
    Dialogue,
    DialogueState,
    Endpoint,
    EngineEvent,
    ProfileSet,
    Protocol,
)
from sqpsych_site import audit
from sqpsych_site.models import User

MAX_DIALOGUES = 200_000
_OPEN = (DialogueState.WAITING, DialogueState.RUNNING)
_CHUNK = 500


@transaction.atomic
def create_batch(
    *,
    name: str,
    profile_set: ProfileSet | str,
    protocol: Protocol | str,
    model: str,
    per_profile: int = 1,
    seed: int = 0,
    by: User | None,
    therapist_model: str | None = None,
    client_model: str | None = None,
    sampling: Mapping[str, Mapping[str, float | int]] | None = None,
    label: str = "A",
) -> Batch:
    """Make a batch with one arm: one waiting dialogue per profile and replicate.

    ``sampling`` (role -> values) goes over the protocol's own. Prompts are rendered and stored
    now, so that a dialogue resumes anywhere with the same texts. Raises Refused.
    """
    chosen = _profile_set(profile_set)
    _check_size(name, chosen, per_profile, seed)
    recipe = Recipe(
        protocol=protocol_row(protocol),
        therapist_model=_known_model(therapist_model or model),
        client_model=_known_model(client_model or model),
        sampling=sampling or {},
    )
    batch = Batch.objects.create(
        name=name.strip(), profile_set=chosen, per_profile=per_profile, seed=seed, created_by=by
    )
    arm = arm_for(recipe, batch=batch, label=label)
    arm.save(force_insert=True)
    made = _add_dialogues(arm, range(1, per_profile + 1))
    EngineEvent.objects.create(batch=batch, message=f"The batch was started with {made} dialogues.")
    wake_engine()
    return batch


@transaction.atomic
def pause_batch(*, batch: Batch, by: User | None, reason: str = "") -> None:
    """Let no dialogue of the batch go on; replies under way are still stored."""
    words = reason or f"paused{_by(by)}"
    _change(batch, BatchState.RUNNING, BatchState.PAUSED, words, problem="is not running")
    EngineEvent.objects.create(batch=batch, message=f"The batch was paused: {words}."[:300])


@transaction.atomic
def resume_batch(*, batch: Batch, by: User | None) -> None:
    """Let a paused batch go on where it stopped."""
    _change(batch, BatchState.PAUSED, BatchState.RUNNING, "", problem="is not paused")
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
    _check_size(locked.name, locked.profile_set, locked.per_profile + count, locked.seed)
    if count < 1:
        raise Refused("The number of further dialogues per profile must be at least 1.")
    last = locked.dialogues.aggregate(last=Max("replicate"))["last"] or 0
    made = sum(
        _add_dialogues(arm, range(last + 1, last + count + 1))
        for arm in locked.arms.select_related("protocol", "batch")
    )
    Batch.objects.filter(pk=locked.pk).update(per_profile=last + count)
    _reopen(locked)
    EngineEvent.objects.create(batch=locked, message=f"{made} dialogues were added.")
    audit.record(by=by, action="batch.add_replicates", target=f"batch {locked.pk}", dialogues=made)
    wake_engine()
    return made


def _add_dialogues(arm: Arm, replicates: Sequence[int]) -> int:
    """Store one waiting dialogue per profile of the batch and replicate."""
    made = 0
    for chunk in _in_chunks(arm.batch.profile_set):
        rows = dialogues_for(arm, chunk, replicates)
        Dialogue.objects.bulk_create(rows, batch_size=_CHUNK)
        made += len(rows)
    return made


def _in_chunks(profile_set: ProfileSet) -> Iterator[list[ClientProfile]]:
    chunk: list[ClientProfile] = []
    for profile in profile_set.profiles.order_by("pk").iterator(chunk_size=_CHUNK):
        chunk.append(profile)
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _profile_set(chosen: ProfileSet | str) -> ProfileSet:
    if isinstance(chosen, ProfileSet):
        return chosen
    found = ProfileSet.objects.filter(name=chosen).first()
    if found is None and chosen.isdecimal():
        found = ProfileSet.objects.filter(pk=int(chosen[:18])).first()
    if found is None:
        raise Refused(f"There is no profile set “{chosen}”; import one or sample one first.")
    return found


def _check_size(name: str, profile_set: ProfileSet, per_profile: int, seed: int) -> None:
    if not name.strip():
        raise Refused("A batch needs a name.")
    if len(name.strip()) > 120:
        raise Refused("The name of a batch has at most 120 characters.")
    if per_profile < 1:
        raise Refused("The number of dialogues per profile must be at least 1.")
    if not -(2**63) <= seed < 2**63:
        raise Refused("The seed must be a whole number of at most 18 digits.")
    profiles = profile_set.profiles.count()
    if not profiles:
        raise Refused(f"The profile set “{profile_set.name}” holds no profiles.")
    if profiles * per_profile > MAX_DIALOGUES:
        raise Refused(
            f"{profiles:,} profiles with {per_profile:,} dialogues each are more than"
            f" {MAX_DIALOGUES:,} dialogues; make several batches."
        )


def _known_model(model: str) -> str:
    known = sorted(set(Endpoint.objects.filter(enabled=True).values_list("model", flat=True)))
    if model not in known:
        offer = (
            f"the models here are: {', '.join(known)}" if known else "no model server is entered"
        )
        raise Refused(f"No model server here serves the model “{model}”; {offer}.")
    return model


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
