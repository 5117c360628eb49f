"""Each kind of defect on exact examples, with near misses that must not count."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generation.defects import Defect, DefectKind, Expected, defects
from generation.utterances import CLIENT, THERAPIST, Role, Utterance, fingerprint

EXPECTED = Expected(
    word_limit=20, silence="...", control=("[/END]",), notes=("[Note:",), stop=("\nClient:",)
)


def kinds(
    text: str,
    role: Role = THERAPIST,
    history: tuple[Utterance, ...] = (),
    *,
    finish_reason: str = "stop",
    stop_reason: str | None = None,
) -> set[str]:
    found = defects(
        text,
        role=role,
        finish_reason=finish_reason,
        stop_reason=stop_reason,
        history=history,
        expected=EXPECTED,
    )
    assert len({d.kind for d in found}) == len(found)
    return {d.kind.value for d in found}


def turns(*texts: str) -> tuple[Utterance, ...]:
    return tuple(
        Utterance(n, THERAPIST if n % 2 else CLIENT, text) for n, text in enumerate(texts, start=1)
    )


@pytest.mark.parametrize("text", ["", "?!", "—", "👍", ". . ."])
def test_therapist_without_words_is_empty(text: str) -> None:
    assert kinds(text) == {"empty"}


def test_client_may_be_silent_by_instruction_but_not_without_end() -> None:
    assert kinds("...", CLIENT) == kinds("…", CLIENT) == set()
    assert kinds("", CLIENT) == {"empty"}
    assert kinds("...", CLIENT, turns("a", "...", "b")) == set()
    assert kinds("...", CLIENT, turns("a", "...", "b", "...", "c")) == {"repeats_itself"}


@pytest.mark.parametrize(
    ("reason", "expected"),
    [("length", {"cut"}), ("abort", {"cut"}), ("content_filter", {"cut"}), ("stop", set())],
)
def test_cut_follows_the_finish_reason(reason: str, expected: set[str]) -> None:
    assert kinds("And then you", finish_reason=reason) == expected


def test_stop_sequence_is_noted_only_if_it_is_ours() -> None:
    assert kinds("Hello.", stop_reason="\nClient:") == {"ran_on"}
    assert kinds("Hello.", stop_reason="<eos>") == set()


@pytest.mark.parametrize(
    "text",
    [
        "I hear you.\n\nClient: I am sad.",
        "I hear you.\nclient: I am sad.",
        "I hear you. Client: I am sad.",
        "I hear you.\n**Client:** I am sad.",
        "I hear you.\n[Patient] : yes",
        "Client (sighing): yes",
        "Fine.\n> User: yes",
    ],
)
def test_therapist_who_speaks_for_the_client(text: str) -> None:
    assert kinds(text) == {"speaks_for_other"}


@pytest.mark.parametrize(
    "text",
    [
        "A client: that is what you were to them, you say.",
        "You are my client. We agreed on this.",
        "When the patient in the next bed spoke, what did you think?",
        "There are two things: sleep and food.",
        "A: the event\nB: the belief\nC: the consequence",
        "That is human: we all fail.",
    ],
)
def test_talk_about_clients_is_no_label(text: str) -> None:
    assert kinds(text) == set()


@pytest.mark.parametrize(
    "text", ["Therapist: Hello.", "**Therapist:** Hello.", "Hi.\nTherapist: Hello."]
)
def test_own_label_is_a_role_label(text: str) -> None:
    assert kinds(text) == {"role_label"}
    assert kinds(text, CLIENT) == {"speaks_for_other"}


@pytest.mark.parametrize(
    "text",
    [
        "As an AI language model, I don't have feelings.",
        "As an AI, I cannot do that.",
        "Well, I’m just an AI assistant and I can listen.",
        "I am a large language model.",
        "I'm sorry, but I can't assist with that request.",
        "I cannot fulfill your request.",
        "I'm sorry, but I can’t help with that.",
        "I'm unable to role-play a patient.",
        "I cannot continue this roleplay.",
        "I can't generate that kind of content.",
        "That goes against my guidelines.",
    ],
)
@pytest.mark.parametrize("role", [THERAPIST, CLIENT])
def test_refusals_and_machine_talk(text: str, role: Role) -> None:
    assert kinds(text, role) == {"refusal"}


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't sleep.",
        "I'm sorry, I can't do this any more.",
        "I can't provide for my family.",
        "I can't help it, I just cry.",
        "I can't help with the kids as much as I should.",
        "I'm an AI researcher and I work too much.",
        "She works as an aide in a hospital.",
        "I can't assist my mother with everything.",
        "I cannot write any more, the words won't come.",
        "My boss wants me to use an AI model for that.",
        "I can't continue like this.",
        "It is against my principles.",
    ],
)
def test_a_person_who_can_not_does_not_refuse(text: str) -> None:
    assert kinds(text, CLIENT) == set()


@pytest.mark.parametrize(
    "text",
    [
        "See you on [insert date].",
        "Hello [Client's Name], welcome.",
        "Hello [Client’s name], welcome.",
        "My name is [Your Name].",
        "Next time: [date and time].",
        "Next time: [Day/Time].",
        "Hello {{x}}!",
        "Hello {client_name}!",
        "Hello <name>!",
        "Hello <client_name>!",
        "Call (insert number) then.",
        "My name is ____.",
        "On XX/XX/XXXX we met.",
        "I work at [specific company].",
    ],
)
def test_placeholders(text: str) -> None:
    assert kinds(text) == {"placeholder"}


@pytest.mark.parametrize(
    "text",
    [
        "[sighs] I am tired.",
        "[time passes] Well.",
        "I gave it a [7] out of ten.",
        "I <3 my dog, and 5 > 3.",
        "It is dated, and the name is gone.",
        "Well (the date was wrong) I left.",
        "snake_case is for computers",
    ],
)
def test_brackets_that_are_no_placeholder(text: str) -> None:
    assert kinds(text, CLIENT) == set()


@pytest.mark.parametrize(
    "text",
    [
        "I feel 焦虑 today.",
        "我很焦虑",
        "Мне очень грустно",
        "Ｉ ａｍ ｓａｄ",
        "슬퍼요",
        "أنا حزين",
        "I feel грусть, you know.",
    ],
)
def test_wrong_script(text: str) -> None:
    assert kinds(text, CLIENT) == {"wrong_script"}


@pytest.mark.parametrize(
    "text",
    [
        "¯\\_(ツ)_/¯ I don't know 😀👨‍👩‍👧",
        "Łódź, Zürich, naïve, Århus, Nguyễn, İstanbul — “quoted”…",
        "I take 5 μg and the angle is π.",
        "½ of it, 2² and №1 ①",
    ],
)
def test_accents_emoji_and_signs_are_no_wrong_script(text: str) -> None:
    assert kinds(text, CLIENT) == set()


def test_any_script_is_fine_where_the_protocol_says_so() -> None:
    assert defects("我很焦虑", role=CLIENT, expected=Expected(latin=False)) == []


@pytest.mark.parametrize(
    "text", ["*nods*", "(smiles warmly)", "[pause] *leans forward*.", "_sighs_"]
)
def test_only_stage_directions(text: str) -> None:
    assert kinds(text) == {"stage_directions"}


@pytest.mark.parametrize("text", ["*nods* I see.", "(well) yes", "**Yes.** I am *very* sad"])
def test_speech_with_stage_directions_is_fine(text: str) -> None:
    assert kinds(text) == set()


@pytest.mark.parametrize(
    "text",
    [
        "Hello.<|im_end|>",
        "Hello.</s>",
        "[INST] Hello",
        "<think>hm</think> Hi",
        "Hi<br>there",
        "Hello <end_of_turn>",
        "```\nhi",
        "### Response\nhi",
        "Sure. [Note: Close soon]",
        "<｜User｜> hi",
    ],
)
def test_markup_and_leaked_tokens(text: str) -> None:
    assert kinds(text) == {"markup"}


@pytest.mark.parametrize("text", ["I <3 you", "a < b and b > c", "# 1 is my family", "<sigh>"])
def test_signs_that_are_no_markup(text: str) -> None:
    assert kinds(text) == set()


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("Your PHQ-9 is quite high.", "the name of a questionnaire"),
        ("On the BDI you said so.", "the name of a questionnaire"),
        ("The gad7 says worry.", "the name of a questionnaire"),
        ("The Beck Depression Inventory shows it.", "the name of a questionnaire"),
        ("In phq9_9 you said so.", "an item code"),
        ("BDI_DIAET was no.", "an item code"),
        ("This is F32.1 then.", "a diagnosis code or manual"),
        ("You scored 17 last week.", "a score"),
        ("Your total score is 17.", "a score"),
    ],
)
def test_therapist_who_names_questionnaires(text: str, detail: str) -> None:
    assert defects(text, role=THERAPIST) == [Defect(DefectKind.QUESTIONNAIRE, detail)]


@pytest.mark.parametrize(
    "text",
    [
        "We had ham and eggs.",
        "Where from nought to ten is your mood?",
        "You scored two goals!",
        "Let us gad about.",
        "At the core, 10 people know.",
        "Bai, my friend.",
    ],
)
def test_talk_that_names_no_questionnaire(text: str) -> None:
    assert kinds(text) == set()


def test_client_may_name_a_questionnaire_but_not_a_code() -> None:
    assert kinds("My doctor had me fill in a PHQ-9.", CLIENT) == set()
    assert kinds("My phq9_9 is two.", CLIENT) == {"questionnaire"}


def test_over_long_is_more_than_twice_the_limit() -> None:
    text = " ".join(f"w{n}" for n in range(40))
    assert kinds(text) == set()
    assert kinds(text + " more") == {"over_long"}


def test_marker_inside_the_text_is_stray() -> None:
    assert kinds("Bye [/end] now.") == {"stray_marker"}


LONG = "It sounds like your week was heavy and the nights were the worst part of it."


@pytest.mark.parametrize("text", [LONG, LONG.upper(), LONG.replace(" ", "  ").rstrip(".") + "!!"])
def test_own_copy_repeats_itself(text: str) -> None:
    found = defects(text, role=THERAPIST, history=turns(LONG, "Yes."))
    assert found == [Defect(DefectKind.REPEATS_ITSELF, "the same words as turn 1")]


def test_near_copy_repeats_itself() -> None:
    text = LONG.replace("the worst part of it", "the worst part of it all")
    assert kinds(text, THERAPIST, turns(LONG, "Yes.")) == {"repeats_itself"}


def test_turn_of_phrase_used_again_is_fine() -> None:
    text = "It sounds like your week was better, so what did you do on Friday evening with Ann?"
    assert kinds(text, THERAPIST, turns(LONG, "Yes.")) == set()


def test_echo_of_the_partner_repeats_the_other() -> None:
    assert kinds(LONG, CLIENT, turns(LONG)) == {"repeats_other"}
    reflected = (
        "So your week was heavy, and you said the nights were the worst. What happened then?"
    )
    said = "My week was heavy, the nights were the worst."
    assert kinds(reflected, THERAPIST, turns("Hi.", said)) == set()


def test_short_answer_may_come_twice_but_not_three_times_running() -> None:
    assert kinds("I don't know.", CLIENT, turns("a", "I don’t know.", "b")) == set()
    history = turns("a", "I don't know.", "b", "I don't know", "c")
    assert kinds("I don't know...", CLIENT, history) == {"repeats_itself"}


@pytest.mark.parametrize(
    "text",
    [
        "I can try that out. I can try that out. I can try that out.",
        "we talk and " * 8,
        "Nooooo" + "o" * 40,
    ],
)
def test_reply_going_in_circles_loops(text: str) -> None:
    assert "loops" in kinds(text, CLIENT)


@pytest.mark.parametrize(
    "text", ["No. No. No.", "I'm so tired. I'm so tired. So tired.", "Nooooo!"]
)
def test_human_repetition_is_no_loop(text: str) -> None:
    assert kinds(text, CLIENT) == set()


def test_unreadable_text_is_named_alone() -> None:
    assert kinds("Client: \x00") == {"unreadable"}


PIECES = ["a", "word ", "[", "(", "*", "<|", "_", "<p ", "(a", "[name", "{a", "漢", "# ", "'"]
PIECES += ["i can't ", ". Client ", "as an ai ", "you have scored ", "\nclient", "[insert "]
PIECES += ["Client ( ", "- ", "<think", " \n"]


@pytest.mark.parametrize("piece", PIECES)
def test_a_megabyte_of_anything_is_judged(piece: str) -> None:
    # No clock: the module's time-out would end a check that is not linear.
    text = (piece * (1_000_000 // len(piece))).strip()
    assert defects(text, role=THERAPIST, history=turns(text, "x"), expected=EXPECTED)


@settings(deadline=None)
@given(st.text(), st.sampled_from([THERAPIST, CLIENT]), st.lists(st.text(), max_size=4))
def test_any_text_gets_each_kind_at_most_once(text: str, role: Role, said: list[str]) -> None:
    found = defects(text.strip(), role=role, history=turns(*said), expected=EXPECTED)
    assert len({d.kind for d in found}) == len(found)


@given(st.text())
def test_a_text_is_wholly_copied_from_itself(text: str) -> None:
    likeness = fingerprint(text)
    assert likeness.copied_from(likeness) == (1.0 if likeness.shingles else 0.0)
