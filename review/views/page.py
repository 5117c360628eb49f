"""What the rating page shows. Nothing here tells model, condition or another rater's judgment."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from review.actions import Missing
from review.actions.rating import instruments_of
from review.form_view import EvidenceView, FormView, SectionView, form_view
from review.instruments import FlagForm
from review.marking import Span, beginning, for_display, segments
from review.models import Assignment, AssignmentState, Evidence, Flag, Instrument
from review.pace import progress_of
from review.permissions import Visible, visible_in
from review.standing import element
from review.views import markup


@dataclass(frozen=True)
class FlagView:
    """A raised flag in words."""

    uid: UUID
    category: str
    severity: str
    notified: bool
    turn: int | None
    note: str
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True)
class Mark:
    """What a marked passage or turn leads to: an item of the form or the list of flags."""

    id: str
    href: str
    label: str
    is_flag: bool = False


@dataclass(frozen=True)
class Part:
    """A stretch of an utterance and what was marked there, the newest mark first."""

    text: str
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True)
class TurnView:
    """An utterance with what was marked in it and what is asked about it."""

    number: int
    role: str
    who: str
    parts: tuple[Part, ...]
    marks: tuple[Mark, ...] = ()
    items: tuple[SafeString, ...] = ()


@dataclass(frozen=True)
class SectionMarkup:
    """A section of the form with its items ready to show."""

    view: SectionView
    items: tuple[SafeString, ...]


def flag_views(flags: Iterable[Flag], form: FlagForm | None) -> list[FlagView]:
    """The assignment's flags in the instrument's words."""
    if form is None:
        return []
    categories = {one.key: str(one.label) for one in form.categories}
    severities = {one.key: one for one in form.severities}
    return [
        FlagView(
            uid=flag.uid,
            category=categories.get(flag.category, flag.category),
            severity=str(severities[flag.severity].label),
            notified=severities[flag.severity].notify,
            turn=flag.turn_number,
            note=flag.note,
            start=flag.start,
            end=flag.end,
        )
        for flag in flags
    ]


@dataclass(frozen=True)
class Page:
    """Everything stored about one assignment, read once for a page or for a part of it."""

    assignment: Assignment
    rows: tuple[Instrument, ...]
    texts: tuple[tuple[int, str, str], ...]
    form: FormView
    flags: tuple[FlagView, ...]
    evidence: tuple[Evidence, ...]

    @property
    def read_only(self) -> bool:
        """Whether nothing can be changed at the moment."""
        return self.assignment.state in (AssignmentState.SUBMITTED, AssignmentState.RETURNED)

    def turn(self, number: int) -> TurnView | None:
        """One turn as the page shows it now; None if there is no such turn."""
        return next((self._turn(*row) for row in self.texts if row[0] == number), None)

    def turns(self) -> list[TurnView]:
        """All turns in order."""
        return [self._turn(*row) for row in self.texts]

    def _turn(self, number: int, role: str, text: str) -> TurnView:
        spans, marks = self._marks_at(number)
        by_id = {mark.id: mark for mark in marks}
        parts = tuple(
            Part(part.text, tuple(by_id[one] for one in part.marks))
            for part in segments(for_display(text), spans)
        )
        return TurnView(
            number=number,
            role=role,
            who=_("Therapist") if role == "therapist" else _("Client"),
            parts=parts,
            marks=marks,
            items=tuple(self.items_markup(self.form.turn_items.get(number, ()))),
        )

    def _marks_at(self, number: int) -> tuple[list[Span], tuple[Mark, ...]]:
        spans, marks = [], []
        for one in self.evidence:
            if one.turn_number == number:
                marks.append(self._evidence_mark(one))
                if one.start is not None and one.end is not None:
                    spans.append(Span(one.start, one.end, str(one.uid)))
        for flag in self.flags:
            if flag.turn == number:
                label = _("flag: %(category)s") % {"category": flag.category}
                marks.append(Mark(str(flag.uid), "flags", label, is_flag=True))
                if flag.start is not None and flag.end is not None:
                    spans.append(Span(flag.start, flag.end, str(flag.uid)))
        return spans, tuple(marks)

    def _evidence_mark(self, one: Evidence) -> Mark:
        row = next(row for row in self.rows if row.pk == one.instrument_id)
        for item in self.form.items:
            if (item.question.form, item.question.key) == (row.key, one.item):
                label = f"{item.question.number} {item.question.label}"
                return Mark(str(one.uid), item.id, label)
        return Mark(str(one.uid), element(row.key, one.item), one.item)

    def items_markup(self, items: Iterable[Any]) -> list[SafeString]:
        """Items ready to show."""
        uid = self.assignment.uid
        return [markup.item_markup(one, uid, read_only=self.read_only) for one in items]

    def sections(self) -> list[SectionMarkup]:
        """The form ready to show."""
        return [
            SectionMarkup(section, tuple(self.items_markup(section.items)))
            for section in self.form.sections
        ]


def read_page(assignment: Assignment, problems: Iterable[Missing] = ()) -> Page:
    """Read what the page needs; a dialogue never opened has no answers or marks to look for."""
    rows = tuple(instruments_of(assignment))
    dialogue = assignment.study_dialogue.dialogue
    texts = tuple(dialogue.turns.order_by("number").values_list("number", "role", "text"))
    fresh = assignment.opened_at is None
    evidence = () if fresh else tuple(assignment.evidence.filter(withdrawn_at=None))
    form = form_view(
        rows,
        () if fresh else assignment.ratings.all(),
        turns=len(texts),
        language=markup.language(),
        problems=problems,
        evidence=_evidence_views(rows, evidence, texts),
    )
    flags = () if fresh else assignment.flags.filter(withdrawn_at=None)
    return Page(
        assignment, rows, texts, form, tuple(flag_views(flags, form.flag_form)), evidence
    )


def _evidence_views(
    rows: Iterable[Instrument],
    evidence: Iterable[Evidence],
    texts: Iterable[tuple[int, str, str]],
) -> dict[tuple[str, str], tuple[EvidenceView, ...]]:
    keys = {row.pk: row.key for row in rows}
    spoken = {number: text for number, _, text in texts}
    found: dict[tuple[str, str], tuple[EvidenceView, ...]] = {}
    for one in evidence:
        passage = spoken.get(one.turn_number, "")[one.start : one.end] if one.end else ""
        view = EvidenceView(one.uid, one.turn_number, beginning(passage))
        place = (keys[one.instrument_id], one.item)
        found[place] = found.get(place, ()) + (view,)
    return found


def facts(assignment: Assignment, visible: Visible) -> list[tuple[str, str]]:
    """What the study lets its raters know, and nothing else."""
    dialogue = assignment.study_dialogue.dialogue
    found = []
    if visible.model and dialogue.arm is not None:
        found.append((_("Model"), dialogue.arm.therapist_model))
    if visible.condition and dialogue.profile is not None:
        found.append((_("Condition"), dialogue.profile.condition))
    return found


def rating_context(
    assignment: Assignment, *, problems: Iterable[Missing] = (), **more: Any
) -> dict[str, Any]:
    """Everything the rating page needs."""
    page = read_page(assignment, problems)
    visible = visible_in(assignment.study)
    safety_row = next((row for row in page.rows if page.form.safety
                       and row.key == page.form.safety.question.form), None)
    code = markup.language()
    return {
        "assignment": assignment,
        "study": assignment.study,
        "code": assignment.study_dialogue.code,
        "facts": facts(assignment, visible),
        "turns": page.turns(),
        "last_turn": len(page.texts),
        "form": page.form,
        "sections": page.sections(),
        "totals": totals(page) if visible.totals else [],
        "flags": page.flags,
        "flag_uid": uuid4(),
        "flag_choices": markup.flag_choices(safety_row.toml, code) if safety_row else "",
        "keys_help": markup.keys_help(code),
        "progress": progress_of(assignment),
        "read_only": page.read_only,
        **more,
    }


def totals(page: Page) -> list[tuple[str, str]]:
    """Totals so far in words, for studies that show them."""
    from review.actions.rating import definition_of

    found = []
    for row in page.rows:
        values = {
            item.question.key: item.value
            for item in page.form.items
            if item.question.form == row.key and item.turn is None and item.value
        }
        for total in definition_of(row, markup.language()).totals(values).values():
            reached = "–" if total.value is None else f"{total.value:g}"
            words = f"{reached} / {total.maximum:g}"
            found.append((str(total.label), f"{words} ({total.band})" if total.band else words))
    return found
