"""What a rater may reach and see. Blindness is decided here and nowhere else."""

from dataclasses import dataclass
from functools import lru_cache
from uuid import UUID

from django.http import Http404

from review.models import Assignment, Study
from sqpsych_site.models import User
from sqpsych_site.statements import Worded

NOBODY = -1
NOWHERE = UUID(int=1)


@dataclass(frozen=True)
class Visible:
    """What the study lets its raters know beyond the text of the dialogue."""

    model: bool = False
    condition: bool = False
    totals: bool = False


def visible_in(study: Study) -> Visible:
    """Read a study's blinding choices; anything unsaid is hidden."""
    return Visible(
        model=study.settings.get("show_model") is True,
        condition=study.settings.get("show_condition") is True,
        totals=study.settings.get("show_totals") is True,
    )


@lru_cache(maxsize=2)
def _own(*, lock: bool) -> Worded[Assignment]:
    rows = Assignment.objects.visible_to(User(pk=NOBODY)).with_work().filter(uid=NOWHERE)
    if lock:
        rows = rows.select_for_update(of=("self",))
    return Worded(rows.order_by(), [NOBODY, NOWHERE])


def own_assignment(user: User, uid: UUID, *, lock: bool = False) -> Assignment | None:
    """The person's own assignment with its study, or None: another's is not found.

    ``lock`` keeps its row until the transaction ends.
    """
    return next(_own(lock=lock).models(user.pk, uid), None)


def assignment_of(user: User, uid: UUID) -> Assignment:
    """The person's own assignment with its study; another's is not found (404)."""
    found = own_assignment(user, uid)
    if found is None:
        raise Http404
    return found
