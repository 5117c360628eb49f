"""Evidence and safety flags on the rating page: attached, raised and taken back."""

from uuid import UUID

from django.http import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from review import actions
from review.actions import Refused
from review.actions.rating import definition_of, instruments_of
from review.forms import EvidenceFields, FlagFields, checked
from review.instruments import FlagForm
from review.models import Assignment
from review.permissions import assignment_of
from review.views.page import Page, rating_context, read_page
from review.views.rating import page_again
from sqpsych_site.roles import AuthenticatedRequest, Verb, require


@require_POST
@require(Verb.RATE)
def evidence(request: AuthenticatedRequest, uid: UUID) -> HttpResponseBase:
    """Attach a turn or a passage to an item."""
    fields = EvidenceFields(request.POST)
    try:
        checked(fields)
        form, item = fields.item()
        mark = actions.add_evidence(
            uid=uid,
            by=request.user,
            evidence_uid=fields.mark(),
            instrument=form,
            item=item,
            place=fields.place(),
        )
    except Refused as refused:
        return _mark_refused(request, uid, refused)
    return _after_mark(request, uid, f"{form}-{item}", mark.turn_number)


@require_POST
@require(Verb.RATE)
def withdraw_evidence(
    request: AuthenticatedRequest, uid: UUID, evidence_uid: UUID
) -> HttpResponseBase:
    """Take a mark back."""
    try:
        mark = actions.withdraw_evidence(uid=uid, by=request.user, evidence_uid=evidence_uid)
    except Refused as refused:
        return _mark_refused(request, uid, refused)
    return _after_mark(request, uid, f"{mark.instrument.key}-{mark.item}", mark.turn_number)


def _mark_refused(request: AuthenticatedRequest, uid: UUID, refused: Refused) -> HttpResponseBase:
    if not request.htmx:
        return page_again(request, uid, refused)
    return render(request, "review/_mark_refused.html", {"refused": refused}, status=refused.status)


def _after_mark(
    request: AuthenticatedRequest, uid: UUID, item_id: str, turn: int
) -> HttpResponseBase:
    """The turn and the item's list of marks as they are now."""
    if not request.htmx:
        return redirect(reverse("review:rate", args=[uid]) + f"#{item_id}")
    page = read_page(assignment_of(request.user, uid))
    item = next((one for one in page.form.items if one.id == item_id), None)
    context = {"item": item, "turn": page.turn(turn), "assignment": uid, "swapped": True}
    return render(request, "review/_marked.html", context | {"read_only": page.read_only})


def _flag_form(assignment: Assignment) -> FlagForm:
    for row in instruments_of(assignment):
        form = definition_of(row).safety
        if form is not None:
            return form
    raise Refused("no_flags", "This study takes no safety flags.")


@require_POST
@require(Verb.RATE)
def flag(request: AuthenticatedRequest, uid: UUID) -> HttpResponseBase:
    """Raise or change a safety flag."""
    assignment = assignment_of(request.user, uid)
    fields = FlagFields(request.POST)
    try:
        checked(fields)
        flag_uid, given = fields.flag(_flag_form(assignment))
        raised = actions.raise_flag(uid=uid, by=request.user, flag_uid=flag_uid, flag=given)
    except Refused as refused:
        if not request.htmx:
            return page_again(request, uid, refused)
        context = rating_context(assignment_of(request.user, uid), flag_refused=refused)
        return render(request, "review/rate.html#flags", context, status=refused.status)
    return _after_flag(request, uid, raised.turn_number)


@require_POST
@require(Verb.RATE)
def withdraw_flag(request: AuthenticatedRequest, uid: UUID, flag_uid: UUID) -> HttpResponseBase:
    """Take a flag back."""
    try:
        flag = actions.withdraw_flag(uid=uid, by=request.user, flag_uid=flag_uid)
    except Refused as refused:
        return page_again(request, uid, refused)
    return _after_flag(request, uid, flag.turn_number)


def _after_flag(
    request: AuthenticatedRequest, uid: UUID, turn: int | None
) -> HttpResponseBase:
    if not request.htmx:
        return redirect(reverse("review:rate", args=[uid]) + "#flags")
    assignment = assignment_of(request.user, uid)
    page: Page = read_page(assignment)
    changed = page.turn(turn) if turn is not None else None
    context = rating_context(assignment, changed_turn=changed)
    return render(request, "review/rate.html#flags", context)
