"""Corpus files of other makers, Parquet, mapped utterances and the folder for ``datasets``."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generation.corpus import CorpusDialogue, CorpusError, CorpusTurn, detected_format, read_corpus
from generation.corpus_folder import Card, pack, profile_key, read_folder, splits_of, write_folder
from generation.corpus_rows import RowChoice, guessed_role, guessed_rows, read_mapped
from generation.corpus_script import script, turns_of
from generation.utterances import CLIENT, THERAPIST

PAPER: dict[str, Any] = {
    "file_id": "active101",
    "condition": "mdd",
    "client_model": "qwen",
    "therapist_model": "gemma",
    "dialogue": "Therapist: Hello.\n\nHow are you?\nClient: Hm.\nTherapist: Go on. [/END]",
}
TALK = [
    ("therapist", "Hello.\n\nHow are you?"),
    ("client", "Hm."),
    ("therapist", "Go on. [/END]"),
]


def _parquet(rows: list[dict[str, Any]]) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out)
    return out.getvalue()


def _csv(row: dict[str, Any]) -> bytes:
    cells = [f'"{value}"' for value in row.values()]
    return f"{','.join(row)}\n{','.join(cells)}\n".encode()


@pytest.mark.parametrize(
    ("content", "file_format"),
    [
        (_csv(PAPER), "sqpsychconv"),
        (json.dumps(PAPER).encode(), "sqpsychconv-jsonl"),
        (_parquet([dict(PAPER)]), "sqpsychconv-parquet"),
    ],
)
def test_papers_columns_are_read_in_each_form(content: bytes, file_format: str) -> None:
    assert detected_format("x", io.BytesIO(content)) == file_format
    (found,) = read_corpus("x", io.BytesIO(content), file_format)
    assert found.dialogue_id == "active101"
    assert found.facts == {"condition": "mdd", "client_model": "qwen", "therapist_model": "gemma"}
    assert [(turn.role, turn.text) for turn in found.turns] == TALK


PIECES = ["Client:", "therapist:", " ", "\n", "a", "\t", "\r", ":"]
TRICKY = st.lists(st.sampled_from(PIECES), min_size=1, max_size=8).map("".join)
SAID = TRICKY.filter(lambda text: bool(text.strip()))


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from([THERAPIST, CLIENT]), SAID), min_size=1))
def test_script_is_read_as_it_was_written(raw: list[tuple[str, str]]) -> None:
    turns = tuple(CorpusTurn(THERAPIST if r == THERAPIST else CLIENT, text) for r, text in raw)
    assert turns_of("f", script(turns)) == turns


# Mapped utterances -----------------------------------------------------------------------------

ROWS = (
    "conv,nr,who,said,cond\n"
    "a,2,P,Not so well.,mdd\n"
    "b,0,T,Hello!,hc\n"
    "a,1.0,T,How are you?,mdd\n"
    "a,9,note,writes something down,mdd\n"
    "b,1,P,'=1+1,hc\n"
)
CHOICE = RowChoice(
    dialogue="conv",
    turn="nr",
    role="who",
    text="said",
    roles={"T": "therapist", "P": "client", "note": "leave out"},
    facts={"condition": "cond"},
)


def test_mapped_rows_become_dialogues_in_order() -> None:
    assert detected_format("x.csv", io.BytesIO(ROWS.encode())) is None
    one, two = read_mapped("x.csv", io.BytesIO(ROWS.encode()), CHOICE)
    assert (one.dialogue_id, one.facts) == ("a", {"condition": "mdd"})
    assert [(t.role, t.text) for t in one.turns] == [
        ("therapist", "How are you?"),
        ("client", "Not so well."),
    ]
    assert [(t.role, t.text) for t in two.turns] == [("therapist", "Hello!"), ("client", "=1+1")]


def test_columns_and_roles_are_guessed_by_usual_names() -> None:
    guess = guessed_rows(["Conversation ID", "turn_id", "speaker", "utterance", "label"])
    assert guess == {
        "dialogue": "Conversation ID",
        "turn": "turn_id",
        "role": "speaker",
        "text": "utterance",
        "condition": "label",
        "therapist_model": "",
        "client_model": "",
    }
    assert [guessed_role(value) for value in ("Counselor", "patient", "system")] == [
        "therapist",
        "client",
        "leave out",
    ]


# The folder ------------------------------------------------------------------------------------


def _talk(number: int) -> CorpusDialogue:
    """Two dialogues a profile."""
    return CorpusDialogue(
        f"d{number}",
        (CorpusTurn(THERAPIST, f"Hello {number}"), CorpusTurn(CLIENT, "Hm.\n")),
        {"profile_key": f"p{number // 2}", "profile_id": "secret", "condition": "mdd", "seed": 7},
    )


TALKS = [_talk(number) for number in range(40)]


def _folder(path: Path) -> Path:
    card = Card('A "pilot": <b>one</b>', ["Arm A: protocol x."], ["PHQ-9, public domain"])
    splits = splits_of(map(profile_key, TALKS))
    assert write_folder(TALKS, splits, card, path / "out") == len(TALKS)
    return path / "out"


def test_folder_is_what_datasets_loads_split_by_profile(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    readme = (folder / "README.md").read_text()
    front = readme.split("---\n")[1]
    assert 'pretty_name: "A \\"pilot\\": <b>one</b>"\n' in front
    tables = {}
    for split, expected in {"train": 32, "validation": 4, "test": 4}.items():
        assert f"  - split: {split}\n    path: data/{split}-*.parquet\n" in front
        (path,) = (folder / "data").glob(f"{split}-*.parquet")
        assert path.name == f"{split}-00000-of-00001.parquet"
        tables[split] = pq.read_table(path).to_pylist()
        assert len(tables[split]) == expected
        assert f"| {split} | {expected} | {expected // 2} |" in readme
    keys = [{row["profile_key"] for row in rows} for rows in tables.values()]
    assert sum(len(each) for each in keys) == len(set.union(*keys)) == 20
    row = tables["train"][0]
    assert row["synthetic"] is True
    assert row["messages"][1] == {"role": "user", "content": "Hm.\n"}
    assert "profile_id" not in row
    assert "secret" not in readme
    assert "Synthetic dialogues for research. Not care." in readme


def test_folder_comes_back_in_equal_and_its_zip_is_the_same_each_time(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    packed = [io.BytesIO(), io.BytesIO()]
    for out in packed:
        pack(folder, out, root="corpus")
    assert packed[0].getvalue() == packed[1].getvalue()
    found = list(read_folder("corpus.zip", packed[0], tmp_path))
    assert {each.dialogue_id: [t.text for t in each.turns] for each in found} == {
        each.dialogue_id: [t.text for t in each.turns] for each in TALKS
    }
    again = tmp_path / "again"
    write_folder(
        sorted(found, key=lambda each: int(each.dialogue_id[1:])),
        splits_of(map(profile_key, found)),
        Card("x"),
        again,
    )
    for path in (folder / "data").iterdir():
        assert path.read_bytes() == (again / "data" / path.name).read_bytes()


@pytest.mark.parametrize(
    ("profiles", "held"), [(1, 0), (2, 0), (3, 1), (10, 1), (25, 2), (200, 20)]
)
def test_split_holds_out_a_tenth_of_the_profiles_and_never_all(profiles: int, held: int) -> None:
    found = list(splits_of(f"p{n}" for n in range(profiles)).values())
    assert (found.count("test"), found.count("validation")) == (held, held)
    assert found.count("train") == profiles - 2 * held


def test_split_of_a_profile_depends_on_no_order() -> None:
    keys = [f"p{n}" for n in range(30)]
    assert splits_of(keys) == splits_of(reversed(keys + keys))


# Broken files ----------------------------------------------------------------------------------

LONG = "x" * 100_001


def _zip(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


BROKEN = {
    "no speaker": (
        _csv(PAPER | {"dialogue": "Hello.\nClient: Hm."}),
        "sqpsychconv",
        "f, row 2, column dialogue: must begin with “Therapist:” or “Client:”.",
    ),
    "no words": (
        _csv(PAPER | {"dialogue": " "}),
        "sqpsychconv",
        "f, row 2, column dialogue: is empty.",
    ),
    "a speaker says nothing": (
        _csv(PAPER | {"dialogue": "Therapist: Hello.\nClient: "}),
        "sqpsychconv",
        "f, row 2, utterance 2, column dialogue: is empty.",
    ),
    "too long": (
        _parquet([PAPER | {"dialogue": f"Client: {LONG}"}]),
        "sqpsychconv-parquet",
        "f, row 1, utterance 1, column dialogue: is longer than 100,000 characters.",
    ),
    "id twice": (
        _parquet([dict(PAPER), dict(PAPER)]),
        "sqpsychconv-parquet",
        "f: the dialogue “active101” is there twice.",
    ),
    "no id": (
        _parquet([{"dialogue": "Client: x"}]),
        "sqpsychconv-parquet",
        "f: there must be one column “file_id”.",
    ),
    "number for a dialogue": (
        b'{"file_id": 1, "dialogue": 2}\n',
        "sqpsychconv-jsonl",
        "f, row 1, column dialogue: must be text.",
    ),
    "list for a condition": (
        json.dumps(PAPER | {"condition": ["mdd"]}).encode(),
        "sqpsychconv-jsonl",
        "f, row 1, column condition: must be text of up to 200 plain characters.",
    ),
    "seed is a word": (
        b'{"id": "a", "seed": "x", "messages": [{"role": "user", "content": "x"}]}',
        "messages",
        "f, row 1, column seed: must be a whole number.",
    ),
    "cut Parquet": (
        _parquet([dict(PAPER)])[:-20],
        "sqpsychconv-parquet",
        "f: is not a whole Parquet file.",
    ),
    "empty Parquet": (
        b"",
        "turns-parquet",
        "f: is not a whole Parquet file.",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_corpus_file_is_refused_with_its_place(name: str) -> None:
    content, file_format, sentence = BROKEN[name]
    with pytest.raises(CorpusError) as error:
        list(read_corpus("f", io.BytesIO(content), file_format))
    assert str(error.value) == sentence


BROKEN_ROWS: dict[str, tuple[dict[str, Any], str]] = {
    "column missing": ({"text": "words"}, "f, row 1: there must be one column “words”."),
    "column twice": (
        {"text": "who"},
        "f: one column was chosen for two things; choose another.",
    ),
    "role unknown": (
        {"roles": {"T": "therapist"}},
        "f, row 2, column role: must be therapist or client (or assistant or user).",
    ),
    "number is no number": ({"turn": "cond"}, "f, row 2, column cond: must be a number."),
}


@pytest.mark.parametrize("name", BROKEN_ROWS)
def test_broken_choice_of_columns_is_told(name: str) -> None:
    changes, sentence = BROKEN_ROWS[name]
    choice = RowChoice(**(vars(CHOICE) | changes))
    with pytest.raises(CorpusError) as error:
        read_mapped("f", io.BytesIO(ROWS.encode()), choice)
    assert str(error.value) == sentence


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"PK\x03\x04 broken", "f.zip: the zip is damaged or locked; make it again."),
        (_zip({"README.md": b"x"}), "f.zip: there is no Parquet file in this zip."),
        (_zip({"data/train.parquet": b"x"}), "train.parquet: is not a whole Parquet file."),
    ],
)
def test_broken_zip_is_refused(content: bytes, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(CorpusError) as error:
        list(read_folder("f.zip", io.BytesIO(content), tmp_path))
    assert str(error.value) == sentence
