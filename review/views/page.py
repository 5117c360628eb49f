"""What the rating page shows. Nothing here tells model, condition or another rater's judgment."""

import base64
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any
from uuid import uuid4

from django.utils.crypto import salted_hmac
from django.utils.translation import gettext

from generation.models import Turn
from review.actions import Missing
from review.models import Assignment
from review.pace import progress_of
from review.permissions import visible_in
from review.standing import Spot, subtotals
from review.views.form_shape import flag_fields_skeleton
from review.views.markup import form_markup, transcript_markup
from review.views.sheet import Sheet, sheet_of
from sqpsych_site.statements import Worded


def rating_context(
    assignment: Assignment, *, problems: Iterable[Missing] = (), **more: Any
) -> dict[str, Any]:
    """Everything the rating page needs."""
    lacking = list(problems)
    sheet = sheet_of(assignment)
    turns = _turns().fetch(assignment.study_dialogue.dialogue_id)
    labels = {item.id: item for item in sheet.shape.items}
    visible = visible_in(assignment.study)
    return {
        "assignment": assignment,
        "study": assignment.study,
        "code": assignment.code,
        "visible": visible,
        "subtotals": subtotal_views(sheet) if visible.totals else [],
        "transcript": transcript_markup(turns, sheet, lacking),
        "last_turn": len(turns),
        "shape": sheet.shape,
        "form": form_markup(sheet, lacking),
        "problems": [
            (one, labels[name])
            for one in lacking
            if (name := f"{one.instrument}-{one.item}") in labels
        ],
        "flags": sheet.flags,
        "flag_uid": uuid4(),
        "flag_fields": flag_fields_skeleton(sheet.shape).fill({}) if sheet.shape.flags else "",
        "progress": progress_of(assignment),
        "read_only": sheet.shape.read_only,
        "outbox": outbox_key(assignment.rater_id),
        **more,
    }


@lru_cache(maxsize=1)
def _turns() -> Worded[Turn]:
    dialogue = -1
    rows = Turn.objects.filter(dialogue=dialogue).order_by("number")
    return Worded(rows.values_list("number", "role", "text"), [dialogue])


def subtotal_views(sheet: Sheet) -> list[dict[str, object]]:
    """The totals so far; the page's script keeps them up to date."""
    given = {
        Spot(item.form, item.item.key): sheet.given(item).value
        for item in sheet.shape.items
        if not item.at_turn
    }
    return [
        {
            "id": f"{total['instrument']}-{total['key']}",
            "label": total["label"],
            "text": total_text(total),
        }
        for total in subtotals(sheet.shape.instruments, given)
    ]


def total_text(total: Mapping[str, Any]) -> str:
    """'14 of 16', with the band that it reaches; a dash while answers are missing."""
    if total["value"] is None:
        return "–"
    text = gettext("%(done)s of %(all)s") % {
        "done": f"{total['value']:g}",
        "all": f"{total['maximum']:g}",
    }
    return f"{text}, {total['band']}" if total["band"] else text


def outbox_key(rater: int) -> dict[str, str]:
    """Under what, and with which key, this person's browser keeps answers not yet sent.

    The key is given to pages of the signed-in person only. What lies in the browser cannot be
    read without it, and is sent by that person's next page even after the login had to be renewed.
    """
    key = salted_hmac("review.outbox", str(rater), algorithm="sha256").digest()
    tag = salted_hmac("review.outbox.tag", str(rater), algorithm="sha256").hexdigest()[:12]
    return {"tag": tag, "key": base64.b64encode(key).decode()}
