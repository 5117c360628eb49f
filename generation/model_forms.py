"""What a model is asked to write as JSON: its shapes, how they are read, how they are told. Pure.

A conceptualisation and a session plan are made before the first turn; a critique looks at one
draft. What a model wrote is data: it is read strictly, limited in length, and told to a model again
only fenced in. An error names fields of these shapes, never a piece of the reply.
"""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic import ValidationError as Invalid

from generation.plain_text import control_character
from generation.utterances import wire_text

FormName: TypeAlias = Literal["conceptualisation", "session_plan", "critique"]
LINE_LIMIT: Final = 600


def _storable(text: str) -> str:
    # JSON may hide a NUL or half a surrogate pair in an escape, which no database takes.
    if control_character(text, allowed="\t\n"):
        raise ValueError("control character")
    return " ".join(text.split())


Line: TypeAlias = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=LINE_LIMIT),
    AfterValidator(_storable),
]
Lines: TypeAlias = Annotated[tuple[Line, ...], Field(min_length=1, max_length=6)]


class Form(BaseModel):
    """A shape. Further keys of a reply are passed over: they say nothing that is used."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Conceptualisation(Form):
    """How a client's complaints hang together, in the terms of cognitive therapy."""

    history: Line
    core_beliefs: Lines
    intermediate_beliefs: Lines
    situation: Line
    automatic_thoughts: Lines
    emotions: Lines
    behaviours: Lines
    coping: Lines


class Step(Form):
    """What a session does in one phase; ``phase`` is the phase's key."""

    phase: Line
    intention: Line


class SessionPlan(Form):
    """What a therapist means to do in the session."""

    focus: Line
    goals: Lines
    agenda: Lines
    techniques: Lines
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=12)]
    homework: Line


class Critique(Form):
    """A look at a draft before it is spoken."""

    verdict: Literal["keep", "revise"]
    problems: Annotated[tuple[Line, ...], Field(max_length=6)] = ()
    advice: Annotated[str, StringConstraints(max_length=LINE_LIMIT), AfterValidator(_storable)] = ""
    goal_reached: bool = False


FORMS: Final[dict[FormName, type[Form]]] = {
    "conceptualisation": Conceptualisation,
    "session_plan": SessionPlan,
    "critique": Critique,
}
_TITLES: Final[dict[str, str]] = {
    "history": "Background",
    "core_beliefs": "Core beliefs",
    "intermediate_beliefs": "Rules and assumptions",
    "situation": "Situation",
    "automatic_thoughts": "Automatic thoughts",
    "emotions": "Feelings",
    "behaviours": "What is done then",
    "coping": "Ways of coping",
    "focus": "Focus",
    "goals": "Goals",
    "agenda": "Agenda",
    "techniques": "Techniques",
    "steps": "Steps",
    "homework": "Until next time",
}


class FormError(ValueError):
    """A reply that is not the form asked for; one phrase without a piece of the reply."""


def read_form(text: str, name: FormName) -> Form:
    """The form in a reply: a JSON object, alone or with words or a code fence around it.

    Raises:
        FormError: there is none, or a field is missing or wrong.
    """
    start = text.find("{")
    if start < 0:
        raise FormError("no JSON object")
    try:
        found, _ = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        raise FormError("JSON that breaks off or is not well formed") from None
    try:
        return FORMS[name].model_validate(found)
    except Invalid as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = next((str(part) for part in first["loc"] if isinstance(part, str)), "it")
        words = "is missing" if first["type"] == "missing" else "is not as asked for"
        raise FormError(f"JSON in which {where} {words}") from None


def schema(name: FormName) -> dict[str, Any]:
    """The form's JSON schema, for servers that can hold a model to one."""
    return FORMS[name].model_json_schema()


def sections(form: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """A stored form as titled lists of lines, for a page or a prompt."""
    return [(title, _lines(form[key])) for key, title in _TITLES.items() if form.get(key)]


def form_text(form: Mapping[str, Any]) -> str:
    """A stored form as text for a model, control tokens of chat templates disarmed."""
    lines = []
    for title, told in sections(form):
        lines.append(f"{title}: {told[0]}" if len(told) == 1 else f"{title}:")
        lines += [f"- {line}" for line in told if len(told) > 1]
    return wire_text("\n".join(lines))


def _lines(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [f"{e['phase']}: {e['intention']}" if isinstance(e, dict) else str(e) for e in value]
