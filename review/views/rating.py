"""The rating page: a dialogue beside the form, every answer saved when it is given."""

import json
from http import HTTPStatus
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django_htmx.http import HttpResponseClientRedirect

from review import actions
from review.actions import Answer, Conflict, Refused
from review.actions.rating import instruments_of
from review.forms import AnswerForm, FlagFields, checked, stored_view, whole_form
from review.models import Assignment
from review.permissions import assignment_of
from review.views.page import rating_context
from sqpsych_site.roles import AuthenticatedRequest, Verb, require


@require_http_methods(["GET", "POST"])
@require(Verb.RATE)
def rate(request: AuthenticatedRequest, uid: UUID) -> HttpResponseBase:
    """Show the dialogue with its form; a POST carries the whole form (scripts off, or submit)."""
    assignment = assignment_of(request.user, uid)
    if request.method == "GET":
        actions.open_assignment(assignment=assignment)
        return render(request, "review/rate.html", rating_context(assignment))
    try:
        return _post_whole(request, assignment)
    except Refused as refused:
        return _page_again(request, uid, refused)


def _post_whole(request: AuthenticatedRequest, assignment: Assignment) -> HttpResponseBase:
    """Save everything that changed, then submit if asked to."""
    uid = assignment.uid
    form = stored_view(assignment, instruments_of(assignment))
    refusals = []
    for given in whole_form(request.POST, form):
        try:
            actions.save_answer(uid=uid, by=request.user, answer=given)
        except Refused as refused:
            refusals.append(refused)  # the other answers are kept all the same
    if "comment" in request.POST:
        actions.save_comment(uid=uid, by=request.user, comment=request.POST["comment"])
    if refusals:
        raise refusals[0]
    if request.POST.get("action") != "submit":
        messages.success(request, "Saved.")
        return redirect("review:rate", uid=uid)
    missing = actions.submit(uid=uid, by=request.user)
    if missing:
        again = assignment_of(request.user, uid)
        return _render(request, rating_context(again, problems=missing), status=422)
    return _next(request, assignment)


def _next(request: AuthenticatedRequest, done: Assignment) -> HttpResponseBase:
    """Open the next dialogue at once, or the queue when all is done."""
    if (feedback := actions.after_submit(done)) is not None:
        return HttpResponseClientRedirect(feedback) if request.htmx else redirect(feedback)
    following = actions.next_assignment(by=request.user, after=done)
    if following is None:
        messages.success(request, "That was the last one for now. Thank you.")
        url = reverse("review:queue")
        return HttpResponseClientRedirect(url) if request.htmx else redirect(url)
    url = reverse("review:rate", args=[following.uid])
    if not request.htmx:
        return redirect(url)
    actions.open_assignment(assignment=following)
    assignment = assignment_of(request.user, following.uid)
    response = _render(request, rating_context(assignment, arrived=True))
    response["HX-Push-Url"] = url
    return response


def _render(
    request: AuthenticatedRequest, context: dict[str, object], status: int = 200
) -> HttpResponse:
    template = "review/rate.html#workspace" if request.htmx else "review/rate.html"
    return render(request, template, context, status=status)


def _page_again(request: AuthenticatedRequest, uid: UUID, refused: Refused) -> HttpResponseBase:
    _check_found(refused)
    assignment = assignment_of(request.user, uid)
    context = rating_context(assignment, refused=refused)
    return _render(request, context, status=refused.status)


def _check_found(refused: Refused) -> None:
    """What is not this rater's does not exist for them."""
    if refused.status == HTTPStatus.NOT_FOUND:
        raise Http404


@require_POST
@require(Verb.RATE)
def answer(request: AuthenticatedRequest, uid: UUID) -> HttpResponseBase:
    """Save one answer or comment; the reply carries only what changed on the page."""
    form = AnswerForm(request.POST)
    try:
        checked(form)
        given = form.answer()
        rating = actions.save_answer(uid=uid, by=request.user, answer=given)
    except Refused as refused:
        return _refusal(request, form, refused)
    assignment = rating.assignment
    response = render(
        request,
        "review/rate.html#saved",
        {
            "form": stored_view(assignment, instruments_of(assignment)),
            "instrument": given.instrument,
            "item": given.item,
        },
    )
    saved = {"id": f"{given.instrument}-{given.item}", "revision": rating.revision}
    response["HX-Trigger"] = json.dumps({"answer-saved": saved})
    return response


def _refusal(request: AuthenticatedRequest, form: AnswerForm, refused: Refused) -> HttpResponseBase:
    """Say what is wrong at the item itself; with a conflict, both versions."""
    given = form.answer() if form.is_valid() else Answer("", "")
    response = render(
        request,
        "review/rate.html#refused",
        {
            "refused": refused,
            "conflict": refused if isinstance(refused, Conflict) else None,
            "id": f"{given.instrument}-{given.item}",
        },
        status=refused.status,
    )
    told = {"id": f"{given.instrument}-{given.item}", "code": refused.code}
    if isinstance(refused, Conflict):
        told |= {"revision": refused.revision, "stored": refused.stored}  # type: ignore[dict-item]
    response["HX-Trigger"] = json.dumps({"answer-refused": told})
    return response


@require_POST
@require(Verb.RATE)
def comment(request: AuthenticatedRequest, uid: UUID) -> HttpResponseBase:
    """Save the words about the dialogue as a whole."""
    try:
        actions.save_comment(uid=uid, by=request.user, comment=request.POST.get("comment", ""))
    except Refused as refused:
        return HttpResponse(refused.sentence, status=refused.status, content_type="text/plain")
    return HttpResponse(status=204) if request.htmx else redirect("review:rate", uid=uid)


@require_POST
@require(Verb.RATE)
def flag(request: AuthenticatedRequest, uid: UUID) -> HttpResponseBase:
    """Raise or change a safety flag."""
    assignment = assignment_of(request.user, uid)
    fields = FlagFields(request.POST)
    try:
        checked(fields)
        flag_form = stored_view(assignment, instruments_of(assignment)).flag_form
        if flag_form is None:
            raise Refused("no_flags", "This study takes no safety flags.")
        flag_uid, given = fields.flag(flag_form)
        actions.raise_flag(uid=uid, by=request.user, flag_uid=flag_uid, flag=given)
    except Refused as refused:
        if not request.htmx:
            return _page_again(request, uid, refused)
        _check_found(refused)
        context = rating_context(assignment_of(request.user, uid), flag_refused=refused)
        return render(request, "review/rate.html#flags", context, status=refused.status)
    return _after_flag(request, uid)


@require_POST
@require(Verb.RATE)
def withdraw_flag(request: AuthenticatedRequest, uid: UUID, flag_uid: UUID) -> HttpResponseBase:
    """Take a flag back."""
    try:
        actions.withdraw_flag(uid=uid, by=request.user, flag_uid=flag_uid)
    except Refused as refused:
        return _page_again(request, uid, refused)
    return _after_flag(request, uid)


def _after_flag(request: AuthenticatedRequest, uid: UUID) -> HttpResponseBase:
    if not request.htmx:
        return redirect(reverse("review:rate", args=[uid]) + "#flags")
    context = rating_context(assignment_of(request.user, uid), swapped=True)
    return render(request, "review/rate.html#flags", context)


@require_http_methods(["GET", "POST"])
@require(Verb.RATE)
def leave(request: AuthenticatedRequest, uid: UUID) -> HttpResponseBase:
    """Hand a dialogue back, with a reason."""
    assignment = assignment_of(request.user, uid)
    context = {
        "assignment": assignment,
        "code": assignment.code,
        "reasons": actions.RETURN_REASONS.items(),
    }
    if request.method == "GET":
        return render(request, "review/leave.html", context)
    reason, note = request.POST.get("reason", ""), request.POST.get("note", "")
    try:
        actions.hand_back(uid=uid, by=request.user, reason=reason, note=note)
    except Refused as refused:
        context |= {"refused": refused, "reason": reason, "note": note}
        return render(request, "review/leave.html", context, status=refused.status)
    messages.success(request, f"Dialogue {context['code']} was handed back.")
    return redirect("review:queue")


@require_POST
@require(Verb.RATE)
def reopen(request: AuthenticatedRequest, uid: UUID) -> HttpResponseBase:
    """Take a submitted or handed-back dialogue up again."""
    try:
        actions.reopen(uid=uid, by=request.user)
    except Refused as refused:
        _check_found(refused)
        messages.error(request, refused.sentence)
        return redirect("review:queue")
    return redirect("review:rate", uid=uid)


@require_GET
@require(Verb.RATE)
def previous(request: AuthenticatedRequest, uid: UUID) -> HttpResponseBase:
    """The dialogue before this one in the rater's own order."""
    here = assignment_of(request.user, uid)
    before = (
        Assignment.objects.visible_to(request.user)
        .filter(study_id=here.study_id, position__lt=here.position)
        .order_by("-position")
        .first()
    )
    return redirect("review:rate", uid=(before or here).uid)
