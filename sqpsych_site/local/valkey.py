"""The local broker: Valkey (speaks Redis's protocol), reached by a Unix socket only."""

from pathlib import Path

from sqpsych_site.local.paths import places


def broker_url(data_dir: Path | str) -> str:
    """Return the broker's address for Celery. Pure: starts nothing."""
    return f"redis+socket://{places(data_dir).valkey_socket}"
