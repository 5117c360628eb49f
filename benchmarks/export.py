"""Exports and results of a large study; beside them PostgreSQL's own COPY of the same rows."""

import tempfile
import time
from pathlib import Path

from benchmarks.setting import in_a_process, peak_memory
from benchmarks.table import Table, milliseconds, percentile

DIALOGUES, RATERS, TURNS = 2000, 3, 30


def measure(table: Table) -> None:
    """Server time of the pages, rows a second and peak memory of an export; COPY beside it."""
    study_id, answers = _study()
    table.heading(
        f"Results and export: {DIALOGUES} dialogues x {RATERS} raters, {answers:,} answers"
    )
    figures, pages = in_a_process(_pages, study_id)
    table.add("every figure, 1,000 draws each, in the background", f"{figures:.1f} s")
    for name, (first, later) in pages.items():
        table.add(
            f"{name} page, figures kept, server time",
            milliseconds(percentile(later, 0.5)),
            f"slowest of {len(later)}: {milliseconds(max(later))}; "
            f"first of a process: {milliseconds(first)}",
        )
    raw = _copy()
    for what, name in (("all CSV files", ""), ("ratings_long.csv alone", "ratings_long")):
        rows, size, seconds, before, peak = in_a_process(_export, study_id, name)
        table.add(
            f"{what}, one process",
            f"{rows / seconds:,.0f} rows/s",
            f"{seconds:.1f} s, {answers / seconds:,.0f} answers/s, {size / 1e6:.0f} MB; peak "
            f"{peak:.0f} MB, of it {peak - before:.0f} MB for the export (rivals 165 to 1,507 MB); "
            f"{seconds / raw:.0f} x the time of COPY",
        )
    table.add("raw COPY of the ratings", f"{answers / raw:,.0f} answers/s", f"{raw:.2f} s")


def _study() -> tuple[int, int]:
    """A finished study with every answer given."""
    from django.utils import timezone

    from generation.models import Dialogue, Turn
    from review.actions.rating import definition_of
    from review.models import Assignment, Rating
    from sqpsych_site.models import User
    from tests.factories import make_study

    users = [User(username=f"export{n}", role="rater") for n in range(RATERS)]
    users = User.objects.bulk_create(users)
    dialogues = Dialogue.objects.bulk_create(
        Dialogue(origin="imported", state="complete", turn_count=TURNS) for _ in range(DIALOGUES)
    )
    now = timezone.now()
    Turn.objects.bulk_create(
        (
            Turn(
                dialogue=dialogue,
                number=number,
                role="therapist" if number % 2 else "client",
                text="What went through your mind at that moment? " * 4,
                created_at=now,
            )
            for dialogue in dialogues
            for number in range(1, TURNS + 1)
        ),
        batch_size=5000,
    )
    study = make_study(users, dialogues, name="Export")
    Assignment.objects.filter(study=study).update(
        state="submitted", opened_at=now, submitted_at=now, active_seconds=600
    )
    forms = [link.instrument for link in study.study_instruments.select_related("instrument")]
    answers = [
        (form, item.key, None if item.type == "yes_no" else 7 * number)
        for form in forms
        for number, item in enumerate(definition_of(form).items)
    ]
    for assignment in Assignment.objects.filter(study=study).iterator():
        Rating.objects.bulk_create(
            Rating(
                assignment=assignment,
                instrument=form,
                item=item,
                value="no" if number is None else str((number + assignment.pk * assignment.pk) % 3),
            )
            for form, item, number in answers
        )
    return int(study.pk), len(answers) * DIALOGUES * RATERS


def _pages(study_id: int) -> tuple[float, dict[str, tuple[float, list[float]]]]:
    """Seconds to make all figures; seconds of each page: the first, and the later ones."""
    import django

    django.setup()
    from django.test import Client

    from review.kept_figures import make_figures
    from review.models import Study
    from sqpsych_site.models import User

    begun = time.perf_counter()
    make_figures(Study.objects.get(pk=study_id))
    figures = time.perf_counter() - begun
    client, found = Client(SERVER_NAME="localhost"), {}
    reader = User.objects.create_user(username="reader", password=None, role="researcher")
    client.force_login(reader, backend="sqpsych_site.accounts.Accounts")
    for name in ("results", "quality"):
        seconds = []
        for _ in range(8):
            begun = time.perf_counter()
            assert client.get(f"/studies/{study_id}/{name}/").status_code == 200
            seconds.append(time.perf_counter() - begun)
        found[name] = seconds[0], seconds[1:]
    return figures, found


def _export(study_id: int, name: str) -> tuple[int, int, float, float, float]:
    """One file, or all: rows, bytes, seconds, memory before and at its peak in MB."""
    import django

    django.setup()
    from review.exports import Origin, export_table, export_to
    from review.models import Study
    from review.tables import Options

    study = Study.objects.get(pk=study_id)
    before = peak_memory()
    origin, options = Origin(by=None, via="benchmark"), Options()
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        if name:
            with export_table(studies=study, name=name, options=options, origin=origin) as out:
                seconds = time.perf_counter() - begun
                data = out.read()
            rows, size = data.count(b"\n") - 1, len(data)
        else:
            files = export_to(studies=study, directory=Path(folder), options=options, origin=origin)
            seconds = time.perf_counter() - begun
            rows, size = sum(one.rows for one in files), sum(one.bytes for one in files)
    peak = peak_memory()
    return rows, size, seconds, before, peak


def _copy() -> float:
    """Seconds of COPY to the client, the least any export can take."""
    from django.db import connection

    connection.ensure_connection()
    begun = time.perf_counter()
    with connection.connection.cursor() as cursor:
        query = (
            "COPY (SELECT r.*, a.position, a.state FROM review_rating r "
            "JOIN review_assignment a ON a.id = r.assignment_id) TO STDOUT WITH CSV"
        )
        with cursor.copy(query) as rows:
            for _ in rows:
                pass
    return time.perf_counter() - begun
