"""Designing a batch and watching it, in a real browser, with scripts and without."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from generation.actions.claims import finish_batches
from generation.models import Batch, ProfileSet
from sqpsych_site.models import User
from tests import generation_rows as rows

pytestmark = pytest.mark.django_db(transaction=True)
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
WIDTHS = (1440, 820, 390)


@pytest.fixture
def profiles(monkeypatch: pytest.MonkeyPatch, db: None) -> ProfileSet:
    monkeypatch.setenv("CELERY_BROKER_URL", "memory://")
    rows.make_server()
    return rows.make_set(6)


def _sound(page: Page) -> None:
    """No violation and nothing that hangs over, at a desk, on a tablet and on a phone."""
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        wide = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert wide <= 0, width
    found = Axe().run(page, options=RULES)
    assert found.response["violations"] == [], found.generate_report()
    page.set_viewport_size({"width": 1440, "height": 900})


def test_batch_is_designed_previewed_and_started(
    page: Page,
    live_server: Any,
    sign_in: Callable[[User], None],
    coordinator: User,
    profiles: ProfileSet,
) -> None:
    sign_in(coordinator)
    page.goto(f"{live_server.url}/batches/new/")
    page.get_by_label("Profile set").select_option(str(profiles.pk))
    estimate = page.locator("#estimate")
    expect(estimate).to_contain_text("6 of 6 profiles fit")
    page.get_by_label("At most so many").fill("4")
    page.get_by_label("Name of the batch").fill("pilot")
    expect(estimate).to_contain_text("4 are drawn")
    page.get_by_role("button", name="Add an arm").click()
    expect(page.get_by_label("Label")).to_have_count(2)
    page.get_by_role("button", name="Copy arm A").click()
    expect(page.get_by_label("Label")).to_have_count(3)
    page.get_by_role("button", name="Remove arm C").click()
    expect(page.get_by_label("Label")).to_have_count(2)
    page.locator("[name=arm-1-switch-no_questionnaire]").check()
    # Enter in a text field only brings the page up to date.
    page.get_by_label("Name of the batch").press("Enter")
    page.get_by_role("button", name="Preview three dialogues").click()
    expect(page.locator("#preview li")).to_have_count(2)
    expect(page.get_by_label("Name of the batch")).to_have_value("pilot")
    _sound(page)
    page.get_by_role("button", name="Start the batch").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("pilot")
    batch = Batch.objects.get(preview=False)
    assert batch.dialogues.count() == 8
    assert [arm.switches for arm in batch.arms.all()] == [{}, {"no_questionnaire": True}]


def test_batch_page_follows_its_batch_to_the_end(
    page: Page,
    live_server: Any,
    sign_in: Callable[[User], None],
    coordinator: User,
    profiles: ProfileSet,
) -> None:
    batch = rows.make_batch(3)
    first, second, third = batch.dialogues.order_by("pk")
    rows.speak(first, ["a"] * 30, at=timezone.now() - timedelta(minutes=3), every_s=6)
    rows.complete(first)
    rows.speak(second, ["a"] * 3)
    rows.fail(second, "loops")
    sign_in(coordinator)
    page.goto(f"{live_server.url}/batches/{batch.pk}/")
    expect(page.locator("#batch-progress")).to_contain_text("1 complete, 1 failed")
    _sound(page)
    read = page.get_by_role("link", name="read those: Goes round in circles")
    read.focus()
    rows.fail(third, "loops")
    expect(page.locator("#batch-progress")).to_contain_text("1 complete, 2 failed")
    expect(read).to_be_focused()
    finish_batches([batch.pk])
    expect(page.get_by_role("heading", level=1)).to_contain_text("finished")
    expect(page.locator("#live")).to_have_text("The batch is finished.")
    read.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(str(third.uid)[:8])
    page.get_by_role("link", name="Next", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(str(second.uid)[:8])
    page.locator("#turn-3 summary").click()
    page.get_by_role("link", name="Request 1 for turn 3 as sent").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Turn 3, request 1")
    _sound(page)


@pytest.fixture
def plain(browser: Browser) -> Iterator[Page]:
    """A page of a browser in which scripts are off."""
    context = browser.new_context(java_script_enabled=False)
    yield context.new_page()
    context.close()


def test_batch_is_designed_without_scripts(
    plain: Page,
    live_server: Any,
    coordinator: User,
    profiles: ProfileSet,
    client_of: Callable[[User], Any],
) -> None:
    session = client_of(coordinator).cookies["sessionid"].value
    plain.context.add_cookies([{"name": "sessionid", "value": session, "url": live_server.url}])
    plain.goto(f"{live_server.url}/batches/new/")
    plain.get_by_label("Profile set").select_option(str(profiles.pk))
    plain.get_by_role("button", name="Update").last.click()
    expect(plain.locator("#estimate")).to_contain_text("6 of 6 profiles fit")
    plain.get_by_role("button", name="Add an arm").click()
    plain.get_by_role("button", name="Remove arm A").click()
    expect(plain.get_by_label("Label")).to_have_value("B")
    plain.get_by_label("Name of the batch").fill("plain")
    plain.get_by_role("button", name="Start the batch").click()
    expect(plain.get_by_role("heading", level=1)).to_contain_text("plain")
    plain.get_by_role("link", name="Add dialogues").click()
    plain.get_by_label("Further dialogues").fill("2")
    plain.get_by_role("button", name="Add them").click()
    expect(plain.locator("main")).to_contain_text("12 dialogues added.")
    plain.get_by_role("link", name="Cancel").click()
    plain.get_by_role("button", name="Cancel the batch").click()
    expect(plain.locator("main")).to_contain_text("18 dialogues given up.")
    assert Batch.objects.get().state == "cancelled"
