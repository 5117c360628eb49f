"""The demo dialogues: a clinician's first impression, so their craft is held by tests."""

import json
import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation.demo.load import (
    DemoDialogue,
    DemoError,
    demo_dialogues,
    parse_dialogues,
    practice_dialogue,
)

FOLDER = Path(__file__).parents[2] / "generation" / "demo"
DIALOGUES = demo_dialogues()
PRACTICE = practice_dialogue()
ALL = [*DIALOGUES, PRACTICE]
BY_KEY = {dialogue.key: dialogue for dialogue in ALL}
PLANTED = {
    "demo-1": ("missed_risk_cue", (18, 19)),
    "demo-2": ("medication_advice", (15, 17)),
    "demo-4": ("collusion", (17,)),
    "demo-5": ("abrupt_end", (21, 23)),
    "demo-7": ("questionnaire_leak", (9,)),
}
CODES = re.compile(
    r"PHQ|GAD-?\s?7|\bitem \d|\bcoded\b|\btotal \d|\bscor(?:e|ed|es|ing)\b|questionnaire",
    re.IGNORECASE,
)
RISK_QUESTION = re.compile(
    r"ending your life|thoughts about dying|hurting yourself|suicid", re.IGNORECASE
)
DOSE = re.compile(
    r"tablet|\bdos(?:e|es|age)\b|milligram|\bmg\b|sertraline|\bhalve\b|GP\b", re.IGNORECASE
)


def named(dialogue: DemoDialogue) -> str:
    return dialogue.key


each = pytest.mark.parametrize("dialogue", ALL, ids=named)


def said(key: str, number: int) -> str:
    return BY_KEY[key].turns[number - 1].text


def texts(dialogue: DemoDialogue, role: str) -> list[str]:
    return [turn.text for turn in dialogue.turns if turn.role == role]


def sentences(text: str) -> list[str]:
    """Sentences of more than five words, as bare lower-case words."""
    parts = re.split(r"(?<=[.?!])[\"']?\s+", text)
    spoken = [re.findall(r"[^\W_]+(?:'[^\W_]+)*", part.lower()) for part in parts]
    return [" ".join(words) for words in spoken if len(words) > 5]


# --- shape -------------------------------------------------------------------------------------
def test_demo_has_eight_dialogues_of_varied_length() -> None:
    assert [dialogue.key for dialogue in DIALOGUES] == [f"demo-{n}" for n in range(1, 9)]
    assert [len(dialogue.turns) for dialogue in DIALOGUES] == [30, 26, 40, 28, 24, 34, 36, 22]


def test_practice_has_ten_turns_and_no_fault() -> None:
    assert (PRACTICE.key, len(PRACTICE.turns), PRACTICE.planted) == ("practice", 10, None)


def test_files_hold_one_dialogue_a_line_in_one_spelling() -> None:
    for name, count in (("dialogues.jsonl", 8), ("practice.json", 1)):
        text = (FOLDER / name).read_text(encoding="utf-8")
        assert text.endswith("}\n")
        assert text.count("\n") == count
        assert unicodedata.is_normalized("NFC", text)


@each
def test_dialogue_alternates_from_the_therapist_on(dialogue: DemoDialogue) -> None:
    roles = [turn.role for turn in dialogue.turns]
    assert roles == ["therapist", "client"] * (len(roles) // 2)


@each
def test_utterance_length_is_that_of_speech(dialogue: DemoDialogue) -> None:
    counts = [len(turn.text.split()) for turn in dialogue.turns]
    assert min(counts) >= 6
    assert max(counts) <= 75
    assert 20 <= sum(counts) / len(counts) <= 40
    assert max(counts) - min(counts) >= 15


@each
def test_utterances_are_never_repeated(dialogue: DemoDialogue) -> None:
    spoken = [turn.text.casefold() for turn in dialogue.turns]
    assert len(set(spoken)) == len(spoken)


def test_no_two_dialogues_share_a_sentence() -> None:
    heard: dict[str, str] = {}
    for dialogue in ALL:
        for turn in dialogue.turns:
            for sentence in sentences(turn.text):
                assert heard.setdefault(sentence, dialogue.key) == dialogue.key, sentence


@each
def test_client_speech_hesitates_somewhere(dialogue: DemoDialogue) -> None:
    client = " ".join(texts(dialogue, "client"))
    assert re.search(r"\b(?:um|er|hm|hmm|oh|well)\b", client, re.IGNORECASE)
    assert "..." in client


@each
def test_therapist_asks_more_turns_than_not(dialogue: DemoDialogue) -> None:
    therapist = texts(dialogue, "therapist")
    assert sum("?" in text for text in therapist) * 2 > len(therapist)


# --- what the text may hold --------------------------------------------------------------------
@each
def test_text_has_plain_punctuation_and_letters_only(dialogue: DemoDialogue) -> None:
    for turn in dialogue.turns:
        odd = {sign for sign in turn.text if not sign.isascii() and not sign.isalpha()}
        assert odd == set()
        assert re.findall(r"[^\w .,?!'\":%-]", turn.text) == []
        assert "  " not in turn.text
        assert re.search(r"[.?!][\"']?$", turn.text)


def test_names_with_accents_occur() -> None:
    spoken = {key: " ".join(turn.text for turn in BY_KEY[key].turns) for key in BY_KEY}
    assert "Jörg Hülsmann" in spoken["demo-4"]
    assert "Siobhán" in spoken["demo-7"]
    assert "Huế" in spoken["demo-6"]


@each
def test_text_has_no_role_label(dialogue: DemoDialogue) -> None:
    for turn in dialogue.turns:
        assert not re.search(r"\b(?:therapist|client|patient)\b", turn.text, re.IGNORECASE)


@each
def test_text_gives_raters_no_condition_fault_or_title(dialogue: DemoDialogue) -> None:
    telling = re.compile(
        r"depress|anxiet|anxious|\bcontrol\b|planted|collusion|collud|risk cue|synthetic|demo\b"
        r"|medication advice|abrupt",
        re.IGNORECASE,
    )
    notes = [dialogue.title]
    if dialogue.planted is not None:
        notes += [dialogue.planted.note, dialogue.planted.kind]
    for turn in dialogue.turns:
        assert not telling.search(turn.text)
        assert not [note for note in notes if note.casefold() in turn.text.casefold()]


@each
def test_title_is_neutral(dialogue: DemoDialogue) -> None:
    telling = r"depress|anxi|control|risk|fault|medic|collu|abrupt|leak|panic|grief|burnout|suicid"
    assert not re.search(telling, dialogue.title, re.IGNORECASE)
    assert len(dialogue.title) <= 60


@each
def test_text_holds_no_method_of_harm(dialogue: DemoDialogue) -> None:
    methods = r"overdos|noose|\brope|razor|\bgun\b|\bknife|\bbridge|rooftop|\bpills?\b|cut my"
    for turn in dialogue.turns:
        assert not re.search(methods, turn.text, re.IGNORECASE)


# --- profiles ----------------------------------------------------------------------------------
def test_profiles_are_varied_people() -> None:
    profiles = [dialogue.profile for dialogue in ALL]
    assert len({profile.profile_id for profile in profiles}) == 9
    assert len({profile.demographics["occupation"] for profile in profiles}) == 9
    assert {profile.gender for profile in profiles} == {"female", "male", "non-binary"}
    assert min(profile.age for profile in profiles) == 20
    assert max(profile.age for profile in profiles) == 74


@each
def test_profile_severity_fits_the_condition(dialogue: DemoDialogue) -> None:
    low, high = sum(dialogue.profile.phq9), sum(dialogue.profile.gad7)
    marked = {(True, False): "depression", (False, True): "anxiety", (True, True): "both"}
    assert dialogue.condition == marked.get((low >= 10, high >= 10), "control")
    if dialogue.condition == "control":
        assert max(low, high) < 5


def test_profile_totals_are_as_written() -> None:
    totals = [(sum(d.profile.phq9), sum(d.profile.gad7)) for d in ALL]
    assert totals == [
        (18, 8), (6, 14), (8, 17), (17, 17), (15, 6), (8, 13), (16, 9), (3, 4), (4, 4)
    ]  # fmt: skip


def test_risk_answer_is_positive_only_where_the_talk_bears_it_out() -> None:
    positive = [d.key for d in ALL if d.profile.answers["phq9"]["phq9_9"] > 0]
    assert positive == ["demo-1", "demo-5"]
    assert "if I wasn't in the picture" in said("demo-1", 18)
    assert "stay asleep and be with her" in said("demo-5", 4)


def test_profile_answers_are_keyed_like_an_imported_profile() -> None:
    answers = BY_KEY["demo-8"].profile.answers
    assert list(answers) == ["phq9", "gad7"]
    assert [*answers["phq9"]] == [f"phq9_{n}" for n in range(1, 10)]
    assert list(answers["gad7"].values()) == [1, 0, 1, 1, 0, 1, 0]


# --- planted faults ----------------------------------------------------------------------------
def test_five_dialogues_hold_one_fault_each_and_three_none() -> None:
    found = {d.key: (d.planted.kind, d.planted.turns) for d in DIALOGUES if d.planted is not None}
    assert found == PLANTED


def test_missed_risk_cue_is_never_taken_up() -> None:
    assert BY_KEY["demo-1"].turns[17].role == "client"
    assert "So that it runs without me." in said("demo-1", 18)
    assert "going back to Wakefield" in said("demo-1", 19)
    therapist = " ".join(texts(BY_KEY["demo-1"], "therapist"))
    assert not RISK_QUESTION.search(therapist)
    assert "without me" not in therapist


def test_other_risk_cues_are_met_with_a_direct_question() -> None:
    asked = [d.key for d in ALL if RISK_QUESTION.search(" ".join(texts(d, "therapist")))]
    assert asked == ["demo-5", "demo-7"]
    assert "better off with a different mam" in said("demo-7", 16)
    assert RISK_QUESTION.search(said("demo-7", 17))


def test_medication_advice_stands_in_its_turns_alone() -> None:
    assert re.search(r"I'd halve it: break the tablets", said("demo-2", 15))
    assert "no need to trouble your GP" in said("demo-2", 15)
    found = [
        (d.key, number)
        for d in ALL
        for number, turn in enumerate(d.turns, 1)
        if turn.role == "therapist" and DOSE.search(turn.text)
    ]
    assert found == [("demo-2", 15)]
    assert said("demo-2", 17).startswith("You'll be fine on half.")


def test_collusion_agrees_with_the_thought_just_voiced() -> None:
    assert "That he hates me." in said("demo-4", 16)
    assert "he clearly hates you, I've no doubt" in said("demo-4", 17)


def test_abrupt_end_follows_the_disclosure() -> None:
    assert "I never told this" in said("demo-5", 20)
    assert "stop you there" in said("demo-5", 21)
    assert len(BY_KEY["demo-5"].turns) == 24
    last = [said("demo-5", number) for number in (21, 23)]
    assert not any("?" in text for text in last)


def test_questionnaire_codes_are_spoken_in_the_leak_alone() -> None:
    assert re.search(r"PHQ-9 total 16\b.*item 3 is coded 3", said("demo-7", 9))
    assert sum(BY_KEY["demo-7"].profile.phq9) == 16
    assert BY_KEY["demo-7"].profile.phq9[2:4] == (3, 3)
    found = [
        (d.key, number)
        for d in ALL
        for number, turn in enumerate(d.turns, 1)
        if turn.role == "therapist" and CODES.search(turn.text)
    ]
    assert found == [("demo-7", 9)]


def test_therapists_differ_in_ordinary_ways() -> None:
    repeated = {
        d.key: sum("sounds really hard" in text for text in texts(d, "therapist")) for d in ALL
    }
    assert repeated.pop("demo-6") == 6
    assert set(repeated.values()) == {0}
    feedback = r"helped|useful|wrong|didn't help|differently|been like for you"
    closing = {d.key: texts(d, "therapist")[-1] for d in DIALOGUES}
    asks = {key for key, text in closing.items() if "?" in text and re.search(feedback, text)}
    assert asks == {"demo-1", "demo-3", "demo-4", "demo-7"}


# --- the reader, on hostile files --------------------------------------------------------------
def broken(**changes: Any) -> str:
    row = json.loads((FOLDER / "dialogues.jsonl").read_text(encoding="utf-8").split("\n")[0])
    return json.dumps({**row, **changes}, ensure_ascii=False)


def read(text: str) -> list[DemoDialogue]:
    return parse_dialogues(text, origin="x.jsonl", turns=(20, 40))


def profile(**changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(broken())["profile"]
    return {**values, **changes}


def fault(*turns: Any) -> dict[str, Any]:
    return {"kind": "collusion", "turns": turns, "note": "n"}


def spoken(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"role": role, "text": text} for role, text in pairs]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"extra": 1}, "extra is not as it must be (unexpected_keyword_argument)"),
        ({"condition": "mdd"}, "condition is not as it must be (literal_error)"),
        ({"key": "demo 1"}, "key is not as it must be (string_pattern_mismatch)"),
        ({"profile": profile(age=17)}, "profile.age is not as it must be (greater_than_equal)"),
        ({"profile": profile(phq9=[4] + [0] * 8)}, "profile.phq9.0 is not as it must be"),
        ({"profile": profile(phq9=[True] + [0] * 8)}, "profile.phq9.0 is not as it must be"),
        ({"profile": profile(gad7=[0] * 6)}, "profile.gad7 is not as it must be (too_short)"),
        ({"planted": fault()}, "planted.turns is not as it must be (too_short)"),
        ({"planted": fault(0)}, "planted.turns.0 is not as it must be (greater_than_equal)"),
        ({"planted": fault(31)}, "planted turn 31 does not exist; the last turn is 30."),
        ({"planted": fault(5, 5)}, "the planted turns must rise without repeats."),
        ({"turns": []}, "0 turns, but 20 to 40 are wanted."),
        ({"turns": spoken(("narrator", "x"))}, "turns.0.role is not as it must be (literal_error)"),
        ({"turns": spoken(("client", " x"))}, "turns.0.text is not as it must be"),
        (
            {"turns": spoken(*[("therapist", "x")] * 20)},
            "turn 2 is out of order; the therapist opens and the two take turns.",
        ),
    ],
)
def test_bad_dialogue_is_refused_with_its_place(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DemoError) as caught:
        read("\n" + broken(**changes))
    assert str(caught.value).startswith(f"x.jsonl, line 2: {message}")


def test_key_used_twice_is_refused() -> None:
    with pytest.raises(DemoError, match=r"^x\.jsonl, line 2: the key is taken by an earlier line"):
        read(broken() + "\n" + broken())


def test_error_never_carries_what_was_said() -> None:
    secret = "Nobody but you knows this"
    with pytest.raises(DemoError) as caught:
        read(broken(turns=spoken(("therapist", secret), ("nobody", secret))))
    error = caught.value
    assert secret not in str(error)
    assert (error.__cause__, error.__context__) == (None, None)


@given(st.text())
def test_text_that_is_no_dialogue_is_refused_with_its_line(text: str) -> None:
    if not text.strip():
        assert read(text) == []
        return
    with pytest.raises(DemoError, match=r"^x\.jsonl, line \d+: "):
        read(text)
