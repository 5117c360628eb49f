"""The rule of thumb for tokens, corrected by what servers count."""

import pytest

from generation.token_scale import TokenScale, scaled_estimate
from generation.turns import ChatMessage, estimate_tokens

LONG = [ChatMessage("user", "word " * 400)]
SHORT = [ChatMessage("user", "word")]
ESTIMATED = estimate_tokens(LONG)


def test_scale_follows_the_densest_prompt_up_at_once_and_down_slowly() -> None:
    scale = TokenScale()
    scale.note(LONG, ESTIMATED // 2)
    assert scale.factor == pytest.approx(0.5, abs=0.01)
    scale.note(LONG, 2 * ESTIMATED)
    assert scale.factor == 2.0
    scale.note(LONG, ESTIMATED)
    assert scale.factor == pytest.approx(1.98)
    for _ in range(500):
        scale.note(LONG, ESTIMATED)
    assert scale.factor == pytest.approx(1.0, abs=0.001)


def test_short_prompts_and_servers_that_do_not_count_teach_nothing() -> None:
    scale = TokenScale()
    scale.note(SHORT, 500)
    scale.note(LONG, 0)
    assert scale.factor == 1.0


def test_estimate_takes_the_densest_server() -> None:
    dense, loose = TokenScale(), TokenScale()
    dense.note(LONG, 3 * ESTIMATED)
    loose.note(LONG, ESTIMATED // 2)
    assert scaled_estimate(LONG, [loose, dense]) == 3 * ESTIMATED
    assert scaled_estimate(LONG, []) == ESTIMATED
