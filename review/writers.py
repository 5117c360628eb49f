"""Tables as files: CSV, JSON lines and Parquet, written as a stream and hashed on the way.

Nothing in a file depends on the moment of its making: the same rows give the same bytes.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Any, Protocol

from review.cells import cell, moment_cell
from review.tables import Cell, Column, Part, Row

FORMATS = ("csv", "jsonl", "parquet")
LINE_END = "\r\n"
CHUNK_LINES = 2000
ROW_GROUP = 50_000


@dataclass(frozen=True)
class Written:
    """A finished file."""

    name: str
    rows: int
    columns: int
    bytes: int
    sha256: str


class Hashed:
    """A file that counts and hashes what goes into it."""

    def __init__(self, out: IO[bytes]) -> None:
        self.out = out
        self.digest = hashlib.sha256()
        self.size = 0
        self.closed = False

    def write(self, data: Any) -> int:
        """Write all of it."""
        self.digest.update(data)
        self.size += len(data)
        self.out.write(data)
        return len(data)

    def flush(self) -> None:
        """For libraries that ask for it."""
        self.out.flush()


class Writer(Protocol):
    """Takes the rows of one table, some at a time."""

    def add(self, rows: Iterable[Row]) -> None:
        """Write some rows."""

    def close(self) -> Written:
        """Write what is left; what the file is."""


def writer_of(kind: str, name: str, columns: Sequence[Column], out: IO[bytes]) -> Writer:
    """A writer for a table called ``name`` in one of ``FORMATS``."""
    file = Hashed(out)
    if kind == "csv":
        return CsvWriter(f"{name}.csv", columns, file)
    if kind == "jsonl":
        return JsonWriter(f"{name}.jsonl", columns, file)
    return ParquetWriter(f"{name}.parquet", columns, file)


def csv_lines(rows: Iterable[Row]) -> Iterator[str]:
    """Each row as a line of CSV; cells that rows share are formatted once."""
    for row in rows:
        texts = []
        for value in row:
            if isinstance(value, Part):
                text = value.text
                if text is None:
                    text = value.text = ",".join(map(cell, value.cells))
                texts.append(text)
            elif value is None or value == "":  # most cells outside of parts
                texts.append("")
            elif type(value) is int:
                texts.append(str(value))
            else:
                texts.append(cell(value))
        yield ",".join(texts) + LINE_END


class CsvWriter:
    """CSV with a byte order mark; see review.cells."""

    def __init__(self, name: str, columns: Sequence[Column], out: Hashed) -> None:
        self.name, self.columns, self.out, self.rows = name, columns, out, 0
        header = ",".join(cell(column.name) for column in columns)
        out.write(f"\ufeff{header}{LINE_END}".encode())

    def add(self, rows: Iterable[Row]) -> None:
        """Write some rows."""
        pending: list[str] = []
        for line in csv_lines(rows):
            pending.append(line)
            if len(pending) >= CHUNK_LINES:
                self._flush(pending)
        self._flush(pending)

    def _flush(self, pending: list[str]) -> None:
        self.rows += len(pending)
        self.out.write("".join(pending).encode())
        pending.clear()

    def close(self) -> Written:
        """What the file is."""
        return _written(self.name, self.rows, self.columns, self.out)


def _written(name: str, rows: int, columns: Sequence[Column], out: Hashed) -> Written:
    return Written(name, rows, len(columns), out.size, out.digest.hexdigest())


def flat(row: Row) -> list[Cell]:
    """The row's cells, parts opened, empty texts as None, moments as text."""
    cells: list[Cell] = []
    for value in row:
        cells += value.cells if isinstance(value, Part) else (value,)
    return [
        None if one == "" else moment_cell(one) if isinstance(one, datetime) else one
        for one in cells
    ]


class JsonWriter:
    """One JSON object in each line; texts as they are, an empty cell is null."""

    def __init__(self, name: str, columns: Sequence[Column], out: Hashed) -> None:
        self.name, self.columns, self.out, self.rows = name, columns, out, 0
        self.names = [column.name for column in columns]
        self.encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

    def add(self, rows: Iterable[Row]) -> None:
        """Write some rows."""
        for row in rows:
            line = self.encode(dict(zip(self.names, flat(row), strict=True)))
            self.out.write(f"{line}\n".encode())
            self.rows += 1

    def close(self) -> Written:
        """What the file is."""
        return _written(self.name, self.rows, self.columns, self.out)


class ParquetWriter:
    """Parquet with typed columns: text, integers, numbers, moments in UTC; empty cells are null."""

    def __init__(self, name: str, columns: Sequence[Column], out: Hashed) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        self.name, self.columns, self.out, self.rows = name, columns, out, 0
        kinds = {"integer": pa.int64(), "number": pa.float64(), "time": pa.timestamp("ms", "UTC")}
        fields = [(column.name, kinds.get(column.kind, pa.string())) for column in columns]
        self.pa, self.schema = pa, pa.schema(fields)
        self.file = parquet.ParquetWriter(pa.PythonFile(out, "w"), self.schema, compression="zstd")
        self.pending: list[list[Cell]] = []

    def add(self, rows: Iterable[Row]) -> None:
        """Take some rows; full groups are written."""
        for row in rows:
            self.pending.append(flat(row))
            if len(self.pending) >= ROW_GROUP:
                self._flush()

    def _flush(self) -> None:
        pa, arrays = self.pa, []
        for place, (column, field) in enumerate(zip(self.columns, self.schema, strict=True)):
            values = [row[place] for row in self.pending]
            if column.kind == "time":
                moments = pa.array([one and str(one).removesuffix("Z") for one in values])
                moments = moments.cast(pa.string()).cast(pa.timestamp("ms"))
                arrays.append(moments.cast(field.type))
            elif field.type == pa.string():
                arrays.append(pa.array([None if v is None else str(v) for v in values], field.type))
            else:
                arrays.append(pa.array(values, field.type))
        self.file.write_table(pa.Table.from_arrays(arrays, schema=self.schema))
        self.rows += len(self.pending)
        self.pending.clear()

    def close(self) -> Written:
        """Write the last group and the footer."""
        if self.pending:
            self._flush()
        self.file.close()
        return _written(self.name, self.rows, self.columns, self.out)
