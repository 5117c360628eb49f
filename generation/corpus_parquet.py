"""Parquet in and out, a few hundred dialogues at a time (pure).

Every file says in its metadata, and in a column, that it is synthetic.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, Final

import pyarrow as pa
import pyarrow.parquet as pq

from generation.corpus_parts import WHOLE, CorpusError

CHUNK: Final = 1_000
_MESSAGES: Final = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
_WHOLE: Final = WHOLE | {"turn", "turn_count"}
_METADATA: Final = {"synthetic": "true", "notice": "Synthetic dialogues for research. Not care."}


class ParquetSink:
    """Writes rows to a file; to be closed."""

    def __init__(self, out: BinaryIO, columns: Iterable[str]) -> None:
        self._schema = pa.schema([(name, _type(name)) for name in columns], metadata=_METADATA)
        self._writer = pq.ParquetWriter(out, self._schema, compression="zstd")
        self._rows: list[dict[str, Any]] = []

    def write(self, row: dict[str, Any]) -> None:
        """Add a row; what is not there is null."""
        self._rows.append(row)
        if len(self._rows) >= CHUNK:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
            self._rows.clear()

    def close(self) -> None:
        """Write what is left and the end of the file."""
        self._flush()
        self._writer.close()


def write_parquet(rows: Iterable[dict[str, Any]], columns: Iterable[str], out: BinaryIO) -> None:
    """All rows as one file."""
    sink = ParquetSink(out, columns)
    try:
        for row in rows:
            sink.write(row)
    finally:
        sink.close()


def _type(name: str) -> pa.DataType:
    if name == "messages":
        return _MESSAGES
    if name == "synthetic":
        return pa.bool_()
    return pa.int64() if name in _WHOLE else pa.string()


def parquet_columns(name: str, source: BinaryIO) -> list[str]:
    """The columns of a Parquet file. Raises CorpusError."""
    try:
        return list(pq.ParquetFile(source).schema_arrow.names)
    except (pa.ArrowException, OSError, ValueError):
        raise CorpusError(f"{name}: is not a whole Parquet file.") from None


def parquet_rows(
    name: str, source: BinaryIO, needed: Iterable[str]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each row with its number from 1, a chunk at a time. Raises CorpusError."""
    columns = parquet_columns(name, source)
    for column in needed:
        if columns.count(column) != 1:
            raise CorpusError(f"{name}: there must be one column “{column}”.")
    source.seek(0)
    row = 0
    try:
        for batch in pq.ParquetFile(source).iter_batches(batch_size=CHUNK):
            for cells in batch.to_pylist():
                row += 1
                yield row, cells
    except (pa.ArrowException, OSError):
        raise CorpusError(f"{name}: is damaged after row {row}.") from None
