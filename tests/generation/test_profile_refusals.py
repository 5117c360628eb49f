"""Profile files that are refused, whole, each fault with its exact sentence."""

from __future__ import annotations

import json

import pytest

from generation.profile_identifiers import identifying_cell, identifying_header
from generation.profiles import (
    ProfileFileError,
)
from tests.generation.profile_cases import (
    GOOD,
    HEADER,
    PHQ,
    ROW,
    changed,
    problems_of,
    read,
    table,
)

COLUMN_FAULTS = {
    "unknown item": ("phq9_10", "the column is no item of phq9, which has phq9_1 to phq9_9; "),
    "item spelt otherwise": ("PHQ-9 extra", "the column is no item of phq9, which has "),
    "half an item": ("gad7_rest", "the column is no item of gad7, which has gad7_1 to gad7_7; "),
    "bare": ("gad7", "the column is no item of gad7, which has gad7_1 to gad7_7; "),
    "name": ("name", "the column looks like a name, which may not be stored; "),
    "first name": ("first_name", "the column looks like a name, which may not be stored; "),
    "surname": ("Surname", "the column looks like a name, which may not be stored; "),
    "German name": ("Nachname", "the column looks like a name, which may not be stored; "),
    "e-mail": ("E-Mail", "the column looks like an e-mail address, which may not be stored; "),
    "phone": ("phoneNumber", "the column looks like a phone number, which may not be stored; "),
    "address": ("home_address", "the column looks like an address, which may not be stored; "),
    "birth date": ("DateOfBirth", "the column looks like a full birth date, which may not be "),
    "German birth": ("geburtsdatum", "the column looks like a full birth date, which may not "),
    "insurance": (
        "insurance number",
        "the column looks like an insurance or identity number, which may not be stored; ",
    ),
    "formula": ("=cmd()", "the column name must begin with a letter; rename it."),
    "too long": ("w" * 61, "the column name is longer than 60 characters; shorten it."),
    "invisible": ("wo\u200brk", "the column name has a character that cannot be seen; "),
    "bell": ("wo\x07rk", "the column name has a character that cannot be seen; "),
}


@pytest.mark.parametrize("name", COLUMN_FAULTS)
def test_column_that_may_not_be_there_is_refused(name: str) -> None:
    column, message = COLUMN_FAULTS[name]
    (problem,) = problems_of(table([*ROW, "x"], header=[*HEADER, column]))
    assert problem.startswith("clients.csv, row 1, column ")
    assert problem.split(": ", 1)[1].startswith(message)


CELL_FAULTS = {
    "not an option": (
        {"phq9_2": "4"},
        "phq9_2",
        "the value 4 is no answer option; use 0, 1, 2 or 3.",
    ),
    "negative": ({"phq9_2": "-1"}, "phq9_2", "the value is no answer option; use 0, 1, 2 or 3."),
    "half": ({"phq9_2": "1.5"}, "phq9_2", "the value is no answer option; use 0, 1, 2 or 3."),
    "word": (
        {"gad7_7": "some days"},
        "gad7_7",
        "the value is no answer option; use 0, 1, 2 or 3.",
    ),
    "other digits": ({"phq9_2": "١"}, "phq9_2", "the value is no answer option; use 0, 1, 2 or 3."),
    "partly answered": (
        {"phq9_4": ""},
        "phq9_4",
        "the answer is blank though others of phq9 are given; fill it in or leave phq9 out.",
    ),
    "age half": (
        {"age": "34.5"},
        "age",
        "the age must be a whole number from 0 to 120; correct it.",
    ),
    "age word": (
        {"age": "adult"},
        "age",
        "the age must be a whole number from 0 to 120; correct it.",
    ),
    "age blank": ({"age": ""}, "age", "the age must be a whole number from 0 to 120; correct it."),
    "age high": (
        {"age": "121"},
        "age",
        "the age must be a whole number from 0 to 120; correct it.",
    ),
    "age low": ({"age": "-1"}, "age", "the age must be a whole number from 0 to 120; correct it."),
    "birth year": (
        {"age": "1987"},
        "age",
        "the age must be a whole number from 0 to 120; correct it.",
    ),
    "no pseudonym": (
        {"profile_id": ""},
        "profile_id",
        "the pseudonym is blank; give each client one.",
    ),
    "pseudonym with space": (
        {"profile_id": "Anna Schmidt"},
        "profile_id",
        "a pseudonym has up to 64 letters, digits, hyphens, underscores or dots and begins with a "
        "letter or digit; change it.",
    ),
    "pseudonym too long": (
        {"profile_id": "a" * 65},
        "profile_id",
        "a pseudonym has up to 64 letters, digits, hyphens, underscores or dots and begins with a "
        "letter or digit; change it.",
    ),
    "pseudonym is a path": (
        {"profile_id": "../x"},
        "profile_id",
        "a pseudonym has up to 64 letters, digits, hyphens, underscores or dots and begins with a "
        "letter or digit; change it.",
    ),
    "pseudonym is a date": (
        {"profile_id": "1987-05-12"},
        "profile_id",
        "the pseudonym holds a full date; use one without.",
    ),
    "gender blank": (
        {"gender": ""},
        "gender",
        "the cell is blank; write unknown if it is not known.",
    ),
    "gender long": (
        {"gender": "x" * 41},
        "gender",
        "the cell is longer than 40 characters; shorten it.",
    ),
    "gender on two lines": (
        {"gender": "fe\nmale"},
        "gender",
        "the cell has a line break; write it on one line.",
    ),
    "condition blank": (
        {"condition": ""},
        "condition",
        "the cell is blank; write unknown if it is not known.",
    ),
    "condition markup": (
        {"condition": "<b>mdd"},
        "condition",
        "the label may hold letters, digits and . , / + & ( ) - only.",
    ),
    "cell too long": (
        {"work": "x" * 201},
        "work",
        "the cell is longer than 200 characters; shorten it.",
    ),
    "control character": (
        {"work": "nurse\x1b[31m"},
        "work",
        "the cell has the control character U+001B; remove it.",
    ),
    "e-mail": (
        {"work": "write to a.b@example.org"},
        "work",
        "the cell holds an e-mail address, which may not be stored; remove it.",
    ),
    "phone": (
        {"work": "call 0171 2345678"},
        "work",
        "the cell holds a phone number, which may not be stored; remove it.",
    ),
    "date": (
        {"work": "born 12.05.1987"},
        "work",
        "the cell holds a full date, which may not be stored; remove it.",
    ),
    "social security": (
        {"gender": "078-05-1120"},
        "gender",
        "the cell holds an insurance or identity number, which may not be stored; remove it.",
    ),
}


@pytest.mark.parametrize("name", CELL_FAULTS)
def test_broken_cell_gives_file_row_column_and_one_sentence(name: str) -> None:
    cells, column, message = CELL_FAULTS[name]
    content = table(ROW, changed(**{"profile_id": "P2", **cells}))
    assert problems_of(content) == [f"clients.csv, row 3, column {column}: {message}"]


FILE_FAULTS = {
    "empty": (b"", "clients.csv: the file is empty; choose a file with at least one profile."),
    "only spaces": (
        b"\xef\xbb\xbf \r\n ",
        "clients.csv: the file is empty; choose a file with at least one profile.",
    ),
    "no rows": (
        table(),
        "clients.csv: the file has column names but no profile; add one row for each.",
    ),
    "NUL": (
        GOOD + b"P2\0",
        "clients.csv, row 3: there is a NUL byte; save the file again as text in UTF-8.",
    ),
    "Latin-1": (
        table(ROW, changed(work="Käufer")).decode().encode("latin-1"),
        "clients.csv, row 3: the text is not in UTF-8; save the file in UTF-8.",
    ),
    "UTF-16": (
        GOOD.decode().encode("utf-16"),
        "clients.csv: the file is in UTF-16; save it in UTF-8.",
    ),
    "spreadsheet": (
        b"PK\x03\x04abc",
        "clients.csv: the file is a spreadsheet; save it as CSV in UTF-8.",
    ),
    "too large": (
        GOOD + b"x" * (20 * 1024 * 1024),
        "clients.csv: the file is larger than 20 MB; split it into smaller files.",
    ),
    "blank first row": (
        b"\r\n" + GOOD,
        "clients.csv, row 1: the first row is blank; put the column names there.",
    ),
    "row too short": (
        table(ROW, ROW[:-1]),
        "clients.csv, row 3: the row has 20 cells but the first row has 21; "
        "repair the separators or quotes.",
    ),
    "row too long": (
        table([*ROW, ""]),
        "clients.csv, row 2: the row has 22 cells but the first row has 21; "
        "repair the separators or quotes.",
    ),
    "open quote": (
        GOOD + b'P2,"34',
        "clients.csv, row 3: a quote is opened but never closed; close it.",
    ),
    "text after a quote": (
        GOOD + b'P2,"3"4,\r\n',
        "clients.csv, row 3: text follows a closing quote; double the quotes inside a cell.",
    ),
    "endless cell": (
        GOOD + b"x" * 200_000,
        "clients.csv, row 3: a cell is far too long; a quote is probably not closed.",
    ),
    "column twice": (
        table([*ROW, "x"], header=[*HEADER, "Work"]),
        "clients.csv, row 1, column Work: the column is there twice; keep one of the two.",
    ),
    "item column twice": (
        table([*ROW, "1"], header=[*HEADER, "PHQ9_1"]),
        "clients.csv, row 1, column phq9_1: the column is there twice; keep one of the two.",
    ),
    "column without a name": (
        table([*ROW, "x"], header=[*HEADER, " "]),
        "clients.csv, row 1: column 22 has no name; name it or remove it.",
    ),
    "no age column": (
        table(ROW[:1] + ROW[2:], header=HEADER[:1] + HEADER[2:]),
        "clients.csv, row 1, column age: the column is missing; add it to the first row.",
    ),
    "missing item column": (
        table(ROW[:-1], header=HEADER[:-1]),
        "clients.csv, column gad7_7: the column is missing; gad7 needs all 7 of its items.",
    ),
    "no item column": (
        table(ROW[:5], header=HEADER[:5]),
        "clients.csv: there is no answer column; add the items of a questionnaire "
        "(phq9_1, gad7_1).",
    ),
    "questionnaire not loaded": (
        table([*ROW, *"1111"], header=[*HEADER, "bdi_1", "bdi_2", "bdi_3", "bdi_4"]),
        "clients.csv, row 1, column bdi_1: this and 3 more columns look like items of a "
        "questionnaire that is not loaded; load its definition or rename the columns.",
    ),
    "too many columns": (
        table(
            [*ROW, *["x"] * 60], header=[*HEADER, *(f"free{'abc'[n % 3]}{n}" for n in range(60))]
        ),
        "clients.csv: there are 61 free columns but 60 are allowed; "
        "remove those that no dialogue needs.",
    ),
    "far too many columns": (
        b"profile_id" + b",x" * 1_000,
        "clients.csv, row 1: there are 1001 columns; keep up to 1000.",
    ),
    "pseudonym twice": (
        table(ROW, changed(profile_id="P2"), ROW),
        "clients.csv, row 4, column profile_id: the pseudonym was already used in row 2; "
        "use another.",
    ),
}


@pytest.mark.parametrize("name", FILE_FAULTS)
def test_broken_file_gives_one_exact_sentence(name: str) -> None:
    content, message = FILE_FAULTS[name]
    assert problems_of(content) == [message]


JSON_GOOD = dict(zip(HEADER, ROW, strict=True))
JSON_FAULTS = {
    "no JSON": ("{", "x.jsonl, row 2: the line is not valid JSON; write one object per line."),
    "not a number": (
        '{"age": NaN}',
        "x.jsonl, row 2: the line is not valid JSON; write one object per line.",
    ),
    "endless nesting": (
        "[" * 100_000,
        "x.jsonl, row 2: the line is not valid JSON; write one object per line.",
    ),
    "endless number": (
        '{"age": ' + "9" * 5_000 + "}",
        "x.jsonl, row 2: the line is not valid JSON; write one object per line.",
    ),
    "list": ("[1]", "x.jsonl, row 2: the line is no JSON object; write one object per line."),
    "key twice": (
        '{"age": 1, "age": 2}',
        "x.jsonl, row 2: a key is there twice; keep one of the two.",
    ),
    "key twice in another case": (
        json.dumps(JSON_GOOD | {"profile_id": "P2", "Age": 3}),
        "x.jsonl, row 2, column age: the key is there twice; keep one of the two.",
    ),
    "far too many keys": (
        json.dumps({f"x{n}": 1 for n in range(1_001)}),
        "x.jsonl, row 2: there are 1001 keys; keep up to 1000.",
    ),
    "missing key": (
        json.dumps({k: v for k, v in (JSON_GOOD | {"profile_id": "P2"}).items() if k != "gender"}),
        "x.jsonl, row 2, column gender: the key is missing; add it.",
    ),
    "nested value": (
        json.dumps(JSON_GOOD | {"profile_id": "P2", "work": {"a": 1}}),
        "x.jsonl, row 2, column work: the value is a list or object; use text or a number.",
    ),
    "escaped NUL": (
        json.dumps(JSON_GOOD | {"profile_id": "P2", "work": "a\0b"}),
        "x.jsonl, row 2, column work: the cell has the control character U+0000; remove it.",
    ),
    "half a character": (
        json.dumps(JSON_GOOD | {"profile_id": "P2", "work": "\ud800"}),
        "x.jsonl, row 2, column work: the cell has the control character U+D800; remove it.",
    ),
    "half a character in a key": (
        json.dumps(JSON_GOOD | {"profile_id": "P2", "w\ud800": "x"}),
        "x.jsonl, row 2, column w: the column name has a character that cannot be seen; "
        "type the name anew.",
    ),
    "item half answered": (
        json.dumps({k: v for k, v in (JSON_GOOD | {"profile_id": "P2"}).items() if k != "gad7_3"}),
        "x.jsonl, row 2, column gad7_3: the answer is blank though others of gad7 are given; "
        "fill it in or leave gad7 out.",
    ),
    "name column": (
        json.dumps(JSON_GOOD | {"profile_id": "P2", "surname": "x"}),
        "x.jsonl, row 2, column surname: the column looks like a name, which may not be stored; "
        "remove it.",
    ),
}


@pytest.mark.parametrize("name", JSON_FAULTS)
def test_broken_jsonl_gives_one_exact_sentence(name: str) -> None:
    line, message = JSON_FAULTS[name]
    content = f"{json.dumps(JSON_GOOD)}\n{line}\n".encode()
    assert problems_of(content, name="x.jsonl") == [message]


def test_other_file_types_are_refused() -> None:
    for name in ("clients.xlsx", "clients.json", "clients"):
        assert problems_of(GOOD, name=name) == [
            f"{name}: the file name must end in .csv or .jsonl; save it in one of the two."
        ]


def test_more_rows_than_allowed_are_refused() -> None:
    header = ",".join(["profile_id", "age", "gender", "condition", *PHQ])
    content = (header + "\n" + "a,1\n" * 200_001).encode()
    (first, *rest) = problems_of(content)
    assert first.startswith("clients.csv, row 2: the row has 2 cells")
    assert len(rest) == 49
    lines = '{"age":1}\n' * 200_001
    assert problems_of(lines.encode(), name="x.jsonl")[0].startswith(
        "x.jsonl, row 1, column profile_id"
    )


def test_row_numbers_are_lines_of_the_file_after_quoted_line_breaks() -> None:
    content = table(changed(work="one\ntwo\r\nthree"), changed(profile_id="P2", phq9_1="9"), ROW)
    assert problems_of(content) == [
        "clients.csv, row 5, column phq9_1: the value 9 is no answer option; use 0, 1, 2 or 3.",
        "clients.csv, row 6, column profile_id: the pseudonym was already used in row 2; "
        "use another.",
    ]


def test_problems_of_many_rows_come_together_and_stop_at_fifty() -> None:
    few = table(*(changed(profile_id=f"P{n}", age="x") for n in range(49)))
    assert len(problems_of(few)) == 49
    many = table(*(changed(profile_id=f"P{n}", age="x") for n in range(60)))
    with pytest.raises(ProfileFileError) as caught:
        read(many)
    assert len(caught.value.problems) == 50
    assert caught.value.more is True
    assert str(caught.value) == (
        "clients.csv, row 2, column age: the age must be a whole number from 0 to 120; correct it."
    )


def test_one_bad_row_among_many_means_nothing_is_kept() -> None:
    content = table(
        *(changed(profile_id=f"P{n}") for n in range(500)), changed(profile_id="Q", age="x")
    )
    assert len(problems_of(content)) == 1


def test_no_message_repeats_what_a_cell_says() -> None:
    secrets = {
        "profile_id": "Zebedee Quux",
        "age": "Zebedee",
        "gender": "zebedee@quux.org",
        "condition": "<Zebedee>",
        "work": "Zebedee, 0171 2345678",
        "phq9_1": "Zebedee",
    }
    told = " ".join(problems_of(table(changed(**secrets))))
    for secret in ("zebedee", "quux", "0171"):
        assert secret not in told.lower()


def test_no_message_repeats_data_found_in_place_of_a_header() -> None:
    told = " ".join(problems_of(b"Zebedee Quux,zebedee@quux.org\r\n"))
    assert "zebedee" not in told.lower()


def test_file_name_in_messages_has_no_folder_and_no_control_characters() -> None:
    assert problems_of(b"", name="/home/zebedee/cli\x1b[1ments\u202e.csv") == [
        "cli[1ments.csv: the file is empty; choose a file with at least one profile."
    ]


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ("patient name", "a name"),
        ("mother_first_name", "a name"),
        ("Vorname", "a name"),
        ("initials", "a name"),
        ("name of partner", "a name"),
        ("email_address", "an e-mail address"),
        ("mail", "an e-mail address"),
        ("Tel.", "a phone number"),
        ("Handynummer", "a phone number"),
        ("mobile phone", "a phone number"),
        ("fax no", "a phone number"),
        ("Straße", "an address"),
        ("post_code", "an address"),
        ("address line 2", "an address"),
        ("DOB", "a full birth date"),
        ("client birthday", "a full birth date"),
        ("SSN", "an insurance or identity number"),
        ("NHS number", "an insurance or identity number"),
        ("Versichertennummer", "an insurance or identity number"),
        ("IP address", "an address"),
        ("url", "a network address or web page"),
        ("year_of_birth", None),
        ("birth_year", None),
        ("medication name", None),
        ("insurance", None),
        ("mobility", None),
        ("cellar", None),
        ("telework", None),
        ("living_situation", None),
        ("nominal income", None),
        ("stressors", None),
        ("email use", None),
    ],
)
def test_identifying_header_knows_the_usual_columns(header: str, kind: str | None) -> None:
    assert identifying_header(header) == kind


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("a@b.de", "an e-mail address"),
        ("(anna.b+c@mail.example.co.uk)", "an e-mail address"),
        ("1987-05-12", "a full date"),
        ("5/12/87", "a full date"),
        ("12. Mai 1987", "a full date"),
        ("May 12, 1987", "a full date"),
        ("3rd Oct 2001", "a full date"),
        ("12. 5. 1987", "a full date"),
        ("+49 171 2345678", "a phone number"),
        ("(0171) 234-5678", "a phone number"),
        ("555-123-4567", "a phone number"),
        ("(555) 123-4567", "a phone number"),
        ("A123456789", "an insurance or identity number"),
        ("since May 2019", None),
        ("2019-05", None),
        ("1,500 to 2,000 euros", None),
        ("12 hours, 5 days, 3 children", None),
        ("between 2001 and 2019", None),
        ("0.3333333333333333", None),
        ("7-8 hours", None),
        ("@home", None),
        ("3/4 of the week", None),
    ],
)
def test_identifying_cell_knows_the_usual_patterns(text: str, kind: str | None) -> None:
    assert identifying_cell(text) == kind
