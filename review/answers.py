"""Answers against items: what is asked, what is missing, what is refused. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from review.items import NA, NOT_SURE, SEPARATOR, Item, Level, join_values

RefusalCode = Literal["unknown_item", "off_scale", "hidden", "not_allowed"]
Answers = Mapping[str, str]


class AnswerRefused(Exception):
    """An answer the instrument does not allow; `sentence` says why and never quotes the answer."""

    def __init__(self, code: RefusalCode, sentence: str) -> None:
        super().__init__(sentence)
        self.code: RefusalCode = code
        self.sentence = sentence


def visible(items: Sequence[Item], answers: Answers) -> tuple[Item, ...]:
    """The items asked after these answers, in order; an answer to a hidden item counts for none."""
    chosen: dict[str, frozenset[str]] = {}
    shown = []
    for item in items:
        if item.show_if is None or item.show_if.holds(chosen):
            shown.append(item)
            chosen[item.key] = item.chosen(answers.get(item.key, ""))
    return tuple(shown)


def unanswered(items: Sequence[Item], answers: Answers, *, level: Level = "dialogue") -> list[str]:
    """Keys of the visible, required items of this level that have no answer, in order."""
    return [
        item.key
        for item in visible(items, answers)
        if item.required and item.level == level and not answers.get(item.key, "").strip()
    ]


def check(items: Sequence[Item], key: str, value: str, answers: Answers) -> None:
    """Raise AnswerRefused unless `value` may be stored for item `key` beside `answers`."""
    item = next((one for one in items if one.key == key), None)
    if item is None:
        raise AnswerRefused("unknown_item", "This instrument has no such item.")
    if all(one.key != key for one in visible(items, answers)):
        raise AnswerRefused("hidden", f"“{item.label}” is not asked after the answers given.")
    if item.type == "text":
        _check_text(item, value)
    elif value in (NA, NOT_SURE) and value not in item.values:
        mark = item.words.na if value == NA else item.words.not_sure
        raise AnswerRefused("not_allowed", f"“{item.label}” cannot be answered with “{mark}”.")
    elif item.type == "multiple" and value not in (NA, NOT_SURE):
        _check_multiple(item, value)
    elif value not in item.values:
        raise AnswerRefused("off_scale", f"“{item.label}” takes {_listed(item)} only.")


def _check_text(item: Item, value: str) -> None:
    if not value.strip() or len(value) > item.max_length or "\x00" in value:
        limit = f"text of up to {item.max_length} characters"
        raise AnswerRefused("off_scale", f"“{item.label}” takes {limit}.")


def _check_multiple(item: Item, value: str) -> None:
    parts = value.split(SEPARATOR)
    if value != join_values(parts) or not set(parts) <= {point.value for point in item.points}:
        raise AnswerRefused("off_scale", f"“{item.label}” takes {_listed(item)} only, each once.")
    alone = [o.label for o in item.options if o.exclusive and o.value in parts]
    if alone and len(parts) > 1:
        sentence = f"“{item.label}”: “{alone[0]}” cannot be chosen together with others."
        raise AnswerRefused("not_allowed", sentence)


def _listed(item: Item) -> str:
    names = [point.value if item.type == "scale" else str(point.label) for point in item.points]
    names += [str(mark.label) for mark in item.marks]
    return f"{', '.join(names[:-1])} or {names[-1]}" if len(names) > 1 else names[0]
