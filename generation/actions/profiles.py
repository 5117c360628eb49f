"""Profile sets: from a file or from the sampler, stored whole or not at all."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from generation import profiles
from generation.actions.definitions import current_definitions
from generation.actions.errors import Refused
from generation.actions.uploads import store_upload
from generation.models import ClientProfile, ProfileSet, Upload, UploadPurpose
from generation.profile_mapping import Choice, check_source
from generation.profile_records import Problems
from generation.profile_sources import has_our_columns, read_source
from generation.profiles import Checked, ProfileRecord
from generation.questionnaires import Definition, score
from sqpsych_site import audit
from sqpsych_site.models import User

MAX_SAMPLED = 100_000


@transaction.atomic
def import_profiles(
    *, name: str, filename: str, content: bytes, by: User | None, choice: Choice | None = None
) -> ProfileSet:
    """Store a profile file as one set: with our own columns, or as ``choice`` maps them.

    Raises:
        ProfileFileError: the file has problems (all named); nothing is stored.
        Refused: the name is empty or taken.
    """
    definitions = current_definitions()
    if choice is None:
        records = profiles.check_profiles(
            filename,
            content,
            definitions,
            allow_minors=settings.ALLOW_MINORS,
            year=timezone.localdate().year,
        )
    else:
        problems = Problems(filename)
        found = read_source(filename, content, definitions, problems)
        records = check_source(
            found, choice, definitions, problems, allow_minors=settings.ALLOW_MINORS
        )
    digest = hashlib.sha256(content).hexdigest()
    source = filename.replace("\\", "/").rsplit("/", 1)[-1][:200]
    rows = _NewSet(name, source, digest, synthetic=False)
    return _store(rows, records, definitions, by=by)


@transaction.atomic
def receive_profiles(
    *, name: str, filename: str, content: bytes, look_first: bool, by: User
) -> ProfileSet | Upload:
    """Store a file with our columns as a set; keep any other until its columns are mapped.

    ``look_first`` keeps it in any case. Raises what ``import_profiles`` raises, or Refused when
    too many files wait.
    """
    source = read_source(filename, content, current_definitions(), Problems(filename))
    if has_our_columns(source) and not look_first:
        return import_profiles(name=name, filename=filename, content=content, by=by)
    wanted = _NewSet(name, filename, "", synthetic=False)
    if ProfileSet.objects.filter(name=wanted.name).exists():
        raise wanted.taken()
    purpose = UploadPurpose.PROFILES
    return store_upload(
        purpose=purpose, name=wanted.name, filename=filename, content=content, by=by
    )


@transaction.atomic
def sample_profiles(*, name: str, count: int, seed: int, by: User | None) -> ProfileSet:
    """Draw ``count`` plausible demo profiles; the same seed gives the same profiles.

    Raises Refused when the name is empty or taken or the count is not 1 to 100,000.
    """
    if not 1 <= count <= MAX_SAMPLED:
        raise Refused(f"The number of profiles must be 1 to {MAX_SAMPLED:,}.")
    definitions = current_definitions()
    drawn = profiles.sample_profiles(count, seed=seed, definitions=definitions)
    records = [Checked(record) for record in drawn]
    rows = _NewSet(name, f"sampler, seed {seed}", "", synthetic=True)
    return _store(rows, records, definitions, by=by)


def record_of(profile: ClientProfile) -> ProfileRecord:
    """The profile as the pure modules know it."""
    return ProfileRecord(
        profile_id=profile.profile_id,
        age=profile.age,
        gender=profile.gender,
        condition=profile.condition,
        demographics=profile.demographics,
        answers=profile.answers,
    )


class _NewSet:
    """A profile set about to be stored, its name checked."""

    def __init__(self, name: str, source: str, sha256: str, *, synthetic: bool) -> None:
        self.name = name.strip()
        self.source = source
        self.sha256 = sha256
        self.synthetic = synthetic
        if not self.name:
            raise Refused("A profile set needs a name.")
        if len(self.name) > 120:
            raise Refused("The name of a profile set has at most 120 characters.")

    def create(self, by: User | None) -> ProfileSet:
        try:
            with transaction.atomic():
                return ProfileSet.objects.create(
                    name=self.name,
                    source=self.source,
                    sha256=self.sha256,
                    synthetic=self.synthetic,
                    created_by=by,
                )
        except IntegrityError:
            raise self.taken() from None

    def taken(self) -> Refused:
        """The error to raise when the name is somebody else's."""
        return Refused(f"A profile set named “{self.name}” exists already; choose another name.")


def _store(
    new: _NewSet,
    records: Sequence[Checked],
    definitions: Mapping[str, Definition],
    *,
    by: User | None,
) -> ProfileSet:
    profile_set = new.create(by)
    rows = [_row(profile_set, record, definitions) for record in records]
    ClientProfile.objects.bulk_create(rows, batch_size=500)
    audit.record(
        by=by,
        action="profiles.import" if not new.synthetic else "profiles.sample",
        target=f"profile set {profile_set.pk}",
        profiles=len(rows),
        findings=sum(len(row.findings) for row in rows),
    )
    return profile_set


def _row(
    profile_set: ProfileSet, checked: Checked, definitions: Mapping[str, Definition]
) -> ClientProfile:
    record = checked.record
    scores = {key: score(definitions[key], found) for key, found in record.answers.items()}
    canonical = json.dumps(asdict(record), sort_keys=True, ensure_ascii=False)
    return ClientProfile(
        profile_set=profile_set,
        profile_id=record.profile_id,
        age=record.age,
        gender=record.gender,
        condition=record.condition,
        demographics=record.demographics,
        answers=record.answers,
        totals={key: each.total for key, each in scores.items()},
        bands={key: each.band for key, each in scores.items()},
        questionnaires={key: definitions[key].sha256 for key in record.answers},
        risk_positive=any(each.risk_positive for each in scores.values()),
        findings=[asdict(finding) for finding in checked.findings],
        sha256=hashlib.sha256(canonical.encode()).hexdigest(),
    )
