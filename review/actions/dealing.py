"""Assignments given out: at the start of a study, and again when people or dialogues change.

What a rater has opened stays with them. What nobody has opened may be taken back and given out
anew around it; the design is worked out by :func:`review.allocation.allocate` each time.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Max, Q

from generation.models import Dialogue, Origin
from review.allocation import Allocation, DialogueUnit, RaterSlot, allocate
from review.models import (
    Assignment,
    AssignmentKind,
    AssignmentState,
    RatingOrder,
    Study,
    StudyDialogue,
    StudyRater,
    StudyState,
)
from review.orders import REPEAT_PART, with_repeats

CHUNK = 2000
UNOPENED = Q(state__in=[AssignmentState.DUE, AssignmentState.LOCKED], opened_at=None, revision=0)


@dataclass(frozen=True)
class Table:
    """Who and what a design is made of, read from the study's rows."""

    study: Study
    places: Mapping[str, StudyDialogue]
    raters: Mapping[str, StudyRater]
    existing: Sequence[tuple[str, str, int]]
    barred: frozenset[tuple[str, str]]
    arms: Mapping[str, str]

    def allocation(self) -> Allocation:
        """The design; the same rows give the same one again."""
        return allocate(
            [_unit(key, place) for key, place in self.places.items()],
            [RaterSlot(code, row.quota) for code, row in self.raters.items()],
            overlap=self.study.overlap,
            seed=self.study.seed,
            share=self.study.overlap_share,
            avoid_same_profile=not self.study.same_profile,
            order="same" if self.study.rating_order == RatingOrder.SAME else "own",
            existing=self.existing,
            barred=self.barred,
        )


@dataclass(frozen=True)
class Dealt:
    """What a deal did: assignments taken back, and given out."""

    taken: int
    given: int


def table_of(study: Study) -> Table:
    """Read it. Three queries."""
    places = {
        str(row.dialogue_id): row
        for row in study.study_dialogues.filter(training=False)
        .select_related("dialogue__arm__batch")
        .defer("dialogue__therapist_system", "dialogue__client_system", "dialogue__provenance")
    }
    keys = {row.pk: key for key, row in places.items()}
    people = list(study.study_raters.filter(expert=False).select_related("rater"))
    codes = {row.rater_id: row.code for row in people}
    live = study.assignments.filter(kind=AssignmentKind.LIVE).order_by("pk")
    existing, barred = [], set()
    for place, rater, position, state in live.values_list(
        "study_dialogue_id", "rater_id", "position", "state"
    ):
        if state == AssignmentState.RETURNED:
            barred.add((keys[place], codes[rater]))
        else:
            existing.append((keys[place], codes[rater], position))
    return Table(
        study=study,
        places=places,
        raters={row.code: row for row in people if row.active},
        existing=existing,
        barred=frozenset(barred),
        arms={arm_key(row.dialogue): arm_label(row.dialogue) for row in places.values()},
    )


def arm_key(dialogue: Dialogue) -> str:
    """What is balanced over raters and positions: the arm, or where the dialogue comes from."""
    return f"{dialogue.origin} {dialogue.arm_id or ''}".strip()


def arm_label(dialogue: Dialogue) -> str:
    """The same in words."""
    return str(dialogue.arm) if dialogue.arm else Origin(dialogue.origin).label


def _unit(key: str, place: StudyDialogue) -> DialogueUnit:
    of = place.dialogue.profile_id
    return DialogueUnit(
        id=key,
        profile=f"profile {of}" if of else f"only {key}",
        arm=arm_key(place.dialogue),
        wanted=place.wanted,
    )


def report_on(table: Table, found: Allocation) -> dict[str, Any]:
    """The report on a design, as JSON, with pseudonyms only."""
    report = found.report
    short = [
        f"{code} gets {load // REPEAT_PART} of {table.study.repeats} hidden repeats, because a"
        " third of the order must lie between the two sights."
        for code, load in sorted(report.loads.items(), key=_by_length)
        if load // REPEAT_PART < table.study.repeats
    ]
    return {
        "seed": table.study.seed,
        "loads": dict(sorted(report.loads.items(), key=_by_length)),
        "pairs": sorted([*sorted(pair), shared] for pair, shared in report.pairs.items()),
        "arms": [
            {"label": table.arms.get(arm, arm), "loads": dict(sorted(loads.items()))}
            for arm, loads in report.arms.items()
        ],
        "raters_per_dialogue": {str(n): of for n, of in report.raters_per_dialogue.items()},
        "unmet": [*report.unmet, *short],
    }


def _by_length(pair: tuple[str, int]) -> tuple[int, str]:
    return len(pair[0]), pair[0]


def plan(study: Study) -> None:
    """Work out the design of a draft and note it, with how many raters each dialogue gets."""
    table = table_of(study)
    found = table.allocation()
    _note(table, found)


def _note(table: Table, found: Allocation) -> None:
    settled: dict[int, list[int]] = defaultdict(list)
    for key, place in table.places.items():
        if place.wanted is None:
            settled[found.wanted[key]].append(place.pk)
    for wanted, places in settled.items():
        StudyDialogue.objects.filter(pk__in=places).update(wanted=wanted)
    aliases = table.study.design.get("aliases", [])
    design = report_on(table, found) | {"aliases": aliases}
    Study.objects.filter(pk=table.study.pk).update(design=design)
    table.study.design = design


def gaps_in(study: Study) -> int:
    """How many ratings are lacking, because dialogues were handed back or raters left."""
    table = table_of(study)
    have = Counter(key for key, _rater, _position in table.existing)
    return sum(
        max(0, (place.wanted or study.overlap) - have[key]) for key, place in table.places.items()
    )


def deal(study: Study, *, take_back: Q | None = None) -> Dealt:
    """Take back what nobody has opened and ``take_back`` names, then give out what is lacking.

    Must run in a transaction that holds the study's row. A rater who opens a dialogue at the same
    moment either keeps it, or finds it gone: the assignment's own row decides.
    """
    taken = _take_back(study, take_back) if take_back is not None else 0
    handed_back = study.assignments.filter(kind=AssignmentKind.LIVE, state=AssignmentState.RETURNED)
    list(handed_back.select_for_update().order_by("pk").values_list("pk"))  # none is taken up now
    table = table_of(study)
    found = table.allocation()
    rows = list(_rows(table, found))
    Assignment.objects.bulk_create(rows, batch_size=CHUNK)
    _note(table, found)
    return Dealt(taken, len(rows))


def _take_back(study: Study, which: Q) -> int:
    works = study.assignments.filter(which, UNOPENED, kind=AssignmentKind.LIVE)
    rows = list(
        works.select_for_update().order_by("pk").values_list("pk", "rater_id", "study_dialogue_id")
    )
    if not rows:
        return 0
    lost = Q(pk__in=[])
    by_rater: dict[int, list[int]] = defaultdict(list)
    for _pk, rater, place in rows:
        by_rater[rater].append(place)
    for rater, places in by_rater.items():
        lost |= Q(rater=rater, study_dialogue__in=places)
    # A second sight of what was never seen first is none.
    study.assignments.filter(lost, UNOPENED, kind=AssignmentKind.REPEAT).delete()
    study.assignments.filter(pk__in=[pk for pk, *_ in rows]).delete()
    return len(rows)


def _rows(table: Table, found: Allocation) -> Iterator[Assignment]:
    orders: dict[str, list[str]] = defaultdict(list)
    for one in sorted(found.assignments, key=lambda one: one.position):
        orders[one.rater].append(one.dialogue)
    last = last_positions(table.study)
    repeated = Counter[int]()
    used: dict[int, set[str]] = defaultdict(set)
    repeats = table.study.assignments.filter(kind=AssignmentKind.REPEAT)
    for rater, alias in repeats.values_list("rater_id", "alias"):
        repeated[rater] += 1
        used[rater].add(alias)
    for code, order in orders.items():
        row = table.raters[code]
        rng = random.Random(f"{table.study.seed} repeats {code} {last[row.rater_id]}")
        missing = max(0, table.study.repeats - repeated[row.rater_id])
        aliases = iter(_free(table.study, used[row.rater_id]))
        start = last[row.rater_id] + 1
        for position, (key, again) in enumerate(with_repeats(order, missing, rng), start=start):
            yield Assignment(
                study=table.study,
                study_dialogue=table.places[key],
                rater=row.rater,
                kind=AssignmentKind.REPEAT if again else AssignmentKind.LIVE,
                alias=next(aliases) if again else "",
                position=position,
                state=state_for(table.study, row),
            )


def _free(study: Study, used: Iterable[str]) -> list[str]:
    taken = set(used)
    return [alias for alias in study.design.get("aliases", []) if alias not in taken]


def last_positions(study: Study) -> Counter[int]:
    """Rater -> the last place in their order, of whatever kind; 0 for none."""
    rows = study.assignments.order_by().values_list("rater_id").annotate(last=Max("position"))
    return Counter(dict(rows))


def state_for(study: Study, row: StudyRater) -> AssignmentState:
    """Live work opens once the study runs and the rater is cleared."""
    begun = study.state in (StudyState.RUNNING, StudyState.PAUSED)
    return AssignmentState.DUE if begun and row.cleared_at else AssignmentState.LOCKED
