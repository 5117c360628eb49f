"""Safety flags and evidence on a rater's sheet: withdrawn, but never deleted."""

from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext as _

from generation.models import Turn
from review import instruments, wire
from review.actions.answering import check_length
from review.actions.errors import Refused
from review.actions.sheet import Sheet
from review.models import Evidence, Flag, Step, StepKind


def raise_flag(sheet: Sheet, given: wire.Flag) -> Flag:
    """Store a flag under the id that the page chose, or change the one with that id."""
    known = Flag.objects.filter(uid=given.uid).first()
    if known is not None and known.assignment_id != sheet.assignment.pk:
        raise Refused("not_yours", _("This flag belongs to another rating."), status=404)
    details = _checked_details(sheet, given)
    check_length(given.note)
    _check_span(sheet, given)
    sheet.check_open()
    row = known or Flag(uid=given.uid, assignment=sheet.assignment)
    row.category, row.severity, row.details = given.category, given.severity, details
    row.turn_number, row.start, row.end = given.turn, given.start, given.end
    row.note, row.withdrawn_at = given.note, None
    row.save()
    sheet.note(Step(kind=StepKind.FLAG, key=given.key, mark=row.uid))
    return row


def _checked_details(sheet: Sheet, given: wire.Flag) -> dict[str, str]:
    """The details that the flag form asks for after category and severity; refuses others."""
    form = next((one.safety for one in sheet.forms if one.safety), None)
    if form is None:
        raise Refused("no_flags", _("This study takes no safety flags."))
    details = {key: value for key, value in given.details.items() if value}
    core = {"category": given.category, "severity": given.severity}
    if details.keys() & core.keys():
        raise Refused("unknown_item", _("This form has no such item."))
    try:
        form.check({key: value for key, value in (core | details).items() if value})
    except instruments.AnswerRefused as refused:
        raise Refused(refused.code, refused.sentence) from refused
    lacking = form.missing(core | details)
    if lacking:
        label = {item.key: item.label for item in form.items}[lacking[0]]
        sentence = _("A flag also needs: %(label)s.")
        raise Refused("incomplete", sentence % {"label": label})
    return details


def withdraw_flag(sheet: Sheet, given: wire.Unflag) -> None:
    """Take a flag back with the passages marked for it; rows and history stay."""
    flag = _own_flag(sheet, given.uid)
    sheet.check_open()
    now = timezone.now()
    flag.evidence.filter(withdrawn_at=None).update(withdrawn_at=now)
    Flag.objects.filter(pk=flag.pk, withdrawn_at=None).update(withdrawn_at=now)
    sheet.note(Step(kind=StepKind.UNFLAG, key=given.key, mark=flag.uid))


def _own_flag(sheet: Sheet, uid: UUID) -> Flag:
    flag = sheet.assignment.flags.filter(uid=uid).first()
    if flag is None:
        raise Refused("not_yours", _("This rating has no such flag."), status=404)
    return flag


def add_evidence(sheet: Sheet, given: wire.Evidence) -> Evidence:
    """Attach a turn or a passage to an item or to a flag; the same id again changes nothing."""
    known = Evidence.objects.filter(uid=given.uid).first()
    if known is not None and known.assignment_id != sheet.assignment.pk:
        raise Refused("not_yours", _("This mark belongs to another rating."), status=404)
    if given.flag is not None and (given.instrument or given.item):
        raise Refused("bad_place", _("A mark belongs to an item or to a flag, not to both."))
    if given.turn is None:
        raise Refused("bad_place", _("A mark needs its turn."))
    flag = row = None
    if given.flag is not None:
        flag = _own_flag(sheet, given.flag)
        if flag.withdrawn_at is not None:
            raise Refused("flag_withdrawn", _("This flag was taken back."), status=409)
    else:
        sheet.item(given.instrument, given.item)
        row = sheet.rows[given.instrument]
    _check_span(sheet, given)
    sheet.check_open()
    if known is not None and known.withdrawn_at is None:
        return known
    mark = known or Evidence(uid=given.uid, assignment=sheet.assignment)
    mark.instrument, mark.item, mark.flag = row, given.item, flag
    mark.turn_number, mark.start, mark.end = given.turn, given.start, given.end
    mark.withdrawn_at = None
    mark.save()
    sheet.note(Step(kind=StepKind.EVIDENCE, key=given.key, mark=mark.uid))
    return mark


def withdraw_evidence(sheet: Sheet, given: wire.Unmark) -> None:
    """Take a mark back; its row and history stay."""
    mark = sheet.assignment.evidence.filter(uid=given.uid).first()
    if mark is None:
        raise Refused("not_yours", _("This rating has no such mark."), status=404)
    sheet.check_open()
    if mark.withdrawn_at is None:
        mark.withdrawn_at = timezone.now()
        mark.save()
        sheet.note(Step(kind=StepKind.UNMARK, key=given.key, mark=mark.uid))


def _check_span(sheet: Sheet, place: wire.Span) -> None:
    """Refuse a turn that is not there, or a passage that does not lie inside it."""
    if (place.start is None) != (place.end is None):
        raise Refused("bad_place", _("A marked passage needs its beginning and its end."))
    if place.turn is None:
        if place.start is not None:
            raise Refused("bad_place", _("A marked passage needs its turn."))
        return
    turns = Turn.objects.filter(dialogue=sheet.assignment.study_dialogue.dialogue_id)
    text = turns.filter(number=place.turn).values_list("text", flat=True).first()
    if text is None:
        raise Refused("unknown_turn", _("This dialogue has no such turn."))
    if place.start is None or place.end is None:
        return
    if not place.start < place.end <= len(text):
        raise Refused("bad_place", _("The marked passage lies outside the turn."))
