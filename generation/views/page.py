"""What the generation pages share: redirects after a write, and lists that page by keyset."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db.models import Model, QuerySet
from django.http import HttpResponse, HttpResponseBase, HttpResponseRedirect, QueryDict
from django.shortcuts import render
from django_htmx.http import HttpResponseClientRedirect

from generation import words
from sqpsych_site.roles import AuthenticatedRequest

Row = TypeVar("Row", bound=Model)
STOP_POLLING = 286  # htmx: take this answer and ask no more
PAGE_SIZE = 50
COUNTED_UP_TO = 1000
_NOT_KEPT = frozenset({"older", "newer", "seen"})


class SeeOther(HttpResponseRedirect):
    """After a write: fetch that page, whatever the method was."""

    status_code = 303


def go_to(request: AuthenticatedRequest, url: str) -> HttpResponseBase:
    """Where to go after a write: a 303, or the whole page instead of a fragment for htmx."""
    return HttpResponseClientRedirect(url) if request.htmx else SeeOther(url)


def show(
    request: AuthenticatedRequest,
    template: str,
    context: dict[str, Any],
    *,
    part: str = "",
    status: int = 200,
) -> HttpResponse:
    """The page, or for htmx only its named part."""
    name = f"{template}#{part}" if part and request.htmx else template
    return render(request, name, context, status=status)


@dataclass(frozen=True)
class Page(Generic[Row]):
    """Some rows of a list and the way to those before and after them (None: there are none)."""

    rows: Sequence[Row]
    newer_url: str | None
    older_url: str | None


def keyset_page(
    rows: QuerySet[Row],
    given: QueryDict,
    *,
    by: str = "-pk",
    size: int = PAGE_SIZE,
    dress: Callable[[QuerySet[Row]], QuerySet[Row]] | None = None,
) -> Page[Row]:
    """Rows in the order ``by`` (one unique field) that follow ``older`` or come before ``newer``.

    Costs the same on the last page as on the first: rows are found by value, not by counting.
    A value that makes no sense shows the first page. With ``dress`` the rows are found by their
    ids alone, from an index, and only those shown are read with what it adds.
    """
    field = by.removeprefix("-")
    back = not given.get("older") and bool(given.get("newer"))
    mark = given.get("newer" if back else "older", "")[:100]
    if field == "pk" and not (mark.isdecimal() and len(mark) < 19):
        mark, back = "", False
    backwards = by.startswith("-") != back
    after = rows.filter(**{f"{field}__{'lt' if backwards else 'gt'}": mark}) if mark else rows
    found = _read(after.order_by(f"-{field}" if backwards else field)[: size + 1], dress)
    more, found = len(found) > size, found[:size]
    if back and not more:
        # Nothing lies before these: the first page it is, and a full one.
        return keyset_page(rows, QueryDict(_url(given)[1:]), by=by, size=size, dress=dress)
    if back:
        found.reverse()
    if not found:
        return Page([], _url(given) if mark else None, None)
    return Page(
        found,
        _url(given, newer=str(getattr(found[0], field))) if back or mark else None,
        _url(given, older=str(getattr(found[-1], field))) if back or more else None,
    )


def _read(some: QuerySet[Row], dress: Callable[[QuerySet[Row]], QuerySet[Row]] | None) -> list[Row]:
    if dress is None:
        return list(some)
    ids = list(some.values_list("pk", flat=True))
    rows = dress(some.model._default_manager.filter(pk__in=ids)).in_bulk()
    return [rows[pk] for pk in ids if pk in rows]


def how_many(rows: QuerySet[Any], one: str) -> str:
    """How many rows there are, in words; counts no further than a person wants to know."""
    number = rows.order_by()[: COUNTED_UP_TO + 1].count()
    if number > COUNTED_UP_TO:
        return f"More than {words.count(COUNTED_UP_TO, one)}"
    return words.count(number, one)


def _url(given: QueryDict, **mark: str) -> str:
    """This list with the same filters at another place."""
    values = given.copy()
    for name in [name for name in values if name in _NOT_KEPT or not values[name]]:
        del values[name]
    values.update(mark)
    return f"?{values.urlencode()}"
