"""The first start: definitions, accounts with passwords told once, and a demo, filled once."""

import io

import pytest
from django.core.management import call_command
from django.test import Client

from generation.models import Batch, Dialogue, Endpoint, Finding, Origin, ProfileSet, Protocol, Turn
from review.models import Assignment, Instrument, Study
from sqpsych_site import prepare as first_steps
from sqpsych_site.models import AuditEntry, User
from sqpsych_site.prepare import prepare


def run(*, demo: bool) -> str:
    out = io.StringIO()
    call_command("prepare", demo=demo, stdout=out)
    return out.getvalue()


def passwords(text: str) -> dict[str, str]:
    """Account -> password, as printed."""
    lines = [line.split() for line in text.splitlines() if line.startswith("    ")]
    return {parts[0]: parts[1] for parts in lines}


def test_prepare_with_demo_makes_everything_a_newcomer_needs(db):
    run(demo=True)

    study = Study.objects.get()
    assert (study.name, study.overlap, study.state) == ("Demo study", 2, "running")
    assert [link.instrument.key for link in study.study_instruments.all()] == [
        "sqpsych-expert",
        "safety",
    ]
    assert Dialogue.objects.filter(origin=Origin.DEMO, state="complete").count() == 8
    assert all(
        20 <= n <= 40
        for n in Dialogue.objects.filter(origin="demo").values_list("turn_count", flat=True)
    )
    assert Assignment.objects.count() == 16
    assert {user.username: user.role for user in User.objects.all()} == {
        "admin": "administrator",
        "coordinator": "coordinator",
        "rater1": "rater",
        "rater2": "rater",
    }
    counts = {row.name: row.profiles.count() for row in ProfileSet.objects.all()}
    assert counts == {"Demo profiles": 24, "Demo clients": 8, "Demo batch profiles": 3}
    assert all(ProfileSet.objects.values_list("synthetic", flat=True))
    assert Protocol.objects.filter(key="sqpsych").exists()


def test_demo_batch_waits_for_the_model_server(db):
    run(demo=True)

    batch = Batch.objects.get()
    assert (batch.name, batch.state) == ("Demo batch", "running")
    assert [d.state for d in batch.dialogues.all()] == ["waiting"] * 3
    endpoint = Endpoint.objects.get()
    assert (endpoint.name, endpoint.model, endpoint.state) == ("local", "smollm2", "starting")


def test_printed_passwords_sign_in_and_are_stored_nowhere(db):
    printed = passwords(run(demo=True))

    assert set(printed) == {"admin", "coordinator", "rater1", "rater2"}
    for name, password in printed.items():
        assert Client().login(username=name, password=password) is True
    stored = repr(list(AuditEntry.objects.values())) + repr(list(User.objects.values()))
    assert not any(password in stored for password in printed.values())


def test_second_prepare_changes_and_prints_nothing(db):
    run(demo=True)
    models = (Study, User, Batch, ProfileSet, Dialogue, Turn, Instrument, AuditEntry)
    before = [model.objects.count() for model in models]

    assert run(demo=True) == ""
    assert [model.objects.count() for model in models] == before


def test_prepare_without_demo_leaves_an_empty_system_with_one_administrator(db):
    printed = passwords(run(demo=False))

    assert list(printed) == ["admin"]
    assert User.objects.get().role == "administrator"
    assert not Study.objects.exists()
    assert not ProfileSet.objects.exists()
    assert Instrument.objects.count() == 4
    assert run(demo=False) == ""


def test_demo_after_an_empty_start_keeps_the_administrators_password(db):
    first = passwords(run(demo=False))
    printed = passwords(run(demo=True))

    assert set(printed) == {"coordinator", "rater1", "rater2"}
    assert Client().login(username="admin", password=first["admin"]) is True


def test_prepare_without_demo_makes_no_account_where_there_are_some(make_user):
    make_user("coordinator", username="boss")
    assert run(demo=False) == ""
    assert User.objects.count() == 1


def test_demo_makes_another_account_where_a_name_has_another_role(make_user):
    make_user("researcher", username="rater1")
    printed = passwords(run(demo=True))
    assert set(printed) == {"admin", "coordinator", "demo-rater1", "rater2"}


@pytest.mark.django_db(transaction=True)
def test_prepare_killed_half_way_is_made_whole_by_the_next(monkeypatch):
    class Killed(BaseException):
        pass

    def announce(accounts):
        raise Killed

    with pytest.raises(Killed):
        prepare(demo=True, announce=announce)
    assert (User.objects.count(), Study.objects.count(), Dialogue.objects.count()) == (0, 0, 0)

    assert set(passwords(run(demo=True))) == {"admin", "coordinator", "rater1", "rater2"}
    assert Study.objects.count() == 1


def test_demo_batch_comes_later_when_the_users_server_is_not_known_yet(db, settings):
    settings.SQPSYCH_VLLM_URL = "http://127.0.0.1:9/v1"
    settings.SQPSYCH_MODEL = ""
    run(demo=True)
    assert not Batch.objects.exists()

    Endpoint.objects.filter(name="configured").update(model="big-model", state="ready")
    assert run(demo=True) == ""
    assert Batch.objects.get().arms.get().client_model == "big-model"


def test_demo_dialogues_carry_their_condition_and_fault_out_of_the_raters_sight(db):
    run(demo=True)
    planted = [d.provenance.get("planted") for d in Dialogue.objects.filter(origin="demo")]
    assert sum(one is not None for one in planted) == 5
    assert Finding.objects.filter(dialogue__origin="demo").exists()


def test_every_demo_rater_has_all_dialogues_in_an_order_of_their_own(db):
    run(demo=True)
    orders = [
        list(
            Assignment.objects.filter(rater__username=name)
            .order_by("position")
            .values_list("study_dialogue__code", flat=True)
        )
        for name in ("rater1", "rater2")
    ]
    assert [sorted(order) for order in orders] == [[f"D{n:03}" for n in range(1, 9)]] * 2
    assert orders[0] != orders[1]
    # Codes tell nothing about the order in which the dialogues were written.
    by_age = Dialogue.objects.filter(origin="demo").order_by("pk")
    codes = [Study.objects.get().study_dialogues.get(dialogue=one).code for one in by_age]
    assert codes != sorted(codes)


def test_demo_marks_are_audited(db):
    run(demo=True)
    actions = set(AuditEntry.objects.values_list("action", flat=True))
    assert {first_steps.DEMO_DONE, first_steps.DEMO_BATCH_DONE, "study.create"} <= actions
