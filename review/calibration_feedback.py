"""What a rater is shown after a training dialogue: own answers beside the reference, in words."""

from dataclasses import dataclass

from django.utils.translation import get_language

from review.actions import calibration
from review.actions.rating import definition_of
from review.items import Item
from review.likeness import Compared, agreement, compare
from review.models import Assignment


@dataclass(frozen=True)
class Line:
    """One item: what the rater chose, what the reference says, and why."""

    label: str
    own: str
    reference: str
    reason: str
    likeness: float

    @property
    def verdict(self) -> str:
        """``same``, ``near`` or ``apart``."""
        if self.likeness >= 1:
            return "same"
        return "near" if self.likeness >= 0.5 else "apart"


@dataclass(frozen=True)
class Feedback:
    """A training dialogue looked back at, and where the rater stands now."""

    lines: tuple[Line, ...]
    standing: calibration.Standing
    agreement: float | None

    @property
    def same(self) -> int:
        """How many answers are the same."""
        return sum(line.verdict == "same" for line in self.lines)


def feedback_on(assignment: Assignment) -> Feedback:
    """The feedback on a submitted training dialogue, in the rater's language."""
    language = get_language() or "en"
    lines: list[Line] = []
    compared: list[Compared] = []
    references = calibration.references_of(assignment.study).get(assignment.study_dialogue_id, {})
    given = assignment.ratings.filter(turn_number=None)
    for link in assignment.study.study_instruments.select_related("instrument"):
        form = definition_of(link.instrument, language)
        wanted = references.get(link.instrument_id, {})
        own = {one.item: one.value for one in given if one.instrument_id == link.instrument_id}
        parts = compare(form.items, own, {item: one.value for item, one in wanted.items()})
        compared += parts
        lines += [
            Line(
                label=str(part.item.label),
                own=in_words(part.item, part.own),
                reference=in_words(part.item, part.other),
                reason=wanted[part.item.key].reason,
                likeness=part.likeness,
            )
            for part in parts
        ]
    standing = calibration.standing_of(assignment.study, assignment.rater_id)
    return Feedback(tuple(lines), standing, agreement(compared))


def in_words(item: Item, value: str) -> str:
    """A stored answer as the form words it."""
    names = {point.value: str(point.label) for point in item.points + item.marks}
    return ", ".join(names.get(one, one) for one in sorted(item.chosen(value)))
