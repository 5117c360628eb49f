"""Notable acts that are no row change, written in the caller's transaction."""

from typing import Any

from sqpsych_site.models import AuditEntry, User


def record(*, by: User | None, action: str, target: str = "", **detail: Any) -> AuditEntry:
    """Store one act. ``detail`` holds ids, counts and settings, never dialogue or client text."""
    return AuditEntry.objects.create(
        actor=by.username if by else "", action=action, target=target, detail=detail
    )
