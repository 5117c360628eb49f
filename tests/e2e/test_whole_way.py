"""The whole way on real parts: profiles in, a real vLLM, a real worker, a browser, a CSV out."""

import csv
import io
import re
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from playwright.sync_api import Page, expect

from generation import actions
from generation.models import Batch, Dialogue, Endpoint, ProfileSet, Turn
from generation.protocols import builtin_protocols
from generation.questionnaires import builtin_definitions
from review.actions import sync_instruments
from review.instruments import builtin_instruments
from sqpsych_site.local import valkey
from sqpsych_site.models import User
from tests.processes import celery_worker

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.vllm, pytest.mark.timeout(900)]
EXPERT = "sqpsych-expert"


@pytest.fixture
def worker(transactional_db: None) -> Iterator[subprocess.Popen[bytes]]:
    """A real Celery worker with a real broker, on the test's own database."""
    with valkey.running(settings.DATA_DIR), celery_worker() as process:
        yield process


def short_protocol() -> str:
    """The shipped protocol, ending after two exchanges."""
    text = builtin_protocols()["sqpsych"].toml
    for key in ("min_exchanges", "nudge_from", "stop_at"):
        text = re.sub(rf"(?m)^{key} = \d+", f"{key} = 2", text)
    return re.sub(r'(?m)^key = "sqpsych"', 'key = "short"', text)


def profiles_csv() -> bytes:
    """Two clients, as a group's own file has them."""
    keys = [item.key for key in ("phq9", "gad7") for item in builtin_definitions()[key].items]
    head = ["profile_id", "age", "gender", "condition", "work", *keys]
    rows = [
        ["P-1", "34", "woman", "depression", "teacher", *["2"] * 8, "0", *["1"] * 7],
        ["P-2", "51", "man", "anxiety", "driver", *["1"] * 8, "0", *["2"] * 7],
    ]
    return "\n".join(",".join(row) for row in [head, *rows]).encode()


def test_from_profiles_to_the_csv(
    page: Page,
    live_server: Any,
    sign_in: Callable[[User], None],
    make_user: Callable[..., User],
    vllm: Any,
    worker: subprocess.Popen[bytes],
    expected_errors: list[str],
) -> None:
    # Leaving a page ends its polling in the middle of a request.
    expected_errors += ["htmx:afterRequest", "htmx:sendError", "htmx:sendAbort"]
    coordinator = make_user("coordinator", username="coordinator")
    rater = make_user("rater", username="clinician")
    actions.sync_definitions()
    sync_instruments()
    actions.add_protocol(text=short_protocol(), origin="short.toml", by=coordinator)
    actions.set_endpoint_state(
        name="local", base_url=vllm.url, model=vllm.model, state="ready", max_concurrency=8
    )
    sign_in(coordinator)

    page.goto(f"{live_server.url}/profiles/import/")
    page.locator("input[name=name]").fill("Ward A")
    page.locator("input[type=file]").set_input_files(
        {"name": "ward-a.csv", "mimeType": "text/csv", "buffer": profiles_csv()}
    )
    page.locator("main form button.primary").click()
    expect(page.locator("main")).to_contain_text("P-1")

    page.goto(f"{live_server.url}/batches/new/")
    page.locator("select[name=profile_set]").select_option(str(ProfileSet.objects.get().pk))
    expect(page.locator("#estimate")).to_contain_text("of 2 profiles fit")
    page.locator("select[name=arm-0-protocol]").select_option("short")
    expect(page.locator(".arm summary")).to_have_text("About short")
    page.locator("[name=name]").fill("first")
    page.locator("main form button.primary").click()
    expect(page.locator("main")).to_contain_text("2 complete", timeout=400_000)

    batch = Batch.objects.get()
    assert batch.state == "finished"
    assert [d.state for d in Dialogue.objects.all()] == ["complete", "complete"]
    for dialogue in Dialogue.objects.all():
        numbers = list(dialogue.turns.values_list("number", flat=True))
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(numbers) >= 4
    assert Turn.objects.filter(completion_tokens=0).count() == 0
    assert Endpoint.objects.get().state == "ready"

    page.goto(f"{live_server.url}/studies/new/")
    page.locator("[name=name]").fill("Pilot")
    page.locator(f"[name=dialogues][value='{batch.pk}']").check()
    page.locator("[name=raters][value='clinician']").check()
    page.locator("[name=overlap]").fill("1")
    page.locator("main form button.primary").click()
    expect(page.locator("h1")).to_contain_text("Pilot")
    page.locator("#study-begin").click()
    expect(page.locator("h1")).to_contain_text("running")

    sign_in(rater)
    page.goto(f"{live_server.url}/review/")
    page.get_by_role("link", name="Start").click()
    clicked = {}
    for number, item in enumerate(builtin_instruments()[EXPERT].items):
        value = str((number * 2) % 3)
        page.locator(f"#{EXPERT}-{item.key} input[value='{value}']").check()
        clicked[item.key] = value
    page.locator("#safety-safety_problem input[value='no']").check()
    page.locator("#submit").click()
    expect(page.locator("h1")).to_have_text("Dialogue 2 of 2")

    sign_in(coordinator)
    page.goto(f"{live_server.url}/studies/")
    page.get_by_role("link", name="Pilot").first.click()
    page.get_by_role("link", name="Exports", exact=True).first.click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download", exact=True).click()
    archive = zipfile.ZipFile(download.value.path())
    name = next(name for name in archive.namelist() if name.endswith("ratings_long.csv"))
    rows = list(csv.DictReader(io.StringIO(archive.read(name).decode("utf-8-sig"))))
    exported = {row["item"]: row["value"] for row in rows if row["assignment_state"] == "submitted"}
    assert exported == clicked | {"safety_problem": "no"}
