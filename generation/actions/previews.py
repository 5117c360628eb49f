"""Previews: up to three dialogues made for a look at a design, and for nothing else."""

from collections.abc import Sequence
from typing import Any

from django.db import transaction

from generation.actions.batch_making import create_batch
from generation.actions.batches import cancel_batch
from generation.actions.recipes import ArmSpec
from generation.models import Batch, BatchState, Origin
from generation.selection import ProfileFilter
from sqpsych_site.models import User

PREVIEWED = 3


@transaction.atomic
def start_preview(
    *,
    arms: Sequence[ArmSpec],
    profiles: ProfileFilter,
    by: User | None,
    instead_of: Batch | None = None,
    **settings: Any,
) -> Batch:
    """Make at most three dialogues of a design as a batch marked as a preview, which no list and no
    study takes up: one profile or more for each of the first three arms.

    ``settings`` are those of ``create_batch``. A preview that this one stands in for is cancelled.
    Raises Refused.
    """
    if instead_of is not None and instead_of.preview and instead_of.state in _OPEN:
        cancel_batch(batch=instead_of, by=by)
    tried = list(arms)[:PREVIEWED]
    few = max(1, PREVIEWED // len(tried)) if tried else 1
    at_most = min(few, profiles.at_most or few)
    batch = create_batch(
        **{**settings, "per_profile": 1},
        arms=tried,
        profiles=profiles.model_copy(update={"at_most": at_most}),
        by=by,
    )
    Batch.objects.filter(pk=batch.pk).update(preview=True)
    batch.dialogues.update(origin=Origin.PREVIEW)
    batch.refresh_from_db()
    return batch


_OPEN = (BatchState.RUNNING, BatchState.PAUSED)
