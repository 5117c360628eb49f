"""Evidence in the dialogue: offsets in code points, overlaps, and texts made to do harm."""

import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

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


def test_200_hostile_texts_are_text_and_keep_their_offsets(
    page: Page, live_server: Any, rater: User
) -> None:
    texts = hostile_texts(200)
    assignments = give_work(rater, [texts, ["x" * 1_000_000, "🙂" * 1000], ["Hm. 🙂"] * 500])
    open_page(page, live_server, assignments[0])
    shown = page.evaluate("[...document.querySelectorAll('.said')].map((one) => one.textContent)")
    assert shown == texts
    assert page.locator(".said *").count() == 0
    assert page.title() == "Dialogue D001 · SQPsych"
    chance = random.Random(3)
    for turn, text in enumerate(texts, start=1):
        start = chance.randrange(len(text))
        end = chance.randrange(start + 1, len(text) + 1)
        [found] = page.evaluate(SELECT, [turn, start, end])
        assert found == {"turn": turn, "start": start, "end": end}, json.dumps(text)
        if turn % 10 == 0:
            press(page, "e")
            covered = page.locator(f"#turn-{turn} mark").evaluate("(one) => one.textContent")
            assert covered == text[start:end]
            # And marks already drawn do not move the offsets of the next.
            [found] = page.evaluate(SELECT, [turn, start, end])
            assert found == {"turn": turn, "start": start, "end": end}
    expect_saved(page)
    for _item, turn, first, last in spans(assignments[0]):
        marked = page.locator(f"#turn-{turn} mark").text_content()
        assert marked == texts[turn - 1][first:last]
    # A megabyte in one turn, and 500 turns.
    open_page(page, live_server, assignments[1])
    assert page.evaluate(SELECT, [2, 999, 1000]) == [{"turn": 2, "start": 999, "end": 1000}]
    press(page, "e", "2")
    expect_saved(page)
    assert spans(assignments[1]) == [(KEYS[0], 2, 999, 1000)]
    open_page(page, live_server, assignments[2])
    page.evaluate(SELECT, [500, 4, 5])
    press(page, "e", "1")
    expect_saved(page)
    assert spans(assignments[2]) == [(KEYS[0], 500, 4, 5)]
