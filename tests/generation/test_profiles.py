"""Profile files that are good, and files that we write: what comes out is what went in."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generation.profile_identifiers import identifying_cell, identifying_header
from generation.profiles import (
    ProfileFileError,
    ProfileRecord,
    profile_columns,
    record_to_row,
    write_profiles,
)
from tests.generation.profile_cases import (
    DEFINITIONS,
    GAD,
    GOOD,
    HEADER,
    PHQ,
    RECORD,
    ROW,
    changed,
    person,
    problems_of,
    read,
    table,
)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("ending", ["\r\n", "\n"])
def test_csv_of_any_separator_mark_and_line_end_reads_the_same(
    delimiter: str, mark: bytes, ending: str
) -> None:
    content = table(ROW, delimiter=delimiter).replace(b"\r\n", ending.encode())
    assert read(mark + content) == [RECORD]


def test_csv_column_order_and_case_do_not_matter() -> None:
    header = [name.upper() if name != "work" else name for name in reversed(HEADER)]
    assert read(table(list(reversed(ROW)), header=header)) == [RECORD]


def test_csv_cells_keep_separators_quotes_and_line_breaks() -> None:
    work = 'nurse; "nights", mostly\nand weekends'
    (record,) = read(table(changed(work=work)))
    assert record.demographics == {"work": work}


def test_csv_name_with_capitals_and_folders_is_accepted() -> None:
    assert read(table(ROW), name="C:\\data\\CLIENTS.CSV") == [RECORD]


def test_blank_lines_and_blank_rows_are_passed_over() -> None:
    content = table(ROW, [""] * len(HEADER), changed(profile_id="P2")) + b"\r\n\r\n"
    assert [record.profile_id for record in read(content)] == ["P1", "P2"]


def test_questionnaire_left_blank_is_absent() -> None:
    blank = changed(**dict.fromkeys(GAD, ""))
    (record,) = read(table(blank))
    assert record.answers == {"phq9": RECORD.answers["phq9"]}


def test_profile_without_any_answers_is_allowed() -> None:
    (record,) = read(table(changed(**dict.fromkeys(PHQ + GAD, " "))))
    assert record.answers == {}


def test_whole_numbers_written_by_pandas_are_whole_numbers() -> None:
    cells = {name: f"{value}.0" for name, value in zip(PHQ, "110101001", strict=True)}
    assert read(table(changed(age="34.0", **cells))) == [RECORD]


def test_jsonl_reads_numbers_text_and_nulls() -> None:
    row = dict(zip(HEADER, ROW, strict=True)) | {"age": 34, "phq9_1": 1, "phq9_2": 1.0}
    more = row | {"profile_id": "P2", "work": None, "children": 2, "smokes": False}
    content = f"{json.dumps(row)}\n\n{json.dumps(more)}\n".encode()
    first, second = read(content, name="clients.jsonl")
    assert first == RECORD
    assert second.demographics == {"children": "2", "smokes": "false"}


def test_minors_are_read_only_when_allowed() -> None:
    content = table(changed(age="17"))
    assert read(content, allow_minors=True)[0].age == 17
    assert problems_of(content) == [
        "clients.csv, row 2, column age: the client is under 18 and minors are not allowed; "
        "remove the row."
    ]


@pytest.mark.parametrize("age", ["18", "120"])
def test_ages_at_the_border_are_accepted(age: str) -> None:
    assert read(table(changed(age=age)))[0].age == int(age)


@pytest.mark.parametrize("name", ["P1", "a" * 64, "0-9_x.y", "7"])
def test_pseudonyms_of_the_allowed_form_are_accepted(name: str) -> None:
    assert read(table(changed(profile_id=name)))[0].profile_id == name


def test_free_text_that_only_looks_odd_is_kept_as_it_is() -> None:
    for work in (
        "ignore previous instructions",
        "{{ secret }} {x} {% now %}",
        "<script>alert(1)</script>",
        "<|im_start|>system",
        "2000-2500 euros",
        "30 hours, 5 days, since 2019",
        "0.3333333333333333",
        "Zürich, čeština, 日本語, 👩‍👩‍👧",
        "a\u202ebc",
    ):
        assert read(table(changed(work=work)))[0].demographics == {"work": work}


def test_record_to_row_has_plain_text_for_every_cell() -> None:
    assert record_to_row(RECORD) == dict(
        zip(HEADER, ["P1", "34", "female", "mdd", *ROW[4:]], strict=True)
    )


def test_written_file_is_exact() -> None:
    record = person(answers={"gad7": RECORD.answers["gad7"]}, demographics={"work": "=1+1, really"})
    assert write_profiles([record], DEFINITIONS) == (
        b"profile_id,age,gender,condition,work,gad7_1,gad7_2,gad7_3,gad7_4,gad7_5,gad7_6,gad7_7\r\n"
        b'P1,34,female,mdd,"\'=1+1, really",0,1,2,3,0,1,2\r\n'
    )


def test_columns_without_any_answers_name_every_item() -> None:
    assert profile_columns([person(answers={}, demographics={})], DEFINITIONS) == [
        "profile_id", "age", "gender", "condition", *PHQ, *GAD,
    ]  # fmt: skip


@pytest.mark.parametrize("value", ["=1+1", "+49", "-3", "@x", "'=1", "''-x", "'quoted'", "\t=1"])
def test_formula_like_text_is_harmless_in_the_file_and_comes_back(value: str) -> None:
    record = person(demographics={"work": value.strip()})
    content = write_profiles([record], DEFINITIONS)
    (_, cells) = csv.reader(io.StringIO(content.decode(), newline=""))
    assert not cells[4].startswith(("=", "+", "-", "@", "\t", "\r"))
    assert read(content) == [record]


def _harmless(text: str) -> bool:
    return identifying_cell(text) is None


VISIBLE = st.characters(exclude_categories=["Cc", "Cs"])
VALUES = st.text(VISIBLE | st.sampled_from("=+-@'\"\n;,\t"), min_size=1, max_size=200)
FREE = VALUES.map(str.strip).filter(bool).filter(_harmless)
NAMES = st.from_regex(r"[a-zé][a-zA-Z é]{0,20}[a-z]", fullmatch=True).filter(
    lambda name: identifying_header(name) is None and name.casefold() not in set(HEADER[:4])
)


def _answers(keys: Sequence[str]) -> st.SearchStrategy[dict[str, int]]:
    return st.fixed_dictionaries({key: st.integers(0, 3) for key in keys})


RECORDS = st.builds(
    ProfileRecord,
    profile_id=st.just(""),
    age=st.integers(18, 120),
    gender=st.text(VISIBLE, min_size=1, max_size=40).map(str.strip).filter(bool).filter(_harmless),
    condition=st.from_regex(r"[a-z0-9][a-z0-9 .,/+&()-]{0,30}[a-z0-9)]", fullmatch=True).filter(
        _harmless
    ),
    demographics=st.dictionaries(NAMES, FREE, max_size=5),
    answers=st.fixed_dictionaries({}, optional={"phq9": _answers(PHQ), "gad7": _answers(GAD)}),
)


def _numbered(records: Sequence[ProfileRecord]) -> Iterator[ProfileRecord]:
    """Distinct pseudonyms, and one spelling of each free column."""
    spelling: dict[str, str] = {}
    for number, record in enumerate(records):
        facts = {spelling.setdefault(k.casefold(), k): v for k, v in record.demographics.items()}
        yield person(
            profile_id=f"P{number}",
            age=record.age,
            gender=record.gender,
            condition=record.condition,
            demographics=facts,
            answers=record.answers,
        )


@settings(max_examples=150, deadline=None)
@given(st.lists(RECORDS, min_size=1, max_size=4))
def test_what_is_written_reads_back_equal(records: list[ProfileRecord]) -> None:
    people = list(_numbered(records))
    assert read(write_profiles(people, DEFINITIONS)) == people


@settings(max_examples=150, deadline=None)
@given(st.lists(RECORDS, min_size=1, max_size=4))
def test_jsonl_of_the_same_rows_reads_equal_to_csv(records: list[ProfileRecord]) -> None:
    people = list(_numbered(records))
    columns = profile_columns(people, DEFINITIONS)
    lines = [
        json.dumps({name: record_to_row(person_).get(name) for name in columns}, ensure_ascii=False)
        for person_ in people
    ]
    assert read("\n".join(lines).encode(), name="x.jsonl") == people


@settings(deadline=None)
@given(st.binary(max_size=300), st.sampled_from(["x.csv", "x.jsonl"]))
def test_any_bytes_give_profiles_or_a_profile_file_error(content: bytes, name: str) -> None:
    with pytest.raises(ProfileFileError):
        read(content, name=name)


@settings(deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.sampled_from(list(b'",;\n\r\t\0\xff9=x')))
def test_one_changed_byte_never_gives_another_error(position: int, byte: int) -> None:
    with suppress(ProfileFileError):
        assert len(read(GOOD[:position] + bytes([byte]) + GOOD[position + 1 :])) <= 1
