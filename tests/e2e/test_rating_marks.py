"""Evidence in the dialogue: offsets in code points, overlaps, and texts made to do harm."""

import json
import random
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect

from review import wire
from review.actions import save
from review.models import Assignment, Evidence, Flag
from sqpsych_site.models import User
from tests.e2e.rating_page import (
    EXPERT,
    KEYS,
    expect_saved,
    give_work,
    item,
    open_page,
    press,
)

pytestmark = pytest.mark.django_db(transaction=True)

# Selects the words between two code points of a turn as a rater would, by the browser's own range.
SELECT = """([turn, start, end]) => {
    const said = document.querySelector(`#turn-${turn} > .said`);
    const walker = document.createTreeWalker(said, NodeFilter.SHOW_TEXT);
    const range = document.createRange();
    let seen = 0;
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        const units = [0];
        for (const point of node.data) units.push(units.at(-1) + point.length);
        const count = units.length - 1;
        if (start >= seen && start <= seen + count) range.setStart(node, units[start - seen]);
        if (end >= seen && end <= seen + count) { range.setEnd(node, units[end - seen]); break; }
        seen += count;
    }
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    return rate.marks.selected();
}"""
PARTS = [
    '<script>document.title = "taken"</script>',
    "<img src=x onerror=\"document.title='taken'\">",
    '<b hx-get="/review/" hx-trigger="load">x</b>',
    "{{ 7|add:1 }}{% now 'Y' %}",
    "</p></li></ol><form action=//evil.example>",
    "\u202etfel ot thgir\u202c",
    "\u2067\u05e9\u05dc\u05d5\u05dd\u2069",
    "مرحبا بكم في العيادة",
    "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽",
    "e\u0301 n\u0303 ก็",
    "one\r\ntwo\rthree\n\nfour",
    "&amp; &#13; &lt;",
    "a\u200bb\u2060c\ufeffd",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢",
    "\t tabs \t and  spaces ",
]


def hostile_texts(count: int) -> list[str]:
    chance = random.Random(7)
    return ["".join(chance.choices(PARTS, k=chance.randint(1, 4))) for _ in range(count)]


@pytest.fixture
def rater(make_user: Callable[..., User], sign_in: Callable[[User], None]) -> User:
    person = make_user("rater", username="clinician")
    sign_in(person)
    return person


def spans(assignment: Assignment) -> list[tuple[str, int, int | None, int | None]]:
    rows = Evidence.objects.filter(assignment=assignment, withdrawn_at=None).order_by("id")
    return list(rows.values_list("item", "turn_number", "start", "end"))


def test_evidence_by_selection_and_by_turn(page: Page, live_server: Any, rater: User) -> None:
    texts = ["👩‍👧 What went through your mind?", "I thought: e\u0301nd of it. שלום", "I see."]
    [assignment] = give_work(rater, [texts])
    open_page(page, live_server, assignment)
    # Two overlapping passages of two items, then one turn, all by one key.
    page.evaluate(SELECT, [1, 4, 22])
    expect(page.locator(".item.current .adds")).to_have_text("adds the selected words")
    press(page, "e", "j")
    page.evaluate(SELECT, [1, 9, 32])
    press(page, "e")
    press(page, ".", ".", "e")
    expect_saved(page)
    assert spans(assignment) == [
        (KEYS[0], 1, 4, 22),
        (KEYS[1], 1, 9, 32),
        (KEYS[1], 2, None, None),
    ]
    marked = page.locator("#turn-1 mark")
    assert marked.all_text_contents() == [texts[0][4:9], texts[0][9:22], texts[0][22:32]]
    expect(page.locator("#turn-2.marked.current")).to_be_visible()
    # A click on a mark leads to its item; where two overlap, the next click to the other.
    marked.nth(0).click()
    expect(item(page, KEYS[0])).to_have_class("item scale current")
    marked.nth(1).click()
    expect(item(page, KEYS[1])).to_have_class("item scale current")
    marked.nth(1).click()
    expect(item(page, KEYS[0])).to_have_class("item scale current")
    # And back, by its link or by a key.
    press(page, "m")
    expect(page.locator("#turn-1")).to_have_class("turn therapist current")
    item(page, KEYS[1]).locator("input").first.focus()
    page.locator(f"#evidence-{EXPERT}-{KEYS[1]} a").nth(1).click()
    expect(page.locator("#turn-2.marked.current")).to_be_visible()
    # The same key at the same place takes it away; so does its button.
    press(page, "e")
    expect(page.locator("#marks-2 a")).to_have_count(0)
    page.get_by_role("button", name="Take away the evidence at turn 1").click()
    # A selection over several turns marks each of them; a flag takes words too.
    page.evaluate(
        """() => { const at = (n) => document.querySelector(`#turn-${n} > .said`).lastChild;
        getSelection().setBaseAndExtent(at(2), 2, at(3), 4); }"""
    )
    press(page, "f", "d", "1", "2")
    expect_saved(page)
    assert spans(assignment) == [(KEYS[0], 1, 4, 22), ("", 3, 0, 4)]
    flag = Flag.objects.get()
    assert (flag.turn_number, flag.start, flag.end) == (2, 2, len(texts[1]))
    # A reload draws the same.
    drawn = "() => [...document.querySelectorAll('.said, .marks')].map((one) => one.innerHTML)"
    before = page.evaluate(drawn)
    page.reload()
    page.wait_for_function("() => window.rate?.current")
    after = [one.replace(' class="own"', "") for one in page.evaluate(drawn)]
    assert [len(one) > 0 for one in after] == [len(one) > 0 for one in before]
    expect(page.locator("#turn-2 mark.flagged")).to_have_text(texts[1][2:])
    expect(page.locator("#turn-3 mark.flagged")).to_have_text(texts[2][:4])


def hostile_dialogues(count: int) -> list[list[str]]:
    """Two turns each; among them one with a turn of 1 MB, one of 500 turns, one of all parts."""
    texts = iter(hostile_texts(2 * count))
    dialogues = [[next(texts), next(texts)] for _ in range(count)]
    dialogues[50] = ["x" * 1_000_000, "🙂" * 1000]
    dialogues[100] = ["Hm. 🙂"] * 500
    dialogues[150] = [*PARTS, "".join(PARTS)]
    return dialogues


# What the browser makes of a rating page's markup: its utterances, and elements in them but marks.
PARSED = """async (path) => {
    const html = await (await fetch(path)).text();
    const page = new DOMParser().parseFromString(html, "text/html");
    return {
        title: page.title,
        said: [...page.querySelectorAll(".said")].map((one) => one.textContent),
        marked: [...page.querySelectorAll(".said mark")].map((one) => one.textContent),
        foreign: page.querySelectorAll(".said :not(mark), .said mark *").length,
    };
}"""


def test_200_hostile_dialogues_are_text_and_keep_their_offsets(
    page: Page, live_server: Any, rater: User
) -> None:
    dialogues = hostile_dialogues(200)
    chance = random.Random(3)
    wanted = {}
    for number, assignment in enumerate(give_work(rater, dialogues)):
        texts = dialogues[number]
        turn = chance.randint(1, len(texts))
        text = texts[turn - 1]
        start = chance.randrange(len(text))
        end = chance.randrange(start + 1, min(len(text), start + 5000) + 1)
        wanted[assignment.pk] = [turn, start, end]
        if number % 10:  # every tenth as a rater does it, the others as the page's script does
            place = {"turn": turn, "start": start, "end": end}
            new = {"key": uuid4(), "uid": uuid4(), "instrument": EXPERT, "item": KEYS[0]}
            mark = wire.Evidence.model_validate(new | place)
            [told] = save(uid=assignment.uid, by=rater, operations=[mark]).results
            assert told["status"] == 200, told
        else:
            select_and_mark(page, live_server, assignment, wanted[assignment.pk], text)
        shown = page.evaluate(PARSED, f"/review/{assignment.uid}/")
        assert shown == {
            "title": f"Dialogue {assignment.code} · SQPsych",
            "said": texts,
            "marked": [text[start:end]],
            "foreign": 0,
        }
    rows = Evidence.objects.values_list("assignment", "turn_number", "start", "end")
    assert {key: place for key, *place in rows} == wanted


def select_and_mark(
    page: Page, live_server: Any, assignment: Assignment, wanted: list[int], text: str
) -> None:
    """Select a passage in the browser and attach it to the first item."""
    turn, start, end = wanted
    place = {"turn": turn, "start": start, "end": end}
    open_page(page, live_server, assignment)
    assert page.evaluate(SELECT, wanted) == [place], json.dumps(text)
    press(page, "e")
    covered = page.locator(f"#turn-{turn} mark").evaluate("(one) => one.textContent")
    assert covered == text[start:end]
    # A mark already drawn does not move the offsets of the next.
    assert page.evaluate(SELECT, wanted) == [place], json.dumps(text)
    press(page, "1")
    expect_saved(page)
