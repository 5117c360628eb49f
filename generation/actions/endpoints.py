"""Model servers: entered by people, their state noted by the program."""

import re
from decimal import Decimal

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
MAX_GPUS = 1024
MAX_PRICE = 100_000


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
    gpus: int = 1,
    price_per_hour: Decimal | None = None,
) -> Endpoint:
    """Enter a model server. Its address is checked here, and again at every connection.

    Database triggers keep who entered it. Raises Refused.
    """
    for words, text, limit in (("name", name, 60), ("model", model, 200)):
        if not text.strip() or len(text.strip()) > limit:
            raise Refused(f"The {words} of a model server must have 1 to {limit} characters.")
    _check(max_concurrency=max_concurrency, gpus=gpus, price_per_hour=price_per_hour)
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
                gpus=gpus,
                price_per_hour=price_per_hour,
            )
    except IntegrityError:
        raise Refused(f"A model server named “{name.strip()}” exists already.") from None
    audit.record(by=by, action="endpoint.add", target=f"endpoint {endpoint.pk}")
    return endpoint


@transaction.atomic
def change_endpoint(
    *,
    endpoint: Endpoint,
    by: User | None,
    max_concurrency: int,
    supports_seed: bool,
    gpus: int,
    price_per_hour: Decimal | None,
) -> None:
    """Change how a model server is used and what it costs; workers follow within seconds.

    What it is (name, address, model, key) stays: another server is entered anew. A price holds for
    requests from now on. Raises Refused.
    """
    _check(max_concurrency=max_concurrency, gpus=gpus, price_per_hour=price_per_hour)
    wanted = {
        "max_concurrency": max_concurrency,
        "supports_seed": supports_seed,
        "gpus": gpus,
        "price_per_hour": price_per_hour,
    }
    row = Endpoint.objects.select_for_update().get(pk=endpoint.pk)
    before = {field: getattr(row, field) for field in wanted}
    changed = {field: value for field, value in wanted.items() if value != before[field]}
    if not changed:
        return
    Endpoint.objects.filter(pk=row.pk).update(**changed)
    told = {
        field: [_plain(before[field]), _plain(value)] for field, value in sorted(changed.items())
    }
    audit.record(by=by, action="endpoint.change", target=f"endpoint {row.pk}", **told)


def _check(*, max_concurrency: int, gpus: int, price_per_hour: Decimal | None) -> None:
    if not 1 <= max_concurrency <= MAX_CONCURRENCY:
        raise Refused(f"The number of requests at once must be 1 to {MAX_CONCURRENCY:,}.")
    if not 1 <= gpus <= MAX_GPUS:
        raise Refused(f"The number of GPUs must be 1 to {MAX_GPUS:,}.")
    price = price_per_hour
    if price is not None and not (price.is_finite() and 0 <= price < MAX_PRICE):
        raise Refused(f"The price of an hour must be 0 to {MAX_PRICE - 1:,}.")


def _plain(value: object) -> object:
    """A value as the audit keeps it: before and after."""
    return str(value) if isinstance(value, Decimal) else value


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
