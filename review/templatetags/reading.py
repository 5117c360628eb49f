"""``{% reading as name %}``: how this browser shows dialogues."""

from typing import Any

from django import template

from review.views.reading import Reading, reading_of

register = template.Library()


@register.simple_tag(takes_context=True)
def reading(context: dict[str, Any]) -> Reading:
    """Text size and line length from the request's cookie."""
    return reading_of(context["request"])
