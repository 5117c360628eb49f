"""The form and the transcript of the rating page: skeletons filled with what a sheet holds."""

from collections.abc import Iterable, Mapping
from functools import lru_cache

from django.utils.html import escape, format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext, override

from review.actions import Missing
from review.passages import Span, pieces
from review.views.form_shape import (
    FormShape,
    ItemShape,
    form_skeleton,
    turn_items_skeleton,
)
from review.views.sheet import Mark, Sheet
from review.views.skeleton import Skeleton, hole, joined

Turn = tuple[int, str, str]


def form_markup(sheet: Sheet, problems: Iterable[Missing] = ()) -> SafeString:
    """The sections with their items, answered as far as they are."""
    told = {one.id: one.sentence for one in problems}
    values: dict[str, str] = {}
    shown = sheet.shown()
    for section in sheet.shape.sections:
        for item in section.items:
            _fill_item(values, sheet, item, shown=item.id in shown, told=told)
        asked = [item for item in section.items if item.id in shown]
        done = sum(bool(sheet.given(item).value) for item in asked)
        values[f"{section.id}:count"] = count_text(done, len(asked))
    return form_skeleton(sheet.shape).fill(values)


def count_text(done: int, asked: int) -> str:
    """'3 of 9'."""
    return gettext("%(done)s of %(all)s") % {"done": done, "all": asked}


def form_preview(shape: FormShape) -> SafeString:
    """The form as a rater meets it first, without any answer."""
    return form_markup(_blank(shape))


def turn_preview(shape: FormShape) -> SafeString:
    """What is asked at a turn, as at the first one of a dialogue."""
    return _turn_items(_blank(shape), 1, {})


def _blank(shape: FormShape) -> Sheet:
    return Sheet(shape=shape, answers={}, marks=(), flags=())


def _fill_item(
    values: dict[str, str],
    sheet: Sheet,
    item: ItemShape,
    *,
    turn: int | None = None,
    shown: bool,
    told: Mapping[str, str],
) -> None:
    given, name = sheet.given(item, turn), item.id_at(turn)
    values[f"{item.id}:revision"] = str(given.revision)
    if given.value:
        values[f"{item.id}:value"] = given.value
        for chosen in item.item.chosen(given.value):
            values[f"{item.id}:{chosen}"] = SafeString(" checked")
    if given.comment:
        values[f"{item.id}:comment"] = given.comment
        values[f"{item.id}:open"] = " open"
    if not shown:
        values[f"{item.id}:hidden"] = " hidden"
    if name in told:
        values[f"{item.id}:lacking"] = " lacking"
        values[f"{item.id}:problem"] = format_html("<p>{}</p>", told[name])
    if name in sheet.marks_of:
        marks = sheet.marks_of[name]
        values[f"{item.id}:evidence"] = evidence_links(marks, read_only=item.read_only)


def evidence_links(marks: Iterable[Mark], *, read_only: bool = False) -> SafeString:
    """An item's passages as links into the dialogue, each with a button that takes it away."""
    return joined(_evidence_link(mark, read_only=read_only) for mark in marks)


def _evidence_link(mark: Mark, *, read_only: bool) -> SafeString:
    name = gettext("turn %(n)s") % {"n": mark.turn}
    button = SafeString("")
    if not read_only:
        button = format_html(
            '<button type="button" class="scripted" data-unmark="{0}" aria-label="{1}">×</button>'
            '<label class="unscripted"><input type="checkbox" name="unmark" value="{0}"'
            ' form="rating"> {2}</label>',
            mark.uid,
            gettext("Take away the evidence at turn %(n)s") % {"n": mark.turn},
            gettext("take away"),
        )
    return format_html(
        '<li><a href="#turn-{}" data-mark="{}">{}</a>{}</li>', mark.turn, mark.uid, name, button
    )


@lru_cache(maxsize=8)
def _turn_skeleton(role: str, language: str) -> Skeleton:
    names = ("number", "said", "whole", "chips", "items")
    with override(language):
        return Skeleton(
            "review/_turn.html", {"role": role, "holes": {name: hole(name) for name in names}}
        )


def transcript_markup(
    turns: Iterable[Turn], sheet: Sheet, problems: Iterable[Missing] = ()
) -> SafeString:
    """The utterances in order with what is marked in them and what is asked about them."""
    told = {one.id: one.sentence for one in problems}
    marks: dict[int, list[Mark]] = {}
    for mark in sheet.marks:
        marks.setdefault(mark.turn, []).append(mark)
    skeletons = {
        role: _turn_skeleton(role, sheet.shape.language) for role in ("therapist", "client")
    }
    found = []
    for number, role, text in turns:
        values: dict[str, str] = {"number": str(number)}
        here = marks.get(number, [])
        values["said"] = said(text, here)
        if here:
            values["chips"] = chips(here)
            whole = any(mark.start is None for mark in here)
            values["whole"] = " marked" if whole else ""
        if sheet.shape.turn_items:
            values["items"] = _turn_items(sheet, number, told)
        found.append(skeletons[role].fill(values))
    return joined(found)


def said(text: str, marks: Iterable[Mark]) -> SafeString:
    """An utterance as markup in which every offset is what it was in the text.

    A carriage return is written as a reference: a browser would make a line feed of it, and a
    mark after it would move.
    """
    flags = {mark.uid for mark in marks if mark.flag}
    spans = [
        Span(mark.uid, mark.start, mark.end)
        for mark in marks
        if mark.start is not None and mark.end is not None
    ]
    if not spans:
        return _text(text)
    return joined(
        _text(piece.text) if not piece.marks else _marked(piece.text, piece.marks, flags)
        for piece in pieces(text, spans)
    )


def _text(text: str) -> SafeString:
    return SafeString(escape(text).replace("\r", "&#13;"))


def _marked(text: str, uids: tuple[str, ...], flags: set[str]) -> SafeString:
    kind = SafeString(' class="flagged"') if flags.intersection(uids) else SafeString("")
    return format_html('<mark{} data-marks="{}">{}</mark>', kind, " ".join(uids), _text(text))


def chips(marks: Iterable[Mark]) -> SafeString:
    """Under a turn: what is marked in it, each a link to its item or flag."""
    return format_html_join(
        " ",
        '<a class="pill{}" href="#{}" data-mark="{}"{}>{}</a>',
        (
            (" danger" if mark.flag else "", mark.owner, mark.uid, _span(mark), mark.label)
            for mark in marks
        ),
    )


def _span(mark: Mark) -> SafeString:
    if mark.start is None:
        return SafeString("")
    return format_html(' data-start="{}" data-end="{}"', mark.start, mark.end)


def _turn_items(sheet: Sheet, turn: int, told: Mapping[str, str]) -> SafeString:
    shown = sheet.shown(turn)
    values: dict[str, str] = {"turn": str(turn)}
    for item in sheet.shape.turn_items:
        _fill_item(values, sheet, item, turn=turn, shown=item.id in shown, told=told)
    return turn_items_skeleton(sheet.shape).fill(values)
