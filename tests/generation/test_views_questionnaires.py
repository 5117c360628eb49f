"""Questionnaire pages: loaded whole or refused by line; wording only where it may be shown."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from generation import actions
from generation.actions import Refused
from generation.models import ClientProfile, Dialogue, Questionnaire
from generation.questionnaires import builtin_definitions, load_definition
from sqpsych_site.models import AuditEntry, User

HTMX = {"HX-Request": "true"}
HOSTILE = "<img src=x onerror=alert(1)>"
Queries = Callable[[int], Any]
ADD = "generation:questionnaire_add"


@pytest.fixture
def person(coordinator: User, client_of: Callable[[User], Client]) -> Client:
    actions.sync_definitions()
    return client_of(coordinator)


def own(key: str = "own", version: str = "1.0", *, shown: bool = False) -> str:
    """GAD-7 under another key, as a group's own file."""
    toml = builtin_definitions()["gad7"].toml
    toml = toml.replace('key = "gad7', f'key = "{key}').replace('"1.1"', f'"{version}"')
    return toml if shown else toml.replace("show_text = true", "show_text = false")


def _upload(text: str | bytes, name: str = "own.toml") -> dict[str, Any]:
    content = text if isinstance(text, bytes) else text.encode()
    return {"file": SimpleUploadedFile(name, content)}


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_load_stores_the_file_and_opens_its_page(person: Client, headers: dict[str, str]) -> None:
    response = person.post(reverse(ADD), _upload(own()), headers=headers)
    row = Questionnaire.objects.get(key="own")
    goal = f"/questionnaires/{row.pk}/"
    assert response["HX-Redirect" if headers else "Location"] == goal
    assert row.toml == own()
    assert AuditEntry.objects.filter(action="questionnaire.add").count() == 1
    page = person.get(goal).content.decode()
    assert "7, in files own_1 to own_7" in page


BROKEN: dict[str, tuple[str | bytes, str]] = {
    "no toml": ("key = ", "own.toml is not valid TOML"),
    "key missing": (own().replace("recall =", "recal ="), "own.toml, line 8: the key 'recal' is"),
    "bands with a gap": (own().replace("low = 5\n", "low = 6\n"), "leaves a gap before it"),
    "built-in key": (
        own().replace('"own', '"gad7'),
        "own.toml: 'gad7' comes with the program; give your questionnaire another 'key'.",
    ),
    "not UTF-8": (b"key = '\xff'", "own.toml is not in UTF-8; save it in UTF-8."),
    "empty": ("", "own.toml: the key 'key' is missing; add it."),
    "levels fall": (own().replace("level = 3", "level = 1"), "must not fall from band to band"),
    "words twice": (
        own().replace("value = 1, label", 'value = 1, accepts = ["not at all"], label', 1),
        "two options of own_1 are known by the same words; give each its own.",
    ),
}


@pytest.mark.parametrize("headers", [{}, HTMX])
@pytest.mark.parametrize("name", BROKEN)
def test_load_says_what_is_wrong_and_stores_nothing(
    person: Client, name: str, headers: dict[str, str]
) -> None:
    content, sentence = BROKEN[name]
    before = Questionnaire.objects.count()
    response = person.post(reverse(ADD), _upload(content), headers=headers)
    assert response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    (error,) = response.context["form"].errors["file"]
    assert sentence in error
    assert error.endswith(".")
    assert ("<html" in response.content.decode()) == (not headers)
    assert Questionnaire.objects.count() == before


def test_load_refuses_another_text_under_a_version_that_is_taken(db: None) -> None:
    first = actions.add_questionnaire(text=own(), origin="own.toml", by=None)
    assert actions.add_questionnaire(text=own(), origin="again.toml", by=None) == first
    with pytest.raises(Refused, match=r"^own\.toml: own 1\.0 is stored with another text; raise"):
        actions.add_questionnaire(text=own(shown=True), origin="own.toml", by=None)
    newer = actions.add_questionnaire(text=own(version="1.1"), origin="own.toml", by=None)
    assert actions.current_definitions()["own"].sha256 == newer.sha256


def test_load_of_too_large_a_file_is_refused(person: Client) -> None:
    response = person.post(reverse(ADD), _upload("#" * 1_000_001))
    assert response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert "larger than 1 MB" in response.content.decode()


@pytest.mark.parametrize("more", [1, 3])
def test_list_marks_older_versions_at_the_same_cost(
    person: Client, more: int, django_assert_num_queries: Queries
) -> None:
    for number in range(more):
        actions.add_questionnaire(text=own(version=f"1.{number}"), origin="own.toml", by=None)
    with django_assert_num_queries(3):
        listed = person.get(reverse("generation:questionnaire_list")).context["listed"]
    assert [each.row.key for each in listed if each.builtin] == ["gad7", "hama", "hamd17", "phq9"]
    assert [(each.row.version, each.current) for each in listed if each.row.key == "own"] == [
        (f"1.{number}", number == more - 1) for number in reversed(range(more))
    ]


def test_page_shows_wording_bands_and_licence_of_a_free_scale(person: Client) -> None:
    row = Questionnaire.objects.get(key="phq9")
    page = person.get(f"/questionnaires/{row.pk}/").content.decode()
    assert "Little interest or pleasure in doing things" in page
    assert "Nearly every day" in page
    assert "no permission needed" in page
    assert "risk item" in page
    response = person.get(f"/questionnaires/{row.pk}/file/")
    assert response.content.decode() == row.toml
    assert response["Content-Disposition"] == 'attachment; filename="phq9.toml"'


def test_wording_that_may_not_be_shown_is_on_no_page(person: Client) -> None:
    row = actions.add_questionnaire(text=own(), origin="own.toml", by=None)
    definition = load_definition(own(), origin="own.toml")
    items = [item.key for item in definition.items]
    text = f"profile_id,age,gender,condition,{','.join(items)}\nA1,30,f,anxiety,1,1,1,1,1,1,1\n"
    made = actions.import_profiles(name="own", filename="a.csv", content=text.encode(), by=None)
    spoken = definition.items[0].options[1].sentence
    dialogue = Dialogue.objects.create(
        profile=ClientProfile.objects.get(),
        provenance={"prompts": {"client_case": f"I am 30.\n- {spoken}\nThat is all."}},
    )
    for path in (
        f"/questionnaires/{row.pk}/",
        f"/profiles/{made.pk}/A1/",
        f"/dialogues/{dialogue.uid}/",
    ):
        page = person.get(path).content.decode()
        assert not [
            words
            for item in definition.items
            for words in (item.text, item.options[1].label, item.options[1].sentence)
            if words in page
        ], path
    assert "[item 1 (nervousness), answer 1]" in page
    assert person.get(f"/questionnaires/{row.pk}/file/").status_code == HTTPStatus.NOT_FOUND


def test_page_keeps_hostile_words_as_text(person: Client) -> None:
    text = own(shown=True).replace("Public domain", f"{HOSTILE} Public domain")
    row = actions.add_questionnaire(text=text, origin=f"{HOSTILE}.toml", by=None)
    for path in (f"/questionnaires/{row.pk}/", "/questionnaires/"):
        assert "<img" not in person.get(path).content.decode()


def test_points_and_unscored_items_make_the_total() -> None:
    from generation.questionnaires import score

    text = own().replace("value = 2, label", "value = 2, points = 1, label", 1)
    text = text.replace("number = 7\n", "number = 7\nscored = false\n")
    text = text.replace("high = 21\nlabel", "high = 18\nlabel")
    definition = load_definition(text, origin="own.toml")
    answers = {item.key: 2 for item in definition.items}
    assert definition.maximum == 18
    assert score(definition, answers).total == 1 + 5 * 2
