"""The rater's page with two dialogues side by side."""

from dataclasses import dataclass
from http import HTTPStatus
from itertools import takewhile
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST
from django_htmx.http import HttpResponseClientRedirect

from generation.models import Turn
from review import actions
from review.actions import Refused
from review.actions.comparisons import Judged, StaleComparison, as_side, reasons_of
from review.comparison_forms import JudgedForm
from review.models import AssignmentState, Comparison, StudyState
from sqpsych_site.roles import AuthenticatedRequest, Verb, require


@dataclass(frozen=True)
class Said:
    """One turn as the page shows it."""

    number: int
    role: str
    text: str


def _comparison_of(request: AuthenticatedRequest, uid: UUID) -> Comparison:
    rows = Comparison.objects.visible_to(request.user).select_related(
        "study", "pair__one", "pair__other"
    )
    return get_object_or_404(rows, uid=uid)


@require_http_methods(["GET", "POST"])
@require(Verb.RATE)
def compare(request: AuthenticatedRequest, uid: UUID) -> HttpResponseBase:
    """Show the pair; a POST carries the whole small form, saved as it is and submitted if asked."""
    comparison = _comparison_of(request, uid)
    if request.method == "GET":
        actions.open_comparison(comparison=comparison)
        return render(request, "review/compare.html", _context(comparison))
    form = JudgedForm(request.POST)
    try:
        if not form.is_valid():
            raise Refused("too_long", _("The comment is too long."))
        return _store(request, comparison, form.judged())
    except Refused as refused:
        if refused.status == HTTPStatus.NOT_FOUND:
            raise Http404 from None
        given = form.judged() if form.is_valid() else Judged("")
        context = _context(_comparison_of(request, uid), given) | {"refused": refused}
        if isinstance(refused, StaleComparison):
            context["stored"] = _in_words(refused.stored)
        part = "#judgment" if request.htmx else ""
        return render(request, f"review/compare.html{part}", context, status=refused.status)


def _store(
    request: AuthenticatedRequest, comparison: Comparison, judged: Judged
) -> HttpResponseBase:
    uid, submits = comparison.uid, request.POST.get("action") == "submit"
    saved = actions.save_comparison(uid=uid, by=request.user, judged=judged)
    if submits:
        actions.submit_comparison(uid=uid, by=request.user)
        return _next(request, comparison)
    if request.htmx:
        context = {"comparison": saved, "now": timezone.localtime()}
        return render(request, "review/compare.html#saved", context)
    messages.success(request, _("Saved."))
    return redirect("review:compare", uid=uid)


def _next(request: AuthenticatedRequest, done: Comparison) -> HttpResponseBase:
    following = actions.next_comparison(by=request.user, after=done)
    if following is None:
        messages.success(request, _("That was the last pair for now. Thank you."))
        url = reverse("review:queue")
    else:
        url = reverse("review:compare", args=[following.uid])
    if not request.htmx:
        return redirect(url)
    if following is None:
        return HttpResponseClientRedirect(url)
    actions.open_comparison(comparison=following)
    context = _context(_comparison_of(request, following.uid)) | {"arrived": True}
    response = render(request, "review/compare.html#pair", context)
    response["HX-Push-Url"] = url
    return response


def _context(comparison: Comparison, given: Judged | None = None) -> dict[str, Any]:
    """Everything the page shows; ``given`` is what a refused request said."""
    pair = comparison.pair
    left, right = (pair.other, pair.one) if comparison.swapped else (pair.one, pair.other)
    turns: dict[int, list[Said]] = {left.dialogue_id: [], right.dialogue_id: []}
    rows = Turn.objects.filter(dialogue__in=turns).order_by("dialogue_id", "number")
    for dialogue, number, role, text in rows.values_list("dialogue_id", "number", "role", "text"):
        turns[dialogue].append(Said(number, role, text))
    ours, theirs = turns[left.dialogue_id], turns[right.dialogue_id]
    shared = _same_beginning(ours, theirs)
    mine = Comparison.objects.filter(study=comparison.study_id, rater=comparison.rater_id)
    states = mine.values_list("state", flat=True)
    done = sum(state == AssignmentState.SUBMITTED for state in states)
    total = sum(state != AssignmentState.RETURNED for state in states)
    takes = StudyState(comparison.study.state).takes_ratings
    return {
        "comparison": comparison,
        "study": comparison.study,
        "question": comparison.study.settings.get("question", ""),
        "reasons": list(reasons_of(comparison.study).items()),
        "chosen": given.reasons if given else comparison.reasons,
        "side": given.side if given else as_side(comparison.choice, comparison.swapped),
        "comment": given.comment if given else comparison.comment,
        "shared": ours[:shared],
        "columns": [("left", ours[shared:]), ("right", theirs[shared:])],
        "done": done,
        "total": total,
        "read_only": not takes or comparison.state in {"submitted", "returned"},
        "may_reopen": takes and comparison.state in {"submitted", "returned"},
        "return_reasons": actions.RETURN_REASONS.items(),
    }


def _same_beginning(ours: list[Said], theirs: list[Said]) -> int:
    """How many turns both begin with: two replies to one prompt are shown under the prompt."""
    same = takewhile(lambda both: both[0] == both[1], zip(ours, theirs, strict=False))
    return len(list(same))


def _in_words(stored: Comparison) -> str:
    side = as_side(stored.choice, stored.swapped)
    return {
        "left": _("the left one"),
        "right": _("the right one"),
        "tie": _("both alike"),
        "": _("no choice yet"),
    }[side]


def _refused(request: AuthenticatedRequest, refused: Refused) -> None:
    """Tell why on the next page; what is not this rater's does not exist for them."""
    if refused.status == HTTPStatus.NOT_FOUND:
        raise Http404
    messages.error(request, refused.sentence)


@require_POST
@require(Verb.RATE)
def reopen_comparison(request: AuthenticatedRequest, uid: UUID) -> HttpResponseBase:
    """Take a submitted or handed-back pair up again."""
    try:
        actions.reopen_comparison(uid=uid, by=request.user)
    except Refused as refused:
        _refused(request, refused)
    return redirect("review:compare", uid=uid)


@require_POST
@require(Verb.RATE)
def leave_comparison(request: AuthenticatedRequest, uid: UUID) -> HttpResponseBase:
    """Hand a pair back, with a reason."""
    reason = request.POST.get("reason", "")
    try:
        actions.hand_back_comparison(uid=uid, by=request.user, reason=reason)
    except Refused as refused:
        _refused(request, refused)
        return redirect("review:compare", uid=uid)
    messages.success(request, _("The pair was handed back."))
    return redirect("review:queue")
