"""Files with other columns than ours: the paper's text form, REDCap exports, columns mapped."""

import io
import zipfile
from collections.abc import Mapping

import pytest

from generation.profile_columns import answer_value, core_meaning, meaning
from generation.profile_mapping import Choice, check_source, codes_of, guessed
from generation.profile_records import Checked, Problems, ProfileFileError
from generation.profile_sources import Source, has_our_columns, read_source
from generation.questionnaires import builtin_definitions

DEFINITIONS = builtin_definitions()
YEAR = 2024
HAMA_WORDS = ["not present", "low", "Moderate", "3", "not present", *["Not present"] * 9]

TEXT = "\n".join(
    [
        "# Patient information",
        "Subject ID: FOR-0042",
        "Year of birth: 1999",
        "Gender: female",
        "Group: MDD",
        "DSM-IV code: 296.32",
        "Age of father at birth: 24",
        "Year of birth father: 1953",
        "Year of birth father: 1954",
        "Number of episodes: 2.0",
        "Living situation: alone, in a flat",
        "  near the station",
        "Age of onset: 27",
        "",
        "## Questionnaire PHQ-9",
        *(
            line
            for number in range(1, 10)
            for line in (f"Question PHQ9_{number}: some text: with a colon", "Answer: several days")
        ),
        "The total score of PHQ-9 is 14, which indicates moderate depression.",
        "",
        "## Questionnaire HAM-A",
        *(
            line
            for number, word in enumerate(HAMA_WORDS, start=1)
            for line in (f"HAMA_{number}: what it is about", f"Answer: {word}", "")
        ),
        "Total: 6",
        "This means mild anxiety.",
    ]
)


def source_of(content: str | bytes, name: str = "client.txt") -> Source:
    raw = content.encode() if isinstance(content, str) else content
    return read_source(name, raw, DEFINITIONS, Problems(name))


def checked(
    source: Source, changes: Mapping[str, str] | None = None, **values: object
) -> list[Checked]:
    targets = guessed(source, DEFINITIONS) | dict(changes or {})
    choice = Choice(targets, **{"year": YEAR} | values)  # type: ignore[arg-type]  # by keyword
    return check_source(source, choice, DEFINITIONS, Problems("f"), allow_minors=False)


def messages(each: Checked) -> list[str]:
    return [finding.message for finding in each.findings]


def problems(content: str | bytes, name: str = "client.txt", **values: object) -> list[str]:
    with pytest.raises(ProfileFileError) as caught:
        checked(source_of(content, name), **values)  # type: ignore[arg-type]  # by keyword
    return [str(problem) for problem in caught.value.problems]


# The paper's text form -------------------------------------------------------------------------


def test_text_form_is_read_whole_and_its_contradictions_are_flagged() -> None:
    source = source_of(TEXT)
    assert not has_our_columns(source)
    (found,) = checked(source)
    record = found.record
    assert (record.profile_id, record.age, record.gender, record.condition) == (
        "FOR-0042",
        25,
        "female",
        "mdd",
    )
    assert record.answers["phq9"] == {f"phq9_{n}": 1 for n in range(1, 10)}
    assert list(record.answers["hama"].values()) == [0, 1, 2, 3, *[0] * 10]
    assert record.demographics == {
        "DSM-IV code": "296.32",
        "Age of father at birth": "24",
        "Year of birth father": "1953",
        "Number of episodes": "2.0",
        "Living situation": "alone, in a flat near the station",
        "Age of onset": "27",
    }
    assert messages(found) == [
        "“Year of birth father” is there twice: “1953” is kept, line 9 has “1954”.",
        "The file gives PHQ-9 a total of 14; the answers add up to 9.",
        "The file calls PHQ-9 “moderate”; a total of 9 is “mild”.",
        "The file calls HAM-A “mild”; a total of 6 is “minimal”.",
        "“296.32” says moderate, but PHQ-9 with 9 says mild.",
        "“Age of onset” is 27, but the client is 25.",
        "“Age of father at birth” is 24, but “Year of birth father” is 1953 and the client was "
        "born in 1999.",
        "“Number of episodes” is a count, but the file says 2.0.",
    ]


def test_text_form_takes_questions_on_lines_of_their_own() -> None:
    lines = [
        line
        for number in range(1, 8)
        for line in (f"Question ID: GAD7_{number}", "Question: how often?", "Answer: Not at all")
    ]
    head = "# Patient information\nID: a1\nAge: 30\nSex: m\nGroup: control\n\n## GAD-7"
    (found,) = checked(source_of("\n".join([head, *lines])))
    assert found.record.answers == {"gad7": {f"gad7_{n}": 0 for n in range(1, 8)}}
    assert found.findings == ()


def test_text_form_of_many_clients_and_many_files_in_a_zip() -> None:
    both = TEXT + "\n\n" + TEXT.replace("FOR-0042", "FOR-0043")
    assert [each.record.profile_id for each in checked(source_of(both))] == ["FOR-0042", "FOR-0043"]
    packed = zipped({"b/1.txt": both, "b/2.txt": TEXT.replace("FOR-0042", "X9"), ".hidden": "x"})
    found = checked(source_of(packed, "all.zip"))
    assert [each.record.profile_id for each in found] == ["FOR-0042", "FOR-0043", "X9"]


def test_text_form_names_the_line_and_the_file_of_a_fault() -> None:
    broken = TEXT.replace("Answer: low", "Answer: quite a lot")
    assert problems(broken) == [
        "f, row 41, column hama_2: the value is no answer option; use 0, 1, 2, 3 or 4."
    ]
    packed = zipped({"a.txt": TEXT, "b.txt": broken.replace("FOR-0042", "Q1")})
    (problem,) = problems(packed, "all.zip")
    assert problem.startswith("b.txt, row 41, column hama_2: ")


def test_text_form_leaves_an_unloaded_questionnaire_for_the_mapping() -> None:
    bdi = "\n## Questionnaire BDI\n" + "\n".join(
        f"Question BDI_{n}: Text\nAnswer: I am sad." for n in range(1, 6)
    )
    source = source_of(TEXT + bdi + "\nTotal: 21 (severe)")
    targets = guessed(source, DEFINITIONS)
    assert [column for column, target in targets.items() if not target] == [
        f"BDI BDI_{n}" for n in range(1, 6)
    ]
    (found,) = checked(source, {"BDI total": ""})
    assert set(found.record.answers) == {"phq9", "hama"}


def zipped(files: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return out.getvalue()


# REDCap ----------------------------------------------------------------------------------------

PHQ = [f"phq_{n}" for n in range(1, 10)]
RAW = (
    "record_id,redcap_event_name,redcap_repeat_instrument,redcap_repeat_instance,"
    "redcap_data_access_group,age,sex,study_arm,job,meds___1,meds___2,meds___99,"
    f"{','.join(PHQ)},phq_total,demographics_complete,phq9_timestamp,phq9_complete\n"
    "1,baseline_arm_1,,,ward_a,34,2,1,nurse,1,0,1,1,1,1,1,1,1,1,1,0,8,2,2024-01-02 10:00,2\n"
    "1,month3_arm_1,,,ward_a,,,,,0,0,0,0,0,0,0,0,0,0,0,0,1,0,2024-04-02 10:00,2\n"
    "2,baseline_arm_1,,,ward_b,51,1,2,,0,0,0,0,0,0,0,0,0,0,0,0,0,2,2024-01-03 11:00,2\n"
)
CODES = {"gender": {"1": "male", "2": "female"}, "condition": {"1": "mdd", "2": "control"}}


def test_redcap_raw_export_is_read_by_event_with_codes_and_checkboxes() -> None:
    source = source_of(RAW, "export.csv")
    assert source.events == ("baseline_arm_1", "month3_arm_1")
    choice = Choice({"sex": "gender"})
    assert codes_of(source, choice, "gender") == ["2", "1"]
    found = checked(source, {"study_arm": "condition"}, event="baseline_arm_1", codes=CODES)
    assert [(e.record.profile_id, e.record.gender, e.record.condition) for e in found] == [
        ("1", "female", "mdd"),
        ("2", "male", "control"),
    ]
    assert found[0].record.demographics == {"job": "nurse", "meds": "1, 99"}
    assert sum(found[0].record.answers["phq9"].values()) == 8
    assert not found[0].findings


def test_redcap_later_event_takes_its_facts_from_the_first() -> None:
    source = source_of(RAW, "export.csv")
    (found,) = checked(source, {"study_arm": "condition"}, event="month3_arm_1", codes=CODES)
    assert (found.record.age, found.record.gender) == (34, "female")
    assert found.record.demographics == {"job": "nurse", "meds": "1, 99"}
    assert set(found.record.answers["phq9"].values()) == {0}
    assert messages(found) == [
        "The file gives PHQ-9 a total of 1; the answers add up to 0.",
        "The condition is “mdd”, but PHQ-9 with 0 says none or minimal depression.",
    ]


def test_redcap_without_an_event_chosen_is_refused() -> None:
    assert problems(RAW, "export.csv", event="nowhere") == [
        "f, column condition: no column was recognised for it; choose one.",
        "f: the file has several events for a client; choose the one to take.",
    ]


def test_redcap_label_export_is_read_by_its_labels() -> None:
    texts = [item.text for item in DEFINITIONS["gad7"].items]
    quoted = ",".join(f'"{text}"' for text in texts)
    content = (
        "Record ID,Survey Identifier,Age (years),Gender,Group,Medication (choice=SSRI),"
        f'"Medication (choice=Lithium, any)",{quoted},Complete?,Complete?\n'
        "7,,40,Female,Control,Checked,Unchecked," + "Several days," * 7 + "Complete,Incomplete\n"
    )
    (found,) = checked(source_of(content, "labels.csv"))
    assert found.record.demographics == {"Medication": "SSRI"}
    assert found.record.answers == {"gad7": {f"gad7_{n}": 1 for n in range(1, 8)}}


# Names -----------------------------------------------------------------------------------------

MEANINGS = {
    "phq9_3": "item:phq9_3",
    "PHQ-9 item 03": "item:phq9_3",
    "phq_3": "item:phq9_3",
    "phq9q3": "item:phq9_3",
    "HDRS_17": "item:hamd17_17",
    "hamd_17": "item:hamd17_17",
    "phq_9": "item:phq9_9",
    "PHQ-9": None,
    "Trouble relaxing": "item:gad7_4",
    "phq9_total": "total:phq9",
    "GAD-7 sum score": "total:gad7",
    "hama severity": "band:hama",
    "phq9": None,
    "phq9_10": None,
    "phq91": None,
    "gadget_3": None,
    "job": None,
    "": None,
}


@pytest.mark.parametrize("column", MEANINGS)
def test_column_means_an_item_only_where_its_name_says_so(column: str) -> None:
    assert meaning(column, DEFINITIONS.values()) == MEANINGS[column]


@pytest.mark.parametrize(
    ("column", "target"),
    [
        ("record_id", "profile_id"),
        ("Subject-ID", "profile_id"),
        ("Age (years)", "age"),
        ("Geschlecht", "gender"),
        ("Year of birth", "birth_year"),
        ("Diagnosis group", "condition"),
        ("Year of birth of mother", None),
        ("age at onset", None),
    ],
)
def test_core_columns_are_known_by_usual_names(column: str, target: str | None) -> None:
    assert core_meaning(column) == target


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ("2", 2),
        ("2.0", 2),
        ("2 - More than half the days", 2),
        ("NEARLY every day", 3),
        ("I have not felt particularly nervous or on edge.", 0),
        ("4", None),
        ("1.5", None),
        ("1-2", None),
        ("", None),
        ("often", None),
    ],
)
def test_answer_is_known_by_value_label_or_sentence(given: str, value: int | None) -> None:
    assert answer_value(DEFINITIONS["gad7"].items[0], given) == value


def test_year_of_birth_that_may_mean_a_minor_is_refused() -> None:
    (problem,) = problems(TEXT.replace("birth: 1999", "birth: 2006").replace("onset: 27", "x: 1"))
    assert problem == (
        "f, row 3, column Year of birth: born in 2006, the client may be under 18 and minors are "
        "not allowed; give the age or remove the client."
    )


def test_control_with_a_severe_score_and_a_false_age_are_flagged() -> None:
    items = ",".join(f"phq9_{n}" for n in range(1, 10))
    content = f"id,age,yob,sex,group,{items}\nA,40,2000,f,healthy control,{','.join('3' * 9)}\n"
    (found,) = checked(source_of(content, "a.csv"))
    assert messages(found) == [
        "The condition is “healthy control”, but PHQ-9 with 27 says severe depression.",
        "The age is 40, but somebody born in 2000 is 24 at most.",
    ]
