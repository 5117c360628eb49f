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
