"""What an export holds, before any format: tables of typed cells, their columns described.

A table is read inside one snapshot (review.exports). Cells stay typed (text, number, None); a
moment is already written as text, because the database writes it faster than we do. Turning cells
into a file is the writers' business alone (review.writers), so a format needs no new table.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from django.db.models import OuterRef, QuerySet, Subquery
from django.db.models.functions import Length
from django.utils import timezone

from generation.models import Origin
from review.actions.rating import definition_of
from review.instruments import Instrument as Definition
from review.models import DATA_KINDS, Assignment, AssignmentState, Study, StudyRater

if TYPE_CHECKING:
    from review.tables.reading import Chunk

CHUNK = 500
BEGUN = (AssignmentState.STARTED, AssignmentState.SUBMITTED, AssignmentState.RETURNED)
NOT_ANSWERED = "not_answered"
HIDDEN = "hidden"

Cell = str | int | float | datetime | None


class Part:
    """Cells that many rows share; ``text`` is what a writer made of them the first time."""

    __slots__ = ("cells", "text")

    def __init__(self, *cells: Cell) -> None:
        self.cells = cells
        self.text: str | None = None


Row = Sequence[Cell | Part]


@dataclass(frozen=True)
class Column:
    """A column as the codebook describes it. ``kind``: text, code, integer, number or time."""

    name: str
    kind: str
    meaning: str
    values: str = ""
    missing: str = ""
    form: "Form | None" = None


@dataclass(frozen=True)
class Table:
    """A file of the export: its name without ending, its columns, and where its rows come from.

    ``of`` gives the rows of a chunk of assignments, so that all tables share one reading; a table
    that is no list of assignments gives its rows by ``whole``.
    """

    name: str
    columns: tuple[Column, ...]
    of: "Callable[[Chunk], Iterator[Row]] | None" = None
    whole: Callable[[], Iterator[Row]] | None = None


@dataclass(frozen=True)
class Options:
    """What a person chose to include; empty means all. Dialogue text is never in an export.

    ``since`` and ``until`` are days, both included, on which a rating was submitted; with either,
    unsubmitted ratings are left out.
    """

    comments: bool = True
    format: str = "csv"
    instruments: tuple[str, ...] = ()
    arms: tuple[str, ...] = ()
    raters: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    since: date | None = None
    until: date | None = None

    @property
    def filtered(self) -> bool:
        """Whether some ratings are left out."""
        return self != Options(comments=self.comments, format=self.format)


@dataclass(frozen=True)
class Form:
    """One instrument of the study."""

    pk: int
    key: str
    version: str
    sha256: str
    title: str
    licence: str
    definition: Definition

    @property
    def short_hash(self) -> str:
        """The first twelve characters of the hash; the manifest has all 64."""
        return self.sha256[:12]


class Work(NamedTuple):
    """One begun assignment, in the order of the query below."""

    pk: int
    dialogue: str
    rater: str
    position: int
    kind: str
    state: str
    return_reason: str
    comment: str
    opened_at: datetime | None
    submitted_at: datetime | None
    active_seconds: int
    paused_seconds: int


@dataclass(frozen=True)
class Frame:
    """One study or several with their instruments: what every table of an export starts from."""

    studies: tuple[Study, ...]
    forms: tuple[Form, ...]
    options: Options
    forms_of: Mapping[int, tuple[Form, ...]] = field(repr=False)

    @property
    def study(self) -> Study:
        """The first study."""
        return self.studies[0]

    def assignments(
        self, study: Study, kinds: Sequence[str] = DATA_KINDS
    ) -> "QuerySet[Assignment]":
        """The study's begun assignments that the options let in."""
        chosen, rows = self.options, Assignment.objects.filter(study=study, kind__in=kinds)
        rows = rows.filter(state__in=[s for s in BEGUN if s in (chosen.states or BEGUN)])
        if chosen.raters:
            people = StudyRater.objects.filter(study=study, code__in=chosen.raters)
            rows = rows.filter(rater__in=people.values("rater"))
        if chosen.arms:
            codes = [code for code, arm in arms_of(study).items() if arm in chosen.arms]
            rows = rows.filter(study_dialogue__code__in=codes)
        if chosen.since:
            rows = rows.filter(submitted_at__gte=_midnight(chosen.since))
        if chosen.until:
            rows = rows.filter(submitted_at__lt=_midnight(chosen.until + timedelta(days=1)))
        return rows

    def works(self, study: Study, kinds: Sequence[str] = DATA_KINDS) -> Iterator[list[Work]]:
        """Those assignments by dialogue and rater code, in bounded lists, by a server cursor."""
        code = StudyRater.objects.filter(study=study, rater=OuterRef("rater"))
        query = (
            self.assignments(study, kinds)
            .annotate(rater_code=Subquery(code.values("code")[:1]))
            .order_by(
                Length("study_dialogue__code"),
                "study_dialogue__code",
                Length("rater_code"),
                "rater_code",
                "position",
            )
            .values_list(
                "pk",
                "study_dialogue__code",
                "rater_code",
                "position",
                "kind",
                "state",
                "return_reason",
                "comment",
                "opened_at",
                "submitted_at",
                "active_seconds",
                "paused_seconds",
            )
        )
        stream = map(Work._make, query.iterator(chunk_size=CHUNK))
        while chunk := list(islice(stream, CHUNK)):
            yield chunk

    def chunks(self, kinds: Sequence[str] = DATA_KINDS) -> "Iterator[Chunk]":
        """All assignments of all studies, a bounded number at a time."""
        from review.tables.reading import Chunk

        for study in self.studies:
            for works in self.works(study, kinds):
                yield Chunk(self, study, works)


def opening(study: Study) -> tuple[Cell, ...]:
    """The cells that every row of every file about this study begins with."""
    return (SYNTHETIC, study.name, study.pk)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=timezone.get_default_timezone())


def frame_of(studies: Study | Sequence[Study], options: Options) -> Frame:
    """Read the studies' instruments (one query each; parsing is cached, as rows never change)."""
    chosen = (studies,) if isinstance(studies, Study) else tuple(studies)
    forms_of: dict[int, tuple[Form, ...]] = {}
    forms: dict[int, Form] = {}
    for study in chosen:
        links = study.study_instruments.select_related("instrument").order_by("position", "pk")
        rows = [link.instrument for link in links]
        wanted = [row for row in rows if row.key in (options.instruments or (row.key,))]
        for row in wanted:
            if row.pk not in forms:
                forms[row.pk] = Form(
                    pk=row.pk,
                    key=row.key,
                    version=row.version,
                    sha256=row.sha256,
                    title=row.title,
                    licence=row.licence,
                    definition=definition_of(row),
                )
        forms_of[study.pk] = tuple(forms[row.pk] for row in wanted)
    return Frame(chosen, tuple(forms.values()), options, forms_of)


def arms_of(study: Study) -> dict[str, str]:
    """Dialogue code -> name of its arm, by code; the batch is named where two arms share a name."""
    found = study.study_dialogues.order_by().values_list(
        "code", "dialogue__arm_id", "dialogue__arm__label", "dialogue__batch__name",
        "dialogue__origin",
    )  # fmt: skip
    rows = sorted(found, key=lambda row: (len(row[0]), row[0]))
    owners: dict[str, set[int]] = {}
    for _, arm, label, _, _ in rows:
        if arm:
            owners.setdefault(label, set()).add(arm)
    return {
        code: (f"{label} ({batch})" if len(owners[label]) > 1 else label)
        if arm
        else str(Origin(origin).label)
        for code, arm, label, batch, origin in rows
    }


SYNTHETIC = "synthetic"
OPENING = (
    Column("data", "code", "what the ratings are about", "synthetic = dialogues made up, not care"),
    Column("study", "text", "name of the study"),
    Column("study_id", "integer", "number of the study in this installation"),
)
DIALOGUE = Column("dialogue", "code", "code of the dialogue in this study; tells nothing about it")
RATER = Column("rater", "code", "pseudonym of the rater in this study")
KIND = Column(
    "kind",
    "code",
    "what the rating is for",
    "live = the rating itself; repeat = the same dialogue shown to the same rater once more,"
    " to see how steady they are; leave repeats out of everything else",
)
STATE = Column(
    "assignment_state",
    "code",
    "how far the rater is with the dialogue",
    "started = in progress; submitted = done; returned = handed back",
)
POSITION = Column("position", "integer", "place of the dialogue in this rater's order, from 1")
OPENED = Column("opened_at", "time", "when the rater first opened the dialogue")
SUBMITTED = Column("submitted_at", "time", "when it was submitted", missing="empty = not yet")
SECONDS = (
    Column("active_seconds", "integer", "seconds the page was in use", missing="0 = not measured"),
    Column("paused_seconds", "integer", "seconds the page was open but left alone"),
)
TURN = "number of the turn, from 1"


def choices(pairs: Mapping[str, str] | Sequence[tuple[str, str]]) -> str:
    """Values and what they mean, as one codebook cell."""
    items = pairs.items() if isinstance(pairs, Mapping) else pairs
    return "; ".join(f"{value} = {meaning}" if meaning else value for value, meaning in items)
