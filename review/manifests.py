"""What an export is, as JSON: studies, instruments, filters, counts, hashes, version."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date
from typing import Any

from django.conf import settings
from django.db.models import Count, Max

from review.cells import moment_cell
from review.models import DATA_KINDS, AssignmentState, Comparison, Evidence, Flag, Rating, Study
from review.tables import Frame, Options
from review.writers import Written

NOTICE = (
    "Ratings of synthetic dialogues, made for research. They say nothing about the care of any"
    " real person."
)


def manifest(frame: Frame, files: Sequence[Written], scripts: Mapping[str, str]) -> bytes:
    """The manifest of an export; ``scripts`` maps the names of scripts beside it to hashes."""
    body: dict[str, Any] = {
        "format": "sqpsych-ratings/2",
        "synthetic": True,
        "notice": NOTICE,
        "software": {"name": "SQPsych", "version": settings.VERSION},
        "studies": [_study(study) for study in frame.studies],
        "data_until": max(_latest(study) for study in frame.studies),
        "filters": {
            "kinds": list(DATA_KINDS),
            "assignments": ["started", "submitted", "returned"],
            "withdrawn_marks": False,
            **options_json(frame.options),
        },
        "instruments": [
            {
                "key": form.key,
                "version": form.version,
                "title": form.title,
                "sha256": form.sha256,
                "licence": form.licence,
                "attribution": form.definition.attribution,
            }
            for form in frame.forms
        ],
        "files": [asdict(file) for file in files],
        "scripts": dict(scripts),
    }
    return (json.dumps(body, ensure_ascii=False, indent=2) + "\n").encode()


def options_json(options: Options) -> dict[str, Any]:
    """The options as JSON values."""
    return {
        name: value.isoformat() if isinstance(value, date) else value
        for name, value in asdict(options).items()
    }


def _study(study: Study) -> dict[str, Any]:
    works = study.assignments.filter(kind__in=DATA_KINDS).order_by()
    states = dict(works.values_list("state").annotate(n=Count("pk")))
    return {
        "id": study.pk,
        "name": study.name,
        "state": study.state,
        "overlap": study.overlap,
        "created_at": moment_cell(study.created_at),
        "dialogues": study.study_dialogues.count(),
        "raters": study.study_raters.count(),
        "assignments": {state: states.get(state, 0) for state in AssignmentState.values},
    }


def _latest(study: Study) -> str:
    """The last change that the files can show."""
    works = study.assignments.aggregate(
        opened=Max("opened_at"), submitted=Max("submitted_at")
    ).values()
    answered = Rating.objects.filter(assignment__study=study).aggregate(at=Max("updated_at"))
    flagged = Flag.objects.filter(assignment__study=study).aggregate(
        at=Max("updated_at"), withdrawn=Max("withdrawn_at")
    )
    marked = Evidence.objects.filter(assignment__study=study).aggregate(
        at=Max("created_at"), withdrawn=Max("withdrawn_at")
    )
    compared = Comparison.objects.filter(study=study).aggregate(
        opened=Max("opened_at"), submitted=Max("submitted_at")
    )
    moments = [*works, *answered.values(), *flagged.values(), *marked.values()]
    moments += [*compared.values(), study.created_at]
    return moment_cell(max(moment for moment in moments if moment is not None))
