"""Profile sets: stored whole or not at all."""

import pytest

from generation.actions import Refused, import_profiles, record_of, sample_profiles
from generation.models import ClientProfile, ProfileSet
from generation.profiles import ProfileFileError, write_profiles
from generation.questionnaires import builtin_definitions
from generation.sampler import sample_profiles as sampled
from sqpsych_site.models import AuditEntry, User

pytestmark = pytest.mark.django_db


def file_of(count: int = 4) -> bytes:
    """A proper profile file."""
    definitions = builtin_definitions()
    return write_profiles(sampled(count, seed=2, definitions=definitions), definitions)


def test_file_becomes_a_set_with_scores_and_hashes(coordinator: User) -> None:
    found = import_profiles(name=" Clinic ", filename="a/b.csv", content=file_of(), by=coordinator)
    assert (found.name, found.source, found.synthetic) == ("Clinic", "b.csv", False)
    assert found.created_by == coordinator
    assert len(found.sha256) == 64
    definitions = builtin_definitions()
    records = sampled(4, seed=2, definitions=definitions)
    rows = {row.profile_id: row for row in found.profiles.all()}
    assert {record_of(row).profile_id: record_of(row) for row in rows.values()} == {
        record.profile_id: record for record in records
    }
    for row in rows.values():
        assert row.totals["phq9"] == sum(row.answers["phq9"].values())
        assert row.risk_positive == (row.answers["phq9"]["phq9_9"] > 0)
        assert row.questionnaires == {key: definitions[key].sha256 for key in row.answers}
    assert len({row.sha256 for row in rows.values()}) == 4
    audit = AuditEntry.objects.get(action="profiles.import")
    assert (audit.actor, audit.detail) == (coordinator.username, {"profiles": 4, "findings": 0})


def test_bad_row_leaves_nothing() -> None:
    content = file_of() + b"X1,old,female,depression\r\n"
    with pytest.raises(ProfileFileError):
        import_profiles(name="Clinic", filename="a.csv", content=content, by=None)
    assert (ProfileSet.objects.count(), ClientProfile.objects.count()) == (0, 0)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("", "A profile set needs a name."),
        ("x" * 121, "The name of a profile set has at most 120 characters."),
        ("Clinic", "A profile set named “Clinic” exists already; choose another name."),
    ],
)
def test_unusable_name_is_refused(name: str, sentence: str) -> None:
    import_profiles(name="Clinic", filename="a.csv", content=file_of(), by=None)
    with pytest.raises(Refused) as refused:
        import_profiles(name=name, filename="a.csv", content=file_of(), by=None)
    assert str(refused.value) == sentence
    assert ProfileSet.objects.count() == 1


def test_sample_is_the_same_for_the_same_seed() -> None:
    one = sample_profiles(name="one", count=5, seed=3, by=None)
    two = sample_profiles(name="two", count=5, seed=3, by=None)
    assert one.source == "sampler, seed 3"
    assert one.synthetic
    hashes = [list(each.profiles.values_list("sha256", flat=True)) for each in (one, two)]
    assert hashes[0] == hashes[1]


@pytest.mark.parametrize("count", [0, 100_001])
def test_absurd_sample_is_refused(count: int) -> None:
    with pytest.raises(Refused):
        sample_profiles(name="one", count=count, seed=3, by=None)
    assert ProfileSet.objects.count() == 0
