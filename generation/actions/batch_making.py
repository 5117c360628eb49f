"""A new batch: its arms, its profiles, one waiting dialogue per profile, arm and replicate."""

from collections.abc import Mapping, Sequence

from django.db import transaction

from generation.actions.chosen_profiles import CHUNK, in_chunks, profiles_of
from generation.actions.definitions import parsed_protocol
from generation.actions.errors import Refused
from generation.actions.recipes import ArmSpec, arm_for, dialogues_for
from generation.actions.traits import note_traits
from generation.actions.waking import wake_engine
from generation.models import Arm, Batch, Dialogue, Endpoint, EngineEvent, ProfileSet, Protocol
from generation.selection import ProfileFilter
from sqpsych_site import audit
from sqpsych_site.models import User

MAX_DIALOGUES = 200_000
MAX_ARMS = 50


@transaction.atomic
def create_batch(
    *,
    name: str,
    profile_set: ProfileSet | str,
    arms: Sequence[ArmSpec] = (),
    per_profile: int = 1,
    seed: int = 0,
    by: User | None,
    profiles: ProfileFilter | None = None,
    risk_reason: str = "",
    protocol: Protocol | str = "",
    model: str = "",
    therapist_model: str | None = None,
    client_model: str | None = None,
    sampling: Mapping[str, Mapping[str, float | int]] | None = None,
    label: str = "A",
) -> Batch:
    """Make a batch with one waiting dialogue per profile, arm and replicate.

    All arms get the same profiles. Those with a positive risk item stay out where the protocol of
    an arm asks for a reason and none is given; the batch remembers which way it was. Without
    ``arms``, ``protocol`` to ``label`` describe the only one. Prompts are rendered and stored now,
    so that a dialogue resumes anywhere with the same texts. Raises Refused.
    """
    specs = arms or [
        ArmSpec(
            label=label,
            protocol=protocol,
            therapist_model=therapist_model or model,
            client_model=client_model or model,
            sampling=sampling or {},
        )
    ]
    _check_words(name, per_profile, seed, risk_reason)
    _check_arms(specs)
    batch = Batch(
        name=name.strip(),
        profile_set=_profile_set(profile_set),
        per_profile=per_profile,
        seed=seed,
        created_by=by,
        profile_filter=(profiles or ProfileFilter()).stored(),
        risk_reason=risk_reason.strip(),
    )
    rows = [arm_for(spec, batch=batch) for spec in specs]
    left_out = _decide_on_risk(batch, rows)
    check_size(profiles_of(batch).count(), per_profile, len(rows))
    batch.save(force_insert=True)
    for arm in rows:
        arm.batch = batch
        arm.save(force_insert=True)
    made = sum(add_dialogues(arm, range(1, per_profile + 1)) for arm in rows)
    _note(batch, made, left_out, by)
    wake_engine()
    return batch


def add_dialogues(arm: Arm, replicates: Sequence[int]) -> int:
    """Store one waiting dialogue per profile of the batch and replicate."""
    made = 0
    for chunk in in_chunks(profiles_of(arm.batch)):
        rows = dialogues_for(arm, chunk, replicates)
        note_traits(Dialogue.objects.bulk_create(rows, batch_size=CHUNK))
        made += len(rows)
    return made


def check_size(profiles: int, per_profile: int, arms: int) -> None:
    """Refuse a batch that is larger than one may be."""
    if profiles * per_profile * arms > MAX_DIALOGUES:
        within = f" in {arms} arms" if arms > 1 else ""
        raise Refused(
            f"{profiles:,} profiles with {per_profile:,} dialogues each{within} are more than"
            f" {MAX_DIALOGUES:,} dialogues; make several batches."
        )


def _decide_on_risk(batch: Batch, arms: Sequence[Arm]) -> int:
    """Set whether profiles with a positive risk item take part. Returns how many stay out."""
    chosen = profiles_of(batch)
    if not chosen.exists():
        _refuse_empty(batch)
    asked = any(parsed_protocol(arm.protocol.toml).risk_profiles == "opt_in" for arm in arms)
    batch.with_risk = not asked or bool(batch.risk_reason)
    if batch.with_risk:
        return 0
    left_out = chosen.filter(risk_positive=True).count()
    if not profiles_of(batch).exists():
        raise Refused(
            "Every profile chosen has a positive risk item; give a reason to have them take part."
        )
    return left_out


def _refuse_empty(batch: Batch) -> None:
    if batch.profile_set.profiles.exists():
        raise Refused(
            f"No profile of the set “{batch.profile_set.name}” fits the filter; widen it."
        )
    raise Refused(f"The profile set “{batch.profile_set.name}” holds no profiles.")


def _note(batch: Batch, made: int, left_out: int, by: User | None) -> None:
    said = [f"The batch was started with {made} dialogues."]
    if left_out:
        said.append(f"Profiles with a positive risk item that stayed out: {left_out}.")
    if batch.risk_reason:
        taken = profiles_of(batch).filter(risk_positive=True).count()
        said.append(f"Profiles with a positive risk item that take part: {taken}.")
        audit.record(
            by=by,
            action="batch.include_risk",
            target=f"batch {batch.pk}",
            profiles=taken,
            reason=batch.risk_reason,
        )
    for message in said:
        EngineEvent.objects.create(batch=batch, message=message)


def _profile_set(chosen: ProfileSet | str) -> ProfileSet:
    if isinstance(chosen, ProfileSet):
        return chosen
    found = ProfileSet.objects.filter(name=chosen).first()
    if found is None and chosen.isdecimal():
        found = ProfileSet.objects.filter(pk=int(chosen[:18])).first()
    if found is None:
        raise Refused(f"There is no profile set “{chosen}”; import one or sample one first.")
    return found


def _check_words(name: str, per_profile: int, seed: int, risk_reason: str) -> None:
    if not name.strip():
        raise Refused("A batch needs a name.")
    if len(name.strip()) > 120:
        raise Refused("The name of a batch has at most 120 characters.")
    if per_profile < 1:
        raise Refused("The number of dialogues per profile must be at least 1.")
    if not -(2**63) <= seed < 2**63:
        raise Refused("The seed must be a whole number of at most 18 digits.")
    if len(risk_reason.strip()) > 300:
        raise Refused("The reason has at most 300 characters; shorten it.")


def _check_arms(specs: Sequence[ArmSpec]) -> None:
    if len(specs) > MAX_ARMS:
        raise Refused(f"A batch has at most {MAX_ARMS} arms; make several batches.")
    labels = [spec.label.strip() for spec in specs]
    for label in labels:
        if not 1 <= len(label) <= 40:
            raise Refused("The label of an arm has 1 to 40 characters.")
        if labels.count(label) > 1:
            raise Refused(f"Two arms have the label “{label}”; give each its own.")
    known = sorted(set(Endpoint.objects.filter(enabled=True).values_list("model", flat=True)))
    for model in (model for spec in specs for model in (spec.therapist_model, spec.client_model)):
        if model not in known:
            offer = (
                f"the models here are: {', '.join(known)}"
                if known
                else "no model server is entered"
            )
            raise Refused(f"No model server here serves the model “{model}”; {offer}.")
