"""From claimed rows to dialogues that can go on: settings, prompts, turns, attempts so far."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import F, Q

from generation.actions.definitions import arm_protocol
from generation.defects import DefectKind
from generation.models import Arm, Attempt, AttemptOutcome, Dialogue, Turn
from generation.prompts import Prompts
from generation.protocols import Protocol
from generation.utterances import CLIENT, THERAPIST, Role, Utterance

_KINDS = frozenset(DefectKind)


@dataclass(frozen=True, slots=True)
class ArmPlan:
    """An arm's settings; arms never change, so an engine reads each once."""

    protocol: Protocol
    models: Mapping[Role, str]
    sampling: Mapping[Role, Mapping[str, Any]]


@dataclass(slots=True)
class Work:
    """One claimed dialogue and where it stands.

    requests: all requests made for the turn that comes next; rejected, errors: those of them that
    count towards the limits, by outcome.
    """

    dialogue_id: int
    batch_id: int
    plan: ArmPlan
    seed: int
    prompts: Prompts
    history: list[Utterance]
    requests: int = 0
    rejected: int = 0
    errors: int = 0
    lanes: dict[Role, int] = field(default_factory=dict)
    servers: dict[str, str] = field(default_factory=dict)


def load_work(ids: Sequence[int], plans: dict[int, ArmPlan]) -> list[Work]:
    """Read claimed dialogues; arms not yet in ``plans`` are added to it. Four queries at most."""
    rows = Dialogue.objects.filter(pk__in=ids).only(
        "batch_id", "arm_id", "seed", "therapist_system", "client_system", "provenance"
    )
    dialogues = list(rows.order_by("pk"))
    _load_plans({row.arm_id or 0 for row in dialogues} - set(plans), plans)
    kept = _kept_turns(ids, {row.pk: plans[row.arm_id or 0].protocol for row in dialogues})
    histories = _histories(ids, kept)
    made = _attempts(ids)
    work = []
    for row in dialogues:
        requests, rejected, errors = made.get(row.pk, (0, 0, 0))
        work.append(
            Work(
                dialogue_id=row.pk,
                batch_id=row.batch_id or 0,
                plan=plans[row.arm_id or 0],
                seed=row.seed,
                prompts=stored_prompts(row),
                history=histories[row.pk],
                requests=requests,
                rejected=rejected,
                errors=errors,
            )
        )
    return work


def _load_plans(arm_ids: set[int], plans: dict[int, ArmPlan]) -> None:
    if not arm_ids:
        return
    for arm in Arm.objects.filter(pk__in=arm_ids).select_related("protocol"):
        plans[arm.pk] = ArmPlan(
            protocol=arm_protocol(arm.protocol.toml, arm.switches),
            models={THERAPIST: arm.therapist_model, CLIENT: arm.client_model},
            sampling={THERAPIST: arm.sampling[THERAPIST], CLIENT: arm.sampling[CLIENT]},
        )


def stored_prompts(row: Dialogue) -> Prompts:
    """The prompts that were rendered when the dialogue was made."""
    stored = row.provenance["prompts"]
    return Prompts(
        therapist_system=row.therapist_system,
        client_system=row.client_system,
        therapist_case=stored["therapist_case"],
        client_case=stored["client_case"],
        therapist_words=stored["therapist_words"],
        client_words=stored["client_words"],
        attempts=stored["attempts"],
        max_kept=stored["max_kept"],
    )


def _histories(ids: Sequence[int], kept: set[tuple[int, int]]) -> dict[int, list[Utterance]]:
    """Stored turns. No turn is marked as closing: one that closes is stored together with the
    dialogue's end, so a dialogue that can be claimed has none."""
    found: dict[int, list[Utterance]] = defaultdict(list)
    turns = Turn.objects.filter(dialogue_id__in=ids).order_by("dialogue_id", "number")
    for dialogue_id, number, role, text in turns.values_list(
        "dialogue_id", "number", "role", "text"
    ):
        speaker: Role = THERAPIST if role == THERAPIST else CLIENT
        said = Utterance(number, speaker, text, kept=(dialogue_id, number) in kept)
        found[dialogue_id].append(said)
    return found


def _kept_turns(ids: Sequence[int], protocols: Mapping[int, Protocol]) -> set[tuple[int, int]]:
    """(dialogue, turn) of the turns that were stored although they had a defect."""
    faulty = Attempt.objects.filter(dialogue_id__in=ids, outcome=AttemptOutcome.ACCEPTED).exclude(
        defects=[]
    )
    return {
        (dialogue_id, number)
        for dialogue_id, number, defects in faulty.values_list(
            "dialogue_id", "turn_number", "defects"
        )
        if protocols[dialogue_id].retry.asks_again(_kinds(defects))
    }


def _kinds(defects: Sequence[Mapping[str, str]]) -> list[DefectKind]:
    return [DefectKind(each["kind"]) for each in defects if each["kind"] in _KINDS]


def _attempts(ids: Sequence[int]) -> dict[int, tuple[int, int, int]]:
    """Dialogue -> (requests made, rejected, errors) for the turn that comes next.

    Only attempts since ``not_before`` count towards the limits: it is set when somebody has a
    failed dialogue tried again.
    """
    found: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0])
    rows = Attempt.objects.filter(
        dialogue_id__in=ids, turn_number=F("dialogue__turn_count") + 1
    ).annotate(counts=Q(dialogue__not_before=None) | Q(created_at__gte=F("dialogue__not_before")))
    for dialogue_id, number, outcome, counts in rows.values_list(
        "dialogue_id", "number", "outcome", "counts"
    ):
        tally = found[dialogue_id]
        tally[0] = max(tally[0], number)
        tally[1] += counts and outcome == AttemptOutcome.REJECTED
        tally[2] += counts and outcome == AttemptOutcome.ERROR
    return {pk: (made, rejected, errors) for pk, (made, rejected, errors) in found.items()}
