"""The rating page: a dialogue beside the form, every answer saved when it is given."""

from http import HTTPStatus
from uuid import UUID, uuid4

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django_htmx.http import HttpResponseClientRedirect

from review import actions, wire
from review.actions import Refused
from review.actions.rating import definition_of, instruments_of
from review.forms import (
    FlagFields,
    checked,
    refused_answers,
    whole_form,
)
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
        return _page(request, assignment)
    try:
        return _post_whole(request, assignment)
    except Refused as refused:
        return _page_again(request, uid, refused)


@gzip_page
def _page(request: AuthenticatedRequest, assignment: Assignment) -> HttpResponse:
    return render(request, "review/rate.html", rating_context(assignment))


def _post_whole(request: AuthenticatedRequest, assignment: Assignment) -> HttpResponseBase:
    """Save everything that changed, then submit if asked to."""
    uid, final = assignment.uid, request.POST.get("action") == "submit"
    forms = [definition_of(row) for row in instruments_of(assignment)]
    operations = whole_form(request.POST, forms, uid)
    sent = actions.submit(uid=uid, by=request.user, operations=operations, final=final)
    if sent.done:
        return _next(request, assignment)
    if sent.refused or sent.missing:
        problems = [*refused_answers(sent.refused), *sent.missing]
        context = rating_context(assignment_of(request.user, uid), problems=problems)
        if not sent.refused:
            return _render(request, context, status=HTTPStatus.UNPROCESSABLE_ENTITY)
        told = context["refused"] = sent.refused[0][1]
        return _render(request, context, status=told["status"])
    messages.success(request, _("Saved."))
    return redirect("review:rate", uid=uid)


def _next(request: AuthenticatedRequest, done: Assignment) -> HttpResponseBase:
    """Open the next dialogue at once, or the queue when all is done."""
    if (feedback := actions.after_submit(done)) is not None:
        return HttpResponseClientRedirect(feedback) if request.htmx else redirect(feedback)
    following = actions.next_assignment(by=request.user, after=done)
    if following is None:
        messages.success(request, _("That was the last one for now. Thank you."))
        url = reverse("review:queue")
        return HttpResponseClientRedirect(url) if request.htmx else redirect(url)
    url = reverse("review:rate", args=[following.uid])
    if not request.htmx:
        return redirect(url)
    if not actions.open_assignment(assignment=following):
        # Opened before, or given to somebody else in this moment.
        following = assignment_of(request.user, following.uid)
    if request.headers.get("X-Prefetched") == str(following.uid):
        held = {"X-Next": str(following.uid), "HX-Push-Url": url}
        return HttpResponse(status=HTTPStatus.NO_CONTENT, headers=held)
    response = _render(request, rating_context(following))
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
def flag(request: AuthenticatedRequest, uid: UUID) -> HttpResponseBase:
    """Raise or change a safety flag, with scripts off."""
    assignment = assignment_of(request.user, uid)
    fields = FlagFields(request.POST)
    try:
        checked(fields)
        definitions = [definition_of(row) for row in instruments_of(assignment)]
        flag_form = next((one.safety for one in definitions if one.safety), None)
        if flag_form is None:
            raise Refused("no_flags", _("This study takes no safety flags."))
        _save_one(request, uid, fields.operation(flag_form))
    except Refused as refused:
        return _page_again(request, uid, refused)
    return redirect(reverse("review:rate", args=[uid]) + "#flags")


@require_POST
@require(Verb.RATE)
def withdraw_flag(request: AuthenticatedRequest, uid: UUID, flag_uid: UUID) -> HttpResponseBase:
    """Take a flag back, with scripts off."""
    try:
        _save_one(request, uid, wire.Unflag(key=uuid4(), uid=flag_uid))
    except Refused as refused:
        return _page_again(request, uid, refused)
    return redirect(reverse("review:rate", args=[uid]) + "#flags")


def _save_one(
    request: AuthenticatedRequest, uid: UUID, asked: wire.AnyOperation | wire.Malformed
) -> None:
    """Carry out one operation, or say why not."""
    told = actions.save(uid=uid, by=request.user, operations=[asked]).results[0]
    if told["status"] != HTTPStatus.OK:
        raise Refused(told["code"], told["sentence"], status=told["status"])


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
    messages.success(request, _("Dialogue %(code)s was handed back.") % {"code": assignment.code})
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
