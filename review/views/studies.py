"""Studies: list, form, the live page, and what can be done with one."""

import hashlib
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from generation.views.page import SeeOther, keyset_page
from review import actions, progress
from review.actions import Refused
from review.models import Flag, Instrument, Study, StudyKind, StudyState
from review.study_forms import StudyFilter
from review.views.study_tabs import study_tabs
from sqpsych_site.roles import AuthenticatedRequest, Verb, require

POLL_SECONDS = 15
TONES = {
    StudyState.RUNNING: "accent",
    StudyState.CALIBRATION: "accent",
    StudyState.PAUSED: "warn",
}
OVER = frozenset({StudyState.CLOSED, StudyState.ARCHIVED})


@require_GET
@require(Verb.SEE_STUDIES)
def study_list(request: AuthenticatedRequest) -> HttpResponse:
    """All studies, newest first, with how far each is."""
    chosen = StudyFilter(request.GET)
    rows = Study.objects.listed().select_related("created_by")
    if chosen.chosen:
        rows = rows.filter(state=chosen.chosen)
    page = keyset_page(rows, request.GET, size=20)
    counts = progress.counts_by_study(study.pk for study in page.rows)
    context = {
        "filter": chosen,
        "page": page,
        "rows": [
            (study, _tone(study), counts.get(study.pk, progress.Counts())) for study in page.rows
        ],
        "may_manage": request.user.may(Verb.MANAGE_STUDIES),
    }
    return render(request, "review/study_list.html", context)


def _tone(study: Study) -> str:
    return TONES.get(StudyState(study.state), "")


@require_GET
@require(Verb.SEE_STUDIES)
def study_detail(request: AuthenticatedRequest, study_id: int) -> HttpResponseBase:
    """One study, live. The page asks again for its changing parts alone; nothing is sent back
    while nothing changed, and it asks no more once the study is over."""
    study = get_object_or_404(Study.objects.listed().select_related("created_by"), pk=study_id)
    if study.kind == StudyKind.PAIRWISE:
        return redirect("review:comparison_results", study_id=study.pk)
    if study.state == StudyState.DRAFT:
        return redirect("review:study_design", study_id=study.pk)
    instruments = _instruments(study)
    live = progress.live(study, instruments)
    context = {
        "study": study,
        "tabs": study_tabs(study, request.user, "study"),
        "tone": _tone(study),
        "live": live,
        "seen": _fingerprint(study, live),
        "over": study.state in OVER,
        "poll_every": 0 if study.state in OVER else POLL_SECONDS,
        "may_manage": request.user.may(Verb.MANAGE_STUDIES),
        "may_see_dialogues": request.user.may(Verb.SEE_BATCHES),
    }
    if request.htmx:
        if request.GET.get("seen") == context["seen"]:
            return HttpResponse(status=204)
        return render(request, "review/study_detail.html#live", {**context, "oob": True})
    context |= {
        "instruments": instruments,
        "dialogues": study.study_dialogues.count(),
    }
    return render(request, "review/study_detail.html", context)


def _instruments(study: Study) -> list[Instrument]:
    links = study.study_instruments.select_related("instrument").order_by("position")
    return [link.instrument for link in links]


def _fingerprint(study: Study, live: progress.Live) -> str:
    """A short mark of what the live parts show: the page sends it back when it asks again."""
    shown = (study.state, live.counts, live.raters, live.returned)
    flags = [(one.flag.uid, one.flag.updated_at, one.seen) for one in live.flags]
    return hashlib.sha256(repr((shown, flags)).encode()).hexdigest()[:16]


QUESTIONS = {
    "run": (
        "Let {name} run?",
        "Raters who have passed the training find their dialogues in their queue; the others"
        " go on with the training first.",
        "Run the study",
        "The study is running.",
    ),
    "archive": (
        "Archive {name}?",
        "Raters no longer see the study. Everything stays and can be exported.",
        "Archive the study",
        "The study is archived.",
    ),
    "restore": (
        "Restore {name}?",
        "The study is closed again, and raters see what they gave.",
        "Restore the study",
        "The study is restored, and closed.",
    ),
    "pause": (
        "Pause {name}?",
        "Raters can read but not answer until the study goes on.",
        "Pause the study",
        "The study is paused.",
    ),
    "resume": (
        "Let {name} go on?",
        "Raters can answer again.",
        "Resume the study",
        "The study goes on.",
    ),
    "close": (
        "Close {name}?",
        "Raters can answer no more. What they gave stays and can be exported.",
        "Close the study",
        "The study is closed.",
    ),
    "reopen": (
        "Reopen {name}?",
        "The study is paused first; resume it to let raters answer.",
        "Reopen the study",
        "The study is open again, and paused.",
    ),
}


@require_http_methods(["GET", "POST"])
@require(Verb.MANAGE_STUDIES)
def study_change(request: AuthenticatedRequest, study_id: int, change: str) -> HttpResponseBase:
    """Ask before, then pause, resume, close or reopen."""
    study = get_object_or_404(Study.objects.listed(), pk=study_id)
    title, text, label, done = QUESTIONS[change]
    if request.method == "GET":
        title = title.format(name=study.name)
        context = {"study": study, "change": change, "title": title, "text": text, "label": label}
        return render(request, "review/study_change.html", context)
    try:
        actions.change_study(study=study, change=change, by=request.user)
        messages.success(request, done)
    except Refused as refused:
        messages.error(request, refused.sentence)
    return SeeOther(reverse("review:study_detail", args=[study.pk]))


@require_POST
@require(Verb.MANAGE_STUDIES)
def flag_seen(request: AuthenticatedRequest, study_id: int, flag_uid: UUID) -> HttpResponseBase:
    """Note that somebody has looked at a severe flag."""
    flag = get_object_or_404(Flag, uid=flag_uid, assignment__study=study_id)
    actions.mark_flag_seen(flag=flag, by=request.user)
    return SeeOther(reverse("review:study_detail", args=[study_id]) + "#flags")
