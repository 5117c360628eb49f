"""Exports of a study: one snapshot, files written whole, hashed, recorded, then handed over.

Files are written to disk before anything is sent, so a download is never a cut-off file that looks
complete, its manifest can name the hash of every file, and memory stays flat at any size. Nothing
in a file depends on the moment of the export: the same data gives the same bytes.
"""

import hashlib
import json
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, Max

from review.cells import cell, moment_cell
from review.models import DATA_KINDS, AssignmentState, Evidence, Flag, Rating, Study
from review.tables import (
    Column,
    Frame,
    Options,
    Part,
    Row,
    Table,
    frame_of,
    key_table,
    rating_tables,
)
from sqpsych_site import audit
from sqpsych_site.models import User

LINE_END = "\r\n"
CHUNK_LINES = 2000
PARTS_KEPT = 4000
MANIFEST = "manifest.json"
NOTICE = (
    "Ratings of synthetic dialogues, made for research. They say nothing about the care of any"
    " real person."
)
FILES: tuple[tuple[str, str], ...] = (
    ("ratings_long", "One row per rater, dialogue and item, with comments and missing codes."),
    ("ratings_wide", "One row per rater and dialogue: the items as columns, then the totals."),
    ("flags", "One row per safety flag: category, severity, turn."),
    ("evidence", "One row per passage marked for an item: turn and place, never the text."),
    ("codebook", "Every column of every file: meaning, values, missing codes, instrument."),
)
KEY_FILE = ("blinding_key", "What each dialogue code stands for: batch, arm, models, condition.")


@dataclass(frozen=True)
class Written:
    """A finished file."""

    name: str
    rows: int
    columns: int
    bytes: int
    sha256: str


@contextmanager
def snapshot() -> Iterator[None]:
    """One view of the data for everything read inside; nothing can be written.

    Inside a transaction that is already open, that transaction's own view is used.
    """
    nested = connection.in_atomic_block
    with transaction.atomic():
        if not nested:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def csv_lines(columns: Sequence[Column], rows: Iterable[Row]) -> Iterator[str]:
    """The header and each row as a line of CSV; cells that rows share are formatted once."""
    parts: dict[Part, str] = {}

    def text_of(part: Part) -> str:
        if len(parts) >= PARTS_KEPT:
            parts.clear()
        return parts.setdefault(part, ",".join(map(cell, part.cells)))

    yield ",".join(cell(column.name) for column in columns) + LINE_END
    for row in rows:
        texts = [
            (parts.get(value) or text_of(value)) if isinstance(value, Part) else cell(value)
            for value in row
        ]
        yield ",".join(texts) + LINE_END


def write_csv(table: Table, out: IO[bytes]) -> Written:
    """Write a table as CSV with a byte order mark."""
    digest, size, lines = hashlib.sha256(), 0, 0
    pending: list[str] = ["\ufeff"]

    def flush() -> int:
        data = "".join(pending).encode()
        pending.clear()
        digest.update(data)
        return out.write(data)

    for line in csv_lines(table.columns, table.rows()):
        pending.append(line)
        lines += 1
        if len(pending) >= CHUNK_LINES:
            size += flush()
    size += flush()
    return Written(f"{table.name}.csv", lines - 1, len(table.columns), size, digest.hexdigest())


def manifest(frame: Frame, files: Sequence[Written]) -> bytes:
    """What the export is: study, instruments, files with hashes, filters, version. JSON."""
    study = frame.study
    works = study.assignments.filter(kind__in=DATA_KINDS).order_by()
    states = dict(works.values_list("state").annotate(n=Count("pk")))
    body: dict[str, Any] = {
        "format": "sqpsych-ratings/1",
        "synthetic": True,
        "notice": NOTICE,
        "software": {"name": "SQPsych", "version": settings.VERSION},
        "study": {
            "id": study.pk,
            "name": study.name,
            "state": study.state,
            "overlap": study.overlap,
            "created_at": moment_cell(study.created_at),
        },
        "data_until": _latest(study),
        "filters": {
            "kinds": list(DATA_KINDS),
            "assignments": ["started", "submitted", "returned"],
            "withdrawn_marks": False,
            **asdict(frame.options),
        },
        "counts": {
            "dialogues": study.study_dialogues.count(),
            "raters": study.study_raters.count(),
            "assignments": {state: states.get(state, 0) for state in AssignmentState.values},
        },
        "instruments": [
            {
                "key": form.key,
                "version": form.version,
                "title": form.title,
                "sha256": form.sha256,
                "licence": form.licence,
                "attribution": form.definition.attribution,
            }
            for form in frame.forms
        ],
        "files": [asdict(file) for file in files],
    }
    return (json.dumps(body, ensure_ascii=False, indent=2) + "\n").encode()


def _latest(study: Study) -> str:
    """The last change that the files can show."""
    works = study.assignments.aggregate(
        opened=Max("opened_at"), submitted=Max("submitted_at")
    ).values()
    answered = Rating.objects.filter(assignment__study=study).aggregate(at=Max("updated_at"))
    flagged = Flag.objects.filter(assignment__study=study).aggregate(
        at=Max("updated_at"), withdrawn=Max("withdrawn_at")
    )
    marked = Evidence.objects.filter(assignment__study=study).aggregate(
        at=Max("created_at"), withdrawn=Max("withdrawn_at")
    )
    moments = [*works, *answered.values(), *flagged.values(), *marked.values(), study.created_at]
    return moment_cell(max(moment for moment in moments if moment is not None))


@dataclass(frozen=True)
class Origin:
    """Who asked for an export, and by which way."""

    by: User | None
    via: str


def export_table(*, study: Study, name: str, options: Options, origin: Origin) -> IO[bytes]:
    """One file of the export, ready to be read from its beginning. KeyError: no such file."""
    with ExitStack() as stack:
        out = stack.enter_context(tempfile.TemporaryFile())
        with snapshot():
            frame = frame_of(study, options)
            tables = {table.name: table for table in [*rating_tables(frame), key_table(frame)]}
            written = write_csv(tables[name], out)
        _record(study, [written], options, origin)
        out.seek(0)
        stack.pop_all()
        return out


def export_zip(*, study: Study, options: Options, origin: Origin) -> IO[bytes]:
    """All files but the blinding key, with the manifest, as a ZIP ready to be read."""
    with ExitStack() as stack:
        out = stack.enter_context(tempfile.TemporaryFile())
        with snapshot(), zipfile.ZipFile(out, "w") as archive:
            frame = frame_of(study, options)
            files = []
            for table in rating_tables(frame):
                with archive.open(_entry(f"{table.name}.csv"), "w", force_zip64=True) as member:
                    files.append(write_csv(table, member))
            archive.writestr(_entry(MANIFEST), manifest(frame, files))
        _record(study, files, options, origin)
        out.seek(0)
        stack.pop_all()
        return out


def export_to(
    *, study: Study, directory: Path, options: Options, origin: Origin, key: bool = False
) -> list[Written]:
    """Write the files into a directory, which is made if need be; each appears whole or not."""
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=directory) as name:
        draft = Path(name)
        with snapshot():
            frame = frame_of(study, options)
            files = [_written(table, draft) for table in rating_tables(frame)]
            (draft / MANIFEST).write_bytes(manifest(frame, files))
            files += [_written(key_table(frame), draft)] if key else []
        _record(study, files, options, origin)
        for path in sorted(draft.iterdir()):
            path.replace(directory / path.name)
    return files


def _written(table: Table, directory: Path) -> Written:
    with (directory / f"{table.name}.csv").open("wb") as out:
        return write_csv(table, out)


def _entry(name: str) -> zipfile.ZipInfo:
    """A member without the moment of its making, so that equal data give equal archives."""
    entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    entry.create_system = 3
    return entry


def _record(study: Study, files: Sequence[Written], options: Options, origin: Origin) -> None:
    """Leave an audit row: who took what, with the hash of each file."""
    names = [file.name for file in files]
    audit.record(
        by=origin.by,
        action="export.key" if "blinding_key.csv" in names else "export.ratings",
        target=f"study {study.pk}",
        via=origin.via,
        comments=options.comments,
        files={file.name: {"rows": file.rows, "sha256": file.sha256} for file in files},
    )
