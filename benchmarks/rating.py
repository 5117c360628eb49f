"""Rating over HTTP: save an answer, open the next dialogue, whole ratings a second.

A whole rating is what a browser sends: 19 saves (18 items and the safety question), then a submit
that answers with the next dialogue; or one submit that carries all answers. Clients keep their
connection and share the machine's cores with the server, as the rivals were measured.
"""

import asyncio
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode
from uuid import uuid4

from benchmarks.http_client import Connection, Reply
from benchmarks.setting import cpu_seconds_of_tree, web_server
from benchmarks.table import Table, milliseconds, percentile

SECONDS = float(os.environ.get("SQPSYCH_BENCH_SECONDS", "12"))
DIALOGUES = 1200
TURNS = 40
FORM = b"application/x-www-form-urlencoded"
JSON = b"application/json"


@dataclass
class Rater:
    """One rater's browser: a kept connection, a session, and their assignments' addresses."""

    headers: dict[str, str]
    assignments: list[str]
    items: list[tuple[str, str, str]]
    link: Connection | None = None
    saves: list[float] = field(default_factory=list)
    nexts: list[float] = field(default_factory=list)
    bytes_up: int = 0
    bytes_down: int = 0
    done: int = 0
    errors: int = 0

    def __post_init__(self) -> None:
        names = [(f"{form}:{item}", value) for form, item, value in self.items]
        self.whole = urlencode([*names, ("action", "submit")]).encode()

    async def post(self, path: str, kind: bytes, body: bytes) -> Reply:
        """Send one request; anything but success is counted."""
        assert self.link is not None
        reply = await self.link.post(path, kind, body)
        if reply.status != 200 or (kind is JSON and b'"status": 200' not in reply.body):
            self.errors += 1
        self.bytes_up, self.bytes_down = len(body), len(reply.body)
        return reply

    async def rate_one(self, *, separate: bool) -> None:
        """One whole rating, with separate saves or all in the submit."""
        path = f"/review/{self.assignments[self.done]}/"
        if separate:
            for form, item, value in self.items:
                body = (
                    f'{{"ops":[{{"key":"{uuid4()}","kind":"answer","instrument":"{form}",'
                    f'"item":"{item}","value":"{value}","base":0}}]}}'
                )
                reply = await self.post(f"{path}save/", JSON, body.encode())
                self.saves.append(reply.seconds)
        whole = b"action=submit" if separate else self.whole
        self.nexts.append((await self.post(path, FORM, whole)).seconds)
        self.done += 1


def measure(table: Table) -> None:
    """Raters at 1, 8 and 32; then a rater with a long history beside a fresh one."""
    table.heading("Rating over HTTP (40 turns, 18 items and the safety question)")
    with web_server() as (host, port, process):
        raters = _raters(34)
        asyncio.run(_measure(table, raters, host, port, process.pid))


async def _measure(table: Table, raters: list[Rater], host: str, port: int, pid: int) -> None:
    for rater in raters:
        rater.link = await Connection.open(host, port, rater.headers)
    await _run(raters[:8], SECONDS / 3, separate=True)  # warm up: templates, instruments, plans
    for count in (1, 8, 32):
        for separate in (True, False):
            await _one(table, raters[:count], pid, separate=separate)
    await _history(table, raters[32], raters[33])


async def _one(table: Table, raters: list[Rater], pid: int, *, separate: bool) -> None:
    before, cpu = sum(r.done for r in raters), _cpu(pid)
    for rater in raters:
        rater.saves.clear()
        rater.nexts.clear()
    seconds = await _run(raters, SECONDS, separate=separate)
    done = sum(r.done for r in raters) - before
    web, database, clients = (
        (after - earlier) / max(1, done) * 1000
        for after, earlier in zip(_cpu(pid), cpu, strict=True)
    )
    way = "18 separate saves" if separate else "one submit"
    table.add(
        f"{len(raters)} raters, {way}",
        f"{done / seconds:.1f} ratings/s",
        f"CPU each: web {web:.1f}, database {database:.1f}, clients {clients:.1f} ms;"
        f" {sum(r.errors for r in raters)} errors; best rival 10.4/s at 8, 9.7/s at 32",
    )
    saves = [value for r in raters for value in r.saves]
    if saves:
        median, high = percentile(saves, 0.5), percentile(saves, 0.95)
        table.add("  a save", f"{milliseconds(median)}, p95 {milliseconds(high)}")
    nexts = [value for r in raters for value in r.nexts]
    median, high = percentile(nexts, 0.5), percentile(nexts, 0.95)
    table.add(
        "  submit to next dialogue",
        f"{milliseconds(median)}, p95 {milliseconds(high)}",
        f"{raters[0].bytes_up} bytes up, {raters[0].bytes_down} down",
    )


def _cpu(pid: int) -> tuple[float, float, float]:
    """Seconds used so far by the web server, by PostgreSQL and by the clients."""
    pid_file = Path(os.environ["SQPSYCH_DATA_DIR"]) / "postgres" / "data" / "postmaster.pid"
    postmaster = int(pid_file.read_text().split("\n", 1)[0])
    return cpu_seconds_of_tree(pid), cpu_seconds_of_tree(postmaster), time.process_time()


async def _history(table: Table, old: Rater, fresh: Rater) -> None:
    """The same saves in turns by a rater with 1,000 ratings behind them and by one with none."""
    while old.done < min(1000, len(old.assignments) - 40):
        await old.rate_one(separate=False)
    for rater in (old, fresh):
        rater.saves.clear()
        rater.nexts.clear()
    for _ in range(30):
        await old.rate_one(separate=True)
        await fresh.rate_one(separate=True)
    ratio = percentile(old.saves, 0.5) / percentile(fresh.saves, 0.5)
    table.add(
        f"a save after {old.done - 30} ratings / after none",
        f"{ratio:.2f}",
        "best rival 13.7 after 1,000",
    )
    ratio = percentile(old.nexts, 0.5) / percentile(fresh.nexts, 0.5)
    table.add("  the same for submit to next", f"{ratio:.2f}")


async def _run(raters: list[Rater], seconds: float, *, separate: bool) -> float:
    """Let all raters work at once; the seconds until the last has ended."""
    begun = time.perf_counter()
    end = begun + seconds

    async def work(rater: Rater) -> None:
        while time.perf_counter() < end and rater.done < len(rater.assignments) - 1:
            await rater.rate_one(separate=separate)

    await asyncio.gather(*(work(rater) for rater in raters))
    return time.perf_counter() - begun


def _raters(count: int) -> list[Rater]:
    """Accounts with sessions, each with every dialogue of one study."""
    from django.conf import settings
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
    texts = [f"{number} {words}" for number in range(TURNS)]
    study = make_study(users, [make_dialogue(texts)], name="Bench")
    items = _answers(study)
    _multiply(study)
    raters = []
    for user in users:
        client = Client()
        client.force_login(user, backend=settings.AUTHENTICATION_BACKENDS[0])
        token = _get_new_csrf_string()
        uids = Assignment.objects.filter(rater=user).order_by("position")
        raters.append(
            Rater(
                {
                    "Cookie": f"sessionid={client.cookies['sessionid'].value}; csrftoken={token}",
                    "X-CSRFToken": token,
                    "X-Requested-With": "fetch",
                    "HX-Request": "true",
                },
                [str(uid) for uid in uids.values_list("uid", flat=True)],
                items,
            )
        )
    return raters


MULTIPLY_DIALOGUES = """
INSERT INTO generation_dialogue SELECT new.* FROM generation_dialogue old,
    generate_series(1, %s) number,
    LATERAL jsonb_populate_record(old, jsonb_build_object('uid', gen_random_uuid(),
        'id', nextval('generation_dialogue_id_seq') + 0 * number)) new
WHERE old.id = %s
"""
MULTIPLY_TURNS = """
INSERT INTO generation_turn SELECT new.* FROM generation_dialogue dialogue, generation_turn old,
    LATERAL jsonb_populate_record(old, jsonb_build_object('dialogue_id', dialogue.id,
        'id', nextval('generation_turn_id_seq'))) new
WHERE old.dialogue_id = %s AND dialogue.id <> old.dialogue_id
"""
MULTIPLY_PLACES = """
INSERT INTO review_studydialogue (study_id, dialogue_id, code, training)
SELECT %s, id, 'D' || id, false FROM generation_dialogue WHERE id <> %s
"""
MULTIPLY_WORK = """
INSERT INTO review_assignment SELECT new.* FROM review_assignment old, review_studydialogue place,
    LATERAL jsonb_populate_record(old, jsonb_build_object('uid', gen_random_uuid(),
        'id', nextval('review_assignment_id_seq'), 'study_dialogue_id', place.id,
        'position', old.position + place.id - old.study_dialogue_id)) new
WHERE old.study_id = %s AND place.id <> %s
"""


def _multiply(study: object) -> None:
    """The study's one dialogue many times over, for each of its raters."""
    from django.db import connection

    from review.models import Study

    assert isinstance(study, Study)
    first = study.study_dialogues.get()
    with connection.cursor() as cursor:
        # Rows of a shape that is known to be right; their triggers would only take time.
        cursor.execute("ALTER TABLE review_assignment DISABLE TRIGGER USER")
        cursor.execute(MULTIPLY_DIALOGUES, [DIALOGUES - 1, first.dialogue_id])
        cursor.execute(MULTIPLY_TURNS, [first.dialogue_id])
        cursor.execute(MULTIPLY_PLACES, [study.pk, first.dialogue_id])
        cursor.execute(MULTIPLY_WORK, [study.pk, first.pk])
        cursor.execute("ALTER TABLE review_assignment ENABLE TRIGGER USER")
        cursor.execute("ANALYZE")


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
