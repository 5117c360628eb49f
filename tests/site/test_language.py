"""The interface in German: whole, well formed, and only for those who want it."""

import gettext
import re
from pathlib import Path

import pytest
from babel.messages.catalog import Message
from babel.messages.pofile import read_po
from django.conf import settings
from django.test import Client
from django.urls import reverse

from review.instruments import builtin_instruments
from tests.factories import assignments_of, make_study

FOLDER = Path(settings.BASE_DIR) / "locale" / "de" / "LC_MESSAGES"
NAMES = re.compile(r"%\(\w+\)s|\{\w+\}|%%")


def catalog() -> list[Message]:
    with (FOLDER / "django.po").open("rb") as source:
        return [message for message in read_po(source) if message.id]


def forms(text: object) -> list[str]:
    return list(text) if isinstance(text, (list, tuple)) else [str(text)]


def test_every_text_is_translated_with_the_same_placeholders():
    messages = catalog()
    assert len(messages) > 300
    for message in messages:
        wanted = {frozenset(NAMES.findall(text)) for text in forms(message.id)}
        got = {frozenset(NAMES.findall(text)) for text in forms(message.string)}
        assert all(forms(message.string)), message.id
        assert got <= wanted, message.id
        assert not message.fuzzy, message.id


def test_compiled_texts_are_those_of_the_source():
    with (FOLDER / "django.mo").open("rb") as compiled:
        found = gettext.GNUTranslations(compiled)
    for message in catalog():
        ids, texts = forms(message.id), forms(message.string)
        if len(ids) == 1:
            assert found.gettext(ids[0]) == texts[0]
        else:
            assert [found.ngettext(ids[0], ids[1], n) for n in (1, 2)] == texts


def test_texts_of_all_templates_are_in_the_catalog():
    known = {text for message in catalog() for text in forms(message.id)}
    for path in sorted((Path(settings.BASE_DIR) / "templates").rglob("*.html")):
        source = path.read_text()
        for text in re.findall(r"""\{%\s*translate\s+"([^"]+)"\s*(?:as \w+\s*)?%\}""", source):
            assert text in known, (path.name, text)


@pytest.mark.parametrize("key", ["sqpsych-expert", "safety"])
def test_shipped_instruments_have_their_german_texts(key):
    form = builtin_instruments()[key]
    assert "de" in form.languages
    german, english = form.localised("de"), form.localised("en")
    same = [a.key for a, b in zip(german.items, english.items, strict=True) if a.label == b.label]
    assert same == []


def test_rater_reads_german_when_the_browser_asks_or_they_chose_it(rater, client_of):
    study = make_study([rater])
    page = reverse("review:rate", args=[assignments_of(study, rater)[0].uid])
    browser = client_of(rater)
    asked = browser.get(page, headers={"Accept-Language": "de-DE,de;q=0.9"}).content.decode()
    assert '<html lang="de"' in asked
    assert "Synthetischer Dialog" in asked
    assert "Synthetic dialogue" not in asked
    plain = browser.get(page, headers={"Accept-Language": "fr"}).content.decode()
    assert '<html lang="en"' in plain
    assert "Synthetic dialogue" in plain
    back = browser.post(reverse("language"), {"language": "de", "next": page})
    assert back.url == page
    assert "Meine Liste" in browser.get(reverse("review:queue")).content.decode()
    browser.post(reverse("language"), {"language": "en"})
    headers = {"Accept-Language": "de"}
    assert "My queue" in browser.get(reverse("review:queue"), headers=headers).content.decode()


def test_staff_pages_stay_in_english(coordinator, client_of):
    browser = client_of(coordinator)
    headers = {"Accept-Language": "de"}
    text = browser.get(reverse("review:study_list"), headers=headers).content.decode()
    assert '<html lang="en"' in text


def test_sign_in_page_is_german_for_german_browsers(db):
    text = Client().get(reverse("account_login"), headers={"Accept-Language": "de"})
    assert "Bei SQPsych anmelden" in text.content.decode()


@pytest.mark.parametrize("choice", ["xx", "", "de'; --"])
def test_unknown_language_is_passed_over(client, db, choice):
    response = client.post(reverse("language"), {"language": choice, "next": "//evil.example/"})
    assert response.url == "/"
    assert "language" not in response.cookies
