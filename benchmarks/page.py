"""The rating page in Chromium: cold load, a save, submit to the next dialogue.

As the rivals were measured: 40 turns of about 40 words, 18 items (and here the safety question),
on the server that ``make run`` starts, with static files compressed as there.
"""

import os
from dataclasses import dataclass, field
from typing import Any

from benchmarks.setting import web_server
from benchmarks.table import Table, milliseconds, percentile

LOADS = 12
DIALOGUES = 40
TURNS = 40
WORDS = "That sounds heavy, and I would like to understand it better before we go on. " * 3
# When every answer can be given: all items are there and the script has chosen the first.
USABLE = """() => {
  const look = () => {
    const items = document.querySelectorAll('.item input.value').length;
    if (items >= 54 && window.rate?.current?.isConnected) window.usable = performance.now();
    else requestAnimationFrame(look);
  };
  look();
}"""
# From the key that submits to the moment the next dialogue's first item takes a key.
SUBMIT = """() => new Promise((done) => {
  const before = rate.uid();
  const begun = performance.now();
  document.activeElement.dispatchEvent(new KeyboardEvent('keydown',
    { key: 'Enter', ctrlKey: true, bubbles: true, cancelable: true }));
  const look = () => {
    if (rate.uid() !== before && rate.current?.isConnected) done(performance.now() - begun);
    else setTimeout(look);
  };
  look();
})"""


@dataclass
class Wire:
    """Requests and bytes of one load, as the browser counts them."""

    requests: int = 0
    total: int = 0
    script: int = 0
    kinds: dict[str, str] = field(default_factory=dict)

    def listen(self, session: Any) -> None:
        session.send("Network.enable")
        session.on("Network.responseReceived", self._received)
        session.on("Network.loadingFinished", self._finished)

    def _received(self, event: dict[str, Any]) -> None:
        self.kinds[event["requestId"]] = event["type"]

    def _finished(self, event: dict[str, Any]) -> None:
        size = int(event["encodedDataLength"])
        self.requests += 1
        self.total += size
        if self.kinds.get(event["requestId"]) == "Script":
            self.script += size


def measure(table: Table) -> None:
    """Cold loads, then ratings by keys from one dialogue to the next."""
    from playwright.sync_api import sync_playwright

    os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    cookie, uids = _work()
    table.heading("Rating page in Chromium (40 turns, 18 items and the safety question)")
    with web_server() as (host, port, _process), sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=["--no-sandbox"]
        )
        base = f"http://{host}:{port}"
        _cold(table, browser, base, cookie, uids[0])
        _ratings(table, browser, base, cookie, uids)
        browser.close()


def _context(browser: Any, base: str, cookie: str) -> Any:
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    context.add_cookies([{"name": "sessionid", "value": cookie, "url": base}])
    return context


def _cold(table: Table, browser: Any, base: str, cookie: str, uid: str) -> None:
    times, paints, wires = [], [], []
    for _ in range(LOADS + 1):
        context = _context(browser, base, cookie)
        page = context.new_page()
        page.add_init_script(f"({USABLE})()")
        wire = Wire()
        wire.listen(context.new_cdp_session(page))
        page.goto(f"{base}/review/{uid}/", wait_until="networkidle")
        page.wait_for_function("() => window.usable")
        times.append(page.evaluate("usable") / 1000)
        paints.append(
            page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
            / 1000
        )
        wires.append(wire)
        context.close()
    last = wires[-1]
    # The first load of a fresh server compiles its templates.
    low, high = min(times[1:]), max(times[1:])
    table.add(
        "cold load, all items usable",
        milliseconds(percentile(times[1:], 0.5)),
        f"{milliseconds(low)} to {milliseconds(high)}; best rival 508 ms",
    )
    table.add("  first paint", milliseconds(percentile(paints[1:], 0.5)), "best rival 422 ms")
    table.add("  on the wire", f"{last.total / 1000:.1f} kB", "best rival 760 kB")
    table.add("  of it scripts", f"{last.script / 1000:.1f} kB", "best rival 672 kB")
    table.add("  requests", f"{last.requests}", "best rival 22")


def _ratings(table: Table, browser: Any, base: str, cookie: str, uids: list[str]) -> None:
    context = _context(browser, base, cookie)
    page = context.new_page()
    sizes: list[tuple[int, int]] = []
    page.on("requestfinished", lambda request: _note(sizes, request))
    page.goto(f"{base}/review/{uids[0]}/", wait_until="networkidle")
    times = []
    for _ in range(DIALOGUES - 1):
        page.wait_for_timeout(300)  # what the page asks for in the background is over
        for number in range(18):
            page.keyboard.press(str(number % 3))
        page.keyboard.press("n")
        page.wait_for_function("() => !rate.outbox.unsent()")
        page.wait_for_timeout(50)
        times.append(page.evaluate(SUBMIT) / 1000)
    up, down = max(one[0] for one in sizes), max(one[1] for one in sizes)
    high = milliseconds(percentile(times, 0.95))
    table.add(
        "submit to next dialogue usable",
        milliseconds(percentile(times, 0.5)),
        f"p95 {high}; best rival 72 ms",
    )
    table.add(
        "a save, with headers", f"{up} B up, {down} B down", "largest of those with one answer"
    )
    context.close()


def _note(sizes: list[tuple[int, int]], request: Any) -> None:
    # Answers given faster than the server takes them go out together: those are not one save.
    if request.url.endswith("/save/") and len(request.post_data_json["ops"]) == 1:
        size = request.sizes()
        sizes.append(
            (
                size["requestHeadersSize"] + size["requestBodySize"],
                size["responseHeadersSize"] + size["responseBodySize"],
            )
        )


def _work() -> tuple[str, list[str]]:
    """A rater with a session and a queue."""
    from django.test import Client

    from sqpsych_site.models import User
    from tests.factories import assignments_of, make_dialogue, make_study

    user = User.objects.create_user(username="browser", password=None, role="rater")
    client = Client()
    client.force_login(user, backend="sqpsych_site.accounts.Accounts")
    dialogues = [make_dialogue([f"{n} {WORDS}" for n in range(TURNS)]) for _ in range(DIALOGUES)]
    study = make_study([user], dialogues, name="Browser")
    return client.cookies["sessionid"].value, [str(a.uid) for a in assignments_of(study, user)]
