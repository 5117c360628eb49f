"""kill -9 of the web process, twenty times, while raters give answers."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.middleware.csrf import _get_new_csrf_string
from django.test import Client

from review.instruments import builtin_instruments
from review.models import Assignment
from sqpsych_site.models import User
from tests.factories import make_study
from tests.processes import free_port, start_web

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]

KILLS = 20
WHOLE = 5  # every so many kills take the whole server, the others one of its processes
RATERS = 6
BETWEEN = 12  # answers acknowledged between two kills
FORM = "sqpsych-expert"
ITEMS = [item.key for item in builtin_instruments()[FORM].items]


@dataclass
class Window(threading.Thread):
    """One rater's page: gives answers one after the other, each until it is acknowledged."""

    port: int
    cookie: str
    token: str
    path: str
    over: threading.Event
    sent: dict[str, tuple[str, str]] = field(default_factory=dict)
    stands: dict[str, tuple[str, int]] = field(default_factory=dict)
    unanswered: int = 0
    problem: object = None

    def __post_init__(self) -> None:
        super().__init__()
        self.link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)

    __hash__ = threading.Thread.__hash__

    def run(self) -> None:
        """Work until it is over, or until the server says something it must not."""
        number = 0
        with contextlib.closing(self.link):
            while not self.over.is_set() and self.problem is None:
                item, value = ITEMS[number % len(ITEMS)], str(number // len(ITEMS) % 3)
                self.give(item, value)
                number += 1

    def give(self, item: str, value: str) -> None:
        """One answer, sent again under its key as the page does."""
        key, base = str(uuid4()), self.stands.get(item, ("", 0))[1]
        operation = {"key": key, "kind": "answer", "instrument": FORM, "item": item}
        body = json.dumps({"ops": [{**operation, "value": value, "base": base}]})
        self.sent[key] = (item, value)
        end_by = time.monotonic() + 60
        while (told := self.post(body)) is None and time.monotonic() < end_by:
            self.unanswered += 1
            time.sleep(0.05)
        if told and told.get("status") == 200 and told["value"] == value:
            self.stands[item] = (value, told["revision"])
        else:
            self.problem = told or "no answer for a minute"

    def post(self, body: str) -> dict[str, Any] | None:
        """The result of the operation; None when no answer came."""
        headers = {"Cookie": self.cookie, "X-CSRFToken": self.token}
        headers |= {"Content-Type": "application/json", "X-Requested-With": "fetch"}
        try:
            self.link.request("POST", self.path, body, headers)
            reply = self.link.getresponse()
            data = reply.read()
        except (OSError, http.client.HTTPException):
            self.link.close()
            return None
        if reply.status != 200:
            return {"http": reply.status, "said": data.decode()}
        found: dict[str, Any] = json.loads(data)["results"][0]
        return found


def window_of(user: User, work: Assignment, port: int, over: threading.Event) -> Window:
    """The page of a signed-in rater."""
    client = Client()
    client.force_login(user)
    token = _get_new_csrf_string()
    session = client.cookies["sessionid"].value
    cookie = f"sessionid={session}; csrftoken={token}"
    return Window(port, cookie, token, f"/review/{work.uid}/save/", over)


def processes_of(server: "subprocess.Popen[bytes]") -> list[int]:
    """The processes that answer requests."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, IndexError):
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == server.pid and b"spawn_main" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return sorted(found)


def end(server: "subprocess.Popen[bytes]") -> None:
    """Kill the server with everything it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()


def test_no_answer_is_lost_or_halved_when_the_web_process_is_killed(
    make_user: Callable[..., User],
) -> None:
    raters = [make_user("rater", username=f"r{number}") for number in range(RATERS)]
    study = make_study(raters)
    port, over = free_port(), threading.Event()
    windows = [window_of(one, study.assignments.get(rater=one), port, over) for one in raters]
    server = start_web(port)
    try:
        for window in windows:
            window.start()
        for kill in range(KILLS):
            server = wait_for_answers(server, port, windows)
            answering = processes_of(server)
            if kill % WHOLE == WHOLE - 1 or not answering:
                end(server)
            else:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(answering[kill % len(answering)], signal.SIGKILL)
        server = wait_for_answers(server, port, windows)
    finally:
        over.set()
        for window in windows:
            window.join()
        end(server)
    assert [window.problem for window in windows] == [None] * RATERS
    assert sum(window.unanswered for window in windows) > 0
    for rater, window in zip(raters, windows, strict=True):
        check(study.assignments.get(rater=rater), rater, window)


def wait_for_answers(
    server: "subprocess.Popen[bytes]", port: int, windows: list[Window]
) -> "subprocess.Popen[bytes]":
    """Wait for some more acknowledged answers; start the server again as the supervisor does."""
    wanted = acknowledged(windows) + BETWEEN
    end_by = time.monotonic() + 60
    while acknowledged(windows) < wanted and not any(window.problem for window in windows):
        assert time.monotonic() < end_by, "the web server does not come back"
        if server.poll() is not None:
            end(server)
            server = start_web(port)
        time.sleep(0.02)
    return server


def acknowledged(windows: list[Window]) -> int:
    """How many answers have been called saved."""
    return sum(revision for window in windows for _, revision in list(window.stands.values()))


HISTORY = """
SELECT e.item, e.revision, e.value, c.metadata->>'user'
FROM review_ratingevent e LEFT JOIN pghistory_context c ON c.id = e.pgh_context_id
WHERE e.assignment_id = %s ORDER BY e.item, e.revision
"""


def check(work: Assignment, rater: User, window: Window) -> None:
    """What was acknowledged is stored, once, with its step and its row of the history."""
    rows = {row.item: (row.value, row.revision) for row in work.ratings.all()}
    assert rows == window.stands
    steps = {str(step.key): step for step in work.steps.order_by("number")}
    assert {key: (step.item, step.value) for key, step in steps.items()} == window.sent
    assert [step.number for step in steps.values()] == list(range(1, work.revision + 1))
    with connection.cursor() as cursor:
        cursor.execute(HISTORY, [work.pk])
        history = cursor.fetchall()
    told = sorted((step.item, step.revision, step.value) for step in steps.values())
    assert history == [(*one, str(rater.pk)) for one in told]
    for item, (_, revision) in rows.items():
        assert [one[1] for one in history if one[0] == item] == list(range(1, revision + 1))
