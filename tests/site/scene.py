"""One row of everything, full of marks, for tests that walk all pages.

``HIDDEN`` marks stand where a rater must never see them; ``TEXTS`` marks stand in texts that must
never reach a log or an address.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.contrib.contenttypes.models import ContentType
from django.db import models, transaction
from django.test import Client
from django.utils import timezone

from generation.actions.definitions import sync_definitions
from generation.actions.uploads import store_upload
from generation.models import (
    Arm,
    Attempt,
    Batch,
    ClientProfile,
    Dialogue,
    DialogueState,
    Endpoint,
    EndpointState,
    EngineEvent,
    Finding,
    Origin,
    ProfileSet,
    Protocol,
    Questionnaire,
    Upload,
    UploadPurpose,
)
from generation.protocols import builtin_protocols
from generation.questionnaires import builtin_definitions
from review.models import (
    Assignment,
    Comparison,
    ComparisonPair,
    Evidence,
    Flag,
    Rating,
    Study,
    StudyDialogue,
    StudyRater,
)
from sqpsych_site import audit
from sqpsych_site.models import ServiceState, User
from sqpsych_site.roles import Role
from tests.factories import WHEN, assignments_of, make_dialogue, make_instrument, make_study
from tests.people import password_hash

BACKEND = "sqpsych_site.accounts.Accounts"
EXPERT = "sqpsych-expert"
ITEM = "t1_key_thoughts"
ROLES = tuple(Role)

HIDDEN = {
    "therapist model": "hiddentherapistmodel",
    "client model": "hiddenclientmodel",
    "batch name": "hiddenbatch",
    "batch seed": "738291645501",
    "arm label": "hiddenarm",
    "protocol": "hiddenprotocol",
    "profile id": "hiddenprofile",
    "profile set": "hiddenset",
    "profile source": "hiddensource.csv",
    "condition": "hiddencondition",
    "demographics": "hiddenoccupation",
    "gender": "hiddengender",
    "total": "918273",
    "band": "hiddenband",
    "endpoint": "hiddenendpoint",
    "endpoint address": "10.98.76.54",
    "dialogue title": "hiddentitle",
    "file id": "hiddenexternal",
    "therapist prompt": "hiddentherapistprompt",
    "client prompt": "hiddenclientprompt",
    "case": "hiddencase",
    "finding": "hiddenfinding",
    "rejected attempt": "hiddenattempt",
    "engine log": "hiddendecision",
    "another rater": "hiddencolleague",
    "another rater's answer": "hiddenanswer",
    "another rater's remark": "hiddenremark",
    "another rater's comment": "hiddencomment",
    "another rater's flag": "hiddennote",
    "another rater's reason": "hiddenreason",
    "coordinator": "hiddencoordinator",
}
TEXTS = {
    "utterance": "canaryutterance",
    "comment": "canarycomment",
    "item comment": "canaryremark",
    "flag note": "canarynote",
    "reason": "canaryreason",
    "demographics": "canaryoccupation",
    "guidelines": "canaryguideline",
}


@dataclass(frozen=True)
class Scene:
    """The rows that addresses are made of."""

    people: dict[str, User]
    colleague: User
    profile_set: ProfileSet
    profile: ClientProfile
    batch: Batch
    dialogue: Dialogue
    endpoint: Endpoint
    study: Study
    assignment: Assignment
    second: Assignment
    foreign: Assignment
    flag: Flag
    foreign_flag: Flag
    upload: Upload
    duel: Study
    comparison: Comparison
    foreign_comparison: Comparison
    rows: Upload

    @property
    def rater(self) -> User:
        return self.people[Role.RATER]


def signed_in(person: User, **options: bool) -> Client:
    """A browser-less client in which somebody is signed in."""
    client = Client(**options)  # type: ignore[arg-type]  # stubs know no keyword by keyword
    client.force_login(person, backend=BACKEND)
    return client


def make_scene() -> Scene:
    """Store one of everything."""
    people = _people()
    colleague = User.objects.create(
        username="hiddencolleague", password=password_hash(), role=Role.RATER
    )
    endpoint = _endpoint()
    profile_set, profile = _profile(people[Role.COORDINATOR])
    batch, arm = _batch(profile_set, people[Role.COORDINATOR])
    dialogues = [_dialogue(batch, arm, profile, endpoint, replicate) for replicate in (1, 2)]
    # Names in a study are the coordinator's own words to the raters: nothing is hidden there.
    study = make_study(
        [people[Role.RATER], colleague],
        dialogues,
        name="Pilot study",
        guidelines=f"Read first. {TEXTS['guidelines']}",
        contact="Dr Field, 555 0100",
        created_by=people[Role.COORDINATOR],
    )
    StudyDialogue.objects.create(study=study, dialogue=make_dialogue(), code="T001", training=True)
    mine, second = assignments_of(study, people[Role.RATER])
    foreign, returned = assignments_of(study, colleague)
    foreign_flag = _judge_as_colleague(foreign, returned)
    own_flag = _judge(mine)
    comparison, foreign_comparison = _pairwise(people, colleague, dialogues)
    ServiceState.objects.create(name="web", state="running", at=timezone.now())
    audit.record(by=people[Role.COORDINATOR], action="study.create", target="study")
    return Scene(
        people=people,
        colleague=colleague,
        profile_set=profile_set,
        profile=profile,
        batch=batch,
        dialogue=dialogues[0],
        endpoint=endpoint,
        study=study,
        assignment=mine,
        second=second,
        foreign=foreign,
        flag=own_flag,
        foreign_flag=foreign_flag,
        upload=_upload(people[Role.COORDINATOR]),
        duel=comparison.study,
        comparison=comparison,
        foreign_comparison=foreign_comparison,
        rows=_rows(people[Role.COORDINATOR]),
    )


def _rows(by: User) -> Upload:
    """A file of utterances of the coordinator's that waits for its columns."""
    return store_upload(
        purpose=UploadPurpose.DIALOGUES,
        name="hiddenbatch 2",
        filename="hiddensource.csv",
        content=b"conversation_id,speaker,utterance\nhiddenexternal,patient,canaryutterance\n",
        by=by,
    )


def _upload(by: User) -> Upload:
    """A profile file of the coordinator's that waits for its columns."""
    items = ",".join(f"phq_{number}" for number in range(1, 10))
    text = f"id,age,sex,group,job,{items}\nhiddenprofile,40,f,control,canaryoccupation{',1' * 9}\n"
    return store_upload(
        purpose=UploadPurpose.PROFILES,
        name="hiddenset 2",
        filename="hiddensource.csv",
        content=text.encode(),
        by=by,
    )


def _people() -> dict[str, User]:
    names = {Role.RATER: "anna", Role.COORDINATOR: "hiddencoordinator"}
    return {
        role: User.objects.create(
            username=names.get(role, role.value), password=password_hash(), role=role
        )
        for role in ROLES
    }


def _endpoint() -> Endpoint:
    return Endpoint.objects.create(
        name="hiddenendpoint",
        base_url="http://10.98.76.54:8000/v1",
        model="hiddentherapistmodel",
        state=EndpointState.READY,
        checked_at=WHEN,
    )


def _profile(by: User) -> tuple[ProfileSet, ClientProfile]:
    sync_definitions()
    profile_set = ProfileSet.objects.create(
        name="hiddenset", source="hiddensource.csv", sha256="1" * 64, created_by=by
    )
    phq9 = builtin_definitions()["phq9"]
    profile = ClientProfile.objects.create(
        profile_set=profile_set,
        profile_id="hiddenprofile",
        age=47,
        gender="hiddengender",
        condition="hiddencondition",
        demographics={"occupation": "hiddenoccupation canaryoccupation"},
        answers={"phq9": {item.key: 2 for item in phq9.items}},
        totals={"phq9": 918273},
        bands={"phq9": "hiddenband"},
        questionnaires={"phq9": phq9.sha256},
        risk_positive=True,
        sha256="2" * 64,
    )
    return profile_set, profile


def _batch(profile_set: ProfileSet, by: User) -> tuple[Batch, Arm]:
    batch = Batch.objects.create(
        name="hiddenbatch", profile_set=profile_set, seed=738291645501, created_by=by
    )
    toml = builtin_protocols()["sqpsych"].toml
    protocol = Protocol.objects.create(
        key="hiddenprotocol", version="9", title="hiddenprotocol", sha256="3" * 64, toml=toml
    )
    arm = Arm.objects.create(
        batch=batch,
        label="hiddenarm",
        protocol=protocol,
        therapist_model="hiddentherapistmodel",
        client_model="hiddenclientmodel",
        sampling={"therapist": {"temperature": 0.7}, "client": {"temperature": 0.7}},
        sha256="4" * 64,
    )
    EngineEvent.objects.create(batch=batch, message="hiddendecision")
    return batch, arm


def _dialogue(
    batch: Batch, arm: Arm, profile: ClientProfile, endpoint: Endpoint, replicate: int
) -> Dialogue:
    dialogue = make_dialogue(
        ["Good morning. canaryutterance", "Hello. <b>It is all too much.</b>", "Go on.", "Yes."],
        batch=batch,
        arm=arm,
        profile=profile,
        replicate=replicate,
        origin=Origin.GENERATED,
        title="hiddentitle",
        external_id="hiddenexternal",
        ended_by="marker",
        therapist_system="hiddentherapistprompt",
        client_system="hiddenclientprompt",
        provenance={
            "prompts": {"therapist_case": "hiddencase", "client_case": "hiddencase"},
            "servers": {"hiddenendpoint": "0.33"},
        },
        started_at=WHEN,
        finished_at=WHEN + timedelta(minutes=10),
    )
    Finding.objects.create(
        dialogue=dialogue,
        kind="risk_cue",
        severity="urgent",
        turn_number=2,
        detail="hiddenfinding",
        created_at=WHEN,
    )
    Attempt.objects.create(
        dialogue=dialogue,
        turn_number=2,
        number=1,
        role="client",
        outcome="rejected",
        defects=[{"kind": "empty", "detail": "hiddenattempt"}],
        text="hiddenattempt",
        endpoint=endpoint,
        created_at=WHEN,
    )
    return dialogue


def _judge(assignment: Assignment) -> Flag:
    """What the rater did so far: one answer, one mark, one flag."""
    Assignment.objects.filter(pk=assignment.pk).update(
        opened_at=WHEN, state="started", comment=f"Hm. {TEXTS['comment']}"
    )
    assignment.refresh_from_db()
    instrument = make_instrument(EXPERT)
    Rating.objects.create(
        assignment=assignment,
        instrument=instrument,
        item=ITEM,
        value="1",
        comment=TEXTS["item comment"],
    )
    Evidence.objects.create(
        assignment=assignment, instrument=instrument, item=ITEM, turn_number=1, start=0, end=4
    )
    return Flag.objects.create(
        assignment=assignment,
        category="risk_cue_missed",
        severity="serious",
        turn_number=2,
        note=TEXTS["flag note"],
    )


def _judge_as_colleague(assignment: Assignment, returned: Assignment) -> Flag:
    instrument = make_instrument(EXPERT)
    Assignment.objects.filter(pk=assignment.pk).update(
        opened_at=WHEN, submitted_at=WHEN, state="submitted", comment="hiddencomment"
    )
    Assignment.objects.filter(pk=returned.pk).update(
        state="returned", return_reason="other", return_note="hiddenreason"
    )
    Rating.objects.create(
        assignment=assignment,
        instrument=instrument,
        item=ITEM,
        value="hiddenanswer",
        comment="hiddenremark",
    )
    Evidence.objects.create(
        assignment=assignment, instrument=instrument, item=ITEM, turn_number=2, start=0, end=4
    )
    return Flag.objects.create(
        assignment=assignment,
        category="medication",
        severity="severe",
        turn_number=3,
        note="hiddennote",
    )


def _pairwise(
    people: dict[str, User], colleague: User, dialogues: list[Dialogue]
) -> tuple[Comparison, Comparison]:
    """A pairwise study of one pair, begun by the rater and done by the colleague."""
    study = Study.objects.create(
        name="Duel", kind="pairwise", settings={"question": "Which?", "reasons": [["safe", "x"]]}
    )
    rows = [
        StudyDialogue.objects.create(study=study, dialogue=dialogue, code=f"D{number}")
        for number, dialogue in enumerate(dialogues, start=1)
    ]
    pair = ComparisonPair.objects.create(study=study, code="P1", one=rows[0], other=rows[1])
    for number, rater in enumerate((people[Role.RATER], colleague), start=1):
        StudyRater.objects.create(study=study, rater=rater, code=f"R{number}")
    shared = {"study": study, "pair": pair, "position": 1, "opened_at": WHEN}
    foreign = Comparison.objects.create(
        **shared,
        rater=colleague,
        swapped=True,
        state="submitted",
        choice="one",
        comment="hiddenremark",
        submitted_at=WHEN,
    )
    mine = Comparison.objects.create(
        **shared,
        rater=people[Role.RATER],
        swapped=False,
        state="started",
        choice="tie",
        comment=TEXTS["comment"],
        revision=1,
    )
    return mine, foreign


@contextmanager
def undone() -> Iterator[None]:
    """Take back whatever is written inside, so that the next request meets the same rows."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


NOWHERE = UUID("00000000-0000-4000-8000-000000000000")
OWN_APPS = ("sqpsych_site", "generation", "review")


def own_models() -> list[type[models.Model]]:
    """The models of the three apps, event tables left out."""
    from django.apps import apps

    return [
        model
        for label in OWN_APPS
        for model in apps.get_app_config(label).get_models()
        if not hasattr(model, "pgh_tracked_model")
    ]


def event_models() -> list[type[models.Model]]:
    """The tables in which django-pghistory keeps every change."""
    from django.apps import apps

    return [
        model
        for label in OWN_APPS
        for model in apps.get_app_config(label).get_models()
        if hasattr(model, "pgh_tracked_model")
    ]


__all__ = [
    "BACKEND",
    "EXPERT",
    "HIDDEN",
    "ITEM",
    "NOWHERE",
    "ROLES",
    "TEXTS",
    "ContentType",
    "DialogueState",
    "Questionnaire",
    "Scene",
    "event_models",
    "make_scene",
    "own_models",
    "signed_in",
    "undone",
]
