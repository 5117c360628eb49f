"""The ledger: groups, repeats, leases, bad values."""

import asyncio
import uuid
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, connection

from generation.actions import claim_dialogues, release_leases
from generation.actions.recipes import code_version
from generation.costs import Spent, spent_by_arm, spent_by_turn, spent_of
from generation.ledger import Ledger, LedgerClosed
from generation.models import Attempt, Batch, BatchState, Dialogue, DialogueState, Finding, Turn
from generation.storing import Entry, Finish, store_entries
from tests.fakes.model_server import FakeModelServer
from tests.generation.engine_cases import counts, endpoint_for, small_batch

OWNER = uuid.UUID(int=1)
OTHER = uuid.UUID(int=2)
NOW = datetime(2026, 1, 2, tzinfo=UTC)
LIMIT = Finish(ended_by="limit")


@pytest.fixture
def claimed() -> tuple[Batch, list[int]]:
    """A batch of three dialogues, all leased to OWNER."""
    endpoint_for(FakeModelServer())
    batch = small_batch(3)
    return batch, claim_dialogues(owner=OWNER, limit=9, models=["fake-model"])


def entry(dialogue_id: int, number: int = 1, text: str = "Hello.") -> Entry:
    """A turn with its accepted attempt and a finding."""
    role = "therapist" if number % 2 else "client"
    return Entry(
        dialogue_id,
        Turn(dialogue_id=dialogue_id, number=number, role=role, text=text, created_at=NOW),
        (
            Attempt(
                dialogue_id=dialogue_id,
                turn_number=number,
                number=1,
                role=role,
                outcome="accepted",
                created_at=NOW,
            ),
        ),
        (Finding(dialogue_id=dialogue_id, kind="loops", turn_number=number, created_at=NOW),),
    )


@pytest.mark.django_db
def test_what_an_owner_has_in_hand_is_not_claimed_again(claimed: tuple[Batch, list[int]]) -> None:
    first, second, third = claimed[1]
    Dialogue.objects.update(state=DialogueState.WAITING, lease_owner=None, lease_until=None)
    again = claim_dialogues(owner=OWNER, limit=9, models=["fake-model"], without={first, third})
    assert again == [second]


@pytest.mark.django_db
def test_entries_sent_again_are_stored_once(claimed: tuple[Batch, list[int]]) -> None:
    ids = claimed[1]
    group = [entry(pk) for pk in ids]
    assert store_entries(OWNER, group) == [True, True, True]
    again = [entry(pk) for pk in ids]
    assert store_entries(OWNER, again) == [True, True, True]
    assert (Turn.objects.count(), Attempt.objects.count(), Finding.objects.count()) == (3, 3, 3)
    assert set(Dialogue.objects.values_list("turn_count", flat=True)) == {1}


def costly(dialogue_id: int, number: int, attempts: int, *, turn: bool) -> Entry:
    """A step of several requests, the last accepted; the first told no cached tokens, no price."""
    made = [
        Attempt(
            dialogue_id=dialogue_id,
            turn_number=number,
            number=place,
            role="therapist",
            outcome="accepted" if turn and place == attempts else "rejected",
            prompt_tokens=100,
            cached_tokens=None if place == 1 else 64,
            completion_tokens=10,
            latency_ms=500,
            gpu_us=3_600_000,
            cost=None if place == 1 else Decimal("0.002"),
            created_at=NOW,
        )
        for place in range(1, attempts + 1)
    ]
    return Entry(dialogue_id, entry(dialogue_id, number).turn if turn else None, tuple(made))


@pytest.mark.django_db
def test_requests_are_added_up_once_however_often_they_are_sent(
    claimed: tuple[Batch, list[int]],
) -> None:
    batch, ids = claimed
    for _ in range(2):
        group = [costly(ids[0], 1, 3, turn=True), costly(ids[1], 1, 2, turn=False)]
        assert store_entries(OWNER, group) == [True, True]
    assert Attempt.objects.count() == 5
    assert spent_of(Dialogue.objects.get(pk=ids[0])) == Spent(
        requests=3,
        prompt_tokens=300,
        cached_tokens=128,
        cached_of_tokens=200,
        completion_tokens=30,
        reply_ms=1500,
        gpu_us=10_800_000,
        unpriced_us=3_600_000,
        cost=Decimal("0.004"),
    )
    # A rejected reply is stored while its dialogue goes on; the turn then comes with one more.
    more = costly(ids[1], 1, 3, turn=True)
    assert store_entries(OWNER, [Entry(ids[1], more.turn, more.attempts[2:])]) == [True]
    one, two = (spent_of(Dialogue.objects.get(pk=pk)) for pk in ids[:2])
    assert one == two
    arm = batch.arms.get()
    assert spent_by_arm(batch.dialogues.all()) == {arm.pk: one + two}
    assert spent_by_turn(Attempt.objects.filter(dialogue=ids[0])) == {1: one}
    both = one + two
    assert (both.gpu_hours, both.unpriced_hours) == (0.006, 0.002)
    assert (both.cached_share, both.money) == (0.64, Decimal("0.008"))
    assert (Spent().cached_share, Spent(gpu_us=1, unpriced_us=1).money) == (None, None)


@pytest.mark.django_db
def test_turn_out_of_order_is_not_stored(claimed: tuple[Batch, list[int]]) -> None:
    ids = claimed[1]
    assert store_entries(OWNER, [entry(ids[0], number=3)]) == [False]
    assert Turn.objects.count() == 0


@pytest.mark.django_db
def test_stale_owner_stores_nothing(claimed: tuple[Batch, list[int]]) -> None:
    ids = claimed[1]
    release_leases(owner=OWNER, ids=ids[:1])
    claim_dialogues(owner=OTHER, limit=9, models=["fake-model"])
    ended = Entry(ids[0], finish=LIMIT)
    assert store_entries(OWNER, [entry(ids[0]), ended]) == [False, False]
    assert Turn.objects.count() == 0
    assert Dialogue.objects.get(pk=ids[0]).lease_owner == OTHER


@pytest.mark.django_db
def test_new_turn_clears_the_count_of_vain_claims(claimed: tuple[Batch, list[int]]) -> None:
    ids = claimed[1]
    Dialogue.objects.filter(pk=ids[0]).update(claims=4)
    store_entries(OWNER, [entry(ids[0])])
    assert Dialogue.objects.get(pk=ids[0]).claims == 0


@pytest.mark.django_db
def test_finish_completes_provenance_and_ends_the_lease(claimed: tuple[Batch, list[int]]) -> None:
    ids = claimed[1]
    before = Dialogue.objects.get(pk=ids[0]).provenance
    asked = [("gpu-1", "0.32.0"), ("gpu-1", "0.33.0"), ("gpu-2", "0.32.0"), ("gpu-1", "0.32.0")]
    for place, (name, version) in enumerate(asked, start=1):
        step = costly(ids[0], 1, place, turn=False).attempts[-1]
        step.request = {"server": {"name": name, "version": version}}
        store_entries(OWNER, [Entry(ids[0], attempts=(step,))])
    ends = [Entry(ids[0], finish=Finish(reason="empty", detail="d")), Entry(ids[1], finish=LIMIT)]
    store_entries(OWNER, ends)
    row, other = (Dialogue.objects.get(pk=pk) for pk in ids[:2])
    assert (row.state, row.failure_reason, row.failure_detail) == ("failed", "empty", "d")
    assert (row.lease_owner, row.lease_until) == (None, None)
    servers = {"gpu-1": "0.32.0, 0.33.0", "gpu-2": "0.32.0"}
    assert row.provenance == {**before, "servers": servers, "code_at_end": code_version()}
    assert (other.state, other.ended_by, other.provenance["servers"]) == ("complete", "limit", {})


def in_ledger(work: Callable[[Ledger], Coroutine[Any, Any, None]]) -> None:
    """Run a coroutine function with an open ledger of OWNER."""

    async def run() -> None:
        async with Ledger(OWNER) as ledger:
            await work(ledger)

    asyncio.run(run())


@pytest.mark.django_db(transaction=True)
def test_entry_that_cannot_be_stored_does_not_spoil_its_group(
    claimed: tuple[Batch, list[int]],
) -> None:
    ids = claimed[1]

    async def work(ledger: Ledger) -> None:
        texts = ["Hello.", "bad\x00text", "Hello."]
        group = [entry(pk, text=text) for pk, text in zip(ids, texts, strict=True)]
        results = await asyncio.gather(*map(ledger.store, group), return_exceptions=True)
        assert results[0] is True
        assert isinstance(results[1], ValueError | DatabaseError)
        assert results[2] is True

    in_ledger(work)
    assert sorted(Turn.objects.values_list("dialogue_id", flat=True)) == [ids[0], ids[2]]


@pytest.mark.django_db(transaction=True)
def test_batch_is_finished_with_its_last_dialogue(claimed: tuple[Batch, list[int]]) -> None:
    batch, ids = claimed

    async def work(ledger: Ledger) -> None:
        ends = [Entry(pk, finish=LIMIT) for pk in ids]
        assert await asyncio.gather(*map(ledger.store, ends)) == [True, True, True]

    in_ledger(work)
    batch.refresh_from_db()
    assert (batch.state, counts(batch)) == (BatchState.FINISHED, {"complete": 3})


@pytest.mark.django_db(transaction=True)
def test_lost_connection_is_replaced_and_the_work_repeated(
    claimed: tuple[Batch, list[int]],
) -> None:
    ids = claimed[1]

    async def work(ledger: Ledger) -> None:
        await ledger.store(entry(ids[0], 1))
        await ledger.call(cut_own_connection)
        assert await ledger.store(entry(ids[0], 2)) is True

    in_ledger(work)
    assert Dialogue.objects.get(pk=ids[0]).turn_count == 2
    assert Dialogue.objects.get(pk=ids[0]).state == DialogueState.RUNNING


def cut_own_connection() -> None:
    """Leave a dead connection behind, as a restart of PostgreSQL does."""
    connection.ensure_connection()
    connection.connection.close()


@pytest.mark.django_db(transaction=True)
def test_closed_ledger_takes_nothing_more() -> None:
    async def run() -> None:
        async with Ledger(OWNER) as ledger:
            pass
        with pytest.raises(LedgerClosed):
            await ledger.call(lambda: None)

    asyncio.run(run())
