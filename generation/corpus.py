"""Dialogues as files: utterances as rows, chat messages, and SQPsychConv's columns (pure).

- ``sqpsychconv``: the columns of Vu et al. 2025 (arXiv 2510.25384), the dialogue as one string;
  as CSV, ``sqpsychconv-jsonl`` or ``sqpsychconv-parquet``.
- ``messages``: JSONL, one dialogue a line; the therapist is ``assistant``, the client ``user``.
- ``turns``: CSV, one utterance a row, or ``turns-parquet``.
- ``folder``: what Hugging Face ``datasets`` loads; see corpus_folder.py.

What goes out comes back in equal. Every export says that it is synthetic. A CSV cell that a
spreadsheet would run as a formula gets one apostrophe in front, taken off again when read.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, BinaryIO, Final

from generation.corpus_parquet import parquet_columns, parquet_rows, write_parquet
from generation.corpus_parts import (
    FACTS,
    FIGURES,
    MAX_BYTES,
    MAX_TURNS,
    MESSAGE_ROLES,
    CorpusDialogue,
    CorpusError,
    CorpusTurn,
    checked_facts,
    checked_key,
    checked_role,
    checked_text,
    file_name,
)
from generation.corpus_rows import NEEDED, csv_cells, header_of, read_turns
from generation.corpus_script import script, turns_of
from generation.profile_files import guard_formula

__all__ = [
    "FORMATS",
    "READABLE",
    "CorpusDialogue",
    "CorpusError",
    "CorpusTurn",
    "detected_format",
    "read_corpus",
    "write_corpus",
]

PAPERS: Final = ("sqpsychconv", "sqpsychconv-jsonl", "sqpsychconv-parquet")
TURNS: Final = ("turns", "turns-parquet")
FORMATS: Final = (*PAPERS, "messages", *TURNS)
READABLE: Final = (*FORMATS, "messages-parquet")
SUFFIXES: Final = {
    "sqpsychconv": "csv",
    "sqpsychconv-jsonl": "jsonl",
    "sqpsychconv-parquet": "parquet",
    "messages": "jsonl",
    "turns": "csv",
    "turns-parquet": "parquet",
}
_PAPERS_NEEDED: Final = ("file_id", "dialogue")
_PAPERS_FACTS: Final = ("condition", "client_model", "therapist_model")
PAPERS_COLUMNS: Final = ("file_id", *_PAPERS_FACTS, "dialogue", "synthetic")
# The key that stands for a profile where files are passed on is in the folder alone.
_FACTS: Final = tuple(name for name in FACTS if name != "profile_key")
TURN_COLUMNS: Final = (*NEEDED, *_FACTS, *FIGURES, "synthetic")


def detected_format(filename: str, source: BinaryIO) -> str | None:
    """The format of a file by its content; None for CSV whose columns have to be mapped."""
    name = file_name(filename)
    begin = source.read(4_096)
    source.seek(0)
    if begin.startswith(b"PAR1"):
        columns = parquet_columns(name, source)
        source.seek(0)
        kinds = {"dialogue": "sqpsychconv", "messages": "messages", "text": "turns"}
        found = next((kind for column, kind in kinds.items() if column in columns), "turns")
        return f"{found}-parquet"
    if begin.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        line = source.readline(MAX_BYTES)
        source.seek(0)
        return "messages" if b'"messages"' in line else "sqpsychconv-jsonl"
    header = {column.lower() for column in header_of(name, source)}
    source.seek(0)
    if header.issuperset(NEEDED):
        return "turns"
    return "sqpsychconv" if header.issuperset(_PAPERS_NEEDED) else None


def read_corpus(filename: str, source: BinaryIO, file_format: str) -> Iterator[CorpusDialogue]:
    """The dialogues of a file, in its order, one after the other.

    Raises CorpusError at the first thing that is wrong, so nothing may be kept before the end.
    """
    if file_format not in READABLE:
        raise CorpusError(
            f"The format “{file_format}” cannot be read; use one of {', '.join(READABLE)}."
        )
    name = file_name(filename)
    if source.seek(0, io.SEEK_END) > MAX_BYTES:
        raise CorpusError(f"{name}: the file is larger than 200 MB; split it.")
    source.seek(0)
    return once_each(name, _READERS[file_format](name, source))


def once_each(name: str, dialogues: Iterable[CorpusDialogue]) -> Iterator[CorpusDialogue]:
    """The dialogues; raises CorpusError when an id comes twice or there is none."""
    seen: set[str] = set()
    for dialogue in dialogues:
        if dialogue.dialogue_id in seen:
            raise CorpusError(f"{name}: the dialogue “{dialogue.dialogue_id}” is there twice.")
        seen.add(dialogue.dialogue_id)
        yield dialogue
    if not seen:
        raise CorpusError(f"{name}: there is no dialogue in this file.")


def _json_rows(name: str, source: BinaryIO) -> Iterator[tuple[int, dict[str, Any]]]:
    for row, line in enumerate(source, start=1):
        place = f"{name}, row {row}"
        try:
            text = line.decode("utf-8-sig" if row == 1 else "utf-8")
        except UnicodeDecodeError:
            raise CorpusError(f"{place}: the text is not in UTF-8; save it so.") from None
        if not text.strip():
            continue
        try:
            record = json.loads(text)
        except (ValueError, RecursionError):
            raise CorpusError(f"{place}: is not one line of JSON.") from None
        if not isinstance(record, dict):
            raise CorpusError(f"{place}: must be a JSON object.")
        yield row, record


def _papers(name: str, rows: Iterable[tuple[int, Mapping[str, Any]]]) -> Iterator[CorpusDialogue]:
    for row, cells in rows:
        place = f"{name}, row {row}"
        key = checked_key(place, cells.get("file_id"), "file_id")
        said = cells.get("dialogue")
        if not isinstance(said, str):
            raise CorpusError(f"{place}, column dialogue: must be text.")
        yield CorpusDialogue(key, turns_of(place, said), checked_facts(place, cells, _PAPERS_FACTS))


def _chats(name: str, rows: Iterable[tuple[int, Mapping[str, Any]]]) -> Iterator[CorpusDialogue]:
    for row, record in rows:
        place = f"{name}, row {row}"
        messages = record.get("messages")
        if not isinstance(messages, list) or not messages:
            raise CorpusError(f"{place}: must be an object with a list “messages”.")
        if len(messages) > MAX_TURNS:
            raise CorpusError(f"{place}: has more than {MAX_TURNS:,} messages.")
        key = record.get("dialogue_id", record.get("id"))
        if not isinstance(key, str | int) or isinstance(key, bool):
            raise CorpusError(f"{place}: must have a “dialogue_id”.")
        numbered = enumerate(messages, start=1)
        turns = tuple(_from_message(f"{place}, message {n}", message) for n, message in numbered)
        yield CorpusDialogue(checked_key(place, key), turns, checked_facts(place, record, FACTS))


def _from_message(place: str, message: Any) -> CorpusTurn:
    role, said = (
        (message.get("role"), message.get("content")) if isinstance(message, dict) else (None, None)
    )
    if not isinstance(role, str) or not isinstance(said, str):
        raise CorpusError(f"{place}: must have a “role” and a text as “content”.")
    return CorpusTurn(checked_role(place, role), checked_text(place, said))


_Reader = Callable[[str, BinaryIO], Iterable[CorpusDialogue]]
_READERS: Final[dict[str, _Reader]] = {
    "sqpsychconv": lambda name, source: _papers(name, csv_cells(name, source, _PAPERS_NEEDED)),
    "sqpsychconv-jsonl": lambda name, source: _papers(name, _json_rows(name, source)),
    "sqpsychconv-parquet": lambda name, source: _papers(
        name, parquet_rows(name, source, _PAPERS_NEEDED)
    ),
    "messages": lambda name, source: _chats(name, _json_rows(name, source)),
    "messages-parquet": lambda name, source: _chats(
        name, parquet_rows(name, source, ("dialogue_id", "messages"))
    ),
    "turns": lambda name, source: read_turns(name, csv_cells(name, source, NEEDED)),
    "turns-parquet": lambda name, source: read_turns(name, parquet_rows(name, source, NEEDED)),
}


# -- out -----------------------------------------------------------------------------------------


def write_corpus(dialogues: Iterable[CorpusDialogue], file_format: str, out: BinaryIO) -> int:
    """Write the dialogues in their order; returns how many. Raises CorpusError."""
    if file_format not in FORMATS:
        raise CorpusError(f"There is no format “{file_format}”; use one of {', '.join(FORMATS)}.")
    count = Counted(dialogues)
    if file_format == "messages":
        _write_json(map(_chat, count), out)
    elif file_format in TURNS:
        rows = (row for dialogue in count for row in _turn_rows(dialogue))
        _write_table(rows, TURN_COLUMNS, file_format, out)
    elif file_format == "sqpsychconv-jsonl":
        _write_json(map(_paper, count), out)
    else:
        _write_table(map(_paper, count), PAPERS_COLUMNS, file_format, out)
    return count.seen


class Counted:
    """Counts what goes by."""

    def __init__(self, dialogues: Iterable[CorpusDialogue]) -> None:
        self._dialogues = dialogues
        self.seen = 0

    def __iter__(self) -> Iterator[CorpusDialogue]:
        for dialogue in self._dialogues:
            self.seen += 1
            yield dialogue


def _write_json(records: Iterable[dict[str, Any]], out: BinaryIO) -> None:
    out.writelines(json.dumps(record, ensure_ascii=False).encode() + b"\n" for record in records)


def _write_table(
    rows: Iterable[dict[str, Any]], columns: tuple[str, ...], file_format: str, out: BinaryIO
) -> None:
    if file_format.endswith("-parquet"):
        write_parquet(rows, columns, out)
        return
    text = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=True)
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _cell(row.get(name, "")) for name in columns})
    text.detach()


def _cell(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else guard_formula(str(value))


def _turn_rows(dialogue: CorpusDialogue) -> Iterator[dict[str, Any]]:
    for number, turn in enumerate(dialogue.turns, start=1):
        yield {
            **_known(dialogue),
            **turn.facts,
            "dialogue_id": dialogue.dialogue_id,
            "turn": number,
            "role": turn.role,
            "text": turn.text,
            "synthetic": True,
        }


def _known(dialogue: CorpusDialogue) -> dict[str, Any]:
    return {name: dialogue.facts[name] for name in _FACTS if name in dialogue.facts}


def _paper(dialogue: CorpusDialogue) -> dict[str, Any]:
    facts = {name: dialogue.facts.get(name, "") for name in _PAPERS_FACTS}
    said = script(dialogue.turns)
    return {"file_id": dialogue.dialogue_id, **facts, "dialogue": said, "synthetic": True}


def _chat(dialogue: CorpusDialogue) -> dict[str, Any]:
    return {
        "dialogue_id": dialogue.dialogue_id,
        **_known(dialogue),
        "synthetic": True,
        "messages": chat_messages(dialogue),
    }


def chat_messages(dialogue: CorpusDialogue) -> list[dict[str, str]]:
    """The turns as chat messages."""
    return [{"role": MESSAGE_ROLES[turn.role], "content": turn.text} for turn in dialogue.turns]
