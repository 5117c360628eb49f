"""Markup rendered once and filled many times.

The form of an instrument is the same for every dialogue and rater but for the answers. A template
is rendered once per process with holes where the answers go; filling the holes takes microseconds.
"""

import re
from collections.abc import Iterable, Mapping

from django.template.loader import render_to_string
from django.utils.html import escape
from django.utils.safestring import SafeString

# Unicode noncharacters: no text of an instrument or a translation contains them.
_OPEN, _CLOSE = "\ufdd0", "\ufdd1"
_HOLE = re.compile(f"{_OPEN}([^{_CLOSE}]*){_CLOSE}")


def hole(name: str) -> SafeString:
    """A place in a template that is filled later."""
    return SafeString(f"{_OPEN}{name}{_CLOSE}")


class Skeleton:
    """A rendered template with named holes."""

    def __init__(self, template: str, context: Mapping[str, object]) -> None:
        text = render_to_string(template, dict(context))
        self._parts = _HOLE.split(re.sub(r">\s*\n\s*", ">\n", text))
        self.holes = frozenset(self._parts[1::2])

    def fill(self, values: Mapping[str, str]) -> SafeString:
        """The markup with every hole filled; what is not given stays empty.

        Values are escaped unless they are safe strings already.
        """
        parts = list(self._parts)
        for index in range(1, len(parts), 2):
            value = values.get(parts[index])
            if not value:
                parts[index] = ""
            else:
                parts[index] = value if isinstance(value, SafeString) else escape(value)
        return SafeString("".join(parts))


def joined(parts: Iterable[SafeString]) -> SafeString:
    """Several pieces of markup as one."""
    return SafeString("".join(parts))
