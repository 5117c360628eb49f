"""Tokens a second of a real batch beside a bare client, on the same vLLM in the same run.

The bare client drives the same kind of dialogues with the same prompts, keeps nothing and does
nothing else. The two take turns, each on profiles of its own, so that neither finds the other's
prompts in the prefix cache.
"""

import asyncio
import re
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.table import Table

if TYPE_CHECKING:
    from generation.vllm import Metrics

IN_FLIGHT = 32
ROUNDS = 1
EXCHANGES = 15
# Short replies, each taken as it is: what is measured is how the server is kept busy.
REPLY_TOKENS = 40


@dataclass(frozen=True)
class Part:
    """What one side did in one round."""

    tokens: int
    turns: int
    seconds: float

    @property
    def speed(self) -> float:
        """Tokens written per second."""
        return self.tokens / self.seconds


def measure(table: Table) -> None:
    """Start vLLM, warm it up, then batch and bare client in turn."""
    from sqpsych_site.local.engine import engine_dir, serve

    table.heading(f"Real vLLM, {IN_FLIGHT} dialogues in flight, {EXCHANGES} exchanges each")
    with serve(engine_dir()) as served:
        _endpoint(served.url, served.model)
        asyncio.run(_bare(served.url, served.model, _batch(served.model, "warm", seed=99), 1))
        ours, bare = [], []
        told = [asyncio.run(_counters(served.url, served.model))]
        for number in range(ROUNDS):
            batch_id = _batch(served.model, f"ours {number}", seed=10 + number)
            ours.append(_ours(batch_id))
            told.append(asyncio.run(_counters(served.url, served.model)))
            batch_id = _batch(served.model, f"bare {number}", seed=20 + number)
            bare.append(asyncio.run(_bare(served.url, served.model, batch_id, EXCHANGES)))
    mine, theirs = _sum(ours), _sum(bare)
    table.add("bare client", f"{theirs.speed:.0f} tokens/s", f"{theirs.turns} turns")
    table.add(
        "a batch, every turn stored",
        f"{mine.speed:.0f} tokens/s",
        f"{mine.turns} turns; {100 * mine.speed / theirs.speed:.0f} % of the bare client",
    )
    if (share := told[1].hit_share_since(told[0])) is not None:
        kept = _told_share()
        beside = f"{100 * kept:.0f} % by what each reply told" if kept is not None else ""
        table.add(
            "prompt tokens of the batch from the prefix cache", f"{100 * share:.0f} %", beside
        )


def _sum(parts: list[Part]) -> Part:
    return Part(
        sum(part.tokens for part in parts),
        sum(part.turns for part in parts),
        sum(part.seconds for part in parts),
    )


def _endpoint(url: str, model: str) -> None:
    from generation import actions
    from generation.models import Endpoint

    Endpoint.objects.update(enabled=False)
    actions.set_endpoint_state(
        name="bench",
        base_url=url,
        model=model,
        state="ready",
        enabled=True,
        max_concurrency=IN_FLIGHT,
        context_length=8192,
    )


def _batch(model: str, name: str, *, seed: int) -> int:
    """A batch of short sessions: the shipped protocol with another ending."""
    from generation import actions
    from generation.protocols import builtin_protocols

    text = builtin_protocols()["sqpsych"].toml
    for key, value in (
        ("min_exchanges", EXCHANGES),
        ("nudge_from", EXCHANGES),
        ("stop_at", EXCHANGES),
    ):
        text = re.sub(rf"(?m)^{key} = \d+", f"{key} = {value}", text)
    text = re.sub(r'(?m)^key = "sqpsych"', 'key = "bench"', text)
    text = re.sub(r'(?m)^default = "keep"', 'default = "note"', text)
    protocol = actions.add_protocol(text=text, origin="benchmark", by=None)
    profiles = actions.sample_profiles(name=name, count=IN_FLIGHT, seed=seed, by=None)
    short = {"max_tokens": REPLY_TOKENS}
    batch = actions.create_batch(
        name=name,
        profile_set=profiles,
        protocol=protocol,
        model=model,
        seed=seed,
        by=None,
        sampling={"therapist": short, "client": short},
    )
    return int(batch.pk)


def _ours(batch_id: int) -> Part:
    """The engine on a batch, until it is finished."""
    from django.db.models import Sum

    from generation.engine import run_slice
    from generation.models import Attempt, Batch, Turn

    begun = time.perf_counter()
    while Batch.objects.get(pk=batch_id).state == "running":
        run_slice(600, threading.Event())
    seconds = time.perf_counter() - begun
    made = Attempt.objects.filter(dialogue__batch=batch_id)
    tokens = made.aggregate(n=Sum("completion_tokens"))["n"] or 0
    return Part(tokens, Turn.objects.filter(dialogue__batch=batch_id).count(), seconds)


async def _bare(url: str, model: str, batch_id: int, exchanges: int) -> Part:
    """The same sessions without anything around them."""
    from asgiref.sync import sync_to_async

    from generation.loading import Work, load_work
    from generation.models import Batch, Dialogue
    from generation.session import Accepted, Reply, Session, TurnRequest
    from generation.vllm import ModelServer, Sampling

    def works() -> list[Work]:
        Batch.objects.filter(pk=batch_id).update(state="cancelled")
        return load_work(
            list(Dialogue.objects.filter(batch=batch_id).values_list("pk", flat=True)), {}
        )

    async def one(server: ModelServer, work: Work) -> tuple[int, int]:
        session = Session(work.plan.protocol, work.prompts, ())
        tokens = turns = 0
        step = session.next_request()
        while isinstance(step, TurnRequest) and turns < 2 * exchanges:
            sampling = Sampling(**work.plan.sampling[step.role])
            reply = await server.chat(step.messages, sampling, step.stop, 600)
            tokens += reply.completion_tokens
            verdict = session.receive(Reply(reply.text, reply.finish_reason))
            turns += isinstance(verdict, Accepted)
            step = session.next_request()
        return tokens, turns

    todo = await sync_to_async(works)()
    async with ModelServer(url, model, max_connections=IN_FLIGHT) as server:
        begun = time.perf_counter()
        done = await asyncio.gather(*(one(server, work) for work in todo))
        seconds = time.perf_counter() - begun
    return Part(sum(each[0] for each in done), sum(each[1] for each in done), seconds)


async def _counters(url: str, model: str) -> "Metrics":
    from generation.vllm import ModelServer

    async with ModelServer(url, model) as server:
        return await server.metrics()


def _told_share() -> float | None:
    """The same share from the ledger of the measured batches."""
    from generation.costs import Spent, spent_by_arm
    from generation.models import Dialogue

    spent = spent_by_arm(Dialogue.objects.filter(batch__name__startswith="ours"))
    return sum(spent.values(), Spent()).cached_share
