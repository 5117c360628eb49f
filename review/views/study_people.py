"""A study that has begun: who rates in it, which dialogues it has."""

from collections import Counter
from typing import Any, cast

from django import forms
from django.contrib import messages
from django.db.models.functions import Length
from django.http import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_http_methods

from generation.models import Dialogue
from generation.views.page import go_to, show
from review import actions
from review.actions import Refused
from review.actions.dealing import Dealt, gaps_in
from review.actions.studies import OPEN
from review.models import AssignmentKind, Study
from review.progress import Counts
from review.sample_forms import SelectionForm
from review.views.study_setup import rating_study, study_url
from review.views.study_tabs import study_tabs
from sqpsych_site.models import User
from sqpsych_site.roles import AuthenticatedRequest, Role, Verb, require


class AddRaters(forms.Form):
    """Raters who are not in the study."""

    raters = forms.MultipleChoiceField(
        widget=forms.CheckboxSelectMultiple,
        label="Raters",
        error_messages={"required": "Choose at least one rater."},
    )

    def __init__(self, *args: Any, study: Study, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        there = study.study_raters.filter(active=True).values("rater")
        free = User.objects.filter(role=Role.RATER, is_active=True).exclude(pk__in=there)
        names = [
            (name, name) for name in free.order_by("username").values_list("username", flat=True)
        ]
        cast(forms.MultipleChoiceField, self.fields["raters"]).choices = names
        self.nobody = not names


class Limit(forms.Form):
    """How many unopened dialogues a rater keeps."""

    left = forms.IntegerField(min_value=0, max_value=100_000)


class Background(forms.Form):
    """What an export says of a rater beside the pseudonym."""

    profession = forms.CharField(max_length=60, required=False)
    years = forms.IntegerField(min_value=0, max_value=70, required=False)


@require_http_methods(["GET", "POST"])
@require(Verb.MANAGE_STUDIES)
def study_raters(request: AuthenticatedRequest, study_id: int) -> HttpResponseBase:
    """Who rates: invite, let go, leave fewer, and give on what was handed back."""
    study = rating_study(study_id)
    form = AddRaters(request.POST if request.POST.get("action") == "add" else None, study=study)
    if request.method == "POST" and request.POST.get("action") == "describe":
        return _describe(request, study)
    if request.method == "POST":
        try:
            if (dealt := _change_people(request, study, form)) is not None:
                messages.success(request, _in_words(dealt))
                return go_to(request, study_url("study_raters", study))
        except Refused as refused:
            messages.error(request, refused.sentence)
            return go_to(request, study_url("study_raters", study))
    live = study.assignments.filter(kind=AssignmentKind.LIVE).order_by()
    states = Counter(live.values_list("rater_id", "state"))
    context = {
        "study": study,
        "tabs": study_tabs(study, request.user, "raters"),
        "form": form,
        "rows": [
            (row, Counts(**{s: n for (rater, s), n in states.items() if rater == row.rater_id}))
            for row in study.study_raters.select_related("rater").order_by(
                "expert", Length("code"), "code"
            )
        ],
        "gaps": gaps_in(study),
        "open": study.state in OPEN,
    }
    status = 422 if form.errors else 200
    return render(request, "review/study_raters.html", context, status=status)


def _describe(request: AuthenticatedRequest, study: Study) -> HttpResponseBase:
    code, form = request.POST.get("rater", ""), Background(request.POST)
    try:
        if not form.is_valid():
            raise Refused("malformed", "Years of practice are a whole number from 0 to 70.")
        actions.describe_rater(study=study, code=code, by=request.user, **form.cleaned_data)
        messages.success(request, f"Noted for {code}.")
    except Refused as refused:
        messages.error(request, refused.sentence)
    return go_to(request, study_url("study_raters", study))


def _change_people(request: AuthenticatedRequest, study: Study, form: AddRaters) -> Dealt | None:
    """Do what a button asked for; None where the form was not right."""
    action = request.POST.get("action", "")
    if action == "add":
        if not form.is_valid():
            return None
        return actions.add_raters(study=study, raters=form.cleaned_data["raters"], by=request.user)
    if action == "make_up":
        return actions.make_up(study=study, by=request.user)
    row = get_object_or_404(
        study.study_raters.select_related("rater"), code=request.POST.get("rater", "")
    )
    if action == "remove":
        return actions.remove_rater(study=study, rater=row.rater, by=request.user)
    limit = Limit(request.POST)
    if action != "limit" or not limit.is_valid():
        raise Refused("malformed", "Say how many dialogues the rater is to keep.")
    return actions.limit_rater(
        study=study, rater=row.rater, left=limit.cleaned_data["left"], by=request.user
    )


def _in_words(dealt: Dealt) -> str:
    if not dealt.taken and not dealt.given:
        return "Done; no dialogue had to change hands."
    return f"Done: {dealt.taken} unopened ratings taken back, {dealt.given} given out."


@require_http_methods(["GET", "POST"])
@require(Verb.MANAGE_STUDIES)
def study_dialogues(request: AuthenticatedRequest, study_id: int) -> HttpResponseBase:
    """Add dialogues, after a look at the sample."""
    study = rating_study(study_id)
    form = SelectionForm(request.POST or None, study=study, initial={"seed": study.seed})
    preview = None
    if request.method == "POST" and form.is_valid():
        preview = form.sample()
        if request.POST.get("action") == "add":
            try:
                rows = Dialogue.objects.filter(pk__in=preview.ids)
                dealt = actions.add_dialogues(study=study, dialogues=rows, by=request.user)
            except Refused as refused:
                form.add_error(None, refused.sentence)
            else:
                messages.success(request, _in_words(dealt))
                return go_to(request, study_url("study_design", study))
    context = {
        "study": study,
        "tabs": study_tabs(study, request.user, "dialogues"),
        "form": form,
        "preview": preview,
        "count": study.study_dialogues.filter(training=False).count(),
        "open": study.state in OPEN,
    }
    status = 422 if form.errors else 200
    return show(request, "review/study_dialogues.html", context, part="form", status=status)
