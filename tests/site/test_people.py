"""Accounts: made, changed and switched off by administrators; passwords are told once."""

import re
from collections.abc import Callable

import html5lib
import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from sqpsych_site.models import AuditEntry, User
from sqpsych_site.people import AccountRefused, create_account, random_password, set_role

LIST = "/people/"


@pytest.fixture
def admin(administrator: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(administrator)


def told(response: HttpResponse) -> str:
    """The password on the page that shows it."""
    found = re.search(r"<dt>Password</dt><dd><code>([^<]+)</code>", response.content.decode())
    assert found is not None
    return found[1]


def person_urls(user: User) -> dict[str, str]:
    return {name: reverse(name, args=[user.pk]) for name in
            ("person_role", "person_active", "person_password")}  # fmt: skip


# -- making one ------------------------------------------------------------------------------------


def test_new_account_gets_a_password_that_is_shown_once_and_signs_in(admin, administrator):
    response = admin.post(LIST, {"username": "nora", "role": "rater"})
    password = told(response)

    assert response.status_code == 200
    assert response["Cache-Control"] == "no-store"
    assert User.objects.get(username="nora").role == "rater"
    assert Client().login(username="nora", password=password) is True
    assert password not in admin.get(LIST).content.decode()
    entry = AuditEntry.objects.get(action="account.create")
    assert (entry.actor, entry.target, entry.detail) == (
        administrator.username,
        "nora",
        {"role": "rater"},
    )
    assert password not in repr(list(AuditEntry.objects.values()))


def test_new_account_leaves_an_event(admin):
    admin.post(LIST, {"username": "nora", "role": "researcher"})
    events = User.objects.filter(username="nora").values_list("events__role", flat=True)
    assert list(events) == ["researcher"]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"username": "", "role": "rater"}, "This field is required."),
        ({"username": "a b", "role": "rater"}, "The account was not made: enter a valid username"),
        ({"username": "TAKEN", "role": "rater"}, "There is an account “TAKEN” already"),
        ({"username": "nora", "role": "king"}, "king is not one of the available choices"),
        ({"username": "x" * 151, "role": "rater"}, "at most 150 characters"),
        ({"username": "two\nlines", "role": "rater"}, "enter a valid username"),
    ],
)
def test_account_that_cannot_be_is_refused_in_words(admin, make_user, data, sentence):
    make_user("rater", username="taken")
    response = admin.post(LIST, data)
    assert response.status_code == 422
    assert sentence in response.content.decode()
    assert User.objects.count() == 2


def test_extra_fields_make_nobody_a_superuser(admin):
    admin.post(LIST, {"username": "nora", "role": "rater", "is_superuser": "1", "is_staff": "1"})
    nora = User.objects.get(username="nora")
    assert (nora.is_superuser, nora.is_staff) == (False, False)


def test_password_is_long_and_never_the_same():
    found = {random_password() for _ in range(200)}
    assert len(found) == 200
    assert all(re.fullmatch(r"([a-hjkmnp-z2-9]{4}-){4}[a-hjkmnp-z2-9]{4}", one) for one in found)


# -- changing one ----------------------------------------------------------------------------------


def test_role_is_changed_and_recorded(admin, administrator, rater):
    response = admin.post(person_urls(rater)["person_role"], {"role": "researcher"})
    rater.refresh_from_db()
    assert (response.status_code, rater.role) == (303, "researcher")
    event = rater.events.order_by("-pgh_id").first()
    assert event.role == "researcher"
    assert event.pgh_context.metadata["user"] == administrator.pk


def test_role_that_does_not_exist_is_refused(admin, rater):
    response = admin.post(person_urls(rater)["person_role"], {"role": "king"})
    rater.refresh_from_db()
    assert (response.status_code, rater.role) == (422, "rater")


def test_switched_off_account_is_out_at_once_and_in_again(admin, rater, client_of):
    session = client_of(rater)
    assert session.get("/review/").status_code == 200

    admin.post(person_urls(rater)["person_active"], {"active": "no"})
    assert session.get("/review/").status_code == 302
    assert Client().login(username=rater.username, password="a long enough password") is False

    admin.post(person_urls(rater)["person_active"], {"active": "yes"})
    assert Client().login(username=rater.username, password="a long enough password") is True


def test_new_password_replaces_the_old_and_ends_sessions(admin, rater, client_of):
    session = client_of(rater)
    password = told(admin.post(person_urls(rater)["person_password"]))
    assert session.get("/review/").status_code == 302
    assert Client().login(username=rater.username, password="a long enough password") is False
    assert Client().login(username=rater.username, password=password) is True
    assert AuditEntry.objects.get(action="account.password").target == rater.username


def test_nobody_locks_themselves_out(admin, administrator):
    urls = person_urls(administrator)
    codes = [
        admin.post(urls["person_role"], {"role": "rater"}).status_code,
        admin.post(urls["person_active"], {"active": "no"}).status_code,
        admin.post(urls["person_password"]).status_code,
    ]
    administrator.refresh_from_db()
    assert codes == [422, 422, 422]
    assert (administrator.role, administrator.is_active) == ("administrator", True)


def test_last_administrator_stays_one(administrator, make_user):
    """Also when somebody whose own role was just taken away asks for it."""
    other = make_user("coordinator")
    with pytest.raises(AccountRefused, match="last administrator"):
        set_role(user=administrator, role="rater", by=other)
    administrator.refresh_from_db()
    assert administrator.role == "administrator"


def test_account_that_is_not_there_is_not_found(admin):
    assert admin.get(reverse("person", args=[999])).status_code == 404
    assert admin.post(reverse("person_password", args=[999])).status_code == 404


# -- who may ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["rater", "coordinator", "researcher"])
def test_only_administrators_see_and_change_accounts(make_user, client_of, rater, role):
    visitor = client_of(make_user(role, username="visitor"))
    urls = person_urls(rater)
    codes = [
        visitor.get(LIST).status_code,
        visitor.post(LIST, {"username": "x", "role": "administrator"}).status_code,
        visitor.get(reverse("person", args=[rater.pk])).status_code,
        *(visitor.post(url, {"role": "administrator", "active": "no"}).status_code
          for url in urls.values()),
    ]  # fmt: skip
    assert codes == [403] * 6
    assert not User.objects.filter(username="x").exists()


def test_strangers_are_sent_to_the_login(rater, client):
    assert client.get(LIST).status_code == 302
    assert client.post(person_urls(rater)["person_password"]).status_code == 302


@pytest.mark.parametrize("name", ["person_role", "person_active", "person_password"])
def test_changes_need_a_post_with_a_token(administrator, rater, name, client_of):
    url = person_urls(rater)[name]
    assert client_of(administrator).get(url).status_code == 405
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(administrator, backend="sqpsych_site.accounts.Accounts")
    assert strict.post(url, {"role": "researcher"}).status_code == 403


# -- pages -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("item_count", [1, 3])
def test_list_asks_the_same_number_of_queries(
    admin, make_user, item_count, django_assert_num_queries
):
    for _ in range(item_count):
        make_user("rater")
    with django_assert_num_queries(3):
        admin.get(LIST)


def test_list_goes_on_after_fifty_names(admin):
    User.objects.bulk_create(
        User(username=f"person{n:03}", role="rater", password="!") for n in range(60)
    )
    first = admin.get(LIST).content.decode()
    assert "person048" in first
    assert "person055" not in first
    after = re.findall(r'href="\?after=([^"]+)"', first)[0]
    second = admin.get(LIST, {"after": after}).content.decode()
    assert "person055" in second
    assert "person020" not in second


@pytest.mark.parametrize("page", ["list", "person", "own", "password"])
def test_pages_are_sound_html(admin, administrator, rater, page):
    response = {
        "list": lambda: admin.get(LIST),
        "person": lambda: admin.get(reverse("person", args=[rater.pk])),
        "own": lambda: admin.get(reverse("person", args=[administrator.pk])),
        "password": lambda: admin.post(reverse("person_password", args=[rater.pk])),
    }[page]()
    tree = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(
        response.content.decode()
    )
    ids = [node.get("id") for node in tree.iter() if node.get("id")]
    assert len(ids) == len(set(ids))
    assert len(list(tree.iter("h1"))) == 1


def test_name_with_markup_is_text(admin):
    user, _ = create_account(username="a+b@c", role="rater", by=None)
    User.objects.filter(pk=user.pk).update(username="<b>x</b>")
    text = admin.get(LIST).content.decode()
    assert "&lt;b&gt;x&lt;/b&gt;" in text
    assert "<b>x" not in text
