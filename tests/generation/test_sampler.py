"""Sampled profiles: exact for a seed, plausible in the mass, and fit to be imported."""

from __future__ import annotations

from collections import Counter
from statistics import fmean

import numpy as np
import pytest

from generation.profile_identifiers import is_clinical
from generation.profiles import ProfileRecord, read_profiles, sample_profiles, write_profiles
from generation.questionnaires import Score, builtin_definitions, score

DEFINITIONS = {key: builtin_definitions()[key] for key in ("phq9", "gad7")}
MANY = sample_profiles(2000, seed=20251029, definitions=DEFINITIONS)
PHQ = [score(DEFINITIONS["phq9"], record.answers["phq9"]) for record in MANY]
GAD = [score(DEFINITIONS["gad7"], record.answers["gad7"]) for record in MANY]


def test_same_seed_gives_the_same_people() -> None:
    assert sample_profiles(2000, seed=20251029, definitions=DEFINITIONS) == MANY


def test_other_seed_gives_other_people() -> None:
    other = sample_profiles(20, seed=1, definitions=DEFINITIONS)
    assert [r.answers for r in other] != [r.answers for r in MANY[:20]]


def test_smaller_sample_is_the_beginning_of_a_larger_one() -> None:
    for count in (0, 1, 9, 10, 11, 137):
        assert sample_profiles(count, seed=20251029, definitions=DEFINITIONS) == MANY[:count]


@pytest.mark.parametrize("count", [-1, 200_001])
def test_impossible_counts_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match="must be from 0 to 200000"):
        sample_profiles(count, seed=1, definitions=DEFINITIONS)


def test_pseudonyms_count_up_from_one() -> None:
    assert [r.profile_id for r in MANY[:2]] == ["P0001", "P0002"]
    assert MANY[-1].profile_id == "P2000"


def test_everybody_is_an_adult_of_a_mixed_age() -> None:
    ages = [record.age for record in MANY]
    assert min(ages) >= 18
    assert max(ages) <= 80
    assert 38 <= fmean(ages) <= 50
    assert sum(age < 30 for age in ages) > 200
    assert sum(age > 60 for age in ages) > 150


def test_each_block_of_ten_has_every_condition() -> None:
    for start in range(0, 2000, 10):
        assert Counter(r.condition for r in MANY[start : start + 10]) == {
            "depression": 3,
            "anxiety": 2,
            "depression and anxiety": 3,
            "control": 2,
        }


def test_depression_and_anxiety_scores_correlate_as_in_outpatients() -> None:
    phq = np.array([s.total for s in PHQ], dtype=float)
    gad = np.array([s.total for s in GAD], dtype=float)
    assert 0.65 <= np.corrcoef(phq, gad)[0, 1] <= 0.85
    for condition in ("depression", "anxiety", "depression and anxiety", "control"):
        chosen = np.array([r.condition == condition for r in MANY])
        assert 0.5 <= np.corrcoef(phq[chosen], gad[chosen])[0, 1] <= 0.85


@pytest.mark.parametrize("key", ["phq9", "gad7"])
def test_items_of_one_questionnaire_hang_together(key: str) -> None:
    """Cronbach's alpha (1951), as high as the published scales report (about 0.85 to 0.92)."""
    items = [item for item in DEFINITIONS[key].items if item.risk_from is None]
    matrix = np.array([[r.answers[key][i.key] for i in items] for r in MANY], dtype=float)
    variances, total = matrix.var(axis=0, ddof=1).sum(), matrix.sum(axis=1).var(ddof=1)
    alpha = len(items) / (len(items) - 1) * (1 - variances / total)
    assert 0.80 <= alpha <= 0.96


def test_conditions_differ_in_the_expected_direction() -> None:
    def mean(scores: list[Score], condition: str) -> float:
        chosen = zip(scores, MANY, strict=True)
        return fmean(s.total or 0 for s, r in chosen if r.condition == condition)

    assert mean(PHQ, "control") < 5
    assert mean(GAD, "control") < 5
    assert mean(PHQ, "depression") > mean(PHQ, "anxiety") + 2
    assert mean(GAD, "anxiety") > mean(GAD, "depression") + 2
    assert mean(PHQ, "depression and anxiety") > 13
    assert mean(GAD, "depression and anxiety") > 11


def test_every_severity_band_is_well_filled() -> None:
    for key, scores in (("phq9", PHQ), ("gad7", GAD)):
        counts = Counter(s.band for s in scores)
        assert set(counts) == {band.label for band in DEFINITIONS[key].bands}
        assert min(counts.values()) >= 100


def test_one_in_ten_has_a_positive_risk_item_and_never_a_mild_total() -> None:
    positive = [s for s in PHQ if s.risk_positive]
    assert 180 <= len(positive) <= 200
    assert {s.band for s in positive} == {"moderate", "moderately severe", "severe"}
    values = Counter(r.answers["phq9"]["phq9_9"] for r in MANY)
    assert values[1] > values[2] > values[3] > 0


def test_free_columns_are_the_same_for_all_and_tell_no_result() -> None:
    for record in MANY:
        assert list(record.demographics) == [
            "education",
            "work",
            "living_situation",
            "family",
            "social_contact",
            "sleep",
            "physical_activity",
            "recent_events",
            "interests",
        ]
    assert not any(is_clinical(name) for name in MANY[0].demographics)


def test_life_facts_fit_the_age() -> None:
    for record in MANY:
        facts = record.demographics
        assert facts["work"].startswith("retired") is (record.age >= 67)
        if "grandparent died" in facts["recent_events"]:
            assert record.age <= 38
        if facts["family"] == "a toddler":
            assert 27 <= record.age < 42


def test_sleep_note_goes_with_the_answer_about_sleep() -> None:
    notes = {(r.answers["phq9"]["phq9_3"], r.demographics["sleep"]) for r in MANY}
    assert len(notes) == 4


def test_sample_reads_back_equal_through_a_file() -> None:
    content = write_profiles(MANY, DEFINITIONS)
    assert read_profiles("demo.csv", content, DEFINITIONS) == MANY


def test_only_the_loaded_questionnaires_are_answered() -> None:
    (gad_only,) = sample_profiles(1, seed=1, definitions={"gad7": DEFINITIONS["gad7"]})
    assert list(gad_only.answers) == ["gad7"]
    everything = sample_profiles(1, seed=1, definitions=builtin_definitions())
    assert list(everything[0].answers) == ["phq9", "gad7"]
    assert sample_profiles(30, seed=1, definitions={})[29].answers == {}


def test_first_person_of_a_seed_is_exactly_this_one() -> None:
    assert sample_profiles(1, seed=3, definitions=DEFINITIONS) == [
        ProfileRecord(
            profile_id="P0001",
            age=62,
            gender="male",
            condition="depression and anxiety",
            demographics={
                "education": "vocational training and evening college",
                "work": "self-employed graphic designer",
                "living_situation": "with spouse",
                "family": "one grown-up daughter",
                "social_contact": "has two close friends, sees others rarely",
                "sleep": "about 4 to 5 hours with broken nights, naps by day",
                "physical_activity": "yoga at home when there is time",
                "recent_events": "a close friend moved to another city in spring",
                "interests": "long walks with the dog",
            },
            answers={
                "phq9": {
                    "phq9_1": 3,
                    "phq9_2": 3,
                    "phq9_3": 3,
                    "phq9_4": 3,
                    "phq9_5": 3,
                    "phq9_6": 3,
                    "phq9_7": 3,
                    "phq9_8": 3,
                    "phq9_9": 1,
                },
                "gad7": {
                    "gad7_1": 3,
                    "gad7_2": 3,
                    "gad7_3": 3,
                    "gad7_4": 2,
                    "gad7_5": 3,
                    "gad7_6": 3,
                    "gad7_7": 3,
                },
            },
        )
    ]
