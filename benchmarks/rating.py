"""Rating over HTTP: save an answer, open the next dialogue, whole ratings a second.

A whole rating is what a browser sends: 19 saves (18 items and the safety question), then a submit
that answers with the next dialogue. Clients keep their connection and share the machine's cores
with the server, as the rivals were measured.
"""

import http.client
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import urlencode
from uuid import uuid4

from benchmarks.setting import cpu_seconds_of_tree, web_server
from benchmarks.table import Table, milliseconds, percentile

SECONDS = 12
DIALOGUES = 400
TURNS = 40


@dataclass
class Rater:
    """One rater's browser: a kept connection, a session, and their assignments' addresses."""

    host: str
    port: int
    cookie: str
    token: str
    assignments: list[str]
    items: list[tuple[str, str, str]]
    saves: list[float] = field(default_factory=list)
    nexts: list[float] = field(default_factory=list)
    bytes_up: int = 0
    bytes_down: int = 0
    done: int = 0
    errors: int = 0

    def __post_init__(self) -> None:
        self.link = http.client.HTTPConnection(self.host, self.port, timeout=60)

    def post(self, path: str, fields: dict[str, str]) -> tuple[float, bytes]:
        """Send a form as htmx does; seconds and body."""
        body = urlencode(fields)
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Cookie": self.cookie,
            "X-CSRFToken": self.token,
            "HX-Request": "true",
            "X-SQPsych-Save": "1",
        }
        begun = time.perf_counter()
        self.link.request("POST", path, body, headers)
        reply = self.link.getresponse()
        data = reply.read()
        if reply.status != 200:
            self.errors += 1
        self.bytes_up, self.bytes_down = len(body), len(data)
        return time.perf_counter() - begun, data

    def rate_one(self, *, separate: bool) -> None:
        """One whole rating, with separate saves or all in the submit."""
        path = f"/review/{self.assignments[self.done]}/"
        whole = {"action": "submit"}
        for form, item, value in self.items:
            if separate:
                fields = {"instrument": form, "item": item, "value": value}
                fields |= {"base": "0", "key": str(uuid4())}
                self.saves.append(self.post(f"{path}answer/", fields)[0])
            else:
                whole[f"{form}:{item}"] = value
        self.nexts.append(self.post(path, whole)[0])
        self.done += 1


def measure(table: Table) -> None:
    """Raters at 1, 8 and 32; then a rater with a long history beside a fresh one."""
    table.heading("Rating over HTTP (40 turns, 18 items and the safety question)")
    with web_server() as (host, port, process):
        raters = _raters(host, port, 33)
        _run(raters[:2], SECONDS / 4, separate=True)  # warm up: templates, instruments, plans
        for count in (1, 8, 32):
            for separate in (True, False):
                _one(table, raters[:count], process.pid, separate=separate)
        _history(table, raters[0], raters[32])


def _one(table: Table, raters: list[Rater], pid: int, *, separate: bool) -> None:
    before, cpu = sum(r.done for r in raters), cpu_seconds_of_tree(pid)
    for rater in raters:
        rater.saves.clear()
        rater.nexts.clear()
    seconds = _run(raters, SECONDS, separate=separate)
    done = sum(r.done for r in raters) - before
    used = (cpu_seconds_of_tree(pid) - cpu) / max(1, done)
    way = "18 separate saves" if separate else "one submit"
    errors = sum(r.errors for r in raters)
    table.add(
        f"{len(raters)} raters, {way}",
        f"{done / seconds:.1f} ratings/s",
        f"best rival 10.4 at 8, 9.7 at 32; {used * 1000:.0f} ms server CPU each; {errors} errors",
    )
    saves = [value for r in raters for value in r.saves]
    if saves:
        median, high = percentile(saves, 0.5), percentile(saves, 0.95)
        size = f"{raters[0].bytes_down} bytes back"
        table.add("  a save", f"{milliseconds(median)}, p95 {milliseconds(high)}", size)
    nexts = [value for r in raters for value in r.nexts]
    median, high = percentile(nexts, 0.5), percentile(nexts, 0.95)
    table.add("  submit to next dialogue", f"{milliseconds(median)}, p95 {milliseconds(high)}")


def _history(table: Table, old: Rater, fresh: Rater) -> None:
    """The same work in turns by a rater with much behind them and by one with nothing."""
    for rater in (old, fresh):
        rater.saves.clear()
    rounds = min(10, len(old.assignments) - old.done, len(fresh.assignments) - fresh.done)
    for _ in range(rounds):
        old.rate_one(separate=True)
        fresh.rate_one(separate=True)
    ratio = percentile(old.saves, 0.5) / percentile(fresh.saves, 0.5)
    table.add(
        f"a save after {old.done} ratings / after {fresh.done}",
        f"{ratio:.2f}",
        "best rival 13.7 after 1,000",
    )


def _run(raters: list[Rater], seconds: float, *, separate: bool) -> float:
    """Let all raters work at once; the seconds until the last has ended."""
    end = time.perf_counter() + seconds
    begun = time.perf_counter()

    def work(rater: Rater) -> None:
        while time.perf_counter() < end and rater.done < len(rater.assignments):
            rater.rate_one(separate=separate)

    _together([partial(work, rater) for rater in raters])
    return time.perf_counter() - begun


def _together(jobs: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _raters(host: str, port: int, count: int) -> list[Rater]:
    """Accounts with sessions, each with every dialogue of one study."""
    from django.middleware.csrf import _get_new_csrf_string
    from django.test import Client

    from review.models import Assignment
    from sqpsych_site.models import User
    from tests.factories import make_dialogue, make_study

    users = [
        User.objects.create_user(username=f"bench{number}", password=None, role="rater")
        for number in range(count)
    ]
    words = "That sounds heavy, and I would like to understand it better before we go on. " * 3
    dialogues = [make_dialogue([f"{n} {words}" for n in range(TURNS)]) for _ in range(DIALOGUES)]
    study = make_study(users, dialogues, name="Bench")
    items = _answers(study)
    raters = []
    for user in users:
        client = Client()
        client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
        token = _get_new_csrf_string()
        uids = Assignment.objects.filter(rater=user).order_by("position")
        raters.append(
            Rater(
                host,
                port,
                f"sessionid={client.cookies['sessionid'].value}; csrftoken={token}",
                token,
                [str(uid) for uid in uids.values_list("uid", flat=True)],
                items,
            )
        )
    return raters


def _answers(study: object) -> list[tuple[str, str, str]]:
    from review.actions.rating import definition_of
    from review.models import Study

    assert isinstance(study, Study)
    answers = []
    for link in study.study_instruments.select_related("instrument"):
        for item in definition_of(link.instrument).items:
            value = "no" if item.type == "yes_no" else item.points[-1].value
            answers.append((link.instrument.key, item.key, value))
    return answers
