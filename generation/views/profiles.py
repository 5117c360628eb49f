"""Client profiles: sets, import, the sampler, one set, one profile."""

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.db.models import Count
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.views.decorators.http import require_GET, require_http_methods

from generation import actions, words
from generation.actions import Refused
from generation.actions.definitions import stored_definitions
from generation.filters import ProfileFilter
from generation.forms import ImportForm, SampleForm
from generation.models import ClientProfile, ProfileSet, Upload
from generation.profiles import Problem, ProfileFileError, sample_profiles, write_profiles
from generation.questionnaires import Definition, builtin_definitions
from generation.views.page import go_to, keyset_page, show
from sqpsych_site.roles import AuthenticatedRequest, Verb, require

EXAMPLE = ("phq9", "gad7")
EXAMPLE_ROWS = 5


@require_GET
@require(Verb.SEE_PROFILES)
def profile_list(request: AuthenticatedRequest) -> HttpResponse:
    """All profile sets, newest first."""
    sets = ProfileSet.objects.select_related("created_by").annotate(size=Count("profiles"))
    page = keyset_page(sets, request.GET)
    context = {"page": page, "may_manage": request.user.may(Verb.MANAGE_PROFILES)}
    return render(request, "generation/profile_list.html", context)


@require_http_methods(["GET", "POST"])
@require(Verb.MANAGE_PROFILES)
def profile_import(request: AuthenticatedRequest) -> HttpResponseBase:
    """Take a file in, whole or not at all; every problem is named with its place."""
    if request.method == "GET":
        return _import_page(request, ImportForm())
    form = ImportForm(request.POST, request.FILES)
    if not form.is_valid():
        return _import_page(request, form, status=422)
    upload = form.cleaned_data["file"]
    try:
        made = actions.receive_profiles(
            name=form.set_name(),
            filename=upload.name,
            content=upload.read(),
            look_first="look" in request.POST,
            by=request.user,
        )
    except ProfileFileError as error:
        return _import_page(request, form, error.problems, more=error.more, status=422)
    except Refused as refused:
        form.add_error("name", str(refused))
        return _import_page(request, form, status=422)
    if isinstance(made, Upload):
        return go_to(request, reverse("generation:profile_mapping", args=[made.uid]))
    return stored(request, made)


def _import_page(
    request: AuthenticatedRequest,
    form: ImportForm,
    problems: tuple[Problem, ...] = (),
    *,
    more: bool = False,
    status: int = 200,
) -> HttpResponse:
    definitions = [builtin_definitions()[key] for key in EXAMPLE]
    context = {"form": form, "problems": problems, "more": more, "definitions": definitions}
    template = "generation/profile_import.html"
    return show(request, template, context, part="import", status=status)


@require_http_methods(["GET", "POST"])
@require(Verb.MANAGE_PROFILES)
def profile_sample(request: AuthenticatedRequest) -> HttpResponseBase:
    """Draw a synthetic set."""
    form = SampleForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            return stored(request, actions.sample_profiles(**form.cleaned_data, by=request.user))
        except Refused as refused:
            form.add_error("name", str(refused))
    status = 422 if request.method == "POST" else 200
    template = "generation/profile_sample.html"
    return show(request, template, {"form": form}, part="sample", status=status)


def stored(request: AuthenticatedRequest, made: ProfileSet) -> HttpResponseBase:
    """To the new set's page, with a word about what does not fit together in it."""
    flagged = made.profiles.exclude(findings=[]).count()
    more = (
        f" {words.count(flagged, 'profile')} with contradictions: see its list." if flagged else ""
    )
    messages.success(request, f"The profile set “{made.name}” was stored.{more}")
    return go_to(request, reverse("generation:profile_set_detail", args=[made.pk]))


@require_GET
@require(Verb.MANAGE_PROFILES)
def profile_example(request: AuthenticatedRequest) -> HttpResponse:
    """A small CSV file that can be imported as it is; its clients are invented."""
    definitions = {key: builtin_definitions()[key] for key in EXAMPLE}
    records = sample_profiles(EXAMPLE_ROWS, seed=1, definitions=definitions)
    return HttpResponse(
        write_profiles(records, definitions),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="sqpsych-example-profiles.csv"'},
    )


@dataclass(frozen=True)
class Total:
    """One questionnaire's result in a table cell."""

    total: int | None
    band: str


@require_GET
@require(Verb.SEE_PROFILES)
def profile_set_detail(request: AuthenticatedRequest, set_id: int) -> HttpResponse:
    """The profiles of a set with their totals, filtered and paged."""
    profile_set = get_object_or_404(ProfileSet.objects.select_related("created_by"), pk=set_id)
    kinds = profile_set.profiles.order_by().values_list("condition", "questionnaires").distinct()
    conditions, hashes = set(), {}
    for condition, questionnaires in kinds:
        conditions.add(condition)
        hashes.update(questionnaires)
    definitions = dict(sorted(stored_definitions(hashes).items(), key=_usual_first))
    chosen = ProfileFilter(
        request.GET, conditions=sorted(conditions - {""}), bands=_band_choices(definitions)
    )
    page = keyset_page(chosen.apply(profile_set.profiles.all()), request.GET, by="profile_id")
    size = profile_set.profiles.count()
    context = {
        "profile_set": profile_set,
        "size": size,
        "lede": _origin(profile_set, size),
        "columns": [(_short(each), each.title) for each in definitions.values()],
        "filter": chosen,
        "page": page,
        "rows": [(profile, _totals(profile, definitions)) for profile in page.rows],
        "may_start": request.user.may(Verb.MANAGE_BATCHES),
    }
    return render(request, "generation/profile_set.html", context)


def _origin(profile_set: ProfileSet, size: int) -> str:
    """Where a set comes from, in one line."""
    by = f" by {profile_set.created_by.username}" if profile_set.created_by else ""
    day = date_format(timezone.localtime(profile_set.created_at), "j M Y, H:i")
    return f"{words.count(size, 'profile')} from {profile_set.source}, stored {day}{by}"


def _usual_first(named: tuple[str, Definition]) -> tuple[int, str]:
    key, _ = named
    return (EXAMPLE.index(key) if key in EXAMPLE else len(EXAMPLE), key)


def _short(definition: Definition) -> str:
    """The short name that a title ends with, in brackets; else the title."""
    name = definition.title.removesuffix(")").rpartition("(")[2]
    return name if definition.title.endswith(")") and name else definition.title


def _band_choices(definitions: dict[str, Definition]) -> dict[str, str]:
    return {
        f"{key}:{band.label}": f"{_short(each)}: {band.label}"
        for key, each in definitions.items()
        for band in each.bands
    }


def _totals(profile: ClientProfile, definitions: dict[str, Definition]) -> list[Total]:
    return [Total(profile.totals.get(key), profile.bands.get(key) or "") for key in definitions]


@dataclass(frozen=True)
class AnswerView:
    """One answered item in words; ``at_risk``: the answer makes the profile risk-positive."""

    number: int
    text: str
    chosen: str
    value: int
    sentence: str
    at_risk: bool


@dataclass(frozen=True)
class QuestionnaireView:
    """One answered questionnaire."""

    definition: Definition
    total: int | None
    band: str
    answers: list[AnswerView]


def _questionnaire(
    definition: Definition, answers: dict[str, int], total: int | None, band: str
) -> QuestionnaireView:
    views = []
    for item in definition.items:
        option = next((each for each in item.options if each.value == answers.get(item.key)), None)
        if option is not None:
            risky = item.risk_from is not None and option.value >= item.risk_from
            views.append(
                AnswerView(
                    item.number,
                    definition.display_text(item),
                    definition.display_label(option),
                    option.value,
                    definition.display_sentence(option),
                    risky,
                )
            )
    return QuestionnaireView(definition, total, band, views)


@require_GET
@require(Verb.SEE_PROFILES)
def profile_detail(request: AuthenticatedRequest, set_id: int, profile_id: str) -> HttpResponse:
    """One client as given, with what the client agent is told."""
    profile = get_object_or_404(
        ClientProfile.objects.select_related("profile_set"),
        profile_set_id=set_id,
        profile_id=profile_id,
    )
    definitions = stored_definitions(profile.questionnaires)
    given: dict[str, Any] = profile.answers
    context = {
        "profile": profile,
        "heading": f"Profile {profile.profile_id}",
        "facts": _facts(profile),
        "questionnaires": [
            _questionnaire(
                each, given.get(key, {}), profile.totals.get(key), profile.bands.get(key) or ""
            )
            for key, each in sorted(definitions.items(), key=_usual_first)
        ],
        "dialogues": profile.dialogues.select_related("batch", "arm").order_by("-pk")[:100],
    }
    return render(request, "generation/profile.html", context)


def _facts(profile: ClientProfile) -> list[tuple[str, str]]:
    core = [
        ("Age", str(profile.age)),
        ("Gender", profile.gender or "not given"),
        ("Condition", profile.condition or "not given"),
    ]
    free = [
        (name.replace("_", " ").capitalize(), text) for name, text in profile.demographics.items()
    ]
    return [*core, *free]
