"""The design of a study as rows: codes, pseudonyms, assignments, and the report on them."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from generation.models import Dialogue, Origin
from review.allocation import Allocation, DialogueUnit, RaterSlot, allocate
from review.models import Assignment, Study, StudyDialogue, StudyRater
from sqpsych_site.models import User

CHUNK = 2000


@dataclass(frozen=True)
class Design:
    """A study that was just made, with its people and dialogues (each with its ``arm``)."""

    study: Study
    people: Sequence[User]
    dialogues: Sequence[Dialogue]
    arms: dict[str, str] = field(default_factory=dict)

    def store(self) -> None:
        """Write all rows; the order of codes and assignments depends on the study's seed."""
        rows = self._dialogue_rows()
        raters = self._rater_rows()
        found = allocate(
            [self._unit(dialogue) for dialogue in self.dialogues],
            [RaterSlot(id=code) for code in raters],
            overlap=self.study.overlap,
            seed=self.study.seed,
        )
        Assignment.objects.bulk_create(
            (
                Assignment(
                    study=self.study,
                    study_dialogue=rows[one.dialogue],
                    rater=raters[one.rater],
                    position=one.position,
                )
                for one in found.assignments
            ),
            batch_size=CHUNK,
        )
        Study.objects.filter(pk=self.study.pk).update(design=self._report(found))
        self.study.refresh_from_db(fields=["design"])

    def _dialogue_rows(self) -> dict[str, StudyDialogue]:
        codes = shuffled_codes("D", 3, len(self.dialogues), f"{self.study.seed} dialogue codes")
        rows = [
            StudyDialogue(study=self.study, dialogue=dialogue, code=code)
            for dialogue, code in zip(self.dialogues, codes, strict=True)
        ]
        StudyDialogue.objects.bulk_create(rows, batch_size=CHUNK)
        return {str(row.dialogue_id): row for row in rows}

    def _rater_rows(self) -> dict[str, User]:
        codes = shuffled_codes("R", 1, len(self.people), f"{self.study.seed} rater codes")
        pairs = dict(zip(codes, self.people, strict=True))
        StudyRater.objects.bulk_create(
            StudyRater(study=self.study, rater=person, code=code) for code, person in pairs.items()
        )
        return pairs

    def _unit(self, dialogue: Dialogue) -> DialogueUnit:
        arm = f"{dialogue.origin} {dialogue.arm_id or ''}".strip()
        self.arms[arm] = str(dialogue.arm) if dialogue.arm else Origin(dialogue.origin).label
        profile = f"profile {dialogue.profile_id}" if dialogue.profile_id else f"only {dialogue.pk}"
        return DialogueUnit(id=str(dialogue.pk), profile=profile, arm=arm)

    def _report(self, found: Allocation) -> dict[str, Any]:
        """The report on the design, as JSON, with pseudonyms only."""
        report = found.report
        return {
            "seed": self.study.seed,
            "loads": dict(sorted(report.loads.items(), key=_by_length)),
            "pairs": sorted([*sorted(pair), shared] for pair, shared in report.pairs.items()),
            "arms": [
                {"label": self.arms.get(arm, arm), "loads": dict(sorted(loads.items()))}
                for arm, loads in report.arms.items()
            ],
            "raters_per_dialogue": {str(n): of for n, of in report.raters_per_dialogue.items()},
            "unmet": list(report.unmet),
        }


def _by_length(pair: tuple[str, int]) -> tuple[int, str]:
    return len(pair[0]), pair[0]


def shuffled_codes(letter: str, digits: int, count: int, seed: str) -> list[str]:
    """Codes 1..count of one length in a random order that depends on the seed alone."""
    width = max(digits, len(str(count)))
    codes = [f"{letter}{number:0{width}}" for number in range(1, count + 1)]
    random.Random(seed).shuffle(codes)
    return codes
