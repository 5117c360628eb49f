"""What a draft is to be made of, and its rows: codes, pseudonyms, training dialogues."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from generation.models import Batch, Dialogue
from review.actions.dealing import CHUNK, last_positions, plan
from review.actions.errors import Refused
from review.actions.sights import lacking_references
from review.actions.study_checks import check_design, dialogue_rows, instrument_rows, rater_rows
from review.actions.study_choices import NO_TEXTS, USUAL_CHOICES, Choices, StudyTexts
from review.models import (
    Assignment,
    AssignmentKind,
    AssignmentState,
    Instrument,
    Study,
    StudyDialogue,
    StudyInstrument,
    StudyRater,
    blank_settings,
)
from sqpsych_site.models import User

DEFAULT_INSTRUMENTS = ("sqpsych-expert", "safety")


@dataclass(frozen=True)
class Wishes:
    """What a study is to be made of; either ``dialogues`` or a ``batch`` with complete ones."""

    raters: Sequence[User | str]
    dialogues: Iterable[Dialogue] | None = None
    batch: Batch | None = None
    instruments: Sequence[Instrument | str] = DEFAULT_INSTRUMENTS
    overlap: int = 1
    seed: int = 0
    texts: StudyTexts = NO_TEXTS
    settings: Mapping[str, bool] = field(default_factory=dict)
    choices: Choices = USUAL_CHOICES

    def checked(self, study: Study) -> "Draft":
        """All parts as rows, or a refusal."""
        choices = self.choices
        choices.check()
        forms = instrument_rows(self.instruments)
        people = rater_rows(self.raters)
        expert = rater_rows([choices.expert])[0] if choices.expert else None
        if expert in people:
            raise Refused("expert", "The expert sets the reference and cannot be rated against it.")
        chosen = dialogue_rows(self.dialogues, self.batch)
        training = dialogue_rows(choices.training, None) if choices.training else []
        if {one.pk for one in chosen} & {one.pk for one in training}:
            raise Refused("training", "A dialogue cannot be both for training and for the study.")
        check_design(len(people), self.overlap, self.seed)
        return Draft(study, forms, people, chosen, training, expert, choices)

    def columns(self) -> dict[str, Any]:
        """The study's own columns."""
        return {
            "overlap": self.overlap,
            "seed": self.seed,
            "deadline": self.texts.deadline,
            "guidelines": self.texts.guidelines,
            "contact": self.texts.contact,
            "settings": blank_settings() | dict(self.settings),
            **self.choices.columns(),
        }


@dataclass(frozen=True)
class Draft:
    """What a draft is made of, checked."""

    study: Study
    forms: Sequence[Instrument]
    people: Sequence[User]
    dialogues: Sequence[Dialogue]
    training: Sequence[Dialogue]
    expert: User | None
    choices: Choices

    def write(self) -> None:
        """Write all rows; the order of codes depends on the study's seed."""
        StudyInstrument.objects.bulk_create(
            StudyInstrument(study=self.study, instrument=row, position=position)
            for position, row in enumerate(self.forms, start=1)
        )
        self._dialogues()
        self._raters()
        plan(self.study)

    def erase(self) -> None:
        """Take the rows of an earlier form of the draft away."""
        self.study.study_instruments.all().delete()
        self.study.study_dialogues.all().delete()
        self.study.study_raters.all().delete()

    def _dialogues(self) -> None:
        """Codes from one pot for dialogues, training and hidden repeats: none tells what it is."""
        wanted = [*self.dialogues, *self.training]
        count = len(wanted) + self.choices.repeats
        codes = shuffled_codes("D", 3, count, f"{self.study.seed} dialogue codes")
        trained = {dialogue.pk for dialogue in self.training}
        StudyDialogue.objects.bulk_create(
            (
                StudyDialogue(study=self.study, dialogue=one, code=code, training=one.pk in trained)
                for one, code in zip(wanted, codes, strict=False)
            ),
            batch_size=CHUNK,
        )
        self.study.design = {"aliases": codes[len(wanted) :]}

    def _raters(self) -> None:
        codes = shuffled_codes("R", 1, len(self.people), f"{self.study.seed} rater codes")
        rows = [
            StudyRater(
                study=self.study,
                rater=person,
                code=code,
                quota=self.choices.quotas.get(person.username),
            )
            for code, person in zip(codes, self.people, strict=True)
        ]
        if self.expert is not None:
            rows.append(StudyRater(study=self.study, rater=self.expert, code="E1", expert=True))
        StudyRater.objects.bulk_create(rows)


def shuffled_codes(letter: str, digits: int, count: int, seed: str) -> list[str]:
    """Codes 1..count of one length in a random order that depends on the seed alone."""
    width = max(digits, len(str(count)))
    codes = [f"{letter}{number:0{width}}" for number in range(1, count + 1)]
    random.Random(seed).shuffle(codes)
    return codes


def further_codes(letter: str, taken: Iterable[str], count: int, seed: str) -> list[str]:
    """``count`` codes after the highest one taken, shuffled."""
    known = [code for code in taken if code.startswith(letter)]
    highest = max((int(code[1:]) for code in known), default=0)
    width = max((len(code) - 1 for code in known), default=1)
    numbers = range(highest + 1, highest + count + 1)
    codes = [f"{letter}{number:0{width}}" for number in numbers]
    random.Random(f"{seed} from {highest}").shuffle(codes)
    return codes


def give_training(study: Study, people: Iterable[StudyRater]) -> None:
    """The training dialogues, in one order for all, before anything else of a rater."""
    places = list(study.study_dialogues.filter(training=True).order_by("code"))
    random.Random(f"{study.seed} training").shuffle(places)
    waits = AssignmentState.LOCKED if lacking_references(study) else AssignmentState.DUE
    last = last_positions(study)
    Assignment.objects.bulk_create(
        Assignment(
            study=study,
            study_dialogue=place,
            rater_id=row.rater_id,
            kind=AssignmentKind.CALIBRATION,
            position=position,
            state=AssignmentState.DUE if row.expert else waits,
        )
        for row in people
        for position, place in enumerate(places, start=last[row.rater_id] + 1)
    )
