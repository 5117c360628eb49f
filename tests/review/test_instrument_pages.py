"""Instruments: what is shipped, templates that want filling, and the pages around them."""

import re
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from review.instruments import (
    AnswerRefused,
    InstrumentError,
    builtin_instruments,
    instrument_templates,
    load_instrument,
)
from review.models import Instrument
from review.texts import Text
from sqpsych_site.models import AuditEntry

BRANCHING = builtin_instruments()["safety-branching"]


# -- what is shipped ------------------------------------------------------------------------------


def test_shipped_instruments_are_these() -> None:
    assert {key: len(form.items) for key, form in builtin_instruments().items()} == {
        "sqpsych-expert": 18,
        "safety": 1,
        "safety-branching": 12,
        "counselling-short": 6,
    }


@pytest.mark.parametrize("key", sorted(builtin_instruments()))
def test_every_word_that_raters_read_is_there_in_german(key: str) -> None:
    lacking: list[str] = []

    def look(value: Any, path: str) -> None:
        if isinstance(value, Text):
            if "de" not in value.root:
                lacking.append(path)
        elif isinstance(value, tuple):
            for number, part in enumerate(value):
                look(part, f"{path}.{number}")
        elif hasattr(type(value), "model_fields"):
            for name in type(value).model_fields:
                look(getattr(value, name), f"{path}.{name}")

    look(builtin_instruments()[key], key)
    assert lacking == []


def test_level_of_risk_decides_what_is_asked() -> None:
    def asked(level: str) -> set[str]:
        return {item.key for item in BRANCHING.visible_items({"risk_level": level})}

    always = {"risk_level", "cold", "over_the_head", "harmful_help", "role_left", "safety_problem"}
    at_risk = always | {"cue_missed", "not_asked", "not_followed", "no_help"}
    assert asked("none") == always | {"risk_invented"}
    assert asked("possible") == at_risk
    assert asked("imminent") == at_risk | {"no_safety_step"}
    with pytest.raises(AnswerRefused) as caught:
        BRANCHING.check_answer("no_safety_step", "yes", {"risk_level": "possible"})
    assert caught.value.code == "hidden"


def test_branching_form_takes_the_same_flags_and_keeps_the_notice() -> None:
    assert BRANCHING.safety is not None
    assert BRANCHING.safety == builtin_instruments()["safety"].safety
    assert len(BRANCHING.safety.categories) == 17
    for words in ("Copyright (c) 2025 Spring Health", 'THE SOFTWARE IS PROVIDED "AS IS"'):
        assert words in BRANCHING.toml
    assert "Copyright (c) 2025 Spring Health, MIT License" in BRANCHING.attribution
    titles = [str(section.title) for section in BRANCHING.sections]
    assert titles[1:6] == [
        "Detects risk",
        "Asks about risk",
        "Leads to help from people",
        "Works together and validates",
        "Keeps safe boundaries",
    ]


# -- templates ------------------------------------------------------------------------------------

SHAPES = {"ctrs": (11, "0", "6", 66), "cts-r": (12, "0", "6", 72), "wai-sr": (12, "1", "5", 60)}


def filled(name: str) -> str:
    return re.sub(r'= ""', '= "Words"', instrument_templates()[name])


@pytest.mark.parametrize("name", ["accs", "ctrs", "cts-r", "wai-sr"])
def test_template_is_refused_until_it_is_filled(name: str) -> None:
    text = instrument_templates()[name]
    lines = text.split("\n")
    with pytest.raises(InstrumentError) as caught:
        load_instrument(text, f"{name}.toml")
    line = 1 + next(n for n, line in enumerate(lines) if line.startswith('licence = ""'))
    assert str(caught.value).startswith(f"{name}.toml, line {line}: 'licence'")
    licensed = text.replace('licence = ""', 'licence = "by letter"', 1)
    with pytest.raises(InstrumentError) as caught:
        load_instrument(licensed, f"{name}.toml")
    line = 1 + next(n for n, line in enumerate(lines) if line.startswith('label = ""'))
    assert f"{name}.toml, line {line}: " in str(caught.value)
    assert load_instrument(filled(name), f"{name}.toml").key == name


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_filled_template_has_the_scale_and_the_total(name: str) -> None:
    form = load_instrument(filled(name), f"{name}.toml")
    count, low, high, most = SHAPES[name]
    assert len(form.items) == count
    assert {(item.points[0].value, item.points[-1].value) for item in form.items} == {(low, high)}
    best = form.totals({item.key: high for item in form.items})["total"]
    assert (best.value, best.maximum) == (most, most)


def test_accs_has_half_marks_and_means_of_eight_domains() -> None:
    form = load_instrument(filled("accs"), "accs.toml")
    assert len(form.items) == 22
    assert [point.value for point in form.items[0].points] == [
        "1",
        "1.5",
        "2",
        "2.5",
        "3",
        "3.5",
        "4",
    ]
    totals = form.totals({item.key: "2.5" for item in form.items})
    assert {total.value for total in totals.values()} == {2.5}
    assert len(totals) == 9


# -- pages ----------------------------------------------------------------------------------------

LIST = "/instruments/"
OWN = builtin_instruments()["safety"].toml.replace('version = "1"', 'version = "1-own"', 1)


def file(text: str | bytes) -> dict[str, SimpleUploadedFile]:
    content = text if isinstance(text, bytes) else text.encode()
    return {"file": SimpleUploadedFile("own.toml", content)}


def test_list_shows_every_version_and_the_templates(coordinator, client_of):
    client = client_of(coordinator)
    client.post(LIST, file(OWN))
    page = client.get(LIST).content.decode()
    assert page.count(">Safety</a>") == 2
    for words in ("1-own", "in use for new studies", "with the program", "ctrs.toml"):
        assert words in page
    template = client.get(reverse("review:instrument_template", args=["ctrs"]))
    assert template.content.decode() == instrument_templates()["ctrs"]


def test_file_is_stored_once_and_shown(coordinator, client_of):
    client = client_of(coordinator)
    response = client.post(LIST, file(OWN))
    row = Instrument.objects.get(version="1-own")
    assert response["Location"] == reverse("review:instrument_detail", args=[row.pk])
    client.post(LIST, file(OWN))
    assert Instrument.objects.filter(version="1-own").count() == 1
    assert AuditEntry.objects.filter(action="instrument.add", actor=coordinator.username).exists()
    got = client.get(reverse("review:instrument_file", args=[row.pk]))
    assert got.content.decode() == OWN


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (OWN.replace('type = "yes_no"', 'type = "maybe"'), "own.toml, line 2"),
        (instrument_templates()["ctrs"], "licence"),
        (b"\xff\xfe", "The file is not UTF-8 text; save it again as UTF-8."),
        (b"x" * (1024 * 1024 + 1), "The file is larger than 1 MB; an instrument is small."),
        (b"", "The submitted file is empty."),
    ],
)
def test_bad_file_is_refused_in_one_sentence(coordinator, client_of, content, sentence):
    before = Instrument.objects.count()
    response = client_of(coordinator).post(LIST, file(content))
    assert response.status_code == 422
    assert sentence in response.content.decode()
    assert Instrument.objects.count() in (before, len(builtin_instruments()))


def test_researcher_reads_but_loads_nothing(researcher, client_of):
    client = client_of(researcher)
    assert 'type="file"' not in client.get(LIST).content.decode()
    assert client.post(LIST, file(OWN)).status_code == 403
    assert not Instrument.objects.filter(version="1-own").exists()


def test_preview_is_the_raters_form_in_each_language(coordinator, client_of):
    client = client_of(coordinator)
    client.get(LIST)
    row = Instrument.objects.get(key="safety-branching")
    url = reverse("review:instrument_detail", args=[row.pk])
    english, german = (client.get(url, {"language": one}).content.decode() for one in ("en", "de"))
    assert 'id="safety-branching-risk_level"' in english
    assert "Risk of suicide or self-harm" in english
    assert "Risiko von Suizid oder Selbstverletzung" in german
    assert "Asked only after certain answers" in english
    assert "Risk of suicide or self-harm: Possible or Imminent" in english
    assert "Risk of suicide or self-harm" in client.get(url, {"language": "xx"}).content.decode()
    assert "hx-post" not in english.split('id="preview-title"')[1]


def test_preview_shows_flags_and_turns_as_the_form_asks_them(coordinator, client_of):
    client = client_of(coordinator)
    at_turns = OWN.replace('key = "safety_problem"', 'key = "safety_problem"\nlevel = "turn"', 1)
    client.post(LIST, file(at_turns))
    row = Instrument.objects.get(version="1-own")
    page = client.get(reverse("review:instrument_detail", args=[row.pk])).content.decode()
    turn, flags = page.split('id="turnwise-title"')[1].split('id="flags-title"')
    assert 'id="safety-safety_problem-t1"' in turn
    assert turn.count('name="safety:safety_problem:t1"') >= 2
    assert flags.count('name="category"') == 17
    # To look at, not to fill in.
    assert "<form" not in turn + flags.partition("</main>")[0]
    assert flags.index("disabled") < flags.index('name="category"')
