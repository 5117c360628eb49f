"""The training of a study: references, where raters stand before the gate, how steady they are."""

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

from django.contrib import messages
from django.db.models.functions import Length
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET, require_http_methods

from generation.views.page import SeeOther, go_to
from review import actions, wire
from review.actions import Refused
from review.actions.definitions import definition_of
from review.actions.gate import standings_of
from review.actions.sights import lacking_references, references_of
from review.actions.studies import OPEN
from review.forms import whole_form
from review.models import Instrument, Reference, Study, StudyDialogue
from review.reference_files import (
    ReferenceFileError,
    ReferenceLine,
    read_references,
    write_references,
)
from review.study_consistency import steadiness_of
from review.study_forms import ReferenceFileForm
from review.views.markup import form_markup, transcript_markup
from review.views.sheet import Given, Sheet, shape_of
from review.views.study_setup import rating_study, study_url
from review.views.study_tabs import study_tabs
from sqpsych_site.roles import AuthenticatedRequest, Verb, require


@require_http_methods(["GET", "POST"])
@require(Verb.MANAGE_STUDIES)
def study_calibration(request: AuthenticatedRequest, study_id: int) -> HttpResponseBase:
    """References, how raters stand before the gate, and how steady they are with themselves."""
    study = rating_study(study_id)
    form = ReferenceFileForm()
    if request.method == "POST":
        if request.POST.get("action") == "clear":
            row = get_object_or_404(
                study.study_raters.select_related("rater"), code=request.POST.get("rater", "")
            )
            try:
                actions.clear_rater(study=study, rater=row.rater, by=request.user)
                messages.success(request, f"{row.code} may begin with the dialogues of the study.")
            except Refused as refused:
                messages.error(request, refused.sentence)
            return SeeOther(study_url("study_calibration", study))
        form = ReferenceFileForm(request.POST, request.FILES)
        if form.is_valid() and (stored := _stored_references(request, study, form)) is not None:
            messages.success(request, f"{stored} reference answers are stored.")
            return go_to(request, study_url("study_calibration", study))
    people = study.study_raters.filter(expert=False).select_related("rater")
    raters = list(people.order_by(Length("code"), "code"))
    standings = standings_of(study, [row.rater_id for row in raters])
    references = references_of(study)
    places = study.study_dialogues.filter(training=True).select_related("dialogue").order_by("code")
    context = {
        "study": study,
        "tabs": study_tabs(study, request.user, "calibration"),
        "form": form,
        "places": [
            (place, sum(len(part) for part in references.get(place.pk, {}).values()))
            for place in places
        ],
        "lacking": lacking_references(study),
        "expert": study.study_raters.filter(expert=True).select_related("rater").first(),
        "standings": [(row, standings[row.rater_id]) for row in raters],
        "steadiness": steadiness_of(study),
        "open": study.state in OPEN,
    }
    status = 422 if form.errors else 200
    return render(request, "review/study_calibration.html", context, status=status)


def _stored_references(
    request: AuthenticatedRequest, study: Study, form: ReferenceFileForm
) -> int | None:
    try:
        lines = read_references(form.cleaned_data["file"].read())
        return actions.set_references(study=study, lines=lines, by=request.user)
    except ReferenceFileError as error:
        form.add_error("file", str(error))
    except Refused as refused:
        form.add_error("file", refused.sentence)
    return None


@require_GET
@require(Verb.MANAGE_STUDIES)
def reference_file(request: AuthenticatedRequest, study_id: int) -> HttpResponse:
    """The references as a file: a line for every question, to fill in or to correct."""
    study = rating_study(study_id)
    known = references_of(study)
    forms = _instruments(study)
    places = study.study_dialogues.filter(training=True).select_related("dialogue")
    lines = [
        line
        for place in places.order_by("code")
        for form in forms
        for line in _lines(place, form, known.get(place.pk, {}).get(form.pk, []))
    ]
    response = HttpResponse(write_references(lines), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="study-{study.pk}-references.csv"'
    return response


def _instruments(study: Study) -> list[Instrument]:
    links = study.study_instruments.select_related("instrument").order_by("position")
    return [link.instrument for link in links]


def _lines(
    place: StudyDialogue, row: Instrument, known: list[Reference]
) -> Iterator[ReferenceLine]:
    """Each question of an instrument about one dialogue, with its reference where there is one."""
    given = {(one.item, one.category, one.turn_number): one for one in known}
    form = definition_of(row)
    spots: list[tuple[str, str, int | None]] = [
        (item.key, "", turn)
        for item in form.items
        for turn in (
            [None] if item.level == "dialogue" else range(1, place.dialogue.turn_count + 1)
        )
    ]
    spots += [("", kind.key, None) for kind in (form.safety.categories if form.safety else ())]
    for item, kind, turn in spots:
        one = given.get((item, kind, turn))
        value, reason = (one.value, one.reason) if one else ("", "")
        yield ReferenceLine(place.code, row.key, item, value, reason, turn=turn, flag=kind)


@require_http_methods(["GET", "POST"])
@require(Verb.MANAGE_STUDIES)
def study_reference(request: AuthenticatedRequest, study_id: int, code: str) -> HttpResponseBase:
    """The reference of one training dialogue, in the form that raters get."""
    study = rating_study(study_id)
    rows = study.study_dialogues.filter(training=True).select_related("dialogue")
    place = get_object_or_404(rows, code=code)
    forms, problem = _instruments(study), ""
    lines = [
        ReferenceLine(
            code, one.instrument.key, one.item, one.value, one.reason,
            turn=one.turn_number, flag=one.category,
        )
        for one in place.references.select_related("instrument")
    ]  # fmt: skip
    if request.method == "POST":
        try:
            lines = _posted(request, code, forms)
            actions.set_reference(study=study, code=code, lines=_answered(lines), by=request.user)
        except Refused as refused:
            problem = refused.sentence
        else:
            messages.success(request, f"The reference of {code} is stored.")
            return go_to(request, study_url("study_calibration", study))
    context = {"study": study, "place": place, "open": study.state in OPEN, "problem": problem}
    context |= _form(place, forms, lines)
    status = 422 if problem else 200
    return render(request, "review/study_reference.html", context, status=status)


def _form(
    place: StudyDialogue, forms: list[Instrument], lines: list[ReferenceLine]
) -> dict[str, Any]:
    """The form of the instruments with these answers in it."""
    answers = {
        (f"{one.instrument}-{one.item}", one.turn): Given(one.value, one.reason)
        for one in lines
        if one.item
    }
    sheet = Sheet(shape=shape_of(forms), answers=answers, marks=(), flags=())
    turns = place.dialogue.turns.values_list("number", "role", "text")
    flags = {(one.instrument, one.flag): one for one in lines if one.flag}
    return {
        "form": form_markup(sheet),
        "transcript": transcript_markup(turns, sheet),
        "flags": list(_flag_rows(forms, flags)),
    }


def _flag_rows(
    forms: list[Instrument], known: Mapping[tuple[str, str], ReferenceLine]
) -> Iterator[dict[str, Any]]:
    """Each kind of flag with what the reference can say of it."""
    for row in forms:
        safety = definition_of(row).safety
        for kind in safety.categories if safety else ():
            given = known.get((row.key, kind.key))
            yield {
                "name": f"flag.{row.key}.{kind.key}",
                "kind": kind,
                "choices": [(p.value, str(p.label)) for p in safety.verdict(kind).points]
                if safety
                else [],
                "value": given.value if given else "",
                "reason": given.reason if given else "",
            }


def _posted(
    request: AuthenticatedRequest, code: str, forms: list[Instrument]
) -> list[ReferenceLine]:
    """What the form says, answered or not. Raises Refused for what cannot be read."""
    definitions = [definition_of(row) for row in forms]
    found = []
    for one in whole_form(request.POST, definitions, uuid4()):
        if isinstance(one, wire.Malformed):
            raise Refused("malformed", one.sentence, status=400)
        if isinstance(one, wire.Answer):
            value, reason = (one.value or "").strip(), (one.comment or "").strip()
            found.append(
                ReferenceLine(code, one.instrument, one.item, value, reason, turn=one.turn)
            )
    for flag in _flag_rows(forms, {}):
        name = flag["name"]
        instrument = name.split(".")[1]
        value = request.POST.get(name, "")
        reason = request.POST.get(f"{name}.reason", "").strip()
        found.append(ReferenceLine(code, instrument, "", value, reason, flag=flag["kind"].key))
    return found


def _answered(lines: list[ReferenceLine]) -> list[ReferenceLine]:
    """The lines with an answer. Raises Refused where a reason lacks one."""
    for line in lines:
        if line.reason and not line.value:
            where = f" at turn {line.turn}" if line.turn else ""
            sentence = f"“{line.item or line.flag}”{where} has a reason but no answer."
            raise Refused("no_value", sentence)
    return [line for line in lines if line.value]
