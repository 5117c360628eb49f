"""What a rater is shown after a training dialogue: own answers beside the reference, in words."""

from dataclasses import dataclass

from django.utils.translation import get_language
from django.utils.translation import gettext as _

from review.actions.gate import Standing, standing_of
from review.actions.rating import definition_of
from review.actions.sights import reference_sight, references_of, sights_of
from review.items import Item
from review.likeness import Compared, Sight, agreement, compare_sights
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
    standing: Standing
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
    references = references_of(assignment.study).get(assignment.study_dialogue_id, {})
    links = assignment.study.study_instruments.select_related("instrument")
    forms = {link.instrument_id: definition_of(link.instrument, language) for link in links}
    works = Assignment.objects.filter(pk=assignment.pk)
    given = sights_of(works, forms)[assignment.pk]
    for pk, form in forms.items():
        rows = references.get(pk, [])
        reasons = {(row.item or row.category, row.turn_number): row.reason for row in rows}
        parts = compare_sights(form, given.get(pk, Sight()), reference_sight(rows))
        compared += parts
        lines += [
            Line(
                label=_label(part),
                own=in_words(part.item, part.own),
                reference=in_words(part.item, part.other),
                reason=reasons.get((part.item.key, part.turn), ""),
                likeness=part.likeness,
            )
            for part in parts
        ]
    standing = standing_of(assignment.study, assignment.rater_id)
    return Feedback(tuple(lines), standing, agreement(compared))


def _label(part: Compared) -> str:
    if part.flag:
        return _("Flag: %(kind)s") % {"kind": part.item.label}
    if part.turn is not None:
        return _("Turn %(n)s: %(question)s") % {"n": part.turn, "question": part.item.label}
    return str(part.item.label)


def in_words(item: Item, value: str) -> str:
    """A stored answer as the form words it."""
    names = {point.value: str(point.label) for point in item.points + item.marks}
    return ", ".join(names.get(one, one) for one in sorted(item.chosen(value)))
