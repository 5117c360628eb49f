"""Resistance: earned down by what the therapist does, never by being there."""

import pytest
from pydantic import ValidationError

from generation.moves import MOVES, Move, moves
from generation.protocols import builtin_protocols
from generation.resistance import Resistance
from generation.utterances import Utterance, role_of

_RULE = builtin_protocols()["cbt-plan"].resistance
assert _RULE is not None
RULE = _RULE
HEARD = "My brother stopped calling and the evenings are endless."
EARNS = "Your brother stopped calling, and that sounds lonely. What are the evenings like?"
NEUTRAL = "I see. Let us go on."
LOSES = "You should call your brother. What stops you? That sounds easy."


def talk(*therapist: str, heard: str = HEARD) -> list[Utterance]:
    """Turns in which the client always says the same between the therapist's."""
    said = [text for reply in therapist for text in (reply, heard)][:-1]
    return [Utterance(n, role_of(n), text) for n, text in enumerate(said, start=1)]


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("So the brother is silent, and the evenings are endless.", {"reflects"}),
        ("Brother? Evenings?", set()),
        ("That makes sense to me.", {"validates"}),
        ("What was that like?", {"asks_openly"}),
        ("Tell me about it.", {"asks_openly"}),
        ("Did you sleep?", set()),
        ("Would it be okay to look at that together?", {"asks_leave"}),
        ("You should sleep more.", {"advises"}),
        ("Why don’t you call him?", {"advises"}),
        ("It’s not that bad.", {"dismisses"}),
        ("That’s not true.", {"argues"}),
        ("Yes? No? Maybe?", {"interrogates"}),
        ("word " * 111, {"lectures"}),
        ("", set()),
    ],
)
def test_moves_are_told_by_their_words(said: str, found: set[Move]) -> None:
    assert moves(said, HEARD) == found
    assert found <= set(MOVES)


def test_nothing_can_be_reflected_before_anything_was_said() -> None:
    assert "reflects" not in moves("Your brother stopped calling.", "")


@pytest.mark.parametrize(
    ("therapist", "level"),
    [
        ([], 5),
        ([NEUTRAL] * 9, 5),
        ([NEUTRAL, EARNS], 5),
        ([NEUTRAL, EARNS, EARNS], 4),
        ([NEUTRAL, EARNS, NEUTRAL, EARNS], 5),
        ([NEUTRAL, EARNS, EARNS, EARNS, EARNS], 3),
        ([NEUTRAL, LOSES], 6),
        ([NEUTRAL, EARNS, LOSES, EARNS], 6),
        ([NEUTRAL] + [EARNS] * 40, 0),
        ([NEUTRAL] + [LOSES] * 40, 9),
    ],
)
def test_level_falls_by_patient_work_and_rises_at_once(therapist: list[str], level: int) -> None:
    assert RULE.level(talk(*therapist)) == level


def test_level_of_a_prefix_does_not_depend_on_what_comes_later() -> None:
    turns = talk(NEUTRAL, EARNS, EARNS, LOSES, EARNS, EARNS)
    levels = [RULE.level(turns[:n]) for n in range(1, len(turns) + 1)]
    assert levels == [5, 5, 5, 5, 4, 4, 5, 5, 5, 5, 4]


def test_client_is_told_the_stage_of_its_level() -> None:
    notes = [RULE.note(level) for level in range(10)]
    assert len(set(notes)) == 5
    assert all(n.startswith("[How open you are now: You ") and n.endswith("]") for n in notes)
    assert "understood" in notes[0]
    assert "closed up" in notes[9]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"start": 10}, "start between lowest and highest"),
        ({"needed": 5}, "more moves than earned_by names"),
        ({"lost_by": ("advises", "reflects")}, "reflects in both"),
        ({"stages": RULE.stages[:2]}, "the last one up to highest"),
        ({"stages": RULE.stages[::-1]}, "rising up_to"),
        ({"earned_by": ("smiles",)}, "Input should be"),
    ],
)
def test_rule_that_contradicts_itself_is_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Resistance.model_validate({**RULE.model_dump(), **changes})
