"""Model servers switched on and off by people."""

from django.db import transaction

from generation.actions.waking import wake_engine
from generation.models import Endpoint, EndpointState
from sqpsych_site import audit
from sqpsych_site.models import User


@transaction.atomic
def switch_endpoint(*, endpoint: Endpoint, enabled: bool, by: User | None) -> None:
    """Let a model server be used, or send it nothing more; requests under way end by themselves.

    A server switched on is looked at anew before it is used. Asking twice changes nothing.
    """
    changes: dict[str, object] = {"enabled": enabled}
    if enabled and endpoint.state != EndpointState.STARTING:
        changes |= {"state": EndpointState.UNKNOWN, "state_detail": ""}
    if not Endpoint.objects.filter(pk=endpoint.pk, enabled=not enabled).update(**changes):
        return
    action = "endpoint.enable" if enabled else "endpoint.disable"
    audit.record(by=by, action=action, target=f"endpoint {endpoint.pk}")
    wake_engine()
