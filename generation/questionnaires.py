"""Questionnaire definitions: what the items are, what an answer says, how answers are scored.

A definition is data (TOML), checked as strictly as code: an unknown key, a gap between two
severity bands or an item without a zero option is refused with one sentence that names the place.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import ValidationError

from generation.questionnaire_parts import Band, Definition, Item, Option
from generation.toml_places import explain, place
from generation.utterances import wire_text

__all__ = [
    "Band",
    "Definition",
    "DefinitionError",
    "Item",
    "Option",
    "Score",
    "band",
    "builtin_definitions",
    "load_definition",
    "score",
    "sentences",
    "without_wording",
]

BUILTIN_FOLDER = Path(__file__).with_name("questionnaires")
MAX_CHARACTERS = 1_000_000


class DefinitionError(ValueError):
    """A definition that cannot be used; the message is one sentence with file, line and key."""


@dataclass(frozen=True, slots=True)
class Score:
    """The result of one questionnaire; `total` and `band` are None until every item is answered."""

    total: int | None
    answered: int
    of: int
    band: str | None
    risk_positive: bool


def load_definition(text: str, *, origin: str) -> Definition:
    """Check a TOML text and return its definition.

    `origin` is the file's name, used only in messages. Raises DefinitionError.
    """
    text = _normalised(text)
    if len(text) > MAX_CHARACTERS:
        raise DefinitionError(f"{origin} is larger than 1 MB; a definition is a short text file.")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise DefinitionError(f"{origin} holds broken characters; save it in UTF-8.")
    try:
        raw = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise DefinitionError(f"{origin} is not valid TOML: {error}.") from None
    for name in ("sha256", "toml"):
        if name in raw:
            where = place(text, (name,), origin=origin)
            raise DefinitionError(f"{where}: the key '{name}' is not known here; remove it.")
    digest = hashlib.sha256(text.encode("utf-8")).hexdigest()
    try:
        definition = Definition.model_validate({**raw, "sha256": digest, "toml": text})
    except ValidationError as error:
        raise DefinitionError(explain(error, text, origin=origin)) from None
    for check in (_check_items, _check_options, _check_bands, _check_levels):
        if problem := check(definition):
            where = place(text, problem[0], origin=origin)
            raise DefinitionError(f"{where}: {problem[1]}")
    return definition


def builtin_definitions() -> dict[str, Definition]:
    """The definitions that come with the program, by key."""
    return dict(_builtin())


@cache
def _builtin() -> dict[str, Definition]:
    found: dict[str, Definition] = {}
    for path in sorted(BUILTIN_FOLDER.glob("*.toml")):
        definition = load_definition(path.read_text(encoding="utf-8"), origin=path.name)
        if path.stem != definition.key:
            raise DefinitionError(
                f"{path.name} holds the key '{definition.key}'; rename one of them."
            )
        found[definition.key] = definition
    return found


def score(definition: Definition, answers: Mapping[str, int]) -> Score:
    """Sum the answers (item key -> value). Raises ValueError on an unknown item or value."""
    chosen = _chosen(definition, answers)
    complete = len(chosen) == len(definition.items)
    total = sum(option.counts for item, option in chosen if item.scored) if complete else None
    risk = any(
        item.risk_from is not None and option.value >= item.risk_from for item, option in chosen
    )
    return Score(total, len(chosen), len(definition.items), band(definition, total), risk)


def band(definition: Definition, total: int | None) -> str | None:
    """The label of the band a total falls in, None for no total or no bands."""
    if total is None:
        return None
    return next((b.label for b in definition.bands if b.low <= total <= b.high), None)


def sentences(definition: Definition, answers: Mapping[str, int]) -> list[str]:
    """The first-person sentence of each answered item, in the order of the items.

    Raises ValueError on an unknown item or value.
    """
    return [option.sentence for _, option in _chosen(definition, answers)]


def without_wording(text: str, definitions: Iterable[Definition]) -> str:
    """The text with the sentences taken out of those questionnaires that may not be shown."""
    for definition in definitions:
        if definition.show_text:
            continue
        for item in definition.items:
            for option in item.options:
                stand_in = f"[item {item.number} ({item.topic}), answer {option.value}]"
                for spoken in {option.sentence, wire_text(option.sentence)}:
                    text = text.replace(spoken, stand_in)
    return text


def _chosen(definition: Definition, answers: Mapping[str, int]) -> list[tuple[Item, Option]]:
    items = {item.key: item for item in definition.items}
    for key, value in answers.items():
        if key not in items:
            raise ValueError(f"{key} is no item of {definition.key}")
        if value not in {option.value for option in items[key].options}:
            raise ValueError(f"{value} is no option of {key}")
    return [
        (item, next(option for option in item.options if option.value == answers[item.key]))
        for item in definition.items
        if item.key in answers
    ]


def _normalised(text: str) -> str:
    """Same content, same bytes: no byte order mark, LF line ends, one newline at the end."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").rstrip("\n") + "\n"


_Found = tuple[tuple[str | int, ...], str] | None


def _check_items(definition: Definition) -> _Found:
    for index, item in enumerate(definition.items):
        if item.number != index + 1:
            return ("items", index, "number"), (
                f"'number' is {item.number}, but this is item {index + 1}; number items from 1 up."
            )
        expected = f"{definition.key}_{item.number}"
        if item.key != expected:
            return ("items", index, "key"), f"'key' must be '{expected}'; change it."
    return None


def _check_options(definition: Definition) -> _Found:
    for index, item in enumerate(definition.items):
        values = [option.value for option in item.options]
        if values[0] != 0 or values != sorted(set(values)):
            return ("items", index, "options"), (
                f"the options of {item.key} must start at value 0 and rise; "
                f"they are {', '.join(map(str, values))}."
            )
        for part in ("label", "sentence"):
            seen: set[str] = set()
            for number, option in enumerate(item.options):
                words = getattr(option, part)
                if words.casefold() in seen:
                    return ("items", index, "options", number, part), (
                        f"two options of {item.key} have the same {part}; give each its own."
                    )
                seen.add(words.casefold())
        if problem := _check_sentences(definition, index, item) or _check_accepts(index, item):
            return problem
        if item.risk_from is not None and item.risk_from not in values:
            return ("items", index, "risk_from"), (
                f"'risk_from' is {item.risk_from}, which is no option value of {item.key}; use one."
            )
    return None


def _check_sentences(definition: Definition, index: int, item: Item) -> _Found:
    """A code in a sentence would be spoken by the client agent, and raters would see it."""
    code = re.compile(rf"\b{re.escape(definition.key)}(?:_?\d+)?\b", re.IGNORECASE)
    for number, option in enumerate(item.options):
        if code.search(option.sentence):
            return ("items", index, "options", number, "sentence"), (
                "the sentence names the questionnaire's code; write what the client would say."
            )
    return None


def _check_accepts(index: int, item: Item) -> _Found:
    """Words for two options would make an answer in a file ambiguous."""
    taken: dict[str, int] = {}
    for number, option in enumerate(item.options):
        for words in (option.label, option.sentence, *option.accepts):
            if taken.setdefault(words.casefold(), number) != number:
                return ("items", index, "options", number, "accepts"), (
                    f"two options of {item.key} are known by the same words; give each its own."
                )
    return None


def _check_bands(definition: Definition) -> _Found:
    start = 0
    labels: set[str] = set()
    for index, part in enumerate(definition.bands):
        here = f"band '{part.label}'"
        if part.high < part.low:
            return ("bands", index, "high"), f"{here} ends before it begins; swap 'low' and 'high'."
        if part.low != start:
            kind = "overlaps the one before it" if part.low < start else "leaves a gap before it"
            return ("bands", index, "low"), f"{here} {kind}; it must begin at {start}."
        if part.label.casefold() in labels:
            return ("bands", index, "label"), f"{here} is there twice; give each its own label."
        labels.add(part.label.casefold())
        start = part.high + 1
    if not definition.bands:
        return None
    if start - 1 != definition.maximum:
        return ("bands", len(definition.bands) - 1, "high"), (
            f"the last band ends at {start - 1}, but the highest total is {definition.maximum}; "
            "make them equal."
        )
    if definition.bands_source is None:
        return ("bands", 0), "bands need a citation; add 'bands_source'."
    return None


def _check_levels(definition: Definition) -> _Found:
    levels = [part.level for part in definition.bands]
    known = [level for level in levels if level is not None]
    if not known:
        return None
    if len(known) < len(levels):
        index = levels.index(None)
        return ("bands", index), "this band has no 'level' though others have; add it to all."
    for index in range(1, len(known)):
        if known[index] < known[index - 1]:
            return ("bands", index, "level"), "'level' must not fall from band to band; change it."
    return None
