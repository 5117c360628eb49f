"""Fixtures for the generation side's tests."""

import pytest


@pytest.fixture(autouse=True)
def broker_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wake-up calls go nowhere and cost no time: no test here has a worker beside it."""
    monkeypatch.setenv("CELERY_BROKER_URL", "memory://")
