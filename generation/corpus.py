"""Dialogues as files: utterances as rows, chat messages, and SQPsychConv's columns (pure).

- ``turns``: CSV, one utterance a row; needs ``dialogue_id, turn, role, text``, may have more.
- ``messages``: JSONL, one dialogue a line; the therapist is ``assistant``, the client ``user``.
- ``sqpsychconv``: CSV with the columns of Vu et al. 2025 (arXiv 2510.25384); written only.

What goes out in the first two comes back in equal. Every export says that it is synthetic. A CSV
cell that a spreadsheet would run as a formula gets one apostrophe in front, taken off again when
read.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from generation.plain_text import control_character
from generation.profile_files import guard_formula
from generation.utterances import CLIENT, THERAPIST, Role

FORMATS: Final = ("sqpsychconv", "messages", "turns")
READABLE: Final = ("turns", "messages")
MAX_BYTES: Final = 200 * 1024 * 1024
MAX_TEXT: Final = 100_000
MAX_ID: Final = 120
MAX_TURNS: Final = 2_000
NEEDED: Final = ("dialogue_id", "turn", "role", "text")
TURN_COLUMNS: Final = (
    *NEEDED,
    "profile_id",
    "condition",
    "protocol",
    "therapist_model",
    "client_model",
    "replicate",
    "seed",
    "attempts",
    "finish_reason",
    "prompt_tokens",
    "completion_tokens",
    "synthetic",
)
_PAPERS_COLUMNS: Final = ("file_id", "condition", "client_model", "therapist_model", "dialogue")
SQPSYCHCONV_COLUMNS: Final = (*_PAPERS_COLUMNS, "synthetic")
_ROLES: Final[dict[str, Role]] = {
    "therapist": THERAPIST,
    "client": CLIENT,
    "assistant": THERAPIST,
    "user": CLIENT,
}
_MESSAGE_ROLES: Final = {THERAPIST: "assistant", CLIENT: "user"}


class CorpusError(ValueError):
    """A file that was not taken; one sentence with file and row, never a piece of a dialogue."""


@dataclass(frozen=True, slots=True)
class CorpusTurn:
    """One utterance; the figures are known for dialogues made here."""

    role: Role
    text: str
    facts: dict[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CorpusDialogue:
    """One dialogue; ``facts`` are what is the same in all its rows (model, condition ...)."""

    dialogue_id: str
    turns: tuple[CorpusTurn, ...]
    facts: dict[str, str | int] = field(default_factory=dict)


def read_corpus(filename: str, content: bytes, file_format: str) -> list[CorpusDialogue]:
    """All dialogues of a file, in its order. Raises CorpusError; a file is taken whole or not."""
    if file_format not in READABLE:
        raise CorpusError(
            f"The format “{file_format}” cannot be read; use one of {', '.join(READABLE)}."
        )
    name = filename.replace("\\", "/").rsplit("/", 1)[-1][:100] or "file"
    text = _text(name, content)
    found = _read_turns(name, text) if file_format == "turns" else _read_messages(name, text)
    if not found:
        raise CorpusError(f"{name}: there is no dialogue in this file.")
    return found


def _text(name: str, content: bytes) -> str:
    if len(content) > MAX_BYTES:
        raise CorpusError(f"{name}: the file is larger than 200 MB; split it.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = content.count(b"\n", 0, error.start) + 1
        raise CorpusError(f"{name}, row {row}: the text is not in UTF-8; save it so.") from None


def _read_turns(name: str, text: str) -> list[CorpusDialogue]:
    """Rows of one dialogue may stand anywhere; their turn numbers put them in order."""
    found: dict[str, dict[int, CorpusTurn]] = {}
    for row, cells in _csv_rows(name, text):
        place = f"{name}, row {row}"
        key = _key(place, _unguarded(cells["dialogue_id"]))
        number = cells["turn"].strip()
        if not (number.isascii() and number.isdigit()) or not 1 <= int(number[:9]) <= MAX_TURNS:
            raise CorpusError(
                f"{place}, column turn: must be a whole number from 1 to {MAX_TURNS:,}."
            )
        turns = found.setdefault(key, {})
        if int(number) in turns:
            raise CorpusError(
                f"{place}, column turn: turn {number} of this dialogue is there twice."
            )
        turns[int(number)] = CorpusTurn(
            _role(place, cells["role"]), _said(place, _unguarded(cells["text"]))
        )
    return [CorpusDialogue(key, _in_order(name, key, turns)) for key, turns in found.items()]


def _csv_rows(name: str, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    # The limit is the whole process's: other readers keep theirs.
    usual = csv.field_size_limit(MAX_BYTES)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    row = 1
    try:
        header = [cell.strip().lower() for cell in next(reader, [])]
        for column in NEEDED:
            if header.count(column) != 1:
                raise CorpusError(f"{name}, row 1: there must be one column “{column}”.")
        row = reader.line_num + 1
        for cells in reader:
            if cells and len(cells) != len(header):
                raise CorpusError(
                    f"{name}, row {row}: has {len(cells)} cells, the first row has {len(header)}."
                )
            if any(cell.strip() for cell in cells):
                yield row, dict(zip(header, cells, strict=True))
            row = reader.line_num + 1
    except csv.Error:
        raise CorpusError(
            f"{name}, row {row}: is not proper CSV; a quotation mark may be missing."
        ) from None
    finally:
        csv.field_size_limit(usual)


def _in_order(name: str, key: str, turns: dict[int, CorpusTurn]) -> tuple[CorpusTurn, ...]:
    missing = next((n for n in range(1, len(turns) + 1) if n not in turns), None)
    if missing is not None:
        raise CorpusError(
            f"{name}: turn {missing} of the dialogue “{key}” is missing; number turns from 1."
        )
    return tuple(turns[number] for number in sorted(turns))


def _read_messages(name: str, text: str) -> list[CorpusDialogue]:
    found: dict[str, CorpusDialogue] = {}
    for row, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        place = f"{name}, row {row}"
        try:
            record: Any = json.loads(line)
        except (ValueError, RecursionError):
            raise CorpusError(f"{place}: is not one line of JSON.") from None
        dialogue = _from_messages(place, record)
        if dialogue.dialogue_id in found:
            raise CorpusError(f"{place}: the dialogue “{dialogue.dialogue_id}” is there twice.")
        found[dialogue.dialogue_id] = dialogue
    return list(found.values())


def _from_messages(place: str, record: Any) -> CorpusDialogue:
    messages = record.get("messages") if isinstance(record, dict) else None
    if not isinstance(messages, list) or not messages:
        raise CorpusError(f"{place}: must be an object with a list “messages”.")
    if len(messages) > MAX_TURNS:
        raise CorpusError(f"{place}: has more than {MAX_TURNS:,} messages.")
    key = record.get("dialogue_id", record.get("id"))
    if isinstance(key, int) and not isinstance(key, bool):
        key = str(key)
    if not isinstance(key, str):
        raise CorpusError(f"{place}: must have a “dialogue_id”.")
    numbered = enumerate(messages, start=1)
    turns = tuple(_from_message(f"{place}, message {n}", message) for n, message in numbered)
    return CorpusDialogue(_key(place, key), turns)


def _from_message(place: str, message: Any) -> CorpusTurn:
    role, said = (
        (message.get("role"), message.get("content")) if isinstance(message, dict) else (None, None)
    )
    if not isinstance(role, str) or not isinstance(said, str):
        raise CorpusError(f"{place}: must have a “role” and a text as “content”.")
    return CorpusTurn(_role(place, role), _said(place, said))


def _key(place: str, text: str) -> str:
    key = text.strip()
    if not key or len(key) > MAX_ID or control_character(key):
        raise CorpusError(f"{place}, column dialogue_id: must have 1 to {MAX_ID} plain characters.")
    return key


def _role(place: str, text: str) -> Role:
    role = _ROLES.get(text.strip().lower())
    if role is None:
        raise CorpusError(
            f"{place}, column role: must be therapist or client (or assistant or user)."
        )
    return role


def _said(place: str, text: str) -> str:
    if not text.strip():
        raise CorpusError(f"{place}, column text: is empty.")
    if len(text) > MAX_TEXT:
        raise CorpusError(f"{place}, column text: is longer than {MAX_TEXT:,} characters.")
    if character := control_character(text, allowed="\n\r\t"):
        raise CorpusError(
            f"{place}, column text: holds the character {character}, which cannot be stored."
        )
    return text


def _unguarded(text: str) -> str:
    """The text without the one apostrophe that ``guard_formula`` put before it."""
    return text[1:] if text.startswith("'") and guard_formula(text[1:]) == text else text


# -- out -----------------------------------------------------------------------------------------


def write_corpus(dialogues: Iterable[CorpusDialogue], file_format: str) -> Iterator[str]:
    """The file in pieces of text, in the order of the dialogues. Raises CorpusError."""
    if file_format == "turns":
        return _csv_lines(TURN_COLUMNS, _turn_rows(dialogues))
    if file_format == "sqpsychconv":
        return _csv_lines(SQPSYCHCONV_COLUMNS, map(_sqpsychconv_row, dialogues))
    if file_format == "messages":
        return map(_message_line, dialogues)
    raise CorpusError(f"There is no format “{file_format}”; use one of {', '.join(FORMATS)}.")


def _csv_lines(columns: Sequence[str], rows: Iterable[dict[str, str | int]]) -> Iterator[str]:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, columns, restval="", extrasaction="ignore")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: guard_formula(str(row.get(name, ""))) for name in columns})
        yield out.getvalue()
        out.seek(0)
        out.truncate()
    yield out.getvalue()


def _turn_rows(dialogues: Iterable[CorpusDialogue]) -> Iterator[dict[str, str | int]]:
    for dialogue in dialogues:
        for number, turn in enumerate(dialogue.turns, start=1):
            yield {
                **dialogue.facts,
                **turn.facts,
                "dialogue_id": dialogue.dialogue_id,
                "turn": number,
                "role": turn.role,
                "text": turn.text,
                "synthetic": "true",
            }


def _sqpsychconv_row(dialogue: CorpusDialogue) -> dict[str, str | int]:
    lines = [f"{turn.role.capitalize()}: {_continued(turn.text)}" for turn in dialogue.turns]
    return {
        **dialogue.facts,
        "file_id": dialogue.dialogue_id,
        "dialogue": "\n".join(lines),
        "synthetic": "true",
    }


def _continued(text: str) -> str:
    """Further lines of an utterance that look like a speaker's are set in by one space."""
    first, *rest = text.split("\n")
    labels = ("Therapist:", "Client:")
    return "\n".join([first, *(f" {line}" if line.startswith(labels) else line for line in rest)])


def _message_line(dialogue: CorpusDialogue) -> str:
    record = {
        "dialogue_id": dialogue.dialogue_id,
        **dialogue.facts,
        "synthetic": True,
        "messages": [
            {"role": _MESSAGE_ROLES[turn.role], "content": turn.text} for turn in dialogue.turns
        ],
    }
    return json.dumps(record, ensure_ascii=False) + "\n"
