"""A profile file whose columns are not ours -> a table to be mapped (pure).

CSV and JSONL with other names, REDCap exports, and the paper's text form, alone or many in a zip.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from generation.plain_text import as_data
from generation.profile_files import TOO_LARGE, Row, Table, decoded, read_any_table
from generation.profile_identifiers import identifying_header
from generation.profile_records import CORE_COLUMNS, MAX_BYTES, MAX_COLUMNS, Problems
from generation.profile_redcap import tidy
from generation.profile_text_form import is_text_form, read_text_form
from generation.questionnaires import Definition

MAX_UNPACKED = 100 * 1024 * 1024
MAX_ENTRIES = 20_000


@dataclass(frozen=True)
class Source:
    """What a file holds, under its own names; `events` are those of a longitudinal export."""

    table: Table
    events: tuple[str, ...] = ()
    form: str = "table"


def read_source(
    filename: str, content: bytes, definitions: Mapping[str, Definition], problems: Problems
) -> Source:
    """Read the file whatever its form. Raises ProfileFileError; refuses identifying columns."""
    if len(content) > MAX_BYTES:
        raise problems.stop(None, TOO_LARGE)
    if content.startswith(b"PK\x03\x04") and filename.lower().endswith(".zip"):
        source = _of_texts(_read_zip(content, definitions, problems), problems)
    elif _may_be_text(filename) and is_text_form(text := decoded(content, problems)):
        source = _of_texts(read_text_form(text, definitions, problems), problems)
    else:
        problems.raise_any()
        tidied = tidy(read_any_table(filename, content, problems), problems)
        source = Source(tidied.table, tidied.events)
    problems.raise_any()
    _refuse_identifiers(source.table, problems)
    if not source.table.rows:
        raise problems.stop(None, "the file has column names but no profile; add one row for each.")
    return source


def has_our_columns(source: Source) -> bool:
    """Whether the file already names all the columns that every profile needs."""
    names = {column.casefold() for column in source.table.columns}
    return source.form == "table" and not source.events and names.issuperset(CORE_COLUMNS)


def _may_be_text(filename: str) -> bool:
    return filename.lower().rsplit(".", 1)[-1] in {"txt", "md", "text"}


def _read_zip(
    content: bytes, definitions: Mapping[str, Definition], problems: Problems
) -> list[Row]:
    rows: list[Row] = []
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = [entry for entry in archive.infolist() if _is_wanted(entry)]
            if len(entries) > MAX_ENTRIES or sum(e.file_size for e in entries) > MAX_UNPACKED:
                raise problems.stop(None, "the zip is too large when unpacked; split it.")
            for entry in entries:
                name = as_data(PurePosixPath(entry.filename).name, limit=100)
                if not _may_be_text(name):
                    problems.add(
                        None, None, "a zip may hold .txt files only; take it out.", file=name
                    )
                    continue
                # A size that an archive states can be false: never read more than the limit.
                with archive.open(entry) as file:
                    inside = file.read(MAX_BYTES + 1)
                rows += _read_entry(name, inside, definitions, problems)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, zlib.error):
        raise problems.stop(None, "the zip is damaged or locked; make it again.") from None
    return rows


def _read_entry(
    name: str, content: bytes, definitions: Mapping[str, Definition], problems: Problems
) -> list[Row]:
    inside = Problems(name)
    text = decoded(content, inside)
    if not is_text_form(text):
        problems.add(1, None, "the text must begin with “# Patient information”.", file=name)
        return []
    return read_text_form(text, definitions, problems, file=name)


def _is_wanted(entry: zipfile.ZipInfo) -> bool:
    path = PurePosixPath(entry.filename)
    hidden = any(part.startswith((".", "__MACOSX")) for part in path.parts)
    return not entry.is_dir() and not hidden


def _of_texts(rows: list[Row], problems: Problems) -> Source:
    columns = {column: row.line(column) for row in reversed(rows) for column in row.cells}
    if len(columns) > MAX_COLUMNS:
        raise problems.stop(None, f"there are {len(columns)} keys; keep up to {MAX_COLUMNS}.")
    ordered = dict.fromkeys(column for row in rows for column in row.cells)
    return Source(Table({name: columns[name] for name in ordered}, rows), form="text")


def _refuse_identifiers(table: Table, problems: Problems) -> None:
    for column, line in table.columns.items():
        kind = identifying_header(column)
        if kind:
            problems.add(
                line, column, f"the column looks like {kind}, which may not be stored; remove it."
            )
    problems.raise_any()
