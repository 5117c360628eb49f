"""Profile pages: taken in whole or not at all, listed, filtered, shown."""

import csv
import io
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from generation import actions
from generation.models import ClientProfile, ProfileSet
from sqpsych_site.models import User
from tests import generation_rows as rows

HTMX = {"HX-Request": "true"}
HOSTILE = "<img src=x onerror=alert(1)>"
ITEMS = ",".join(f"gad7_{n}" for n in range(1, 8))
HEAD = f"profile_id,age,gender,condition,{ITEMS}"
ONES = "1,1,1,1,1,1,1"
Queries = Callable[[int], Any]


@pytest.fixture
def person(coordinator: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(coordinator)


def _upload(text: str, name: str = "clinic.csv") -> dict[str, Any]:
    return {"file": SimpleUploadedFile(name, text.encode(), "text/csv"), "name": ""}


GOOD = (
    f"{HEAD},work\n"
    f'A1,34,female,depression,{ONES},"nurse {HOSTILE}"\n'
    "A2,51,male,control,,,,,,,,baker\n"
)
BAD = f"{HEAD}\nA1,17,f,depression,{ONES}\nA2,x,f,control,{ONES}\n"


def test_import_stores_a_file_under_its_name(person: Client) -> None:
    response = person.post(reverse("generation:profile_import"), _upload(GOOD))
    made = ProfileSet.objects.get()
    assert response.status_code == HTTPStatus.SEE_OTHER
    assert response["Location"] == f"/profiles/{made.pk}/"
    assert (made.name, made.source, made.created_by) == (
        "clinic",
        "clinic.csv",
        User.objects.get(),
    )
    assert made.profiles.count() == 2


def test_import_by_htmx_opens_the_set(person: Client) -> None:
    response = person.post(reverse("generation:profile_import"), _upload(GOOD), headers=HTMX)
    assert response["HX-Redirect"] == f"/profiles/{ProfileSet.objects.get().pk}/"


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_import_names_every_problem_and_stores_nothing(
    person: Client, headers: dict[str, str]
) -> None:
    response = person.post(reverse("generation:profile_import"), _upload(BAD), headers=headers)
    assert response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    page = response.content.decode()
    assert "2 problems in clinic.csv. Nothing was stored." in page
    for row in (2, 3):
        assert f'<td class="num">{row}</td><td>age</td><td>' in page
    assert ("<html" in page) == (not headers)
    assert not ProfileSet.objects.exists()
    assert not ClientProfile.objects.exists()


def test_import_without_a_file_is_refused(person: Client) -> None:
    response = person.post(reverse("generation:profile_import"), {"name": "x"})
    assert response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert list(response.context["form"].errors) == ["file"]


def test_import_of_an_empty_file_says_so(person: Client) -> None:
    response = person.post(reverse("generation:profile_import"), _upload(""))
    assert response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert "the file is empty" in response.content.decode()


def test_import_under_a_taken_name_is_refused(person: Client) -> None:
    rows.make_set(1, "clinic")
    response = person.post(reverse("generation:profile_import"), _upload(GOOD))
    assert response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert "“clinic” exists already" in response.content.decode()
    assert ProfileSet.objects.count() == 1


def test_import_of_too_large_a_file_is_refused(person: Client) -> None:
    response = person.post(
        reverse("generation:profile_import"), _upload("a" * (20 * 1024 * 1024 + 1))
    )
    assert response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert "larger than 20 MB" in response.content.decode()


def test_import_problem_with_a_hostile_name_stays_text(person: Client) -> None:
    text = f"{HEAD},{HOSTILE}\nA1,34,f,control,{ONES},{HOSTILE}\nA1,34,f,control,{ONES},b\n"
    response = person.post(reverse("generation:profile_import"), _upload(text, f"{HOSTILE}.csv"))
    assert response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert b"<img" not in response.content


def test_example_file_can_be_imported_as_it_is(person: Client) -> None:
    response = person.get(reverse("generation:profile_example"))
    assert response["Content-Disposition"] == 'attachment; filename="sqpsych-example-profiles.csv"'
    header = next(csv.reader(io.StringIO(response.content.decode())))
    assert header[:4] == ["profile_id", "age", "gender", "condition"]
    assert {"phq9_1", "phq9_9", "gad7_1", "gad7_7"} <= set(header)
    actions.import_profiles(name="back", filename="e.csv", content=response.content, by=None)
    assert ProfileSet.objects.get().profiles.count() == 5


def test_sample_makes_a_marked_set(person: Client) -> None:
    response = person.post(
        reverse("generation:profile_sample"), {"name": "try", "count": 4, "seed": 7}
    )
    made = ProfileSet.objects.get()
    assert response.status_code == HTTPStatus.SEE_OTHER
    assert made.synthetic
    assert made.source == "sampler, seed 7"
    assert made.profiles.count() == 4


@pytest.mark.parametrize("headers", [{}, HTMX])
@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({"name": "", "count": 4, "seed": 1}, "name"),
        ({"name": "try", "count": 0, "seed": 1}, "count"),
        ({"name": "try", "count": 100_001, "seed": 1}, "count"),
        ({"name": "try", "count": 4, "seed": "x"}, "seed"),
        ({"name": "taken", "count": 4, "seed": 1}, "name"),
    ],
)
def test_sample_refuses_what_makes_no_sense(
    person: Client, given: dict[str, Any], wrong: str, headers: dict[str, str]
) -> None:
    rows.make_set(1, "taken")
    response = person.post(reverse("generation:profile_sample"), given, headers=headers)
    assert response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    page = response.content.decode()
    assert page.count('class="errorlist"') == 1
    assert f'<a href="#id_{wrong}">' in page
    assert ("<html" in page) == (not headers)
    assert ProfileSet.objects.count() == 1


@pytest.mark.parametrize("size", [1, 3])
def test_list_costs_the_same_for_any_number_of_sets(
    size: int, person: Client, django_assert_num_queries: Queries
) -> None:
    for number in range(size):
        rows.make_set(2, f"set {number}")
    with django_assert_num_queries(3):
        response = person.get(reverse("generation:profile_list"))
    assert [each.name for each in response.context["page"].rows] == [
        f"set {number}" for number in reversed(range(size))
    ]


def test_empty_list_says_what_to_do(person: Client) -> None:
    page = person.get(reverse("generation:profile_list")).content.decode()
    assert "No profiles yet" in page
    assert f'href="{reverse("generation:profile_import")}"' in page


@pytest.mark.parametrize("size", [1, 3])
def test_set_costs_the_same_for_any_number_of_profiles(
    size: int, person: Client, django_assert_num_queries: Queries
) -> None:
    made = rows.make_set(size)
    with django_assert_num_queries(7):
        response = person.get(f"/profiles/{made.pk}/")
    assert len(response.context["rows"]) == size


def _sixty() -> ProfileSet:
    lines = [f"A{n:02},40,f,{'control' if n < 5 else 'anxiety'},{ONES}" for n in range(60)]
    return actions.import_profiles(
        name="sixty", filename="a.csv", content="\n".join([HEAD, *lines]).encode(), by=None
    )


def test_set_pages_forth_and_back(person: Client) -> None:
    made = _sixty()
    first = person.get(f"/profiles/{made.pk}/").context["page"]
    assert [each.profile_id for each in first.rows] == [f"A{n:02}" for n in range(50)]
    assert first.newer_url is None
    assert first.older_url == "?older=A49"
    second = person.get(f"/profiles/{made.pk}/{first.older_url}").context["page"]
    assert [each.profile_id for each in second.rows] == [f"A{n:02}" for n in range(50, 60)]
    assert (second.newer_url, second.older_url) == ("?newer=A50", None)
    again = person.get(f"/profiles/{made.pk}/{second.newer_url}").context["page"]
    assert list(again.rows) == list(first.rows)
    assert again.newer_url is None


def test_set_filters_by_condition_and_keeps_it_while_paging(person: Client) -> None:
    made = _sixty()
    few = person.get(f"/profiles/{made.pk}/?condition=control").context["page"]
    assert [each.profile_id for each in few.rows] == ["A00", "A01", "A02", "A03", "A04"]
    many = person.get(f"/profiles/{made.pk}/?condition=anxiety&risk=").context["page"]
    assert many.older_url == "?condition=anxiety&older=A54"


def test_set_filters_by_band_and_risk(person: Client) -> None:
    made = rows.make_set(60)
    profiles = made.profiles.order_by("profile_id")
    found = person.get(f"/profiles/{made.pk}/?band=phq9:severe").context["page"].rows
    assert list(found) == [each for each in profiles if each.bands["phq9"] == "severe"]
    assert found
    marked = person.get(f"/profiles/{made.pk}/?risk=yes").context["page"].rows
    assert list(marked) == [each for each in profiles if each.risk_positive]
    assert marked


@pytest.mark.parametrize("query", ["band=phq9", "band=x:y", "risk=maybe", "condition=none"])
def test_set_passes_over_a_filter_that_makes_no_sense(query: str, person: Client) -> None:
    made = rows.make_set(2)
    response = person.get(f"/profiles/{made.pk}/?{query}")
    assert len(response.context["rows"]) == 2


def test_set_shows_totals_with_bands_in_short_columns(person: Client) -> None:
    made = rows.make_set(1)
    profile = made.profiles.get()
    page = person.get(f"/profiles/{made.pk}/").content.decode()
    assert ">PHQ-9</abbr>" in page
    assert ">GAD-7</abbr>" in page
    total, band = profile.totals["phq9"], profile.bands["phq9"]
    assert f'<span class="num">{total}</span> <span class="muted">{band}</span>' in page


def test_profile_shows_answers_and_what_the_agent_is_told(person: Client) -> None:
    made = rows.make_set(1)
    response = person.get(f"/profiles/{made.pk}/P0001/")
    shown = response.context["questionnaires"]
    assert [each.definition.key for each in shown] == ["phq9", "gad7"]
    assert len(shown[0].answers) == 9
    profile = made.profiles.get()
    assert [each.value for each in shown[0].answers] == [
        profile.answers["phq9"][f"phq9_{n}"] for n in range(1, 10)
    ]
    page = response.content.decode()
    assert "Little interest or pleasure in doing things" in page
    assert shown[0].answers[0].sentence in page
    assert f"of 27, {profile.bands['phq9']}" in page


def test_profile_hides_a_wording_that_its_licence_forbids(person: Client) -> None:
    from generation.questionnaires import builtin_definitions

    toml = builtin_definitions()["gad7"].toml
    toml = toml.replace('key = "gad7"', 'key = "own"').replace("gad7_", "own_")
    toml = toml.replace("show_text = true", "show_text = false")
    actions.add_questionnaire(text=toml, origin="own.toml", by=None)
    items = [f"own_{n}" for n in range(1, 8)]
    head = f"profile_id,age,gender,condition,{','.join(items)}"
    text = f"{head}\nA1,30,f,anxiety,{ONES}\n"
    made = actions.import_profiles(name="own", filename="a.csv", content=text.encode(), by=None)
    page = person.get(f"/profiles/{made.pk}/A1/").content.decode()
    assert "Feeling nervous" not in page
    assert "Item 1 (" in page
    assert "does not allow its wording to be shown" in page


def test_profile_with_hostile_text_stays_text(person: Client) -> None:
    person.post(reverse("generation:profile_import"), _upload(GOOD))
    made = ProfileSet.objects.get()
    page = person.get(f"/profiles/{made.pk}/A1/").content.decode()
    assert "<img" not in page
    assert "nurse &lt;img src=x onerror=alert(1)&gt;" in page
    blank = person.get(f"/profiles/{made.pk}/A2/").content.decode()
    assert "No questionnaire was answered." in blank


@pytest.mark.parametrize("size", [1, 3])
def test_profile_lists_the_dialogues_made_from_it(
    size: int, person: Client, django_assert_num_queries: Queries
) -> None:
    batch = rows.make_batch(1, per_profile=size)
    with django_assert_num_queries(5):
        response = person.get(f"/profiles/{batch.profile_set_id}/P0001/")
    assert response.content.decode().count("pilot, arm A, number") == size
