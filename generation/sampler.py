"""Invented profiles for demos and benchmarks (pure, seeded).

Only `Random.random()` is drawn from, the one method whose sequence Python promises to keep for a
seed, so the same seed gives the same people on every version. Everything is made up; the shares
and correlations are set to look like an outpatient sample, not estimated from one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random
from statistics import NormalDist
from typing import TypeVar

from generation.profile_records import MAX_ROWS, ProfileRecord
from generation.questionnaires import Definition, Item, score
from generation.sampler_lives import demographics

T = TypeVar("T")

# Per block of ten people, so that ten demo profiles already show every kind.
_BLOCK = ("depression",) * 3 + ("anxiety",) * 2 + ("depression and anxiety",) * 3 + ("control",) * 2
# Mean item answer (0 to 3) of depression and of anxiety items.
_MEANS = {
    "depression": (1.70, 1.25),
    "anxiety": (1.20, 1.70),
    "depression and anxiety": (1.85, 1.85),
    "control": (0.25, 0.25),
}
_PERSON_SD, _ITEM_SD = 0.55, 0.60
_SHARED = 0.85  # share of a person's severity that depression and anxiety have in common
_QUESTIONNAIRES = (("phq9", 0), ("gad7", 1))
# Tiredness and poor sleep are common, slowing is rare, whatever the severity.
_OFFSETS = {"phq9_3": 0.25, "phq9_4": 0.30, "phq9_8": -0.50, "gad7_5": -0.30, "gad7_7": -0.15}
_RISK_ONLY_FROM = 10  # total without the risk item: moderate or worse with or without it


@dataclass(frozen=True, slots=True)
class _Draft:
    record: ProfileRecord
    severity: int


def sample_profiles(
    count: int, *, seed: int, definitions: Mapping[str, Definition]
) -> list[ProfileRecord]:
    """`count` invented adults (18 to 80), the same for the same seed and any larger count.

    PHQ-9 and GAD-7 are answered as far as `definitions` has them; both follow one latent severity
    and correlate at about 0.75. One profile in ten has a positive risk item, always at a moderate
    or higher PHQ-9 total. Raises ValueError for a count below 0 or above 200,000.
    """
    if not 0 <= count <= MAX_ROWS:
        raise ValueError(f"the number of profiles must be from 0 to {MAX_ROWS}")
    return list(islice(_people(Random(seed), definitions), count))


def _people(rng: Random, definitions: Mapping[str, Definition]) -> Iterator[ProfileRecord]:
    number = 1
    while True:
        block = [
            _draft(rng, number + index, condition, definitions)
            for index, condition in enumerate(_shuffled(rng, _BLOCK))
        ]
        chosen = _at_risk(rng, block)
        for index, draft in enumerate(block):
            if index == chosen:
                _raise_risk(rng, draft, definitions["phq9"])
            yield draft.record
        number += len(block)


def _draft(
    rng: Random, number: int, condition: str, definitions: Mapping[str, Definition]
) -> _Draft:
    shared = _normal(rng)
    answers: dict[str, dict[str, int]] = {}
    for key, side in _QUESTIONNAIRES:
        own = _normal(rng)
        latent = _MEANS[condition][side] + _PERSON_SD * (
            _SHARED**0.5 * shared + (1 - _SHARED) ** 0.5 * own
        )
        if key in definitions:
            answers[key] = {item.key: _answer(rng, item, latent) for item in definitions[key].items}
    severity = 0
    if "phq9" in answers:
        severity = score(definitions["phq9"], answers["phq9"]).total or 0
    sleep = answers.get("phq9", {}).get("phq9_3")
    record = ProfileRecord(
        profile_id=f"P{number:04d}",
        age=(age := _age(rng)),
        gender=_weighted(rng, (("female", 0.57), ("male", 0.40), ("non-binary", 0.03))),
        condition=condition,
        demographics=demographics(rng, age, sleep),
        answers=answers,
    )
    return _Draft(record, severity)


def _answer(rng: Random, item: Item, latent: float) -> int:
    """The option nearest to a noisy latent severity; a risk item stays at zero here."""
    drawn = latent + _OFFSETS.get(item.key, 0.0) + _ITEM_SD * _normal(rng)
    if item.risk_from is not None:
        return 0
    top = len(item.options) - 1
    return item.options[min(top, max(0, int(drawn / 3 * top + 0.5)))].value


def _at_risk(rng: Random, block: Sequence[_Draft]) -> int | None:
    """The one of the block whose risk item will be positive: the more severe, the likelier."""
    weights = [
        (index, float(draft.severity - _RISK_ONLY_FROM + 2))
        for index, draft in enumerate(block)
        if draft.severity >= _RISK_ONLY_FROM
    ]
    return _weighted(rng, weights) if weights else None


def _raise_risk(rng: Random, draft: _Draft, phq9: Definition) -> None:
    share = (draft.severity - _RISK_ONLY_FROM) / (phq9.maximum - _RISK_ONLY_FROM)
    for item in phq9.items:
        if item.risk_from is not None:
            positive = [o.value for o in item.options if o.value >= item.risk_from]
            drawn = 0.75 * rng.random() + 0.25 * share
            position = min(len(positive) - 1, int(drawn**2 * len(positive)))
            draft.record.answers["phq9"][item.key] = positive[position]


def _age(rng: Random) -> int:
    """18 to 80, most around 35: a triangular distribution by its inverse."""
    low, mode, high = 18, 35, 81
    drawn, cut = rng.random(), (mode - low) / (high - low)
    if drawn < cut:
        return int(low + (drawn * (high - low) * (mode - low)) ** 0.5)
    return min(80, int(high - ((1 - drawn) * (high - low) * (high - mode)) ** 0.5))


def _normal(rng: Random) -> float:
    return NormalDist().inv_cdf(min(max(rng.random(), 1e-12), 1 - 1e-12))


def _weighted(rng: Random, choices: Sequence[tuple[T, float]]) -> T:
    left = rng.random() * sum(weight for _, weight in choices)
    for value, weight in choices:
        left -= weight
        if left < 0:
            return value
    return choices[-1][0]


def _shuffled(rng: Random, values: Sequence[T]) -> list[T]:
    return [value for _, value in sorted(((rng.random(), v) for v in values), key=lambda p: p[0])]
