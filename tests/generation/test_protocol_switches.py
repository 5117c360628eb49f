"""Switches: what an arm may have otherwise, as the protocol declares it."""

from typing import Any

import pytest

from generation.protocol_switches import SwitchError
from generation.protocols import ProtocolError, builtin_protocols, load_protocol

SQPSYCH = builtin_protocols()["sqpsych"]
OWN = """
[[switches]]
key = "hot"
title = "Temperature"
sets = "sampling.temperature"
values = [0.7, 1.2]

[[switches]]
key = "no_smollm"
title = "No family of its own"
without = ["families.smollm2"]

[[switches]]
key = "kind"
title = "Kind"
sets = "client.sees"
values = ["client_text", "none"]
"""


def own(more: str = "") -> str:
    return SQPSYCH.toml + OWN.rpartition("\n\n")[0] + "\n" + more


def test_questionnaire_is_taken_from_both_roles_by_data_alone() -> None:
    changed = SQPSYCH.switched({"no_questionnaire": True})
    assert (changed.therapist.sees, changed.client.sees) == ("intake_text", "life_text")
    assert (SQPSYCH.therapist.sees, SQPSYCH.client.sees) == ("full_text", "client_text")
    # All else is as it was, the file's hash too.
    assert changed.therapist.system == SQPSYCH.therapist.system
    assert changed.client.variants == SQPSYCH.client.variants
    assert changed.sha256 == SQPSYCH.sha256


def test_switch_sets_a_value_or_takes_a_table_out() -> None:
    protocol = load_protocol(own(), origin="own.toml")
    changed = protocol.switched({"hot": 1.2, "no_smollm": True})
    assert (changed.sampling.temperature, changed.sampling.max_tokens) == (1.2, 256)
    assert set(protocol.families) - set(changed.families) == {"smollm2"}
    assert protocol.switched({}) == protocol


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ({}, {}),
        ({"no_questionnaire": True}, {"no_questionnaire": True}),
        ({"no_questionnaire": "on"}, {"no_questionnaire": True}),
        ({"no_questionnaire": False}, {}),
        ({"no_questionnaire": ""}, {}),
        ({"hot": "1.2"}, {"hot": 1.2}),
        ({"hot": "0.7"}, {}),
        ({"hot": None}, {}),
    ],
)
def test_settings_equal_to_the_protocol_are_not_kept(
    given: dict[str, Any], stored: dict[str, Any]
) -> None:
    assert load_protocol(own(), origin="own.toml").settings(given) == stored


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"nope": 1}, "there is no switch “nope” (its switches are no_questionnaire, hot,"),
        ({"hot": "2"}, "the switch hot takes 0.7, 1.2, not “2”."),
        ({"no_questionnaire": "maybe"}, "the switch no_questionnaire takes on or off, not “maybe”"),
    ],
)
def test_unknown_switch_or_value_is_refused(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SwitchError) as refused:
        load_protocol(own(), origin="own.toml").settings(given)
    assert str(refused.value).startswith(sentence)


def test_setting_that_makes_no_protocol_is_found_when_the_file_is_read() -> None:
    with pytest.raises(ProtocolError) as refused:
        load_protocol(SQPSYCH.toml + OWN, origin="own.toml")
    line = (SQPSYCH.toml + OWN).splitlines().index('key = "kind"')
    assert str(refused.value).startswith(
        f"own.toml, line {line}, switch 4: sqpsych with kind = none: 'sees' must be"
    )


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ('key = "x"\ntitle = "X"', "must have either sets"),
        ('key = "x"\ntitle = "X"\nsets = "client.words"', "must have sets and values together"),
        ('key = "x"\ntitle = "X"\nwithout = ["key"]', "must not touch key"),
        ('key = "x"\ntitle = "X"\n[switches.change]\nversion = "9"', "must not touch version"),
        ('key = "no_questionnaire"\ntitle = "X"\nwithout = ["families"]', "two switches with"),
    ],
)
def test_broken_switch_is_refused_with_its_line(table: str, words: str) -> None:
    with pytest.raises(ProtocolError) as refused:
        load_protocol(SQPSYCH.toml + "\n[[switches]]\n" + table, origin="own.toml")
    assert str(refused.value).startswith("own.toml")
    assert words in str(refused.value)
