"""Batches of several arms: paired profiles, switches, filters, and who stays out for risk."""

from typing import Any

import pytest
from django.db import IntegrityError, transaction

from generation.actions import ArmSpec, Refused, add_protocol, add_replicates, create_batch
from generation.actions.chosen_profiles import profiles_of
from generation.models import Batch, ClientProfile, Dialogue, EngineEvent, ProfileSet, Protocol
from generation.selection import ProfileFilter
from sqpsych_site.models import AuditEntry, User
from tests.fakes.model_server import FakeModelServer
from tests.generation.engine_cases import SHORT, counts, endpoint_for
from tests.generation_rows import make_set

pytestmark = pytest.mark.django_db


@pytest.fixture
def people() -> ProfileSet:
    endpoint_for(FakeModelServer())
    endpoint_for(FakeModelServer(model="other"), "two")
    return make_set(4, "people")


def arm(label: str = "A", **changes: Any) -> ArmSpec:
    values: dict[str, Any] = {
        "protocol": "sqpsych",
        "therapist_model": "fake-model",
        "client_model": "fake-model",
        **changes,
    }
    return ArmSpec(label=label, **values)


def make(people: ProfileSet, *arms: ArmSpec, **changes: Any) -> Batch:
    return create_batch(
        name="batch", profile_set=people, arms=arms, seed=3, **{"by": None, **changes}
    )


def careful() -> Protocol:
    """A protocol that takes risk-positive profiles only with a reason (the default)."""
    text = SHORT % {"least": 1, "nudge": 2, "most": 2}
    return add_protocol(
        text=text.replace('risk_profiles = "include"\n', ""), origin="careful.toml", by=None
    )


def mark_risk(people: ProfileSet, *positive: int) -> None:
    """Say which of the set's profiles have a positive risk item (rows are immutable: made anew)."""
    rows = list(people.profiles.order_by("pk"))
    people.profiles.all().delete()
    for number, row in enumerate(rows):
        row.pk, row.risk_positive = None, number in positive
        row.save(force_insert=True)


def test_every_arm_has_every_profile_under_its_own_settings(people: ProfileSet) -> None:
    batch = make(
        people,
        arm("A"),
        arm("B", therapist_model="other", sampling={"therapist": {"temperature": 0.1}}),
        arm("C", switches={"no_questionnaire": True}),
        per_profile=2,
    )
    assert counts(batch) == {"waiting": 24}
    arms = list(batch.arms.order_by("label"))
    assert [row.label for row in arms] == ["A", "B", "C"]
    assert [row.switches for row in arms] == [{}, {}, {"no_questionnaire": True}]
    assert len({row.sha256 for row in arms}) == 3
    assert arms[1].sampling["therapist"]["temperature"] == 0.1
    pairs = [set(row.dialogues.values_list("profile", "replicate")) for row in arms]
    assert pairs[0] == pairs[1] == pairs[2]
    event = EngineEvent.objects.get(batch=batch)
    assert event.message == "The batch was started with 24 dialogues."


def test_switched_arm_is_prompted_without_answers(people: ProfileSet) -> None:
    batch = make(people, arm("A"), arm("B", switches={"no_questionnaire": True}))
    with_it, without = (
        batch.dialogues.filter(arm__label=label).order_by("profile")[0] for label in "AB"
    )
    assert "Condition:" in with_it.provenance["prompts"]["therapist_case"]
    told = without.provenance["prompts"]
    for text in (told["therapist_case"], told["client_case"]):
        assert "Condition:" not in text
        assert "Total:" not in text
        assert "past two weeks" not in text
    assert "I am " in told["client_case"]
    assert without.provenance["switches"] == {"no_questionnaire": True}


def test_equal_settings_give_equal_arms(people: ProfileSet) -> None:
    one = make(people, arm(switches={"no_questionnaire": "off"})).arms.get()
    other = make(people, arm()).arms.get()
    assert one.sha256 == other.sha256


@pytest.mark.parametrize(
    ("arms", "sentence"),
    [
        ([arm("A"), arm(" A ")], "Two arms have the label “A”; give each its own."),
        ([arm("")], "The label of an arm has 1 to 40 characters."),
        ([arm("x" * 41)], "The label of an arm has 1 to 40 characters."),
        ([arm(str(n)) for n in range(51)], "A batch has at most 50 arms; make several batches."),
        ([arm(), arm("B", client_model="gpt")], "No model server here serves the model “gpt”"),
        ([arm("B", switches={"fast": 1})], "Arm B, protocol sqpsych: there is no switch “fast”"),
        ([arm(protocol="cbt")], "There is no protocol “cbt”"),
    ],
)
def test_wrong_arm_is_refused_and_nothing_is_stored(
    people: ProfileSet, arms: list[ArmSpec], sentence: str
) -> None:
    with pytest.raises(Refused) as refused:
        make(people, *arms)
    assert str(refused.value).startswith(sentence)
    assert (Batch.objects.count(), Dialogue.objects.count()) == (0, 0)


def test_too_many_dialogues_over_all_arms_are_refused(people: ProfileSet) -> None:
    with pytest.raises(Refused, match=r"^4 profiles with 30,000 dialogues each in 2 arms are more"):
        make(people, arm("A"), arm("B"), per_profile=30_000)


def test_filter_narrows_the_profiles_of_every_arm_and_of_later_replicates(
    people: ProfileSet,
) -> None:
    first = people.profiles.order_by("pk")[0]
    wanted = ProfileFilter(
        conditions=(first.condition.upper(),), min_age=first.age, max_age=first.age
    )
    fitting = people.profiles.filter(condition=first.condition, age=first.age).count()
    batch = make(people, arm("A"), arm("B"), profiles=wanted)
    assert batch.profile_filter == {
        "conditions": [first.condition.upper()],
        "min_age": first.age,
        "max_age": first.age,
    }
    assert counts(batch) == {"waiting": 2 * fitting}
    assert add_replicates(batch=batch, count=1, by=None) == 2 * fitting


def test_draw_is_the_same_for_the_same_seed_and_survives_an_odd_band_key(
    people: ProfileSet,
) -> None:
    one, other = (make(people, arm(), profiles=ProfileFilter(at_most=2)) for _ in range(2))
    chosen = [set(b.dialogues.values_list("profile_id", flat=True)) for b in (one, other)]
    assert len(chosen[0]) == 2
    assert chosen[0] == chosen[1]
    with pytest.raises(Refused, match="No profile of the set “people” fits the filter"):
        make(people, arm(), profiles=ProfileFilter(bands={"x__gt') OR 1=1 --": ("mild",)}))


def test_bands_and_ids_are_sought(people: ProfileSet) -> None:
    row = people.profiles.order_by("pk")[1]
    wanted = ProfileFilter(
        bands={"phq9": (row.bands["phq9"], "no such band")}, profile_ids=(row.profile_id,)
    )
    batch = make(people, arm(), profiles=wanted)
    assert [each.profile for each in batch.dialogues.all()] == [row]


def test_filter_that_contradicts_itself_is_none() -> None:
    with pytest.raises(ValueError, match="least age is above the greatest"):
        ProfileFilter(min_age=40, max_age=30)


def test_risk_positive_profiles_stay_out_of_all_arms_where_one_protocol_asks_for_a_reason(
    people: ProfileSet,
) -> None:
    mark_risk(people, 0, 2)
    batch = make(people, arm("A"), arm("B", protocol=careful()))
    assert (batch.with_risk, batch.risk_reason) == (False, "")
    chosen = ClientProfile.objects.filter(dialogues__batch=batch)
    assert not chosen.filter(risk_positive=True).exists()
    assert counts(batch) == {"waiting": 4}
    assert EngineEvent.objects.filter(
        batch=batch, message="Profiles with a positive risk item that stayed out: 2."
    ).exists()
    # What was decided holds for replicates that come later.
    assert add_replicates(batch=batch, count=1, by=None) == 4
    assert profiles_of(batch).count() == 2


def test_reason_lets_them_take_part_and_is_stored_and_audited(
    people: ProfileSet, coordinator: User
) -> None:
    mark_risk(people, 0, 2)
    reason = " Approved by the ethics board for the safety study. "
    batch = make(people, arm(protocol=careful()), risk_reason=reason, by=coordinator)
    batch.refresh_from_db()
    assert (batch.with_risk, batch.risk_reason) == (True, reason.strip())
    assert counts(batch) == {"waiting": 4}
    audit = AuditEntry.objects.get(action="batch.include_risk")
    assert (audit.actor, audit.target, audit.detail) == (
        coordinator.username,
        f"batch {batch.pk}",
        {"profiles": 2, "reason": reason.strip()},
    )


def test_batch_of_nobody_but_risk_positive_profiles_is_refused(people: ProfileSet) -> None:
    mark_risk(people, 0, 1, 2, 3)
    with pytest.raises(Refused, match=r"^Every profile chosen has a positive risk item"):
        make(people, arm(protocol=careful()))
    with pytest.raises(Refused, match="at most 300 characters"):
        make(people, arm(protocol=careful()), risk_reason="x" * 301)
    assert Batch.objects.count() == 0


def test_published_protocol_takes_everybody(people: ProfileSet) -> None:
    mark_risk(people, 0)
    assert counts(make(people, arm())) == {"waiting": 4}


def test_database_keeps_reason_and_decision_together(people: ProfileSet) -> None:
    batch = make(people, arm())
    with pytest.raises(IntegrityError), transaction.atomic():
        Batch.objects.filter(pk=batch.pk).update(with_risk=False, risk_reason="because")
