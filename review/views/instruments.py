"""Instruments: which there are and in which versions, each as a rater will see it, and new ones."""

from dataclasses import dataclass
from http import HTTPStatus

from django import forms
from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from generation.views.page import go_to
from review import actions
from review.actions import Refused
from review.actions.definitions import definition_of
from review.instruments import builtin_instruments, instrument_templates, load_instrument
from review.items import Item
from review.models import Instrument, StudyInstrument
from review.views.form_shape import FormShape, flag_fields_skeleton
from review.views.markup import form_preview, turn_preview
from sqpsych_site.roles import AuthenticatedRequest, Verb, require

MAX_BYTES = 1024 * 1024


class InstrumentFile(forms.Form):
    """A definition as a file."""

    file = forms.FileField(label="Instrument", help_text="A TOML file in UTF-8, up to 1 MB.")

    def text(self) -> str:
        """What it says. Raises Refused."""
        content = self.cleaned_data["file"].read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise Refused("too_large", "The file is larger than 1 MB; an instrument is small.")
        try:
            return str(content.decode())
        except UnicodeDecodeError:
            raise Refused(
                "no_text", "The file is not UTF-8 text; save it again as UTF-8."
            ) from None


@require_http_methods(["GET", "POST"])
@require(Verb.SEE_STUDIES)
def instrument_list(request: AuthenticatedRequest) -> HttpResponseBase:
    """All instruments with their versions; whoever makes studies can load a file."""
    may_manage = request.user.may(Verb.MANAGE_STUDIES)
    form = InstrumentFile()
    if request.method == "POST":
        if not may_manage:
            return HttpResponse(status=HTTPStatus.FORBIDDEN)
        form = InstrumentFile(request.POST, request.FILES)
        if (made := _loaded(request, form)) is not None:
            messages.success(request, f"“{made.title}”, version {made.version}, is here.")
            return go_to(request, reverse("review:instrument_detail", args=[made.pk]))
    current = {row.pk for row in actions.current_instruments().values()}
    shipped = {one.sha256 for one in builtin_instruments().values()}
    rows = Instrument.objects.order_by("key", "-created_at", "-pk")
    context = {
        "form": form,
        "may_manage": may_manage,
        "rows": [(row, row.pk in current, row.sha256 in shipped) for row in rows],
        "templates": list(instrument_templates()),
    }
    status = 422 if form.errors else 200
    return render(request, "review/instrument_list.html", context, status=status)


def _loaded(request: AuthenticatedRequest, form: InstrumentFile) -> Instrument | None:
    if not form.is_valid():
        return None
    try:
        origin = str(form.cleaned_data["file"].name)[:80]
        return actions.add_instrument(text=form.text(), origin=origin, by=request.user)
    except Refused as refused:
        form.add_error("file", refused.sentence)
        return None


@dataclass(frozen=True)
class Asked:
    """An item that is asked under a condition, in words."""

    label: str
    conditions: tuple[str, ...]
    every: bool


@require_GET
@require(Verb.SEE_STUDIES)
def instrument_detail(request: AuthenticatedRequest, instrument_id: int) -> HttpResponse:
    """One instrument as a rater meets it, in each of its languages, with what it rests on."""
    row = get_object_or_404(Instrument, pk=instrument_id)
    languages = load_instrument(row.toml, row.key).languages
    wanted = request.GET.get("language", "")
    language = wanted if wanted in languages else languages[0]
    definition = definition_of(row, language)
    shape = FormShape((row.sha256,), language, True, (definition,))
    context = {
        "row": row,
        "definition": definition,
        "language": language,
        "tabs": [
            {"url": f"?language={one}", "label": one.upper(), "current": one == language}
            for one in languages
        ],
        "preview": form_preview(shape),
        "conditional": [_asked(one, definition.items) for one in definition.items if one.show_if],
        "turnwise": turn_preview(shape) if shape.turn_items else "",
        "flag_fields": flag_fields_skeleton(shape).fill({}) if shape.flags else "",
        "totals": [(rule, len(definition.counted(rule))) for rule in definition.total_rules],
        "studies": StudyInstrument.objects.filter(instrument=row).count(),
    }
    return render(request, "review/instrument_detail.html", context)


def _asked(item: Item, items: tuple[Item, ...]) -> Asked:
    known = {one.key: one for one in items}
    conditions = []
    for condition in item.show_if.conditions if item.show_if else ():
        other = known[condition.item]
        names = {point.value: str(point.label) for point in other.points + other.marks}
        values = " or ".join(names.get(value, value) for value in condition.values)
        conditions.append(f"{other.label}: {values}")
    return Asked(str(item.label), tuple(conditions), bool(item.show_if and item.show_if.all_of))


@require_GET
@require(Verb.SEE_STUDIES)
def instrument_file(request: AuthenticatedRequest, instrument_id: int) -> HttpResponse:
    """The definition as it was loaded."""
    row = get_object_or_404(Instrument, pk=instrument_id)
    return _toml(row.toml, f"{row.key}-{row.version}.toml")


@require_GET
@require(Verb.SEE_STUDIES)
def instrument_template(request: AuthenticatedRequest, name: str) -> HttpResponse:
    """A template without text, for a group with a licence."""
    found = instrument_templates().get(name)
    if found is None:
        raise Http404
    return _toml(found, f"{name}.toml")


def _toml(text: str, name: str) -> HttpResponse:
    response = HttpResponse(text, content_type="application/toml; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
