"""Questionnaires and protocols as rows: a file is stored once, unchanged, under its hash."""

import json
from collections.abc import Mapping
from functools import cache

from django.db import transaction

from generation.actions.errors import Refused
from generation.models import Protocol, Questionnaire
from generation.protocol_switches import Value
from generation.protocols import Protocol as ProtocolData
from generation.protocols import ProtocolError, builtin_protocols, load_protocol
from generation.questionnaires import (
    Definition,
    DefinitionError,
    builtin_definitions,
    load_definition,
)
from sqpsych_site import audit
from sqpsych_site.models import User


@transaction.atomic
def sync_definitions() -> int:
    """Store the definitions that come with the program. Returns how many were new.

    Safe to call at any time and from several processes: a row is known by its hash.
    """
    questionnaires = [_questionnaire(each) for each in builtin_definitions().values()]
    protocols = [_protocol(each) for each in builtin_protocols().values()]
    before = Questionnaire.objects.count() + Protocol.objects.count()
    Questionnaire.objects.bulk_create(questionnaires, ignore_conflicts=True)
    Protocol.objects.bulk_create(protocols, ignore_conflicts=True)
    return Questionnaire.objects.count() + Protocol.objects.count() - before


@transaction.atomic
def add_questionnaire(*, text: str, origin: str, by: User | None) -> Questionnaire:
    """Store a group's own questionnaire file; the same text again gives the row it has.

    Raises Refused when the file is faulty, its key is a built-in one's, or its key and version
    stand for another text already.
    """
    try:
        definition = load_definition(text, origin=origin)
    except DefinitionError as error:
        raise Refused(str(error)) from None
    _check_free(definition, origin)
    Questionnaire.objects.bulk_create([_questionnaire(definition)], ignore_conflicts=True)
    row = Questionnaire.objects.get(sha256=definition.sha256)
    audit.record(by=by, action="questionnaire.add", target=str(row), sha256=row.sha256)
    return row


def _check_free(definition: Definition, origin: str) -> None:
    """One key and version never means two texts: results name them side by side."""
    builtin = builtin_definitions().get(definition.key)
    if builtin is not None and builtin.sha256 != definition.sha256:
        raise Refused(
            f"{origin}: '{definition.key}' comes with the program; give your questionnaire "
            "another 'key'."
        )
    same = Questionnaire.objects.filter(key=definition.key, version=definition.version)
    if same.exclude(sha256=definition.sha256).exists():
        raise Refused(
            f"{origin}: {definition.key} {definition.version} is stored with another text; "
            "raise 'version'."
        )


@transaction.atomic
def add_protocol(*, text: str, origin: str, by: User | None) -> Protocol:
    """Store a group's own protocol file; the same text again gives the row it has.

    Raises Refused when the file is faulty, its key is a built-in one's, or its key and version
    stand for another text already.
    """
    try:
        protocol = load_protocol(text, origin=origin)
    except ProtocolError as error:
        raise Refused(str(error)) from None
    builtin = builtin_protocols().get(protocol.key)
    if builtin is not None and builtin.sha256 != protocol.sha256:
        raise Refused(
            f"{origin}: '{protocol.key}' comes with the program; give your protocol another 'key'."
        )
    same = Protocol.objects.filter(key=protocol.key, version=protocol.version)
    if same.exclude(sha256=protocol.sha256).exists():
        raise Refused(
            f"{origin}: {protocol.key} {protocol.version} is stored with another text; "
            "raise 'version'."
        )
    Protocol.objects.bulk_create([_protocol(protocol)], ignore_conflicts=True)
    row = Protocol.objects.get(sha256=protocol.sha256)
    audit.record(by=by, action="protocol.add", target=str(row), sha256=row.sha256)
    return row


def current_definitions() -> dict[str, Definition]:
    """The questionnaire definitions in use, by key; built-in ones are stored if need be."""
    sync_definitions()
    return known_definitions()


def known_definitions() -> dict[str, Definition]:
    """The questionnaire definitions in use: the built-in one, else the newest row. A read."""
    rows = Questionnaire.objects.order_by("created_at", "id")
    return {row.key: parsed_definition(row.toml) for row in rows} | builtin_definitions()


def stored_definitions(hashes: dict[str, str]) -> dict[str, Definition]:
    """The definitions that a profile was read with, by key, found by their hashes."""
    rows = Questionnaire.objects.filter(sha256__in=hashes.values())
    found = {row.sha256: parsed_definition(row.toml) for row in rows}
    return {key: found[sha256] for key, sha256 in hashes.items() if sha256 in found}


def protocol_row(protocol: str | Protocol) -> Protocol:
    """The protocol to use for a key: the built-in version, else the newest row of that key.

    Raises Refused when nothing has that key.
    """
    if isinstance(protocol, Protocol):
        return protocol
    sync_definitions()
    builtin = builtin_protocols().get(protocol)
    rows = Protocol.objects.filter(key=protocol)
    if builtin is not None:
        rows = rows.filter(sha256=builtin.sha256)
    row = rows.order_by("-created_at", "-id").first()
    if row is None:
        known = ", ".join(sorted(set(Protocol.objects.values_list("key", flat=True)))) or "none"
        raise Refused(f"There is no protocol “{protocol}”; the protocols here are: {known}.")
    return row


@cache
def parsed_protocol(toml: str) -> ProtocolData:
    """The protocol of a stored file; read once per process, since rows never change."""
    return load_protocol(toml, origin="stored protocol")


def arm_protocol(toml: str, switches: Mapping[str, Value]) -> ProtocolData:
    """The protocol of a stored file with an arm's switches set; made once per process.

    Raises ProtocolError when the switches do not go together.
    """
    return _switched(toml, json.dumps(switches, sort_keys=True))


@cache
def _switched(toml: str, switches: str) -> ProtocolData:
    settings = json.loads(switches)
    protocol = parsed_protocol(toml)
    return protocol.switched(settings) if settings else protocol


@cache
def parsed_definition(toml: str) -> Definition:
    """The questionnaire of a stored file; read once per process, since rows never change."""
    return load_definition(toml, origin="stored questionnaire")


def _questionnaire(definition: Definition) -> Questionnaire:
    return Questionnaire(
        key=definition.key,
        version=definition.version,
        title=definition.title,
        sha256=definition.sha256,
        toml=definition.toml,
    )


def _protocol(protocol: ProtocolData) -> Protocol:
    return Protocol(
        key=protocol.key,
        version=protocol.version,
        title=protocol.title,
        sha256=protocol.sha256,
        toml=protocol.toml,
    )
