"""What the engine's tests share: a short protocol, small batches, and what must always hold."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from django.db import connections

from generation.actions import add_protocol, create_batch, sample_profiles
from generation.costs import Spent, spent_by_turn, spent_of
from generation.engine import SliceReport, run_slice
from generation.models import (
    Attempt,
    AttemptOutcome,
    Batch,
    Dialogue,
    DialogueState,
    Endpoint,
    EndpointState,
    Protocol,
    Turn,
)

if TYPE_CHECKING:
    from tests.fakes.model_server import FakeModelServer

SHORT = """
key = "short"
version = "1"
title = "A short talk"
description = "For tests."
source = "Our own."
risk_profiles = "include"

[therapist]
sees = "intake_text"
words = 64
opening = "The client sits down."
system = "You are the therapist. End with {{ marker }}."
case = "On file: {{ intake_text }}"

[client]
sees = "client_text"
words = 64
silence = "..."
system = "You are the client."
case = "About you: {{ client_text }}"

[ending]
min_exchanges = %(least)d
nudge_from = %(nudge)d
stop_at = %(most)d
marker = "[/END]"
note_open = "[Note:"
note_close = "]"
nudge = "Close with {{ marker }}."
last = "Say goodbye with {{ marker }}."

[sampling]
temperature = 0.7
max_tokens = 128

[retry]
attempts = 3
default = "keep"

[retry.after]
unreadable = "fail"
empty = "fail"
"""


def short_protocol(*, least: int = 2, nudge: int = 3, most: int = 3) -> Protocol:
    """A protocol whose dialogues end after ``least`` to ``most`` exchanges."""
    text = SHORT % {"least": least, "nudge": nudge, "most": most}
    text = text.replace('version = "1"', f'version = "{least}.{nudge}.{most}"')
    return add_protocol(text=text, origin="short.toml", by=None)


def endpoint_for(server: "FakeModelServer", name: str = "one", *, at_once: int = 8) -> Endpoint:
    """A ready endpoint row for a fake server."""
    return Endpoint.objects.create(
        name=name,
        base_url=server.base_url,
        model=server.model,
        max_concurrency=at_once,
        state=EndpointState.READY,
        context_length=server.max_model_len,
    )


def small_batch(
    count: int = 4,
    *,
    protocol: Protocol | None = None,
    model: str = "fake-model",
    seed: int = 1,
    therapist_model: str | None = None,
    client_model: str | None = None,
) -> Batch:
    """A batch of ``count`` dialogues of the short protocol."""
    name = f"set {count} {seed} {Batch.objects.count()}"
    profiles = sample_profiles(name=name, count=count, seed=seed, by=None)
    return create_batch(
        name="batch",
        profile_set=profiles,
        protocol=protocol or short_protocol(),
        model=model,
        seed=seed,
        by=None,
        therapist_model=therapist_model,
        client_model=client_model,
    )


def drive(seconds: float = 60.0) -> SliceReport:
    """One slice in this thread; it ends by itself when nothing is left to do."""
    return run_slice(seconds, threading.Event())


class Slice:
    """A slice under way in a thread of its own."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.reports: list[SliceReport] = []
        self.errors: list[BaseException] = []
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            self.reports.append(run_slice(60.0, self.stop))
        except BaseException as error:  # noqa: BLE001 - shown by the test
            self.errors.append(error)
        finally:
            connections.close_all()

    def end(self) -> SliceReport:
        """Stop it and give its report."""
        self.stop.set()
        return self.wait()

    def wait(self) -> SliceReport:
        """Wait until it ends by itself and give its report."""
        self.thread.join(60)
        assert not self.thread.is_alive()
        assert self.errors == []
        return self.reports[0]


@contextmanager
def slice_under_way() -> Iterator[Slice]:
    """Run a slice beside the test; it is stopped at the end at the latest."""
    running = Slice()
    running.thread.start()
    try:
        yield running
    finally:
        running.stop.set()
        running.thread.join(60)


def counts(batch: Batch) -> dict[str, int]:
    """State -> dialogues, states without any left out."""
    return {state: n for state, n in batch.dialogues.all().counts_by_state().items() if n}


def assert_sound(batch: Batch) -> None:
    """What holds for a batch whatever happened: no turn missing or twice, all told once."""
    for dialogue in batch.dialogues.all():
        turns = list(dialogue.turns.order_by("number"))
        assert [turn.number for turn in turns] == list(range(1, len(turns) + 1))
        assert dialogue.turn_count == len(turns)
        roles = ["therapist" if turn.number % 2 else "client" for turn in turns]
        assert [turn.role for turn in turns] == roles
        accepted = Attempt.objects.filter(
            dialogue=dialogue, outcome=AttemptOutcome.ACCEPTED, purpose__in=["turn", "revision"]
        )
        numbers = list(accepted.order_by("turn_number").values_list("turn_number", flat=True))
        assert numbers == [turn.number for turn in turns]
        by_turn = spent_by_turn(Attempt.objects.filter(dialogue=dialogue))
        assert spent_of(dialogue) == sum(by_turn.values(), Spent())
        assert (dialogue.lease_owner is not None) == (dialogue.state == DialogueState.RUNNING)
        if dialogue.state == DialogueState.COMPLETE:
            assert dialogue.ended_by in {"marker", "limit", "context"}
        if dialogue.state == DialogueState.FAILED:
            assert dialogue.failure_reason


def texts(dialogue: Dialogue) -> list[str]:
    """The utterances in order."""
    return list(
        Turn.objects.filter(dialogue=dialogue).order_by("number").values_list("text", flat=True)
    )


def wait_for_answers(server: "FakeModelServer", wanted: int, running: Slice | None = None) -> bool:
    """Wait until the server has answered so many requests, or the slice has ended by itself.

    False after twenty seconds.
    """
    thread = running.thread if running is not None else threading.current_thread()
    return server.wait_until(lambda: server.answered >= wanted or not thread.is_alive(), 20.0)
