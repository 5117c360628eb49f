"""From claimed rows to dialogues that can go on: settings, prompts, turns, attempts so far."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import F, Q

from generation.actions.definitions import arm_protocol
from generation.defects import Defect, DefectKind
from generation.model_forms import Critique, FormError, read_form
from generation.models import Arm, Attempt, AttemptOutcome, AttemptPurpose, Dialogue, Turn
from generation.prompts import Prompts
from generation.protocols import Protocol
from generation.session import ContextLimit, Draft, Session
from generation.utterances import CLIENT, THERAPIST, Role, Utterance

_KINDS = frozenset(DefectKind)
SPOKEN = (AttemptPurpose.TURN, AttemptPurpose.REVISION)


@dataclass(frozen=True, slots=True)
class ArmPlan:
    """An arm's settings; arms never change, so an engine reads each once."""

    protocol: Protocol
    models: Mapping[Role, str]
    sampling: Mapping[Role, Mapping[str, Any]]


@dataclass(slots=True)
class Work:
    """One claimed dialogue and where it stands.

    requests: all requests made for the turn that comes next; errors: those of them that brought no
    reply; rejected: replies not taken since the last that was. forms: what is prepared; draft,
    critique: how far the next turn is.
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
    forms: Mapping[str, Any] = field(default_factory=dict)
    draft: Attempt | None = None
    critique: Critique | None = None
    lanes: dict[Role, int] = field(default_factory=dict)

    def session(self, context: ContextLimit) -> Session:
        """The dialogue's session, as far as it is."""
        return Session(
            self.plan.protocol,
            self.prompts,
            self.history,
            attempts_used=self.rejected,
            context=context,
            forms=self.forms,
            draft=_draft(self.draft) if self.draft else None,
            critique=self.critique,
        )


def _draft(attempt: Attempt) -> Draft:
    known = [each for each in attempt.defects if each["kind"] in _KINDS]
    return Draft(attempt.text, tuple(Defect(DefectKind(d["kind"]), d["detail"]) for d in known))


def load_work(ids: Sequence[int], plans: dict[int, ArmPlan]) -> list[Work]:
    """Read claimed dialogues; arms not yet in ``plans`` are added to it. Four queries at most."""
    rows = Dialogue.objects.filter(pk__in=ids).only(
        "batch_id", "arm_id", "seed", "therapist_system", "client_system", "provenance", "forms"
    )
    dialogues = list(rows.order_by("pk"))
    _load_plans({row.arm_id or 0 for row in dialogues} - set(plans), plans)
    kept = _kept_turns(ids, {row.pk: plans[row.arm_id or 0].protocol for row in dialogues})
    histories = _histories(ids, kept)
    made = _attempts(ids, {row.pk: _next_number(row, plans) for row in dialogues})
    work = []
    for row in dialogues:
        so_far = made.get(row.pk, _SoFar())
        work.append(
            Work(
                dialogue_id=row.pk,
                batch_id=row.batch_id or 0,
                plan=plans[row.arm_id or 0],
                seed=row.seed,
                prompts=stored_prompts(row),
                history=histories[row.pk],
                requests=so_far.requests,
                rejected=so_far.rejected,
                errors=so_far.errors,
                forms=row.forms,
                draft=so_far.draft,
                critique=so_far.critique,
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
        preparations=stored.get("preparations", {}),
        style=stored.get("style", ""),
    )


def _histories(ids: Sequence[int], kept: set[tuple[int, int]]) -> dict[int, list[Utterance]]:
    """Stored turns. No turn is marked as closing: one that closes is stored together with the
    dialogue's end, so a dialogue that can be claimed has none."""
    found: dict[int, list[Utterance]] = defaultdict(list)
    turns = Turn.objects.filter(dialogue_id__in=ids).order_by("dialogue_id", "number")
    for dialogue_id, number, role, text, tracked in turns.values_list(
        "dialogue_id", "number", "role", "text", "tracked"
    ):
        speaker: Role = THERAPIST if role == THERAPIST else CLIENT
        said = Utterance(number, speaker, text, kept=(dialogue_id, number) in kept, **tracked)
        found[dialogue_id].append(said)
    return found


def _kept_turns(ids: Sequence[int], protocols: Mapping[int, Protocol]) -> set[tuple[int, int]]:
    """(dialogue, turn) of the turns that were stored although they had a defect."""
    accepted = Attempt.objects.filter(dialogue_id__in=ids, outcome=AttemptOutcome.ACCEPTED)
    faulty = accepted.filter(purpose__in=SPOKEN).exclude(defects=[])
    return {
        (dialogue_id, number)
        for dialogue_id, number, defects in faulty.values_list(
            "dialogue_id", "turn_number", "defects"
        )
        if protocols[dialogue_id].retry.asks_again(_kinds(defects))
    }


def _kinds(defects: Sequence[Mapping[str, str]]) -> list[DefectKind]:
    return [DefectKind(each["kind"]) for each in defects if each["kind"] in _KINDS]


@dataclass(slots=True)
class _SoFar:
    """What the attempts for one turn add up to."""

    requests: int = 0
    rejected: int = 0
    errors: int = 0
    draft: Attempt | None = None
    critique: Critique | None = None

    def count(self, attempt: Attempt, *, counts: bool) -> None:
        """Take one more attempt into account, in their order."""
        self.requests = attempt.number
        if attempt.outcome == AttemptOutcome.ERROR:
            self.errors += counts
        elif attempt.outcome == AttemptOutcome.REJECTED:
            self.rejected += counts
        else:
            self.rejected = 0
            if attempt.outcome == AttemptOutcome.DRAFTED:
                self.draft = attempt
            elif attempt.purpose == AttemptPurpose.CRITIQUE:
                self.critique = read_critique(attempt.text)


def read_critique(text: str) -> Critique | None:
    """A stored critique; it was read when it came, but by the code of then."""
    try:
        form = read_form(text, "critique")
    except FormError:
        return None
    return form if isinstance(form, Critique) else None


def _next_number(row: Dialogue, plans: Mapping[int, ArmPlan]) -> int:
    """The turn that comes next, or 0 where something is to be prepared before the first."""
    steps = plans[row.arm_id or 0].protocol.preparations
    unprepared = any(step.key not in row.forms for step in steps)
    return 0 if unprepared and not row.turn_count else row.turn_count + 1


def _attempts(ids: Sequence[int], next_numbers: Mapping[int, int]) -> dict[int, _SoFar]:
    """What was asked so far for what comes next.

    Only attempts since ``not_before`` count towards the limits: it is set when somebody has a
    failed dialogue tried again.
    """
    found: dict[int, _SoFar] = defaultdict(_SoFar)
    rows = (
        Attempt.objects.filter(
            Q(turn_number=F("dialogue__turn_count") + 1) | Q(turn_number=0), dialogue_id__in=ids
        )
        .annotate(
            counts=Q(dialogue__not_before=None) | Q(created_at__gte=F("dialogue__not_before"))
        )
        .defer("request", "response")
        .order_by("dialogue_id", "number")
    )
    for attempt in rows:
        if attempt.turn_number == next_numbers[attempt.dialogue_id]:
            found[attempt.dialogue_id].count(attempt, counts=attempt.counts)
    return found
