"""Every page of a coordinator, checked by the accessibility rules at a desk and on a phone."""

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from generation import actions
from sqpsych_site.models import User
from tests.factories import make_dialogue, make_study

pytestmark = pytest.mark.django_db(transaction=True)
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
PAGES = (
    "/",
    "/profiles/",
    "/profiles/import/",
    "/profiles/sample/",
    "/batches/",
    "/batches/new/",
    "/dialogues/",
    "/studies/",
    "/studies/new/",
    "/endpoints/",
    "/accounts/password/change/",
)


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_pages_have_no_accessibility_violation_and_do_not_overflow(
    page: Page,
    live_server: Any,
    sign_in: Callable[[User], None],
    make_user: Callable[..., User],
    width: int,
    scheme: Any,
) -> None:
    coordinator = make_user("coordinator")
    dialogue = make_dialogue()
    study = make_study([make_user("rater")], [dialogue])
    profiles = actions.sample_profiles(name="Set", count=3, seed=1, by=coordinator)
    actions.set_endpoint_state(
        name="one", base_url="http://127.0.0.1:9/v1", model="m", state="unreachable"
    )
    batch = actions.create_batch(
        name="Batch", profile_set=profiles, protocol="sqpsych", model="m", seed=1, by=coordinator
    )
    sign_in(coordinator)
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    own = (
        f"/profiles/{profiles.pk}/",
        f"/profiles/{profiles.pk}/P0001/",
        f"/batches/{batch.pk}/",
        f"/dialogues/{dialogue.uid}/",
        f"/studies/{study.pk}/",
    )
    for path in (*PAGES, *own):
        answer = page.goto(f"{live_server.url}{path}")
        assert answer is not None
        assert answer.status == 200, path
        found = Axe().run(page, options=RULES)
        assert found.response["violations"] == [], (path, found.generate_report())
        wide = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert wide <= 0, path
