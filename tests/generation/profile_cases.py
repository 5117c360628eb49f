"""A good profile and its file, from which the profile tests make their variants."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from generation.profiles import (
    ProfileFileError,
    ProfileRecord,
    read_profiles,
)
from generation.questionnaires import builtin_definitions

DEFINITIONS = {key: builtin_definitions()[key] for key in ("phq9", "gad7")}
PHQ = [f"phq9_{n}" for n in range(1, 10)]
GAD = [f"gad7_{n}" for n in range(1, 8)]
HEADER = ["profile_id", "age", "gender", "condition", "work", *PHQ, *GAD]
ROW = ["P1", "34", "female", "MDD", "nurse", *"110101001", *"0123012"]
RECORD = ProfileRecord(
    profile_id="P1",
    age=34,
    gender="female",
    condition="mdd",
    demographics={"work": "nurse"},
    answers={
        "phq9": dict(zip(PHQ, (1, 1, 0, 1, 0, 1, 0, 0, 1), strict=True)),
        "gad7": dict(zip(GAD, (0, 1, 2, 3, 0, 1, 2), strict=True)),
    },
)


def table(*rows: Sequence[str], header: Sequence[str] = HEADER, delimiter: str = ",") -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter).writerows([header, *rows])
    return out.getvalue().encode()


def changed(**cells: str) -> list[str]:
    """The good row with some cells replaced, by column."""
    return [cells.get(name, value) for name, value in zip(HEADER, ROW, strict=True)]


def read(
    content: bytes, name: str = "clients.csv", *, allow_minors: bool = False
) -> list[ProfileRecord]:
    return read_profiles(name, content, DEFINITIONS, allow_minors=allow_minors)


def problems_of(content: bytes, name: str = "clients.csv") -> list[str]:
    with pytest.raises(ProfileFileError) as caught:
        read(content, name)
    return [str(problem) for problem in caught.value.problems]


def person(**changes: Any) -> ProfileRecord:
    return replace(RECORD, **changes)


GOOD = table(ROW)
