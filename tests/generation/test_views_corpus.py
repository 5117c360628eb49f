"""Corpus pages: out in every form, back in equal, other columns mapped, nothing half stored."""

import io
import json
import zipfile
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from generation import actions
from generation.actions.corpus import ALL_FORMATS
from generation.models import Batch, Dialogue, DialogueState, ProfileSet, Turn, Upload
from sqpsych_site.models import AuditEntry, User
from tests import generation_rows as rows

HTMX = {"HX-Request": "true"}
HOSTILE = "<img src=x onerror=alert(1)>"
Queries = Callable[[int], Any]
IMPORT = "generation:corpus_import"


@pytest.fixture
def person(coordinator: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(coordinator)


def _made_here(profiles: int = 3, name: str = "pilot") -> Batch:
    """A batch with complete dialogues whose texts are hard to carry, and one that is waiting."""
    batch = rows.make_batch(profiles + 1, name)
    texts = ["Hello.\n\nClient: is that you?", "=cmd|'x'!A1", "\tGo on.\r\n", "[/END] “ö”, 'yes'"]
    for dialogue in batch.dialogues.order_by("pk")[:profiles]:
        rows.speak(dialogue, texts)
        Dialogue.objects.filter(pk=dialogue.pk).update(
            state=DialogueState.COMPLETE, turn_count=len(texts)
        )
    return batch


def _download(person: Client, batch: Batch, file_format: str) -> bytes:
    response = person.get(reverse("generation:corpus_file", args=[batch.pk, file_format]))
    assert response.status_code == HTTPStatus.OK
    assert response["Content-Disposition"].startswith('attachment; filename="batch-')
    return b"".join(response.streaming_content)  # type: ignore[attr-defined]  # a file response


def _send(person: Client, content: bytes, name: str, **more: Any) -> Any:
    given = {"file": SimpleUploadedFile(name, content), "name": ""}
    return person.post(reverse(IMPORT), given, **more)


def test_previews_are_in_no_corpus(person: Client, tmp_path: Path) -> None:
    batch, preview = _made_here(1), _made_here(1, "look")
    Batch.objects.filter(pk=preview.pk).update(preview=True)
    listed = person.get(reverse("generation:corpus_list")).context["page"].rows
    assert [each.pk for each in listed] == [batch.pk]
    for name, more in (("corpus_detail", []), ("corpus_file", ["messages"])):
        url = reverse(f"generation:{name}", args=[preview.pk, *more])
        assert person.get(url).status_code == HTTPStatus.NOT_FOUND
    out = str(tmp_path / "out.csv")
    with pytest.raises(CommandError, match=r"is a preview; previews are in no corpus\.$"):
        call_command("export_corpus", str(preview.pk), "--format", "turns", "--output", out)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("file_format", ALL_FORMATS)
def test_what_a_page_sends_out_comes_back_in_equal(person: Client, file_format: str) -> None:
    batch = _made_here()
    content = _download(person, batch, file_format)
    assert AuditEntry.objects.get(action="corpus.export").detail == {
        "format": file_format,
        "dialogues": 3,
    }
    response = _send(person, content, "again.bin")
    back = Batch.objects.get(name="again")
    assert response["Location"] == f"/batches/{back.pk}/"
    assert back.dialogues.count() == 3
    again = _download(person, back, file_format)
    if file_format != "folder":
        assert again == content
    else:
        assert _parquet_of(again) == _parquet_of(content)


def _parquet_of(packed: bytes) -> dict[str, list[Any]]:
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        return {
            name.split("/", 1)[1]: sorted(
                pq.read_table(io.BytesIO(archive.read(name))).to_pylist(),
                key=lambda row: str(row["dialogue_id"]),
            )
            for name in archive.namelist()
            if name.endswith(".parquet")
        }


def test_folder_carries_no_pseudonym_and_says_how_it_was_made(person: Client) -> None:
    batch = _made_here()
    packed = _download(person, batch, "folder")
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        names = archive.namelist()
        readme = archive.read(f"batch-{batch.pk}-corpus/README.md").decode()
    assert f"batch-{batch.pk}-corpus/data/train-00000-of-00001.parquet" in names
    assert rows.MODEL in readme
    assert "Patient Health Questionnaire" in readme
    keys = {row["profile_key"] for each in _parquet_of(packed).values() for row in each}
    assert len(keys) == 3
    assert b"P0001" not in packed
    for pseudonym in ("P0001", "P0002"):
        assert pseudonym not in readme + "".join(keys)


def test_paper_like_parquet_of_2000_rows_is_imported_whole(person: Client) -> None:
    talk = "\n".join(f"Therapist: Question {n}?\nClient: Answer {n}." for n in range(4))
    table = pa.table(
        {
            "file_id": [f"active{n}" for n in range(2_000)],
            "condition": ["mdd", "control"] * 1_000,
            "client_model": ["m"] * 2_000,
            "therapist_model": ["m"] * 2_000,
            "dialogue": [talk] * 2_000,
        }
    )
    out = io.BytesIO()
    pq.write_table(table, out)
    _send(person, out.getvalue(), "train.parquet")
    batch = Batch.objects.get(name="train")
    assert batch.dialogues.filter(state=DialogueState.COMPLETE, turn_count=8).count() == 2_000
    assert Turn.objects.filter(dialogue__batch=batch).count() == 16_000
    first = batch.dialogues.earliest("pk")
    assert (first.external_id, first.provenance["facts"]["condition"]) == ("active0", "mdd")


def test_file_that_breaks_late_stores_nothing(person: Client) -> None:
    good = {"file_id": "a", "dialogue": "Client: Hm."}
    lines = [json.dumps(good | {"file_id": f"d{n}"}) for n in range(450)]
    content = "\n".join([*lines, json.dumps({"file_id": "x", "dialogue": "Hm."})])
    response = _send(person, content.encode(), "late.jsonl")
    assert response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert response.context["form"].errors["file"] == [
        "late.jsonl, row 451, column dialogue: must begin with “Therapist:” or “Client:”."
    ]
    for model in (Batch, Dialogue, Turn, ProfileSet):
        assert not model.objects.exists()


@pytest.mark.parametrize("headers", [{}, HTMX])
@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "there is no"),
        (b"PK\x03\x04", "the zip is damaged"),
        (b"PAR1", "is not a whole Parquet file."),
        (b'{"messages": 1}', "must be an object with a list “messages”."),
        (b"file_id,dialogue\n\xff\xfea,b", "row 2: the text is not in UTF-8; save it so."),
    ],
)
def test_import_says_what_is_wrong(
    person: Client, content: bytes, sentence: str, headers: dict[str, str]
) -> None:
    response = _send(person, content, f"{HOSTILE}.csv", headers=headers)
    if content:
        assert response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
        page = response.content.decode()
        assert sentence in page
        assert "<img" not in page
        assert ("<html" in page) == (not headers)
    assert not Batch.objects.exists()


# Other columns ---------------------------------------------------------------------------------

ROWS = (
    "conversation,who,utterance,cond\n"
    f"a,Counselor,Hello {HOSTILE},mdd\na,patient,Hm.,mdd\na,note,coughs,mdd\n"
    "b,Counselor,Yes?,hc\n"
)
FIELDS = {
    "dialogue": "conversation",
    "turn": "",
    "role": "who",
    "text": "utterance",
    "condition": "cond",
    "therapist_model": "",
    "client_model": "",
    "role_1_0": "therapist",
    "role_1_1": "client",
    "role_1_2": "leave out",
}


def test_other_columns_are_mapped_looked_at_and_stored(person: Client) -> None:
    path = _send(person, ROWS.encode(), "talks.csv")["Location"]
    upload = Upload.objects.get()
    assert path == f"/corpus/import/{upload.uid}/"
    first = person.get(path)
    assert first.context["form"]["text"].value() == "utterance"
    assert first.context["preview"].problem == "Choose the columns below."
    asked = {name: value for name, value in FIELDS.items() if not name.startswith("role_")}
    form = person.post(path, asked | {"preview": ""}).context["form"]
    assert [form[f"role_1_{n}"].value() for n in range(3)] == ["therapist", "client", "leave out"]
    looked = person.post(path, FIELDS | {"preview": ""})
    assert looked.status_code == HTTPStatus.OK
    assert (looked.context["preview"].dialogues, looked.context["preview"].turns) == (2, 3)
    assert b"<img" not in looked.content
    assert not Batch.objects.exists()
    stored = person.post(path, FIELDS | {"import": ""}, headers=HTMX)
    batch = Batch.objects.get()
    assert stored["HX-Redirect"] == f"/batches/{batch.pk}/"
    assert [
        (turn.dialogue.external_id, turn.role, turn.text)
        for turn in Turn.objects.select_related("dialogue").order_by("dialogue_id", "number")
    ] == [
        ("a", "therapist", f"Hello {HOSTILE}"),
        ("a", "client", "Hm."),
        ("b", "therapist", "Yes?"),
    ]
    assert batch.dialogues.earliest("pk").provenance["facts"] == {"condition": "mdd"}
    assert not Upload.objects.exists()
    assert person.post(path, FIELDS | {"import": ""}).status_code == HTTPStatus.NOT_FOUND


@pytest.mark.parametrize("headers", [{}, HTMX])
@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"text": "who"}, "one column was chosen for two things; choose another."),
        ({"turn": "cond"}, "talks.csv, row 2, column cond: must be a number."),
        ({"role_1_0": "leave out", "role_1_1": "leave out"}, "There is no dialogue in this file"),
    ],
)
def test_bad_choice_of_columns_stores_nothing(
    person: Client, changes: dict[str, str], sentence: str, headers: dict[str, str]
) -> None:
    path = _send(person, ROWS.encode(), "talks.csv")["Location"]
    response = person.post(path, FIELDS | changes | {"import": ""}, headers=headers)
    assert response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    page = response.content.decode()
    assert sentence in page
    assert ("<html" in page) == (not headers)
    assert not Batch.objects.exists()


def test_another_person_finds_no_file(
    person: Client, make_user: Callable[..., User], client_of: Callable[[User], Client]
) -> None:
    path = _send(person, ROWS.encode(), "talks.csv")["Location"]
    other = client_of(make_user("coordinator", username="other"))
    assert other.get(path).status_code == HTTPStatus.NOT_FOUND
    assert other.post(f"{path}discard/").status_code == HTTPStatus.NOT_FOUND
    profiles = path.replace("/corpus/", "/profiles/")
    assert person.get(profiles).status_code == HTTPStatus.NOT_FOUND
    assert person.post(f"{path}discard/")["Location"] == reverse(IMPORT)
    assert not Upload.objects.exists()


# Lists -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 3])
def test_list_costs_the_same_for_any_number_of_batches(
    size: int, person: Client, django_assert_num_queries: Queries
) -> None:
    rows.make_batch(1, "still waiting")
    for number in range(size):
        text = f"dialogue_id,turn,role,text\n{number},1,client,Hm.\n"
        actions.import_dialogues(
            name=f"batch {number}",
            filename="d.csv",
            source=io.BytesIO(text.encode()),
            file_format="turns",
            by=None,
        )
    with django_assert_num_queries(4):
        shown = person.get(reverse("generation:corpus_list")).context["rows"]
    assert [(batch.name, batch.complete, models) for batch, models in shown] == [
        (f"batch {number}", 1, "imported") for number in reversed(range(size))
    ]


def test_empty_pages_say_what_to_do(
    person: Client, researcher: User, client_of: Callable[[User], Client]
) -> None:
    page = person.get(reverse("generation:corpus_list")).content.decode()
    assert f'href="{reverse(IMPORT)}"' in page
    reader = client_of(researcher)
    assert reverse(IMPORT) not in reader.get(reverse("generation:corpus_list")).content.decode()
    batch = rows.make_batch(1)
    assert b"No complete dialogue yet" in reader.get(f"/corpus/{batch.pk}/").content
    assert reader.get(f"/corpus/{batch.pk}/nonsense/").status_code == HTTPStatus.NOT_FOUND


def test_page_offers_every_form_and_says_which_holds_pseudonyms(person: Client) -> None:
    batch = _made_here()
    page = person.get(f"/corpus/{batch.pk}/").content.decode()
    assert [f'href="/corpus/{batch.pk}/{each}/"' in page for each in ALL_FORMATS] == [True] * 7
    assert page.count("in the file</span>") == 3
    assert f'href="/corpus/{batch.pk}/"' in person.get(f"/batches/{batch.pk}/").content.decode()
