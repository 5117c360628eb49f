"""What the batch designer begins with and offers, and what its rows become when one is added."""

from collections.abc import Mapping, Sequence

from django.http import QueryDict

from generation.actions.batch_making import MAX_ARMS
from generation.actions.definitions import parsed_protocol
from generation.models import Batch, Endpoint, EndpointState, Protocol
from generation.protocols import Protocol as ProtocolData
from generation.protocols import builtin_protocols
from generation.selection import ProfileFilter

DEFAULT_SEED = 1
DEFAULTS = {"per_profile": "1", "seed": str(DEFAULT_SEED)}
SWITCH = "switch-"


def known_protocols() -> dict[str, ProtocolData]:
    """Protocols that may be used, by key: those that come along, and the group's newest. A read."""
    rows = Protocol.objects.order_by("created_at", "id")
    return {row.key: parsed_protocol(row.toml) for row in rows} | builtin_protocols()


def model_choices() -> list[tuple[str, str]]:
    """The models of enabled servers with the state of the best one; ready ones first."""
    best: dict[str, EndpointState] = {}
    for model, state in Endpoint.objects.filter(enabled=True).values_list("model", "state"):
        if state == EndpointState.READY or model not in best:
            best[model] = EndpointState(state)
    ranked = sorted(best.items(), key=lambda found: (found[1] != EndpointState.READY, found[0]))
    return [
        (model, model if state == EndpointState.READY else f"{model} ({state.label.lower()})")
        for model, state in ranked
    ]


def number_of_arms(data: QueryDict) -> int:
    """How many arms were sent."""
    given = data.get("arms", "1")
    return max(1, min(int(given), MAX_ARMS)) if given.isdecimal() and len(given) < 9 else 1


def blank(profile_set: str = "") -> QueryDict:
    """A new design with one arm of the first protocol and model."""
    data = _data(DEFAULTS | {"profile_set": profile_set, "arms": "1"})
    models = model_choices()
    first = models[0][0] if models else ""
    _put(data, 0, _row("A", next(iter(known_protocols())), first, first))
    return data


def like(batch: Batch) -> QueryDict:
    """The design of a batch, to be changed before it starts."""
    wanted = ProfileFilter.model_validate(batch.profile_filter)
    arms = list(batch.arms.select_related("protocol"))
    values = {
        "name": f"{batch.name} again"[:120],
        "profile_set": str(batch.profile_set_id),
        "per_profile": str(batch.per_profile),
        "seed": str(batch.seed),
        "min_age": wanted.min_age,
        "max_age": wanted.max_age,
        "at_most": wanted.at_most,
        "findings": wanted.findings,
        "with_risk": "on" if batch.risk_reason else None,
        "risk_reason": batch.risk_reason,
        "arms": str(max(1, len(arms))),
    }
    data = _data({name: str(value) for name, value in values.items() if value is not None})
    data.setlist("conditions", list(wanted.conditions))
    data.setlist("genders", list(wanted.genders))
    bands = [f"{key}:{label}" for key, labels in wanted.bands.items() for label in labels]
    data.setlist("bands", bands)
    for number, arm in enumerate(arms):
        row = _row(arm.label, arm.protocol.key, arm.therapist_model, arm.client_model)
        row |= {f"{SWITCH}{key}": [str(value)] for key, value in arm.switches.items()}
        _put(data, number, row)
    return data


def changed_rows(data: QueryDict, action: str) -> QueryDict:
    """What was sent with an arm added, copied or taken out: ``add``, ``copy-1``, ``remove-1``."""
    verb, _, place = action.partition("-")
    rows = [_taken(data, number) for number in range(number_of_arms(data))]
    at = int(place) if place.isdecimal() and len(place) < 9 else -1
    if verb == "add" or (verb == "copy" and at in range(len(rows))):
        at = len(rows) - 1 if verb == "add" else at
        if len(rows) < MAX_ARMS:
            rows.insert(at + 1, rows[at] | {"label": [_free_label(rows)]})
    elif verb == "remove" and at in range(len(rows)) and len(rows) > 1:
        del rows[at]
    else:
        return data
    changed = data.copy()
    for name in [name for name in changed if name.startswith("arm-")]:
        del changed[name]
    changed["arms"] = str(len(rows))
    for number, row in enumerate(rows):
        _put(changed, number, row)
    return changed


def _free_label(rows: Sequence[Mapping[str, list[str]]]) -> str:
    used = {row.get("label", [""])[0].strip() for row in rows}
    letters = (chr(code) for code in range(ord("A"), ord("Z") + 1))
    numbers = (f"A{number}" for number in range(1, MAX_ARMS + 2))
    return next(each for each in (*letters, *numbers) if each not in used)


def _row(label: str, protocol: str, therapist: str, client: str) -> dict[str, list[str]]:
    return {
        "label": [label],
        "protocol": [protocol],
        "therapist_model": [therapist],
        "client_model": [client],
    }


def _taken(data: QueryDict, number: int) -> dict[str, list[str]]:
    start = f"arm-{number}-"
    return {name[len(start) :]: data.getlist(name) for name in data if name.startswith(start)}


def _put(data: QueryDict, number: int, row: Mapping[str, list[str]]) -> None:
    for name, values in row.items():
        data.setlist(f"arm-{number}-{name}", values)


def _data(values: Mapping[str, str]) -> QueryDict:
    data = QueryDict(mutable=True)
    data.update(values)
    return data
