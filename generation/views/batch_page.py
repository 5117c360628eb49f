"""What the batch page shows: figures put into words, for the page and for its live parts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q
from django.utils import timezone
from django.utils.formats import date_format

from generation import progress, words
from generation.actions.definitions import arm_protocol
from generation.models import (
    Arm,
    Batch,
    BatchState,
    Endpoint,
    EndpointState,
    EngineEvent,
    Turn,
)
from generation.progress import Figures, Speed, Tokens

LOG_LINES = 12
OVER = (BatchState.FINISHED, BatchState.CANCELLED)
TONES = {
    BatchState.RUNNING: "accent",
    BatchState.PAUSED: "warn",
    BatchState.CANCELLED: "danger",
    BatchState.FINISHED: "",
}


@dataclass(frozen=True)
class Tile:
    """One figure with its name and a remark."""

    label: str
    value: str
    hint: str = ""


@dataclass(frozen=True)
class ArmRow:
    """One arm and how far it is."""

    arm: Arm
    figures: Figures

    @property
    def in_words(self) -> str:
        """The name of its bar."""
        return f"Arm {self.arm.label}: {self.figures.counts.in_words}"


def live_context(batch: Batch) -> dict[str, Any]:
    """Everything on the page that changes while the batch runs. Seven queries."""
    now = timezone.now()
    over = batch.state in OVER
    arms = list(batch.arms.select_related("protocol"))
    by_arm = progress.figures_by_arm(batch.dialogues.all())
    rows = [ArmRow(arm, by_arm.get(arm.pk, Figures())) for arm in arms]
    # Of dialogues that were imported nobody knows an arm.
    figures = progress.whole(list(by_arm.values()))
    turns = Turn.objects.filter(dialogue__batch=batch)
    spent = progress.tokens(turns)
    speed = progress.speed(turns, until=(batch.finished_at or now) if over else now)
    servers = _servers(arms)
    expected = [(row.figures, _expected(row.arm)) for row in rows]
    left = progress.seconds_left(expected, per_minute=speed.now)
    running = batch.state == BatchState.RUNNING
    return {
        "batch": batch,
        "tone": TONES[BatchState(batch.state)],
        "over": over,
        "running": running,
        "arms": rows,
        "counts": figures.counts,
        "lede": _lede(batch, arms, figures.counts.total),
        "sentence": _sentence(figures, left if running else None, now),
        "tiles": _tiles(batch, figures, spent, speed, servers) if arms else [],
        "speed": speed,
        "speed_words": _speed_words(speed, over=over),
        "speed_rows": _speed_rows(speed),
        "failures": progress.failures(batch.dialogues.all()) if figures.counts.failed else [],
        "log": _log(batch),
        "waiting_for": _waiting_for(arms, servers) if running and figures.counts.open else [],
    }


def _lede(batch: Batch, arms: Sequence[Arm], dialogues: int) -> str:
    """What the batch is made of, in one line."""
    by = f" by {batch.created_by.username}" if batch.created_by else ""
    day = date_format(timezone.localtime(batch.created_at), "j M Y, H:i")
    number = words.count(dialogues, "dialogue")
    if not arms:
        return f"{number}, imported {day}{by}"
    protocols = ", ".join(sorted({str(arm.protocol) for arm in arms}))
    several = f" in {len(arms)} arms" if len(arms) > 1 else ""
    return (
        f"{number} from “{batch.profile_set.name}”{several}, {batch.per_profile} per profile,"
        f" protocol {protocols}, seed {batch.seed}, started {day}{by}"
    )


def _expected(arm: Arm) -> float:
    """Turns to expect of a dialogue before any is complete: those up to the nudge."""
    return 2.0 * arm_protocol(arm.protocol.toml, arm.switches).ending.nudge_from


def _sentence(figures: Figures, left: float | None, now: datetime) -> str:
    if left is None:
        return figures.counts.in_words
    end = timezone.localtime(now + timedelta(seconds=left))
    day = "" if end.date() == timezone.localtime(now).date() else date_format(end, "D ")
    span = words.duration(left)
    return f"{figures.counts.in_words}; about {span} left (ends near {day}{end:%H:%M})"


def _tiles(
    batch: Batch, figures: Figures, spent: Tokens, speed: Speed, servers: Sequence[Endpoint]
) -> list[Tile]:
    return [
        _speed_tile(batch, figures, spent, speed),
        Tile(
            "Tokens written",
            words.compact(spent.written),
            f"{spent.each:.0f} a turn" if spent.turns else "no turn yet",
        ),
        Tile("Prompt tokens from cache", *_cache(spent)),
        Tile("Dialogues in flight", words.compact(figures.counts.running), _servers_words(servers)),
    ]


def _speed_tile(batch: Batch, figures: Figures, spent: Tokens, speed: Speed) -> Tile:
    if batch.state not in OVER:
        made = f"{words.count(spent.turns, 'turn')} so far" if spent.turns else "no turn yet"
        return Tile("Turns per minute", _rate(speed.now), made)
    took = figures.last - figures.first if figures.first and figures.last else timedelta()
    minutes = took / timedelta(minutes=1)
    mean = _rate(spent.turns / minutes) if minutes else "none"
    span = f" in {words.duration(took.total_seconds())}" if minutes else ""
    return Tile("Turns per minute", mean, f"{words.count(spent.turns, 'turn')}{span}")


def _rate(per_minute: float) -> str:
    return f"{per_minute:.1f}" if 0 < per_minute < 10 else words.compact(per_minute)


def _cache(spent: Tokens) -> tuple[str, str]:
    if not spent.turns:
        return "none", "no turn yet"
    if spent.cached is None:
        return "not reported", f"{words.compact(spent.read)} read"
    return words.share(spent.cached, spent.cached_of), f"of {words.compact(spent.cached_of)} read"


def _servers(arms: Sequence[Arm]) -> list[Endpoint]:
    """The enabled servers of the models of these arms."""
    models = {model for arm in arms for model in (arm.therapist_model, arm.client_model)}
    return list(Endpoint.objects.filter(model__in=models, enabled=True).order_by("name"))


def _servers_words(servers: Sequence[Endpoint]) -> str:
    if not servers:
        return "no model server"
    if len(servers) <= 2:
        return "; ".join(f"{row.name} {row.get_state_display().lower()}" for row in servers)
    ready = sum(row.state == EndpointState.READY for row in servers)
    return f"{ready} of {len(servers)} model servers ready"


def _waiting_for(arms: Sequence[Arm], servers: Sequence[Endpoint]) -> list[str]:
    """One sentence for each model that no server can answer for now."""
    ready = {row.model for row in servers if row.state == EndpointState.READY}
    models = {model for arm in arms for model in (arm.therapist_model, arm.client_model)}
    return [_why_waiting(model, servers) for model in sorted(models - ready)]


def _why_waiting(model: str, servers: Sequence[Endpoint]) -> str:
    ours = [row for row in servers if row.model == model]
    if not ours:
        return f"No model server for {model} is switched on; dialogues wait until one is."
    states = ", ".join(
        f"{row.name}: {row.get_state_display().lower()}"
        + (f" ({row.state_detail.rstrip('.')})" if row.state_detail else "")
        for row in ours
    )
    return f"No model server for {model} is ready; dialogues wait. {states}."


def _log(batch: Batch) -> list[EngineEvent]:
    """The newest decisions on this batch, and those on all batches since it began."""
    shared = Q(batch=None, at__gte=batch.created_at)
    if batch.finished_at:
        shared &= Q(at__lte=batch.finished_at)
    return list(EngineEvent.objects.filter(Q(batch=batch) | shared).order_by("-pk")[:LOG_LINES])


def _speed_words(speed: Speed, *, over: bool) -> str:
    """What the line shows, in one sentence: also the picture's name."""
    if not speed.points:
        return "No turn in the last hour." if not over else "No turn was made."
    start = timezone.localtime(speed.points[0].at)
    end = f"{timezone.localtime(speed.points[-1].at):%H:%M}" if over else "now"
    return f"{start:%H:%M} to {end}; at most {_rate(speed.peak)} turns per minute."


def _speed_rows(speed: Speed) -> list[tuple[datetime, str]]:
    """At most twelve rows of the line as a table."""
    if not speed.points:
        return []
    step = -(-len(speed.points) // 12)
    parts = [speed.points[at : at + step] for at in range(0, len(speed.points), step)]
    return [
        (part[0].at, _rate(sum(point.per_minute for point in part) / len(part))) for part in parts
    ]
