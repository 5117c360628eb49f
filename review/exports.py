"""Exports of studies: one snapshot, files written whole, hashed, recorded, then handed over.

Files are written to disk before anything is sent, so a download is never a cut-off file that looks
complete, its manifest can name the hash of every file, and memory stays flat at any size. All
tables are written in one pass over the ratings. The same data give the same bytes.
"""

import hashlib
import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from review.kept_figures import current_figures, make_figures
from review.manifests import manifest, options_json
from review.models import Study, StudyKind
from review.snapshots import snapshot
from review.study_values import values_of
from review.summary import summary
from review.tables import Frame, Options, Table, frame_of, key_table, rating_tables
from review.writers import Written, writer_of
from sqpsych_site import audit
from sqpsych_site.models import User

MANIFEST = "manifest.json"
FILES: tuple[tuple[str, str], ...] = (
    ("ratings_long", "One row per rater, dialogue and item, with comments and missing codes."),
    ("ratings_wide", "One row per rater and dialogue: the items as columns, then the totals."),
    ("flags", "One row per safety flag: category, severity, turn."),
    ("evidence", "One row per passage marked for an item: turn and place, never the text."),
    ("times", "One row per rater and dialogue: when it was opened, saved, submitted; how long."),
    ("raters", "One row per rater, under the pseudonym: how much was assigned and done."),
    ("adjudications", "One row per disagreement that was decided; the ratings stay as they are."),
    ("calibration", "As ratings_long, of the training dialogues; they are no data of the study."),
    ("agreement", "Every statistic of agreement with its interval, as the results page shows it."),
    ("codebook", "Every column of every file: meaning, values, missing codes, instrument."),
)
PAIRWISE_FILES = (
    ("comparisons", "One row per rater and pair: which of the two dialogues was preferred, why."),
    FILES[-1],
)
KEY_FILE = ("blinding_key", "What each dialogue code stands for: batch, arm, models, condition.")
SCRIPTS = Path(__file__).parent / "export_scripts"


def files_of(study: Study) -> tuple[tuple[str, str], ...]:
    """Name and purpose of each file in an export of this study alone."""
    return PAIRWISE_FILES if study.kind == StudyKind.PAIRWISE else FILES


@dataclass(frozen=True)
class Origin:
    """Who asked for an export, and by which way."""

    by: User | None
    via: str


def export_table(
    *, studies: Study | Sequence[Study], name: str, options: Options, origin: Origin
) -> IO[bytes]:
    """One file of the export, ready to be read from its beginning. KeyError: no such file."""
    with ExitStack() as stack:
        out = stack.enter_context(tempfile.TemporaryFile())
        with snapshot():
            frame = frame_of(studies, options)
            tables = {table.name: table for table in [*_tables(frame), key_table(frame)]}
            files = write_tables(frame, [tables[name]], {name: out})
        _record(frame, files, origin)
        out.seek(0)
        stack.pop_all()
        return out


def export_zip(*, studies: Study | Sequence[Study], options: Options, origin: Origin) -> IO[bytes]:
    """All files but the blinding key, with manifest and scripts, as a ZIP ready to be read."""
    with ExitStack() as stack:
        out = stack.enter_context(tempfile.TemporaryFile())
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            frame, files = _export(studies, options, folder, key=False)
            with zipfile.ZipFile(out, "w") as archive:
                for path in sorted(folder.iterdir()):
                    member = archive.open(_entry(path), "w", force_zip64=True)
                    with member, path.open("rb") as source:
                        shutil.copyfileobj(source, member, 1 << 20)
        _record(frame, files, origin)
        out.seek(0)
        stack.pop_all()
        return out


def export_to(
    *,
    studies: Study | Sequence[Study],
    directory: Path,
    options: Options,
    origin: Origin,
    key: bool = False,
) -> list[Written]:
    """Write the files into a directory, which is made if need be; each appears whole or not."""
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=directory) as name:
        draft = Path(name)
        frame, files = _export(studies, options, draft, key=key)
        _record(frame, files, origin)
        for path in sorted(draft.iterdir()):
            path.replace(directory / path.name)
    return files


def _export(
    studies: Study | Sequence[Study], options: Options, folder: Path, *, key: bool
) -> tuple[Frame, list[Written]]:
    """Write everything into an empty folder, from one snapshot."""
    if not options.filtered:  # so that they are kept: inside the snapshot nothing can be
        for study in [studies] if isinstance(studies, Study) else studies:
            if study.kind != StudyKind.PAIRWISE:
                make_figures(study)
    with snapshot(), ExitStack() as stack:
        frame = frame_of(studies, options)
        tables = [*_tables(frame), *([key_table(frame)] if key else [])]
        outs: dict[str, IO[bytes]] = {
            table.name: stack.enter_context((folder / f"{table.name}.{options.format}").open("wb"))
            for table in tables
        }
        files = write_tables(frame, tables, outs)
        scripts = {}
        if options.format == "csv" and "agreement" in outs:
            for path in [SCRIPTS / "load_ratings.R", SCRIPTS / "load_ratings.py"]:
                data = path.read_bytes()
                (folder / path.name).write_bytes(data)
                scripts[path.name] = hashlib.sha256(data).hexdigest()
        open_files = [file for file in files if not file.name.startswith(KEY_FILE[0])]
        (folder / MANIFEST).write_bytes(manifest(frame, open_files, scripts))
    return frame, files


def write_tables(
    frame: Frame, tables: Sequence[Table], outs: dict[str, IO[bytes]]
) -> list[Written]:
    """Write tables in one pass over the ratings; the files come back in the tables' order."""
    kind = frame.options.format
    writers = [writer_of(kind, one.name, one.columns, outs[one.name]) for one in tables]
    by_chunk = [
        (table.of, writer) for table, writer in zip(tables, writers, strict=True) if table.of
    ]
    for chunk in frame.chunks() if by_chunk else ():
        for rows_of, writer in by_chunk:
            writer.add(rows_of(chunk))
    for table, writer in zip(tables, writers, strict=True):
        if table.whole:
            writer.add(table.whole())
    return [writer.close() for writer in writers]


def _tables(frame: Frame) -> list[Table]:
    def figures_of(study: Study) -> dict[str, Any]:
        kept = None if frame.options.filtered else current_figures(study)
        return kept or summary(values_of(study, frame))

    return rating_tables(frame, figures_of)


def _entry(path: Path) -> zipfile.ZipInfo:
    """A member without the moment of its making, so that equal data give equal archives."""
    entry = zipfile.ZipInfo(path.name, date_time=(1980, 1, 1, 0, 0, 0))
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    entry.create_system = 3
    return entry


def _record(frame: Frame, files: Sequence[Written], origin: Origin) -> None:
    """Leave an audit row for each study: who took what, with the hash of each file."""
    keyed = any(file.name.startswith(KEY_FILE[0]) for file in files)
    for study in frame.studies:
        audit.record(
            by=origin.by,
            action="export.key" if keyed else "export.ratings",
            target=f"study {study.pk}",
            via=origin.via,
            studies=[one.pk for one in frame.studies],
            options=options_json(frame.options),
            files={file.name: {"rows": file.rows, "sha256": file.sha256} for file in files},
        )
