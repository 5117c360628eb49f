"""A thousand dialogues while the model server errs, hangs and dies, workers are killed, the broker
forgets and the database restarts."""

from pathlib import Path

import pytest

from generation.driver import ERROR_CAP
from tests.fakes.model_server import spawn
from tests.reliability.storm import FINISHED, STATES, TURNS, Installation, strike

pytestmark = pytest.mark.timeout(420)

DIALOGUES = 1000
AT_ONCE = 64
DEAD_S = 60
FAULTS = ("server_error=0.05", "reset=0.05", "hang=0.02", "cut_body=0.02")
# Leases run out and hanging requests are given up sooner than a group would want.
SETTINGS = {
    "SQPSYCH_ENGINE_LEASE_SECONDS": "5",
    "SQPSYCH_ENGINE_REQUEST_SECONDS": "5",
    "SQPSYCH_ENGINE_SLICE_SECONDS": "30",
}


def test_thousand_dialogues_end_once_each_whatever_fails(tmp_path: Path) -> None:
    here = Installation(tmp_path / "var", **SETTINGS)
    faults = [part for fault in FAULTS for part in ("--fault", fault)]
    with spawn("--latency", "0.02", *faults) as (url, _), here.up():
        here.python("-m", "tests.reliability.storm", str(DIALOGUES), str(AT_ONCE), url)
        here.scheduler()
        first, second = here.worker(), here.worker()
        here.wait_for(TURNS, 300)
        first.kill()
        here.worker()
        here.wait_for(TURNS, 600)
        here.flush_broker()
        here.wait_for(TURNS, 900)
        second.kill()
        here.wait_for(TURNS, 1200)
        here.restart_database()
        here.wait_for(TURNS, 1500)
        strike(url, f"die?seconds={DEAD_S}")
        here.wait_for(FINISHED, 1)
        check(here)


# Dialogues whose turns are not exactly 1, 2, ... turn_count, therapist and client in turn.
UNSOUND_TURNS = """
SELECT d.id FROM generation_dialogue d JOIN generation_turn t ON t.dialogue_id = d.id
GROUP BY d.id
HAVING count(*) <> d.turn_count OR max(t.number) <> d.turn_count
    OR count(DISTINCT t.number) <> d.turn_count OR d.turn_count NOT IN (3, 4)
    OR bool_or((t.role = 'therapist') <> (t.number % 2 = 1))
"""
# Turns with not exactly one accepted attempt, with gaps in the attempts, or with too many.
UNSOUND_ATTEMPTS = """
SELECT t.dialogue_id, t.number
FROM generation_turn t JOIN generation_attempt a
    ON a.dialogue_id = t.dialogue_id AND a.turn_number = t.number
GROUP BY t.dialogue_id, t.number, t.attempts_used
HAVING count(*) FILTER (WHERE a.outcome = 'accepted') <> 1
    OR max(a.number) <> count(*) OR t.attempts_used <> count(*)
    OR count(*) FILTER (WHERE a.outcome = 'rejected') > 2
"""
# Dialogues whose ledger does not tell of every attempt.
UNSOUND_LEDGER = """
SELECT d.id FROM generation_dialogue d JOIN generation_attempt a ON a.dialogue_id = d.id
GROUP BY d.id
HAVING d.requests <> count(*) OR d.completion_tokens <> sum(a.completion_tokens)
"""
MOST_ERRORS = """
SELECT max(n) FROM (
    SELECT count(*) AS n FROM generation_attempt WHERE outcome = 'error'
    GROUP BY dialogue_id, turn_number
) AS of_a_turn
"""
SPOKE = "SELECT count(DISTINCT dialogue_id) FROM generation_turn"
LEASED = "SELECT count(*) FROM generation_dialogue WHERE lease_owner IS NOT NULL"
ERRORS = "SELECT DISTINCT error FROM generation_attempt"
TOLD = "SELECT count(*) FROM generation_engineevent WHERE message LIKE '{}'"


def check(here: Installation) -> None:
    """Every dialogue is complete, once; no turn is missing or twice; nobody was asked too often."""
    assert here.rows(STATES) == [("complete", "", DIALOGUES)]
    assert here.number(TOLD.format("The batch is finished: 1000 complete, 0 failed.")) == 1
    assert here.number(TOLD.format("Model server stub1 is waited for%")) >= 1
    assert here.number(TOLD.format("Taken up again from a lost worker: %")) >= 1
    assert here.number(SPOKE) == DIALOGUES
    for unsound in (UNSOUND_TURNS, UNSOUND_ATTEMPTS, UNSOUND_LEDGER):
        assert here.rows(unsound) == []
    assert here.number(MOST_ERRORS) <= ERROR_CAP
    assert here.number(LEASED) == 0
    errors = {error for (error,) in here.rows(ERRORS)}
    assert {"server_error", "connection_lost", "deadline", "cut_body"} <= errors
