"""Cells as CSV: the one place where a value becomes text in a file. Pure.

Format: RFC 4180, comma, CR LF, quotes only where needed. A text that a spreadsheet could run as a
formula gets one apostrophe in front; see ``guard`` for the exact rule and its way back.
"""

import re
from datetime import UTC, datetime
from functools import lru_cache

# Blanks, marks without width and apostrophes do not stop every program from seeing a formula
# behind them. Because the apostrophe is among them, the rule can be undone without doubt.
_FORMULA = re.compile(
    "[\\s'\\u200b-\\u200f\\u2060\\ufeff]*[=+\\-@|%\\uff1d\\uff0b\\uff0d\\u2212\\uff20\\uff5c]"
    "|'*[\\t\\r\\n]"
)
# Most cells: codes, keys, moments. A sign of these means nothing after a letter or a digit.
_PLAIN = re.compile("[0-9A-Za-z][0-9A-Za-z .:_-]*").fullmatch
_NEEDS_QUOTES = re.compile('[",\\r\\n]')
_CONTROLS = {code: 0x2400 + code for code in range(32) if code not in (9, 10, 13)} | {127: 0x2421}
_CONTROL = re.compile("[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f\\r]")


def guard(text: str) -> str:
    """The text as no spreadsheet runs it: one apostrophe in front where it looks like a formula."""
    return f"'{text}" if _FORMULA.match(text) else text


def unguard(cell: str) -> str:
    """What ``guard`` was given; any other cell is returned as it is."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def clean(text: str) -> str:
    """Line breaks as LF, control characters as their visible pictures (U+2400 to U+2421)."""
    if not _CONTROL.search(text):
        return text
    return text.replace("\r\n", "\n").replace("\r", "\n").translate(_CONTROLS)


def text_cell(text: str) -> str:
    """A text, guarded and quoted."""
    if _PLAIN(text):
        return text
    safe = guard(clean(text))
    return '"' + safe.replace('"', '""') + '"' if _NEEDS_QUOTES.search(safe) else safe


@lru_cache(maxsize=4096)  # the same few moments stand in several files
def moment_cell(moment: datetime) -> str:
    """A moment in UTC to the millisecond, e.g. 2026-03-02T09:00:00.000Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def cell(value: str | int | float | datetime | None) -> str:
    """Any cell; numbers stay numbers, None is empty."""
    if value is None or value == "":
        return ""
    if isinstance(value, str):
        return text_cell(value)
    if isinstance(value, datetime):
        return moment_cell(value)
    return str(value)
