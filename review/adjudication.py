"""What an adjudicator has to decide: dialogues all raters are done with, and their disputes."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from django.db.models import QuerySet

from review.actions.rating import definition_of
from review.actions.sights import worse
from review.disputes import Dispute, Spot, dispute_key, flag_disputes, item_disputes
from review.models import (
    Adjudication,
    AdjudicationPlan,
    Adjudicator,
    Assignment,
    AssignmentKind,
    AssignmentState,
    Flag,
    Instrument,
    Rating,
    Study,
    StudyDialogue,
    StudyRater,
)
from sqpsych_site.models import User

OPEN = (AssignmentState.LOCKED, AssignmentState.DUE, AssignmentState.STARTED)
LIMIT = Decimal(1)


@dataclass(frozen=True)
class Plan:
    """From what distance on a disagreement is decided."""

    limit: Decimal = LIMIT
    flags: bool = True


@dataclass(frozen=True)
class Case:
    """One dialogue with its disputes and what is decided of them."""

    dialogue: StudyDialogue
    disputes: list[Dispute]
    decided: Mapping[str, Adjudication] = field(default_factory=dict)

    @property
    def left(self) -> int:
        """Disputes without a decision."""
        return sum(one.key not in self.decided for one in self.disputes)

    @property
    def spread(self) -> float:
        """The widest open dispute; the widest of all once everything is decided."""
        still = [one.spread for one in self.disputes if one.key not in self.decided]
        return max(still or [one.spread for one in self.disputes])


def plan_of(study: Study) -> Plan:
    """The study's rule, or the default."""
    row = AdjudicationPlan.objects.filter(study=study).first()
    return Plan(row.limit, row.flags) if row else Plan()


def appointed(person: User) -> QuerySet[Adjudicator]:
    """The person's appointments in studies that are not drafts or put away."""
    return Adjudicator.objects.filter(person=person, active=True).exclude(
        study__state__in=["draft", "archived"]
    )


def allowed_dialogues(study: Study, person: User | None) -> QuerySet[StudyDialogue]:
    """Dialogues that everybody has finished; none that this person was ever given to rate."""
    live = Assignment.objects.filter(study=study, kind=AssignmentKind.LIVE)
    rows = StudyDialogue.objects.filter(
        study=study, pk__in=live.filter(state=AssignmentState.SUBMITTED).values("study_dialogue")
    ).exclude(pk__in=live.filter(state__in=OPEN).values("study_dialogue"))
    if person is not None:
        own = Assignment.objects.filter(rater=person).values("study_dialogue__dialogue")
        rows = rows.exclude(dialogue__in=own)
    return rows


def cases_of(study: Study, person: User | None) -> list[Case]:
    """All cases, open ones first, then by how far apart the raters are. A fixed number of queries.

    ``person`` None gives every case, for those who watch over the study.
    """
    return sorted(
        _cases(study, allowed_dialogues(study, person)),
        key=lambda case: (not case.left, -case.spread, case.dialogue.code),
    )


def case_of(study: Study, person: User | None, code: str) -> Case | None:
    """One case, or None where the person has nothing to decide."""
    return next(iter(_cases(study, allowed_dialogues(study, person).filter(code=code))), None)


def _cases(study: Study, dialogues: QuerySet[StudyDialogue]) -> list[Case]:
    rows = {row.pk: row for row in dialogues.select_related("dialogue")}
    codes = dict(StudyRater.objects.filter(study=study).values_list("rater_id", "code"))
    works: dict[int, tuple[int, str]] = {
        pk: (dialogue, codes.get(rater, "?"))
        for pk, dialogue, rater in Assignment.objects.filter(
            study_dialogue__in=list(rows),
            kind=AssignmentKind.LIVE,
            state=AssignmentState.SUBMITTED,
        ).values_list("pk", "study_dialogue_id", "rater_id")
    }
    forms = [
        link.instrument
        for link in study.study_instruments.select_related("instrument").order_by("position")
    ]
    answers, flags = _answers(works), _flags(works, forms)
    decided = _decided(rows)
    plan, cases = plan_of(study), []
    for pk, row in rows.items():
        raters = sorted({rater for dialogue, rater in works.values() if dialogue == pk})
        found = list(_disputes(forms, raters, plan, answers[pk], flags[pk]))
        if len(raters) > 1 and found:
            cases.append(Case(row, found, decided.get(pk, {})))
    return cases


def _disputes(
    forms: Sequence[Instrument],
    raters: Sequence[str],
    plan: Plan,
    answers: Mapping[int, Mapping[Spot, Mapping[str, str]]],
    flags: Mapping[str, Mapping[str, str]],
) -> Iterable[Dispute]:
    for row in forms:
        form = definition_of(row)
        yield from item_disputes(form, answers.get(row.pk, {}), plan.limit)
        if plan.flags:
            yield from flag_disputes(form, raters, flags)


def _answers(
    works: Mapping[int, tuple[int, str]],
) -> Mapping[int, dict[int, dict[Spot, dict[str, str]]]]:
    """dialogue -> instrument -> item and turn -> rater -> value."""
    found: dict[int, dict[int, dict[Spot, dict[str, str]]]] = defaultdict(dict)
    rows = Rating.objects.filter(assignment__in=list(works)).order_by()
    for work, form, item, turn, value in rows.values_list(
        "assignment", "instrument", "item", "turn_number", "value"
    ):
        dialogue, rater = works[work]
        found[dialogue].setdefault(form, {}).setdefault((item, turn), {})[rater] = value
    return found


def _flags(
    works: Mapping[int, tuple[int, str]], forms: Sequence[Instrument]
) -> Mapping[int, dict[str, dict[str, str]]]:
    """dialogue -> category -> rater -> the worst severity given."""
    form = next((one for one in map(definition_of, forms) if one.safety), None)
    found: dict[int, dict[str, dict[str, str]]] = defaultdict(dict)
    rows = Flag.objects.filter(assignment__in=list(works), withdrawn_at=None).order_by("pk")
    for work, category, severity in rows.values_list("assignment", "category", "severity"):
        dialogue, rater = works[work]
        there = found[dialogue].setdefault(category, {})
        there[rater] = worse(form, there.get(rater), severity) if form else severity
    return found


def _decided(rows: Iterable[int]) -> Mapping[int, dict[str, Adjudication]]:
    found: dict[int, dict[str, Adjudication]] = defaultdict(dict)
    decisions = Adjudication.objects.filter(study_dialogue__in=list(rows))
    for one in decisions.select_related("instrument", "decided_by"):
        key = dispute_key(one.instrument.key, one.item, one.category, one.turn_number)
        found[one.study_dialogue_id][key] = one
    return found
