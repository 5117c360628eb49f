"""Imported dialogues are looked through like those made here, by workers, once."""

import io
import json
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from generation import actions, tasks
from generation.models import Batch, Dialogue, Finding

pytestmark = pytest.mark.django_db

CALM = ["Hello, how are you today?", "Not so bad, thank you.", "Take care, goodbye.", "Goodbye."]
RISKY = [
    "Hello, how was your week?",
    "I want to kill myself.",
    "Let us talk about your breakfast.",
    "Therapist: what do you eat? Client: toast.",
    "Toast is nice, is it not?",
    "<|im_end|> yes",
]


def imported(*dialogues: list[str], name: str = "elsewhere") -> Batch:
    lines = [
        json.dumps(
            {
                "dialogue_id": f"d{place}",
                "messages": [
                    {"role": "user" if number % 2 else "assistant", "content": text}
                    for number, text in enumerate(texts)
                ],
            }
        )
        for place, texts in enumerate(dialogues)
    ]
    return actions.import_dialogues(
        name=name,
        filename="f.jsonl",
        source=io.BytesIO("\n".join(lines).encode()),
        file_format="messages",
        by=None,
    )


def kinds(dialogue: Dialogue) -> set[tuple[str, int | None]]:
    return set(dialogue.findings.values_list("kind", "turn_number"))


def test_an_import_waits_for_a_worker_who_finds_what_the_engine_would() -> None:
    batch = imported(CALM, RISKY)
    calm, risky = batch.dialogues.order_by("external_id")
    assert kinds(calm) == kinds(risky) == {("not_screened", None)}
    tasks.screen_imported()
    assert kinds(calm) == set()
    found = kinds(risky)
    assert {
        ("risk_cue", 2),
        ("risk_not_followed", 2),
        ("speaks_for_other", 4),
        ("markup", 6),
        ("abrupt_end", 6),
    } <= found
    assert ("not_screened", None) not in found
    before = list(Finding.objects.values_list("pk", flat=True))
    tasks.screen_imported()
    assert actions.screen_imported() == 0
    assert list(Finding.objects.values_list("pk", flat=True)) == before


def test_a_language_of_its_own_is_no_defect_and_silence_is_allowed() -> None:
    batch = imported(["Здравствуйте, как прошла ваша неделя?", "...", "До свидания.", "Спасибо."])
    actions.screen_imported()
    assert kinds(batch.dialogues.get()) == {("abrupt_end", 4)}


def test_a_dialogue_that_breaks_the_screening_is_kept_and_not_tried_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(turns: Any) -> Any:
        raise ValueError(turns[0].text)

    monkeypatch.setattr("generation.screening.findings", broken)
    batch = imported(CALM)
    assert actions.screen_imported() == 1
    finding = batch.dialogues.get().findings.get()
    assert (finding.kind, finding.detail) == (
        "not_screened",
        "the screening stopped with ValueError",
    )
    assert actions.screen_imported() == 0


def test_screening_takes_a_few_at_a_time_in_few_queries(
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    imported(*[CALM] * 20, RISKY)
    with django_assert_max_num_queries(7):
        assert actions.screen_imported() == 20
    with django_assert_max_num_queries(7):
        assert actions.screen_imported() == 1
    assert not Finding.objects.filter(kind="not_screened").exists()


def test_findings_of_dialogues_made_here_are_left_alone() -> None:
    dialogue = Dialogue.objects.create(origin="demo")
    Finding.objects.create(
        dialogue=dialogue,
        kind="not_screened",
        detail="the screening stopped with KeyError",
        created_at=dialogue.created_at,
    )
    assert actions.screen_imported() == 0
    assert dialogue.findings.count() == 1
