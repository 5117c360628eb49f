"""What the rating page sends: a list of operations, each with the key that makes it happen once.

Pure. The shape is checked here; whether the study and the instrument allow it, in the actions.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal, cast
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
)

MAX_OPERATIONS = 50
MAX_BYTES = 256 * 1024
MAX_SECONDS = 24 * 3600


UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def _storable(text: str) -> str:
    if UNSTORABLE.search(text):
        raise ValueError("holds a character that cannot be stored")
    # A plain form ends lines with two characters, a script with one.
    return text.replace("\r\n", "\n")


Words = Annotated[str, AfterValidator(_storable)]
Name = Annotated[str, Field(max_length=60), AfterValidator(_storable)]
Number = Annotated[int, Field(ge=0, le=1_000_000_000, strict=True)]
Seconds = Annotated[int, Field(ge=0, le=MAX_SECONDS, strict=True)]


class Operation(BaseModel):
    """One thing the rater did."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: UUID

    @field_validator("key", "uid", "flag", "visit", mode="before", check_fields=False)
    @classmethod
    def _written_out(cls, value: Any) -> Any:
        # A page writes a UUID as text; bytes and numbers would be taken too.
        if value is not None and not isinstance(value, str | UUID):
            raise ValueError("must be a UUID")
        return value


class Answer(Operation):
    """An answer, a comment on an item, or both; what is None stays as it is.

    ``base`` is the revision of this answer that the page saw last (0: none yet); None asks for no
    check.
    """

    kind: Literal["answer"] = "answer"
    instrument: Name
    item: Name
    turn: Number | None = None
    value: Words | None = None
    comment: Words | None = None
    base: Number | None = None


class Comment(Operation):
    """Words about the dialogue as a whole; ``base`` as in Answer."""

    kind: Literal["comment"] = "comment"
    text: Words
    base: Number | None = None


class Span(Operation):
    """A place in the dialogue: a turn, or in it the code points [start, end)."""

    uid: UUID
    turn: Number | None = None
    start: Number | None = None
    end: Number | None = None


class Evidence(Span):
    """A passage attached to an item, or to a flag."""

    kind: Literal["evidence"] = "evidence"
    instrument: Name = ""
    item: Name = ""
    flag: UUID | None = None


class Flag(Span):
    """A safety flag; ``details`` answers the flag form's further questions."""

    kind: Literal["flag"] = "flag"
    category: Name
    severity: Name
    details: dict[Name, Words] = Field(default_factory=dict, max_length=50)
    note: Words = ""


class Unmark(Operation):
    """Take a marked passage back."""

    kind: Literal["unmark"] = "unmark"
    uid: UUID


class Unflag(Operation):
    """Take a flag back."""

    kind: Literal["unflag"] = "unflag"
    uid: UUID


class Undo(Operation):
    """Take the rater's last answer back."""

    kind: Literal["undo"] = "undo"


class Redo(Operation):
    """Give the answer again that undo took back last."""

    kind: Literal["redo"] = "redo"


class Time(Operation):
    """Seconds so far in this look at the dialogue: totals, so that a repeat does no harm."""

    kind: Literal["time"] = "time"
    visit: UUID
    active: Seconds
    paused: Seconds


AnyOperation = Answer | Comment | Evidence | Unmark | Flag | Unflag | Undo | Redo | Time
_ADAPTER: TypeAdapter[AnyOperation] = TypeAdapter(
    Annotated[AnyOperation, Field(discriminator="kind")]
)


@dataclass(frozen=True)
class Malformed:
    """An operation that cannot be read, with its key if that much can be."""

    key: str | None
    sentence: str


class NotReadable(ValueError):
    """The request as a whole cannot be read; one sentence says why."""


def read(body: bytes) -> list[AnyOperation | Malformed]:
    """The operations of a request, in order.

    Raises NotReadable for a request that is no list of 1 to 50 operations.
    """
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise NotReadable("The request is not valid JSON.") from None
    found = data.get("ops") if isinstance(data, dict) else None
    if not isinstance(found, list) or not 1 <= len(found) <= MAX_OPERATIONS:
        raise NotReadable(f"The request needs “ops” with 1 to {MAX_OPERATIONS} operations.")
    return [read_one(entry) for entry in found]


def read_one(entry: object) -> AnyOperation | Malformed:
    """One operation, or what is wrong with it in one sentence."""
    try:
        return _ADAPTER.validate_python(entry)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = [str(part) for part in first["loc"] if isinstance(part, str)]
        key = cast("dict[str, object]", entry).get("key") if isinstance(entry, dict) else None
        told = str(key)[:36] if isinstance(key, str) else None
        return Malformed(told, f"{place[-1] if place else 'operation'}: {first['msg']}.")
