"""Questionnaire definitions: content, scoring at every border, and the sentence of each refusal."""

from __future__ import annotations

import hashlib
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation import questionnaires
from generation.questionnaires import (
    Definition,
    DefinitionError,
    builtin_definitions,
    load_definition,
    score,
    sentences,
)
from generation.toml_places import line_of

PHQ9 = builtin_definitions()["phq9"]
GAD7 = builtin_definitions()["gad7"]
SMALL = """key = "mini"
version = "1.0"
title = "Mini scale"
licence = "CC0"
source = "Made up for a test."
language = "en"
recall = "today"
show_text = true
bands_source = "Made up."

[scoring]
method = "sum"
prorating = "none"

[[bands]]
low = 0
high = 1
label = "low"

[[bands]]
low = 2
high = 4
label = "high"

[[items]]
key = "mini_1"
number = 1
text = "First question"
topic = "first"
options = [
  { value = 0, label = "No", sentence = "No, not at all." },
  { value = 2, label = "Yes", sentence = "Yes, very much." },
]

[[items]]
key = "mini_2"
number = 2
text = "Second question"
topic = "second"
risk_from = 2
options = [
  { value = 0, label = "No", sentence = "I do not." },
  { value = 2, label = "Yes", sentence = "I do." },
]
"""


def answers_with_total(definition: Definition, total: int) -> dict[str, int]:
    """Answers that fill the items from the first on until the total is reached."""
    answers = {}
    for item in definition.items:
        answers[item.key] = min(total, item.options[-1].value)
        total -= answers[item.key]
    return answers


def test_module_wins_over_the_folder_of_the_same_name() -> None:
    assert questionnaires.__file__.endswith("generation/questionnaires.py")
    assert questionnaires.BUILTIN_FOLDER.is_dir()
    assert not (questionnaires.BUILTIN_FOLDER / "__init__.py").exists()


def test_builtin_definitions_are_the_four_public_ones() -> None:
    shapes = {
        key: (len(d.items), d.maximum, d.version, d.show_text, d.language)
        for key, d in builtin_definitions().items()
    }
    assert shapes == {
        "phq9": (9, 27, "1.1", True, "en"),
        "gad7": (7, 21, "1.1", True, "en"),
        "hamd17": (17, 52, "1.1", True, "en"),
        "hama": (14, 56, "1.1", True, "en"),
    }


def test_builtin_definitions_give_a_fresh_dictionary() -> None:
    builtin_definitions().clear()
    assert "phq9" in builtin_definitions()


@pytest.mark.parametrize("key", ["phq9", "gad7", "hamd17", "hama"])
def test_builtin_sentences_are_first_person_distinct_and_without_codes(key: str) -> None:
    definition = builtin_definitions()[key]
    spoken = [o.sentence for item in definition.items for o in item.options]
    assert len(spoken) == len(set(spoken))
    for sentence in spoken:
        assert sentence.endswith(".")
        assert "_" not in sentence
        assert "PHQ" not in sentence.upper()
        assert "GAD" not in sentence.upper()
        assert "HAM" not in sentence


@pytest.mark.parametrize("key", ["phq9", "gad7"])
@pytest.mark.parametrize(
    ("value", "label"),
    [
        (0, "Not at all"),
        (1, "Several days"),
        (2, "More than half the days"),
        (3, "Nearly every day"),
    ],
)
def test_frequency_options_are_those_of_the_published_scales(
    key: str, value: int, label: str
) -> None:
    for item in builtin_definitions()[key].items:
        assert (item.options[value].value, item.options[value].label) == (value, label)


def test_only_suicide_items_carry_a_risk_threshold() -> None:
    risky = {
        item.key: item.risk_from
        for definition in builtin_definitions().values()
        for item in definition.items
        if item.risk_from is not None
    }
    assert risky == {"phq9_9": 1, "hamd17_3": 1}


BORDERS = {
    "phq9": [
        ("minimal", 0, 4),
        ("mild", 5, 9),
        ("moderate", 10, 14),
        ("moderately severe", 15, 19),
        ("severe", 20, 27),
    ],
    "gad7": [("minimal", 0, 4), ("mild", 5, 9), ("moderate", 10, 14), ("severe", 15, 21)],
    "hamd17": [("none", 0, 7), ("mild", 8, 16), ("moderate", 17, 23), ("severe", 24, 52)],
    "hama": [("minimal", 0, 7), ("mild", 8, 14), ("moderate", 15, 23), ("severe", 24, 56)],
}


@pytest.mark.parametrize("key", BORDERS)
def test_score_gives_the_published_band_for_every_total(key: str) -> None:
    definition = builtin_definitions()[key]
    expected = {total: label for label, low, high in BORDERS[key] for total in range(low, high + 1)}
    assert sorted(expected) == list(range(definition.maximum + 1))
    for total, label in expected.items():
        result = score(definition, answers_with_total(definition, total))
        assert (result.total, result.band) == (total, label)


def test_score_of_partial_answers_has_no_total_and_no_band() -> None:
    result = score(PHQ9, {"phq9_1": 3, "phq9_9": 1})
    assert (result.total, result.answered, result.of, result.band) == (None, 2, 9, None)
    assert result.risk_positive is True


def test_score_of_no_answers_is_empty() -> None:
    result = score(GAD7, {})
    assert (result.total, result.answered, result.of, result.risk_positive) == (None, 0, 7, False)


@pytest.mark.parametrize(("value", "positive"), [(0, False), (1, True), (2, True), (3, True)])
def test_risk_is_positive_from_one_on_the_ninth_item(value: int, positive: bool) -> None:
    answers = answers_with_total(PHQ9, 0) | {"phq9_9": value}
    assert score(PHQ9, answers).risk_positive is positive


def test_risk_does_not_come_from_a_high_total_alone() -> None:
    answers = {item.key: 3 for item in PHQ9.items} | {"phq9_9": 0}
    assert (score(PHQ9, answers).total, score(PHQ9, answers).risk_positive) == (24, False)


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"phq9_10": 1}, "phq9_10 is no item of phq9"),
        ({"phq9_1": 4}, "4 is no option of phq9_1"),
        ({"phq9_1": -1}, "-1 is no option of phq9_1"),
    ],
)
def test_score_and_sentences_refuse_what_is_not_defined(
    answers: dict[str, int], message: str
) -> None:
    for function in (score, sentences):
        with pytest.raises(ValueError, match="^" + message + "$"):
            function(PHQ9, answers)


def test_sentences_follow_the_order_of_items_not_of_answers() -> None:
    assert sentences(PHQ9, {"phq9_4": 3, "phq9_2": 0}) == [
        "I have not been feeling down or hopeless lately.",
        "I am exhausted nearly every day; even small tasks cost me everything I have.",
    ]


@given(st.fixed_dictionaries({item.key: st.sampled_from([0, 1, 2, 3]) for item in PHQ9.items}))
def test_total_is_the_sum_and_each_item_speaks_once(answers: dict[str, int]) -> None:
    result = score(PHQ9, answers)
    assert result.total == sum(answers.values())
    spoken = sentences(PHQ9, answers)
    assert spoken == [item.options[answers[item.key]].sentence for item in PHQ9.items]


def test_hash_covers_the_normalised_bytes() -> None:
    definition = load_definition(SMALL, origin="mini.toml")
    assert definition.toml == SMALL
    assert definition.sha256 == hashlib.sha256(SMALL.encode()).hexdigest()
    windows = "\ufeff" + SMALL.replace("\n", "\r\n") + "\r\n\r\n"
    assert load_definition(windows, origin="mini.toml") == definition
    other = load_definition(SMALL.replace('"1.0"', '"1.1"'), origin="mini.toml")
    assert other.sha256 != definition.sha256


def test_definition_without_bands_scores_without_a_band() -> None:
    raw = SMALL[: SMALL.index("[[bands]]")] + SMALL[SMALL.index("[[items]]") :]
    definition = load_definition(raw.replace('bands_source = "Made up."\n', ""), origin="mini.toml")
    assert score(definition, {"mini_1": 2, "mini_2": 2}).band is None


def test_text_that_may_not_be_shown_is_not_shown() -> None:
    hidden = load_definition(SMALL.replace("show_text = true", "show_text = false"), origin="m")
    shown = load_definition(SMALL, origin="m")
    item, option = hidden.items[0], hidden.items[0].options[1]
    assert shown.display_text(item) == "First question"
    assert shown.display_label(option) == "Yes"
    assert hidden.display_text(item) == "Item 1 (first)"
    assert hidden.display_label(option) == "2"


def test_definition_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        PHQ9.version = "2"


BROKEN = {
    "misspelt key": (
        'title = "Mini',
        'tittle = "Mini',
        "m.toml, line 3: the key 'tittle' is not known here; remove it or check its spelling.",
    ),
    "missing key": ('licence = "CC0"\n', "", "m.toml: the key 'licence' is missing; add it."),
    "missing item key": (
        'topic = "second"\n',
        "",
        "m.toml, line 35, item 2: the key 'topic' is missing; add it.",
    ),
    "unknown option key": (
        'label = "Yes", sentence = "I do."',
        'label = "Yes", sentence = "I do.", weight = 2',
        "m.toml, line 43, item 2, option 2: the key 'weight' is not known here; "
        "remove it or check its spelling.",
    ),
    "text where a number belongs": (
        'value = 2, label = "Yes", sentence = "Yes',
        'value = "2", label = "Yes", sentence = "Yes',
        "m.toml, line 32, item 1, option 2: 'value' must be a whole number; change it.",
    ),
    "true where a number belongs": (
        "risk_from = 2",
        "risk_from = true",
        "m.toml, line 40, item 2: 'risk_from' must be a whole number; change it.",
    ),
    "negative value": (
        "value = 0",
        "value = -1",
        "m.toml, line 31, item 1, option 1: 'value' must be 0 or more; change it.",
    ),
    "number where true belongs": (
        "show_text = true",
        "show_text = 1",
        "m.toml, line 8: 'show_text' must be true or false; change it.",
    ),
    "unknown scoring": (
        'method = "sum"',
        'method = "mean"',
        "m.toml, line 12: 'method' must be 'sum'; change it.",
    ),
    "blank sentence": (
        "No, not at all.",
        "",
        "m.toml, line 31, item 1, option 1: 'sentence' must be one line of 1 to 500 plain "
        "characters, without spaces at its ends; change it.",
    ),
    "control character": (
        'topic = "first"',
        'topic = "fi\\u0007rst"',
        "m.toml, line 29, item 1: 'topic' must be one line of 1 to 500 plain characters, "
        "without spaces at its ends; change it.",
    ),
    "right-to-left override": (
        'topic = "first"',
        'topic = "fi\\u202erst"',
        "m.toml, line 29, item 1: 'topic' must be one line of 1 to 500 plain characters, "
        "without spaces at its ends; change it.",
    ),
    "key with capitals": (
        'key = "mini"',
        'key = "Mini"',
        "m.toml, line 1: 'key' must be up to 40 small letters, digits and single underscores, "
        "a letter first; change it.",
    ),
    "odd language": (
        'language = "en"',
        'language = "English!"',
        "m.toml, line 6: 'language' must be a language tag such as en or de-DE; change it.",
    ),
    "band gap": (
        "low = 2",
        "low = 3",
        "m.toml, line 21, band 2: band 'high' leaves a gap before it; it must begin at 2.",
    ),
    "band overlap": (
        "low = 2",
        "low = 1",
        "m.toml, line 21, band 2: band 'high' overlaps the one before it; it must begin at 2.",
    ),
    "bands from one": (
        "low = 0",
        "low = 1",
        "m.toml, line 16, band 1: band 'low' leaves a gap before it; it must begin at 0.",
    ),
    "band backwards": (
        "high = 4",
        "high = 1",
        "m.toml, line 22, band 2: band 'high' ends before it begins; swap 'low' and 'high'.",
    ),
    "bands too short": (
        "high = 4",
        "high = 3",
        "m.toml, line 22, band 2: the last band ends at 3, but the highest total is 4; "
        "make them equal.",
    ),
    "bands too long": (
        "high = 4",
        "high = 5",
        "m.toml, line 22, band 2: the last band ends at 5, but the highest total is 4; "
        "make them equal.",
    ),
    "band label twice": (
        'label = "high"',
        'label = "Low"',
        "m.toml, line 23, band 2: band 'Low' is there twice; give each its own label.",
    ),
    "bands without citation": (
        'bands_source = "Made up."\n',
        "",
        "m.toml, line 14, band 1: bands need a citation; add 'bands_source'.",
    ),
    "no zero option": (
        "value = 0",
        "value = 1",
        "m.toml, line 30, item 1: the options of mini_1 must start at value 0 and rise; "
        "they are 1, 2.",
    ),
    "option twice": (
        "value = 2",
        "value = 0",
        "m.toml, line 30, item 1: the options of mini_1 must start at value 0 and rise; "
        "they are 0, 0.",
    ),
    "same sentence twice": (
        "Yes, very much.",
        "No, NOT at all.",
        "m.toml, line 32, item 1, option 2: two options of mini_1 have the same sentence; "
        "give each its own.",
    ),
    "code in a sentence": (
        "Yes, very much.",
        "My mini_1 is high.",
        "m.toml, line 32, item 1, option 2: the sentence names the questionnaire's code; "
        "write what the client would say.",
    ),
    "item number gap": (
        "number = 2",
        "number = 3",
        "m.toml, line 37, item 2: 'number' is 3, but this is item 2; number items from 1 up.",
    ),
    "item key twice": (
        'key = "mini_2"',
        'key = "mini_1"',
        "m.toml, line 36, item 2: 'key' must be 'mini_2'; change it.",
    ),
    "risk that cannot be chosen": (
        "risk_from = 2",
        "risk_from = 1",
        "m.toml, line 40, item 2: 'risk_from' is 1, which is no option value of mini_2; use one.",
    ),
    "risk from zero": (
        "risk_from = 2",
        "risk_from = 0",
        "m.toml, line 40, item 2: 'risk_from' must be 1 or more; change it.",
    ),
    "one option": (
        '  { value = 2, label = "Yes", sentence = "I do." },\n',
        "",
        "m.toml, line 41, item 2: 'options' must have 2 or more entries; change it.",
    ),
    "own hash": (
        "show_text = true",
        'show_text = true\nsha256 = "0"',
        "m.toml, line 9: the key 'sha256' is not known here; remove it.",
    ),
    "key twice": (
        'recall = "today"',
        'recall = "today"\nrecall = "now"',
        "m.toml is not valid TOML: Cannot overwrite a value (at line 8, column 15).",
    ),
    "no TOML": (
        'title = "Mini scale"',
        "title",
        "m.toml is not valid TOML: Expected '=' after a key in a key/value pair "
        "(at line 3, column 6).",
    ),
    "items as one table": (
        SMALL[SMALL.index("[[items]]") :],
        "[items]\nkey = 1\n",
        "m.toml, line 25: 'items' must be a list; change it.",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_definition_gives_one_exact_sentence(name: str) -> None:
    old, new, message = BROKEN[name]
    assert old in SMALL
    with pytest.raises(DefinitionError) as caught:
        load_definition(SMALL.replace(old, new, 1), origin="m.toml")
    assert str(caught.value) == message


def test_huge_and_empty_definitions_are_refused() -> None:
    with pytest.raises(DefinitionError, match="is larger than 1 MB"):
        load_definition("# " + "x" * 1_000_000, origin="m.toml")
    with pytest.raises(DefinitionError, match=r"^m\.toml: the key 'key' is missing; add it\.$"):
        load_definition("", origin="m.toml")


def test_broken_unicode_is_refused() -> None:
    with pytest.raises(
        DefinitionError, match=r"^m\.toml holds broken characters; save it in UTF-8\.$"
    ):
        load_definition(SMALL.replace("today", "to\ud800day"), origin="m.toml")


def test_deeply_nested_toml_is_refused() -> None:
    with pytest.raises(DefinitionError, match="is not valid TOML"):
        load_definition("x = " + "[" * 50_000, origin="m.toml")


@given(st.text(max_size=200))
def test_any_text_loads_or_gives_a_definition_error(text: str) -> None:
    with pytest.raises(DefinitionError):
        load_definition(text, origin="m.toml")


@given(st.integers(0, len(SMALL) - 1), st.sampled_from(list('"[]{}=\n#0a,')))
def test_one_changed_character_never_gives_another_error(position: int, character: str) -> None:
    text = SMALL[:position] + character + SMALL[position + 1 :]
    try:
        definition = load_definition(text, origin="m.toml")
    except DefinitionError as error:
        message = str(error)
    else:
        assert tomllib.loads(definition.toml)["key"] == definition.key
        return
    assert message.startswith("m.toml")
    assert message.endswith(".")


def test_line_finding_is_not_misled_by_strings_and_comments() -> None:
    text = 'a = "[[items]] # {"\n# [[items]]\n[[items]]\nb = """\n[[items]]\nx = 1"""\n'
    text += "[[items]]\nx = 2\n"
    assert line_of(text, ("items", 1, "x")) == 8
    assert line_of(text, ("items", 0, "b")) == 4
    assert line_of(text, ("nothing",)) is None


def test_line_finding_follows_options_written_as_tables() -> None:
    text = "[[items]]\nkey = 1\n[[items.options]]\nvalue = 0\n[[items.options]]\nvalue = 1\n"
    assert line_of(text, ("items", 0, "options", 1, "value")) == 6
