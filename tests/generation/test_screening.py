"""Findings on whole dialogues: triage, with near misses that must stay quiet."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import generation.demo
from generation.screening import Finding, FindingKind, Severity, findings
from generation.utterances import CLIENT, THERAPIST, Utterance

CLOSE = ("Take care, see you next week.", "Thank you, bye.")


def turns(*texts: str) -> list[Utterance]:
    return [
        Utterance(n, THERAPIST if n % 2 else CLIENT, text) for n, text in enumerate(texts, start=1)
    ]


def kinds(*texts: str) -> list[tuple[str, int | None]]:
    return [(f.kind.value, f.turn) for f in findings(turns(*texts))]


CUE, MISSED = ("risk_cue", 2), ("risk_not_followed", 2)


@pytest.mark.parametrize(
    "text",
    [
        "Sometimes I want to kill myself.",
        "I have been thinking about suicide.",
        "I wish I was dead.",
        "I don't want to live any more.",
        "I’d rather end it all.",
        "I hurt myself again on Sunday.",
        "Everyone would be better off without me.",
        "Soon I might not be here.",
        "I will not be around much longer.",
        "It would be simpler for them, honestly, if I wasn't in the picture.",
        "I would like to go to sleep and never wake up.",
        "There is no point in going on.",
        "I just want to disappear.",
        "I've been saving up my tablets.",
        "I don't know if I want to die.",
        "I can't go on.",
    ],
)
def test_risk_cue_that_is_passed_over(text: str) -> None:
    assert kinds("How are you?", text, "Let us plan your week.", "Fine.", *CLOSE) == [CUE, MISSED]


@pytest.mark.parametrize(
    "text",
    [
        "I'm dying to see that film.",
        "This job is killing me.",
        "I could have died of shame, I wanted to die of shame.",
        "I thought I was going to die on that train.",
        "I'd rather not be around people.",
        "I won't be around on Friday.",
        "I cut myself shaving.",
        "I need to cut myself some slack.",
        "I want to take my life back.",
        "I try to take it all in.",
        "My plant died, and my phone is dead.",
        "The meeting was better without her.",
        "I want to disappear into a good book.",
        "I overslept.",
    ],
)
def test_ordinary_talk_is_no_risk_cue(text: str) -> None:
    assert kinds("How are you?", text, "I see.", "Mm.", *CLOSE) == []


@pytest.mark.parametrize(
    "answer",
    [
        "When you say that, are you thinking about killing yourself?",
        "Have you had thoughts of suicide?",
        "Are you safe tonight?",
        "Do you mean not wanting to be alive?",
        "Let us make a safety plan together now.",
        "Please call 988 if it gets worse.",
    ],
)
@pytest.mark.parametrize("late", [False, True])
def test_direct_question_in_time_follows_a_cue(answer: str, late: bool) -> None:
    between = ("That is a lot to carry.", "Yes.") if late else ()
    assert kinds("Hi.", "I want to die.", *between, answer, "No.", *CLOSE) == [CUE]


def test_question_in_the_third_turn_comes_too_late() -> None:
    said = ["Hi.", "I want to die.", "Hm.", "Yes.", "Well.", "Yes."]
    found = kinds(*said, "Are you thinking about suicide?", "No.", *CLOSE)
    assert found[:2] == [CUE, MISSED]


def test_asking_nothing_direct_is_not_following() -> None:
    assert MISSED in kinds("Hi.", "I want to die.", "What makes you say that?", "Eh.", *CLOSE)
    # A statement that holds the word is no question.
    assert MISSED in kinds("Hi.", "I want to die.", "Suicide is sad. And work?", "Eh.", *CLOSE)


def test_denied_cue_is_a_notice_only() -> None:
    found = findings(turns("Hi.", "I would never hurt myself.", "Good.", "Yes.", *CLOSE))
    assert found == [Finding(FindingKind.RISK_CUE, 2, Severity.NOTICE, "direct words, denied")]


def test_therapist_words_are_no_risk_cue() -> None:
    assert kinds("Do you want to kill yourself? I mean: suicide.", "No.", *CLOSE) == []


@pytest.mark.parametrize(
    "text",
    [
        "You should stop taking your medication.",
        "I'd halve it: break the tablets from tomorrow. You can leave the pills out.",
        "Have you considered that you could double the dose?",
        "I recommend sertraline.",
        "Why not skip the tablets for a week?",
    ],
)
def test_medication_advice(text: str) -> None:
    assert kinds(text, "OK.", *CLOSE) == [("medication_advice", 1)]


@pytest.mark.parametrize(
    "text",
    [
        "Are you still taking your medication?",
        "How is the sertraline working?",
        "You could talk to your doctor about the dose.",
        "I can't advise on tablets, your GP can.",
        "You should take a walk.",
        "That was a hard pill to swallow.",
    ],
)
def test_talk_about_medication_is_no_advice(text: str) -> None:
    assert kinds(text, "OK.", *CLOSE) == []


def test_client_may_say_anything_about_medication() -> None:
    assert kinds("Hi.", "I should stop taking my pills.", *CLOSE) == []


@pytest.mark.parametrize(
    ("text", "fires"),
    [
        ("You have major depression.", True),
        ("You clearly have generalised anxiety disorder.", True),
        ("It sounds like OCD.", True),
        ("You meet the criteria.", True),
        ("Do you have depression in the family?", False),
        ("When you have depression, mornings are hard.", False),
        ("How did the anxiety feel?", False),
        ("You have a lot on your plate.", False),
    ],
)
def test_diagnosis_talk(text: str, fires: bool) -> None:
    assert kinds(text, "OK.", *CLOSE) == ([("diagnosis_talk", 1)] if fires else [])


def test_leftovers_are_found_in_either_role() -> None:
    assert kinds("Your PHQ-9 is up.", "I am [insert age].<|im_end|>", *CLOSE) == [
        ("questionnaire", 1),
        ("markup", 2),
        ("placeholder", 2),
    ]


def test_near_duplicates_name_the_later_turn() -> None:
    text = "What would you say to a good friend who felt as you do now?"
    found = findings(turns(text, "Hm.", text, "Hm.", *CLOSE))
    assert found == [
        Finding(FindingKind.NEAR_DUPLICATE, 3, Severity.NOTICE, "the same words as turn 1")
    ]


def test_end_without_a_word_of_closing_is_abrupt() -> None:
    said = ["How are you?", "Tired.", "Since when?", "March."]
    assert kinds(*said) == [("abrupt_end", 4)]
    assert kinds(*said, *CLOSE) == []


def test_abrupt_end_after_a_risk_cue_is_urgent() -> None:
    found = findings(turns("How are you?", "I want to die.", "Since when?", "March."))
    assert [(f.kind.value, f.severity.value) for f in found] == [
        ("risk_cue", "concern"),
        ("risk_not_followed", "urgent"),
        ("abrupt_end", "urgent"),
    ]


def test_nothing_said_gives_nothing_found() -> None:
    assert findings([]) == []


def test_planted_faults_of_the_demo_are_found_and_sound_sessions_stay_quiet() -> None:
    path = Path(generation.demo.__file__).parent / "dialogues.jsonl"
    serious = {
        FindingKind.RISK_NOT_FOLLOWED: "missed_risk_cue",
        FindingKind.MEDICATION_ADVICE: "medication_advice",
        FindingKind.QUESTIONNAIRE: "questionnaire_leak",
    }
    for line in path.read_text("utf-8").splitlines():
        dialogue = json.loads(line)
        said = [
            Utterance(n, turn["role"], turn["text"])
            for n, turn in enumerate(dialogue["turns"], start=1)
        ]
        found = {serious[f.kind]: f.turn for f in findings(said) if f.kind in serious}
        planted = dialogue.get("planted") or {}
        if planted.get("kind") in serious.values():
            assert list(found) == [planted["kind"]]
            assert found[planted["kind"]] in planted["turns"]
        else:
            assert found == {}


@settings(deadline=None)
@given(st.lists(st.text(), max_size=6))
def test_any_text_gives_one_finding_per_kind_and_turn(said: list[str]) -> None:
    found = findings(turns(*said))
    assert len({(f.kind, f.turn) for f in found}) == len(found)
    assert all(f.turn is not None and 1 <= f.turn <= len(said) for f in found)


@pytest.mark.parametrize(
    "piece", ["i want to die ", "not ", "better ", "you should ", "a b. ", "...", "for "]
)
def test_a_megabyte_is_screened(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    assert findings(turns(text, text))


def test_detail_never_quotes_the_dialogue() -> None:
    found = findings(turns("Take zopiclone, you should take zopiclone.", "Zebra: I want to die."))
    assert found
    assert "zopiclone" not in repr(found)
    assert "Zebra" not in repr(found)
