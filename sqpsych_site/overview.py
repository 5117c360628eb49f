"""What the home page of everybody but raters tells; a fixed number of queries."""

from dataclasses import dataclass
from uuid import UUID

from django.db.models import QuerySet
from django.urls import reverse

from generation import progress as generation_progress
from generation.models import Batch, BatchState, Dialogue, Endpoint, EndpointState, ProfileSet
from review import progress
from review.actions.rating import definition_of
from review.models import Flag, Instrument, Study, StudyInstrument, StudyState
from sqpsych_site.models import User
from sqpsych_site.roles import Role, Verb

SHOWN = 8
OPEN_BATCHES = (BatchState.RUNNING, BatchState.PAUSED)
OPEN_STUDIES = (StudyState.CALIBRATION, StudyState.RUNNING, StudyState.PAUSED)
SERVER_TONES = {
    EndpointState.READY: "accent",
    EndpointState.STARTING: "warn",
    EndpointState.UNREACHABLE: "danger",
    EndpointState.WRONG_MODEL: "danger",
    EndpointState.UNAVAILABLE: "warn",
}


@dataclass(frozen=True)
class Server:
    """A model server in words."""

    name: str
    state: str
    tone: str
    sentence: str


@dataclass(frozen=True)
class OpenFlag:
    """A severe flag that nobody has looked at."""

    study: Study
    category: str
    code: str
    turn: int | None
    uid: UUID


@dataclass(frozen=True)
class Step:
    """One thing to do in a new installation."""

    text: str
    done: bool
    url: str = ""


@dataclass(frozen=True)
class Overview:
    """All of it."""

    batches: list[tuple[Batch, generation_progress.Counts]]
    studies: list[tuple[Study, progress.Counts]]
    flags: list[OpenFlag]
    more_flags: bool
    servers: list[Server]
    steps: list[Step]


def overview(user: User) -> Overview:
    """Read it for this person. Twelve queries."""
    batches = list(Batch.objects.filter(state__in=OPEN_BATCHES, preview=False)[:SHOWN])
    made = generation_progress.counts_by_batch(
        Dialogue.objects.filter(batch__in=[batch.pk for batch in batches])
    )
    studies = list(Study.objects.listed().filter(state__in=OPEN_STUDIES)[:SHOWN])
    rated = progress.counts_by_study(study.pk for study in studies)
    flags = _flags()
    return Overview(
        batches=[(batch, made.get(batch.pk, generation_progress.Counts())) for batch in batches],
        studies=[(study, rated.get(study.pk, progress.Counts())) for study in studies],
        flags=flags[:SHOWN],
        more_flags=len(flags) > SHOWN,
        servers=[_server(row) for row in Endpoint.objects.order_by("name")],
        steps=_steps(user),
    )


def _flags() -> list[OpenFlag]:
    """Severe flags of any study that wait for a look, newest first. Two queries."""
    used = StudyInstrument.objects.values("instrument")
    instruments = list(Instrument.objects.filter(pk__in=used))
    labels = {
        category.key: str(category.label)
        for form in (definition_of(row).safety for row in instruments)
        if form
        for category in form.categories
    }
    waiting: QuerySet[Flag] = progress.unseen(progress.severe_flags(instruments))
    rows = waiting.select_related("assignment__study", "assignment__study_dialogue")
    return [
        OpenFlag(
            study=flag.assignment.study,
            category=labels.get(flag.category, flag.category),
            code=flag.assignment.study_dialogue.code,
            turn=flag.turn_number,
            uid=flag.uid,
        )
        for flag in rows[: SHOWN + 1]
    ]


def _server(row: Endpoint) -> Server:
    if not row.enabled:
        return Server(row.name, "switched off", "", "It is switched off.")
    state = EndpointState(row.state)
    detail = row.state_detail.strip().rstrip(".")
    because = f": {detail}." if detail else "."
    sentences = {
        EndpointState.READY: f"It serves {row.model}.",
        EndpointState.STARTING: f"The model server is starting{because}",
        EndpointState.UNREACHABLE: f"It does not answer{because}",
        EndpointState.WRONG_MODEL: f"It serves another model than {row.model}{because}",
        EndpointState.UNAVAILABLE: f"It cannot run here{because}",
        EndpointState.UNKNOWN: "It has not been asked yet.",
    }
    return Server(row.name, state.label.lower(), SERVER_TONES.get(state, ""), sentences[state])


def _steps(user: User) -> list[Step]:
    """What a new installation needs, in order; nothing once a study has been made. Four queries."""
    profiles, batches = ProfileSet.objects.exists(), Batch.objects.filter(preview=False).exists()
    raters = User.objects.filter(role=Role.RATER, is_active=True).exists()
    if Study.objects.listed().exists():
        return []

    def where(name: str, verb: Verb) -> str:
        return reverse(name) if user.may(verb) else ""

    return [
        Step(
            "Import client profiles, or draw made-up ones.",
            profiles,
            where("generation:profile_list", Verb.MANAGE_PROFILES),
        ),
        Step(
            "Start a batch, which turns profiles into dialogues.",
            batches,
            where("generation:batch_create", Verb.MANAGE_BATCHES),
        ),
        Step("Make accounts for the raters.", raters, where("people", Verb.MANAGE_USERS)),
        Step(
            "Make a study, which gives the dialogues to the raters.",
            False,
            where("review:study_create", Verb.MANAGE_STUDIES),
        ),
    ]
