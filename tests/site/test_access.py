"""Who reaches which address: the table of tests/site/addresses.py, held against the URLconf."""

import pgtrigger
import pytest
from django.test import Client
from django.urls import reverse

from sqpsych_site.roles import Role
from tests.site.addresses import TABLE, path_of, url_names
from tests.site.crawl import ANYBODY, Walk
from tests.site.scene import NOWHERE, ROLES, Scene, signed_in, undone

pytestmark = pytest.mark.django_db
LOGIN = "/accounts/login/"
OBJECTS = [name for name, address in TABLE.items() if address.missing]
PRIVATE = [name for name, address in TABLE.items() if not address.public]
RATED = [
    name
    for name in OBJECTS
    if name.startswith("review:")
    and TABLE[name].status("post", "rater") != 403
    and TABLE[name].status("get", "rater") != 403
    and name != "review:practise"  # names a study, not a rater's own work: see test_queue
]


def test_table_names_every_address_and_no_other() -> None:
    names = list(url_names())
    assert sorted(set(names) ^ set(TABLE)) == []
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", TABLE)
def test_each_role_gets_what_the_table_says(met: Walk, name: str) -> None:
    wanted = {
        (role, method): TABLE[name].status(method, role)
        for role in ROLES
        for method in ("get", "post")
    }
    assert {key: met[name, *key].status for key in wanted} == wanted


@pytest.mark.parametrize("name", PRIVATE)
def test_stranger_is_sent_to_the_login_page(met: Walk, name: str) -> None:
    for method in ("get", "post"):
        answer = met[name, ANYBODY, method]
        assert (answer.status, answer.headers["Location"].split("?")[0]) == (302, LOGIN)
        assert answer.body == b""


def test_public_addresses_are_these() -> None:
    assert {name for name, address in TABLE.items() if address.public} == {
        "healthz",
        "readyz",
        "theme",
        "language",
        "favicon",
        "account_login",
        "account_logout",
        "account_signup",
        "account_inactive",
        "account_email_verification_sent",
        "account_confirm_email",
        "account_confirm_login_code",
        "account_reset_password",
        "account_reset_password_done",
        "account_reset_password_from_key",
        "account_reset_password_from_key_done",
        "mfa_authenticate",
    }


def test_public_addresses_answer_a_stranger(met: Walk) -> None:
    got = {
        name: (met[name, ANYBODY, "get"].status, met[name, ANYBODY, "post"].status)
        for name, address in TABLE.items()
        if address.public
    }
    assert got == {
        "healthz": (200, 405),
        "readyz": (503, 405),
        "theme": (405, 302),
        "language": (405, 302),
        "favicon": (302, 405),
        "account_login": (200, 200),
        "account_logout": (302, 302),
        "account_signup": (200, 200),
        "account_inactive": (200, 405),
        "account_email_verification_sent": (200, 405),
        "account_confirm_email": (200, 404),
        "account_confirm_login_code": (302, 302),
        "account_reset_password": (200, 200),
        "account_reset_password_done": (200, 405),
        "account_reset_password_from_key": (200, 200),
        "account_reset_password_from_key_done": (200, 405),
        "mfa_authenticate": (302, 302),
    }


@pytest.mark.parametrize("method", ["get", "post"])
def test_fragment_request_without_login_moves_the_whole_page(scene: Scene, method: str) -> None:
    for name in PRIVATE:
        response = getattr(Client(), method)(path_of(name, scene), headers={"HX-Request": "true"})
        assert response.status_code == 200, name
        assert response["HX-Redirect"].startswith(f"{LOGIN}?next="), name
        assert response.content == b"", name


def test_saving_page_without_login_is_told_so_and_stays(scene: Scene) -> None:
    for name in PRIVATE:
        headers = {"HX-Request": "true", "X-SQPsych-Save": "1"}
        response = Client().post(path_of(name, scene), headers=headers)
        assert response.status_code == 401, name
        assert "HX-Redirect" not in response.headers, name


@pytest.mark.parametrize("name", OBJECTS)
def test_what_does_not_exist_is_not_found(scene: Scene, name: str) -> None:
    address = TABLE[name]
    path = reverse(name, args=list(address.missing))
    for role in ROLES:
        client = signed_in(scene.people[role])
        for method in ("get", "post"):
            wanted = address.status(method, role)
            data = address.data(scene) if method == "post" else {}
            with undone():
                got = getattr(client, method)(path, data).status_code
            assert got == (wanted if wanted in {403, 405} else 404), (role, method)


@pytest.mark.parametrize("name", RATED)
def test_another_raters_work_is_not_found(scene: Scene, name: str) -> None:
    address = TABLE[name]
    own = address.args(scene)
    args = [scene.foreign.uid if one == scene.assignment.uid else one for one in own]
    args = [scene.foreign_flag.uid if one == scene.flag.uid else one for one in args]
    foreign = scene.foreign_comparison
    args = [foreign.uid if one == scene.comparison.uid else one for one in args]
    client = signed_in(scene.rater)
    for method in ("get", "post"):
        if address.status(method, Role.RATER) == 405:
            continue
        response = getattr(client, method)(reverse(name, args=args), address.data(scene))
        assert response.status_code == 404, method
    scene.foreign.refresh_from_db()
    scene.foreign_flag.refresh_from_db()
    assert (scene.foreign.state, scene.foreign.comment) == ("submitted", "hiddencomment")
    assert scene.foreign_flag.withdrawn_at is None
    foreign.refresh_from_db()
    assert (foreign.state, foreign.choice) == ("submitted", "one")


def test_flag_of_another_rating_cannot_be_taken_over(scene: Scene) -> None:
    client = signed_in(scene.rater)
    mine = scene.assignment.uid
    withdraw = reverse("review:withdraw_flag", args=[mine, scene.foreign_flag.uid])
    assert client.post(withdraw).status_code == 404
    fields = TABLE["review:flag"].data(scene) | {"uid": str(scene.foreign_flag.uid)}
    assert client.post(reverse("review:flag", args=[mine]), fields).status_code == 404
    scene.foreign_flag.refresh_from_db()
    assert (scene.foreign_flag.withdrawn_at, scene.foreign_flag.note) == (None, "hiddennote")


def test_flag_is_marked_as_seen_only_in_its_own_study(scene: Scene) -> None:
    client = signed_in(scene.people[Role.COORDINATOR])
    for args in ([scene.study.pk + 1, scene.foreign_flag.uid], [scene.study.pk, NOWHERE]):
        assert client.post(reverse("review:flag_seen", args=args)).status_code == 404


@pytest.mark.parametrize("state", ["draft", "archived"])
def test_study_that_is_not_open_to_raters_is_not_found(scene: Scene, state: str) -> None:
    for study in (scene.study, scene.duel):
        study.state = state
        with pgtrigger.ignore("review.Study:frozen_design"):  # no study goes back to a draft
            study.save()
    client = signed_in(scene.rater)
    for name in RATED:
        for method in ("get", "post"):
            if TABLE[name].status(method, Role.RATER) != 405:
                response = getattr(client, method)(path_of(name, scene), TABLE[name].data(scene))
                assert response.status_code == 404, (name, method)


def test_navigation_offers_only_what_opens(met: Walk) -> None:
    for role in ROLES:
        page = met["account_change_password", role, "get"].text
        offered = [name for name in NAVIGABLE if f'<a href="{reverse(name)}"' in page]
        assert offered == [name for name in NAVIGABLE if TABLE[name].status("get", role) == 200]


NAVIGABLE = [
    "review:queue",
    "generation:profile_list",
    "generation:batch_list",
    "generation:dialogue_list",
    "review:study_list",
    "review:instrument_list",
    "people",
]
