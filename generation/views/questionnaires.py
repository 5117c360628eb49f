"""Questionnaire definitions: which there are, one of them, and loading a group's own."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from generation import actions
from generation.actions import Refused
from generation.actions.definitions import parsed_definition
from generation.forms import QuestionnaireForm
from generation.models import Questionnaire
from generation.questionnaires import Band, Definition, Item, builtin_definitions
from generation.views.page import go_to, show
from sqpsych_site.roles import AuthenticatedRequest, Verb, require

LEVELS = ("none or minimal", "mild", "moderate", "severe")


@dataclass(frozen=True)
class Listed:
    """One definition as the list shows it; ``current``: new profile files are read with it."""

    row: Questionnaire
    definition: Definition
    builtin: bool
    current: bool


@require_GET
@require(Verb.SEE_PROFILES)
def questionnaire_list(request: AuthenticatedRequest) -> HttpResponse:
    """All definitions by key, the newest version of each first."""
    context = {
        "listed": _listed(list(Questionnaire.objects.order_by("key", "-created_at", "-id"))),
        "may_manage": request.user.may(Verb.MANAGE_PROFILES),
    }
    return render(request, "generation/questionnaire_list.html", context)


def _listed(rows: Sequence[Questionnaire]) -> list[Listed]:
    builtin = {each.key: each.sha256 for each in builtin_definitions().values()}
    newest: dict[str, int] = {}
    for row in rows:
        if builtin.get(row.key, row.sha256) == row.sha256:
            newest.setdefault(row.key, row.pk)
    return [
        Listed(row, parsed_definition(row.toml), row.key in builtin, newest[row.key] == row.pk)
        for row in rows
        if row.key in newest
    ]


@require_http_methods(["GET", "POST"])
@require(Verb.MANAGE_PROFILES)
def questionnaire_add(request: AuthenticatedRequest) -> HttpResponseBase:
    """Load a definition; what is wrong is said with file, line and key."""
    form = QuestionnaireForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        upload = form.cleaned_data["file"]
        name = str(upload.name)[:100]
        try:
            text = upload.read().decode("utf-8-sig")
            row = actions.add_questionnaire(text=text, origin=name, by=request.user)
        except UnicodeDecodeError:
            form.add_error("file", f"{name} is not in UTF-8; save it in UTF-8.")
        except Refused as refused:
            form.add_error("file", str(refused))
        else:
            messages.success(request, f"The questionnaire {row} is loaded.")
            return go_to(request, reverse("generation:questionnaire_detail", args=[row.pk]))
    status = 422 if request.method == "POST" else 200
    context = {"form": form, "example": _example()}
    template = "generation/questionnaire_add.html"
    return show(request, template, context, part="add", status=status)


def _example() -> Questionnaire | None:
    return Questionnaire.objects.filter(sha256=builtin_definitions()["gad7"].sha256).first()


@dataclass(frozen=True)
class ItemView:
    """One item with its options, in words that may be shown."""

    item: Item
    text: str
    options: list[tuple[int, int, str, str]]


@require_GET
@require(Verb.SEE_PROFILES)
def questionnaire_detail(request: AuthenticatedRequest, questionnaire_id: int) -> HttpResponse:
    """What a definition holds; wording only where its licence allows it to be shown."""
    row = get_object_or_404(Questionnaire, pk=questionnaire_id)
    definition = parsed_definition(row.toml)
    context = {
        "row": row,
        "definition": definition,
        "facts": _facts(row, definition),
        "bands": [(band, _level(band)) for band in definition.bands],
        "items": [_item(definition, item) for item in definition.items],
    }
    return render(request, "generation/questionnaire.html", context)


def _item(definition: Definition, item: Item) -> ItemView:
    return ItemView(
        item,
        definition.display_text(item),
        [
            (
                option.value,
                option.counts,
                definition.display_label(option),
                definition.display_sentence(option),
            )
            for option in item.options
        ],
    )


def _level(band: Band) -> str:
    return "" if band.level is None else LEVELS[band.level]


def _facts(row: Questionnaire, definition: Definition) -> list[tuple[str, str]]:
    first, last = definition.items[0].key, definition.items[-1].key
    facts = [
        ("Licence", definition.licence),
        ("Source", definition.source),
        ("Wording", "shown" if definition.show_text else "not shown: the licence forbids it"),
        ("Items", f"{len(definition.items)}, in files {first} to {last}"),
        ("Also called", ", ".join(definition.names)),
        ("Highest total", str(definition.maximum)),
        ("Measures", definition.measures or ""),
        ("Time asked about", definition.recall),
        ("Language", definition.language),
        ("Bands from", definition.bands_source or ""),
        ("Hash", row.sha256),
    ]
    return [(name, text) for name, text in facts if text]


@require_GET
@require(Verb.SEE_PROFILES)
def questionnaire_file(request: AuthenticatedRequest, questionnaire_id: int) -> HttpResponse:
    """The definition's file, for those whose wording may be passed on."""
    row = get_object_or_404(Questionnaire, pk=questionnaire_id)
    if not parsed_definition(row.toml).show_text:
        raise Http404
    return HttpResponse(
        row.toml,
        content_type="application/toml; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{row.key}.toml"'},
    )
