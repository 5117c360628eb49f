"""A protocol in words: what its page says about its rules. Pure."""

from dataclasses import dataclass
from typing import Final

from generation.protocol_parts import MIXED
from generation.protocols import Protocol
from generation.utterances import CLIENT, THERAPIST, Role

Facts = list[tuple[str, str]]
_SEES: Final = {
    "nothing": "nothing about the client",
    "life_text": "the client’s life, no answers",
    "client_text": "life and answers, in the first person",
    "intake_text": "the intake: no diagnosis, no answers",
    "full_text": "everything, with diagnosis, answers and totals",
}
_ROLES: Final[dict[Role, str]] = {THERAPIST: "therapist", CLIENT: "client"}


@dataclass(frozen=True)
class PromptText:
    """One text of the file as it goes to a model, placeholders unfilled."""

    title: str
    text: str


def about(protocol: Protocol) -> Facts:
    """What it is and where it comes from."""
    return [
        ("Key and version", f"{protocol.key} {protocol.version}"),
        ("Source", protocol.source),
        ("Language", protocol.language),
        ("Hash", protocol.sha256),
    ]


def rules(protocol: Protocol) -> Facts:
    """What decides how a dialogue goes."""
    ending, retry = protocol.ending, protocol.retry
    facts = [
        ("Therapist sees", _SEES[protocol.therapist.sees]),
        ("Client sees", _SEES[protocol.client.sees]),
        ("Words a reply", f"under {protocol.therapist.words}, client {protocol.client.words}"),
        ("Words by model", _words_by_family(protocol)),
        (
            "Ends",
            f"not before {ending.min_exchanges} exchanges, asked to from {ending.nudge_from} on,"
            f" stopped after {ending.stop_at}",
        ),
        ("Context nearly full", _context(protocol)),
        ("Risk item positive", _risk(protocol)),
        ("A defective reply", f"{retry.attempts} attempts; {_kept(retry.max_kept)}"),
        ("Prepared before", ", ".join(step.title.lower() for step in protocol.preparations)),
        ("Critique", _critique(protocol)),
        ("Client’s style", _style(protocol)),
        ("Resistance", _resistance(protocol)),
        ("Sampling", _sampling(protocol)),
    ]
    return [(name, text) for name, text in facts if text]


def prompt_texts(protocol: Protocol) -> list[PromptText]:
    """Every text that a model is given, in the order in which a dialogue meets them."""
    texts = []
    for step in protocol.preparations:
        texts += [
            PromptText(f"{step.title}: instructions to the {step.by}’s model", step.system),
            PromptText(f"{step.title}: what is asked for", step.case),
            PromptText(f"{step.title}: as the {step.given_to} is given it", step.given),
        ]
    for role, name in _ROLES.items():
        prompt = protocol.role(role)
        texts += [
            PromptText(f"{name.capitalize()}: instructions", prompt.system),
            PromptText(f"{name.capitalize()}: what it knows", prompt.case),
            PromptText(f"{name.capitalize()}: opening", prompt.opening),
        ]
        texts += [PromptText(f"Client: {each.name}", each.text) for each in prompt.variants]
        texts += [PromptText(f"Client’s style: {each.title}", each.text) for each in prompt.styles]
    if rule := protocol.resistance:
        texts += [
            PromptText(f"Resistance up to {stage.up_to}", rule.note(stage.up_to))
            for stage in rule.stages
        ]
    if policy := protocol.critique:
        texts += [PromptText("Critique", policy.ask), PromptText("Revision", policy.revise)]
    texts += [
        PromptText("Note on the phase", protocol.phase_note),
        PromptText("Note to close", protocol.ending.nudge),
        PromptText("Note in the last exchange", protocol.ending.last),
    ]
    return [each for each in texts if each.text.strip()]


def switch_rows(protocol: Protocol) -> list[tuple[str, str, str, str]]:
    """Key, title, settings and help of each switch."""
    return [
        (each.key, each.title, ", ".join(str(v) for v in each.values) or "on, off", each.help)
        for each in protocol.switches
    ]


def _words_by_family(protocol: Protocol) -> str:
    told = []
    for prefix, family in protocol.families.items():
        limits = [
            f"{name} {words}"
            for name, words in (
                ("therapist", family.therapist_words),
                ("client", family.client_words),
            )
            if words
        ]
        if limits:
            told.append(f"{prefix}: {', '.join(limits)}")
    return "; ".join(told)


def _context(protocol: Protocol) -> str:
    if protocol.context_rule == "fail":
        return "the dialogue fails; nothing is cut"
    return "the dialogue says goodbye and ends early; nothing is cut"


def _risk(protocol: Protocol) -> str:
    if protocol.risk_profiles == "include":
        return "such profiles take part"
    return "such profiles stay out of a batch unless a reason is given"


def _kept(most: int | None) -> str:
    return "any number of turns may keep one" if most is None else f"at most {most} turns keep one"


def _critique(protocol: Protocol) -> str:
    policy = protocol.critique
    if policy is None:
        return ""
    after = "the draft is spoken" if policy.after == "keep" else "the dialogue fails"
    return f"of each draft of the {policy.role}, one revision; without a usable critique {after}"


def _style(protocol: Protocol) -> str:
    client = protocol.client
    if client.style == MIXED:
        return "one drawn for each dialogue"
    return next((each.title for each in client.styles if each.key == client.style), "")


def _resistance(protocol: Protocol) -> str:
    rule = protocol.resistance
    if rule is None:
        return ""
    return (
        f"begins at {rule.start} of {rule.highest}; one step down for {rule.patience} replies in a"
        f" row that hold {rule.needed} of: {_moves(rule.earned_by)}; one step up for each that"
        f" holds one of: {_moves(rule.lost_by)}"
    )


def _moves(names: tuple[str, ...]) -> str:
    return ", ".join(name.replace("_", " ") for name in names)


def _sampling(protocol: Protocol) -> str:
    values = protocol.sampling.as_request()
    own = ", ".join(protocol.families)
    told = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in values.items())
    return f"{told}; own values for {own}" if own else told
