"""Adjudication: the coordinator's plan, an adjudicator's queue, and one dialogue to decide."""

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from generation.views.page import SeeOther
from review import actions
from review.actions import Refused
from review.adjudication import Case, appointed, case_of, cases_of, plan_of
from review.adjudication_forms import PlanForm
from review.disputes import Dispute
from review.models import (
    Adjudication,
    Assignment,
    AssignmentKind,
    AssignmentState,
    Evidence,
    Flag,
    Rating,
    Study,
    StudyRater,
)
from review.views.study_setup import rating_study
from review.views.study_tabs import study_tabs
from sqpsych_site.models import User
from sqpsych_site.roles import AuthenticatedRequest, Verb, require


@require_http_methods(["GET", "POST"])
@require(Verb.MANAGE_STUDIES)
def adjudication_plan(request: AuthenticatedRequest, study_id: int) -> HttpResponseBase:
    """What counts as a disagreement, who decides, and what is decided so far."""
    study = rating_study(study_id)
    form = PlanForm(study, request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            actions.plan_adjudication(study=study, by=request.user, **form.as_arguments())
        except Refused as refused:
            form.add_error(None, refused.sentence)
        else:
            messages.success(request, "The adjudication is set.")
            return SeeOther(reverse("review:adjudication_plan", args=[study.pk]))
    cases = cases_of(study, None)
    mine = appointed(request.user).filter(study=study).exists()
    context = {
        "study": study,
        "tabs": study_tabs(study, request.user, "adjudication"),
        "form": form,
        "plan": plan_of(study),
        "cases": cases,
        "disputes": sum(len(case.disputes) for case in cases),
        "left": sum(case.left for case in cases),
        "decisions": _decisions(study),
        "mine": mine,
    }
    return render(request, "review/adjudication_plan.html", context, status=_status(form))


def _status(form: PlanForm) -> int:
    return 422 if form.is_bound and form.errors else 200


def _decisions(study: Study) -> list[Adjudication]:
    rows = Adjudication.objects.filter(study_dialogue__study=study)
    return list(
        rows.select_related("study_dialogue", "decided_by", "instrument").order_by("-updated_at")[
            :100
        ]
    )


@require_GET
@require(Verb.ADJUDICATE)
def adjudications(request: AuthenticatedRequest) -> HttpResponse:
    """The studies in which this person decides; 404 for whoever is appointed nowhere."""
    rows = appointed(request.user).select_related("study").order_by("-study_id")
    found = [(one.study, cases_of(one.study, request.user)) for one in rows]
    if not found:
        raise Http404
    context = {
        "studies": [
            (study, len(cases), sum(case.left > 0 for case in cases)) for study, cases in found
        ]
    }
    return render(request, "review/adjudications.html", context)


def _my_study(request: AuthenticatedRequest, study_id: int) -> Study:
    row = appointed(request.user).filter(study=study_id).select_related("study").first()
    if row is None:
        raise Http404
    return row.study


@require_GET
@require(Verb.ADJUDICATE)
def adjudication_queue(request: AuthenticatedRequest, study_id: int) -> HttpResponse:
    """The dialogues to decide, those furthest apart first."""
    study = _my_study(request, study_id)
    cases = cases_of(study, request.user)
    context = {
        "study": study,
        "cases": cases,
        "left": sum(case.left > 0 for case in cases),
        "next": next((case for case in cases if case.left), None),
    }
    return render(request, "review/adjudication_queue.html", context)


@dataclass(frozen=True)
class Judgment:
    """What one rater said about one disputed point."""

    rater: str
    value: str
    said: str
    comment: str
    places: tuple[tuple[int, str], ...]
    notes: tuple[str, ...]


@require_http_methods(["GET", "POST"])
@require(Verb.ADJUDICATE)
def adjudicate(request: AuthenticatedRequest, study_id: int, code: str) -> HttpResponseBase:
    """One dialogue with all judgments side by side; each point is decided with a reason."""
    study = _my_study(request, study_id)
    problem: dict[str, Any] = {}
    if request.method == "POST":
        given = {name: request.POST.get(name, "") for name in ("dispute", "value", "reason")}
        try:
            actions.decide(study=study, code=code, by=request.user, **given)
        except Refused as refused:
            if refused.status == 404:
                raise Http404 from None
            problem = {**given, "sentence": refused.sentence}
        else:
            messages.success(request, _("Decided. The ratings stay as they are."))
            address = reverse("review:adjudicate", args=[study.pk, code])
            return SeeOther(f"{address}#{_next_place(study, request.user, code)}")
    case = case_of(study, request.user, code)
    if case is None:
        raise Http404
    context = {
        "study": study,
        "case": case,
        "points": _points(case),
        "turns": case.dialogue.dialogue.turns.values_list("number", "role", "text"),
        "problem": problem,
        "following": _following(study, request.user, code),
    }
    return render(request, "review/adjudicate.html", context, status=422 if problem else 200)


def _next_place(study: Study, person: User, code: str) -> str:
    case = case_of(study, person, code)
    if case:
        for number, one in enumerate(case.disputes, start=1):
            if one.key not in case.decided:
                return f"point-{number}"
    return "main"


def _following(study: Study, person: User, code: str) -> str:
    """The next dialogue with something left, or nothing."""
    cases = (case for case in cases_of(study, person) if case.left)
    return next((case.dialogue.code for case in cases if case.dialogue.code != code), "")


def _points(case: Case) -> list[tuple[Dispute, list[Judgment], Adjudication | None]]:
    study = case.dialogue.study_id
    names = dict(StudyRater.objects.filter(study=study).values_list("rater_id", "code"))
    works = {
        work.pk: names.get(work.rater_id, "?")
        for work in Assignment.objects.filter(
            study_dialogue=case.dialogue,
            kind=AssignmentKind.LIVE,
            state=AssignmentState.SUBMITTED,
        )
    }
    texts = dict(case.dialogue.dialogue.turns.values_list("number", "text"))
    found = _Found(works, texts)
    return [
        (
            one,
            [found.judgment(one, rater) for rater in sorted(one.answers)],
            case.decided.get(one.key),
        )
        for one in case.disputes
    ]


class _Found:
    """Comments, marked passages and flags of one dialogue, by rater. Three queries."""

    def __init__(self, works: dict[int, str], texts: dict[int, str]) -> None:
        self.texts = texts
        self.comments = {
            (works[work], form, item, turn): comment
            for work, form, item, turn, comment in Rating.objects.filter(
                assignment__in=list(works)
            ).values_list("assignment", "instrument__key", "item", "turn_number", "comment")
        }
        marks = Evidence.objects.filter(assignment__in=list(works), withdrawn_at=None)
        self.marks = [
            (works[one.assignment_id], one)
            for one in marks.select_related("instrument", "flag").order_by("turn_number", "start")
        ]
        flags = Flag.objects.filter(assignment__in=list(works), withdrawn_at=None)
        self.flags = [(works[one.assignment_id], one) for one in flags.order_by("turn_number")]

    def judgment(self, dispute: Dispute, rater: str) -> Judgment:
        """What this rater said about the disputed point."""
        value = dispute.answers[rater]
        flags = [
            one for who, one in self.flags if who == rater and one.category == dispute.category
        ]
        marks = [
            one
            for who, one in self.marks
            if who == rater
            and (one.flag in flags if dispute.category else self._belongs(one, dispute))
        ]
        places = [self._place(one.turn_number, one.start, one.end) for one in marks]
        places += [self._place(f.turn_number, f.start, f.end) for f in flags if f.turn_number]
        return Judgment(
            rater=rater,
            value=value,
            said=dispute.said(value) if value else _("no answer"),
            comment=self.comments.get((rater, dispute.instrument, dispute.item, dispute.turn), ""),
            places=tuple(places),
            notes=tuple(one.note for one in flags if one.note),
        )

    def _belongs(self, mark: Evidence, dispute: Dispute) -> bool:
        """Whether a passage was marked for the disputed item, at the disputed turn if any."""
        return (
            mark.instrument is not None
            and mark.instrument.key == dispute.instrument
            and mark.item == dispute.item
            and dispute.turn in (None, mark.turn_number)
        )

    def _place(self, turn: int | None, start: int | None, end: int | None) -> tuple[int, str]:
        text = self.texts.get(turn or 0, "")
        return turn or 0, text[start:end] if start is not None else ""
