"""The rating page: a dialogue beside the form, every answer saved when it is given."""

import json
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django_htmx.http import HttpResponseClientRedirect

from review import actions
from review.actions import Answer, Conflict, Refused, Saved
from review.actions.rating import instruments_of
from review.forms import AnswerForm, SpentForm, checked, stored_view, whole_form
from review.models import Assignment
from review.permissions import assignment_of
from review.views.page import rating_context
from sqpsych_site.roles import AuthenticatedRequest, Verb, require


@gzip_page
@require_http_methods(["GET", "POST"])
@require(Verb.RATE)
def rate(request: AuthenticatedRequest, uid: UUID) -> HttpResponseBase:
    """Show the dialogue with its form; a POST carries the whole form (scripts off, or submit)."""
    assignment = assignment_of(request.user, uid)
    if request.method == "GET":
        # The page before this one asks ahead of time; that is not yet looking at the dialogue.
        if not request.headers.get("X-SQPsych-Prefetch"):
            actions.open_assignment(assignment=assignment)
        return render_page(request, rating_context(assignment))
    try:
        return _post_whole(request, assignment)
    except Refused as refused:
        return page_again(request, uid, refused)


def _post_whole(request: AuthenticatedRequest, assignment: Assignment) -> HttpResponseBase:
    """Save everything that changed, then submit if asked to."""
    uid, spent = assignment.uid, SpentForm(request.POST).spent()
    refusals = []
    # The page's script saves answers one by one and submits without repeating them.
    if any(":" in name for name in request.POST):
        for given in whole_form(
            request.POST, stored_view(assignment, instruments_of(assignment))
        ):
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
    missing = actions.submit(uid=uid, by=request.user, spent=spent)
    if missing:
        again = assignment_of(request.user, uid)
        return render_page(request, rating_context(again, problems=missing), status=422)
    return _next(request, assignment)


def _next(request: AuthenticatedRequest, done: Assignment) -> HttpResponseBase:
    """Open the next dialogue at once, or the queue when all is done."""
    following = actions.next_assignment(by=request.user, after=done)
    if following is None:
        messages.success(request, "That was the last one for now. Thank you.")
        url = reverse("review:queue")
        return HttpResponseClientRedirect(url) if request.htmx else redirect(url)
    url = reverse("review:rate", args=[following.uid])
    if not request.htmx:
        return redirect(url)
    actions.open_assignment(assignment=following)
    if request.headers.get("X-SQPsych-Have") == f"{following.uid} {following.revision}":
        # The page holds the next dialogue already, as it is stored now.
        response = HttpResponse(status=204)
        response["HX-Trigger"] = json.dumps({"next-ready": {"uid": str(following.uid)}})
        return response
    response = render_page(request, rating_context(following, arrived=True))
    response["HX-Push-Url"] = url
    return response


def render_page(
    request: AuthenticatedRequest, context: dict[str, object], status: int = 200
) -> HttpResponse:
    """The whole page, or its workspace for a request by script."""
    template = "review/rate.html#workspace" if request.htmx else "review/rate.html"
    return render(request, template, context, status=status)


def page_again(request: AuthenticatedRequest, uid: UUID, refused: Refused) -> HttpResponseBase:
    """The page as it is stored, with what was refused on top."""
    assignment = assignment_of(request.user, uid)
    context = rating_context(assignment, refused=refused)
    return render_page(request, context, status=refused.status)


@require_POST
@require(Verb.RATE)
def answer(request: AuthenticatedRequest, uid: UUID) -> HttpResponseBase:
    """Save one answer or comment; the reply carries only what changed on the page."""
    form = AnswerForm(request.POST)
    try:
        checked(form)
        saved = actions.save_answer(uid=uid, by=request.user, answer=form.answer())
    except Refused as refused:
        return _refusal(form, refused)
    return saved_response(saved)


def saved_response(saved: Saved, **told: object) -> HttpResponse:
    """What the page needs to know about a stored answer: a few hundred bytes."""
    count = saved.standing.count(saved.section)
    context = {"open": saved.standing.open, "count": count, "id": saved.element}
    response = HttpResponse(render_to_string("review/_saved.html", context))
    told |= {"id": saved.element, "revision": saved.stored.revision}
    if saved.standing.conditional:
        told["hidden"] = sorted(saved.standing.hidden)
    response["HX-Trigger"] = json.dumps({"answer-saved": told})
    return response


def _refusal(form: AnswerForm, refused: Refused) -> HttpResponseBase:
    """Say what is wrong at the item itself; with a conflict, both versions."""
    element = (form.answer() if form.is_valid() else Answer("", "")).element
    conflict = refused if isinstance(refused, Conflict) else None
    context = {"refused": refused, "conflict": conflict, "id": element}
    response = HttpResponse(
        render_to_string("review/_refused.html", context), status=refused.status
    )
    told: dict[str, object] = {"id": element, "code": refused.code}
    if conflict:
        told |= {"revision": conflict.revision, "stored": conflict.stored}
    response["HX-Trigger"] = json.dumps({"answer-refused": told})
    return response


@require_POST
@require(Verb.RATE)
def comment(request: AuthenticatedRequest, uid: UUID) -> HttpResponseBase:
    """Save the words about the dialogue as a whole."""
    spent, words = SpentForm(request.POST).spent(), request.POST.get("comment", "")
    try:
        actions.save_comment(uid=uid, by=request.user, comment=words, spent=spent)
    except Refused as refused:
        return HttpResponse(refused.sentence, status=refused.status, content_type="text/plain")
    return HttpResponse(status=204) if request.htmx else redirect("review:rate", uid=uid)


@require_http_methods(["GET", "POST"])
@require(Verb.RATE)
def leave(request: AuthenticatedRequest, uid: UUID) -> HttpResponseBase:
    """Hand a dialogue back, with a reason."""
    assignment = assignment_of(request.user, uid)
    context = {
        "assignment": assignment,
        "code": assignment.study_dialogue.code,
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
