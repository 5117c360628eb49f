"""Model servers: entered by people, their state noted by the program."""

from django.db import transaction
from django.utils import timezone

from generation.models import Endpoint, EndpointState


@transaction.atomic
def set_endpoint_state(
    *,
    name: str,
    state: str,
    detail: str = "",
    base_url: str | None = None,
    model: str | None = None,
    **settings: object,
) -> Endpoint:
    """Note what is known of an endpoint, making the row on first sight.

    ``base_url``, ``model`` and ``settings`` (any other Endpoint field) are changed only when given.
    """
    values: dict[str, object] = {
        "state": EndpointState(state).value,
        "state_detail": detail[:300],
        "checked_at": timezone.now(),
        **settings,
    }
    if base_url is not None:
        values["base_url"] = base_url
    if model is not None:
        values["model"] = model
    endpoint, _ = Endpoint.objects.update_or_create(name=name, defaults=values)
    return endpoint
