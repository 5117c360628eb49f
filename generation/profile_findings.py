"""Contradictions inside one profile: flagged for a person, never corrected (pure).

Real files have totals that the answers do not add up to, a diagnosis that says "moderate" over a
mild score, a father born after his child. Each rule is simple and says both things it compared.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from generation.plain_text import as_data
from generation.profile_columns import plain
from generation.profile_records import ProfileFinding, ProfileRecord
from generation.questionnaires import Definition, score

__all__ = ["KINDS", "Stated", "contradictions"]

TOTAL, BAND, DIAGNOSIS, AGE, YEAR, DECIMAL, DUPLICATE = (
    "total",
    "band",
    "diagnosis",
    "age",
    "year",
    "decimal",
    "duplicate",
)
KINDS: Final = {
    TOTAL: "total against answers",
    BAND: "severity against total",
    DIAGNOSIS: "diagnosis against answers",
    AGE: "ages",
    YEAR: "years",
    DECIMAL: "decimals in a count",
    DUPLICATE: "a key twice",
}
_LEVELS: Final = ("none or minimal", "mild", "moderate", "severe")
_CONTROL: Final = re.compile(r"(?:healthy )?controls?(?: (?:group|subject))?|hc|healthy")
_DIAGNOSED: Final = {
    "depression": re.compile(
        r"(?:.* )?(?:mdd|depress\w*|major depress\w*(?: disorder)?)(?: .*)?|.*\bmdd\b.*"
    ),
    "anxiety": re.compile(r"(?:.* )?(?:anxi\w*|gad|generali[sz]ed anxiety)(?: .*)?"),
}
# Severity digit of DSM-IV 296.2x and 296.3x, and of ICD-10 F32.x and F33.x.
_DSM: Final = re.compile(r"\b296\.[23]([1-4])\b")
_ICD: Final = re.compile(r"\bF3[23]\.([0-3])", re.IGNORECASE)
_ICD_LEVEL: Final = {"0": 1, "1": 2, "2": 3, "3": 3}
_COUNT: Final = re.compile(
    r"(?:.* )?(?:number|count|episodes?|stays?|siblings?|children|brothers|sisters|hospitali"
    r"[sz]ations?)(?: .*)?"
)
_ONSET: Final = re.compile(r"(?:.* )?(?:age (?:of|at) (?:\w+ )?onset|onset age|age at first .*)")
_PARENT_AGE: Final = r"(?:.* )?(?:age (?:of )?{0}.*|{0}s? age.*)"
_PARENT_YEAR: Final = (
    r"(?:.* )?(?:(?:year of birth|birth ?year)(?: of)? {0}|{0}s? (?:year of birth|birth ?year))"
)
_PARENTS: Final = {
    "mother": r"(?:the )?(?:mother|mothers|mother s)",
    "father": r"(?:the )?(?:father|fathers|father s)",
}


@dataclass(frozen=True)
class Stated:
    """What a file says beside a profile's answers: totals and bands by questionnaire, years."""

    totals: Mapping[str, str] = field(default_factory=dict)
    bands: Mapping[str, str] = field(default_factory=dict)
    birth_year: int | None = None
    year: int | None = None
    age_given: bool = True


def contradictions(
    record: ProfileRecord, definitions: Mapping[str, Definition], stated: Stated
) -> list[ProfileFinding]:
    """Everything that does not fit together, in a fixed order."""
    found: list[ProfileFinding] = []
    for kind, check in _CHECKS:
        found += [ProfileFinding(kind, message) for message in check(record, definitions, stated)]
    return found


def _name(definition: Definition) -> str:
    return definition.names[0] if definition.names else definition.key.upper()


def _totals(
    record: ProfileRecord, definitions: Mapping[str, Definition], stated: Stated
) -> Iterator[str]:
    for key, given in stated.totals.items():
        total = score(definitions[key], record.answers.get(key, {})).total
        number = re.fullmatch(r"\s*(\d+)(?:[.,]0+)?\s*", given)
        if total is None or (number and int(number[1]) == total):
            continue
        yield (
            f"The file gives {_name(definitions[key])} a total of {as_data(given, limit=20)}; "
            f"the answers add up to {total}."
        )


def _bands(
    record: ProfileRecord, definitions: Mapping[str, Definition], stated: Stated
) -> Iterator[str]:
    for key, given in stated.bands.items():
        result = score(definitions[key], record.answers.get(key, {}))
        if result.band is None or plain(result.band) == plain(given):
            continue
        yield (
            f"The file calls {_name(definitions[key])} “{as_data(given, limit=40)}”; "
            f"a total of {result.total} is “{result.band}”."
        )


def _diagnosis(
    record: ProfileRecord, definitions: Mapping[str, Definition], _: Stated
) -> Iterator[str]:
    coded = next(_coded_levels(record), None)
    for key, answers in record.answers.items():
        definition = definitions[key]
        result = score(definition, answers)
        level = next((b.level for b in definition.bands if b.label == result.band), None)
        if level is None or definition.measures is None:
            continue
        says = f"{_name(definition)} with {result.total} says {_LEVELS[level]}"
        condition = plain(record.condition)
        if (_CONTROL.fullmatch(condition) and level > 1) or (
            _DIAGNOSED[definition.measures].fullmatch(condition) and level == 0
        ):
            yield f"The condition is “{record.condition}”, but {says} {definition.measures}."
        if coded and definition.measures == "depression" and coded[1] != level:
            yield f"“{coded[0]}” says {_LEVELS[coded[1]]}, but {says}."


def _coded_levels(record: ProfileRecord) -> Iterator[tuple[str, int]]:
    """Diagnosis codes in the facts that name a severity."""
    for value in record.demographics.values():
        if dsm := _DSM.search(value):
            yield dsm[0], min(int(dsm[1]), 3)
        if icd := _ICD.search(value):
            yield icd[0], _ICD_LEVEL[icd[1]]


def _ages(record: ProfileRecord, _: Mapping[str, Definition], stated: Stated) -> Iterator[str]:
    for name, number in _numbers(record):
        if _ONSET.fullmatch(plain(name)) and number > record.age:
            yield f"“{_shown(name)}” is {number}, but the client is {record.age}."
    if stated.age_given and stated.birth_year and stated.year:
        most = stated.year - stated.birth_year
        if record.age > most:
            yield (
                f"The age is {record.age}, but somebody born in {stated.birth_year} is {most} "
                "at most."
            )


def _years(record: ProfileRecord, _: Mapping[str, Definition], stated: Stated) -> Iterator[str]:
    numbers = list(_numbers(record))
    for parent in _PARENTS.values():
        ages = _matching(numbers, _PARENT_AGE.format(parent))
        years = _matching(numbers, _PARENT_YEAR.format(parent))
        for name, year in years:
            if stated.birth_year is None or not year > 1800:
                continue
            if year >= stated.birth_year:
                yield f"“{_shown(name)}” is {year}, but the client was born in {stated.birth_year}."
            for age_name, age in ages:
                if abs(stated.birth_year - year - age) > 1:
                    yield (
                        f"“{_shown(age_name)}” is {age}, but “{_shown(name)}” is {year} and the "
                        f"client was born in {stated.birth_year}."
                    )


def _decimals(record: ProfileRecord, _: Mapping[str, Definition], __: Stated) -> Iterator[str]:
    for name, value in record.demographics.items():
        if _COUNT.fullmatch(plain(name)) and re.fullmatch(r"\d+[.,]\d+", value):
            yield f"“{_shown(name)}” is a count, but the file says {value}."


def _numbers(record: ProfileRecord) -> Iterator[tuple[str, int]]:
    for name, value in record.demographics.items():
        if whole := re.fullmatch(r"(\d{1,4})(?:[.,]0+)?(?: years?| ?y)?", value.strip()):
            yield name, int(whole[1])


def _matching(numbers: list[tuple[str, int]], pattern: str) -> list[tuple[str, int]]:
    rule = re.compile(pattern)
    return [(name, number) for name, number in numbers if rule.fullmatch(plain(name))]


def _shown(name: str) -> str:
    return as_data(name, limit=60)


_Check = Callable[[ProfileRecord, Mapping[str, Definition], Stated], Iterator[str]]
_CHECKS: Final[tuple[tuple[str, _Check], ...]] = (
    (TOTAL, _totals),
    (BAND, _bands),
    (DIAGNOSIS, _diagnosis),
    (AGE, _ages),
    (YEAR, _years),
    (DECIMAL, _decimals),
)
