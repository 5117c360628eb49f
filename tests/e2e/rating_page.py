"""Helps for driving the rating page."""

from collections.abc import Sequence
from typing import Any

from playwright.sync_api import Locator, Page, expect

from review.instruments import builtin_instruments
from review.models import Assignment, Rating
from sqpsych_site.models import User
from tests.factories import assignments_of, make_dialogue, make_study

EXPERT = "sqpsych-expert"
KEYS = [item.key for item in builtin_instruments()[EXPERT].items]
WANTED = {key: str(number % 3) for number, key in enumerate(KEYS)}


def give_work(rater: User, dialogues: Sequence[Sequence[str]]) -> list[Assignment]:
    """A study of these dialogues in the rater's queue."""
    return assignments_of(make_study([rater], [make_dialogue(one) for one in dialogues]), rater)


def open_page(page: Page, live_server: Any, assignment: Assignment) -> None:
    page.goto(f"{live_server.url}/review/{assignment.uid}/")


def item(page: Page, key: str, form: str = EXPERT) -> Locator:
    return page.locator(f"#{form}-{key}")


def values(assignment: Assignment) -> dict[str, str]:
    """Item -> stored value."""
    return dict(Rating.objects.filter(assignment=assignment).values_list("item", "value"))


def expect_saved(page: Page) -> None:
    """Everything is acknowledged by the server."""
    expect(page.locator("#save-state")).to_have_attribute("data-state", "saved", timeout=20_000)


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)
