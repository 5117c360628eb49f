"""Appointing adjudicators, setting what counts as a disagreement, and deciding."""

from collections.abc import Sequence
from decimal import Decimal

from django.db import transaction
from django.db.models import IntegerField, Max
from django.db.models.functions import Cast, Substr

from review.actions.errors import Refused
from review.models import (
    Adjudication,
    AdjudicationPlan,
    Adjudicator,
    Study,
    StudyDialogue,
    StudyInstrument,
    StudyKind,
)
from sqpsych_site import audit
from sqpsych_site.models import User
from sqpsych_site.roles import Verb

MAX_REASON = 4_000
MAX_LIMIT = Decimal(100)


@transaction.atomic
def plan_adjudication(
    *, study: Study, limit: Decimal, flags: bool, people: Sequence[User], by: User | None
) -> None:
    """Set the rule and the adjudicators of a study; those left out decide no more.

    Decisions stay, also of people who are no longer appointed.
    """
    if study.kind != StudyKind.RATING:
        raise Refused(
            "wrong_kind", "Only studies in which dialogues are rated one by one are adjudicated."
        )
    if not 0 <= limit <= MAX_LIMIT:
        raise Refused("limit", "The limit must lie between 0 and 100 scale points.")
    for person in people:
        if not person.may(Verb.ADJUDICATE):
            raise Refused("not_allowed", f"“{person.username}” may not adjudicate.")
    Study.objects.select_for_update().get(pk=study.pk)
    AdjudicationPlan.objects.update_or_create(
        study=study, defaults={"limit": limit, "flags": flags}
    )
    wanted = {person.pk for person in people}
    mine = Adjudicator.objects.filter(study=study)
    mine.exclude(person__in=wanted).filter(active=True).update(active=False)
    mine.filter(person__in=wanted, active=False).update(active=True)
    known = set(mine.values_list("person_id", flat=True))
    number = mine.aggregate(n=Max(Cast(Substr("code", 2), output_field=IntegerField())))["n"] or 0
    for person in people:
        if person.pk not in known:
            number += 1
            Adjudicator.objects.create(study=study, person=person, code=f"A{number}")
    audit.record(
        by=by,
        action="adjudication.plan",
        target=f"study {study.pk}",
        limit=str(limit),
        flags=flags,
        adjudicators=sorted(wanted),
    )


@transaction.atomic
def decide(
    *, study: Study, code: str, dispute: str, value: str, reason: str, by: User
) -> Adjudication:
    """Decide one dispute with a reason; deciding again replaces the decision, history is kept.

    ``dispute`` is its key. Only an appointed person may, and never on a dialogue of their own.
    """
    from review.adjudication import appointed, case_of

    adjudicator = appointed(by).filter(study=study).first()
    dialogue = (
        StudyDialogue.objects.select_for_update().filter(study=study, code=code).first()
        if adjudicator
        else None
    )
    case = case_of(study, by, code) if dialogue else None
    if adjudicator is None or dialogue is None or case is None:
        raise Refused("not_yours", "This dialogue is not yours to decide.", status=404)
    found = {one.key: one for one in case.disputes}.get(dispute)
    if found is None:
        raise Refused("no_dispute", "The raters do not disagree here; look at the page again.")
    if value not in dict(found.choices):
        raise Refused("no_value", f"{found.label}: choose one of the answers.")
    words = reason.strip()
    if not words:
        raise Refused("no_reason", f"{found.label}: say why in a sentence or two.")
    if len(words) > MAX_REASON:
        raise Refused("long_reason", f"A reason may have at most {MAX_REASON:,} characters.")
    link = StudyInstrument.objects.get(study=study, instrument__key=found.instrument)
    row, _ = Adjudication.objects.update_or_create(
        study_dialogue=dialogue,
        instrument_id=link.instrument_id,
        item=found.item,
        category=found.category,
        turn_number=found.turn,
        defaults={"value": value, "reason": words, "decided_by": adjudicator},
    )
    return row
