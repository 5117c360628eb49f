"""Fixtures for every test: a real PostgreSQL, and people of each role."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import psycopg.sql
import pytest

from tests.people import password_hash

if TYPE_CHECKING:
    from django.test import Client

    from sqpsych_site.local.model_server import Served
    from sqpsych_site.models import User


@pytest.fixture(scope="session", autouse=True)
def static_root() -> None:
    """The folder of static files, before any web server looks for it."""
    from django.conf import settings

    settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)


@pytest.fixture(scope="session")
def django_db_modify_db_settings() -> Iterator[None]:
    """Bring the local PostgreSQL up before the test database is made, unless one is given."""
    from django.conf import settings

    from sqpsych_site.local import postgres

    if "DATABASE_URL" in os.environ:
        yield
        return
    with postgres.database_in_use(settings.DATA_DIR):
        drop_orphaned_databases(settings.DATABASE_URL)
        yield


def drop_orphaned_databases(url: str) -> None:
    """Drop test databases whose test process was killed."""
    with psycopg.connect(url, autocommit=True) as link:
        names = link.execute("SELECT datname FROM pg_database WHERE datname LIKE 'test_sqpsych_%'")
        for (name,) in names.fetchall():
            owner = name.rpartition("_")[2]
            if owner.isdigit() and not Path(f"/proc/{owner}").exists():
                link.execute(
                    psycopg.sql.SQL("DROP DATABASE {} WITH (FORCE)").format(
                        psycopg.sql.Identifier(name)
                    )
                )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests last: Playwright leaves an event loop running in this thread, and nothing
    that calls ``asyncio.run`` can follow it."""
    items.sort(key=lambda item: "e2e" in item.path.parts)


@pytest.fixture
def make_user(db: None) -> "Callable[..., User]":
    """Make a person: ``make_user("rater", username=...)``."""
    from sqpsych_site.models import User

    def make(role: str = "rater", username: str | None = None) -> User:
        name = username or f"{role}{User.objects.count() + 1}"
        return User.objects.create(username=name, password=password_hash(), role=role)

    return make


@pytest.fixture
def rater(make_user: "Callable[..., User]") -> "User":
    return make_user("rater")


@pytest.fixture
def other_rater(make_user: "Callable[..., User]") -> "User":
    return make_user("rater", username="stranger")


@pytest.fixture
def coordinator(make_user: "Callable[..., User]") -> "User":
    return make_user("coordinator")


@pytest.fixture
def researcher(make_user: "Callable[..., User]") -> "User":
    return make_user("researcher")


@pytest.fixture
def administrator(make_user: "Callable[..., User]") -> "User":
    return make_user("administrator")


@pytest.fixture
def client_of() -> "Callable[[User], Client]":
    """A browser-less client signed in as somebody."""
    from django.test import Client

    def make(user: "User") -> Client:
        client = Client()
        client.force_login(user, backend="sqpsych_site.accounts.Accounts")
        return client

    return make


@pytest.fixture(scope="session")
def vllm() -> "Iterator[Served]":
    """Real vLLM on the CPU with the demonstration model; started once for all tests."""
    from sqpsych_site.local.engine import engine_dir, serve

    with serve(engine_dir()) as served:
        yield served
