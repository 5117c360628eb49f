"""CSV with one utterance a row: our own columns, or others as a person maps them (pure)."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import BinaryIO, Final

from generation.corpus_parts import (
    FACTS,
    FIGURES,
    MAX_BYTES,
    MAX_TURNS,
    ROLES,
    CorpusDialogue,
    CorpusError,
    CorpusTurn,
    Fact,
    checked_facts,
    checked_key,
    checked_role,
    checked_text,
    unguarded,
)
from generation.utterances import Role

NEEDED: Final = ("dialogue_id", "turn", "role", "text")
LEAVE_OUT: Final = "leave out"
_NUMBER: Final = re.compile(r"\d{1,12}(?:\.\d{1,9})?")


@dataclass(frozen=True)
class RowChoice:
    """Which column is what. No ``turn``: utterances stand in the order of the file.

    ``roles`` say what a value of the role column means: therapist, client, or leave out.
    """

    dialogue: str
    role: str
    text: str
    turn: str = ""
    roles: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)


def csv_cells(
    name: str, source: BinaryIO, needed: Iterable[str] = ()
) -> Iterator[tuple[int, dict[str, str]]]:
    """Each row with the line it begins on and its cells; header in small letters if ``needed``."""
    # The limit is the whole process's: other readers keep theirs.
    usual = csv.field_size_limit(MAX_BYTES)
    text = io.TextIOWrapper(source, encoding="utf-8-sig", newline="")
    row = 1
    try:
        reader = csv.reader(text, strict=True)
        header = [cell.strip() for cell in next(reader, [])]
        if needed:
            header = [cell.lower() for cell in header]
        for column in needed:
            if header.count(column) != 1:
                raise CorpusError(f"{name}, row 1: there must be one column “{column}”.")
        row = reader.line_num + 1
        for cells in reader:
            if cells and len(cells) != len(header):
                raise CorpusError(
                    f"{name}, row {row}: has {len(cells)} cells, the first row has {len(header)}."
                )
            if any(cell.strip() for cell in cells):
                yield row, dict(zip(header, map(unguarded, cells), strict=True))
            row = reader.line_num + 1
    except csv.Error:
        raise CorpusError(
            f"{name}, row {row}: is not proper CSV; a quotation mark may be missing."
        ) from None
    except UnicodeDecodeError:
        row = _undecodable(source)
        raise CorpusError(f"{name}, row {row}: the text is not in UTF-8; save it so.") from None
    finally:
        csv.field_size_limit(usual)
        with suppress(ValueError):  # closed already: nobody read on to the end
            text.detach()


def _undecodable(source: BinaryIO) -> int:
    """The first row that is not in UTF-8; the decoder reads ahead and cannot tell."""
    source.seek(0)
    for row, line in enumerate(source, start=1):
        try:
            line.decode("utf-8")
        except UnicodeDecodeError:
            return row
    return 1


def header_of(name: str, source: BinaryIO) -> list[str]:
    """The columns of a CSV file. Raises CorpusError."""
    # What is not UTF-8 is told with its row by whoever reads on.
    text = io.TextIOWrapper(source, encoding="utf-8-sig", errors="replace", newline="")
    try:
        return [cell.strip() for cell in next(csv.reader(text, strict=True), [])]
    except csv.Error:
        raise CorpusError(f"{name}, row 1: is not proper CSV.") from None
    finally:
        text.detach()


def read_turns(name: str, rows: Iterable[tuple[int, Mapping[str, object]]]) -> list[CorpusDialogue]:
    """Rows with our own columns. Those of one dialogue may stand anywhere; numbers order them."""
    found: dict[str, dict[int, CorpusTurn]] = {}
    facts: dict[str, dict[str, Fact]] = {}
    for row, cells in rows:
        place = f"{name}, row {row}"
        key = checked_key(place, cells["dialogue_id"])
        number = str(cells["turn"]).strip()
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
            checked_role(place, str(cells["role"])),
            checked_text(place, str(cells["text"])),
            checked_facts(place, cells, FIGURES),
        )
        if key not in facts:
            facts[key] = checked_facts(place, cells, FACTS)
    return [
        CorpusDialogue(key, _in_order(name, key, turns), facts[key]) for key, turns in found.items()
    ]


def _in_order(name: str, key: str, turns: dict[int, CorpusTurn]) -> tuple[CorpusTurn, ...]:
    missing = next((n for n in range(1, len(turns) + 1) if n not in turns), None)
    if missing is not None:
        raise CorpusError(
            f"{name}: turn {missing} of the dialogue “{key}” is missing; number turns from 1."
        )
    return tuple(turns[number] for number in sorted(turns))


def read_mapped(name: str, source: BinaryIO, choice: RowChoice) -> list[CorpusDialogue]:
    """Rows with other columns, as chosen; a number of a turn says its place and no more."""
    wanted = [choice.dialogue, choice.role, choice.text, *filter(None, [choice.turn])]
    header = header_of(name, source)
    source.seek(0)
    for column in [*wanted, *choice.facts.values()]:
        if header.count(column) != 1:
            raise CorpusError(f"{name}, row 1: there must be one column “{column[:60]}”.")
    if len(set(wanted)) < len(wanted):
        raise CorpusError(f"{name}: one column was chosen for two things; choose another.")
    found: dict[str, list[tuple[float, CorpusTurn]]] = {}
    facts: dict[str, dict[str, Fact]] = {}
    for row, cells in csv_cells(name, source):
        place = f"{name}, row {row}"
        role = _mapped_role(place, cells[choice.role], choice)
        if role is None:
            continue
        key = checked_key(place, cells[choice.dialogue], choice.dialogue[:60])
        turns = found.setdefault(key, [])
        at = _place_of(place, cells[choice.turn], choice.turn) if choice.turn else float(len(turns))
        turns.append((at, CorpusTurn(role, checked_text(place, cells[choice.text]))))
        if key not in facts:
            given: dict[str, object] = {fact: cells[c] for fact, c in choice.facts.items()}
            facts[key] = checked_facts(place, given, FACTS)
    return [
        CorpusDialogue(key, _sorted(name, key, turns), facts[key]) for key, turns in found.items()
    ]


def _mapped_role(place: str, given: str, choice: RowChoice) -> Role | None:
    meant = choice.roles.get(given.strip(), given)
    return None if meant == LEAVE_OUT else checked_role(place, meant)


def _place_of(place: str, given: str, column: str) -> float:
    if not (given.isascii() and _NUMBER.fullmatch(given.strip())):
        raise CorpusError(f"{place}, column {column[:60]}: must be a number.")
    return float(given)


def _sorted(name: str, key: str, turns: list[tuple[float, CorpusTurn]]) -> tuple[CorpusTurn, ...]:
    if len(turns) > MAX_TURNS:
        raise CorpusError(f"{name}: the dialogue “{key}” has more than {MAX_TURNS:,} turns.")
    ordered = sorted(turns, key=lambda turn: turn[0])
    for (one, _), (two, _) in pairwise(ordered):
        if one == two:
            raise CorpusError(f"{name}: two turns of the dialogue “{key}” have the same number.")
    return tuple(turn for _, turn in ordered)


def guessed_rows(header: list[str]) -> dict[str, str]:
    """Which column is probably what: part of a RowChoice -> column."""
    names = {
        "dialogue": ("dialogue_id", "dialog_id", "conversation_id", "session_id", "transcript_id"),
        "turn": ("turn", "turn_id", "turn_number", "utterance_id", "utterance_index", "index"),
        "role": ("role", "speaker", "interlocutor", "author", "from"),
        "text": ("text", "utterance", "utterance_text", "content", "message", "value"),
        "condition": ("condition", "group", "label"),
        "therapist_model": ("therapist_model", "model"),
        "client_model": ("client_model",),
    }
    lower = {column.lower().replace(" ", "_"): column for column in reversed(header)}
    return {
        part: next((lower[name] for name in known if name in lower), "")
        for part, known in names.items()
    }


def guessed_role(value: str) -> str:
    """What a value of a role column probably means."""
    known = ROLES.get(value.strip().lower())
    if known:
        return known
    words = value.strip().lower()
    if words in {"counselor", "counsellor", "psychologist", "t", "helper", "psychotherapist"}:
        return "therapist"
    if words in {"patient", "c", "p", "seeker", "help-seeker"}:
        return "client"
    return LEAVE_OUT
