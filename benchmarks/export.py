"""Exports and results of a large study; beside them PostgreSQL's own COPY of the same rows."""

import resource
import tempfile
import time
from pathlib import Path

from benchmarks.setting import in_a_process
from benchmarks.table import Table, milliseconds, percentile

DIALOGUES, RATERS = 2000, 3


def measure(table: Table) -> None:
    """Rows a second and peak memory of a whole export; the raw copy in the same run."""
    study_id, rows = _study()
    table.heading(f"Results and export: {DIALOGUES} dialogues x {RATERS} raters, {rows:,} answers")
    figures, pages = in_a_process(_results, study_id)
    table.add("every figure, 1,000 draws each, in the background", f"{figures:.1f} s")
    table.add(
        "results page, figures kept, server time",
        milliseconds(percentile(pages, 0.5)),
        f"slowest of {len(pages)}: {milliseconds(max(pages))}",
    )
    files, seconds, before, peak = in_a_process(_export, study_id)
    raw = _copy()
    table.add(
        "all CSV files, one process",
        f"{rows / seconds:,.0f} answers/s",
        f"{seconds:.1f} s, {files / 1e6:.0f} MB; peak {peak:.0f} MB, of it {peak - before:.0f} MB "
        "for the export (rivals 165 to 1,507 MB)",
    )
    table.add(
        "raw COPY of the ratings", f"{rows / raw:,.0f} answers/s", f"ratio {seconds / raw:.0f}"
    )


def _study() -> tuple[int, int]:
    """A finished study with every answer given."""
    from django.utils import timezone

    from generation.models import Dialogue
    from review.actions.rating import definition_of
    from review.models import Assignment, Rating
    from sqpsych_site.models import User
    from tests.factories import make_study

    users = [User(username=f"export{n}", role="rater") for n in range(RATERS)]
    users = User.objects.bulk_create(users)
    dialogues = Dialogue.objects.bulk_create(
        Dialogue(origin="imported", state="complete") for _ in range(DIALOGUES)
    )
    study = make_study(users, dialogues, name="Export")
    now = timezone.now()
    Assignment.objects.filter(study=study).update(
        state="submitted", opened_at=now, submitted_at=now
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


def _results(study_id: int) -> tuple[float, list[float]]:
    """Seconds to make all figures, and seconds of the page that shows them."""
    import django

    django.setup()
    from django.test import Client

    from review.kept_figures import make_figures
    from review.models import Study
    from sqpsych_site.models import User

    begun = time.perf_counter()
    make_figures(Study.objects.get(pk=study_id))
    figures = time.perf_counter() - begun
    client, pages = Client(), []
    reader = User.objects.create_user(username="reader", password=None, role="researcher")
    client.force_login(reader, backend="allauth.account.auth_backends.AuthenticationBackend")
    for _ in range(6):
        begun = time.perf_counter()
        assert client.get(f"/studies/{study_id}/results/").status_code == 200
        pages.append(time.perf_counter() - begun)
    return figures, pages[1:]


def _export(study_id: int) -> tuple[int, float, float, float]:
    import django

    django.setup()
    from review.exports import Origin, export_to
    from review.models import Study
    from review.tables import Options

    study = Study.objects.get(pk=study_id)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        export_to(
            studies=study,
            directory=Path(folder),
            options=Options(),
            origin=Origin(by=None, via="benchmark"),
        )
        seconds = time.perf_counter() - begun
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return size, seconds, before, peak


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
