"""What the rating page asks for in the background: save, catch up, prefetch. JSON in and out."""

from typing import Any
from uuid import UUID

from django.http import HttpResponse, HttpResponseBase, JsonResponse
from django.middleware.csrf import get_token
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_GET, require_POST

from review import actions, standing, wire
from review.actions import Closed, Refused, Saved
from review.actions.sheet import Sheet, look_at_sheet
from review.models import Evidence, Flag
from review.permissions import assignment_of, visible_in
from review.views.page import rating_context
from sqpsych_site.roles import AuthenticatedRequest, Verb, require

FEW = 12
TOO_LARGE = 413


@require_POST
@require(Verb.RATE)
def save(request: AuthenticatedRequest, uid: UUID) -> HttpResponseBase:
    """Carry out what the rater did, in order; each operation gets an answer of its own."""
    if int(request.headers.get("Content-Length") or 0) > wire.MAX_BYTES:
        return _told("too_large", "The request is too large.", TOO_LARGE)
    try:
        saved = actions.save(uid=uid, by=request.user, operations=wire.read(request.body))
    except wire.NotReadable as error:
        assignment_of(request.user, uid)
        return _told("malformed", str(error), 400)
    except Refused as refused:
        return _told(refused.code, refused.sentence, refused.status)
    return JsonResponse(_saved(saved))


def _told(code: str, sentence: str, status: int) -> JsonResponse:
    return JsonResponse({"code": code, "sentence": sentence}, status=status)


def _saved(saved: Saved) -> dict[str, Any]:
    return {"results": saved.results, **_standing(saved.sheet)}


def _standing(sheet: Sheet) -> dict[str, Any]:
    """How the rating stands: counts, what is open, what is hidden, what undo and redo can do."""
    now = sheet.standing()
    told: dict[str, Any] = {
        "open": len(now.open),
        "open_items": now.open if len(now.open) <= FEW else [],
        "sections": now.sections,
        "hidden": now.hidden,
        "can_undo": sheet.assignment.undo_step > 0,
        "can_redo": sheet.assignment.redo_step > 0,
    }
    if visible_in(sheet.assignment.study).totals:
        told["subtotals"] = standing.subtotals(sheet.forms, sheet.given)
    return told


@require_GET
@require(Verb.RATE)
def state(request: AuthenticatedRequest, uid: UUID) -> HttpResponseBase:
    """Everything stored about this rating, for a window that was away, and a fresh token."""
    try:
        sheet = look_at_sheet(uid, request.user)
    except Refused as refused:
        return _told(refused.code, refused.sentence, refused.status)
    assignment = sheet.assignment
    keys = {row.pk: key for key, row in sheet.rows.items()}
    return JsonResponse(
        {
            "state": assignment.state,
            "open_for_answers": _takes_answers(sheet),
            "answers": [
                {
                    **spot._asdict(),
                    "value": one.value,
                    "comment": one.comment,
                    "revision": one.revision,
                }
                for spot, one in sheet.entries.items()
            ],
            "comment": {"text": assignment.comment, "revision": assignment.comment_revision},
            "flags": [_flag(row) for row in assignment.flags.filter(withdrawn_at=None)],
            "evidence": [
                _evidence(row, keys)
                for row in assignment.evidence.filter(withdrawn_at=None).select_related("flag")
            ],
            **_standing(sheet),
            "token": get_token(request),
        }
    )


def _takes_answers(sheet: Sheet) -> bool:
    try:
        sheet.check_open()
    except Closed:
        return False
    return True


def _flag(row: Flag) -> dict[str, Any]:
    return {
        "uid": str(row.uid),
        "category": row.category,
        "severity": row.severity,
        "details": row.details,
        "note": row.note,
        **_place(row),
    }


def _evidence(row: Evidence, keys: dict[int, str]) -> dict[str, Any]:
    return {
        "uid": str(row.uid),
        "instrument": keys.get(row.instrument_id or 0, ""),
        "item": row.item,
        "flag": str(row.flag.uid) if row.flag else None,
        **_place(row),
    }


def _place(row: Flag | Evidence) -> dict[str, int | None]:
    return {"turn": row.turn_number, "start": row.start, "end": row.end}


@require_GET
@require(Verb.RATE)
@gzip_page
def next_up(request: AuthenticatedRequest, uid: UUID) -> HttpResponseBase:
    """The workspace of the dialogue that follows this one, without marking it opened.

    204 when there is none, or when something else comes before it.
    """
    here = assignment_of(request.user, uid)
    following = actions.next_assignment(by=request.user, after=here)
    if following is None or actions.after_submit(here) is not None:
        return HttpResponse(status=204)
    context = rating_context(following)
    response = render(request, "review/rate.html#workspace", context)
    response["HX-Push-Url"] = reverse("review:rate", args=[following.uid])
    return response


@require_POST
@require(Verb.RATE)
def opened(request: AuthenticatedRequest, uid: UUID) -> HttpResponseBase:
    """Note that the rater now looks at a dialogue that came by prefetch."""
    actions.open_assignment(assignment=assignment_of(request.user, uid))
    return HttpResponse(status=204)
