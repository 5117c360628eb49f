"""What the batch page shows: figures put into words, for the page and for its live parts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.formats import date_format

from generation import progress, words
from generation.actions.definitions import arm_protocol
from generation.costs import Spent, spent_by_arm
from generation.models import Arm, Batch, BatchState, Endpoint, EndpointState, EngineEvent, Turn
from generation.progress import Figures, Speed
from generation.views.batch_plots import caches_in_words, plots

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
    """One arm, how far it is and what it took."""

    arm: Arm
    figures: Figures
    spent: Spent

    @property
    def in_words(self) -> str:
        """The name of its bar."""
        return f"Arm {self.arm.label}: {self.figures.counts.in_words}"

    @property
    def recipe(self) -> str:
        """The protocol and what is switched in it."""
        protocol = arm_protocol(self.arm.protocol.toml, self.arm.switches)
        titles = {switch.key: switch.title for switch in protocol.switches}
        set_so = [
            titles.get(key, key) if value is True else f"{titles.get(key, key)}: {value}"
            for key, value in self.arm.switches.items()
        ]
        return ", ".join([str(self.arm.protocol), *set_so])

    @property
    def cost(self) -> str:
        """GPU hours so far."""
        return words.figure(self.spent.gpu_hours) if self.spent.gpu_us else "–"


def live_context(batch: Batch) -> dict[str, Any]:
    """Everything on the page that changes while the batch runs. Ten queries."""
    now = timezone.now()
    over = batch.state in OVER
    arms = list(batch.arms.select_related("protocol"))
    by_arm = progress.figures_by_arm(batch.dialogues.all())
    spent = spent_by_arm(batch.dialogues.all())
    rows = [ArmRow(a, by_arm.get(a.pk, Figures()), spent.get(a.pk, Spent())) for a in arms]
    # Of dialogues that were imported nobody knows an arm.
    figures = progress.whole(list(by_arm.values()))
    until = (batch.finished_at or now) if over else now
    speed = progress.speed(Turn.objects.filter(dialogue__batch=batch), until=until)
    servers = _servers(arms)
    expected = [(row.figures, _expected(row.arm)) for row in rows]
    left = progress.seconds_left(expected, per_minute=speed.now)
    running = batch.state == BatchState.RUNNING
    whole = sum((row.spent for row in rows), Spent())
    return {
        "batch": batch,
        "tone": TONES[BatchState(batch.state)],
        "over": over,
        "running": running,
        "arms": rows,
        "counts": figures.counts,
        "lede": _lede(batch, arms, figures.counts.total),
        "sentence": _sentence(figures, left if running else None, now),
        "tiles": _tiles(batch, figures, whole, speed) if arms else [],
        "plots": plots(batch, speed, until=until) if arms else [],
        "servers": _servers_words(servers) if running else "",
        "caches": caches_in_words(batch, servers, until=until) if arms else "",
        "failures": progress.failures(batch.dialogues.all()) if figures.counts.failed else [],
        "log": list(decisions(batch)[:LOG_LINES]),
        "waiting_for": _waiting_for(arms, servers) if running and figures.counts.open else [],
    }


def _lede(batch: Batch, arms: Sequence[Arm], dialogues: int) -> str:
    """What the batch is made of, in one line."""
    by = f" by {batch.created_by.username}" if batch.created_by else ""
    day = date_format(timezone.localtime(batch.created_at), "j M Y, H:i")
    number = words.count(dialogues, "dialogue")
    if not arms:
        return f"{number}, imported {day}{by}"
    several = f" in {len(arms)} arms" if len(arms) > 1 else ""
    narrowed = "some profiles of " if batch.profile_filter or not batch.with_risk else ""
    return (
        f"{number} from {narrowed}“{batch.profile_set.name}”{several},"
        f" {batch.per_profile} per profile, seed {batch.seed}, started {day}{by}"
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


# -- tiles ---------------------------------------------------------------------------------


def _tiles(batch: Batch, figures: Figures, spent: Spent, speed: Speed) -> list[Tile]:
    each = spent.completion_tokens / figures.turns if figures.turns else 0
    return [
        _speed_tile(batch, figures, speed),
        Tile(
            "Tokens written",
            words.compact(spent.completion_tokens),
            f"{each:.0f} a turn" if figures.turns else "no turn yet",
        ),
        Tile("Prompt tokens from cache", *_cache(spent)),
        Tile("Cost so far", *_cost(spent, figures.counts.complete)),
    ]


def _speed_tile(batch: Batch, figures: Figures, speed: Speed) -> Tile:
    if batch.state not in OVER:
        flying = f"{words.count(figures.counts.running, 'dialogue')} in flight"
        return Tile("Turns per minute", words.rate(speed.now), flying)
    took = figures.last - figures.first if figures.first and figures.last else timedelta()
    minutes = took / timedelta(minutes=1)
    mean = words.rate(figures.turns / minutes) if minutes else "none"
    span = f" in {words.duration(took.total_seconds())}" if minutes else ""
    return Tile("Turns per minute", mean, f"{words.count(figures.turns, 'turn')}{span}")


def _cache(spent: Spent) -> tuple[str, str]:
    if not spent.requests:
        return "none", "no request yet"
    if spent.cached_share is None:
        return "not reported", f"{words.compact(spent.prompt_tokens)} read"
    share = words.share(spent.cached_tokens, spent.cached_of_tokens)
    return share, f"of {words.compact(spent.cached_of_tokens)} read"


def _cost(spent: Spent, complete: int) -> tuple[str, str]:
    """GPU time; what it costs where servers have a price; the share of a complete dialogue."""
    if not spent.gpu_us:
        return "none", "no request yet" if not spent.requests else "not measured"
    said = []
    if spent.money:
        said.append(f"price {spent.money:,.2f}" + (" in part" if spent.unpriced_us else ""))
    if complete:
        said.append(f"{words.figure(spent.gpu_hours / complete)} h a dialogue")
    return f"{words.figure(spent.gpu_hours)} GPU h", ", ".join(said)


# -- servers -------------------------------------------------------------------------------


def _servers(arms: Sequence[Arm]) -> list[Endpoint]:
    """The enabled servers of the models of these arms."""
    models = {model for arm in arms for model in (arm.therapist_model, arm.client_model)}
    return list(Endpoint.objects.filter(model__in=models, enabled=True).order_by("name"))


def _servers_words(servers: Sequence[Endpoint]) -> str:
    if not servers:
        return "No model server."
    if len(servers) <= 3:
        said = "; ".join(f"{row.name} {row.get_state_display().lower()}" for row in servers)
        return f"{said}."
    ready = sum(row.state == EndpointState.READY for row in servers)
    return f"{ready} of {len(servers)} model servers ready."


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


def decisions(batch: Batch) -> QuerySet[EngineEvent]:
    """What was decided on this batch, and on all batches while it ran; newest first."""
    shared = Q(batch=None, at__gte=batch.created_at)
    if batch.finished_at:
        shared &= Q(at__lte=batch.finished_at)
    return EngineEvent.objects.filter(Q(batch=batch) | shared).order_by("-pk")
