"""The rating page's markup: what a browser makes of it is what was stored."""

import uuid
from html.parser import HTMLParser

import pytest
from django.test import RequestFactory
from django.utils.translation import override

from review.instruments import builtin_instruments
from review.models import Evidence, Rating
from review.views.form_shape import FormShape, form_skeleton
from review.views.markup import form_markup, form_preview, said, transcript_markup
from review.views.reading import Reading, reading_of
from review.views.sheet import Mark, sheet_of
from review.views.skeleton import Skeleton, hole
from tests.factories import assignments_of, make_dialogue, make_instrument, make_study

EXPERT = "sqpsych-expert"


class Reader(HTMLParser):
    """Collects text and tags; character references are resolved as a browser does."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.text = ""
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def assignment(rater):
    study = make_study([rater], [make_dialogue(["Hello.", "Um, hello."])])
    return assignments_of(study, rater)[0]


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script><b hx-get='/x' hx-on:click=\"x\">",
        "{{ 7|add:1 }}{% now 'Y' %}",
        "&amp; &lt; &#13; \"quoted\" 'single'",
        "one\r\ntwo\rthree\n",
        "\u202eevil\u202c \u200f \u2066x\u2069",
        "👩‍👧 e\u0301 مرحبا שלום \ufdd0said\ufdd1",
    ],
)
def test_an_utterance_reads_back_as_itself_with_and_without_marks(text) -> None:
    marks = [Mark("a", "o", "l", 1, 0, 4), Mark("b", "o", "l", 1, 2, len(text), flag=True)]
    for given in ([], marks):
        read = Reader(said(text, given))
        assert read.text == text
        assert {tag for tag, _ in read.tags} <= {"mark"}
    covered = [attrs["data-marks"] for _, attrs in read.tags]
    assert covered == ["a", "a b", "b"]


def test_a_carriage_return_is_written_out_so_that_no_browser_joins_it() -> None:
    assert said("a\r\nb", []) == "a&#13;\nb"


def test_answers_fill_only_their_own_places(assignment) -> None:
    row = make_instrument(EXPERT)
    hostile = '"><script>alert(1)</script>'
    Rating.objects.create(
        assignment=assignment,
        instrument=row,
        item="t1_key_thoughts",
        value="2",
        comment=hostile,
        revision=3,
    )
    markup = form_markup(sheet_of(assignment))
    read = Reader(markup)
    checked = [a for tag, a in read.tags if tag == "input" and "checked" in a]
    assert [(a["name"], a["value"]) for a in checked] == [(f"{EXPERT}:t1_key_thoughts", "2")]
    items = {a["id"]: a for tag, a in read.tags if tag == "fieldset"}
    assert len(items) == 19
    assert items[f"{EXPERT}-t1_key_thoughts"]["data-revision"] == "3"
    assert items[f"{EXPERT}-t2_paraphrasing"]["data-revision"] == "0"
    assert "script" not in {tag for tag, _ in read.tags}
    assert hostile in read.text
    assert "1 of 9" in read.text


def test_a_comment_that_begins_with_an_empty_line_keeps_it(assignment) -> None:
    Rating.objects.create(
        assignment=assignment, instrument=make_instrument(EXPERT), item="t1_key_thoughts",
        comment="\nfirst", revision=1,
    )  # fmt: skip
    # A browser drops one line feed at the very beginning of a text field.
    assert "\n\nfirst</textarea>" in form_markup(sheet_of(assignment))


def test_marks_are_drawn_in_the_dialogue_and_listed_at_their_item(assignment) -> None:
    uid = uuid.uuid4()
    Evidence.objects.create(
        uid=uid,
        assignment=assignment,
        instrument=make_instrument(EXPERT),
        item="t1_key_thoughts",
        turn_number=2,
        start=4,
        end=9,
    )
    sheet = sheet_of(assignment)
    turns = [(1, "therapist", "Hello."), (2, "client", "Um, hello.")]
    transcript = transcript_markup(turns, sheet)
    assert f'Um, <mark data-marks="{uid}">hello</mark>.' in transcript
    assert f'data-mark="{uid}" data-start="4" data-end="9">T1 evidence</a>' in transcript
    assert f'<a href="#turn-2" data-mark="{uid}">turn 2</a>' in form_markup(sheet)


def test_one_skeleton_serves_all_and_languages_do_not_mix() -> None:
    form = builtin_instruments()[EXPERT]
    shapes = {
        language: FormShape((form.sha256,), language, False, (form.localised(language),))
        for language in ("en", "de")
    }
    again = FormShape((form.sha256,), "en", False, (form.localised("en"),))
    assert form_skeleton(shapes["en"]) is form_skeleton(again)
    with override("de"):
        german = form_preview(shapes["de"])
    assert "Paraphrasieren" in german
    assert "Paraphrasieren" not in form_preview(shapes["en"])
    assert " checked" not in german


def test_a_read_only_form_takes_no_answer(assignment) -> None:
    assignment.state = "submitted"
    read = Reader(form_markup(sheet_of(assignment)))
    assert all("disabled" in a for tag, a in read.tags if tag == "fieldset")


def test_holes_are_escaped_and_unknown_ones_stay_empty(tmp_path, settings) -> None:
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]
    (tmp_path / "one.html").write_text("<p>{{ a }}|{{ b }}</p>")
    skeleton = Skeleton("one.html", {"a": hole("a"), "b": hole("b")})
    assert skeleton.holes == {"a", "b"}
    assert skeleton.fill({"a": "<&>"}) == "<p>&lt;&amp;&gt;|</p>"


@pytest.mark.parametrize(
    ("cookie", "wanted"),
    [
        ("large.narrow", Reading("large", "narrow")),
        ("large", Reading("large", "medium")),
        ('"><script>.x', Reading()),
        ("", Reading()),
    ],
)
def test_reading_choices_come_from_the_cookie_or_are_the_default(cookie, wanted) -> None:
    request = RequestFactory().get("/")
    request.COOKIES["reading"] = cookie
    assert reading_of(request) == wanted


def test_reading_choices_are_remembered_and_lead_back_here_only(client_of, rater) -> None:
    client = client_of(rater)
    for target, wanted in (("/review/", "/review/"), ("https://evil.example/", "/")):
        response = client.post("/review/reading/", {"size": "huge", "next": target})
        assert response["Location"] == wanted
    assert client.cookies["reading"].value == "huge.medium"
    client.post("/review/reading/", {"width": "wide", "size": "nonsense"})
    assert client.cookies["reading"].value == "huge.wide"
    assert client.get("/review/reading/").status_code == 405
