"""Leases: who may take which dialogue, and when."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from generation.actions import (
    cancel_batch,
    claim_dialogues,
    finish_batches,
    pause_batch,
    release_leases,
    renew_leases,
    retry_failed,
)
from generation.actions.claims import MAX_CLAIMS, served_models
from generation.models import (
    Batch,
    BatchState,
    Dialogue,
    DialogueState,
    Endpoint,
    EngineEvent,
    Origin,
)
from tests.fakes.model_server import FakeModelServer
from tests.generation.engine_cases import counts, endpoint_for, small_batch

ONE, TWO = uuid.UUID(int=1), uuid.UUID(int=2)
MODELS = ["fake-model"]
NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)

pytestmark = pytest.mark.django_db


@pytest.fixture
def batch() -> Batch:
    endpoint_for(FakeModelServer())
    return small_batch(3)


def test_claim_takes_the_oldest_and_sets_the_lease(batch: Batch) -> None:
    ids = claim_dialogues(owner=ONE, limit=2, models=MODELS, now=NOON)
    oldest = list(batch.dialogues.order_by("pk").values_list("pk", flat=True))
    assert ids == oldest[:2]
    row = Dialogue.objects.get(pk=ids[0])
    assert (row.state, row.lease_owner, row.claims) == ("running", ONE, 1)
    assert row.lease_until == NOON + timedelta(seconds=45)
    assert row.started_at == NOON


def test_claimed_dialogue_is_not_claimed_again_before_its_lease_ran_out(batch: Batch) -> None:
    ids = claim_dialogues(owner=ONE, limit=9, models=MODELS, now=NOON)
    early, late = NOON + timedelta(seconds=45), NOON + timedelta(seconds=46)
    assert claim_dialogues(owner=TWO, limit=9, models=MODELS, now=early) == []
    assert claim_dialogues(owner=TWO, limit=9, models=MODELS, now=late) == ids
    assert set(batch.dialogues.values_list("lease_owner", "claims")) == {(TWO, 2)}


@pytest.mark.parametrize("models", [[], ["another-model"]])
def test_dialogue_of_a_model_that_nobody_serves_is_left(batch: Batch, models: list[str]) -> None:
    assert claim_dialogues(owner=ONE, limit=9, models=models) == []


def test_only_ready_enabled_endpoints_count_as_serving(batch: Batch) -> None:
    assert served_models() == MODELS
    Endpoint.objects.update(enabled=False)
    assert served_models() == []
    Endpoint.objects.update(enabled=True, state="unreachable")
    assert served_models() == []


def test_dialogues_of_paused_and_cancelled_batches_are_left(batch: Batch) -> None:
    pause_batch(batch=batch, by=None)
    assert claim_dialogues(owner=ONE, limit=9, models=MODELS) == []
    cancel_batch(batch=batch, by=None)
    assert claim_dialogues(owner=ONE, limit=9, models=MODELS) == []


def test_dialogue_waits_for_its_time(batch: Batch) -> None:
    Dialogue.objects.update(not_before=NOON)
    before, after = NOON - timedelta(seconds=1), NOON + timedelta(seconds=1)
    assert claim_dialogues(owner=ONE, limit=9, models=MODELS, now=before) == []
    assert len(claim_dialogues(owner=ONE, limit=9, models=MODELS, now=after)) == 3


def test_renewal_extends_only_what_is_still_ours(batch: Batch) -> None:
    ids = claim_dialogues(owner=ONE, limit=9, models=MODELS, now=NOON)
    Dialogue.objects.filter(pk=ids[0]).update(lease_owner=TWO)
    later = NOON + timedelta(seconds=30)
    assert renew_leases(owner=ONE, ids=ids, now=later) == set(ids[1:])
    assert Dialogue.objects.get(pk=ids[0]).lease_until == NOON + timedelta(seconds=45)
    assert Dialogue.objects.get(pk=ids[1]).lease_until == NOON + timedelta(seconds=75)


def test_release_gives_back_without_counting_the_claim(batch: Batch) -> None:
    ids = claim_dialogues(owner=ONE, limit=9, models=MODELS)
    assert release_leases(owner=TWO) == 0
    assert release_leases(owner=ONE, ids=ids[:1]) == 1
    assert release_leases(owner=ONE) == 2
    assert counts(batch) == {"waiting": 3}
    assert set(batch.dialogues.values_list("lease_owner", "lease_until", "claims")) == {
        (None, None, 0)
    }


def test_dialogue_that_takes_every_worker_down_is_given_up(batch: Batch) -> None:
    moment = NOON
    for _ in range(MAX_CLAIMS):
        assert len(claim_dialogues(owner=ONE, limit=9, models=MODELS, now=moment)) == 3
        moment += timedelta(minutes=1)
    Dialogue.objects.filter(pk=batch.dialogues.order_by("pk")[0].pk).update(claims=1)
    assert len(claim_dialogues(owner=ONE, limit=9, models=MODELS, now=moment)) == 1
    assert counts(batch) == {"running": 1, "failed": 2}
    failed = batch.dialogues.filter(state="failed").order_by("pk")[0]
    assert failed.failure_reason == "worker_lost"
    assert failed.failure_detail == "6 workers in a row stopped without bringing a new turn"
    told = EngineEvent.objects.filter(batch=batch).order_by("pk").values_list("message", flat=True)
    assert list(told)[1:] == [
        *["Taken up again from a lost worker: 3 dialogues."] * (MAX_CLAIMS - 1),
        "Failed because 6 workers in a row stopped on them: 2 dialogues.",
        "Taken up again from a lost worker: 1 dialogue.",
    ]


def test_given_up_dialogues_close_their_batch_and_can_be_tried_again(batch: Batch) -> None:
    claim_dialogues(owner=ONE, limit=9, models=MODELS, now=NOON)
    Dialogue.objects.update(claims=MAX_CLAIMS)
    claim_dialogues(owner=TWO, limit=9, models=MODELS, now=NOON + timedelta(minutes=1))
    batch.refresh_from_db()
    assert batch.state == BatchState.FINISHED
    assert retry_failed(batch=batch, by=None) == 3
    assert len(claim_dialogues(owner=TWO, limit=9, models=MODELS)) == 3


def test_batch_is_finished_when_nothing_is_left_and_not_before(batch: Batch) -> None:
    batch.dialogues.update(state=DialogueState.COMPLETE)
    last = batch.dialogues.order_by("pk")[0]
    Dialogue.objects.filter(pk=last.pk).update(state=DialogueState.WAITING)
    assert finish_batches([batch.pk]) == []
    Dialogue.objects.filter(pk=last.pk).update(state=DialogueState.COMPLETE)
    assert finish_batches() == [batch.pk]
    assert finish_batches() == []
    assert EngineEvent.objects.filter(batch=batch).count() == 2


def test_paused_batch_is_not_finished(batch: Batch) -> None:
    pause_batch(batch=batch, by=None)
    batch.dialogues.update(state=DialogueState.COMPLETE)
    assert finish_batches() == []


def test_previews_are_claimed_before_older_dialogues(batch: Batch) -> None:
    first, second, third = batch.dialogues.order_by("pk").values_list("pk", flat=True)
    batch.dialogues.filter(pk__in=[second, third]).update(origin=Origin.PREVIEW)
    assert claim_dialogues(owner=ONE, limit=1, models=MODELS, now=NOON) == [second]
    assert claim_dialogues(owner=ONE, limit=2, models=MODELS, now=NOON) == [third, first]
