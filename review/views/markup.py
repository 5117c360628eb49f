"""Pieces of the rating page that look the same for every rater, rendered once per process.

Each function renders an ordinary template, escaping included, and remembers the result under
everything the template was given; what holds a rater's own words is never remembered.
"""

from functools import lru_cache
from uuid import UUID

from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.translation import get_language

from review.form_view import FlagQuestion, ItemView, Question
from review.instruments import cached_instrument


def language() -> str:
    """The language of the page now being made."""
    return get_language() or "en"


def item_markup(item: ItemView, assignment: UUID, *, read_only: bool) -> SafeString:
    """One item of the form."""
    if item.is_plain:
        return _plain(item.question, item.turn, item.value, item.revision, item.visible, read_only)
    context = {"item": item, "assignment": assignment, "read_only": read_only}
    return render_to_string("review/_item.html", context)


@lru_cache(maxsize=2048)
def _plain(
    question: Question, turn: int | None, value: str, revision: int, visible: bool, read_only: bool
) -> SafeString:
    item = ItemView(question, value=value, revision=revision, visible=visible, turn=turn)
    return render_to_string("review/_item.html", {"item": item, "read_only": read_only})


@lru_cache(maxsize=64)
def flag_choices(toml: str, code: str) -> SafeString:
    """Category, severity and further questions of an instrument's flags, in one language."""
    form = cached_instrument(toml, code).safety
    questions = [FlagQuestion(item) for item in form.questions] if form else []
    return render_to_string("review/_flag_choices.html", {"form": form, "questions": questions})


@lru_cache(maxsize=8)
def keys_help(code: str) -> SafeString:
    """The list of keys in one language."""
    return render_to_string("review/_keys.html", {"language": code})
