"""Whole sessions with the real, small model on the CPU: none is lost.

Short ones, so that slow machines bear it; `make bench ARGS=model` has those of fifteen exchanges.
"""

import re
from typing import TYPE_CHECKING

import pytest
from django.db.models import Sum

from generation import actions
from generation.costs import Spent, spent_by_arm
from generation.models import Attempt, Batch, Endpoint
from generation.protocols import builtin_protocols
from tests.generation.engine_cases import assert_sound, counts, drive

if TYPE_CHECKING:
    from sqpsych_site.local.model_server import Served

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.vllm, pytest.mark.timeout(900)]
DIALOGUES = 2
EXCHANGES = 4
# The model runs on to any limit; a short one keeps the test short.
REPLY_TOKENS = 24


def few_exchanges() -> str:
    """The shipped protocol with its least length as its only one; all but nothing is taken."""
    text = builtin_protocols()["sqpsych"].toml
    for key in ("min_exchanges", "nudge_from", "stop_at"):
        text = re.sub(rf"(?m)^{key} = \d+", f"{key} = {EXCHANGES}", text)
    text = re.sub(r'(?m)^default = "keep"', 'default = "note"', text)
    return re.sub(r'(?m)^key = "sqpsych"', 'key = "few"', text)


def test_no_session_is_lost_and_the_prefix_cache_serves_most_of_the_prompts(
    vllm: "Served",
) -> None:
    actions.set_endpoint_state(
        name="local",
        base_url=vllm.url,
        model=vllm.model,
        state="ready",
        max_concurrency=DIALOGUES,
        context_length=8192,
    )
    short = {"max_tokens": REPLY_TOKENS}
    batch = actions.create_batch(
        name="few",
        profile_set=actions.sample_profiles(name="few", count=DIALOGUES, seed=5, by=None),
        protocol=actions.add_protocol(text=few_exchanges(), origin="few.toml", by=None),
        model=vllm.model,
        seed=5,
        by=None,
        sampling={"therapist": short, "client": short},
    )
    while Batch.objects.get(pk=batch.pk).state == "running":
        drive(300.0)
    assert counts(batch) == {"complete": DIALOGUES}
    assert_sound(batch)
    assert min(batch.dialogues.values_list("turn_count", flat=True)) >= 2 * EXCHANGES - 1
    spent = sum(spent_by_arm(batch.dialogues.all()).values(), Spent())
    assert spent.cached_share is not None
    assert spent.cached_share >= 0.5
    assert Attempt.objects.aggregate(n=Sum("gpu_us"))["n"] == spent.gpu_us > 0
    abilities = Endpoint.objects.values_list("abilities", flat=True).get()
    assert abilities == {"metrics": True, "cached_tokens": True}
    versions = {row.request["server"]["version"] for row in Attempt.objects.all()}
    assert len(versions) == 1
