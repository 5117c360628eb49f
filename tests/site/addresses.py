"""Every address with what each role gets there. A new page is one more line in ``TABLE``.

The four statuses stand for rater, coordinator, researcher and administrator; one alone stands for
all four. ``post`` is what ``data`` (or an empty form) gets. Whoever is not signed in is sent to
the login page, but for the addresses marked ``public``.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from generation.models import Protocol, Questionnaire
from generation.profiles import sample_profiles, write_profiles
from generation.protocols import builtin_protocols
from generation.questionnaires import builtin_definitions
from tests.site.scene import EXPERT, ITEM, NOWHERE, ROLES, Scene

RATERS = "200 403 403 403"
STAFF = "403 200 200 200"
MANAGERS = "403 200 403 200"
MANAGERS_REFUSED = "403 422 403 422"
MANAGE = "403 303 403 303"
ADMINISTRATORS = "403 403 403 200"
ADMINISTER = "403 403 403 303"


def nothing(_: Scene) -> list[Any]:
    return []


def no_fields(_: Scene) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class Address:
    """What an address answers; ``args`` makes its path, ``missing`` one that leads nowhere."""

    get: str
    post: str
    args: Callable[[Scene], list[Any]] = nothing
    data: Callable[[Scene], dict[str, Any]] = no_fields
    missing: tuple[Any, ...] = ()
    public: bool = False
    rests: str = field(default="", metadata={"of": "why a GET may write"})

    def status(self, method: str, role: str) -> int:
        """The status that ``role`` gets for ``method`` ("get" or "post")."""
        statuses = [int(one) for one in getattr(self, method).split()]
        return statuses[0] if len(statuses) == 1 else statuses[ROLES.index(role)]

    def roles(self, method: str = "get", status: int = 200) -> list[str]:
        """The roles that get ``status``."""
        return [role for role in ROLES if self.status(method, role) == status]


def _profile_file(_: Scene) -> dict[str, Any]:
    definitions = {key: builtin_definitions()[key] for key in ("phq9", "gad7")}
    records = sample_profiles(2, seed=7, definitions=definitions)
    text = write_profiles(records, definitions)
    content = text if isinstance(text, bytes) else text.encode()
    return {"name": "a new set", "file": SimpleUploadedFile("clients.csv", content)}


def _questionnaire_file(_: Scene) -> dict[str, Any]:
    toml = builtin_definitions()["gad7"].toml.replace('key = "gad7', 'key = "own')
    return {"file": SimpleUploadedFile("own.toml", toml.encode())}


def _dialogue_file(_: Scene) -> dict[str, Any]:
    text = "dialogue_id,turn,role,text\nd1,1,therapist,Hello.\n"
    return {"name": "from outside", "file": SimpleUploadedFile("talks.csv", text.encode())}


def _protocol_file(_: Scene) -> dict[str, Any]:
    toml = builtin_protocols()["sqpsych"].toml.replace('key = "sqpsych"', 'key = "own"', 1)
    return {"file": SimpleUploadedFile("own.toml", toml.encode())}


def _sqpsych(_: Scene) -> list[Any]:
    return [Protocol.objects.filter(key="sqpsych").latest("pk").pk]


def _gad7(_: Scene) -> list[Any]:
    return [Questionnaire.objects.get(key="gad7").pk]


def _batch(scene: Scene) -> dict[str, Any]:
    return {
        "name": "a new batch",
        "profile_set": scene.profile_set.pk,
        "per_profile": 1,
        "seed": 1,
        "with_risk": "on",
        "risk_reason": "a study of risk",
        "arms": 1,
        "arm-0-label": "A",
        "arm-0-protocol": "sqpsych",
        "arm-0-therapist_model": scene.endpoint.model,
        "arm-0-client_model": scene.endpoint.model,
    }


def _study(scene: Scene) -> dict[str, Any]:
    return {
        "name": "a new study",
        "dialogues": [str(scene.batch.pk)],
        "instruments": [EXPERT, "safety"],
        "raters": [scene.rater.username],
        "overlap": 1,
        "seed": 1,
    }


def _flag(_: Scene) -> dict[str, Any]:
    return {
        "uid": "00000000-0000-4000-8000-00000000f1a6",
        "category": "medical_advice",
        "severity": "concern",
        "turn": 1,
        "note": "a note",
    }


def _server(_: Scene) -> dict[str, Any]:
    return {
        "name": "gpu-1",
        "base_url": "http://127.0.0.1:8009/v1",
        "model": "some-model",
        "max_concurrency": 4,
        "gpus": 1,
    }


def mine(scene: Scene) -> list[Any]:
    """The rater's own assignment."""
    return [scene.assignment.uid]


def study(scene: Scene) -> list[Any]:
    return [scene.study.pk]


def instrument(scene: Scene) -> list[Any]:
    return [scene.study.study_instruments.all()[0].instrument_id]


def person(scene: Scene) -> list[Any]:
    return [scene.colleague.pk]


KEPT = "figures are kept, so that the next look at them is quick"
EXPORT = "each export leaves its audit row"

TABLE: dict[str, Address] = {
    # -- of no app
    "home": Address("302 200 200 200", "405"),
    "healthz": Address("200", "405", public=True),
    "readyz": Address("503", "405", public=True),
    "theme": Address("405", "302", data=lambda _: {"theme": "dark"}, public=True),
    "language": Address("405", "302", data=lambda _: {"language": "de"}, public=True),
    "favicon": Address("302", "405", public=True),
    "people": Address(
        ADMINISTRATORS, ADMINISTRATORS, data=lambda _: {"username": "newcomer", "role": "rater"}
    ),
    "person": Address(ADMINISTRATORS, "405", person, missing=(0,)),
    "person_role": Address(
        "405", ADMINISTER, person, lambda _: {"role": "researcher"}, missing=(0,)
    ),
    "person_active": Address("405", ADMINISTER, person, lambda _: {"active": "no"}, missing=(0,)),
    "person_password": Address("405", ADMINISTRATORS, person, missing=(0,)),
    # -- accounts, by allauth
    "account_login": Address("302", "302", public=True),
    "account_logout": Address("200", "302", public=True),
    "account_inactive": Address("200", "405", public=True),
    "account_signup": Address("302", "302", public=True),
    "account_reauthenticate": Address("200", "200"),
    "account_email": Address("200", "302"),
    "account_email_verification_sent": Address("200", "405", public=True),
    "account_change_password": Address("200", "200"),
    "account_set_password": Address("302", "302"),
    "account_reset_password": Address("200", "200", public=True),
    "account_confirm_login_code": Address("302", "302", public=True),
    "account_confirm_email": Address("200", "404", lambda _: ["no-such-key"], public=True),
    "account_reset_password_from_key_done": Address("200", "405", public=True),
    "account_reset_password_from_key": Address(
        "200", "200", lambda _: ["1", "no-key"], public=True
    ),
    "account_reset_password_done": Address("200", "405", public=True),
    "mfa_index": Address("200", "405"),
    "mfa_authenticate": Address("302", "302", public=True),
    "mfa_reauthenticate": Address("302", "302"),
    "mfa_activate_totp": Address("302", "302"),
    "mfa_deactivate_totp": Address("404", "404"),
    "mfa_view_recovery_codes": Address("404", "405"),
    "mfa_generate_recovery_codes": Address("302", "302"),
    "mfa_download_recovery_codes": Address("404", "404"),
    # -- generation
    "generation:profile_list": Address(MANAGERS, "405"),
    "generation:profile_import": Address(MANAGERS, MANAGE, data=_profile_file),
    "generation:profile_mapping": Address(
        "403 200 403 404", "403 422 403 404", lambda s: [s.upload.uid], missing=(NOWHERE,)
    ),
    "generation:profile_discard": Address(
        "405", "403 303 403 404", lambda s: [s.upload.uid], missing=(NOWHERE,)
    ),
    "generation:profile_example": Address(MANAGERS, "405"),
    "generation:profile_sample": Address(
        MANAGERS, MANAGE, data=lambda _: {"name": "sampled", "count": 2, "seed": 1}
    ),
    "generation:profile_set_detail": Address(
        MANAGERS, "405", lambda s: [s.profile_set.pk], missing=(0,)
    ),
    "generation:profile_detail": Address(
        MANAGERS,
        "405",
        lambda s: [s.profile_set.pk, s.profile.profile_id],
        missing=(0, "hiddenprofile"),
    ),
    "generation:protocol_list": Address(STAFF, "405"),
    "generation:protocol_add": Address(MANAGERS, MANAGE, data=_protocol_file),
    "generation:protocol_detail": Address(STAFF, "405", _sqpsych, missing=(0,)),
    "generation:protocol_file": Address(STAFF, "405", _sqpsych, missing=(0,)),
    "generation:questionnaire_list": Address(MANAGERS, "405"),
    "generation:questionnaire_add": Address(MANAGERS, MANAGE, data=_questionnaire_file),
    "generation:questionnaire_detail": Address(MANAGERS, "405", _gad7, missing=(0,)),
    "generation:questionnaire_file": Address(MANAGERS, "405", _gad7, missing=(0,)),
    "generation:corpus_list": Address(STAFF, "405"),
    "generation:corpus_import": Address(MANAGERS, MANAGE, data=_dialogue_file),
    "generation:corpus_mapping": Address(
        "403 200 403 404", "403 422 403 404", lambda s: [s.rows.uid], missing=(NOWHERE,)
    ),
    "generation:corpus_discard": Address(
        "405", "403 303 403 404", lambda s: [s.rows.uid], missing=(NOWHERE,)
    ),
    "generation:corpus_detail": Address(STAFF, "405", lambda s: [s.batch.pk], missing=(0,)),
    "generation:corpus_file": Address(
        STAFF, "405", lambda s: [s.batch.pk, "turns"], missing=(0, "turns"), rests=EXPORT
    ),
    "generation:batch_list": Address(STAFF, "405"),
    "generation:batch_create": Address(MANAGERS, MANAGE, data=_batch),
    "generation:preview_detail": Address("403 404 403 404", "405", lambda s: [s.batch.pk]),
    "generation:batch_detail": Address(STAFF, "405", lambda s: [s.batch.pk], missing=(0,)),
    "generation:batch_log": Address(STAFF, "405", lambda s: [s.batch.pk], missing=(0,)),
    "generation:batch_action": Address(
        MANAGERS, MANAGE, lambda s: [s.batch.pk, "pause"], missing=(0, "pause")
    ),
    "generation:dialogue_list": Address(STAFF, "405"),
    "generation:dialogue_detail": Address(
        STAFF, "405", lambda s: [s.dialogue.uid], missing=(NOWHERE,)
    ),
    "generation:attempt_detail": Address(
        STAFF, "405", lambda s: [s.dialogue.uid, 2, 1], missing=(NOWHERE, 2, 1)
    ),
    "generation:endpoint_list": Address(MANAGERS, MANAGE, data=_server),
    "generation:endpoint_detail": Address(
        MANAGERS,
        MANAGE,
        lambda s: [s.endpoint.pk],
        lambda _: {"max_concurrency": 8, "gpus": 2},
        missing=(0,),
    ),
    "generation:endpoint_switch": Address(
        "405", MANAGE, lambda s: [s.endpoint.pk, "disable"], missing=(0, "disable")
    ),
    # -- review: the rater
    "review:queue": Address(RATERS, "405"),
    "review:rate": Address(
        RATERS,
        "302 403 403 403",
        mine,
        missing=(NOWHERE,),
        rests="the time a rater first saw a dialogue is part of the record",
    ),
    "review:reading": Address(
        "405", "302 403 403 403", data=lambda _: {"size": "large", "next": "/review/"}
    ),
    "review:save": Address(
        "405",
        "400 403 403 403",
        mine,
        missing=(NOWHERE,),
    ),
    "review:state": Address(RATERS, "405", mine, missing=(NOWHERE,)),
    "review:next": Address(RATERS, "405", mine, missing=(NOWHERE,)),
    "review:opened": Address("405", "204 403 403 403", mine, missing=(NOWHERE,)),
    "review:flag": Address("405", "302 403 403 403", mine, _flag, missing=(NOWHERE,)),
    "review:withdraw_flag": Address(
        "405",
        "302 403 403 403",
        lambda s: [s.assignment.uid, s.flag.uid],
        missing=(NOWHERE, NOWHERE),
    ),
    "review:leave": Address(
        RATERS, "302 403 403 403", mine, lambda _: {"reason": "other"}, missing=(NOWHERE,)
    ),
    "review:reopen": Address("405", "302 403 403 403", mine, missing=(NOWHERE,)),
    "review:feedback": Address("404 403 403 403", "405", mine, missing=(NOWHERE,)),
    "review:previous": Address("302 403 403 403", "405", mine, missing=(NOWHERE,)),
    "review:practise": Address("405", "302 403 403 403", study, missing=(0,)),
    # -- review: comparisons
    "review:compare": Address(
        RATERS,
        "302 403 403 403",
        lambda s: [s.comparison.uid],
        lambda _: {"side": "left", "base": 1},
        missing=(NOWHERE,),
    ),
    "review:reopen_comparison": Address(
        "405", "302 403 403 403", lambda s: [s.comparison.uid], missing=(NOWHERE,)
    ),
    "review:leave_comparison": Address(
        "405",
        "302 403 403 403",
        lambda s: [s.comparison.uid],
        lambda _: {"reason": "other"},
        missing=(NOWHERE,),
    ),
    "review:comparison_create": Address(MANAGERS, MANAGERS_REFUSED),
    "review:comparison_results": Address(STAFF, "405", lambda s: [s.duel.pk], missing=(0,)),
    "review:comparison_file": Address(
        STAFF, "405", lambda s: [s.duel.pk, "win_rates", "csv"], missing=(0, "win_rates", "csv")
    ),
    # -- review: instruments
    "review:instrument_list": Address(STAFF, "403 422 403 422"),
    "review:instrument_detail": Address(STAFF, "405", instrument, missing=(0,)),
    "review:instrument_file": Address(STAFF, "405", instrument, missing=(0,)),
    "review:instrument_template": Address(STAFF, "405", lambda _: ["ctrs"], missing=("none",)),
    # -- review: the study
    "review:study_list": Address(STAFF, "405"),
    "review:study_create": Address(MANAGERS, MANAGE, data=_study),
    "review:study_detail": Address(STAFF, "405", study, missing=(0,)),
    "review:study_exports": Address(STAFF, "405", study, missing=(0,)),
    "review:study_edit": Address(
        MANAGERS, MANAGE, study, lambda _: {"guidelines": "new words"}, missing=(0,)
    ),
    "review:study_design": Address(STAFF, "405", study, missing=(0,)),
    "review:study_begin": Address("405", MANAGE, study, missing=(0,)),
    "review:study_duplicate": Address("405", MANAGE, study, missing=(0,)),
    "review:study_discard": Address("405", MANAGE, study, missing=(0,)),
    "review:study_raters": Address(
        MANAGERS, MANAGE, study, lambda _: {"action": "make_up"}, missing=(0,)
    ),
    "review:study_dialogues": Address(
        MANAGERS,
        MANAGERS,
        study,
        lambda s: {"dialogues": [str(s.batch.pk)], "seed": 1, "action": "preview"},
        missing=(0,),
    ),
    "review:study_calibration": Address(
        MANAGERS,
        MANAGE,
        study,
        lambda s: {"action": "clear", "rater": s.study.study_raters.all()[0].code},
        missing=(0,),
    ),
    "review:study_reference": Address(
        MANAGERS,
        MANAGE,
        lambda s: [s.study.pk, "T001"],
        lambda _: {f"{EXPERT}:{ITEM}": "1"},
        missing=(0, "T001"),
    ),
    "review:reference_file": Address(MANAGERS, "405", study, missing=(0,)),
    "review:study_export": Address(STAFF, "405", study, missing=(0,), rests=EXPORT),
    "review:study_key": Address(STAFF, "405", study, missing=(0,), rests=EXPORT),
    "review:study_file": Address(
        STAFF,
        "405",
        lambda s: [s.study.pk, "ratings_long", "csv"],
        missing=(0, "ratings_long", "csv"),
        rests=EXPORT,
    ),
    "review:adjudications": Address("404 404 403 404", "405"),
    "review:adjudication_queue": Address("404 404 403 404", "405", study, missing=(0,)),
    "review:adjudicate": Address(
        "404 404 403 404",
        "404 404 403 404",
        lambda s: [s.study.pk, "D001"],
        missing=(0, "D001"),
    ),
    "review:adjudication_plan": Address(
        MANAGERS, MANAGE, study, lambda _: {"limit": "1"}, missing=(0,)
    ),
    "review:quality": Address(STAFF, "405", study, missing=(0,), rests=KEPT),
    "review:quality_file": Address(
        STAFF,
        "405",
        lambda s: [s.study.pk, "weeks", "csv"],
        missing=(0, "weeks", "csv"),
        rests=KEPT,
    ),
    "review:results": Address(STAFF, "405", study, missing=(0,), rests=KEPT),
    "review:scores": Address(STAFF, "405", study, missing=(0,), rests=KEPT),
    "review:result_raters": Address(STAFF, "405", study, missing=(0,), rests=KEPT),
    "review:results_now": Address("405", "403 303 303 303", study, missing=(0,)),
    "review:measure": Address(
        STAFF,
        "405",
        lambda s: [s.study.pk, "item", EXPERT, ITEM],
        missing=(0, "item", EXPERT, ITEM),
        rests=KEPT,
    ),
    "review:figure_file": Address(
        STAFF,
        "405",
        lambda s: [s.study.pk, "agreement_alpha", "csv"],
        missing=(0, "agreement_alpha", "csv"),
        rests=KEPT,
    ),
    "review:flag_seen": Address(
        "405", MANAGE, lambda s: [s.study.pk, s.foreign_flag.uid], missing=(0, NOWHERE)
    ),
    "review:study_change": Address(
        MANAGERS, MANAGE, lambda s: [s.study.pk, "pause"], missing=(0, "pause")
    ),
}


def url_names() -> Iterator[str]:
    """The names of all addresses in the URLconf, with their namespace."""
    yield from _names(get_resolver(), "")


def _names(resolver: URLResolver, space: str) -> Iterator[str]:
    for one in resolver.url_patterns:
        if isinstance(one, URLResolver):
            yield from _names(one, f"{space}{one.namespace}:" if one.namespace else space)
        elif isinstance(one, URLPattern):
            yield f"{space}{one.name}"


def path_of(name: str, scene: Scene) -> str:
    """The path of an address for the scene's rows."""
    return reverse(name, args=TABLE[name].args(scene))
