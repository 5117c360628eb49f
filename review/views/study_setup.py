"""A study before it begins: the form, its design, and how it begins."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from generation.views.page import SeeOther, go_to, show
from review import actions
from review.actions import Refused
from review.draft_forms import StudyForm, TextsForm, initial_of
from review.models import Study, StudyKind, StudyState
from review.precision import EXPECTED, agreement_width, dialogues_needed, part_width
from review.study_forms import PrecisionForm
from review.views.study_tabs import study_tabs
from sqpsych_site.roles import AuthenticatedRequest, Verb, require

FIELD_OF = {
    "no_name": "name",
    "name_taken": "name",
    "overlap": "overlap",
    "no_dialogues": "dialogues",
    "too_many": "dialogues",
    "not_a_rater": "raters",
    "inactive_rater": "raters",
    "unknown_rater": "raters",
    "expert": "expert",
    "training": "training_from",
    "training_size": "training",
}


def rating_study(study_id: int) -> Study:
    """The study, if dialogues are rated one by one in it; else 404."""
    rows = Study.objects.select_related("created_by")
    return get_object_or_404(rows, pk=study_id, kind=StudyKind.RATING)


def study_url(name: str, study: Study) -> str:
    """The address of a page about a study."""
    return reverse(f"review:{name}", args=[study.pk])


@require_http_methods(["GET", "POST"])
@require(Verb.MANAGE_STUDIES)
def study_create(request: AuthenticatedRequest) -> HttpResponseBase:
    """The form of a new study; ``?batch=ID`` chooses its dialogues beforehand."""
    if request.method == "GET":
        batch = request.GET.get("batch", "")
        initial = {"dialogues": [batch]} if batch.isdecimal() else {}
        return _form_page(request, StudyForm(initial=initial))
    form = StudyForm(request.POST)
    if _asks_for_preview(request, form) or not form.is_valid():
        return _form_page(request, form)
    try:
        made = actions.draft_study(
            name=form.cleaned_data["name"], wishes=form.wishes(), by=request.user
        )
    except Refused as refused:
        return _refused(request, form, refused)
    return go_to(request, study_url("study_design", made))


@require_http_methods(["GET", "POST"])
@require(Verb.MANAGE_STUDIES)
def study_edit(request: AuthenticatedRequest, study_id: int) -> HttpResponseBase:
    """A draft again in its form; of a study that has begun only what raters are told."""
    study = rating_study(study_id)
    if study.state != StudyState.DRAFT:
        return _edit_texts(request, study)
    if request.method == "GET":
        return _form_page(request, StudyForm(initial=initial_of(study), draft=study))
    form = StudyForm(request.POST, draft=study)
    if _asks_for_preview(request, form) or not form.is_valid():
        return _form_page(request, form)
    try:
        actions.revise_study(
            study=study, name=form.cleaned_data["name"], wishes=form.wishes(), by=request.user
        )
    except Refused as refused:
        return _refused(request, form, refused)
    return go_to(request, study_url("study_design", study))


def _asks_for_preview(request: AuthenticatedRequest, form: StudyForm) -> bool:
    return request.POST.get("action") == "preview" and form.is_valid()


def _refused(request: AuthenticatedRequest, form: StudyForm, refused: Refused) -> HttpResponseBase:
    form.add_error(FIELD_OF.get(refused.code), refused.sentence)
    return _form_page(request, form)


def _form_page(request: AuthenticatedRequest, form: StudyForm) -> HttpResponse:
    fits = form.is_bound and form.is_valid() and request.POST.get("action") == "preview"
    context = {
        "form": form,
        "draft": form.draft,
        "preview": form.sample() if fits else None,
        "url": request.path,
    }
    status = 422 if form.errors else 200
    return show(request, "review/study_new.html", context, part="form", status=status)


def _edit_texts(request: AuthenticatedRequest, study: Study) -> HttpResponseBase:
    known = {"deadline": study.deadline, "contact": study.contact, "guidelines": study.guidelines}
    form = TextsForm(request.POST or None, initial=known)
    if request.method == "POST" and form.is_valid():
        try:
            actions.set_texts(study=study, texts=form.texts, by=request.user)
        except Refused as refused:
            form.add_error(None, refused.sentence)
        else:
            messages.success(request, "What raters are told is changed.")
            return go_to(request, study_url("study_detail", study))
    context = {"form": form, "study": study}
    status = 422 if form.errors else 200
    return render(request, "review/study_texts.html", context, status=status)


@require_GET
@require(Verb.SEE_STUDIES)
def study_design(request: AuthenticatedRequest, study_id: int) -> HttpResponse:
    """The design: who rates how much, with whom, what cannot be met, and how precise it gets."""
    study = rating_study(study_id)
    report = study.design
    context = {
        "study": study,
        "tabs": study_tabs(study, request.user, "design"),
        "is_draft": study.state == StudyState.DRAFT,
        "may_manage": request.user.may(Verb.MANAGE_STUDIES),
        "dialogues": study.study_dialogues.filter(training=False).count(),
        "training": study.study_dialogues.filter(training=True).count(),
        "instruments": [
            link.instrument
            for link in study.study_instruments.select_related("instrument").order_by("position")
        ],
        "most": max(report.get("loads", {}).values(), default=0),
        "ratings": sum(report.get("loads", {}).values()),
        "matrix": _matrix(report),
        **_precision(request, study),
    }
    return show(request, "review/study_design.html", context, part="precision")


def _matrix(report: dict[str, Any]) -> list[tuple[str, list[int | None]]]:
    """Raters by raters: how many dialogues both have."""
    shared = {frozenset((one, other)): count for one, other, count in report.get("pairs", [])}
    codes = list(report.get("loads", {}))
    return [(one, [shared.get(frozenset((one, other))) for other in codes]) for one in codes]


def _precision(request: AuthenticatedRequest, study: Study) -> dict[str, Any]:
    form = PrecisionForm(request.GET or None, initial={"expected": 60, "width": 20})
    expected, width = form.asked() if form.is_bound else (0.6, 0.2)
    counts = {int(n): of for n, of in study.design.get("raters_per_dialogue", {}).items()}
    shared = sum(of for n, of in counts.items() if n >= 2)
    raters = study.overlap
    wanted = sorted({*EXPECTED, expected})
    rows = [
        (
            one,
            agreement_width(one, raters=raters, dialogues=shared),
            part_width(one, dialogues=shared),
        )
        for one in wanted
    ]
    return {
        "precision": form,
        "shared": shared,
        "widths": rows if raters > 1 and shared > 1 else [],
        "expected": expected,
        "wished": width,
        "needed": dialogues_needed(expected, raters=raters, width=width),
    }


@require_POST
@require(Verb.MANAGE_STUDIES)
def study_begin(request: AuthenticatedRequest, study_id: int) -> HttpResponseBase:
    """Give the work out."""
    study = rating_study(study_id)
    try:
        begun = actions.begin_study(study=study, by=request.user)
    except Refused as refused:
        messages.error(request, refused.sentence)
        return SeeOther(study_url("study_design", study))
    if begun.state == StudyState.CALIBRATION:
        messages.success(request, f"The study “{study.name}” begins with its training.")
        return SeeOther(study_url("study_calibration", study))
    messages.success(request, f"The study “{study.name}” is running.")
    return SeeOther(study_url("study_detail", study))


@require_POST
@require(Verb.MANAGE_STUDIES)
def study_duplicate(request: AuthenticatedRequest, study_id: int) -> HttpResponseBase:
    """A draft with the same choices."""
    study = rating_study(study_id)
    try:
        copy = actions.duplicate_study(study=study, by=request.user)
    except Refused as refused:
        messages.error(request, refused.sentence)
        return SeeOther(study_url("study_design", study))
    messages.success(request, f"“{copy.name}” is a draft with the same choices.")
    return SeeOther(study_url("study_edit", copy))


@require_POST
@require(Verb.MANAGE_STUDIES)
def study_discard(request: AuthenticatedRequest, study_id: int) -> HttpResponseBase:
    """Throw a draft away."""
    study = rating_study(study_id)
    try:
        actions.discard_study(study=study, by=request.user)
    except Refused as refused:
        messages.error(request, refused.sentence)
        return SeeOther(study_url("study_design", study))
    messages.success(request, f"The draft “{study.name}” is gone.")
    return SeeOther(reverse("review:study_list"))
