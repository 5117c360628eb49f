"""Where in a TOML text a value stands, so that an error can name the line (pure).

`tomllib` drops positions. For the plain shape of our definition files (tables, arrays of tables,
arrays of inline tables) the line can be found again by counting headers and braces.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from pydantic import ValidationError
from pydantic_core import ErrorDetails

_STRINGS_AND_COMMENTS = re.compile(
    r'"""(?:\\.|(?!""").)*"""|\'\'\'(?:(?!\'\'\').)*\'\'\'|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|#[^\n]*',
    re.DOTALL,
)
_SINGULAR = {"switches": "switch"}
_LIMITS = {
    "greater_than_equal": ("ge", "must be {} or more"),
    "less_than_equal": ("le", "must be {} or less"),
    "too_short": ("min_length", "must have {} or more entries"),
    "too_long": ("max_length", "must have {} or fewer entries"),
}
_TYPES = {
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "string_type": "must be text in quotes",
    "tuple_type": "must be a list",
    "model_type": "must be a table",
}


def explain(error: ValidationError, text: str, *, origin: str) -> str:
    """The first problem of a pydantic error as one sentence with file, line and key."""
    first = min(error.errors(include_url=False), key=_unknown_keys_first)
    where = place(text, first["loc"], origin=origin)
    return f"{where}: {_message(first)}"


def place(text: str, loc: Sequence[str | int], *, origin: str) -> str:
    """`file, line 12, item 2, option 1`: as exact as the text allows."""
    line = line_of(text, loc)
    parts = [origin] if line is None else [f"{origin}, line {line}"]
    for name, index in pairwise(loc):
        if isinstance(name, str) and isinstance(index, int):
            parts.append(f"{_SINGULAR.get(name, name.removesuffix('s'))} {index + 1}")
    return ", ".join(parts)


def line_of(text: str, loc: Sequence[str | int]) -> int | None:
    """The line (from 1) of the value at `loc`, or of the table around it; None if unknown."""
    masked = _STRINGS_AND_COMMENTS.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)
    # Where tables of this path may stand: the whole text, or the innermost entry of an array.
    scope = (0, len(text))
    start, end, found = 0, _next_header(masked, 0), None
    path: list[str] = []
    for part in loc:
        if isinstance(part, str):
            path.append(part)
            headers = _headers(text, masked, path, scope, array=False)
            step = (headers[0][0], _next_header(masked, headers[0][1])) if headers else None
            step = step or _key(masked, part, start, end)
        elif (entries := _headers(text, masked, path, scope, array=True))[part:]:
            stop = entries[part + 1][0] if part + 1 < len(entries) else scope[1]
            scope = (entries[part][0], stop)
            step = (entries[part][0], min(stop, _next_header(masked, entries[part][1])))
        else:
            step = _inline(masked, part, start, end)
        if step is None:
            # An array's own name leads nowhere yet when its entries are [[tables]].
            continue
        start, end = step
        found = start
    return None if found is None else masked.count("\n", 0, found) + 1


def _headers(
    text: str, masked: str, path: Sequence[str], scope: tuple[int, int], *, array: bool
) -> list[tuple[int, int]]:
    """Begin and end of the headers of a table, or of an array's tables, at a path."""
    name = r"\.".join(rf"(?:{re.escape(part)}|\"{re.escape(part)}\")" for part in path)
    both = rf"\[\[{name}\]\]" if array else rf"\[{name}\]"
    found = re.compile(rf"^[ \t]*{both}", re.MULTILINE).finditer(text, *scope)
    # A name in quotes is masked, its brackets are not, unless all of it stands in a string.
    return [(m.start(), m.end()) for m in found if masked[m.end() - 1] == "]"]


def _key(masked: str, part: str, start: int, end: int) -> tuple[int, int] | None:
    key = re.compile(rf"(?<![\w.-]){re.escape(part)}[ \t]*=").search(masked, start, end)
    return (key.start(), end) if key else None


def _inline(masked: str, part: int, start: int, end: int) -> tuple[int, int] | None:
    braces = [m.start() for m in re.finditer(r"\{", masked[start:end])]
    if part >= len(braces):
        return None
    opened = start + braces[part]
    closed = masked.find("}", opened, end)
    return opened, end if closed < 0 else closed


def _next_header(masked: str, position: int) -> int:
    header = re.compile(r"^[ \t]*\[", re.MULTILINE).search(masked, position)
    return header.start() if header else len(masked)


def _unknown_keys_first(error: ErrorDetails) -> bool:
    # A misspelt key gives two errors, one missing and one unknown: the misspelling explains both.
    return error["type"] != "extra_forbidden"


def _message(error: ErrorDetails) -> str:
    name = next((part for part in reversed(error["loc"]) if isinstance(part, str)), "the file")
    kind, context = error["type"], error.get("ctx", {})
    if kind == "missing":
        return f"the key '{name}' is missing; add it."
    if kind == "extra_forbidden":
        return f"the key '{name}' is not known here; remove it or check its spelling."
    if kind in _LIMITS:
        limit, words = _LIMITS[kind]
        return f"'{name}' {words.format(context[limit])}; change it."
    if kind == "form":
        return f"'{name}' {error['msg']}; change it."
    if kind == "literal_error":
        return f"'{name}' must be {context['expected']}; change it."
    return f"'{name}' {_TYPES.get(kind, 'has a value that is not allowed')}; change it."
