"""Batches: made whole or refused with one sentence, and controlled."""

import json
from typing import Any

import pytest
from pytest_django import DjangoCaptureOnCommitCallbacks

from generation.actions import (
    Refused,
    add_protocol,
    add_replicates,
    cancel_batch,
    create_batch,
    pause_batch,
    resume_batch,
    retry_failed,
    sample_profiles,
    sync_definitions,
)
from generation.actions.recipes import dialogue_seed
from generation.models import (
    Batch,
    BatchState,
    Dialogue,
    DialogueState,
    EngineEvent,
    ProfileSet,
    Protocol,
    Questionnaire,
)
from sqpsych_site.models import AuditEntry, User
from tests.fakes.model_server import FakeModelServer
from tests.generation.engine_cases import counts, endpoint_for, short_protocol

pytestmark = pytest.mark.django_db


@pytest.fixture
def profiles() -> ProfileSet:
    endpoint_for(FakeModelServer())
    return sample_profiles(name="people", count=3, seed=1, by=None)


def make(profiles: ProfileSet | str, **changes: Any) -> Batch:
    """A batch with everything right but for the changes."""
    values: dict[str, Any] = {
        "name": "first",
        "profile_set": profiles,
        "protocol": "sqpsych",
        "model": "fake-model",
        "per_profile": 2,
        "seed": 5,
        "by": None,
        **changes,
    }
    return create_batch(**values)


def test_batch_has_one_waiting_dialogue_per_profile_and_replicate(
    profiles: ProfileSet, coordinator: User
) -> None:
    batch = make(profiles, by=coordinator)
    assert (batch.state, batch.created_by, counts(batch)) == (
        "running",
        coordinator,
        {"waiting": 6},
    )
    pairs = batch.dialogues.values_list("profile__profile_id", "replicate")
    ids = profiles.profiles.values_list("profile_id", flat=True)
    assert set(pairs) == {(profile, number) for profile in ids for number in (1, 2)}
    arm = batch.arms.get()
    assert (arm.label, arm.therapist_model, arm.client_model) == ("A", "fake-model", "fake-model")
    assert arm.sampling["therapist"] == {"temperature": 0.7, "top_p": 0.9, "max_tokens": 256}
    event = EngineEvent.objects.get(batch=batch)
    assert event.message == "The batch was started with 6 dialogues."


def test_dialogue_is_made_with_its_prompts_seed_and_provenance(profiles: ProfileSet) -> None:
    batch = make(profiles)
    row = batch.dialogues.select_related("profile", "arm__protocol").order_by("pk")[0]
    assert row.profile is not None
    assert row.arm is not None
    assert "licensed psychotherapist" in row.therapist_system
    assert "{{" not in row.therapist_system + row.client_system
    facts = row.provenance
    assert row.seed == dialogue_seed(5, "A", row.profile.profile_id, 1)
    assert facts["seed"] == row.seed
    assert facts["profile"] == {
        "profile_id": row.profile.profile_id,
        "sha256": row.profile.sha256,
    }
    assert facts["questionnaires"] == row.profile.questionnaires
    assert facts["protocol"]["sha256"] == row.arm.protocol.sha256
    assert facts["arm"] == {"label": "A", "sha256": row.arm.sha256}
    assert facts["prompts"]["therapist_words"] == 64
    assert "years old" in facts["prompts"]["client_case"]
    assert facts["code"].startswith("0.2.0")


def test_same_settings_give_the_same_dialogues_under_other_ids(profiles: ProfileSet) -> None:
    one, other = make(profiles), make(profiles)
    facts = [
        list(
            batch.dialogues.order_by("pk").values_list(
                "seed", "therapist_system", "client_system", "provenance"
            )
        )
        for batch in (one, other)
    ]
    assert facts[0] == facts[1]
    assert one.arms.get().sha256 == other.arms.get().sha256
    assert len(set(Dialogue.objects.values_list("uid", flat=True))) == 12


def test_seed_is_known_on_every_machine() -> None:
    assert dialogue_seed(5, "A", "P001", 1) == 7322503727357553866
    assert dialogue_seed(5, "A", "P001", 2) != dialogue_seed(5, "A", "P001", 1)


def test_sampling_goes_over_the_protocols_own(profiles: ProfileSet) -> None:
    batch = make(profiles, sampling={"client": {"temperature": 1.2, "top_k": 40}})
    sampling = batch.arms.get().sampling
    assert sampling["therapist"]["temperature"] == 0.7
    assert sampling["client"] == {
        "temperature": 1.2,
        "top_p": 0.9,
        "top_k": 40,
        "max_tokens": 256,
    }


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": " "}, "A batch needs a name."),
        ({"name": "x" * 121}, "The name of a batch has at most 120 characters."),
        ({"per_profile": 0}, "The number of dialogues per profile must be at least 1."),
        ({"seed": 2**63}, "The seed must be a whole number of at most 18 digits."),
        ({"per_profile": 100_000}, "3 profiles with 100,000 dialogues each are more than 200,000"),
        (
            {"protocol": "unknown"},
            "There is no protocol “unknown”; the protocols here are: cbt-plan, sqpsych.",
        ),
        ({"profile_set": "nobody"}, "There is no profile set “nobody”; import one or sample one"),
        (
            {"model": "gpt"},
            "No model server here serves the model “gpt”; the models here are: fake-model.",
        ),
        ({"client_model": "gpt"}, "No model server here serves the model “gpt”"),
        ({"sampling": {"judge": {}}}, "Sampling values are given for “judge”, which is no role."),
        (
            {"sampling": {"client": {"temperature": 9}}},
            "The sampling value temperature of the client is wrong:",
        ),
    ],
)
def test_wrong_batch_is_refused_with_a_sentence_and_nothing_is_stored(
    profiles: ProfileSet, changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(Refused) as refused:
        make(changes.pop("profile_set", profiles), **changes)
    assert str(refused.value).startswith(sentence)
    assert Batch.objects.count() == 0
    assert Dialogue.objects.count() == 0


def test_batch_wakes_the_engine_after_the_commit(
    profiles: ProfileSet, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    with django_capture_on_commit_callbacks() as calls:
        make(profiles)
    assert len(calls) == 1


def test_profile_set_may_be_named_or_numbered(profiles: ProfileSet) -> None:
    assert make("people").profile_set == profiles
    assert make(str(profiles.pk)).profile_set == profiles


def test_pause_and_resume_change_only_what_they_should(
    profiles: ProfileSet, coordinator: User
) -> None:
    batch = make(profiles)
    with pytest.raises(Refused, match="is not paused"):
        resume_batch(batch=batch, by=coordinator)
    pause_batch(batch=batch, by=coordinator)
    batch.refresh_from_db()
    assert (batch.state, batch.state_reason) == ("paused", f"paused by {coordinator.username}")
    with pytest.raises(Refused, match="is not running"):
        pause_batch(batch=batch, by=coordinator)
    resume_batch(batch=batch, by=coordinator)
    batch.refresh_from_db()
    assert (batch.state, batch.state_reason) == ("running", "")


def test_cancel_ends_what_is_open_and_keeps_what_is_done(profiles: ProfileSet) -> None:
    batch = make(profiles)
    done = batch.dialogues.order_by("pk")[0]
    Dialogue.objects.filter(pk=done.pk).update(state=DialogueState.COMPLETE)
    assert cancel_batch(batch=batch, by=None) == 5
    assert counts(batch) == {"complete": 1, "cancelled": 5}
    batch.refresh_from_db()
    assert batch.state == BatchState.CANCELLED
    for action in (cancel_batch, retry_failed):
        with pytest.raises(Refused):
            action(batch=batch, by=None)
    with pytest.raises(Refused):
        add_replicates(batch=batch, count=1, by=None)


def test_retry_opens_failed_dialogues_and_their_batch_again(
    profiles: ProfileSet, coordinator: User
) -> None:
    batch = make(profiles)
    with pytest.raises(Refused, match="has no failed dialogue"):
        retry_failed(batch=batch, by=coordinator)
    batch.dialogues.update(state=DialogueState.FAILED, failure_reason="empty", claims=4)
    Batch.objects.update(state=BatchState.FINISHED)
    assert retry_failed(batch=batch, by=coordinator) == 6
    batch.refresh_from_db()
    assert (batch.state, batch.finished_at, counts(batch)) == ("running", None, {"waiting": 6})
    assert set(batch.dialogues.values_list("failure_reason", "claims")) == {("", 0)}
    audit = AuditEntry.objects.get(action="batch.retry_failed")
    assert (audit.actor, audit.detail) == (coordinator.username, {"dialogues": 6})


def test_replicates_are_added_with_numbers_of_their_own(profiles: ProfileSet) -> None:
    batch = make(profiles)
    Batch.objects.update(state=BatchState.FINISHED)
    assert add_replicates(batch=batch, count=2, by=None) == 6
    numbers = sorted(batch.dialogues.values_list("replicate", flat=True))
    assert numbers == [1] * 3 + [2] * 3 + [3] * 3 + [4] * 3
    batch.refresh_from_db()
    assert (batch.state, batch.per_profile) == ("running", 4)
    first, third = batch.dialogues.filter(replicate__in=[1, 3]).order_by("profile", "replicate")[:2]
    assert first.client_system == third.client_system
    assert first.provenance["prompts"] == third.provenance["prompts"]
    assert first.seed != third.seed
    with pytest.raises(Refused, match="must be at least 1"):
        add_replicates(batch=batch, count=0, by=None)


def test_definitions_are_stored_once(profiles: ProfileSet) -> None:
    # Making the profiles has stored them already.
    before = (Questionnaire.objects.count(), Protocol.objects.count())
    assert sync_definitions() == 0
    assert (Questionnaire.objects.count(), Protocol.objects.count()) == before
    assert Protocol.objects.filter(key="sqpsych").count() == 1


def test_newest_own_protocol_is_used_for_its_key(profiles: ProfileSet) -> None:
    old = short_protocol(least=2)
    new = short_protocol(least=1)
    assert short_protocol(least=1) == new
    batch = make(profiles, protocol="short")
    assert batch.arms.get().protocol == new
    assert make(profiles, protocol=old).arms.get().protocol == old


def test_unusable_protocol_is_refused(profiles: ProfileSet) -> None:
    with pytest.raises(Refused) as refused:
        add_protocol(text='key = "x"', origin="mine.toml", by=None)
    assert str(refused.value).startswith("mine.toml")


def test_profile_too_long_for_the_protocol_is_refused(profiles: ProfileSet) -> None:
    limited = short_protocol().toml.replace(
        'source = "Our own."', 'source = "Own."\nprofile_limit = 5'
    )
    limited = limited.replace('version = "', 'version = "1.')
    protocol = add_protocol(text=limited, origin="tight.toml", by=None)
    with pytest.raises(Refused, match=r"^Profile .* has \d+ characters, short allows 5"):
        make(profiles, protocol=protocol)
    assert Batch.objects.count() == 0


def test_provenance_is_plain_json(profiles: ProfileSet) -> None:
    facts = make(profiles).dialogues.all()[0].provenance
    assert json.loads(json.dumps(facts)) == facts
