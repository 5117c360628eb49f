"""Ten thousand dialogues taken by raters at once while people come, go and hand back.

Who rates what is dealt when a study begins, so a claim is a rater's opening of the next dialogue.
What races it are the acts that deal again: handing back and making up, adding and removing raters.
Each takes unopened work from one rater and gives it to another.
"""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from django.db import OperationalError, connection
from psycopg.errors import LockNotAvailable

from review.actions import (
    add_raters,
    create_study,
    hand_back,
    make_up,
    next_assignment,
    open_assignment,
    remove_rater,
)
from review.models import Assignment, Study
from sqpsych_site.models import User
from tests.factories import make_dialogues

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]

DIALOGUES = 3334
OVERLAP = 3
HANDED_BACK = 150  # every so many


def test_ten_thousand_claims_leave_none_over_and_none_under(
    make_user: Callable[..., User],
) -> None:
    people = [make_user("rater", username=f"r{number}") for number in range(10)]
    study = create_study(
        name="Claims",
        raters=people[:8],
        dialogues=make_dialogues(DIALOGUES),
        instruments=["safety"],
        overlap=OVERLAP,
        seed=7,
        by=None,
    )
    opened: list[int] = []
    claims = [partial(claim, one, opened) for one in people]
    at_once(*claims, *claims[:2], partial(change_people, study, people))
    while make_up(study=study, by=None).given:
        at_once(*claims)
    at_once(*claims)
    check(study, opened)


def at_once(*works: Callable[[], None]) -> None:
    """Run all of them, each in a thread with a connection of its own."""

    def run(work: Callable[[], None]) -> None:
        try:
            work()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(works)) as pool:
        for done in [pool.submit(run, work) for work in works]:
            done.result()


def claim(rater: User, opened: list[int]) -> None:
    """Open one dialogue after the other, as submitting does; hand some back."""
    last: Assignment | None = None
    seen: set[int] = set()
    while (work := next_assignment(by=rater, after=last)) is not None and work.pk not in seen:
        seen.add(work.pk)
        last = work
        if not opened_now(work):
            continue  # the rater's other window was first, or it was given to somebody else
        opened.append(work.pk)
        if len(seen) % HANDED_BACK == 0:
            hand_back(uid=work.uid, by=rater, reason="broken")


def opened_now(work: Assignment) -> bool:
    """Open it; a page that had to wait too long for the coordinator is loaded again."""
    while True:
        try:
            return open_assignment(assignment=work)
        except OperationalError as problem:
            if not isinstance(problem.__cause__, LockNotAvailable):
                raise


def change_people(study: Study, people: list[User]) -> None:
    """What a coordinator does meanwhile."""
    add_raters(study=study, raters=people[8:], by=None)
    remove_rater(study=study, rater=people[0], by=None)


OPENED = """
SELECT pgh_obj_id, count(*) FROM review_assignmentevent
WHERE opened_at IS NOT NULL AND state = 'started' GROUP BY 1
"""


def check(study: Study, opened: list[int]) -> None:
    """Three raters for each dialogue, all different; each work opened, and once."""
    works = study.assignments.exclude(state="returned")
    pairs = list(works.values_list("study_dialogue_id", "rater_id"))
    assert Counter(Counter(place for place, _ in pairs).values()) == {OVERLAP: DIALOGUES}
    assert len(set(pairs)) == len(pairs) == OVERLAP * DIALOGUES
    assert not works.filter(opened_at=None).exists()
    with connection.cursor() as cursor:
        cursor.execute(OPENED)
        events = dict(cursor.fetchall())
    assert Counter(opened) == events
    assert set(events.values()) == {1}
