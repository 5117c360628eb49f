"""Model servers entered and changed: what is taken, what is refused, what is kept of it."""

from decimal import Decimal
from typing import Any

import pytest

from generation.actions import Refused, add_endpoint, change_endpoint
from generation.models import Endpoint
from sqpsych_site.models import AuditEntry, User

pytestmark = pytest.mark.django_db
NEW: dict[str, Any] = {"name": "gpu-1", "base_url": "http://127.0.0.1:8000/v1", "model": "m"}
GOOD: dict[str, Any] = {
    "max_concurrency": 64,
    "supports_seed": True,
    "gpus": 4,
    "price_per_hour": Decimal("7.5"),
}
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"max_concurrency": 0}, "The number of requests at once must be 1 to 4,096."),
    ({"max_concurrency": 4097}, "The number of requests at once must be 1 to 4,096."),
    ({"gpus": 0}, "The number of GPUs must be 1 to 1,024."),
    ({"gpus": 1025}, "The number of GPUs must be 1 to 1,024."),
    ({"price_per_hour": Decimal("-0.01")}, "The price of an hour must be 0 to 99,999."),
    ({"price_per_hour": Decimal("NaN")}, "The price of an hour must be 0 to 99,999."),
    ({"price_per_hour": Decimal(100_000)}, "The price of an hour must be 0 to 99,999."),
]


def stored() -> dict[str, Any]:
    return dict(Endpoint.objects.values(*GOOD).get())


def test_server_is_entered_with_its_gpus_and_price(coordinator: User) -> None:
    add_endpoint(**NEW, **GOOD, by=coordinator)
    assert stored() == GOOD


@pytest.mark.parametrize(("change", "sentence"), WRONG)
def test_absurd_figures_are_refused_and_change_nothing(
    change: dict[str, Any], sentence: str, coordinator: User
) -> None:
    with pytest.raises(Refused) as caught:
        add_endpoint(**NEW, **{**GOOD, **change}, by=coordinator)
    assert (str(caught.value), Endpoint.objects.count()) == (sentence, 0)
    endpoint = add_endpoint(**NEW, **GOOD, by=coordinator)
    with pytest.raises(Refused) as caught:
        change_endpoint(endpoint=endpoint, by=coordinator, **{**GOOD, **change})
    assert (str(caught.value), stored()) == (sentence, GOOD)


def test_change_is_kept_with_before_and_after_and_the_same_again_is_none(coordinator: User) -> None:
    endpoint = add_endpoint(**NEW, by=coordinator)
    for _ in range(2):
        change_endpoint(endpoint=endpoint, by=coordinator, **{**GOOD, "gpus": 1})
    assert stored() == {**GOOD, "gpus": 1}
    entry = AuditEntry.objects.get(action="endpoint.change")
    assert (entry.actor, entry.target) == (coordinator.username, f"endpoint {endpoint.pk}")
    assert entry.detail == {
        "max_concurrency": [32, 64],
        "price_per_hour": [None, "7.5"],
        "supports_seed": [False, True],
    }
