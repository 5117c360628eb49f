"""What state the endpoints are in: asked over the network, noted in their rows."""

import asyncio
import os
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from generation.actions.endpoints import set_endpoint_state
from generation.actions.errors import Refused
from generation.models import Batch, BatchState, Endpoint, EndpointState, EngineEvent
from generation.vllm import AddressRefused, ModelServer, ModelServerError

# The row that SQPSYCH_VLLM_URL makes; `make run` reports under the same name.
ENVIRONMENT_ENDPOINT = "configured"


@dataclass(frozen=True, slots=True)
class Sighting:
    """What one look at an endpoint showed."""

    state: EndpointState
    detail: str = ""
    version: str = ""
    context_length: int | None = None
    models: tuple[str, ...] = ()
    first_context_length: int | None = None


def open_server(row: Endpoint) -> ModelServer:
    """The client of an endpoint. Raises AddressRefused."""
    return ModelServer(
        row.base_url,
        row.model,
        os.environ.get(row.api_key_name) if row.api_key_name else None,
        max_connections=row.max_concurrency,
        allow_public=settings.ALLOW_PUBLIC_ENDPOINTS,
        idle_s=float(settings.ENGINE_REQUEST_SECONDS),
    )


def unusable(error: ValueError) -> Sighting:
    """The sighting of an endpoint whose address or key cannot be used at all."""
    words = str(error) if isinstance(error, AddressRefused) else "Its key cannot be used."
    return Sighting(EndpointState.UNREACHABLE, words)


async def look_at(server: ModelServer) -> Sighting:
    """Ask a server for its health, models and version. Never raises for what the server does."""
    health = await server.health()
    if not health.ok and health.reason != "wrong_model":
        return Sighting(EndpointState.UNREACHABLE, health.detail)
    try:
        offered = await server.models()
    except ModelServerError as error:
        return Sighting(EndpointState.UNREACHABLE, error.detail)
    try:
        version = await server.version()
    except ModelServerError:
        # A router before vLLM may not know this route.
        version = ""
    length = next((each.max_model_len for each in offered if each.id == server.model), None)
    state = EndpointState.READY if health.ok else EndpointState.WRONG_MODEL
    detail = "" if health.ok else health.detail
    return Sighting(
        state,
        detail,
        version[:60],
        length,
        models=tuple(each.id for each in offered),
        first_context_length=offered[0].max_model_len if offered else None,
    )


def note_sighting(endpoint_id: int, seen: Sighting) -> bool:
    """Write what was seen into the endpoint's row. Returns whether its state changed.

    A change is told in the log of every running batch that uses the model. While a server of our
    own is starting, or cannot run here, its starter knows better than a failed look: only a good
    one changes that.
    """
    known = {EndpointState.STARTING, EndpointState.UNAVAILABLE}
    with transaction.atomic():
        row = Endpoint.objects.select_for_update().filter(pk=endpoint_id).first()
        if row is None or (row.state in known and seen.state != EndpointState.READY):
            return False
        before = row.state
        Endpoint.objects.filter(pk=endpoint_id).update(
            state=seen.state,
            state_detail=seen.detail[:300],
            checked_at=timezone.now(),
            server_version=seen.version or row.server_version,
            context_length=seen.context_length or row.context_length,
        )
        if before != seen.state:
            _tell(row.model, _change(row.name, before, seen))
    return before != seen.state


def _change(name: str, before: str, seen: Sighting) -> str:
    if seen.state != EndpointState.READY:
        return f"Model server {name} is waited for: {seen.detail}."
    again = before == EndpointState.UNREACHABLE
    return f"Model server {name} {'answers again' if again else 'is ready'}."


def _tell(model: str, message: str) -> None:
    uses = Q(arms__therapist_model=model) | Q(arms__client_model=model)
    running = Batch.objects.filter(uses, state=BatchState.RUNNING).order_by("pk").distinct()
    EngineEvent.objects.bulk_create(
        EngineEvent(batch=batch, message=message[:300]) for batch in running
    )


async def look_at_all(rows: list[Endpoint]) -> dict[int, Sighting]:
    """Look at several endpoints at once."""

    async def look(row: Endpoint) -> Sighting:
        try:
            server = open_server(row)
        except ValueError as error:
            return unusable(error)
        async with server:
            return await look_at(server)

    seen = await asyncio.gather(*(look(row) for row in rows))
    return {row.pk: each for row, each in zip(rows, seen, strict=True)}


def check_all_endpoints() -> bool:
    """Look at every enabled endpoint and note what is seen. Returns whether one became ready."""
    _enter_environment_endpoint()
    rows = list(Endpoint.objects.filter(enabled=True))
    seen = asyncio.run(look_at_all(rows))
    became_ready = False
    for row in rows:
        sighting = seen[row.pk]
        if row.name == ENVIRONMENT_ENDPOINT and not row.model and sighting.models:
            sighting = _take_first_model(row, sighting)
        changed = note_sighting(row.pk, sighting)
        became_ready |= changed and sighting.state == EndpointState.READY
    return became_ready


def _take_first_model(row: Endpoint, seen: Sighting) -> Sighting:
    """No model was named: use the first that the server offers."""
    Endpoint.objects.filter(pk=row.pk).update(model=seen.models[0][:200])
    return Sighting(
        EndpointState.READY, "", seen.version, seen.first_context_length, models=seen.models
    )


def _enter_environment_endpoint() -> None:
    """Keep a row for the server that SQPSYCH_VLLM_URL names, when it names one."""
    url, model = settings.SQPSYCH_VLLM_URL.strip().rstrip("/"), settings.SQPSYCH_MODEL.strip()
    if not url:
        return
    known = Endpoint.objects.filter(name=ENVIRONMENT_ENDPOINT).first()
    key_name = "SQPSYCH_VLLM_API_KEY" if settings.SQPSYCH_VLLM_API_KEY else ""
    same = known is not None and (known.base_url, known.api_key_name) == (url, key_name)
    if known is not None and same and model in {"", known.model}:
        return
    try:
        set_endpoint_state(
            name=ENVIRONMENT_ENDPOINT,
            state=EndpointState.UNKNOWN,
            base_url=url,
            model=model,
            api_key_name=key_name,
        )
    except Refused as refusal:
        set_endpoint_state(
            name=ENVIRONMENT_ENDPOINT, state=EndpointState.UNREACHABLE, detail=str(refusal)
        )
