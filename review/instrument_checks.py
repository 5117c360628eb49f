"""Problems between parts of an instrument that are right on their own. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from review.instrument_parts import CATEGORY, SEVERITY, FlagForm, Instrument
from review.items import Item
from review.texts import Path


def contradictions(instrument: Instrument) -> Iterator[tuple[Path, str]]:
    """Each problem in words that follow its key, with the path of the place."""
    placed: list[tuple[Path, Item]] = [
        (("sections", s, "items", i), item)
        for s, section in enumerate(instrument.sections)
        for i, item in enumerate(section.items)
    ]
    yield from _repeated((("sections", n), s.key) for n, s in enumerate(instrument.sections))
    yield from _repeated((path, item.key) for path, item in placed)
    yield from _bad_conditions(placed, {})
    yield from _bad_totals(instrument)
    if instrument.safety:
        yield from _bad_flags(instrument, instrument.safety)


def _repeated(named: Iterator[tuple[Path, str]]) -> Iterator[tuple[Path, str]]:
    seen: set[str] = set()
    for path, key in named:
        if key in seen:
            yield (*path, "key"), f"'{key}' is used twice"
        seen.add(key)


def _bad_conditions(
    placed: list[tuple[Path, Item]], earlier: dict[str, Item]
) -> Iterator[tuple[Path, str]]:
    known = dict(earlier)
    for path, item in placed:
        for condition in item.show_if.conditions if item.show_if else ():
            where = (*path, "show_if")
            asked = known.get(condition.item)
            if asked is None:
                yield where, f"names '{condition.item}', which is not an earlier item"
            elif set(condition.values) - asked.values:
                yield where, f"names a value that '{condition.item}' cannot have"
            elif asked.level == "turn" and item.level == "dialogue":
                yield where, "lets an item about the whole dialogue depend on one about a turn"
        known[item.key] = item


def _bad_totals(instrument: Instrument) -> Iterator[tuple[Path, str]]:
    sections = {section.key for section in instrument.sections}
    keys = {item.key for item in instrument.items}
    rules = list(enumerate(instrument.total_rules))
    yield from _repeated((("totals", n), rule.key) for n, rule in rules)
    for n, rule in rules:
        unknown = [*(set(rule.sections) - sections), *(set(rule.items) - keys)]
        if unknown:
            yield ("totals", n), f"the total names '{min(unknown)}', which does not exist"
            continue
        counted = instrument.counted(rule)
        if not counted or len({item.key for item in counted}) != len(counted):
            yield ("totals", n), "the total must count at least one item and none twice"
        for item in counted:
            if not any(item.number(point.value) is not None for point in item.points):
                yield ("totals", n), f"the total counts '{item.key}', whose answers are not numbers"


def _bad_flags(instrument: Instrument, form: FlagForm) -> Iterator[tuple[Path, str]]:
    questions: list[tuple[Path, Item]] = [
        (("safety", "questions", n), item) for n, item in enumerate(form.questions)
    ]
    if form.question not in {item.key for item in instrument.items if item.type == "yes_no"}:
        yield ("safety", "question"), "must name a yes/no item of this instrument"
    yield from _repeated(
        (("safety", "categories", n), c.key) for n, c in enumerate(form.categories)
    )
    yield from _repeated(
        (("safety", "severities", n), s.key) for n, s in enumerate(form.severities)
    )
    yield from _repeated(
        iter([((), CATEGORY), ((), SEVERITY), *((p, i.key) for p, i in questions)])
    )
    yield from _bad_conditions(questions, {item.key: item for item in form.items[:2]})
