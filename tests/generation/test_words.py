"""Plain words: every code has some, and figures say no more than they know."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation import words
from generation.defects import DefectKind
from generation.screening import FindingKind, Severity
from generation.vllm_errors import WORDS


@pytest.mark.parametrize("kind", [*DefectKind, *FindingKind])
def test_every_kind_has_its_own_words(kind: str) -> None:
    assert words.finding(kind) != kind
    assert "_" not in words.finding(kind)


def test_finding_choices_hold_each_kind_once() -> None:
    assert set(words.finding_choices()) == {*map(str, FindingKind), *map(str, DefectKind)}


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("empty", "Empty reply, at every attempt"),
        ("too_many_defects", "Too many turns with defects"),
        ("context_full", "The conversation no longer fits the model’s context"),
        ("worker_lost", "Workers stopped on it again and again"),
        ("deadline", "The answer did not come in time"),
        ("something_newer", "Something newer"),
        ("", "Unknown"),
    ],
)
def test_failure_is_told_in_words(reason: str, said: str) -> None:
    assert words.failure(reason) == said


@pytest.mark.parametrize("error", WORDS)
def test_server_error_is_a_sentence(error: str) -> None:
    assert words.server(error)[0].isupper()
    assert words.server(error)[1:] == WORDS[error][1:]


def test_severity_and_ending_are_told_in_words() -> None:
    assert [words.severity(each) for each in Severity] == ["notice", "concern", "look soon"]
    assert words.ending("limit") == "Stopped at the protocol’s limit"
    assert words.ending("other_end") == "Other end"


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0, "0"),
        (1284, "1,284"),
        (99_999, "99,999"),
        (100_000, "100 k"),
        (999_499, "999 k"),
        (999_500, "1.00 M"),
        (1_060_000, "1.06 M"),
        (38_200_000, "38.2 M"),
        (450_000_000, "450 M"),
        (2_000_000_000, "2.00 G"),
    ],
)
def test_compact_keeps_three_digits(number: float, said: str) -> None:
    assert words.compact(number) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (60, "1 min"),
        (3569, "59 min"),
        (3599, "1 h"),
        (4200, "1 h 10 min"),
        (86_399, "1 day"),
        (90_000, "1 day 1 h"),
        (172_800, "2 days"),
    ],
)
def test_duration_is_no_more_precise_than_it_is(seconds: float, said: str) -> None:
    assert words.duration(seconds) == said


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_share_says_all_or_nothing_only_when_it_is_so(part: int, rest: int) -> None:
    assert words.share(part, part + rest) != "100 %"
    assert (words.share(part, part + rest) == "0 %") == (part == 0)
    assert words.share(rest, rest) == "100 %"


def test_share_of_nothing_is_nothing() -> None:
    assert words.share(0, 0) == "0 %"


def test_count_and_turn_range() -> None:
    assert words.count(1, "dialogue") == "1 dialogue"
    assert words.count(1200, "dialogue") == "1,200 dialogues"
    assert words.turn_range(6, 6) == "turn 6"
    assert words.turn_range(6, 11) == "turn 6 to 11"
