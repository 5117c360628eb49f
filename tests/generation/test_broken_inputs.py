# ruff: noqa: E501 - each case is one row of a table, its sentence whole
"""Thirty and more kinds of broken input: one clear sentence each, and nothing is stored."""

import io
import json
import zipfile
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from generation import actions
from generation.actions import Refused
from generation.models import (
    Batch,
    ClientProfile,
    Dialogue,
    ProfileSet,
    Questionnaire,
    Turn,
    Upload,
)
from generation.profiles import ProfileFileError
from generation.questionnaires import builtin_definitions
from sqpsych_site.models import AuditEntry, User

pytestmark = pytest.mark.django_db
GAD = ",".join(f"gad7_{n}" for n in range(1, 8))
HEAD = f"profile_id,age,gender,condition,{GAD}\n"
ROW = "A1,30,f,anxiety,1,1,1,1,1,1,1\n"
FORM = (
    "# Patient information\nSubject ID: A1\nAge: 30\nGender: f\nGroup: control\n"
    "## Questionnaire GAD-7\n"
    + "\n".join(f"GAD7_{n}: text\nAnswer: Not at all" for n in range(1, 8))
    + "\n"
)
TALK = {"file_id": "a", "dialogue": "Therapist: Hello.\nClient: Hm."}
OWN = builtin_definitions()["gad7"].toml.replace('key = "gad7', 'key = "own')


def _zip(name: str, text: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(name, text)
    return out.getvalue()


def _parquet(**columns: list[object]) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


PROFILES: dict[str, tuple[str, bytes | str, str]] = {
    "empty file": ("a.csv", "", "a.csv: the file is empty; choose a file with at least one profile."),
    "spreadsheet": ("a.xlsx", b"PK\x03\x04x", "a.xlsx: the file is a spreadsheet; save it as CSV in UTF-8."),
    "UTF-16": ("a.csv", HEAD.encode("utf-16"), "a.csv: the file is in UTF-16; save it in UTF-8."),
    "Latin-1": ("a.csv", (HEAD + ROW).replace("f,", "ä,").encode("latin-1"), "a.csv, row 2: the text is not in UTF-8; save the file in UTF-8."),
    "NUL byte": ("a.csv", HEAD + "A\0", "a.csv, row 2: there is a NUL byte; save the file again as text in UTF-8."),
    "no rows": ("a.csv", HEAD, "a.csv: the file has column names but no profile; add one row for each."),
    "open quote": ("a.csv", HEAD + '"A1', "a.csv, row 2: a quote is opened but never closed; close it."),
    "short row": ("a.csv", HEAD + "A1,30\n", "a.csv, row 2: the row has 2 cells but the first row has 11; repair the separators or quotes."),
    "name column": ("a.csv", HEAD.replace("gender", "surname") + ROW, "a.csv, row 1, column surname: the column looks like a name, which may not be stored; remove it."),
    "phone column": ("a.csv", HEAD.replace("gender", "phone") + ROW, "a.csv, row 1, column phone: the column looks like a phone number, which may not be stored; remove it."),
    "birth date": ("a.csv", HEAD.replace("gender", "date_of_birth") + ROW, "a.csv, row 1, column date_of_birth: the column looks like a full birth date, which may not be stored; remove it."),
    "e-mail in a cell": ("a.csv", HEAD + ROW.replace("f,", "f@x.org,"), "a.csv, row 2, column gender: the cell holds an e-mail address, which may not be stored; remove it."),
    "minor": ("a.csv", HEAD + ROW.replace("30", "17"), "a.csv, row 2, column age: the client is under 18 and minors are not allowed; remove the row."),
    "age in words": ("a.csv", HEAD + ROW.replace("30", "old"), "a.csv, row 2, column age: the age must be a whole number from 0 to 120; correct it."),
    "pseudonym twice": ("a.csv", HEAD + ROW + ROW, "a.csv, row 3, column profile_id: the pseudonym was already used in row 2; use another."),
    "item missing": ("a.csv", (HEAD + ROW).replace("gad7_7", "work"), "a.csv, column gad7_7: the column is missing; gad7 needs all 7 of its items."),
    "unknown item": ("a.csv", HEAD.replace("gad7_7", "gad7_7,gad7_8") + ROW.strip() + ",1\n", "a.csv, row 1, column gad7_8: the column is no item of gad7, which has gad7_1 to gad7_7; rename or remove it."),
    "no such answer": ("a.csv", HEAD + ROW.replace(",1\n", ",9\n"), "a.csv, row 2, column gad7_7: the value 9 is no answer option; use 0, 1, 2 or 3."),
    "scale not loaded": ("a.csv", HEAD.replace("\n", ",bdi_1,bdi_2,bdi_3,bdi_4\n") + ROW.strip() + ",1,1,1,1\n", "a.csv, row 1, column bdi_1: this and 3 more columns look like items of a questionnaire that is not loaded; load its definition or rename the columns."),
    "broken JSON": ("a.jsonl", "{", "a.jsonl, row 1: the line is not valid JSON; write one object per line."),
    "list in JSON": ("a.jsonl", '{"profile_id": ["A1"]}', "a.jsonl, row 1, column profile_id: the value is a list or object; use text or a number."),
    "text before the heading": ("a.txt", "## Questionnaire GAD-7\n" + FORM, "a.txt, row 1: a questionnaire stands before “# Patient information”; put it after."),
    "question without answer": ("a.txt", FORM.replace("Answer: Not at all\nGAD7_2", "GAD7_2"), "a.txt, row 7: the question has no “Answer:” line; add it."),
    "answer without question": ("a.txt", FORM.replace("GAD7_1: text\n", ""), "a.txt, row 7: an answer stands without its question; put the question before."),
    "line that is no pair": ("a.txt", FORM.replace("Subject ID: A1", "A1"), "a.txt, row 2: the line is no “Key: value”; add the key or remove the line."),
    "damaged zip": ("a.zip", b"PK\x03\x04broken", "a.zip: the zip is damaged or locked; make it again."),
    "table in a zip": ("a.zip", _zip("b.csv", HEAD + ROW), "b.csv: a zip may hold .txt files only; take it out."),
    "survey addresses": ("a.csv", "record_id,redcap_survey_identifier,age\n1,me@x.org,30\n", "a.csv, row 1, column redcap_survey_identifier: the column may hold e-mail addresses; remove it."),
}  # fmt: skip
DIALOGUES: dict[str, tuple[str, bytes | str, str]] = {
    "empty file": ("d.jsonl", "{}", "d.jsonl, row 1, column file_id: must have 1 to 120 plain characters."),
    "header alone": ("d.csv", "dialogue_id,turn,role,text\n", "d.csv: there is no dialogue in this file."),
    "not UTF-8": ("d.csv", b"dialogue_id,turn,role,text\na,1,client,\xff\n", "d.csv, row 2: the text is not in UTF-8; save it so."),
    "open quote": ("d.csv", 'file_id,dialogue\na,"Client: x\n', "d.csv, row 2: is not proper CSV; a quotation mark may be missing."),
    "no speaker": ("d.csv", "file_id,dialogue\na,Hello.\n", "d.csv, row 2, column dialogue: must begin with “Therapist:” or “Client:”."),
    "turn missing": ("d.csv", "dialogue_id,turn,role,text\na,2,client,x\n", "d.csv: turn 1 of the dialogue “a” is missing; number turns from 1."),
    "unknown role": ("d.csv", "dialogue_id,turn,role,text\na,1,doctor,x\n", "d.csv, row 2, column role: must be therapist or client (or assistant or user)."),
    "dialogue twice": ("d.jsonl", f"{json.dumps(TALK)}\n" * 2, "d.jsonl: the dialogue “a” is there twice."),
    "no messages": ("d.jsonl", '{"id": 1, "messages": []}', "d.jsonl, row 1: must be an object with a list “messages”."),
    "bad JSON": ("d.jsonl", f"{json.dumps(TALK)}\n{{x\n", "d.jsonl, row 2: is not one line of JSON."),
    "cut Parquet": ("d.parquet", _parquet(file_id=["a"], dialogue=["Client: x"])[:-9], "d.parquet: is not a whole Parquet file."),
    "other Parquet": ("d.parquet", _parquet(a=[1]), "d.parquet: there must be one column “dialogue_id”."),
    "zip without Parquet": ("d.zip", _zip("README.md", "x"), "d.zip: there is no Parquet file in this zip."),
}  # fmt: skip
DEFINITIONS: dict[str, tuple[str, bytes | str, str]] = {
    "not TOML": ("q.toml", "key", "q.toml is not valid TOML: Expected '=' after a key in a key/value pair (at line 1, column 4)."),
    "unknown key": ("q.toml", OWN.replace("recall =", "recal ="), "q.toml, line 8: the key 'recal' is not known here; remove it or check its spelling."),
    "gap between bands": ("q.toml", OWN.replace("low = 5\n", "low = 6\n"), "q.toml, line 25, band 2: band 'mild' leaves a gap before it; it must begin at 5."),
    "option is text": ("q.toml", OWN.replace("value = 3", 'value = "3"', 1), "q.toml, line 51, item 1, option 4: 'value' must be a whole number; change it."),
    "built-in key": ("q.toml", OWN.replace('"own', '"gad7').replace('"1.1"', '"9"'), "q.toml: 'gad7' comes with the program; give your questionnaire another 'key'."),
}  # fmt: skip
Send = Callable[[str, bytes, User], object]


def _profiles(name: str, content: bytes, by: User) -> object:
    return actions.receive_profiles(
        name="x", filename=name, content=content, look_first=False, by=by
    )


def _dialogues(name: str, content: bytes, by: User) -> object:
    return actions.receive_dialogues(name="x", filename=name, source=io.BytesIO(content), by=by)


def _definition(name: str, content: bytes, by: User) -> object:
    return actions.add_questionnaire(text=content.decode(), origin=name, by=by)


CASES = [
    pytest.param(send, *case, id=f"{kind}: {name}")
    for kind, send, cases in (
        ("profiles", _profiles, PROFILES),
        ("dialogues", _dialogues, DIALOGUES),
        ("questionnaire", _definition, DEFINITIONS),
    )
    for name, case in cases.items()
]


@pytest.mark.parametrize(("send", "filename", "content", "sentence"), CASES)
def test_broken_input_gives_one_clear_sentence_and_stores_nothing(
    send: Send, filename: str, content: bytes | str, sentence: str, coordinator: User
) -> None:
    raw = content.encode() if isinstance(content, str) else content
    actions.sync_definitions()
    definitions = Questionnaire.objects.count()
    with pytest.raises((ProfileFileError, Refused)) as caught:
        send(filename, raw, coordinator)
    assert str(caught.value) == sentence
    for model in (ProfileSet, ClientProfile, Batch, Dialogue, Turn, Upload, AuditEntry):
        assert not model.objects.exists(), model
    assert Questionnaire.objects.count() == definitions
