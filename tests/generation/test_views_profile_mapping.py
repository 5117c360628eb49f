"""The page on which columns are mapped: nothing is stored before it is asked for."""

from collections.abc import Callable
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from generation import actions
from generation.actions import Refused
from generation.models import ProfileSet, Upload, UploadPurpose
from generation.tasks import forget_uploads
from sqpsych_site.models import AuditEntry, User

HTMX = {"HX-Request": "true"}
HOSTILE = "<img src=x onerror=alert(1)>"
PHQ = ",".join(f"phq_{n}" for n in range(1, 10))
FILE = (
    f"record_id,age,sex,study_arm,job,{PHQ},phq_total\n"
    f'1,34,2,1,"nurse {HOSTILE}",1,1,1,1,1,1,1,1,0,8\n'
    "2,51,1,2,,0,0,0,0,0,0,0,0,0,3\n"
)
COLUMNS = 15


@pytest.fixture
def person(coordinator: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(coordinator)


def _send(person: Client, text: str = FILE, name: str = "export.csv", **more: str) -> Any:
    file = SimpleUploadedFile(name, text.encode())
    return person.post(reverse("generation:profile_import"), {"file": file, "name": "", **more})


def _fields(**changes: str) -> dict[str, str]:
    """What the page sends when the guess was right but for the study arm."""
    targets = ["profile_id", "age", "gender", "condition", "fact"]
    targets += [f"item:phq9_{n}" for n in range(1, 10)] + ["total:phq9"]
    codes = {
        "code_gender_2_0": "female",
        "code_gender_2_1": "male",
        "code_condition_3_0": "MDD",
        "code_condition_3_1": "control",
    }
    sent = {f"target_{n}": target for n, target in enumerate(targets)}
    return sent | codes | {"year": "2026"} | changes


def test_foreign_file_goes_to_the_mapping_and_nothing_is_stored(person: Client) -> None:
    response = _send(person)
    upload = Upload.objects.get()
    assert response.status_code == HTTPStatus.SEE_OTHER
    assert response["Location"] == f"/profiles/import/{upload.uid}/"
    assert (upload.name, upload.filename) == ("export", "export.csv")
    page = person.get(response["Location"])
    form = page.context["form"]
    assert len(form.column_rows()) == COLUMNS
    assert form["target_0"].value() == "profile_id"
    assert form["target_5"].value() == "item:phq9_1"
    assert form["target_3"].value() == "fact"
    assert [str(each) for each in page.context["preview"].problems] == [
        "export.csv, column condition: no column was recognised for it; choose one."
    ]
    assert b"<img" not in page.content
    assert not ProfileSet.objects.exists()


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_looking_shows_the_clients_and_stores_nothing(
    person: Client, headers: dict[str, str]
) -> None:
    path = _send(person)["Location"]
    response = person.post(path, _fields() | {"preview": ""}, headers=headers)
    assert response.status_code == HTTPStatus.OK
    page = response.content.decode()
    assert "2 clients" in page
    assert "1 of them has contradictions" in page
    assert [page.count(f"<td>{gender}</td>") for gender in ("female", "male")] == [1, 1]
    assert "The file gives PHQ-9 a total of 3; the answers add up to 0." in page
    assert ("<html" in page) == (not headers)
    assert not ProfileSet.objects.exists()


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_storing_makes_the_set_and_forgets_the_file(
    person: Client, headers: dict[str, str]
) -> None:
    path = _send(person)["Location"]
    response = person.post(path, _fields() | {"import": ""}, headers=headers)
    made = ProfileSet.objects.get()
    assert response["HX-Redirect" if headers else "Location"] == f"/profiles/{made.pk}/"
    rows = list(made.profiles.all())
    assert [(r.profile_id, r.gender, r.condition) for r in rows] == [
        ("1", "female", "mdd"),
        ("2", "male", "control"),
    ]
    assert rows[0].demographics == {"job": f"nurse {HOSTILE}"}
    assert [row.totals["phq9"] for row in rows] == [8, 0]
    assert [len(row.findings) for row in rows] == [0, 1]
    assert rows[1].findings[0]["kind"] == "total"
    assert not Upload.objects.exists()
    entry = AuditEntry.objects.get(action="profiles.import")
    assert entry.detail == {"profiles": 2, "findings": 1}
    assert person.post(path, _fields() | {"import": ""}).status_code == HTTPStatus.NOT_FOUND


BAD = {
    "no pseudonym": ({"target_0": ""}, "no column was recognised for it; choose one."),
    "item twice": ({"target_4": "item:phq9_1"}, "is item:phq9_1 already; choose one."),
    "an item left out": ({"target_9": ""}, "phq9 needs all 9 of its items."),
    "a job as the age": ({"target_1": "", "target_4": "age"}, "the age must be a whole number"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_choice_says_why_and_stores_nothing(person: Client, name: str) -> None:
    changes, sentence = BAD[name]
    path = _send(person)["Location"]
    response = person.post(path, _fields(**changes) | {"import": ""})
    assert response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert any(sentence in each.message for each in response.context["preview"].problems)
    assert not ProfileSet.objects.exists()
    assert Upload.objects.exists()


@pytest.mark.parametrize("changes", [{"target_0": "item:nothing"}, {"year": "20x6"}, {"year": ""}])
def test_choice_that_the_page_does_not_offer_is_refused(
    person: Client, changes: dict[str, str]
) -> None:
    path = _send(person)["Location"]
    response = person.post(path, _fields(**changes) | {"import": ""})
    assert response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert list(response.context["form"].errors) == list(changes)
    assert not ProfileSet.objects.exists()


def test_own_columns_can_be_looked_at_first(person: Client) -> None:
    text = FILE.replace("record_id", "profile_id").replace("study_arm", "condition")
    text = text.replace("sex", "gender").replace("phq_", "phq9_")
    assert _send(person, text, look="")["Location"].startswith("/profiles/import/")
    assert not ProfileSet.objects.exists()
    assert _send(person, text)["Location"] == f"/profiles/{ProfileSet.objects.get().pk}/"


def test_file_that_identifies_clients_is_never_kept(person: Client) -> None:
    response = _send(person, FILE.replace(",job,", ",email,"))
    assert response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert "looks like an e-mail address, which may not be stored" in response.content.decode()
    assert not Upload.objects.exists()


def test_taken_name_is_told_before_the_file_is_kept(person: Client) -> None:
    ProfileSet.objects.create(name="export", source="x")
    response = _send(person)
    assert response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert "“export” exists already" in response.content.decode()
    assert not Upload.objects.exists()


def test_discarding_forgets_the_file(person: Client) -> None:
    path = _send(person)["Location"]
    assert person.post(f"{path}discard/")["Location"] == reverse("generation:profile_import")
    assert not Upload.objects.exists()
    assert person.get(path).status_code == HTTPStatus.NOT_FOUND


def test_another_person_and_the_next_hour_find_no_file(
    person: Client,
    make_user: Callable[..., User],
    client_of: Callable[[User], Client],
) -> None:
    path = _send(person)["Location"]
    other = client_of(make_user("coordinator", username="other"))
    assert other.get(path).status_code == HTTPStatus.NOT_FOUND
    assert other.post(path, _fields() | {"import": ""}).status_code == HTTPStatus.NOT_FOUND
    assert other.post(f"{path}discard/").status_code == HTTPStatus.NOT_FOUND
    Upload.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert person.get(path).status_code == HTTPStatus.NOT_FOUND
    forget_uploads()
    assert not Upload.objects.exists()


def test_few_files_wait_for_one_person(coordinator: User) -> None:
    def keep() -> None:
        actions.store_upload(
            purpose=UploadPurpose.PROFILES, name="x", filename="x", content=b"x", by=coordinator
        )

    for _ in range(5):
        keep()
    with pytest.raises(Refused, match="5 of your files wait"):
        keep()


def test_set_filters_by_contradiction_and_profile_shows_them(person: Client) -> None:
    path = _send(person)["Location"]
    person.post(path, _fields() | {"import": ""})
    made = ProfileSet.objects.get()
    for query, expected in {
        "some": ["2"],
        "total": ["2"],
        "years": ["1", "2"],  # no such kind: passed over
        "year": [],
        "none": ["1"],
    }.items():
        found = person.get(f"/profiles/{made.pk}/?contradiction={query}").context["page"].rows
        assert [row.profile_id for row in found] == expected, query
    page = person.get(f"/profiles/{made.pk}/2/").content.decode()
    assert "What does not fit together" in page
    assert "a total of 3; the answers add up to 0." in page
    assert (
        "What does not fit together" not in person.get(f"/profiles/{made.pk}/1/").content.decode()
    )
