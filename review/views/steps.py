"""Undo, redo, and the history of one's own answers."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from review import actions
from review.actions import Refused, Way
from review.actions.history import Change, way_of
from review.actions.rating import instruments_of
from review.form_view import Question, questions
from review.forms import StepForm, checked
from review.models import Assignment
from review.permissions import assignment_of
from review.views.markup import language
from review.views.rating import page_again, saved_response
from sqpsych_site.roles import AuthenticatedRequest, Verb, require


@require_POST
@require(Verb.RATE)
def step(request: AuthenticatedRequest, uid: UUID) -> HttpResponseBase:
    """Take the last change of an answer back, or bring it again."""
    form = StepForm(request.POST)
    try:
        checked(form)
        way, key = form.cleaned_data["way"], form.cleaned_data["key"] or uuid4()
        saved = actions.step_back(uid=uid, by=request.user, way=way, key=key)
    except Refused as refused:
        if request.htmx:
            return HttpResponse(refused.sentence, status=refused.status, content_type="text/plain")
        return page_again(request, uid, refused)
    nothing = "There is nothing to undo." if way is Way.UNDO else "There is nothing to redo."
    if not request.htmx:
        if saved is None:
            messages.info(request, nothing)
        return redirect("review:rate", uid=uid)
    if saved is None:
        return HttpResponse(nothing, content_type="text/plain", headers={"HX-Reswap": "none"})
    return saved_response(saved, value=saved.stored.value, comment=saved.stored.comment)


@dataclass(frozen=True)
class Line:
    """One change in words; ``how`` tells an undo or redo from an answer given."""

    at: datetime
    number: int
    label: str
    turn: int | None
    before: str
    after: str
    comment: str
    how: str


def _words(question: Question, value: str) -> str:
    """A stored value as the form words it."""
    labels = {point.value: point.label for point in question.points}
    return ", ".join(labels.get(part, part) for part in value.split("|")) if labels else value


def _lines(assignment: Assignment, changes: list[Change]) -> Iterator[Line]:
    asked = {row.pk: questions(row.toml, language()) for row in instruments_of(assignment)}
    for change in changes:
        instrument, item, turn = change.slot
        question = asked[instrument][item]
        changed = change.before.comment != change.after.comment
        way = way_of(change.after.key)
        yield Line(
            at=change.at,
            number=question.number,
            label=question.label,
            turn=turn,
            before=_words(question, change.before.value),
            after=_words(question, change.after.value),
            comment=change.after.comment if changed else "",
            how=way.name.lower() if way is not None else "",
        )


@require_GET
@require(Verb.RATE)
def answer_history(request: AuthenticatedRequest, uid: UUID) -> HttpResponse:
    """Everything the rater has answered and changed in this dialogue, newest first."""
    assignment = assignment_of(request.user, uid)
    lines = list(_lines(assignment, actions.history(assignment=assignment)))
    context = {"assignment": assignment, "lines": lines, "code": assignment.study_dialogue.code}
    return render(request, "review/history.html", context)
