"""Fixtures for the generation side's tests."""

import pytest
from pytest_django import Settings

from generation import driver


@pytest.fixture(autouse=True)
def broker_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wake-up calls go nowhere and cost no time: no test here has a worker beside it."""
    monkeypatch.setenv("CELERY_BROKER_URL", "memory://")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    """Short pauses and deadlines, so that faults do not cost a test seconds each."""
    monkeypatch.setattr(driver, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(driver, "LONGEST_PAUSE_S", 0.1)
    settings.ENGINE_REQUEST_SECONDS = 1
