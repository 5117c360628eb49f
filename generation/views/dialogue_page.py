"""What the dialogue page shows: turns with what was noticed and tried, and where all came from."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.formats import date_format

from generation import words
from generation.actions.definitions import arm_protocol
from generation.costs import Spent, spent_of
from generation.model_forms import sections
from generation.models import (
    Attempt,
    AttemptOutcome,
    AttemptPurpose,
    Dialogue,
    DialogueState,
    Finding,
    Turn,
)
from generation.screening import Severity

TONES = {
    DialogueState.WAITING: "",
    DialogueState.RUNNING: "soft",
    DialogueState.COMPLETE: "accent",
    DialogueState.FAILED: "danger",
    DialogueState.CANCELLED: "warn",
}
_SEVERITY_TONES = {"urgent": "danger", "concern": "warn"}
SHORT_HASH = 12
_LISTED = (
    *("uid", "title", "origin", "state", "turn_count", "finished_at", "replicate"),
    *("batch__name", "arm__label", "profile__profile_id", "profile__profile_set_id"),
)


@dataclass(frozen=True)
class FindingView:
    """One finding in words."""

    text: str
    severity: str
    tone: str
    detail: str
    turn: int | None


@dataclass(frozen=True)
class AttemptView:
    """One request for a turn and what became of it; ``unsaid``: its text is not the turn's."""

    number: int
    accepted: bool
    outcome: str
    why: tuple[str, ...]
    text: str
    figures: str
    unsaid: bool = False

    @property
    def tone(self) -> str:
        """How its outcome looks."""
        return "accent" if self.accepted else "warn"


@dataclass(frozen=True)
class TurnView:
    """One turn; ``text`` is None for a turn that was asked for and never accepted.

    ``phase``: the title of the phase that begins with it; ``state``: what else changed with it.
    """

    number: int
    role: str
    text: str | None
    figures: str
    findings: Sequence[FindingView]
    attempts: Sequence[AttemptView]
    phase: str = ""
    state: str = ""

    @property
    def tries(self) -> str:
        """The label of the disclosure."""
        return words.count(len(self.attempts), "request")

    @property
    def rejected(self) -> int:
        """Requests that did not become the turn."""
        return sum(not attempt.accepted for attempt in self.attempts)


def with_findings(rows: QuerySet[Dialogue]) -> QuerySet[Dialogue]:
    """The rows as lists show them, without the long columns. ``noticed``: all findings of each;
    ``urgent``: those to look at soon."""
    found = Finding.objects.filter(dialogue=OuterRef("pk")).order_by().values("dialogue")
    number = found.annotate(n=Count("*")).values("n")
    urgent = found.filter(severity=Severity.URGENT).annotate(n=Count("*")).values("n")
    rows = rows.select_related("batch", "arm", "profile").only(*_LISTED)
    return rows.annotate(
        noticed=Coalesce(Subquery(number), 0), urgent=Coalesce(Subquery(urgent), 0)
    )


def finding_view(row: Finding) -> FindingView:
    """A finding in words."""
    tone = _SEVERITY_TONES.get(row.severity, "")
    return FindingView(
        words.finding(row.kind), words.severity(row.severity), tone, row.detail, row.turn_number
    )


def attempt_view(row: Attempt) -> AttemptView:
    """One request in words."""
    why = [_defect_words(each) for each in row.defects if isinstance(each, dict)]
    if row.error:
        why.append(words.server(row.error))
    accepted = row.outcome == AttemptOutcome.ACCEPTED
    spoken = row.purpose in {AttemptPurpose.TURN, AttemptPurpose.REVISION}
    outcome = AttemptOutcome(row.outcome).label
    if row.purpose != AttemptPurpose.TURN:
        outcome = f"{AttemptPurpose(row.purpose).label}, {outcome.lower()}"
    return AttemptView(
        row.number,
        accepted or row.outcome == AttemptOutcome.DRAFTED,
        outcome,
        tuple(why),
        row.text,
        _figures(row),
        unsaid=not (accepted and spoken),
    )


def _defect_words(defect: dict[str, Any]) -> str:
    said = words.defect(str(defect.get("kind", "")))
    detail = defect.get("detail")
    return f"{said} ({detail})" if detail else said


def _figures(row: Turn | Attempt) -> str:
    """Tokens, cache, latency, server and finish reason, as far as known."""
    parts = []
    if row.completion_tokens or row.prompt_tokens:
        parts.append(f"{row.completion_tokens:,} tokens written, {row.prompt_tokens:,} read")
    if row.cached_tokens is not None:
        parts.append(f"{words.share(row.cached_tokens, row.prompt_tokens)} from cache")
    if row.latency_ms:
        parts.append(f"{row.latency_ms / 1000:.1f} s")
    if row.endpoint is not None:
        parts.append(row.endpoint.name)
    if row.finish_reason:
        parts.append(f"finish reason {row.finish_reason}")
    return " · ".join(parts)


def turn_views(
    turns: Iterable[Turn],
    attempts: Iterable[Attempt],
    findings: Iterable[Finding],
    phases: Mapping[str, str],
) -> list[TurnView]:
    """The turns in order; last, perhaps, one that was never accepted."""
    turns = list(turns)
    told = tracked_words(turns, phases)
    noticed: dict[int, list[FindingView]] = defaultdict(list)
    for finding in findings:
        if finding.turn_number is not None:
            noticed[finding.turn_number].append(finding_view(finding))
    tried: dict[int, list[AttemptView]] = defaultdict(list)
    roles: dict[int, str] = {}
    for attempt in attempts:
        tried[attempt.turn_number].append(attempt_view(attempt))
        roles[attempt.turn_number] = attempt.role
    views = [
        TurnView(
            turn.number,
            turn.role,
            turn.text,
            _figures(turn),
            noticed.pop(turn.number, []),
            tried.pop(turn.number, []),
            *told[turn.number],
        )
        for turn in turns
    ]
    tried.pop(0, None)
    never = [
        TurnView(number, roles[number], None, "", noticed.get(number, []), tried[number])
        for number in sorted(tried)
    ]
    return [*views, *never]


def tracked_words(turns: Iterable[Turn], phases: Mapping[str, str]) -> dict[int, tuple[str, str]]:
    """Turn -> the phase that begins with it, and whether the client is more or less guarded."""
    told: dict[int, tuple[str, str]] = {}
    before: dict[str, object] = {}
    for turn in turns:
        now = {name: turn.tracked.get(name) for name in ("phase", "resistance")}
        key, level = now["phase"], now["resistance"]
        begins = key and key != before.get("phase")
        moves = level is not None and level != before.get("resistance")
        told[turn.number] = (
            phases.get(str(key), str(key)) if begins else "",
            f"resistance {level} of 10" if moves else "",
        )
        before |= {name: value for name, value in now.items() if value is not None}
    return told


@dataclass(frozen=True)
class PreparedView:
    """Something written before the first turn, as titled lists of lines."""

    title: str
    sections: list[tuple[str, list[str]]]


def prepared_context(dialogue: Dialogue, attempts: Iterable[Attempt]) -> dict[str, Any]:
    """What was prepared, the requests for it, and the titles of the protocol's phases."""
    arm = dialogue.arm
    protocol = arm_protocol(arm.protocol.toml, arm.switches) if arm else None
    steps = protocol.preparations if protocol else ()
    forms = dialogue.forms if isinstance(dialogue.forms, dict) else {}
    return {
        "prepared": [
            PreparedView(step.title, sections(forms[step.key]))
            for step in steps
            if step.key in forms
        ],
        "preparing": [attempt_view(each) for each in attempts if not each.turn_number],
        "phases": {p.key: p.title for p in protocol.phases} if protocol else {},
    }


def short(sha256: object) -> str:
    """The first digits of a hash: enough to compare by eye."""
    return str(sha256)[:SHORT_HASH] if sha256 else ""


def provenance_facts(dialogue: Dialogue) -> list[tuple[str, str]]:
    """Where the dialogue comes from, as pairs of name and value; what is not known is left out."""
    known = dialogue.provenance if isinstance(dialogue.provenance, dict) else {}
    arm = dialogue.arm
    facts: list[tuple[str, object]] = [
        ("Origin", dialogue.get_origin_display()),
        ("Public id", dialogue.uid),
        ("Id in its file", dialogue.external_id),
    ]
    if arm is not None:
        same = arm.therapist_model == arm.client_model
        facts += [
            ("Arm", f"{arm.label} ({short(arm.sha256)})"),
            ("Protocol", f"{arm.protocol} ({short(arm.protocol.sha256)})"),
            ("Model" if same else "Therapist’s model", arm.therapist_model),
            ("Client’s model", "" if same else arm.client_model),
            ("Switches", _settings(arm.switches)),
            ("Client’s style", part(known, "prompts").get("style", "")),
            ("Sampling, therapist", _settings(arm.sampling.get("therapist"))),
            ("Sampling, client", _settings(arm.sampling.get("client"))),
            ("Number for this profile", dialogue.replicate),
            ("Seed", dialogue.seed),
        ]
    if dialogue.profile is not None:
        facts.append(("Profile", f"{dialogue.profile} ({short(dialogue.profile.sha256)})"))
    facts += [
        ("Questionnaires", _hashes(known.get("questionnaires"))),
        ("Prompts", short(part(known, "prompts").get("sha256"))),
        ("Model servers", _servers(known.get("servers"))),
        ("Program version", known.get("code", "")),
        *_spent_facts(spent_of(dialogue)),
        ("Begun", _moment(dialogue.started_at)),
        ("Ended", _moment(dialogue.finished_at)),
        ("End", words.ending(dialogue.ended_by) if dialogue.ended_by else ""),
    ]
    return [(name, str(value)) for name, value in facts if value not in ("", None)]


def _spent_facts(spent: Spent) -> list[tuple[str, object]]:
    """Requests, tokens, GPU time and price; nothing for a dialogue that was not made here."""
    if not spent.requests:
        return []
    return [
        ("Requests", f"{spent.requests:,}"),
        ("Tokens", f"{spent.completion_tokens:,} written, {spent.prompt_tokens:,} read"),
        ("GPU time", f"{words.figure(spent.gpu_hours)} h" if spent.gpu_us else ""),
        ("Price", f"{spent.money:,.4f}" if spent.money else ""),
    ]


def part(known: object, name: str) -> dict[str, Any]:
    """A part of a provenance; empty where it is not there, as in dialogues that were imported."""
    found = known.get(name) if isinstance(known, dict) else None
    return found if isinstance(found, dict) else {}


def _settings(values: object) -> str:
    if not isinstance(values, dict):
        return ""
    return ", ".join(
        name.replace("_", " ") if value is True else f"{name.replace('_', ' ')} {value}"
        for name, value in values.items()
    )


def _hashes(values: object) -> str:
    if not isinstance(values, dict):
        return ""
    return ", ".join(f"{key} ({short(sha256)})" for key, sha256 in sorted(values.items()))


def _servers(values: object) -> str:
    if not isinstance(values, dict):
        return ""
    return ", ".join(
        f"{name} (vLLM {version})" if version else name for name, version in sorted(values.items())
    )


def _moment(at: Any) -> str:
    return date_format(timezone.localtime(at), "j M Y, H:i:s") if at else ""
