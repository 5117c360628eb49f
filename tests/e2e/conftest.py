"""A real browser: Debian's Chromium, driven by Playwright; any console error fails the test."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from playwright.sync_api import BrowserContext, Page

from sqpsych_site.models import User

# Playwright's synchronous API runs an event loop in this thread; the ORM here is used between
# its calls, never inside one.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder is an end-to-end test."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    return browser_type_launch_args | {
        "executable_path": CHROMIUM,
        "args": [
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ],
    }


@pytest.fixture
def expected_errors() -> list[str]:
    """Parts of console errors that a test provokes on purpose; the test fills the list."""
    return ["status of 4"]


@pytest.fixture
def page(context: BrowserContext, live_server: Any, expected_errors: list[str]) -> Iterator[Page]:
    """A page that fails the test on any console error, script error or foreign request."""
    troubles: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: troubles.append(f"script error: {error}"))
    page.on(
        "console",
        lambda message: (
            troubles.append(f"console: {message.text}")
            if message.type == "error" and not any(part in message.text for part in expected_errors)
            else None
        ),
    )
    page.on(
        "request",
        lambda request: (
            troubles.append(f"foreign request: {request.url}")
            if not request.url.startswith((live_server.url, "data:", "blob:"))
            else None
        ),
    )
    yield page
    found = list(troubles)
    # A page that is left tells its last seconds; that must not meet the next test's database.
    context.set_offline(True)
    page.close()
    assert found == []


@pytest.fixture
def sign_in(context: BrowserContext, live_server: Any) -> Callable[[User], None]:
    """Put a person's session into the browser."""

    def do(user: User) -> None:
        client = Client()
        client.force_login(user, backend="sqpsych_site.accounts.Accounts")
        context.add_cookies(
            [
                {
                    "name": "sessionid",
                    "value": client.cookies["sessionid"].value,
                    "url": live_server.url,
                }
            ]
        )

    return do
