"""Reference ratings of training dialogues: from an expert's rating, a form, or a file.

Raters' training dialogues are locked until each of them has a reference.
"""

from collections.abc import Iterable, Mapping, Sequence

from django.db import transaction

from review.actions.errors import Refused
from review.actions.gate import judge
from review.actions.sights import worse
from review.instrument_parts import NO_FLAG
from review.instruments import AnswerRefused, cached_instrument
from review.instruments import Instrument as Definition
from review.models import (
    Assignment,
    AssignmentKind,
    AssignmentState,
    Instrument,
    Reference,
    Study,
    StudyDialogue,
    StudyState,
)
from review.reference_files import MAX_REASON, ReferenceLine
from sqpsych_site import audit
from sqpsych_site.models import User

Answers = Mapping[int | None, Mapping[str, str]]  # by turn; None: about the dialogue


def keep_as_reference(assignment: Assignment) -> None:
    """An expert's submitted answers, flags and remarks become the reference for this dialogue."""
    place = assignment.study_dialogue
    links = assignment.study.study_instruments.select_related("instrument")
    forms = {link.instrument_id: link.instrument for link in links}
    lines = [
        ReferenceLine(
            place.code, forms[one.instrument_id].key, one.item, one.value, one.comment,
            turn=one.turn_number,
        )
        for one in assignment.ratings.exclude(value="")
    ]  # fmt: skip
    lines += _flags_of(assignment, forms.values(), place.code)
    by_key = {form.key: form for form in forms.values()}
    _store(place, [(by_key[line.instrument], line) for line in lines], assignment.rater)


def _flags_of(
    assignment: Assignment, forms: Iterable[Instrument], code: str
) -> Iterable[ReferenceLine]:
    """One line for each kind of flag raised: its worst severity, all notes as the reason."""
    for form in forms:
        definition = cached_instrument(form.toml)
        if definition.safety is None:
            continue
        found: dict[str, ReferenceLine] = {}
        for flag in assignment.flags.filter(withdrawn_at=None).order_by("pk"):
            known = found.get(flag.category)
            notes = [known.reason if known else "", flag.note]
            found[flag.category] = ReferenceLine(
                code, form.key, "",
                worse(definition, known.value if known else None, flag.severity),
                "\n".join(filter(None, notes)), flag=flag.category,
            )  # fmt: skip
        yield from found.values()


@transaction.atomic
def set_references(*, study: Study, lines: Sequence[ReferenceLine], by: User) -> int:
    """Store the reference answers of a file, over those that were there; all of them or none.

    Returns how many were stored. Raises Refused with the line of the first that cannot be.
    """
    study = _taken(study)
    places = {row.code: row for row in study.study_dialogues.filter(training=True)}
    by_place: dict[str, list[ReferenceLine]] = {}
    for line in lines:
        if line.dialogue not in places:
            raise _refused(line, f"“{line.dialogue[:20]}” is no training dialogue of this study")
        by_place.setdefault(line.dialogue, []).append(line)
    for code, here in by_place.items():
        _store(places[code], _checked(study, places[code], here), by, keep_others=True)
    _follow_up(study, len(lines), by)
    return len(lines)


@transaction.atomic
def set_reference(
    *, study: Study, code: str, lines: Sequence[ReferenceLine], by: User
) -> StudyDialogue:
    """Make these lines the whole reference of one training dialogue. Raises Refused."""
    study = _taken(study)
    place = study.study_dialogues.filter(training=True, code=code).first()
    if place is None:
        raise Refused("unknown_dialogue", "There is no such training dialogue.", status=404)
    if not lines:
        raise Refused("empty", "Answer at least one question; a reference cannot be empty.")
    _store(place, _checked(study, place, lines), by)
    _follow_up(study, len(lines), by)
    return place


def _taken(study: Study) -> Study:
    """The study under its lock. Raises Refused once it is over."""
    study = Study.objects.select_for_update().get(pk=study.pk)
    if study.state in (StudyState.CLOSED, StudyState.ARCHIVED):
        raise Refused("wrong_state", "This study is over; its references stay as they are.")
    return study


def _store(
    place: StudyDialogue,
    lines: Iterable[tuple[Instrument, ReferenceLine]],
    by: User,
    *,
    keep_others: bool = False,
) -> None:
    """Write what is new or different; without ``keep_others`` what is not named goes."""
    there = {
        (row.instrument_id, row.item, row.category, row.turn_number): row
        for row in Reference.objects.select_for_update().filter(study_dialogue=place)
    }
    for form, line in lines:
        known = there.pop((form.pk, line.item, line.flag, line.turn), None)
        row = known or Reference(
            study_dialogue=place, instrument=form, item=line.item, category=line.flag,
            turn_number=line.turn,
        )  # fmt: skip
        if known is None or (row.value, row.reason) != (line.value, line.reason):
            row.value, row.reason, row.set_by = line.value, line.reason, by
            row.save()
    if not keep_others:
        Reference.objects.filter(pk__in=[row.pk for row in there.values()]).delete()


def _follow_up(study: Study, answers: int, by: User) -> None:
    audit.record(by=by, action="study.references", target=f"study {study.pk}", answers=answers)
    open_training(study)
    for rater_id in study.study_raters.filter(expert=False).values_list("rater_id", flat=True):
        judge(study, rater_id)


def open_training(study: Study) -> None:
    """Let raters begin with the training dialogues once each of them has a reference."""
    if study.study_dialogues.filter(training=True, references=None).exists():
        return
    study.assignments.filter(kind=AssignmentKind.CALIBRATION, state=AssignmentState.LOCKED).update(
        state=AssignmentState.DUE
    )


# -- what a reference may say ---------------------------------------------------------------------


def _checked(
    study: Study, place: StudyDialogue, lines: Sequence[ReferenceLine]
) -> list[tuple[Instrument, ReferenceLine]]:
    """The lines with their instruments. Raises Refused at the first that cannot be."""
    links = study.study_instruments.select_related("instrument")
    forms = {link.instrument.key: link.instrument for link in links}
    answers: dict[str, dict[int | None, dict[str, str]]] = {}
    for line in lines:
        if line.item:
            answers.setdefault(line.instrument, {}).setdefault(line.turn, {})[line.item] = (
                line.value
            )
    turns = set(place.dialogue.turns.values_list("number", flat=True))
    for line in lines:
        form = forms.get(line.instrument)
        if form is None:
            raise _refused(line, f"“{line.instrument[:60]}” is no instrument of this study")
        if len(line.reason) > MAX_REASON:
            raise _refused(line, f"a reason has at most {MAX_REASON:,} characters")
        if line.turn is not None and line.turn not in turns:
            raise _refused(line, f"the dialogue has no turn {line.turn}")
        definition = cached_instrument(form.toml)
        if line.flag:
            _check_flag(definition, line)
        else:
            _check_item(definition, line, answers[line.instrument])
    return [(forms[line.instrument], line) for line in lines]


def _check_item(form: Definition, line: ReferenceLine, answers: Answers) -> None:
    item = next((one for one in form.items if one.key == line.item), None)
    if item is None:
        raise _refused(line, f"“{line.item[:60]}” is no item of this form")
    if (item.level == "turn") != (line.turn is not None):
        told = "needs a turn" if item.level == "turn" else "is about the whole dialogue"
        raise _refused(line, f"“{line.item}” {told}")
    given = {**answers.get(None, {}), **answers.get(line.turn, {})}
    try:
        form.check_answer(line.item, line.value, given)
    except AnswerRefused as refused:
        raise _refused(line, refused.sentence.rstrip(".")) from None


def _check_flag(form: Definition, line: ReferenceLine) -> None:
    safety = form.safety
    kinds = [one.key for one in safety.categories] if safety else []
    grades = [NO_FLAG, *(one.key for one in safety.severities)] if safety else []
    if line.flag not in kinds or line.turn is not None:
        raise _refused(line, f"“{line.flag[:60]}” is no kind of flag in this form")
    if line.value not in grades:
        raise _refused(line, f"the flag “{line.flag}” takes {', '.join(grades)} only")


def _refused(line: ReferenceLine, what: str) -> Refused:
    where = f"Line {line.line}: {what}" if line.line else f"{what[:1].upper()}{what[1:]}"
    return Refused("bad_reference", f"{where}. Nothing was stored.")
