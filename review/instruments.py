"""Rating instruments: loaded from TOML, checked, and asked about answers. Pure.

The definitions shipped with the program lie in the folder `instruments/` beside this module.
A study keeps the text (`toml`) and its `sha256`; a change is a new version.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError

from review.answers import AnswerRefused
from review.instrument_checks import contradictions
from review.instrument_parts import (
    CutOff,
    FlagCategory,
    FlagForm,
    Instrument,
    Section,
    Severity,
    Total,
    TotalRule,
)
from review.items import Item
from review.texts import Path, Text, line_of

__all__ = [
    "AnswerRefused",
    "CutOff",
    "FlagCategory",
    "FlagForm",
    "Instrument",
    "InstrumentError",
    "Item",
    "Section",
    "Severity",
    "Text",
    "Total",
    "TotalRule",
    "builtin_instruments",
    "cached_instrument",
    "instrument_templates",
    "load_instrument",
]

FOLDER = FilePath(__file__).with_suffix("")


class InstrumentError(ValueError):
    """A definition that cannot be used; one sentence with file and line."""


def load_instrument(text: str, origin: str) -> Instrument:
    """Read a definition; `origin` is the file name used in errors.

    Raises InstrumentError with one sentence that names file and line.
    """
    try:
        data = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise InstrumentError(f"{origin}: this is not valid TOML: {error}.") from None
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    for name in ("sha256", "toml"):
        if name in data:
            raise _error(text, origin, data, (name,), "cannot be set, it is worked out on loading")
    try:
        instrument = Instrument.model_validate({**data, "sha256": sha256, "toml": text})
    except ValidationError as error:
        raise _from_pydantic(text, origin, data, error) from None
    for path, problem in contradictions(instrument):
        raise _error(text, origin, data, path, problem)
    return instrument


@lru_cache(maxsize=128)
def cached_instrument(text: str, language: str = "en") -> Instrument:
    """A stored definition in one language, parsed once per process."""
    return load_instrument(text, "stored instrument").localised(language)


@lru_cache(maxsize=1)
def builtin_instruments() -> Mapping[str, Instrument]:
    """The instruments shipped with the program, by key."""
    loaded = [
        load_instrument(file.read_bytes().decode(), file.name)
        for file in sorted(FOLDER.glob("*.toml"))
    ]
    return {instrument.key: instrument for instrument in loaded}


@lru_cache(maxsize=1)
def instrument_templates() -> Mapping[str, str]:
    """Templates without text, by key: what a licensed group fills before it loads them."""
    return {
        file.stem: file.read_bytes().decode() for file in sorted(FOLDER.glob("templates/*.toml"))
    }


def _error(text: str, origin: str, data: Any, path: Path, problem: str) -> InstrumentError:
    """The sentence for a problem at `path`: file, line, what it is in, the field."""
    inside, field = "", ""
    for part in path:
        data = _step(data, part)
        field = f"'{part}' " if isinstance(part, str) else ""
        if isinstance(data, dict) and isinstance(data.get("key"), str):
            inside = f"in '{data['key']}', "
    return InstrumentError(f"{origin}, line {line_of(text, path)}: {inside}{field}{problem}.")


def _step(data: Any, part: str | int) -> Any:
    try:
        return data[part]
    except (KeyError, IndexError, TypeError):
        return None


def _from_pydantic(text: str, origin: str, data: Any, error: ValidationError) -> InstrumentError:
    first = error.errors(include_url=False)[0]
    path = tuple(part for part in first["loc"] if part not in ("bool", "tuple[str, ...]"))
    words = {
        "missing": "is missing",
        "extra_forbidden": "is not a setting that an instrument knows",
    }
    problem = words.get(first["type"]) or first["msg"].rstrip(".")
    for opening in ("Value error, ", "Input ", "String ", "Tuple ", "Decimal "):
        problem = problem.removeprefix(opening)
    return _error(text, origin, data, path, problem)
