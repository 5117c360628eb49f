"""A dialogue does not go on when what decides it is no longer what it was made with."""

from collections.abc import Callable

import pgtrigger
import pytest

from generation.actions import Refused, pause_batch, resume_batch, retry_failed
from generation.actions.seals import prompts_digest
from generation.models import Arm, Batch, ClientProfile, Dialogue, EngineEvent, Protocol, Turn
from generation.prompts import Prompts
from tests.fakes.model_server import FakeModelServer
from tests.generation.engine_cases import (
    assert_sound,
    counts,
    drive,
    endpoint_for,
    short_protocol,
    slice_under_way,
    small_batch,
    wait_for_answers,
)


def change_sampling(batch: Batch) -> None:
    arm = batch.arms.get()
    Arm.objects.filter(pk=arm.pk).update(sampling={**arm.sampling, "client": {"temperature": 2.0}})


def change_model(batch: Batch) -> None:
    # To what the server serves, so that only the hash can tell.
    Arm.objects.filter(batch=batch).update(sha256="0" * 64)


def change_protocol(batch: Batch) -> None:
    row = batch.arms.get().protocol
    Protocol.objects.filter(pk=row.pk).update(toml=row.toml.replace("words = 64", "words = 65"))


def damage_protocol(batch: Batch) -> None:
    Protocol.objects.update(toml="key = ")


def change_profiles(batch: Batch) -> None:
    ClientProfile.objects.update(sha256="0" * 64)


def change_prompts(batch: Batch) -> None:
    batch.dialogues.update(client_system="You are somebody else.")


CHANGES = [
    (change_sampling, "models and sampling"),
    (change_model, "models and sampling"),
    (change_protocol, "protocol"),
    (damage_protocol, "protocol"),
    (change_profiles, "profile"),
    (change_prompts, "prompts"),
]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("change", "part"), CHANGES)
def test_changed_recipe_is_refused_and_nothing_is_asked(
    change: Callable[[Batch], None], part: str
) -> None:
    with FakeModelServer(latency=0.02, end_after=50) as server:
        endpoint_for(server)
        batch = small_batch(3, protocol=short_protocol(least=30, nudge=30, most=30))
        with slice_under_way() as running:
            assert wait_for_answers(server, 6, running)
            running.end()
        turns, asked = Turn.objects.count(), server.received
        with pgtrigger.ignore():
            change(batch)
        drive()
        assert server.received == asked
    assert counts(batch) == {"failed": 3}
    assert Turn.objects.count() == turns
    assert_sound(batch)
    assert set(Dialogue.objects.values_list("failure_reason", flat=True)) == {"recipe_changed"}
    detail = Dialogue.objects.order_by("pk")[0].failure_detail
    assert detail.endswith(
        f"the hash of the {part} is not the one that this dialogue was made with"
    )
    message = f"Refused because the hash of their {part} no longer matches: 3 dialogues."
    assert EngineEvent.objects.filter(batch=batch, message=message).count() == 1


@pytest.mark.django_db
def test_resume_and_retry_of_a_changed_arm_are_refused_with_one_sentence() -> None:
    endpoint_for(FakeModelServer())
    batch = small_batch(2)
    pause_batch(batch=batch, by=None)
    batch.dialogues.filter(pk=batch.dialogues.order_by("pk")[0].pk).update(
        state="failed", failure_reason="empty"
    )
    with pgtrigger.ignore():
        change_sampling(batch)
    sentence = (
        "The batch “batch” cannot go on: the models and sampling of arm A no longer match the hash"
        " that it began with; start a new batch."
    )
    for refused in (resume_batch, retry_failed):
        with pytest.raises(Refused) as caught:
            refused(batch=batch, by=None)
        assert str(caught.value) == sentence
    batch.refresh_from_db()
    assert (batch.state, counts(batch)) == ("paused", {"waiting": 1, "failed": 1})


def test_prompts_hash_bears_fields_that_later_versions_add() -> None:
    one = Prompts("T", "C", therapist_case="case")
    assert prompts_digest(one) == prompts_digest(Prompts("T", "C", "case", "", None, None))
    assert prompts_digest(one) != prompts_digest(Prompts("T", "C", client_case="case"))
