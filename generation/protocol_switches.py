"""Switches: what an arm may change of a protocol, as the protocol itself declares it. Pure.

A switch is either on or off (``change`` lays tables over the protocol's own, ``without`` takes
tables out), or it sets one value (``sets``) to one of a few (``values``). An ablation is so a
setting of an arm, hashed with it, and no code knows its name.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self, TypeAlias

from pydantic import Field, StringConstraints, model_validator

from generation.protocol_parts import Frozen, Text, wrong

Value: TypeAlias = str | int | float | bool
SwitchKey: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
Place: TypeAlias = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$")
]
_OFF = {"", "off", "no", "none", "false"}
_ON = {"on", "yes", "true"}
_UNTOUCHABLE = {"key", "version", "title", "sha256", "toml", "switches"}


class SwitchError(ValueError):
    """A switch that the protocol does not have, or a value that it does not take."""


class Switch(Frozen):
    """One thing that an arm may have otherwise. Without it the protocol is as it stands."""

    key: SwitchKey
    title: Text
    help: str = ""
    change: dict[str, Any] = Field(default_factory=dict)
    without: tuple[Place, ...] = ()
    sets: Place | None = None
    values: tuple[Value, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.sets is None) == (not self.change and not self.without):
            raise wrong("must have either sets with values, or change or without")
        if (self.sets is None) != (not self.values):
            raise wrong("must have sets and values together")
        touched = {self.sets or "", *self.without, *self.change}
        if fixed := sorted(_UNTOUCHABLE & {place.split(".")[0] for place in touched}):
            raise wrong(f"must not touch {fixed[0]}")
        return self

    @property
    def is_choice(self) -> bool:
        """Whether it sets one of a few values, not just on or off."""
        return self.sets is not None

    def settings(self) -> tuple[Value, ...]:
        """Every setting it may have in an arm."""
        return self.values or (True,)

    def read(self, given: object) -> Value | None:
        """The setting that a person or a script gave; None leaves the protocol as it is.

        Raises:
            SwitchError: it takes no such value.
        """
        said = str(given).strip()
        declared = {str(value) for value in self.values}
        if given is None or (said.casefold() in _OFF and said not in declared):
            return None
        if not self.is_choice and said.casefold() in _ON:
            return True
        for value in self.values:
            if said == str(value):
                return value
        offer = ", ".join(str(value) for value in self.values) or "on or off"
        raise SwitchError(f"the switch {self.key} takes {offer}, not “{said[:40]}”.")

    def own_value(self, data: Mapping[str, Any]) -> Any:
        """What the protocol file's data says at the place that a choice sets; else None."""
        found: Any = data
        for part in self.sets.split(".") if self.sets else ():
            found = found.get(part) if isinstance(found, Mapping) else None
        return found if self.sets else None

    def apply(self, data: Mapping[str, Any], setting: Value) -> dict[str, Any]:
        """The protocol file's data with this switch set; the given data stays as it is."""
        changed = _laid_over(copy.deepcopy(dict(data)), self.change)
        for place in self.without:
            *way, last = place.split(".")
            _table(changed, way).pop(last, None)
        if self.sets is not None:
            *way, last = self.sets.split(".")
            _table(changed, way)[last] = setting
        return changed


def read_switches(
    switches: Sequence[Switch], given: Mapping[str, object], data: Mapping[str, Any]
) -> dict[str, Value]:
    """The settings that differ from the protocol file's ``data``: equal arms have equal ones.

    Raises:
        SwitchError: one sentence on an unknown switch or value.
    """
    known = {switch.key: switch for switch in switches}
    for key in given:
        if key not in known:
            offer = f"its switches are {', '.join(known)}" if known else "it has no switches"
            raise SwitchError(f"there is no switch “{key[:40]}” ({offer}).")
    read = {key: known[key].read(given[key]) for key in sorted(given)}
    return {
        key: value
        for key, value in read.items()
        if value is not None and value != known[key].own_value(data)
    }


def _table(data: dict[str, Any], way: Sequence[str]) -> dict[str, Any]:
    for part in way:
        inner = data.setdefault(part, {})
        if not isinstance(inner, dict):
            raise SwitchError(f"{part} is no table, so a switch cannot reach into it.")
        data = inner
    return data


def _laid_over(data: dict[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    for name, value in change.items():
        own = data.get(name)
        both = isinstance(own, dict) and isinstance(value, Mapping)
        data[name] = _laid_over(own, value) if both and own is not None else copy.deepcopy(value)
    return data
