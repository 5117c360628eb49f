"""From a verdict of the session to what is stored of it: attempt, turn, findings, form, draft."""

from collections.abc import Sequence
from datetime import UTC, datetime

from generation.defects import Defect
from generation.loading import Work
from generation.models import Attempt, AttemptOutcome, Finding
from generation.records import defect_findings, turn_row
from generation.session import (
    Accepted,
    Advised,
    Drafted,
    Ended,
    Failed,
    Prepared,
    Verdict,
)
from generation.storing import Entry

ENDED_EARLY = "ended_early"


def outcome_of(verdict: Verdict) -> tuple[AttemptOutcome, Sequence[Defect]]:
    """What became of the reply that the verdict is about, and what was wrong with it."""
    match verdict:
        case Prepared() | Advised():
            return AttemptOutcome.ACCEPTED, ()
        case Drafted(findings):
            return AttemptOutcome.DRAFTED, findings
        case Accepted(draft_stands=True, unused=unused):
            return AttemptOutcome.REJECTED if unused else AttemptOutcome.ACCEPTED, unused
        case Accepted(findings=findings):
            return AttemptOutcome.ACCEPTED, findings
        case Ended():
            # Nothing but a valid end marker: no turn, the one before is the last.
            return AttemptOutcome.REJECTED, ()
        case _:
            return AttemptOutcome.REJECTED, verdict.defects


def entry_of(work: Work, attempt: Attempt, verdict: Verdict) -> Entry:
    """What the verdict leaves behind, its dialogue's end aside."""
    if isinstance(verdict, Prepared):
        forms = {**work.forms, verdict.key: verdict.form}
        return Entry(work.dialogue_id, attempts=(attempt,), forms=forms)
    if not isinstance(verdict, Accepted):
        return Entry(work.dialogue_id, attempts=(attempt,))
    draft = work.draft if verdict.draft_stands else None
    return Entry(
        work.dialogue_id,
        turn_row(verdict.utterance, draft or attempt, attempt),
        (attempt,),
        tuple(defect_findings(attempt, verdict.findings)),
        stands=draft.number if draft else None,
    )


def remember(work: Work, attempt: Attempt, verdict: Verdict) -> None:
    """Note in the work what is stored now, as loading it again would."""
    match verdict:
        case Prepared(key, form):
            work.forms = {**work.forms, key: form}
        case Drafted():
            work.draft = attempt
        case Accepted():
            work.draft = None


def end_of(verdict: Verdict) -> Ended | Failed | None:
    """How the dialogue ends with the verdict, if it does."""
    if isinstance(verdict, Accepted):
        return Ended(verdict.ended) if verdict.ended else None
    return verdict if isinstance(verdict, Ended | Failed) else None


def early_end(work: Work) -> Finding:
    """The finding that a dialogue ended because nothing more fitted the model's context."""
    return Finding(dialogue_id=work.dialogue_id, kind=ENDED_EARLY, created_at=datetime.now(UTC))
