"""Blindness over bytes: nothing a rater can reach tells a model, an arm, a condition, a result of
a questionnaire, or another rater's judgment. ``HIDDEN`` in scene.py holds the marks."""

import io
import re
import zipfile

import pytest

from generation.models import Arm, ClientProfile
from review.models import Adjudicator, Rating
from sqpsych_site.roles import Role
from tests.site.addresses import TABLE, path_of
from tests.site.crawl import Walk, visit
from tests.site.scene import HIDDEN, Scene, signed_in, undone

pytestmark = pytest.mark.django_db
REACHABLE = [
    (name, method)
    for name in TABLE
    for method in ("get", "post")
    if TABLE[name].status(method, Role.RATER) in (200, 302, 303, 422)
]
# Whoever may see everything must meet the marks, or the search would prove nothing.
SEEN_BY_OTHERS = {"therapist model", "arm label", "condition", "another rater's comment"}


def told(data: bytes, headers: object = "") -> set[str]:
    """Which hidden things stand in these bytes, archives opened."""
    if data[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            data = b"\n".join(archive.read(name) for name in archive.namelist())
    text = data.decode(errors="replace").lower() + repr(headers).lower()
    return {what for what, mark in HIDDEN.items() if mark.lower() in text}


@pytest.mark.parametrize(("name", "method"), REACHABLE, ids=str)
def test_nothing_a_rater_reaches_tells(met: Walk, name: str, method: str) -> None:
    answer = met[name, Role.RATER, method]
    assert told(answer.body, answer.headers) == set()


def test_no_fragment_a_rater_reaches_tells(scene: Scene) -> None:
    client = signed_in(scene.rater)
    for name, method in REACHABLE:
        with undone():
            data = TABLE[name].data(scene) if method == "post" else None
            got = visit(client, method, path_of(name, scene), data, headers={"HX-Request": "true"})
        assert told(got.body, got.headers) == set(), (name, method)


def test_the_marks_are_there_to_be_found(met: Walk) -> None:
    found: set[str] = set()
    for (_, who, _), answer in met.items():
        if who == Role.ADMINISTRATOR:
            found |= told(answer.body, answer.headers)
    assert found >= SEEN_BY_OTHERS


def test_refusals_tell_a_rater_nothing(met: Walk) -> None:
    for (name, who, method), answer in met.items():
        if who == Role.RATER and answer.status >= 400:
            # The forms of a page give back the address that was asked for: the rater knew it.
            body = re.sub(rb'name="next" value="[^"]*"', b"", answer.body)
            assert told(body, answer.headers) == set(), (name, method)


def test_appointed_rater_meets_judgments_but_no_origin(scene: Scene) -> None:
    """Who adjudicates sees the judgments, under pseudonyms, and still no model, arm or result."""
    senior = scene.people[Role.COORDINATOR]
    Adjudicator.objects.create(study=scene.study, person=senior, code="A1")
    other = scene.assignment
    other.state, other.submitted_at = "submitted", scene.foreign.submitted_at
    scene.foreign.refresh_from_db()
    other.submitted_at = scene.foreign.submitted_at
    other.save()
    Rating.objects.filter(assignment=scene.foreign).update(value="2")
    Rating.objects.filter(assignment=other).update(value="0")
    client = signed_in(senior)
    for name in ("review:adjudications", "review:adjudication_queue", "review:adjudicate"):
        answer = visit(client, "get", path_of(name, scene))
        assert answer.status == 200, name
        assert told(answer.body) <= {"another rater's remark", "coordinator"}, name
    assert "another rater's remark" in told(
        visit(client, "get", path_of("review:adjudicate", scene)).body
    )


def test_scene_hides_what_the_marks_say(scene: Scene) -> None:
    assert Arm.objects.filter(label=HIDDEN["arm label"]).exists()
    assert ClientProfile.objects.filter(condition=HIDDEN["condition"]).exists()
