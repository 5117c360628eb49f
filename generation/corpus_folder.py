"""A folder that Hugging Face ``datasets`` loads: Parquet by split, and a data card (pure).

Split by profile: all dialogues of one client are in the same split, in every corpus of that
client, so that no test dialogue speaks for a client that was trained on. A key made from the
profile stands for it; the pseudonym itself is not in the folder.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from generation.corpus import chat_messages, once_each, read_corpus
from generation.corpus_parquet import ParquetSink
from generation.corpus_parts import CorpusDialogue, CorpusError, file_name
from generation.plain_text import as_data

SPLITS: Final[tuple[str, ...]] = ("train", "validation", "test")
_SHARE: Final = 0.1
_FACTS: Final = (
    "profile_key",
    "condition",
    "protocol",
    "therapist_model",
    "client_model",
    "replicate",
    "seed",
)
COLUMNS: Final = ("dialogue_id", *_FACTS, "turn_count", "messages", "synthetic")
_MEANINGS: Final = {
    "dialogue_id": "id of the dialogue; it tells neither condition nor model",
    "profile_key": "stands for the client profile; the same in all dialogues of one client",
    "condition": "group of the client profile",
    "protocol": "therapy protocol and version",
    "therapist_model": "model that spoke as the therapist",
    "client_model": "model that spoke as the client",
    "replicate": "which of the dialogues of one profile and arm",
    "seed": "seed of the dialogue",
    "turn_count": "number of messages",
    "messages": "list of role (assistant is the therapist, user the client) and content",
    "synthetic": "always true",
}
_UNPACKED: Final = 2 * 1024**3
_SIZES: Final = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"))


@dataclass(frozen=True)
class Card:
    """What the data card says beside what is counted: lines of ready text."""

    name: str
    made_with: list[str] = field(default_factory=list)
    questionnaires: list[str] = field(default_factory=list)


def splits_of(keys: Iterable[str]) -> dict[str, str]:
    """Key of a profile -> its split: about a tenth each for validation and test, by a hash.

    The order is by the hash alone, so it depends neither on the file nor on names.
    """
    ordered = sorted(set(keys), key=lambda key: hashlib.sha256(f"split {key}".encode()).digest())
    held = max(1, round(_SHARE * len(ordered))) if len(ordered) >= len(SPLITS) else 0
    return {
        key: "test" if place < held else "validation" if place < 2 * held else "train"
        for place, key in enumerate(ordered)
    }


def profile_key(dialogue: CorpusDialogue) -> str:
    """What a dialogue is split by: its profile, else itself."""
    return str(dialogue.facts.get("profile_key", dialogue.dialogue_id))


def write_folder(
    dialogues: Iterable[CorpusDialogue], splits: dict[str, str], card: Card, folder: Path
) -> int:
    """Write ``README.md`` and ``data/SPLIT-00000-of-00001.parquet``; returns how many dialogues."""
    data = folder / "data"
    data.mkdir(parents=True)
    used = [split for split in SPLITS if split in set(splits.values())]
    files = {split: (data / f"{split}-00000-of-00001.parquet").open("wb") for split in used}
    sinks = {split: ParquetSink(cast(BinaryIO, files[split]), COLUMNS) for split in used}
    counts: Counter[str] = Counter()
    profiles: dict[str, set[str]] = {split: set() for split in used}
    try:
        for dialogue in dialogues:
            key = profile_key(dialogue)
            split = splits[key]
            sinks[split].write(_row(dialogue))
            counts[split] += 1
            profiles[split].add(key)
    finally:
        for split in used:
            sinks[split].close()
            files[split].close()
    table = [(split, counts[split], len(profiles[split])) for split in used]
    (folder / "README.md").write_text(_readme(card, table), encoding="utf-8")
    return sum(counts.values())


def _row(dialogue: CorpusDialogue) -> dict[str, Any]:
    return {
        "dialogue_id": dialogue.dialogue_id,
        **{name: dialogue.facts[name] for name in _FACTS if name in dialogue.facts},
        "turn_count": len(dialogue.turns),
        "messages": chat_messages(dialogue),
        "synthetic": True,
    }


def pack(folder: Path, out: BinaryIO, *, root: str, only: str = "*") -> None:
    """The folder as a zip under one name, the same bytes for the same files."""
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(path for path in folder.rglob(only) if path.is_file()):
            entry = zipfile.ZipInfo(f"{root}/{path.relative_to(folder).as_posix()}")
            entry.compress_type = zipfile.ZIP_DEFLATED
            with path.open("rb") as file, archive.open(entry, "w", force_zip64=True) as target:
                while piece := file.read(1 << 20):
                    target.write(piece)


def read_folder(filename: str, source: BinaryIO, work: Path) -> Iterator[CorpusDialogue]:
    """The dialogues of a packed folder. ``work`` is an empty folder for unpacking."""
    name = file_name(filename)
    return once_each(name, _read_packed(name, source, work))


def _read_packed(name: str, source: BinaryIO, work: Path) -> Iterator[CorpusDialogue]:
    try:
        with zipfile.ZipFile(source) as archive:
            entries = [e for e in archive.infolist() if e.filename.endswith(".parquet")]
            if not entries:
                raise CorpusError(f"{name}: there is no Parquet file in this zip.")
            if sum(entry.file_size for entry in entries) > _UNPACKED:
                raise CorpusError(f"{name}: is larger than 2 GB when unpacked; split it.")
            for entry in sorted(entries, key=lambda entry: entry.filename):
                path = work / "part.parquet"
                with archive.open(entry) as packed, path.open("wb") as out:
                    while piece := packed.read(1 << 20):
                        out.write(piece)
                with path.open("rb") as part:
                    yield from read_corpus(entry.filename, part, "messages-parquet")
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError):
        raise CorpusError(f"{name}: the zip is damaged or locked; make it again.") from None


def _readme(card: Card, table: list[tuple[str, int, int]]) -> str:
    total = sum(count for _, count, _ in table)
    size = next((label for limit, label in _SIZES if total < limit), "100K<n<1M")
    files = "".join(
        f"  - split: {split}\n    path: data/{split}-*.parquet\n" for split, _, _ in table
    )
    rows = "\n".join(f"| {split} | {count:,} | {clients:,} |" for split, count, clients in table)
    columns = "\n".join(f"| `{name}` | {_MEANINGS[name]} |" for name in COLUMNS)
    made = "\n".join(f"- {line}" for line in card.made_with) or "- Imported; how is not known here."
    asked = "\n".join(f"- {line}" for line in card.questionnaires) or "- None known here."
    name = as_data(card.name, limit=120)
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    return f"""---
pretty_name: "{quoted}"
license: other
task_categories:
- text-generation
tags:
- synthetic
- dialogue
- cognitive-behavioural-therapy
size_categories:
- {size}
configs:
- config_name: default
  data_files:
{files}---

# {name}

**Synthetic dialogues for research. Not care.** Language models wrote both parts. No real client
and no real therapist speaks here. Do not use these dialogues to decide about a person, and do not
show them as therapy.

## What is in it

| split | dialogues | client profiles |
|---|---|---|
{rows}

Split by client profile: all dialogues of one profile are in one split.

| column | meaning |
|---|---|
{columns}

## How it was made

{made}

Client profiles were conditioned on these questionnaires:

{asked}

Made with SQPsych after Vu et al. 2025 (arXiv 2510.25384).

## Limits

Models err, repeat themselves and can sound more helpful than they are. Risk may be handled badly.
Synthetic clients vary less than real ones. A clinician should read before anybody trains on this.

## Licence

To be stated by the group that publishes it; the models' licences apply to what they wrote.
"""
