"""Protocol pages: loaded whole or refused by line, shown word by word; a planned dialogue."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from generation import actions
from generation.actions import Refused
from generation.models import Attempt, Dialogue, Protocol, Turn
from generation.protocols import builtin_protocols
from sqpsych_site.models import AuditEntry, User
from tests import generation_rows as rows
from tests.fakes.forms import form_answer
from tests.generation.engine_cases import SHORT

HTMX = {"HX-Request": "true"}
HOSTILE = "<img src=x onerror=alert(1)>"
ADD = "generation:protocol_add"
OWN = SHORT % {"least": 1, "nudge": 2, "most": 2}
Queries = Callable[[int], Any]


@pytest.fixture
def person(coordinator: User, client_of: Callable[[User], Client]) -> Client:
    actions.sync_definitions()
    return client_of(coordinator)


def _upload(text: str | bytes, name: str = "own.toml") -> dict[str, Any]:
    content = text if isinstance(text, bytes) else text.encode()
    return {"file": SimpleUploadedFile(name, content)}


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_load_stores_the_file_and_opens_its_page(person: Client, headers: dict[str, str]) -> None:
    response = person.post(reverse(ADD), _upload(OWN), headers=headers)
    row = Protocol.objects.get(key="short")
    goal = f"/protocols/{row.pk}/"
    assert response["HX-Redirect" if headers else "Location"] == goal
    assert row.toml == OWN
    assert AuditEntry.objects.filter(action="protocol.add").count() == 1
    assert "You are the therapist. End with {{ marker }}." in person.get(goal).content.decode()
    assert person.get(f"{goal}file/").content.decode() == OWN


BROKEN: dict[str, tuple[str | bytes, str]] = {
    "no toml": ("key = ", "own.toml: not a valid TOML file"),
    "key unknown": (
        OWN.replace("nudge_from", "nuge_from"),
        "own.toml, line 25: the key 'nuge_from' is not known here",
    ),
    "placeholder": (
        OWN.replace('{{ marker }}."\ncase', '{{ maker }}."\ncase'),
        "placeholder maker",
    ),
    "nested table": (
        OWN + '\n[resistance]\nstart = 11\nearned_by = ["reflects"]\nnote_open = "[x"\n'
        'stages = [{ up_to = 10, text = "x" }]\n',
        "own.toml, line 46: 'start' must be 10 or less; change it.",
    ),
    "built-in key": (
        OWN.replace('"short"', '"cbt-plan"'),
        "own.toml: 'cbt-plan' comes with the program; give your protocol another 'key'.",
    ),
    "not UTF-8": (b"key = '\xff'", "own.toml is not in UTF-8; save it in UTF-8."),
    "empty": ("", "own.toml: the key 'key' is missing; add it."),
    "too large": ("#" * 1_000_001, "larger than 1 MB"),
}


@pytest.mark.parametrize("headers", [{}, HTMX])
@pytest.mark.parametrize("name", BROKEN)
def test_load_says_what_is_wrong_and_stores_nothing(
    person: Client, name: str, headers: dict[str, str]
) -> None:
    content, sentence = BROKEN[name]
    before = Protocol.objects.count()
    response = person.post(reverse(ADD), _upload(content), headers=headers)
    assert response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    (error,) = response.context["form"].errors["file"]
    assert sentence in error
    assert error.endswith(".")
    assert ("<html" in response.content.decode()) == (not headers)
    assert Protocol.objects.count() == before


def test_load_refuses_another_text_under_a_version_that_is_taken(db: None) -> None:
    first = actions.add_protocol(text=OWN, origin="own.toml", by=None)
    assert actions.add_protocol(text=OWN, origin="again.toml", by=None) == first
    with pytest.raises(Refused, match=r"^own\.toml: short 1 is stored with another text; raise"):
        actions.add_protocol(text=f"{OWN}\n# changed", origin="own.toml", by=None)
    newer = actions.add_protocol(
        text=OWN.replace('version = "1"', 'version = "2"'), origin="own.toml", by=None
    )
    assert actions.protocol_row("short") == newer


@pytest.mark.parametrize("more", [1, 3])
def test_list_marks_older_versions_at_the_same_cost(
    person: Client, more: int, django_assert_num_queries: Queries
) -> None:
    for number in range(more):
        text = OWN.replace('version = "1"', f'version = "1.{number}"')
        actions.add_protocol(text=text, origin="own.toml", by=None)
    with django_assert_num_queries(3):
        listed = person.get(reverse("generation:protocol_list")).context["listed"]
    assert [each.row.key for each in listed if each.builtin] == ["cbt-plan", "sqpsych"]
    assert [(each.row.version, each.current) for each in listed if each.row.key == "short"] == [
        (f"1.{number}", number == more - 1) for number in reversed(range(more))
    ]


def test_page_shows_rules_phases_switches_and_every_prompt(person: Client) -> None:
    row = Protocol.objects.get(key="cbt-plan")
    response = person.get(f"/protocols/{row.pk}/")
    page = response.content.decode()
    protocol = builtin_protocols()["cbt-plan"]
    for phase in protocol.phases:
        assert phase.title in page
    for switch in protocol.switches:
        assert f"<code>{switch.key}</code>" in page
    assert dict(response.context["rules"])["Therapist sees"] == (
        "the intake: no diagnosis, no answers"
    )
    titles = [each.title for each in response.context["prompts"]]
    assert titles[0] == "Cognitive conceptualisation: instructions to the client’s model"
    assert len(titles) == len(set(titles)) == 29


def test_text_of_a_file_is_shown_as_text(person: Client) -> None:
    row = actions.add_protocol(
        text=OWN.replace("You are the client.", HOSTILE).replace("A short talk", HOSTILE),
        origin="own.toml",
        by=None,
    )
    for address in (f"/protocols/{row.pk}/", "/protocols/"):
        page = person.get(address).content.decode()
        assert HOSTILE not in page
        assert "&lt;img src=x" in page


@pytest.fixture
def planned(db: None) -> Dialogue:
    """A dialogue of cbt-plan with a form, a draft that was revised, and what is tracked."""
    rows.make_server()
    spec = actions.ArmSpec("A", "cbt-plan", rows.MODEL, rows.MODEL, switches={"style": "upset"})
    batch = actions.create_batch(
        name="b", profile_set=rows.make_set(1), arms=[spec], by=None, risk_reason="for a test"
    )
    dialogue = batch.dialogues.get()
    rows.speak(dialogue, ["Hello.", "Um.", "I see.", "Yes."])
    for number, tracked in enumerate(
        ({"phase": "arrive"}, {"phase": "arrive", "resistance": 5}, {"phase": "agenda"}), start=1
    ):
        dialogue.turns.filter(number=number).delete()
        Turn.objects.create(
            dialogue=dialogue,
            number=number,
            text="Hm.",
            tracked=tracked,
            created_at=rows.WHEN,
            role="therapist" if number % 2 else "client",
        )
    form = {"focus": HOSTILE, "goals": ["Rest", "Walk"]}
    Dialogue.objects.filter(pk=dialogue.pk).update(forms={"plan": form})
    common = {"dialogue": dialogue, "created_at": rows.WHEN}
    answer = form_answer({"json_schema": {"name": "SessionPlan"}}, 0) or ""
    Attempt.objects.create(
        **common,
        turn_number=0,
        number=1,
        role="therapist",
        purpose="preparation",
        outcome="accepted",
        text=answer,
    )
    Attempt.objects.filter(dialogue=dialogue, turn_number=3).update(outcome="drafted")
    Attempt.objects.create(
        **common,
        turn_number=3,
        number=2,
        role="therapist",
        purpose="critique",
        outcome="accepted",
        text='{"verdict": "revise"}',
    )
    return dialogue


def test_dialogue_page_shows_plan_phases_resistance_and_critique(
    person: Client, planned: Dialogue
) -> None:
    response = person.get(f"/dialogues/{planned.uid}/")
    page = response.content.decode()
    (prepared,) = response.context["prepared"]
    assert (prepared.title, prepared.sections) == (
        "Session plan",
        [("Focus", [HOSTILE]), ("Goals", ["Rest", "Walk"])],
    )
    assert HOSTILE not in page
    turns = response.context["turns"]
    assert [turn.number for turn in turns] == [1, 2, 3, 4]
    assert [(turn.phase, turn.state) for turn in turns] == [
        ("Arriving and mood", ""),
        ("", "resistance 5 of 10"),
        ("Agenda", ""),
        ("", ""),
    ]
    assert [each.outcome for each in turns[2].attempts] == [
        "Draft, revised later",
        "Critique, accepted",
    ]
    assert "{&quot;verdict&quot;: &quot;revise&quot;}" in page
    facts = dict(response.context["facts"])
    assert (facts["Switches"], facts["Client’s style"]) == ("style upset", "upset")
