"""First steps of an installation: definitions, accounts, and a demo; safe to run at every start."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db import connection, transaction

from generation.actions import (
    create_batch,
    sample_profiles,
    set_endpoint_state,
    sync_definitions,
)
from generation.models import Endpoint, EndpointState, ProfileSet
from review.actions import sync_instruments
from review.actions.demo import add_demo_dialogues, add_demo_study
from sqpsych_site import audit
from sqpsych_site.local.model_server import MODEL
from sqpsych_site.local.model_watch import LOCAL_ENDPOINT
from sqpsych_site.models import AuditEntry, User
from sqpsych_site.people import create_account
from sqpsych_site.roles import Role

DEMO_DONE = "demo.prepare"
DEMO_BATCH_DONE = "demo.batch"
DEMO_PROFILES = "Demo profiles"
DEMO_BATCH_PROFILES = "Demo batch profiles"
DEMO_BATCH = "Demo batch"
DEMO_SEED = 7
_LOCK = 0x5195  # any number, the same in every process


@dataclass(frozen=True)
class NewAccount:
    """An account that was just made; its password is told once and stored nowhere."""

    username: str
    role: str
    password: str


Announce = Callable[[Sequence[NewAccount]], None]


@transaction.atomic
def prepare(*, demo: bool, announce: Announce) -> None:
    """Store the definitions that come with the program and, once, accounts and the demo.

    All in one transaction: a start that is killed leaves nothing half made, and the next one
    does it whole. ``announce`` gets the new accounts as the last thing before the transaction
    ends, so a password can never be lost by being stored without having been told.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
    sync_definitions()
    sync_instruments()
    made: list[NewAccount] = []
    if demo and not _is_done(DEMO_DONE):
        _fill_demo(made)
    if demo and not _is_done(DEMO_BATCH_DONE):
        _start_demo_batch()
    if not demo and not User.objects.exists():
        _account("admin", Role.ADMINISTRATOR, made)
    if made:
        announce(made)


def _is_done(action: str) -> bool:
    return AuditEntry.objects.filter(action=action).exists()


def _fill_demo(made: list[NewAccount]) -> None:
    """Accounts, profiles, and a study of the demo dialogues."""
    _account("admin", Role.ADMINISTRATOR, made)
    coordinator = _account("coordinator", Role.COORDINATOR, made)
    raters = [_account(name, Role.RATER, made) for name in ("rater1", "rater2")]
    sample_profiles(name=DEMO_PROFILES, count=24, seed=DEMO_SEED, by=coordinator)
    dialogues = add_demo_dialogues(by=coordinator)
    add_demo_study(dialogues=dialogues, raters=raters, by=coordinator)
    audit.record(by=None, action=DEMO_DONE, dialogues=len(dialogues))


def _account(name: str, role: Role, made: list[NewAccount]) -> User:
    """The account of this name and role; one that was there before keeps its password."""
    for username in (name, f"demo-{name}"):
        known = User.objects.filter(username__iexact=username).first()
        if known is None:
            user, password = create_account(username=username, role=role, by=None)
            made.append(NewAccount(username, Role(role).label, password))
            return user
        if known.role == role and known.is_active:
            return known
    user, password = create_account(username=f"{name}-{User.objects.count()}", role=role, by=None)
    made.append(NewAccount(user.username, Role(role).label, password))
    return user


def _start_demo_batch() -> None:
    """Three dialogues for the model server to begin with, as soon as it is ready.

    With a server of the user's own whose model is not known yet, the next start does it.
    """
    model = _demo_model()
    if not model:
        return
    coordinator = User.objects.filter(role=Role.COORDINATOR, is_active=True).first()
    profiles = ProfileSet.objects.filter(name=DEMO_BATCH_PROFILES).first() or sample_profiles(
        name=DEMO_BATCH_PROFILES, count=3, seed=DEMO_SEED + 1, by=coordinator
    )
    batch = create_batch(
        name=DEMO_BATCH,
        profile_set=profiles,
        protocol="sqpsych",
        model=model,
        seed=DEMO_SEED,
        by=coordinator,
    )
    audit.record(by=None, action=DEMO_BATCH_DONE, target=f"batch {batch.pk}")


def _demo_model() -> str:
    """The model that the demo asks for: the user's own, else the local one, if a server has it."""
    enabled = Endpoint.objects.filter(enabled=True).exclude(model="")
    if settings.SQPSYCH_VLLM_URL:
        rows = enabled.filter(model=settings.SQPSYCH_MODEL) if settings.SQPSYCH_MODEL else enabled
        return rows.exclude(name=LOCAL_ENDPOINT).values_list("model", flat=True).first() or ""
    if not Endpoint.objects.filter(name=LOCAL_ENDPOINT).exists():
        # The server is started later and then reports where it listens; until then nothing is
        # sent to it. Port 9 is the one on which nobody answers.
        set_endpoint_state(
            name=LOCAL_ENDPOINT,
            state=EndpointState.STARTING,
            base_url="http://127.0.0.1:9/v1",
            model=MODEL,
        )
    return enabled.filter(name=LOCAL_ENDPOINT).values_list("model", flat=True).first() or ""
