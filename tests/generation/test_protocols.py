"""Protocol files: what ships, what is refused and with which sentence."""

import hashlib
from pathlib import Path

import pytest
from pydantic import ValidationError

import generation.protocols
from generation.defects import DefectKind
from generation.protocols import Protocol, ProtocolError, builtin_protocols, load_protocol

SQPSYCH = builtin_protocols()["sqpsych"]


def changed(old: str, new: str) -> str:
    """The shipped file with one piece replaced."""
    assert old in SQPSYCH.toml
    return SQPSYCH.toml.replace(old, new, 1)


def error_for(old: str, new: str) -> str:
    with pytest.raises(ProtocolError) as caught:
        load_protocol(changed(old, new), origin="mine.toml")
    return str(caught.value)


def test_protocols_module_wins_over_folder_of_same_name() -> None:
    here = Path(generation.protocols.__file__)
    assert here.name == "protocols.py"
    assert (here.parent / "protocols" / "sqpsych.toml").is_file()


def test_builtin_protocol_has_the_papers_numbers() -> None:
    ending = SQPSYCH.ending
    assert (ending.min_exchanges, ending.nudge_from, ending.stop_at) == (15, 22, 33)
    assert ending.marker == "[/END]"
    assert (SQPSYCH.therapist.words, SQPSYCH.client.words) == (64, 64)
    assert (SQPSYCH.therapist.sees, SQPSYCH.client.sees) == ("full_text", "client_text")
    assert [phase.key for phase in SQPSYCH.phases] == [
        "mood",
        "agenda",
        "known",
        "model",
        "plan",
        "feedback",
    ]
    assert SQPSYCH.retry.attempts == 3


def test_builtin_protocol_is_hashed_over_its_exact_text() -> None:
    path = Path(generation.protocols.__file__).parent / "protocols" / "sqpsych.toml"
    assert SQPSYCH.toml == path.read_text("utf-8")
    assert SQPSYCH.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_protocol_is_frozen() -> None:
    with pytest.raises(ValidationError):
        SQPSYCH.title = "other"


@pytest.mark.parametrize(
    ("model", "words", "sampling"),
    [
        ("unheard-of", 64, {"temperature": 0.7, "top_p": 0.9, "max_tokens": 256}),
        (
            "Qwen/Qwen2.5-72B-Instruct",
            32,
            {"temperature": 0.7, "top_p": 0.8, "max_tokens": 512, "repetition_penalty": 1.05},
        ),
        (
            "google/gemma-3-27b-it",
            128,
            {"temperature": 1.0, "top_p": 0.95, "top_k": 64, "max_tokens": 512},
        ),
    ],
)
def test_sampling_and_words_follow_the_model_family(
    model: str, words: int, sampling: dict[str, float]
) -> None:
    assert SQPSYCH.words_for("client", model) == words
    assert SQPSYCH.sampling_for(model).as_request() == sampling


def test_family_with_the_longest_prefix_counts() -> None:
    text = SQPSYCH.toml + '\n[families."qwen2.5-7b"]\ntemperature = 0.1\n'
    # [families] tables may stand anywhere in the file, so appending one is enough.
    protocol = load_protocol(text, origin="mine.toml")
    assert protocol.sampling_for("Qwen2.5-7B-Instruct").temperature == 0.1
    assert protocol.sampling_for("Qwen2.5-7B-Instruct").max_tokens == 256
    assert protocol.sampling_for("Qwen2.5-72B-Instruct").temperature == 0.7


def test_retry_limits_follow_the_more_patient_family() -> None:
    small = SQPSYCH.retry_for("SmolLM2-135M-Instruct", "smollm2")
    assert (small.attempts, small.max_kept) == (2, 66)
    plain = SQPSYCH.retry_for("unheard-of", "google/gemma-3-27b-it")
    assert (plain.attempts, plain.max_kept) == (3, 50)
    assert small.after == plain.after


@pytest.mark.parametrize(
    ("condition", "variant"),
    [
        ("control", "control"),
        (" Healthy Control ", "control"),
        ("mdd", "distressed"),
        ("", "distressed"),
    ],
)
def test_client_variant_follows_the_condition(condition: str, variant: str) -> None:
    chosen = SQPSYCH.client.variant_for(condition)
    assert chosen is not None
    assert chosen.name == variant
    assert SQPSYCH.therapist.variant_for(condition) is None


def test_retry_policy_names_what_follows_each_defect() -> None:
    retry = SQPSYCH.retry
    assert retry.action(DefectKind.EMPTY) == "fail"
    assert retry.action(DefectKind.CUT) == "keep"
    assert retry.action(DefectKind.OVER_LONG) == "note"
    assert not retry.asks_again([DefectKind.OVER_LONG, DefectKind.EARLY_MARKER])
    assert retry.asks_again([DefectKind.OVER_LONG, DefectKind.LOOPS])


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("{{ steps }}", "{{ stops }}", ("line 47", "placeholder stops", "marker, steps, words")),
        ("{{ steps }}", "{{ steps", ("line 47", "double braces")),
        ("{{ full_text }}", "{{ client_text }}", ("'therapist'", "placeholder client_text")),
        ("{{ full_text }}", "", ("'therapist'", "placeholder full_text")),
        ('sees = "client_text"', 'sees = "all"', ("'sees' must be",)),
        ("words = 64", 'words = "64"', ("line 49", "'words' must be a whole number")),
        ("words = 64", "words = 0", ("line 49", "'words' must be 1 or more")),
        ("min_exchanges = 15", "min_exchanges = 34", ("'ending'", "above stop_at")),
        ("nudge_from = 22", "nudge_from = 34", ("'ending'", "above stop_at")),
        ('marker = "[/END]"', 'marker = "the end"', ("'marker'",)),
        ("attempts = 3", "attemps = 3", ("'attemps' is not known",)),
        ('unreadable = "fail"', 'unreadable = "keep"', ("unreadable", "cannot be stored")),
        ('empty = "fail"', 'emty = "fail"', ("emty, which is no kind of defect",)),
        ('over_long = "note"', 'over_long = "drop"', ("'over_long' must be",)),
        ('key = "agenda"', 'key = "mood"', ("two phases with the key mood",)),
        ('name = "control"\nwhen', 'name = "control"\nwhenn', ("'whenn' is not known",)),
        ('key = "sqpsych"', 'key = "SQ Psych"', ("'key'",)),
        ("[sampling]", "[sampling", ("not a valid TOML file", "line 139")),
        ("[sampling]", "[sampled]", ("'sampled' is not known",)),
    ],
)
def test_broken_file_gives_one_sentence_with_place(
    old: str, new: str, parts: tuple[str, ...]
) -> None:
    message = error_for(old, new)
    assert message.startswith("mine.toml")
    assert message.endswith(".")
    assert "\n" not in message
    for part in parts:
        assert part in message


@pytest.mark.parametrize("name", ["sha256", "toml"])
def test_file_may_not_bring_its_own_hash(name: str) -> None:
    message = error_for('key = "sqpsych"', f'key = "sqpsych"\n{name} = "x"')
    assert message == f"mine.toml, key {name}: is computed and must not be in the file."


def test_missing_opening_is_refused() -> None:
    line = next(row for row in SQPSYCH.toml.splitlines() if row.startswith("opening"))
    assert "therapist.opening" in error_for(line + "\n", "")


def test_any_byte_changes_the_hash() -> None:
    other = load_protocol(SQPSYCH.toml + "# note\n", origin="mine.toml")
    assert isinstance(other, Protocol)
    assert other.sha256 != SQPSYCH.sha256


CBT = builtin_protocols()["cbt-plan"]


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("up_to = 3", 'up_to = "3"', "stage 2: 'up_to' must be a whole number"),
        ('title = "Upset"', 'titel = "Upset"', "style 2: the key 'titel' is not known here"),
        ("most = 4", "most = 0", "phase 3: 'most' must be 1 or more"),
        ('form = "session_plan"', 'form = "plan"', "preparation 2: 'form' must be"),
        ('name = "control"', 'nam = "control"', "variant 2: the key 'nam' is not known"),
        ('sets = "client.style"', 'sets = "client style"', "switch 1: 'sets' has a value"),
        ('over_long = "note"', 'over_long = "drop"', "'over_long' must be 'note'"),
    ],
)
def test_error_names_the_line_in_nested_tables(old: str, new: str, place: str) -> None:
    line = CBT.toml[: CBT.toml.index(old)].count("\n") + 1
    with pytest.raises(ProtocolError) as refused:
        load_protocol(CBT.toml.replace(old, new, 1), origin="my.toml")
    message = str(refused.value)
    assert message.startswith(f"my.toml, line {line}")
    assert place in message


# Model -> therapist's and client's word limits, sampling: what the publication used.
PAPER = {
    "Qwen/Qwen2.5-72B-Instruct": (64, 32, 0.7, 0.8, None, 1.05, 512),
    "meta-llama/Llama-3.3-70B-Instruct": (128, 64, 0.6, 0.8, None, None, 256),
    "nvidia/Llama-3_3-Nemotron-Super-49B-v1": (64, 64, 0.6, 0.8, None, None, 256),
    "mistralai/Mistral-Large-Instruct-2407": (64, 64, 0.7, 0.8, None, None, 256),
    "CohereForAI/c4ai-command-a-03-2025": (64, 64, 0.6, 1.0, None, None, 512),
    "google/gemma-3-27b-it": (64, 128, 1.0, 0.95, 64, None, 512),
    "Qwen/QwQ-32B": (64, 64, 0.6, 0.95, 40, 1.1, 2048),
}


@pytest.mark.parametrize("model", PAPER)
def test_published_models_have_their_words_and_sampling(model: str) -> None:
    therapist, client, temperature, top_p, top_k, penalty, most = PAPER[model]
    assert (SQPSYCH.words_for("therapist", model), SQPSYCH.words_for("client", model)) == (
        therapist,
        client,
    )
    sampling = SQPSYCH.sampling_for(model)
    assert (sampling.temperature, sampling.top_p, sampling.top_k) == (temperature, top_p, top_k)
    assert (sampling.repetition_penalty, sampling.max_tokens) == (penalty, most)


def test_only_instructions_let_a_published_client_be_silent() -> None:
    assert SQPSYCH.client.silence == "..."
    assert "answer with exactly three dots" in SQPSYCH.client.system
    assert "You may hesitate" in SQPSYCH.client.system
    assert SQPSYCH.critique is None
    assert SQPSYCH.resistance is None
    assert SQPSYCH.preparations == ()


def test_planned_protocol_holds_what_it_promises() -> None:
    assert (CBT.therapist.sees, CBT.client.sees) == ("intake_text", "client_text")
    assert [style.key for style in CBT.client.styles] == [
        *("plain", "upset", "verbose", "reserved", "tangent", "pleasing")
    ]
    assert [(step.key, step.sees, step.given_to) for step in CBT.preparations] == [
        ("conceptualisation", "client_text", "client"),
        ("plan", "intake_text", "therapist"),
    ]
    assert CBT.risk_profiles == "opt_in"
    assert sum(phase.most or 0 for phase in CBT.phases) <= CBT.ending.stop_at
    assert sum(phase.least for phase in CBT.phases) <= CBT.ending.min_exchanges


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("most = 2\n", "", "must have most in every phase but the last"),
        ('style = "plain"', 'style = "sour"', "has the style sour, which is none of its styles"),
        ('language = "en"', 'language = "de"', "what earns it is told in English only"),
        ("{{ advice }}", "", "must have the placeholder advice in revise"),
        ("{{ goal }}", "{{ gaol }}", "unknown placeholder gaol in ask"),
        ("of the session: {{ title }}", "of the session: {{ name }}", "name in phase_note"),
        ('key = "pleasing"', 'key = "plain"', "two styles with the key plain"),
        ('key = "plan"', 'key = "conceptualisation"', "two preparations with the key"),
        ("least = 1\nmost = 3", "least = 4\nmost = 3", "must not have least above most"),
    ],
)
def test_protocol_that_contradicts_itself_is_refused(old: str, new: str, words: str) -> None:
    assert old in CBT.toml
    with pytest.raises(ProtocolError, match=words):
        load_protocol(CBT.toml.replace(old, new, 1), origin="my.toml")
