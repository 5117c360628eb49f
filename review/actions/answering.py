"""Answers, comments, undo and redo on a rater's sheet."""

from django.utils.translation import gettext as _

from review import instruments
from review.actions.errors import Conflict, Refused
from review.actions.sheet import Entry, Sheet
from review.models import Step, StepKind
from review.standing import Spot, answers_for
from review.wire import Answer, Comment, Redo, Undo

MAX_COMMENT = 10_000


def give_answer(sheet: Sheet, given: Answer) -> Spot:
    """Put an answer, a comment on an item, or both on the sheet. Returns where.

    What stands already is no change. When ``given.base`` is not the revision that stands,
    Conflict is raised and nothing is changed.
    """
    spot = Spot(given.instrument, given.item, given.turn)
    _check_allowed(sheet, spot, given)
    stands = sheet.entries.get(spot, Entry())
    value = stands.value if given.value is None else given.value
    comment = stands.comment if given.comment is None else given.comment
    if (value, comment) == (stands.value, stands.comment):
        return spot
    sheet.check_open()
    if given.base is not None and given.base != stands.revision:
        raise Conflict(value=stands.value, comment=stands.comment, revision=stands.revision)
    parent = sheet.assignment.undo_step
    step = Step(kind=StepKind.ANSWER, key=given.key, parent=parent)
    sheet.change(spot, Entry(value, comment), step)
    sheet.move(undo=step.number, redo=0)
    return spot


def _check_allowed(sheet: Sheet, spot: Spot, given: Answer) -> None:
    if given.comment is not None:
        check_length(given.comment)
    item = sheet.item(spot.instrument, spot.item)
    if item.level == "turn" and spot.turn is None:
        sentence = _("“%(label)s” is asked about a turn, not about the whole dialogue.")
        raise Refused("bad_place", sentence % {"label": item.label})
    if item.level == "dialogue" and spot.turn is not None:
        sentence = _("“%(label)s” is asked about the whole dialogue, not about a turn.")
        raise Refused("bad_place", sentence % {"label": item.label})
    if spot.turn is not None and spot.turn not in sheet.turns:
        raise Refused("unknown_turn", _("This dialogue has no such turn."))
    if not given.value:
        return
    form = sheet.form(spot.instrument)
    try:
        form.check_answer(spot.item, given.value, answers_for(form, sheet.given, spot.turn))
    except instruments.AnswerRefused as refused:
        raise Refused(refused.code, refused.sentence) from refused


def check_length(text: str) -> None:
    """Refuse words that are too long."""
    if len(text) > MAX_COMMENT:
        sentence = _("A comment may have at most %(most)s characters.")
        raise Refused("too_long", sentence % {"most": f"{MAX_COMMENT:,}"})


def give_comment(sheet: Sheet, given: Comment) -> None:
    """Put the rater's words about the dialogue as a whole on the sheet."""
    assignment = sheet.assignment
    check_length(given.text)
    if assignment.comment == given.text:
        return
    sheet.check_open()
    if given.base is not None and given.base != assignment.comment_revision:
        revision = assignment.comment_revision
        raise Conflict(value="", comment=assignment.comment, revision=revision)
    step = Step(kind=StepKind.COMMENT, key=given.key, comment_before=assignment.comment)
    step.comment = assignment.comment = given.text
    assignment.comment_revision += 1
    step.revision = assignment.comment_revision
    sheet.note(step)


def undo(sheet: Sheet, given: Undo) -> Spot:
    """Put back what stood before the rater's last answer. Returns where."""
    sheet.check_open()
    sheet.write()
    taken = _answer_step(sheet, sheet.assignment.undo_step)
    if taken is None:
        raise Refused("nothing_to_undo", _("There is nothing to undo."))
    step = Step(kind=StepKind.UNDO, key=given.key, parent=taken.number)
    spot = _spot(sheet, taken)
    sheet.change(spot, Entry(taken.value_before, taken.comment_before), step)
    sheet.move(undo=taken.parent, redo=taken.number)
    return spot


def redo(sheet: Sheet, given: Redo) -> Spot:
    """Give the answer again that undo took back last. Returns where."""
    sheet.check_open()
    sheet.write()
    again = _answer_step(sheet, sheet.assignment.redo_step)
    if again is None:
        raise Refused("nothing_to_redo", _("There is nothing to do again."))
    step = Step(kind=StepKind.REDO, key=given.key, parent=again.number)
    spot = _spot(sheet, again)
    sheet.change(spot, Entry(again.value, again.comment), step)
    # The newest child lies on the branch that undo came along; older ones were given up.
    answers = Step.objects.filter(assignment=sheet.assignment, kind=StepKind.ANSWER)
    child = answers.filter(parent=again.number).order_by("-number").first()
    sheet.move(undo=again.number, redo=child.number if child else 0)
    return spot


def _answer_step(sheet: Sheet, number: int) -> Step | None:
    if number == 0:
        return None
    return Step.objects.get(assignment=sheet.assignment, number=number)


def _spot(sheet: Sheet, step: Step) -> Spot:
    keys = {row.pk: key for key, row in sheet.rows.items()}
    return Spot(keys[step.instrument_id or 0], step.item, step.turn_number)
