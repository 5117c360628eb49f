"""Dialogues as files: what goes out comes back in equal, and broken files are told by row."""

import csv
import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generation.corpus import (
    FORMATS,
    CorpusDialogue,
    CorpusError,
    CorpusTurn,
    detected_format,
    read_corpus,
    write_corpus,
)
from generation.utterances import CLIENT, THERAPIST

TALK = CorpusDialogue(
    "d-1",
    (CorpusTurn(THERAPIST, "How are you?"), CorpusTurn(CLIENT, "=cmd|' /C calc'!A0\nClient: fine")),
    {"condition": "mdd", "therapist_model": "m", "client_model": "n", "seed": 7},
)
HEADER = "dialogue_id,turn,role,text\n"

SAID = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t='\"@+-"), min_size=1
).filter(lambda text: bool(text.strip()))
KEYS = st.text(st.sampled_from("abcXYZ019-_=+@' ."), min_size=1, max_size=20).filter(
    lambda key: key == key.strip() != ""
)
DIALOGUES = st.lists(
    st.tuples(KEYS, st.lists(st.tuples(st.sampled_from([THERAPIST, CLIENT]), SAID), min_size=1)),
    min_size=1,
    max_size=4,
    unique_by=lambda pair: pair[0],
)


def written(dialogues: list[CorpusDialogue], file_format: str) -> bytes:
    """The whole file."""
    out = io.BytesIO()
    assert write_corpus(dialogues, file_format, out) == len(dialogues)
    return out.getvalue()


def read(content: bytes, file_format: str, name: str = "f") -> list[CorpusDialogue]:
    return list(read_corpus(name, io.BytesIO(content), file_format))


def spoken(dialogues: list[CorpusDialogue]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Ids, roles and texts alone."""
    return [(each.dialogue_id, [(t.role, t.text) for t in each.turns]) for each in dialogues]


@pytest.mark.parametrize("file_format", FORMATS)
@settings(deadline=None, max_examples=30)
@given(raw=DIALOGUES)
def test_what_goes_out_comes_back_in_equal(
    file_format: str, raw: list[tuple[str, list[tuple[str, str]]]]
) -> None:
    dialogues = [
        CorpusDialogue(
            key, tuple(CorpusTurn(THERAPIST if r == THERAPIST else CLIENT, t) for r, t in turns)
        )
        for key, turns in raw
    ]
    content = written(dialogues, file_format)
    found = read(content, file_format)
    assert spoken(found) == spoken(dialogues)
    assert detected_format("f", io.BytesIO(content)) == file_format
    assert written(found, file_format) == content


def test_turns_have_the_promised_columns_and_no_formula() -> None:
    rows = list(csv.DictReader(io.StringIO(written([TALK], "turns").decode(), newline="")))
    assert list(rows[0])[:4] == ["dialogue_id", "turn", "role", "text"]
    assert [row["turn"] for row in rows] == ["1", "2"]
    assert rows[1]["text"] == "'=cmd|' /C calc'!A0\nClient: fine"
    assert {row["synthetic"] for row in rows} == {"true"}
    assert rows[0]["condition"] == "mdd"


def test_sqpsychconv_has_the_papers_columns() -> None:
    rows = list(csv.DictReader(io.StringIO(written([TALK], "sqpsychconv").decode(), newline="")))
    assert list(rows[0])[:5] == [
        "file_id",
        "condition",
        "client_model",
        "therapist_model",
        "dialogue",
    ]
    assert rows[0]["dialogue"] == (
        "Therapist: How are you?\nClient: =cmd|' /C calc'!A0\n Client: fine"
    )


def test_messages_are_one_object_a_line() -> None:
    (line,) = written([TALK], "messages").decode().splitlines()
    record = json.loads(line)
    assert record["synthetic"] is True
    assert record["dialogue_id"] == "d-1"
    assert [message["role"] for message in record["messages"]] == ["assistant", "user"]


def test_rows_are_put_in_order_by_their_numbers() -> None:
    content = HEADER + "a,2,client,Hm.\nb,1,user,Yo.\na,1,Therapist,Hello.\n"
    found = read(content.encode(), "turns", "f.csv")
    assert spoken(found) == [
        ("a", [("therapist", "Hello."), ("client", "Hm.")]),
        ("b", [("client", "Yo.")]),
    ]


BROKEN_TURNS = [
    ("", "f.csv, row 1: there must be one column “dialogue_id”."),
    ("dialogue_id,turn,role\na,1,client\n", "f.csv, row 1: there must be one column “text”."),
    (HEADER, "f.csv: there is no dialogue in this file."),
    (
        HEADER + "a,0,client,x\n",
        "f.csv, row 2, column turn: must be a whole number from 1 to 2,000.",
    ),
    (
        HEADER + "a,x,client,x\n",
        "f.csv, row 2, column turn: must be a whole number from 1 to 2,000.",
    ),
    (
        HEADER + "a,1,client,x\na,1,client,y\n",
        "f.csv, row 3, column turn: turn 1 of this dialogue is there twice.",
    ),
    (
        HEADER + "a,2,client,x\n",
        "f.csv: turn 1 of the dialogue “a” is missing; number turns from 1.",
    ),
    (
        HEADER + "a,1,doctor,x\n",
        "f.csv, row 2, column role: must be therapist or client (or assistant or user).",
    ),
    (HEADER + "a,1,client, \n", "f.csv, row 2, column text: is empty."),
    (
        HEADER + "a,1,client,\x07\n",
        "f.csv, row 2, column text: holds the character U+0007, which cannot be stored.",
    ),
    (
        HEADER + ",1,client,x\n",
        "f.csv, row 2, column dialogue_id: must have 1 to 120 plain characters.",
    ),
    (HEADER + "a,1,client\n", "f.csv, row 2: has 3 cells, the first row has 4."),
    (
        HEADER + 'a,1,client,"x\n',
        "f.csv, row 2: is not proper CSV; a quotation mark may be missing.",
    ),
]


@pytest.mark.parametrize(("content", "sentence"), BROKEN_TURNS)
def test_broken_turns_file_is_refused_with_its_place(content: str, sentence: str) -> None:
    with pytest.raises(CorpusError) as error:
        read(content.encode(), "turns", "dir/f.csv")
    assert str(error.value) == sentence


BROKEN_MESSAGES = [
    ("{", "f: row 1: is not one line of JSON."),
    ("[]", "f: row 1: must be a JSON object."),
    ('{"messages": []}', "f: row 1: must be an object with a list “messages”."),
    (
        '{"messages": [{"role": "user", "content": "x"}]}',
        "f: row 1: must have a “dialogue_id”.",
    ),
    (
        '{"id": 1, "messages": [{"role": "system", "content": "x"}]}',
        "f: row 1, message 1, column role: must be therapist or client (or assistant or user).",
    ),
    (
        '{"id": 1, "messages": [{"role": "user"}]}',
        "f: row 1, message 1: must have a “role” and a text as “content”.",
    ),
    (
        '{"id": 1, "messages": [{"role": "user", "content": "x"}]}\n' * 2,
        "f: the dialogue “1” is there twice.",
    ),
]


@pytest.mark.parametrize(("content", "sentence"), BROKEN_MESSAGES)
def test_broken_messages_file_is_refused_with_its_place(content: str, sentence: str) -> None:
    with pytest.raises(CorpusError) as error:
        read(content.encode(), "messages")
    assert str(error.value) == sentence.replace("f: row", "f, row")


def test_other_encodings_and_formats_are_refused() -> None:
    with pytest.raises(CorpusError, match=r"^f, row 1: the text is not in UTF-8"):
        read("ä".encode("latin-1"), "turns")
    with pytest.raises(CorpusError, match="cannot be read"):
        read(b"", "parquet")
    with pytest.raises(CorpusError, match="There is no format"):
        written([], "parquet")


def test_sentence_never_quotes_a_dialogue() -> None:
    with pytest.raises(CorpusError) as error:
        read((HEADER + "a,1,I want to die,secret\n").encode(), "turns")
    assert "secret" not in str(error.value)
    assert "die" not in str(error.value)
