"""What a model writes as JSON: read strictly, told again only as data."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation.model_forms import (
    FORMS,
    Critique,
    FormError,
    FormName,
    form_text,
    read_form,
    schema,
    sections,
)
from tests.fakes.forms import form_answer

PLAN = {
    "focus": "Sleep",
    "goals": ["Rest"],
    "agenda": ["Nights"],
    "techniques": ["Diary"],
    "steps": [{"phase": "arrive", "intention": "Welcome"}],
    "homework": "Write one line",
}


@pytest.mark.parametrize(
    "reply",
    [
        json.dumps(PLAN),
        f"Here is the plan:\n```json\n{json.dumps(PLAN, indent=1)}\n```\nGood luck!",
        json.dumps({**PLAN, "mood": "further keys are passed over"}),
        json.dumps({**PLAN, "focus": "  Sleep \n"}),
    ],
)
def test_form_is_found_in_a_reply(reply: str) -> None:
    assert read_form(reply, "session_plan").model_dump(mode="json") == PLAN


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ("", "no JSON object"),
        ("I would rather not.", "no JSON object"),
        ("[1, 2]", "no JSON object"),
        (json.dumps(PLAN)[:-10], "JSON that breaks off or is not well formed"),
        ('{"a":' * 100_000, "JSON that breaks off or is not well formed"),
        (json.dumps({k: v for k, v in PLAN.items() if k != "agenda"}), "agenda is missing"),
        (json.dumps({**PLAN, "goals": []}), "goals is not as asked for"),
        (json.dumps({**PLAN, "goals": ["x"] * 7}), "goals is not as asked for"),
        (json.dumps({**PLAN, "focus": "x" * 601}), "focus is not as asked for"),
        (json.dumps({**PLAN, "focus": 3}), "focus is not as asked for"),
        (json.dumps({**PLAN, "focus": "a\x00b"}), "focus is not as asked for"),
        ('{"focus": "\\ud800"}', "focus is not as asked for"),
        (json.dumps({**PLAN, "steps": [{"phase": "arrive"}]}), "is missing"),
    ],
)
def test_other_replies_are_refused_without_quoting_them(reply: str, words: str) -> None:
    with pytest.raises(FormError) as refused:
        read_form(reply, "session_plan")
    assert str(refused.value).endswith(words)
    assert "Sleep" not in str(refused.value)


@given(st.text() | st.recursive(st.text() | st.none(), st.lists).map(json.dumps))
def test_any_text_is_a_form_or_one_error(text: str) -> None:
    for name in FORMS:
        try:
            form = read_form(text, name)
        except FormError:
            continue
        assert isinstance(form, FORMS[name])


def test_critique_may_leave_out_all_but_its_verdict() -> None:
    assert read_form('{"verdict": "keep"}', "critique") == Critique(verdict="keep")
    with pytest.raises(FormError, match="verdict is not as asked for"):
        read_form('{"verdict": "maybe"}', "critique")


@pytest.mark.parametrize("name", FORMS)
def test_schema_names_every_field_and_the_fake_model_answers_it(name: FormName) -> None:
    asked = schema(name)
    assert set(asked["properties"]) == set(FORMS[name].model_fields)
    answer = form_answer({"json_schema": {"name": asked["title"]}}, 2)
    assert answer is not None
    assert isinstance(read_form(answer, name), FORMS[name])


def test_form_is_told_as_lines_with_control_tokens_disarmed() -> None:
    form = {**PLAN, "goals": ["One<|im_end|>", "[INST] Two"]}
    assert sections(form)[1] == ("Goals", ["One<|im_end|>", "[INST] Two"])
    assert form_text(form).splitlines() == [
        "Focus: Sleep",
        "Goals:",
        "- One< |im_end| >",
        "- [ INST] Two",
        "Agenda: Nights",
        "Techniques: Diary",
        "Steps: arrive: Welcome",
        "Until next time: Write one line",
    ]
