"""Habits that hold for everything: found by walking the code, not by remembering to test it."""

import ast
import importlib
import re
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.template.loader import get_template

from sqpsych_site.celery import app
from tests.factories import make_instrument

ROOT = Path(__file__).parents[2]
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
OURS = ("generation", "review", "sqpsych_site")
FORBIDDEN = {
    "inline script": r"<script(?![^>]*\bsrc=)",
    "inline style": r"<style|\sstyle\s*=",
    "event attribute": r"\son[a-z]+\s*=",
    "trusted markup": r"\|\s*safe\b|autoescape\s+off",
    "evaluated htmx": r"hx-on|hx-vars|['\"]js:",
    "foreign address": r"(?:src|href|action)=\"(?:https?:)?//",
}


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT)))
def test_template_has_nothing_inline_and_compiles(path: Path) -> None:
    text = path.read_text()
    found = [name for name, pattern in FORBIDDEN.items() if re.search(pattern, text)]
    assert found == []
    get_template(str(path.relative_to(ROOT / "templates")))


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_posting_form_carries_its_token(path: Path) -> None:
    for form in re.findall(r"<form\b.*?</form>", path.read_text(), re.DOTALL):
        if 'method="post"' in form.lower():
            assert "csrf_token" in form or "{% slot" in form or "{% element" in form, form[:120]


@pytest.fixture
def our_tasks() -> None:
    """Every module of tasks, as a worker loads them."""
    for name in OURS:
        if (ROOT / name / "tasks.py").exists():
            importlib.import_module(f"{name}.tasks")


@pytest.mark.usefixtures("our_tasks")
def test_every_task_survives_its_worker() -> None:
    tasks = {name: task for name, task in app.tasks.items() if name.startswith(OURS)}
    assert {name.split(".")[0] for name in tasks} >= {"generation", "sqpsych_site"}
    for name, task in tasks.items():
        assert (task.acks_late, task.reject_on_worker_lost, task.ignore_result) == (
            True,
            True,
            True,
        ), name


@pytest.mark.usefixtures("our_tasks")
def test_every_scheduled_task_exists() -> None:
    wanted = {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()}
    assert wanted <= set(app.tasks)


def test_migrations_are_complete(db: None) -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def test_settings_and_example_name_the_same_variables() -> None:
    read = set(
        re.findall(r'env\.\w+\(\s*"([A-Z_]+)"', (ROOT / "sqpsych_site/settings.py").read_text())
    )
    told = set(re.findall(r"(?m)^# ([A-Z_]+)=", (ROOT / ".env.example").read_text()))
    run = {"PORT", "DEMO", "ENGINE", "SQPSYCH_ENGINE_DIR"}
    assert read == told - run


def test_tests_neither_mock_nor_skip() -> None:
    for path in (ROOT / "tests").rglob("*.py"):
        names = {
            alias.name
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        } | {
            node.module or ""
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.ImportFrom)
        }
        assert not {name for name in names if "mock" in name}, path
        if path.name != "test_meta.py":
            assert not re.search(
                r"pytest\.skip|mark\.skip|mark\.xfail|ALWAYS_EAGER", path.read_text()
            )


def test_what_a_study_rests_on_cannot_be_changed(db: None) -> None:
    row = make_instrument()
    for change in ("toml = 'x'", "version = '2'"):
        with (
            pytest.raises(DatabaseError),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(f"UPDATE review_instrument SET {change} WHERE id = %s", [row.pk])  # noqa: S608 - fixed words


JUDGMENTS = ("Rating", "Flag", "Evidence", "Assignment", "Study")


@pytest.mark.parametrize("name", JUDGMENTS)
def test_every_judgment_is_tracked(name: str) -> None:
    model = apps.get_model("review", name)
    event = apps.get_model("review", f"{name}Event")
    assert event._meta.get_field("pgh_obj").related_model is model
    triggers = {trigger.name for trigger in getattr(event._meta, "triggers", [])}
    assert "append_only" in triggers


def test_content_security_policy_is_exact_on_every_kind_of_page(client_of, rater) -> None:
    wanted = {
        "default-src 'self'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    }
    client = client_of(rater)
    for path in ("/review/", "/accounts/password/change/", "/nowhere/", "/studies/"):
        response = client.get(path)
        policy = {part.strip() for part in response["Content-Security-Policy"].split(";")}
        assert policy == wanted, path
        assert response["X-Content-Type-Options"] == "nosniff"
        assert response["Cache-Control"] == "no-store" or response.status_code == 404


def test_answer_keeps_its_author_and_every_earlier_value(client_of, rater) -> None:
    from tests.factories import assignments_of, make_study

    [assignment] = assignments_of(make_study([rater]), rater)
    client = client_of(rater)
    for value in ("0", "2"):
        client.post(f"/review/{assignment.uid}/", {"sqpsych-expert:t1_key_thoughts": value})
    events = apps.get_model("review", "RatingEvent").objects.order_by("pgh_id")
    assert [event.value for event in events] == ["0", "2"]
    assert {event.pgh_context.metadata["user"] for event in events} == {rater.pk}
