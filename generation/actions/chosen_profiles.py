"""The profiles of a batch: its set, narrowed by its filter and by what is decided on risk."""

from collections.abc import Iterator
from typing import Any

from django.db.models import F, Q, QuerySet, TextField, Value
from django.db.models.functions import MD5, Concat

from generation.models import Batch, ClientProfile
from generation.selection import ProfileFilter

CHUNK = 500


def profiles_of(batch: Batch) -> QuerySet[ClientProfile]:
    """The profiles that the batch has dialogues of; also of one not yet stored."""
    wanted = ProfileFilter.model_validate(batch.profile_filter)
    rows = fitting(batch.profile_set.profiles.all(), wanted)
    if not batch.with_risk:
        rows = rows.exclude(risk_positive=True)
    return drawn(rows, wanted.at_most, batch.seed)


def fitting(rows: QuerySet[ClientProfile], wanted: ProfileFilter) -> QuerySet[ClientProfile]:
    """The profiles that meet a filter, its ``at_most`` aside."""
    rows = rows.filter(_any_of("condition", wanted.conditions), _any_of("gender", wanted.genders))
    if wanted.min_age is not None:
        rows = rows.filter(age__gte=wanted.min_age)
    if wanted.max_age is not None:
        rows = rows.filter(age__lte=wanted.max_age)
    if wanted.findings:
        spotless = Q(findings=[])
        rows = rows.filter(spotless if wanted.findings == "none" else ~spotless)
    if wanted.profile_ids:
        rows = rows.filter(profile_id__in=wanted.profile_ids)
    for questionnaire, bands in wanted.bands.items():
        # One containment test a band: the key is data and must not be read as a lookup.
        asked = Q()
        for band in bands:
            asked |= Q(bands__contains={questionnaire: band})
        rows = rows.filter(asked)
    return rows


def drawn(rows: QuerySet[ClientProfile], at_most: int | None, seed: int) -> QuerySet[ClientProfile]:
    """So many of them, the same for the same seed on every machine."""
    if at_most is None:
        return rows
    lot = MD5(Concat(Value(f"{seed}/"), F("profile_id"), output_field=TextField()))
    ids = rows.order_by(lot, "profile_id").values("pk")[:at_most]
    return ClientProfile.objects.filter(pk__in=ids)


def in_chunks(rows: QuerySet[ClientProfile]) -> Iterator[list[ClientProfile]]:
    """The profiles in lists of a bounded size, oldest first."""
    chunk: list[ClientProfile] = []
    for profile in rows.order_by("pk").iterator(chunk_size=CHUNK):
        chunk.append(profile)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _any_of(column: str, names: Any) -> Q:
    asked = Q()
    for name in names:
        asked |= Q(**{f"{column}__iexact": name})
    return asked
