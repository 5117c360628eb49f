"""What a step of a dialogue leaves behind, stored with others in one transaction, exactly once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone

from generation.actions.recipes import code_version
from generation.copying import copy_rows
from generation.models import Attempt, AttemptOutcome, Dialogue, DialogueState, Finding, Turn


@dataclass(frozen=True, slots=True)
class Finish:
    """How a dialogue ends: ``ended_by`` for a complete one, ``reason`` for a failed one."""

    ended_by: str = ""
    reason: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """What one step of a dialogue leaves behind; stored whole or not at all.

    ``stands`` is the number of an earlier attempt whose draft became the turn; ``forms`` is all
    that is prepared of the dialogue.
    """

    dialogue_id: int
    turn: Turn | None = None
    attempts: tuple[Attempt, ...] = ()
    findings: tuple[Finding, ...] = ()
    finish: Finish | None = None
    stands: int | None = None
    forms: Mapping[str, Any] | None = None


def store_entries(owner: UUID, entries: Sequence[Entry]) -> list[bool]:
    """Store the entries whose dialogue is leased to ``owner``, in one transaction.

    Says of each whether it is stored. An entry that is there already counts as stored and leaves
    nothing twice, so the same call may be made again.
    """
    with transaction.atomic():
        ours = _lock_ours(owner, [entry.dialogue_id for entry in entries])
        results = [_may_store(entry, ours.get(entry.dialogue_id)) for entry in entries]
        kept = [entry for entry, stored in zip(entries, results, strict=True) if stored]
        # Sent again after a lost connection: the turn is there, and so is all that came with it.
        new = [e for e in kept if not (e.turn and ours[e.dialogue_id] == e.turn.number)]
        attempts = _not_stored(new)
        _advance(new, attempts)
        copy_rows([entry.turn for entry in new if entry.turn])
        copy_rows(attempts)
        Finding.objects.bulk_create(
            [finding for entry in kept for finding in entry.findings], ignore_conflicts=True
        )
        _keep_steps(kept)
        _finish({entry.dialogue_id: entry.finish for entry in kept if entry.finish})
    return results


def _keep_steps(entries: Sequence[Entry]) -> None:
    """Store forms, and mark drafts that stand. Few protocols have either."""
    for entry in entries:
        if entry.forms is not None:
            Dialogue.objects.filter(pk=entry.dialogue_id).update(forms=entry.forms, claims=0)
        if entry.turn is not None and entry.stands is not None:
            Attempt.objects.filter(
                dialogue=entry.dialogue_id, turn_number=entry.turn.number, number=entry.stands
            ).update(outcome=AttemptOutcome.ACCEPTED)


def _lock_ours(owner: UUID, ids: list[int]) -> dict[int, int]:
    """Dialogue id -> turns stored, of those leased to the owner; their rows stay locked."""
    rows = (
        Dialogue.objects.filter(pk__in=ids, lease_owner=owner, state=DialogueState.RUNNING)
        .order_by("pk")
        .select_for_update(no_key=True)
        .values_list("pk", "turn_count")
    )
    return dict(rows)


def _may_store(entry: Entry, turns_stored: int | None) -> bool:
    if turns_stored is None:
        return False
    return entry.turn is None or turns_stored in {entry.turn.number - 1, entry.turn.number}


def _not_stored(entries: Sequence[Entry]) -> list[Attempt]:
    """The attempts of new entries, without those that a lost answer left behind."""
    alone = [attempt for entry in entries if not entry.turn for attempt in entry.attempts]
    known: set[tuple[int, int, int]] = set()
    if alone:
        # A turn is new for sure; an attempt without one may have been stored just before.
        rows = Attempt.objects.filter(
            dialogue_id__in={attempt.dialogue_id for attempt in alone},
            turn_number__in={attempt.turn_number for attempt in alone},
        )
        known = set(rows.values_list("dialogue_id", "turn_number", "number"))
    made = (attempt for entry in entries for attempt in entry.attempts)
    return [each for each in made if (each.dialogue_id, each.turn_number, each.number) not in known]


_ADVANCE = """
UPDATE generation_dialogue AS dialogue SET
    turn_count = coalesce(step.turn, dialogue.turn_count),
    claims = CASE WHEN step.turn IS NULL THEN dialogue.claims ELSE 0 END,
    requests = requests + step.made,
    prompt_tokens = prompt_tokens + step.asked,
    cached_tokens = cached_tokens + step.cached,
    cached_of_tokens = cached_of_tokens + step.cached_of,
    completion_tokens = completion_tokens + step.said,
    reply_ms = reply_ms + step.took,
    gpu_us = gpu_us + step.gpu,
    unpriced_us = unpriced_us + step.unpriced,
    cost = cost + step.price
FROM unnest(
    %s::bigint[], %s::int[], %s::int[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[],
    %s::bigint[], %s::bigint[], %s::bigint[], %s::numeric[]
) AS step(id, turn, made, asked, cached, cached_of, said, took, gpu, unpriced, price)
WHERE dialogue.id = step.id
"""


def _advance(entries: Sequence[Entry], attempts: Sequence[Attempt]) -> None:
    """Count new turns and what the attempts cost in the dialogues' rows.

    A new turn is progress: ``claims`` counts only what came to nothing.
    """
    turns = {entry.dialogue_id: entry.turn.number for entry in entries if entry.turn}
    made: dict[int, list[Attempt]] = {pk: [] for pk in turns}
    for attempt in attempts:
        made.setdefault(attempt.dialogue_id, []).append(attempt)
    if made:
        steps = [(pk, turns.get(pk), *_sums(each)) for pk, each in made.items()]
        with connection.cursor() as cursor:
            cursor.execute(_ADVANCE, [list(column) for column in zip(*steps, strict=True)])


def _sums(made: Sequence[Attempt]) -> tuple[int | Decimal, ...]:
    """What attempts add up to, in the order of _ADVANCE."""
    told = [each for each in made if each.cached_tokens is not None]
    return (
        len(made),
        sum(each.prompt_tokens for each in made),
        sum(each.cached_tokens or 0 for each in told),
        sum(each.prompt_tokens for each in told),
        sum(each.completion_tokens for each in made),
        sum(each.latency_ms for each in made),
        sum(each.gpu_us for each in made),
        sum(each.gpu_us for each in made if each.cost is None),
        sum((each.cost for each in made if each.cost is not None), Decimal(0)),
    )


def _finish(ends: Mapping[int, Finish]) -> None:
    """End dialogues, and complete what is known of how they came about."""
    if not ends:
        return
    servers = _servers(ends)
    for row in Dialogue.objects.filter(pk__in=ends).only("provenance").order_by("pk"):
        finish = ends[row.pk]
        Dialogue.objects.filter(pk=row.pk).update(
            state=DialogueState.FAILED if finish.reason else DialogueState.COMPLETE,
            ended_by=finish.ended_by[:20],
            failure_reason=finish.reason[:60],
            failure_detail=finish.detail[:300],
            provenance={
                **row.provenance,
                "servers": servers.get(row.pk, {}),
                "code_at_end": code_version(),
            },
            lease_owner=None,
            lease_until=None,
            finished_at=timezone.now(),
        )


def _servers(ids: Iterable[int]) -> dict[int, dict[str, str]]:
    """Dialogue -> the servers that were asked for it, with their versions, over all workers."""
    rows = (
        Attempt.objects.filter(dialogue_id__in=ids, request__has_key="server")
        .order_by("request__server__version")
        .values_list("dialogue_id", "request__server__name", "request__server__version")
        .distinct()
    )
    found: dict[int, dict[str, str]] = {}
    for dialogue_id, name, version in rows:
        known = found.setdefault(dialogue_id, {})
        known[name] = f"{known[name]}, {version}" if known.get(name) else version
    return found
