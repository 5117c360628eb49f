"""What the rating form shows and what it sends: the instrument joined with the rater's answers."""

import re
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID, uuid4, uuid5

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext as _

from review import items, wire
from review.actions import Missing, Refused
from review.instruments import FlagForm
from review.instruments import Instrument as Definition
from review.standing import Spot


def whole_form(
    data: QueryDict, forms: Iterable[Definition], rating: UUID
) -> list[wire.AnyOperation | wire.Malformed]:
    """What a whole form says, as operations; what stands already changes nothing.

    ``rating`` is the assignment's uid: a form sent twice names the same marks.

    A field is called ``instrument:item``, with ``:t3`` for turn 3 of an item about turns, and
    ``:comment`` or ``:base`` at the end for its comment and the revision that was shown. A group
    of radios or boxes that is absent was not answered; that clears nothing, unless boxes are said
    to have been shown (``:shown``). ``:evidence`` is a turn to be attached to the item, ``unmark``
    a mark to be taken away.
    """
    multiple = {
        (form.key, one.key) for form in forms for one in form.items if one.type == "multiple"
    }
    found: dict[Spot, dict[str, Any]] = {}
    marks: list[dict[str, Any]] = [{"kind": "unmark", "uid": one} for one in data.getlist("unmark")]
    for name, values in data.lists():
        match = FIELD.fullmatch(name)
        if match is None or not values:
            continue
        instrument, item, turn, part = match.groups()
        if part == "evidence":
            marks += _marks(rating, instrument, item, str(values[-1]))
            continue
        given = found.setdefault(Spot(instrument, item, int(turn) if turn else None), {})
        last = str(values[-1])
        if part is None:
            several = (instrument, item) in multiple
            given["value"] = items.join_values(map(str, values)) if several else last
        elif part == "shown":
            given.setdefault("value", "")
        else:
            given[part] = int(last) if part == "base" and last.isdecimal() else last
    operations: list[dict[str, Any]] = [
        {"kind": "answer", **spot._asdict(), **given} for spot, given in found.items()
    ]
    if "comment" in data:
        operations.append({"kind": "comment", "text": data["comment"]})
    return [wire.read_one({"key": uuid4(), **one}) for one in [*operations, *marks]]


def _marks(rating: UUID, instrument: str, item: str, text: str) -> list[dict[str, Any]]:
    """A whole turn as evidence; nothing when the field is empty."""
    if not text.strip():
        return []
    turn = int(text) if text.isdecimal() and len(text) < 9 else None
    uid = uuid5(rating, f"{instrument}:{item}:{turn}")
    owner = {"instrument": instrument, "item": item}
    return [{"kind": "evidence", "uid": uid, **owner, "turn": turn}]


def refused_answers(
    refused: Iterable[tuple[wire.AnyOperation | wire.Malformed, Mapping[str, Any]]],
) -> list[Missing]:
    """What was refused, to be shown at its item; with a conflict, both versions."""
    found = []
    for asked, told in refused:
        if isinstance(asked, wire.Evidence):
            found.append(Missing(asked.instrument, asked.item, told["sentence"]))
        if isinstance(asked, wire.Answer):
            sentence = told["sentence"]
            if "stored" in told:
                part = "comment" if asked.value is None else "value"
                both = {"stored": told["stored"][part], "given": getattr(asked, part)}
                sentence += " " + _("Stored: %(stored)s. Yours: %(given)s.") % both
            found.append(Missing(asked.instrument, asked.item, sentence, asked.turn))
    return found


FIELD = re.compile(
    r"([a-z][a-z0-9-]{0,59}):([a-z][a-z0-9_]{0,59})(?::t(\d{1,6}))?(?::(comment|base|shown|evidence))?"
)


class FlagFields(forms.Form):
    """A safety flag as the plain form sends it; the instrument says what is allowed."""

    uid = forms.UUIDField()
    category = forms.CharField(max_length=60)
    severity = forms.CharField(max_length=60)
    turn = forms.IntegerField(min_value=1, max_value=10**9, required=False)
    start = forms.IntegerField(min_value=0, max_value=10**9, required=False)
    end = forms.IntegerField(min_value=1, max_value=10**9, required=False)
    note = forms.CharField(max_length=10_000, required=False, strip=True)

    def operation(self, form: FlagForm) -> wire.AnyOperation | wire.Malformed:
        """The flag with the answers to those of the form's questions that are asked after them."""
        given = self.cleaned_data
        core = {"category": given["category"], "severity": given["severity"]}
        core |= {item.key: self.data.get(item.key, "") for item in form.questions}
        asked = {item.key for item in form.visible_items(core)}
        details = {item.key: core[item.key] for item in form.questions if item.key in asked}
        return wire.read_one({"kind": "flag", "key": uuid4(), "details": details, **given})


def sentence_of(form: forms.Form) -> str:
    """The first problem of a form in one sentence."""
    field_name, problems = next(iter(form.errors.items()))
    return f"{field_name}: {problems[0]}"


def checked(form: forms.Form) -> None:
    """Refuse a malformed request in one sentence."""
    if not form.is_valid():
        raise Refused("malformed", sentence_of(form), status=400)
