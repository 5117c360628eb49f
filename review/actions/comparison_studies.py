"""Pairwise studies: made with all pairs, sides and orders at once."""

from collections.abc import Mapping, Sequence

from django.db import IntegrityError, transaction

from generation.models import Batch, Dialogue, DialogueState, Origin
from review.actions.errors import Refused
from review.actions.study_checks import check_design, checked_name, dialogue_rows, rater_rows, taken
from review.actions.study_choices import StudyTexts
from review.actions.study_design import shuffled_codes
from review.allocation import Allocation, DialogueUnit, RaterSlot, allocate
from review.models import (
    Comparison,
    ComparisonPair,
    Study,
    StudyDialogue,
    StudyKind,
    StudyRater,
)
from review.pairing import Candidate, Pair, pairs_of, sides
from sqpsych_site import audit
from sqpsych_site.models import User

CHUNK = 2000
MAX_PAIRS = 20_000
QUESTION = "Which of the two is the better piece of cognitive behavioural therapy?"
REASONS: Mapping[str, str] = {
    "understanding": "understands the client better",
    "guidance": "helps the client discover instead of telling",
    "structure": "has the clearer structure and pace",
    "specific": "is more specific to this client",
    "natural": "sounds more like a real session",
    "safe": "deals more safely with risk",
}


def arm_key(dialogue: Dialogue) -> str:
    """What a dialogue is compared as: its arm, else the batch it was imported with. Keys sort as
    the arms were made."""
    if dialogue.arm_id:
        return f"arm {dialogue.arm_id:012}"
    if dialogue.batch_id:
        return f"batch {dialogue.batch_id:012}"
    return f"origin {dialogue.origin}"


def arm_label(dialogue: Dialogue) -> str:
    """The same in words, for coordinators and researchers."""
    if dialogue.arm:
        return str(dialogue.arm)
    return dialogue.batch.name if dialogue.batch else Origin(dialogue.origin).label


def group_key(dialogue: Dialogue) -> str:
    """What two dialogues must share: the profile, or the id that an imported corpus gives."""
    if dialogue.profile_id:
        return f"profile {dialogue.profile_id}"
    return f"external {dialogue.external_id}" if dialogue.external_id else f"own {dialogue.pk}"


@transaction.atomic
def create_comparison_study(
    *,
    name: str,
    batches: Sequence[Batch],
    raters: Sequence[User | str],
    by: User | None,
    overlap: int = 1,
    per_arms: int | None = None,
    seed: int = 0,
    question: str = QUESTION,
    texts: StudyTexts | None = None,
) -> Study:
    """Make a running study in which raters compare dialogues of different arms, two at a time.

    Every pair shares its client profile (or its id in an imported corpus). ``per_arms`` draws at
    most that many pairs for each two arms. Raises Refused, and nothing is stored.
    """
    texts = texts or StudyTexts()
    title = checked_name(name)
    people = rater_rows(raters)
    check_design(len(people), overlap, seed)
    complete = Dialogue.objects.filter(batch__in=batches, state=DialogueState.COMPLETE)
    rows = {str(row.pk): row for row in dialogue_rows(complete, None)}
    pairs = _pairs(rows, seed, per_arms)
    study = Study(
        name=title,
        kind=StudyKind.PAIRWISE,
        overlap=overlap,
        seed=seed,
        deadline=texts.deadline,
        guidelines=texts.guidelines,
        contact=texts.contact,
        settings={
            "question": question.strip() or QUESTION,
            "reasons": [list(pair) for pair in REASONS.items()],
        },
        created_by=by,
    )
    _save_new(study)
    _store(study, people, rows, pairs)
    audit.record(
        by=by,
        action="study.create",
        target=f"study {study.pk}",
        kind=StudyKind.PAIRWISE,
        pairs=len(pairs),
        raters=len(people),
        overlap=overlap,
        seed=seed,
    )
    return study


def _save_new(study: Study) -> None:
    try:
        with transaction.atomic():
            study.save(force_insert=True)
    except IntegrityError:  # somebody else was faster
        raise taken(study.name) from None


def _pairs(rows: Mapping[str, Dialogue], seed: int, per_arms: int | None) -> list[Pair]:
    if per_arms is not None and per_arms < 1:
        raise Refused("per_arms", "The number of pairs for each two arms must be at least 1.")
    candidates = [Candidate(pk, group_key(row), arm_key(row)) for pk, row in rows.items()]
    pairs = pairs_of(candidates, seed=seed, per_arms=per_arms)
    if not pairs:
        raise Refused(
            "no_pairs",
            "No two of these dialogues belong to the same client profile and to different arms;"
            " choose a batch with several arms, or several batches of the same profiles.",
        )
    if len(pairs) > MAX_PAIRS:
        raise Refused(
            "too_many",
            f"These batches give {len(pairs):,} pairs; a study has at most {MAX_PAIRS:,}."
            " Set how many pairs of each two arms are drawn.",
        )
    return pairs


def _store(
    study: Study, people: Sequence[User], rows: Mapping[str, Dialogue], pairs: Sequence[Pair]
) -> None:
    used = sorted({pk for pair in pairs for pk in (pair.one, pair.other)}, key=int)
    codes = shuffled_codes("D", 3, len(used), f"{study.seed} dialogue codes")
    dialogues = {
        pk: StudyDialogue(study=study, dialogue=rows[pk], code=code)
        for pk, code in zip(used, codes, strict=True)
    }
    StudyDialogue.objects.bulk_create(dialogues.values(), batch_size=CHUNK)
    names = shuffled_codes("R", 1, len(people), f"{study.seed} rater codes")
    raters = dict(zip(names, people, strict=True))
    StudyRater.objects.bulk_create(
        StudyRater(study=study, rater=person, code=code) for code, person in raters.items()
    )
    codes = shuffled_codes("P", 3, len(pairs), f"{study.seed} pair codes")
    stored = {
        pair.id: ComparisonPair(
            study=study, code=code, one=dialogues[pair.one], other=dialogues[pair.other]
        )
        for pair, code in zip(pairs, codes, strict=True)
    }
    ComparisonPair.objects.bulk_create(stored.values(), batch_size=CHUNK)
    found = allocate(
        [DialogueUnit(pair.id, pair.group, " ".join(pair.arms)) for pair in pairs],
        [RaterSlot(id=code) for code in raters],
        overlap=study.overlap,
        seed=study.seed,
    )
    _give_out(found, pairs, stored, raters)
    _report(study, found, rows, pairs)


def _give_out(
    found: Allocation,
    pairs: Sequence[Pair],
    stored: Mapping[str, ComparisonPair],
    raters: Mapping[str, User],
) -> None:
    """A comparison for each assignment, with the sides balanced."""
    study = next(iter(stored.values())).study
    swapped = sides(
        [(one.dialogue, one.rater) for one in found.assignments], pairs, seed=study.seed
    )
    Comparison.objects.bulk_create(
        (
            Comparison(
                study=study,
                pair=stored[one.dialogue],
                rater=raters[one.rater],
                position=one.position,
                swapped=swap,
            )
            for one, swap in zip(found.assignments, swapped, strict=True)
        ),
        batch_size=CHUNK,
    )


def _report(
    study: Study, found: Allocation, rows: Mapping[str, Dialogue], pairs: Sequence[Pair]
) -> None:
    """What the study page says of the design; pseudonyms only."""
    labels = {arm_key(row): arm_label(row) for row in rows.values()}
    counts: dict[tuple[str, str], int] = {}
    for pair in pairs:
        counts[pair.arms] = counts.get(pair.arms, 0) + 1
    study.design = {
        "seed": study.seed,
        "loads": found.report.loads,
        "pairs_of_arms": [[labels[a], labels[b], n] for (a, b), n in sorted(counts.items())],
        "unmet": [text.replace("dialogue", "pair") for text in found.report.unmet],
    }
    study.save(update_fields=["design"])
