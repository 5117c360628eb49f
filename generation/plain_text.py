"""Text from a file or a model is data: what must be taken out of it before it is used (pure).

Nothing here judges meaning. "Ignore previous instructions" stays what it is, a sentence in a cell;
what goes is what a reader cannot see and what a model's tokenizer would take for structure.
"""

from __future__ import annotations

import re
import unicodedata

MARKER = "[removed]"
_JOINERS = "\u200c\u200d"  # letters of Persian and Hindi and joined emoji need these two
_TOKENS = re.compile(
    r"""
    [<＜][|｜][^|｜<>＜＞]{0,80}[|｜][>＞]                # <|im_start|>, <｜User｜>
    | [|｜](?:im_(?:start|end|sep)|end(?:of(?:text|turn|_of_text))?|eot_id|eom_id
          |(?:start|end)_header_id|begin_of_text)[|｜]   # the same after one lost bracket
    | \[/?\s*(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_(?:CALLS|RESULTS|CONTENT)|PREFIX|SUFFIX
          |MIDDLE|IMG|THINK|END)\s*\]
    | <</?\s*SYS\s*>>
    | [<＜]/?\s*(?:start_of_turn|end_of_turn|turn|bos|eos|pad|unk|s|mask|sep|cls|think|thinking
          |system|user|assistant|model|human|im_start|im_end|im_sep|endoftext
          |[a-z]{1,4}os_token|tool_(?:call|response|calls|result|results)|tools|function_calls
          |facts|unused\d{1,4}|reserved[\w-]{0,40}|extra_id_\d{1,4})\s*/?[>＞]
    """,
    re.IGNORECASE | re.VERBOSE,
)


def is_plain(text: str) -> bool:
    """True when the text has no control character, invisible sign or line break in it."""
    return not any(_is_hidden(character) for character in text)


def control_character(text: str, *, allowed: str = "") -> str | None:
    """The name (`U+0007`) of the first control character or broken code point, None if clean."""
    for character in text:
        if character in allowed or character.isprintable():
            continue
        if unicodedata.category(character) in {"Cc", "Cs"}:
            return f"U+{ord(character):04X}"
    return None


def as_data(text: str, *, limit: int) -> str:
    """One line of visible text, at most `limit` characters, that no chat template can mistake.

    Line breaks become spaces, invisible characters go, tokens become `[removed]`; a cut ends in
    an ellipsis. Applying it twice changes nothing more.
    """
    visible = "".join(
        " " if character.isspace() else character
        for character in text
        if character.isspace() or not _is_hidden(character)
    )
    line = " ".join(visible.split())
    while True:
        # Taking one token out can close another around it, so go on until nothing is found.
        replaced = _TOKENS.sub(MARKER, line)
        if replaced == line:
            break
        line = replaced
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def _is_hidden(character: str) -> bool:
    if character.isprintable() or character in _JOINERS:
        return False
    return unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}
