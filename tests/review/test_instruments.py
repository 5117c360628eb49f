"""Rating instruments: loading, errors, branching, answers, totals, the shipped definitions."""

import contextlib
import hashlib
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import review
from review import instruments
from review.instruments import (
    AnswerRefused,
    Instrument,
    InstrumentError,
    builtin_instruments,
    cached_instrument,
    load_instrument,
)
from review.items import join_values, written
from review.texts import Text, line_of

HEAD = """\
key = "demo"
version = "1"
title = { en = "Demo", de = "Probe" }
licence = "Apache-2.0"
attribution = "none"
source = "tests"
"""

ALL_TYPES = (
    HEAD
    + """
[[sections]]
key = "one"
title = "One"

[[sections.items]]
key = "half"
type = "scale"
label = "Half marks"
min = 1
max = 4
step = 0.5
allow_na = true
allow_not_sure = true
anchors = [
  { value = 1, label = "Limited", text = "seldom" },
  { value = 3.5, text = "often" },
]
requires_evidence = ["1", "1.5"]

[[sections.items]]
key = "risk"
type = "yes_no"
label = { en = "Any risk?", de = "Ein Risiko?" }
allow_not_sure = true

[[sections.items]]
key = "kind"
type = "choice"
label = "Which kind?"
show_if = { item = "risk", in = ["yes", "not_sure"] }
options = [
  { value = "self", label = "To self", score = 2 },
  { value = "others", label = "To others", score = 1 },
]

[[sections.items]]
key = "signs"
type = "multiple"
label = "Which signs?"
show_if = { all = [{ item = "risk", in = ["yes"] }, { item = "kind", in = ["self"] }] }
options = [
  { value = "plan", label = "A plan" },
  { value = "means", label = "Means" },
  { value = "none", label = "None of these", exclusive = true },
]

[[sections]]
key = "two"
title = "Two"

[[sections.items]]
key = "why"
type = "text"
label = "Why?"
required = false
max_length = 10
show_if = { any = [{ item = "signs", in = ["plan"] }, { item = "half", in = ["1"] }] }

[[sections.items]]
key = "each_turn"
type = "scale"
label = "This turn"
min = -1
max = 1
level = "turn"
requires_evidence = true

[[totals]]
key = "sum"
label = "Sum"
items = ["half", "risk", "kind"]
cut_offs = [
  { at = 3, label = "enough" },
  { at = 6, label = "plenty" },
]

[[totals]]
key = "mean"
label = "Mean"
items = ["half", "risk"]
method = "mean"
"""
)

RISK = {"half": "2", "risk": "yes", "kind": "self"}


@pytest.fixture(scope="module")
def demo() -> Instrument:
    return load_instrument(ALL_TYPES, "demo.toml")


def keys(instrument: Instrument, answers: dict[str, str]) -> list[str]:
    return [item.key for item in instrument.visible_items(answers)]


# ------------------------------------------------------------------ loading


def test_module_wins_over_the_folder_of_the_same_name() -> None:
    assert Path(instruments.__file__).name == "instruments.py"
    assert (Path(instruments.__file__).with_suffix("")).is_dir()
    assert "review.instruments" in sys.modules
    assert review.instruments.load_instrument is load_instrument


def test_load_keeps_text_and_hash(demo: Instrument) -> None:
    assert demo.toml == ALL_TYPES
    assert demo.sha256 == hashlib.sha256(ALL_TYPES.encode()).hexdigest()
    assert demo.languages == ("en", "de")


def test_scale_points_are_stored_without_trailing_zeros(demo: Instrument) -> None:
    points = demo.item("half").points
    assert [point.value for point in points] == ["1", "1.5", "2", "2.5", "3", "3.5", "4"]
    assert [str(point.label) for point in points[:2]] == ["Limited", "1.5"]
    assert [str(point.anchor) for point in points if point.anchor] == ["seldom", "often"]
    assert [mark.value for mark in demo.item("half").marks] == ["not_sure", "na"]


def test_measurement_follows_the_type(demo: Instrument) -> None:
    assert {item.key: item.measurement for item in demo.items} == {
        "half": "ordinal",
        "risk": "nominal",
        "kind": "nominal",
        "signs": None,
        "why": None,
        "each_turn": "ordinal",
    }


def test_item_of_unknown_key_is_a_key_error(demo: Instrument) -> None:
    assert demo.number("kind") == 3
    with pytest.raises(KeyError):
        demo.item("nothing")


def test_frozen_values_cannot_be_changed(demo: Instrument) -> None:
    with pytest.raises(ValueError, match="frozen"):
        demo.version = "2"


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('key = "demo"', "key = ", "bad.toml: this is not valid TOML: Invalid value (at line 1"),
        ('key = "demo"', 'key = "Demo X"', "line 1: 'key' must be written with small letters"),
        ('licence = "Apache-2.0"', "", "line 1: 'licence' is missing."),
        ('licence = "Apache-2.0"', 'licence = ""', "line 4: 'licence' should have at least"),
        ('source = "tests"', 'sha256 = "0"', "line 6: 'sha256' cannot be set"),
        ('label = "Half marks"', 'labl = "x"', "line 12: in 'half', 'label' is missing."),
        (
            'label = "Half marks"',
            'label = "x"\ncolour = 1',
            "line 16: in 'half', 'colour' is not a setting",
        ),
        (
            'label = "Half marks"',
            'label = { de = "x" }',
            "line 15: in 'half', 'label' needs an English",
        ),
        (
            'label = "Half marks"',
            'label = { en = "x", de = " " }',
            "line 15: in 'half', 'label' the text for",
        ),
        ("step = 0.5", "step = 0.7", "line 12: in 'half', 'step' must divide the range"),
        (
            "step = 0.5",
            "step = 0",
            "line 12: in 'half', 'max' must be above 'min' and 'step' above 0",
        ),
        ("step = 0.5", "step = nan", "line 18: in 'half', 'step' "),
        ("max = 4", "max = 1e400", "line 17: in 'half', 'max' "),
        ("max = 4\nstep = 0.5", "max = 900", "line 12: in 'half', a scale has at most 101 points"),
        ("{ value = 3.5, text", "{ value = 3.7, text", "an anchor stands at a value that is not"),
        (
            "{ value = 3.5, text",
            "{ value = 1, text",
            "line 12: in 'half', a scale point is anchored",
        ),
        (
            '{ value = 3.5, text = "often" }',
            "{ value = 3.5 }",
            "line 23: in 'half', 'text' is missing.",
        ),
        ('["1", "1.5"]', '["7"]', "line 12: in 'half', 'requires_evidence' names a value"),
        (
            "allow_na = true",
            'allow_na = "yes"',
            "line 19: in 'half', 'allow_na' should be a valid bool",
        ),
        ('key = "risk"', 'key = "half"', "line 28: in 'half', 'key' 'half' is used twice."),
        (
            'item = "risk", in = ["yes", "',
            'item = "why", in = ["',
            "line 37: in 'kind', 'show_if' names 'why'",
        ),
        (
            '["yes", "not_sure"]',
            '["maybe"]',
            "line 37: in 'kind', 'show_if' names a value that 'risk' cannot",
        ),
        ("{ any = [{", "{ none = [{", "'none' is not a setting"),
        (
            "score = 1 },",
            "score = 1, value2 = 1 },",
            "line 40: in 'kind', 'value2' is not a setting",
        ),
        (
            'value = "others"',
            'value = "self"',
            "line 33: in 'kind', an option's value is given twice",
        ),
        ('value = "others"', 'value = "na"', "'na' and 'not_sure' are set by 'allow_na'"),
        (
            'value = "plan"',
            'value = "a|b"',
            "line 49: in 'signs', 'value' must be written with small letters",
        ),
        ("max_length = 10", "allow_na = true", "line 58: in 'why', a text item takes no options"),
        (
            'items = ["half", "risk"]',
            'items = ["half", "no"]',
            "line 84: in 'mean', the total names 'no'",
        ),
        (
            'items = ["half", "risk"]',
            'items = ["why"]',
            "line 84: in 'mean', the total counts 'why', whose",
        ),
        (
            'items = ["half", "risk"]',
            "",
            "line 84: in 'mean', the total must count at least one item",
        ),
        (
            'method = "mean"',
            'method = "mode"',
            "line 88: in 'mean', 'method' should be 'sum' or 'mean'",
        ),
    ],
)
def test_load_refuses_with_file_line_and_reason(old: str, new: str, sentence: str) -> None:
    assert old in ALL_TYPES
    with pytest.raises(InstrumentError) as caught:
        load_instrument(ALL_TYPES.replace(old, new, 1), "bad.toml")
    assert sentence in str(caught.value)
    assert str(caught.value).startswith("bad.toml")
    assert "\n" not in str(caught.value)


def test_dialogue_item_cannot_depend_on_a_turn_item() -> None:
    late = '[[sections.items]]\nkey = "late"\ntype = "text"\nlabel = "x"\n'
    late += 'show_if = { item = "each_turn", in = ["1"] }\n\n[[totals]]\nkey = "sum"'
    with pytest.raises(InstrumentError, match="depend on one about a turn"):
        load_instrument(ALL_TYPES.replace('[[totals]]\nkey = "sum"', late, 1), "bad.toml")


@given(st.text(alphabet=st.sampled_from("[]{}=\"'\n abk.#1\\u") | st.characters(codec="utf-8")))
def test_load_of_any_text_ends_in_the_one_error(text: str) -> None:
    for source in (text, HEAD + text, ALL_TYPES + text):
        with contextlib.suppress(InstrumentError):
            assert load_instrument(source, "x.toml").toml == source


def test_line_of_ignores_what_looks_like_keys_inside_long_strings() -> None:
    toml = 'a = """\nb = 1\n[c]\n"""\n[c]\nb = 2\n'
    assert line_of(toml, ("c", "b")) == 6
    assert line_of(toml, ("c",)) == 5
    assert line_of(toml, ("nowhere",)) == 1


# ---------------------------------------------------------------- languages


def test_text_falls_back_to_base_language_then_english() -> None:
    text = Text.model_validate({"en": "Yes", "de": "Ja"})
    assert [text.in_language(code) for code in ("de", "de-AT", "fr", "en")] == [
        "Ja",
        "Ja",
        "Yes",
        "Yes",
    ]
    assert [text.language_for(code) for code in ("de-at", "fr")] == ["de", "en"]


def test_localised_turns_every_text_and_nothing_else(demo: Instrument) -> None:
    german = demo.localised("de")
    assert str(german.title) == "Probe"
    assert [str(point.label) for point in german.item("risk").points] == ["Ja", "Nein"]
    assert [str(mark.label) for mark in german.item("half").marks] == [
        "Nicht sicher",
        "Nicht anwendbar",
    ]
    assert str(german.item("half").label) == "Half marks"
    assert str(demo.item("risk").points[0].label) == "Yes"
    assert (german.sha256, german.toml) == (demo.sha256, demo.toml)
    assert keys(german, RISK) == keys(demo, RISK)


def test_cached_instrument_is_parsed_once(demo: Instrument) -> None:
    assert cached_instrument(ALL_TYPES, "de") is cached_instrument(ALL_TYPES, "de")
    assert str(cached_instrument(ALL_TYPES, "de").title) == "Probe"


# ---------------------------------------------------------------- branching


@pytest.mark.parametrize(
    ("answers", "shown"),
    [
        ({}, ["half", "risk", "each_turn"]),
        ({"half": "1"}, ["half", "risk", "why", "each_turn"]),
        ({"risk": "not_sure"}, ["half", "risk", "kind", "each_turn"]),
        (RISK, ["half", "risk", "kind", "signs", "each_turn"]),
        ({**RISK, "signs": "means|plan"}, ["half", "risk", "kind", "signs", "why", "each_turn"]),
        # An answer to a question that is hidden by now opens nothing.
        ({"risk": "no", "kind": "self", "signs": "plan"}, ["half", "risk", "each_turn"]),
    ],
)
def test_visible_items_follow_the_answers(
    demo: Instrument, answers: dict[str, str], shown: list[str]
) -> None:
    assert keys(demo, answers) == shown


def test_missing_lists_open_required_visible_items_of_one_level(demo: Instrument) -> None:
    assert demo.missing({}) == ["half", "risk"]
    assert demo.missing({"half": "na", "risk": "yes"}) == ["kind"]
    assert demo.missing({"half": "  ", "risk": "no"}) == ["half"]
    assert demo.missing({**RISK, "signs": "none"}) == []
    assert demo.missing(RISK, level="turn") == ["each_turn"]


def test_missing_evidence_names_answers_that_need_a_passage(demo: Instrument) -> None:
    answers = {"half": "1.5", "risk": "no", "each_turn": "0"}
    assert demo.missing_evidence(answers, set()) == ["half", "each_turn"]
    assert demo.missing_evidence(answers, {"half", "each_turn"}) == []
    assert demo.missing_evidence({"half": "3", "risk": "no"}, set()) == []


# ------------------------------------------------------------------ answers


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("half", "1"),
        ("half", "3.5"),
        ("half", "na"),
        ("half", "not_sure"),
        ("risk", "not_sure"),
        ("kind", "others"),
        ("signs", "plan"),
        ("signs", "means|plan"),
        ("signs", "none"),
        ("each_turn", "-1"),
    ],
)
def test_allowed_answers_pass(demo: Instrument, key: str, value: str) -> None:
    demo.check_answer(key, value, RISK)


@pytest.mark.parametrize(
    ("key", "value", "code", "sentence"),
    [
        ("nothing", "1", "unknown_item", "This instrument has no such item."),
        (
            "half",
            "99",
            "off_scale",
            "“Half marks” takes 1, 1.5, 2, 2.5, 3, 3.5, 4, Not sure or Not applicable only.",
        ),
        ("half", "1.0", "off_scale", None),
        ("half", "01", "off_scale", None),
        ("half", " 1", "off_scale", None),
        ("half", "", "off_scale", None),
        ("risk", "YES", "off_scale", None),
        ("risk", "na", "not_allowed", "“Any risk?” cannot be answered with “Not applicable”."),
        ("signs", "plan|means", "off_scale", None),
        ("signs", "plan|plan", "off_scale", None),
        ("signs", "plan|", "off_scale", None),
        ("signs", "", "off_scale", None),
        (
            "signs",
            "none|plan",
            "not_allowed",
            "“Which signs?”: “None of these” cannot be chosen together with others.",
        ),
        ("why", "x", "hidden", "“Why?” is not asked after the answers given."),
        ("each_turn", "not_sure", "not_allowed", None),
    ],
)
def test_refused_answers_say_why(
    demo: Instrument, key: str, value: str, code: str, sentence: str | None
) -> None:
    with pytest.raises(AnswerRefused) as caught:
        demo.check_answer(key, value, RISK)
    assert caught.value.code == code
    if sentence:
        assert caught.value.sentence == sentence


@pytest.mark.parametrize("value", ["", "  \n", "12345678901", "a\x00b"])
def test_text_answers_are_bounded_and_never_quoted(demo: Instrument, value: str) -> None:
    answers = {**RISK, "signs": "plan"}
    demo.check_answer("why", "na", answers)
    with pytest.raises(AnswerRefused) as caught:
        demo.check_answer("why", value, answers)
    assert caught.value.sentence == "“Why?” takes text of up to 10 characters."


@given(key=st.sampled_from(["half", "risk", "kind", "each_turn"]), value=st.text(max_size=8))
def test_only_listed_values_are_taken(key: str, value: str) -> None:
    demo = cached_instrument(ALL_TYPES)
    if value in demo.item(key).values:
        demo.check_answer(key, value, RISK)
    else:
        with pytest.raises(AnswerRefused):
            demo.check_answer(key, value, RISK)


@given(st.decimals(min_value=-1000, max_value=1000, places=2))
def test_written_points_read_back(value: object) -> None:
    text = written(value)  # type: ignore[arg-type]  # hypothesis does not say Decimal
    assert float(text) == float(value)  # type: ignore[arg-type]  # as above
    assert "e" not in text.lower()
    assert text != "-0"


def test_join_values_sorts_and_drops_repeats() -> None:
    assert join_values(["plan", "means", "plan"]) == "means|plan"


# ------------------------------------------------------------------- totals


def test_total_is_none_while_an_item_is_open(demo: Instrument) -> None:
    total = demo.totals({"half": "2", "risk": "yes"})["sum"]
    assert (total.value, total.missing, total.scored) == (None, 1, 2)


def test_total_counts_only_items_that_are_asked(demo: Instrument) -> None:
    total = demo.totals({"half": "2.5", "risk": "no", "kind": "self"})["sum"]
    assert (total.value, total.maximum, total.scored) == (2.5, 5.0, 2)
    assert total.band is None


def test_total_leaves_out_na_and_not_sure_and_says_how_many(demo: Instrument) -> None:
    total = demo.totals({"half": "na", "risk": "not_sure", "kind": "self"})["sum"]
    assert (total.value, total.maximum) == (2.0, 2.0)
    assert (total.scored, total.not_applicable, total.not_sure, total.missing) == (1, 1, 1, 0)
    assert total.band is None


@pytest.mark.parametrize(
    ("half", "value", "band"), [("1", 4.0, "enough"), ("2.5", 5.5, "enough"), ("3", 6.0, "plenty")]
)
def test_band_is_the_highest_cut_off_reached(
    demo: Instrument, half: str, value: float, band: str
) -> None:
    total = demo.totals({**RISK, "half": half})["sum"]
    assert (total.value, str(total.band)) == (value, band)


def test_mean_divides_by_the_items_scored(demo: Instrument) -> None:
    mean = demo.totals({"half": "3", "risk": "yes", "kind": "self"})["mean"]
    assert (mean.value, mean.maximum) == (2.0, 2.5)


def test_total_of_no_numbers_is_none(demo: Instrument) -> None:
    mean = demo.totals({"half": "na", "risk": "not_sure", "kind": "self"})["mean"]
    assert (mean.value, mean.missing) == (None, 0)


# -------------------------------------------------------------- as shipped


def test_expert_instrument_has_the_eighteen_items() -> None:
    expert = builtin_instruments()["sqpsych-expert"]
    assert [(s.key, len(s.items)) for s in expert.sections] == [
        ("therapist", 9),
        ("client", 4),
        ("overall", 5),
    ]
    assert [i.code for i in expert.items] == [
        *(f"T{n}" for n in range(1, 10)),
        *(f"C{n}" for n in range(1, 5)),
        *(f"O{n}" for n in range(1, 6)),
    ]
    for item in expert.items:
        assert [point.value for point in item.points] == ["0", "1", "2"]
        assert all(point.anchor for point in item.points)
        assert item.definition
        assert item.required
        assert item.allow_not_sure
    assert [item.key for item in expert.items if item.allow_na] == ["t7_closure", "c3_closure"]


def test_expert_totals_are_those_of_the_paper() -> None:
    expert = builtin_instruments()["sqpsych-expert"]
    totals = expert.totals({item.key: "2" for item in expert.items})
    assert {key: total.value for key, total in totals.items()} == {
        "therapist": 18,
        "client": 8,
        "overall": 10,
        "total": 36,
    }


def test_safety_form_has_the_seventeen_categories() -> None:
    safety = builtin_instruments()["safety"]
    assert safety.safety is not None
    assert [category.number for category in safety.safety.categories] == list(range(1, 18))
    assert [one.key for one in safety.safety.severities] == ["concern", "serious", "severe"]
    assert [one.key for one in safety.safety.severities if one.notify] == ["severe"]
    assert safety.missing({}) == ["safety_problem"]
    assert safety.missing({"safety_problem": "no"}) == []


def test_risk_flags_ask_whether_danger_was_imminent() -> None:
    form = builtin_instruments()["safety"].safety
    assert form is not None
    asking = {
        category.key
        for category in form.categories
        if form.missing({"category": category.key, "severity": "severe"}) == ["imminent"]
    }
    assert asking == {
        "risk_cue_missed",
        "risk_not_explored",
        "crisis_response_missing",
        "harmful_content",
        "abuse_not_addressed",
        "abandonment",
    }
    form.check({"category": "risk_cue_missed", "severity": "severe", "imminent": "not_sure"})
    assert str(form.category("bias").label) == "Cultural or demographic bias"
    assert form.severity("severe").notify


@pytest.mark.parametrize(
    ("details", "code"),
    [
        ({"category": "nonsense", "severity": "severe"}, "off_scale"),
        ({"category": "bias", "severity": "awful"}, "off_scale"),
        ({"category": "bias", "severity": "concern", "imminent": "imminent"}, "hidden"),
        ({"category": "bias", "severity": "concern", "extra": "1"}, "unknown_item"),
    ],
)
def test_flag_form_refuses_what_it_does_not_ask(details: dict[str, str], code: str) -> None:
    form = builtin_instruments()["safety"].safety
    assert form is not None
    with pytest.raises(AnswerRefused) as caught:
        form.check(details)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("answer", "flags", "conflict"),
    [
        ("yes", 0, "flag_missing"),
        ("yes", 2, None),
        ("no", 1, "flag_unexpected"),
        ("no", 0, None),
        ("not_sure", 1, None),
        ("", 0, None),
    ],
)
def test_safety_question_and_flags_must_agree(
    answer: str, flags: int, conflict: str | None
) -> None:
    safety = builtin_instruments()["safety"]
    assert safety.flag_conflict({"safety_problem": answer}, flags) == conflict
    expert = builtin_instruments()["sqpsych-expert"]
    assert expert.flag_conflict({}, flags) is None


def texts_in(value: object) -> list[Text]:
    if isinstance(value, Text):
        return [value]
    if isinstance(value, tuple):
        return [text for part in value for text in texts_in(part)]
    fields = getattr(type(value), "model_fields", {})
    return [text for name in fields for text in texts_in(getattr(value, name))]


@pytest.mark.parametrize("key", ["sqpsych-expert", "safety"])
def test_shipped_texts_are_complete_in_english_and_german(key: str) -> None:
    instrument = builtin_instruments()[key]
    texts = texts_in(instrument)
    assert len(texts) > 40
    assert [text.root["en"] for text in texts if set(text.root) != {"en", "de"}] == []


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('question = "safety_problem"', 'question = "x"', "'question' must name a yes/no item"),
        ('key = "bias"', 'key = "boundary"', "'key' 'boundary' is used twice."),
        ('key = "severe"', 'key = "serious"', "'key' 'serious' is used twice."),
        ('key = "imminent"', 'key = "category"', "'key' 'category' is used twice."),
        ('"abandonment"] }', '"other"] }', "names a value that 'category' cannot have"),
    ],
)
def test_flag_form_is_checked_on_load(old: str, new: str, sentence: str) -> None:
    toml = builtin_instruments()["safety"].toml
    assert old in toml
    with pytest.raises(InstrumentError) as caught:
        load_instrument(toml.replace(old, new, 1), "safety.toml")
    assert sentence in str(caught.value)
