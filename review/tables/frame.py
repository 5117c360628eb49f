"""What an export holds, before any format: tables of typed cells, their columns described.

A table is read inside one snapshot (review.exports). Cells stay typed (text, number, moment,
None); turning them into CSV is the writer's business alone, so another format needs no new table.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import NamedTuple

from django.db.models import OuterRef, Subquery
from django.db.models.functions import Length

from review.actions.rating import definition_of
from review.instruments import Instrument as Definition
from review.models import DATA_KINDS, Assignment, AssignmentState, Study, StudyRater

CHUNK = 500
BEGUN = (AssignmentState.STARTED, AssignmentState.SUBMITTED, AssignmentState.RETURNED)
NOT_ANSWERED = "not_answered"
HIDDEN = "hidden"


class Part:
    """Cells that many rows share; a writer formats them once and knows them by identity."""

    __slots__ = ("cells",)

    def __init__(self, *cells: "Cell") -> None:
        self.cells = cells


Cell = str | int | float | datetime | None
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
    """A file of the export: its name without ending, columns, and how to read its rows."""

    name: str
    columns: tuple[Column, ...]
    rows: Callable[[], Iterator[Row]]


@dataclass(frozen=True)
class Options:
    """What a person chose to include. Dialogue text is never in an export of ratings."""

    comments: bool = True


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
    """A study with its instruments in order: what every table of its export starts from."""

    study: Study
    forms: tuple[Form, ...]
    options: Options

    def works(self) -> Iterator[list[Work]]:
        """Begun assignments that are data, by dialogue and rater code, in bounded lists."""
        code = StudyRater.objects.filter(study=self.study, rater=OuterRef("rater"))
        query = (
            Assignment.objects.filter(study=self.study, state__in=BEGUN, kind__in=DATA_KINDS)
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

    @property
    def opening(self) -> tuple[Cell, ...]:
        """The cells that every row of every file about this study begins with."""
        return (SYNTHETIC, self.study.name, self.study.pk)


def frame_of(study: Study, options: Options) -> Frame:
    """Read the study's instruments (one query; parsing is cached, as rows never change)."""
    links = study.study_instruments.select_related("instrument").order_by("position", "pk")
    forms = tuple(
        Form(
            pk=row.pk,
            key=row.key,
            version=row.version,
            sha256=row.sha256,
            title=row.title,
            licence=row.licence,
            definition=definition_of(row),
        )
        for row in (link.instrument for link in links)
    )
    return Frame(study, forms, options)


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
