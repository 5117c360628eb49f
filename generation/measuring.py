"""What an estimate rests on, read from the rows: dialogues made before, servers, prompts."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.db.models import Sum

from generation.actions import ArmSpec, Refused
from generation.actions.recipes import DefinitionShelf, arm_for, dialogues_for
from generation.batch_forms import BatchDesign, Chosen
from generation.estimates import (
    TOKENS_PER_WORD,
    ArmPlan,
    Estimate,
    Measured,
    Range,
    Servers,
    estimate,
)
from generation.models import Arm, Batch, ClientProfile, Dialogue, DialogueState, Endpoint, Protocol
from generation.protocols import Protocol as ProtocolData
from generation.turns import BYTES_PER_TOKEN

LOOKED_AT = 1000
_US = 1_000_000
_COLUMNS = (
    *("arm_id", "turn_count", "requests", "prompt_tokens", "completion_tokens", "reply_ms"),
    *("gpu_us", "unpriced_us", "cost"),
)


def estimated(design: BatchDesign, chosen: Chosen) -> Estimate:
    """What the arms that make sense so far would take. Five queries at most."""
    arms = [each for each in design.arms if not each.errors]
    replicates = design.form.cleaned_data.get("per_profile") or 1
    specs = [(each.spec(), each.follows) for each in arms]
    made = _made_before([spec for spec, _ in specs])
    profile = None
    if any(_known(made, spec) is None for spec, _ in specs):
        profile = chosen.set.profiles.order_by("pk").first()
    known = DefinitionShelf()
    plans = [
        _plan(
            spec,
            protocol,
            _known(made, spec),
            _prompt_tokens(spec, protocol, profile, known) if profile else 0.0,
        )
        for spec, protocol in specs
    ]
    models = {model for plan in plans for model in plan.models}
    return estimate(plans, chosen.taken * replicates, servers_of(models))


def servers_of(models: Iterable[str]) -> dict[str, Servers]:
    """What the enabled servers of each model bear together. One query."""
    rows = (
        Endpoint.objects.filter(model__in=list(models), enabled=True)
        .order_by()
        .values_list("model")
        .annotate(slots=Sum("max_concurrency"), gpus=Sum("gpus"))
    )
    return {model: Servers(slots, gpus) for model, slots, gpus in rows}


_Made = Mapping[tuple[str, ...], Measured]


def _known(made: _Made, spec: ArmSpec) -> Measured | None:
    """With this protocol and these models; else with these models alone."""
    models = (spec.therapist_model, spec.client_model)
    return made.get((*models, str(spec.protocol))) or made.get(models)


def _made_before(specs: Sequence[ArmSpec]) -> _Made:
    """What the newest complete dialogues of these models took, by models and by protocol too."""
    arms = Arm.objects.filter(
        therapist_model__in={spec.therapist_model for spec in specs},
        client_model__in={spec.client_model for spec in specs},
    )
    kinds = {
        pk: names
        for pk, *names in arms.order_by().values_list(
            "pk", "therapist_model", "client_model", "protocol__key"
        )
    }
    rows = Dialogue.objects.filter(arm__in=kinds, state=DialogueState.COMPLETE, requests__gt=0)
    found: dict[tuple[str, ...], Measured] = defaultdict(Measured)
    for row in rows.order_by("-pk").values(*_COLUMNS)[:LOOKED_AT]:
        therapist, client, protocol = kinds[row["arm_id"]]
        for kind in ((therapist, client), (therapist, client, protocol)):
            found[kind] += _measured(row)
    return dict(found)


def _measured(row: Mapping[str, Any]) -> Measured:
    return Measured(
        dialogues=1,
        turns=row["turn_count"],
        requests=row["requests"],
        read=row["prompt_tokens"],
        written=row["completion_tokens"],
        reply_s=row["reply_ms"] / 1000,
        gpu_s=row["gpu_us"] / _US,
        unpriced_s=row["unpriced_us"] / _US,
        cost=row["cost"],
    )


def _plan(
    spec: ArmSpec,
    protocol: ProtocolData,
    made: Measured | None,
    prompt_tokens: float,
) -> ArmPlan:
    ending = protocol.ending
    limits = (
        protocol.words_for("therapist", spec.therapist_model),
        protocol.words_for("client", spec.client_model),
    )
    return ArmPlan(
        label=spec.label,
        models=(spec.therapist_model, spec.client_model),
        turns=Range(2.0 * ending.min_exchanges, 2.0 * ending.stop_at),
        prompt_tokens=prompt_tokens,
        turn_tokens=sum(limits) / 2 * TOKENS_PER_WORD,
        measured=made or Measured(),
    )


def _prompt_tokens(
    spec: ArmSpec, protocol: ProtocolData, profile: ClientProfile, known: DefinitionShelf
) -> float:
    """Of one role's instructions and case, the mean of both, for this profile."""
    row = Protocol(
        key=protocol.key, version=protocol.version, sha256=protocol.sha256, toml=protocol.toml
    )
    batch = Batch(profile_set=profile.profile_set, seed=0)
    try:
        (dialogue,) = dialogues_for(
            arm_for(replace(spec, protocol=row), batch=batch), [profile], [1], known
        )
    except Refused:  # said when the batch is started
        return 0.0
    prompts = dialogue.provenance["prompts"]
    texts = (
        *(dialogue.therapist_system, dialogue.client_system),
        *(prompts["therapist_case"], prompts["client_case"]),
    )
    return sum(len(text.encode()) for text in texts) / BYTES_PER_TOKEN / 2
