"""A seeded sample of dialogues that is stratified, and how many each stratum gives. Pure.

"In proportion" gives each stratum its part of the sample by the largest remainder; "equal" gives
every stratum as many as any other, within one, where it has them.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

How = Literal["proportional", "equal"]


@dataclass(frozen=True)
class Stratum:
    """One stratum: its name, how many there are and how many were chosen."""

    name: str
    there: int
    chosen: int


@dataclass(frozen=True)
class Sample:
    """The chosen ids, smallest first, and the strata by name."""

    ids: tuple[int, ...]
    strata: tuple[Stratum, ...]


def sample(
    stratum_of: Mapping[int, str], size: int | None, *, seed: int, how: How = "proportional"
) -> Sample:
    """``size`` of the ids (all if None or more than there are), by stratum.

    Which ones depends on seed and ids alone, so more of the same population keeps most of them.
    """
    strata: dict[str, list[int]] = defaultdict(list)
    for key in sorted(stratum_of, key=lambda key: _place(seed, key)):
        strata[stratum_of[key]].append(key)
    there = {name: len(ids) for name, ids in sorted(strata.items())}
    wanted = len(stratum_of) if size is None else max(0, min(size, len(stratum_of)))
    parts = _equal(there, wanted) if how == "equal" else _proportional(there, wanted)
    return Sample(
        ids=tuple(sorted(key for name, part in parts.items() for key in strata[name][:part])),
        strata=tuple(Stratum(name, count, parts[name]) for name, count in there.items()),
    )


def _place(seed: int, key: int) -> bytes:
    return hashlib.sha256(f"{seed} sample {key}".encode()).digest()


def _proportional(there: Mapping[str, int], wanted: int) -> dict[str, int]:
    total = sum(there.values())
    exact = {name: wanted * count / total for name, count in there.items()} if total else {}
    parts = {name: math.floor(part) for name, part in exact.items()}
    rest = sorted(exact, key=lambda name: (parts[name] - exact[name], name))
    for name in rest[: wanted - sum(parts.values())]:
        parts[name] += 1
    return parts


def _equal(there: Mapping[str, int], wanted: int) -> dict[str, int]:
    parts = dict.fromkeys(there, 0)
    for _ in range(wanted):
        name = min(
            (one for one in there if parts[one] < there[one]), key=lambda one: (parts[one], one)
        )
        parts[name] += 1
    return parts
