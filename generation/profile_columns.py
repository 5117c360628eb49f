"""What a column of a foreign file probably means, by its name (pure)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from generation.profile_records import MAX_COLUMN_NAME
from generation.questionnaires import Definition, Item

LEAVE_OUT, FACT = "", "fact"
ITEM, TOTAL, BAND = "item:", "total:", "band:"
BIRTH_YEAR = "birth_year"
_CORE_NAMES = {
    "profile_id": (
        r"profile ?id|(?:record|subject|participant|client|patient|study|proband|person|case)"
        r"(?: ?(?:id|code|nr|no|number))?|id|code|pseudonym"
    ),
    "age": r"age(?: (?:in )?(?:years|yrs))?|age (?:of|at) (?:the )?(?:client|patient|assessment)"
    r"|alter|age at interview",
    BIRTH_YEAR: r"(?:year of birth|birth ?year|yob|geburtsjahr)"
    r"(?: of (?:the )?(?:client|patient))?",
    "gender": r"gender|sex|geschlecht|gender identity",
    "condition": r"condition|group|study group|diagnos(?:is|tic) group|gruppe|cohort|arm",
}
_CORE = {target: re.compile(pattern) for target, pattern in _CORE_NAMES.items()}
_NUMBER = re.compile(r"[\W_]*(?:items?|questions?|quest|q|frage|nr|no)?[\W_]*0*(\d{1,3})")
# "2", "2.0" as pandas writes it beside a blank, "2 - Moderate" as some exports do.
_VALUE = re.compile(r"([0-9]{1,4})(?:\.0+)?(?:\s*(?:[-=:)]|\.(?!\d))\s*[^\W\d].*)?", re.DOTALL)
_NUMBERED = re.compile(r"(.*[^\W\d].*?)[\W_]*\d+")
_ITEMS_OF_ONE_STEM = 4
_TOTAL = re.compile(r"[\W_]*(?:total|sum|score|summe|gesamt)(?:[\W_]*score)?")
_BAND = re.compile(r"[\W_]*(?:severity|band|category|level|class|schweregrad)")


def plain(text: str) -> str:
    """Letters and digits in small letters, words parted by single blanks."""
    return " ".join(re.findall(r"[^\W_]+", text.casefold()))


def names_of(definition: Definition) -> list[str]:
    """What files call a questionnaire, the longest name first."""
    names = {definition.key, definition.title, *definition.names}
    return sorted(names, key=lambda name: (-len(name), name))


def meaning(column: str, definitions: Iterable[Definition]) -> str | None:
    """The target that a column names: an item, a stated total or band; None when it names none."""
    for definition in definitions:
        if found := _of_questionnaire(column.strip(), definition):
            return found
    return None


def _of_questionnaire(column: str, definition: Definition) -> str | None:
    for item in definition.items:
        if plain(column) in {plain(name) for name in (item.key, item.text, *item.accepts)}:
            return ITEM + item.key
    for name in names_of(definition):
        rest = after_name(column, name)
        if rest is None or (not rest and column.casefold() != name.casefold()):
            # "phq_9" is the ninth item of PHQ; only "PHQ-9" as it is written is the whole.
            continue
        if found := _NUMBER.fullmatch(rest):
            item_found = item_of(definition, found[1])
            return ITEM + item_found.key if item_found else None
        if _TOTAL.fullmatch(rest.casefold()):
            return TOTAL + definition.key
        if _BAND.fullmatch(rest.casefold()):
            return BAND + definition.key
        return None
    return None


def item_of(definition: Definition, number: str) -> Item | None:
    """The item of this number."""
    return next((item for item in definition.items if item.number == int(number)), None)


def after_name(column: str, name: str) -> str | None:
    """What follows a questionnaire's name at the beginning of a column, whatever its signs."""
    letters = [re.escape(character) for character in name.casefold() if character.isalnum()]
    found = re.match(r"[\W_]*".join(letters), column, re.IGNORECASE)
    if found is None:
        return None
    rest = column[found.end() :]
    # "gadget" is no item of GAD: a letter right after a letter goes on with the same word.
    if name[-1:].isalpha() and rest[:1].isalpha() and not re.match(r"q\d", rest, re.IGNORECASE):
        return None
    if name[-1:].isdigit() and rest[:1].isdigit():
        return None
    return rest


def core_meaning(column: str) -> str | None:
    """Which of our own columns a foreign one stands for."""
    words = plain(column)
    return next((target for target, rule in _CORE.items() if rule.fullmatch(words)), None)


def answer_value(item: Item, given: str) -> int | None:
    """The option that a cell means: its value, label, sentence or another accepted wording."""
    values = {option.value for option in item.options}
    if (found := _VALUE.fullmatch(given.strip())) and int(found[1]) in values:
        return int(found[1])
    words = plain(given)
    for option in item.options:
        if words in {plain(each) for each in (option.label, option.sentence, *option.accepts)}:
            return option.value
    return None


def numbered_alike(columns: Iterable[str]) -> list[list[str]]:
    """Groups of columns with one stem and a number: the items of a questionnaire nobody loaded."""
    stems: dict[str, list[str]] = {}
    for column in columns:
        if found := _NUMBERED.fullmatch(column.casefold()[:MAX_COLUMN_NAME]):
            stems.setdefault(found[1], []).append(column)
    return [group for group in stems.values() if len(group) >= _ITEMS_OF_ONE_STEM]


def stated_columns(columns: Iterable[str], definitions: Mapping[str, Definition]) -> dict[str, str]:
    """The columns that state a total or band which the file's maker reckoned: column -> target."""
    found = {column: meaning(column, definitions.values()) for column in columns}
    return {
        column: target
        for column, target in found.items()
        if target and target.startswith((TOTAL, BAND))
    }
