"""How far a batch is: figures read from its rows, a fixed number of queries whatever its size."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from itertools import groupby
from uuid import UUID

from django.db.models import Count, DateTimeField, F, Func, Max, Min, QuerySet, Sum

from generation import words
from generation.models import Dialogue, DialogueState, Turn

SLOT = timedelta(seconds=10)
RECENT = timedelta(minutes=5)
SHOWN = timedelta(hours=1)
FINE_UP_TO = timedelta(minutes=12)  # a shorter time is drawn in slots, a longer one in minutes
CHART = (100.0, 40.0)


@dataclass(frozen=True, slots=True)
class Counts:
    """Dialogues by state."""

    waiting: int = 0
    running: int = 0
    complete: int = 0
    failed: int = 0
    cancelled: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        pairs = {f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(Counts)}
        return Counts(**pairs)

    @property
    def total(self) -> int:
        """All dialogues."""
        return self.waiting + self.running + self.complete + self.failed + self.cancelled

    @property
    def open(self) -> int:
        """Those that are not over."""
        return self.waiting + self.running

    @property
    def in_words(self) -> str:
        """``3 complete, 1 failed, 2 in progress, 4 waiting``."""
        said = [
            f"{self.complete:,} complete",
            f"{self.failed:,} failed",
            f"{self.running:,} in progress",
            f"{self.waiting:,} waiting",
        ]
        return ", ".join([*said, f"{self.cancelled:,} cancelled"] if self.cancelled else said)


@dataclass(frozen=True, slots=True)
class Figures:
    """What the dialogues of one arm, or of a whole batch, add up to.

    ``turns``: all that are stored; ``turns_open``: of dialogues that are not over;
    ``turns_complete``: of the complete ones; ``first``, ``last``: when the first was begun and the
    last one ended.
    """

    counts: Counts = Counts()
    turns: int = 0
    turns_open: int = 0
    turns_complete: int = 0
    first: datetime | None = None
    last: datetime | None = None

    def __add__(self, other: "Figures") -> "Figures":
        return Figures(
            self.counts + other.counts,
            self.turns + other.turns,
            self.turns_open + other.turns_open,
            self.turns_complete + other.turns_complete,
            min((at for at in (self.first, other.first) if at), default=None),
            max((at for at in (self.last, other.last) if at), default=None),
        )

    @property
    def exchanges(self) -> float | None:
        """Mean exchanges of the complete dialogues (two turns make one)."""
        done = self.counts.complete
        return self.turns_complete / done / 2 if done else None

    def turns_left(self, expected: float) -> float:
        """Turns still to come, by the length of those complete, else by ``expected`` turns."""
        done = self.counts.complete
        length = self.turns_complete / done if done else expected
        # A dialogue under way has at least one more turn to come.
        return max(self.counts.open * length - self.turns_open, float(self.counts.open))


@dataclass(frozen=True, slots=True)
class Point:
    """Turns per minute in the slot that begins ``at``."""

    at: datetime
    per_minute: float


@dataclass(frozen=True, slots=True)
class Speed:
    """Turns per minute over the last hour of work; ``now`` over the last five minutes."""

    points: tuple[Point, ...] = ()
    now: float = 0.0

    @property
    def peak(self) -> float:
        """The highest point."""
        return max((point.per_minute for point in self.points), default=0.0)

    @property
    def polyline(self) -> str:
        """The points of its line."""
        return polyline([point.per_minute for point in self.points])


def polyline(values: Sequence[float], *, top: float = 0.0) -> str:
    """The points of an SVG polyline, 100 wide and 40 high, nothing at the bottom and ``top``, or
    else the highest value, at the top."""
    width, height = CHART
    if len(values) < 2:
        return ""
    step = width / (len(values) - 1)
    top = top or max(values) or 1.0
    return " ".join(
        f"{place * step:.2f},{height - 1 - (height - 3) * value / top:.2f}"
        for place, value in enumerate(values)
    )


@dataclass(frozen=True, slots=True)
class Failures:
    """Dialogues that failed for one reason, and the turns at which they did; the newest of them."""

    reason: str
    dialogues: int
    first_turn: int
    last_turn: int
    newest: UUID

    @property
    def in_words(self) -> str:
        """Why, in plain words."""
        return words.failure(self.reason)

    @property
    def where(self) -> str:
        """At which turns."""
        return words.turn_range(self.first_turn, self.last_turn)


def counts_by_batch(dialogues: QuerySet[Dialogue]) -> dict[int, Counts]:
    """Batch id -> dialogues by state. One query, from an index alone."""
    rows = dialogues.order_by().values_list("batch_id", "state").annotate(n=Count("*"))
    found: dict[int, Counts] = {}
    for batch_id, state, number in rows:
        found[batch_id] = found.get(batch_id, Counts()) + Counts(**{state: number})
    return found


def figures_by_arm(dialogues: QuerySet[Dialogue]) -> dict[int | None, Figures]:
    """Arm id (None: imported) -> what its dialogues add up to. One query."""
    rows = (
        dialogues.order_by()
        .values("arm_id", "state")
        .annotate(
            n=Count("*"), length=Sum("turn_count"), first=Min("started_at"), last=Max("finished_at")
        )
    )
    found: dict[int | None, Figures] = {}
    for row in rows:
        state = row["state"]
        part = Figures(
            Counts(**{state: row["n"]}),
            row["length"],
            row["length"] if state in (DialogueState.WAITING, DialogueState.RUNNING) else 0,
            row["length"] if state == DialogueState.COMPLETE else 0,
            row["first"],
            row["last"],
        )
        found[row["arm_id"]] = found.get(row["arm_id"], Figures()) + part
    return found


class _Slot(Func):
    """The start of the ten seconds that a moment lies in."""

    function = "date_bin"
    template = (
        "%(function)s(interval '10 seconds', %(expressions)s, timestamptz '2000-01-01 00:00+00')"
    )
    output_field = DateTimeField()


def speed(turns: QuerySet[Turn], *, until: datetime) -> Speed:
    """Turns per minute over the hour before ``until``. One query of at most 361 rows."""
    rows = (
        turns.filter(created_at__gt=until - SHOWN, created_at__lte=until)
        .order_by()
        .annotate(slot=_Slot(F("created_at")))
        .values_list("slot")
        .annotate(n=Count("*"))
    )
    return _speed(dict(rows), until)


def _speed(found: Mapping[datetime, int], until: datetime) -> Speed:
    """Join ten-second counts to a line; the slot that ``until`` lies in is not over yet."""
    if not found:
        return Speed()
    first, last = min(found), _floor(until, SLOT)
    begin = max(first, _floor(until - RECENT, SLOT))
    recent = sum(number for slot, number in found.items() if slot >= begin)
    elapsed = max((until - begin) / timedelta(minutes=1), SLOT / timedelta(minutes=1))
    width = SLOT if last - first <= FINE_UP_TO else timedelta(minutes=1)
    slots = [first + SLOT * place for place in range((last - first) // SLOT)]
    grouped = groupby(slots, key=lambda slot: _floor(slot, width))
    points = [
        Point(start, sum(found.get(slot, 0) for slot in part) * (timedelta(minutes=1) / width))
        for start, part in grouped
    ]
    return Speed(tuple(points), recent / elapsed)


def _floor(moment: datetime, width: timedelta) -> datetime:
    origin = datetime(2000, 1, 1, tzinfo=UTC)
    return origin + (moment - origin) // width * width


def failures(dialogues: QuerySet[Dialogue]) -> list[Failures]:
    """The failed ones by reason, most frequent first. Two queries."""
    rows = list(
        dialogues.filter(state=DialogueState.FAILED)
        .order_by()
        .values_list("failure_reason")
        .annotate(n=Count("*"), first=Min("turn_count"), last=Max("turn_count"), newest=Max("pk"))
        .order_by("-n", "failure_reason")
    )
    newest = [pk for *_, pk in rows]
    uids = dict(Dialogue.objects.filter(pk__in=newest).values_list("pk", "uid"))
    return [
        Failures(reason, n, first + 1, last + 1, uids[pk])
        for reason, n, first, last, pk in rows
        if pk in uids
    ]


def seconds_left(arms: Iterable[tuple[Figures, float]], *, per_minute: float) -> float | None:
    """Seconds until all is done at this speed; None while nothing moves.

    ``arms``: each arm's figures with the turns its protocol lets one expect of a dialogue.
    """
    left = sum(figures.turns_left(expected) for figures, expected in arms)
    return 60 * left / per_minute if per_minute > 0 and left else None


def whole(figures: Sequence[Figures]) -> Figures:
    """All arms together."""
    return sum(figures, Figures())
