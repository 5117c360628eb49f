"""Model servers: entered by people, their state noted by the program."""

import re

from django.conf import settings
from django.core.exceptions import FieldDoesNotExist
from django.db import IntegrityError, transaction
from django.utils import timezone

from generation.actions.errors import Refused
from generation.addresses import AddressRefused, parse_base_url
from generation.models import Endpoint, EndpointState
from generation.vllm import check_address
from sqpsych_site import audit
from sqpsych_site.models import User

# Only variables that are keys of model servers: no other secret can be sent anywhere by naming it.
_KEY_NAME = re.compile(r"[A-Z][A-Z0-9_]{0,70}_API_KEY")
MAX_CONCURRENCY = 4096


@transaction.atomic
def add_endpoint(
    *,
    name: str,
    base_url: str,
    model: str,
    by: User | None,
    api_key_name: str = "",
    max_concurrency: int = 32,
    supports_seed: bool = False,
) -> Endpoint:
    """Enter a model server. Its address is checked here, and again at every connection.

    Database triggers keep who entered it. Raises Refused.
    """
    for words, text, limit in (("name", name, 60), ("model", model, 200)):
        if not text.strip() or len(text.strip()) > limit:
            raise Refused(f"The {words} of a model server must have 1 to {limit} characters.")
    if not 1 <= max_concurrency <= MAX_CONCURRENCY:
        raise Refused(f"The number of requests at once must be 1 to {MAX_CONCURRENCY:,}.")
    if api_key_name and not _KEY_NAME.fullmatch(api_key_name):
        raise Refused(
            "The key's variable must be written in capitals and end in _API_KEY,"
            " for example CLUSTER_API_KEY."
        )
    try:
        check_address(base_url, settings.ALLOW_PUBLIC_ENDPOINTS)
    except AddressRefused as refusal:
        raise Refused(str(refusal)) from None
    try:
        with transaction.atomic():
            endpoint = Endpoint.objects.create(
                name=name.strip(),
                base_url=base_url.strip(),
                model=model.strip(),
                api_key_name=api_key_name,
                max_concurrency=max_concurrency,
                supports_seed=supports_seed,
            )
    except IntegrityError:
        raise Refused(f"A model server named “{name.strip()}” exists already.") from None
    audit.record(by=by, action="endpoint.add", target=f"endpoint {endpoint.pk}")
    return endpoint


@transaction.atomic
def set_endpoint_state(
    *,
    name: str,
    state: str,
    detail: str = "",
    base_url: str | None = None,
    model: str | None = None,
    **values: object,
) -> Endpoint:
    """Note what is known of an endpoint, making the row on first sight.

    ``base_url``, ``model`` and ``values`` (any other Endpoint field) are changed only when given.
    Raises Refused for an address that may never be used and FieldDoesNotExist for no field.
    """
    changes: dict[str, object] = {
        "state": EndpointState(state).value,
        "state_detail": detail[:300],
        "checked_at": timezone.now(),
        **values,
    }
    for field in values:
        if field not in {each.name for each in Endpoint._meta.get_fields()}:
            raise FieldDoesNotExist(f"Endpoint has no field named {field}")
    if base_url is not None:
        try:
            parse_base_url(base_url)
        except AddressRefused as refusal:
            raise Refused(str(refusal)) from None
        changes["base_url"] = base_url
    if model is not None:
        changes["model"] = model
    endpoint, _ = Endpoint.objects.update_or_create(name=name, defaults=changes)
    return endpoint
