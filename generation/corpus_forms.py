"""Forms of the corpus pages: a file of dialogues, and what its columns are."""

from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.http import QueryDict

from generation.corpus_parts import MAX_BYTES
from generation.corpus_rows import LEAVE_OUT, RowChoice, guessed_role, guessed_rows

MOST_ROLES = 12
_PARTS = {
    "dialogue": "Which dialogue",
    "turn": "Place in the dialogue",
    "role": "Who speaks",
    "text": "What is said",
    "condition": "Condition",
    "therapist_model": "Therapist’s model",
    "client_model": "Client’s model",
}
_NEEDED = ("dialogue", "role", "text")
_FACTS = ("condition", "therapist_model", "client_model")


class CorpusForm(forms.Form):
    """A file of dialogues made elsewhere."""

    file = forms.FileField(
        label="File",
        allow_empty_file=True,
        help_text="CSV, JSONL, Parquet, or a zipped folder for datasets; at most 200 MB.",
        widget=forms.FileInput(attrs={"accept": ".csv,.jsonl,.ndjson,.parquet,.zip"}),
    )
    name = forms.CharField(
        label="Name of the batch",
        max_length=120,
        required=False,
        help_text="Left blank, it is the file’s name.",
    )

    def clean_file(self) -> "UploadedFile[Any]":
        """Refuse what the reader would refuse anyway."""
        upload: UploadedFile[Any] = self.cleaned_data["file"]
        if (upload.size or 0) > MAX_BYTES:
            raise forms.ValidationError("The file is larger than 200 MB; split it.")
        return upload

    def batch_name(self) -> str:
        """The name given, else the file's name without its ending."""
        given: str = self.cleaned_data["name"].strip()
        return given or str(self.cleaned_data["file"].name).rsplit(".", 1)[0][:120]


class RowsForm(forms.Form):
    """Which column of a CSV file is what, and who the values of the role column are.

    Roles are asked for once a column was chosen for them, so the form is made from what was sent,
    else from what is guessed.
    """

    def __init__(
        self, data: QueryDict | None, *, header: list[str], values: dict[str, list[str]]
    ) -> None:
        """``values``: some values of each column, for the role column all of them."""
        sent = None if data is None else data.copy()
        super().__init__(sent)
        guess = guessed_rows(header)
        columns = [(column, column[:60]) for column in header]
        for part, label in _PARTS.items():
            needed = part in _NEEDED
            blank = "in the order of the file" if part == "turn" else "not in the file"
            self.fields[part] = forms.ChoiceField(
                choices=[("", "choose a column" if needed else blank), *columns],
                required=needed,
                initial=guess[part],
                label=label,
            )
        role = guess["role"] if data is None else str(data.get("role", ""))
        found = values.get(role, [])
        # The names hold the column: another column's values were never asked about.
        self.roles = {
            f"role_{header.index(role)}_{number}": value
            for number, value in enumerate(found if len(found) <= MOST_ROLES else [])
        }
        for name, value in self.roles.items():
            if sent is not None:
                # A role that was not asked about yet is shown as what its name says.
                sent.setdefault(name, guessed_role(value))
            self.fields[name] = forms.ChoiceField(
                choices=[
                    ("therapist", "the therapist"),
                    ("client", "the client"),
                    (LEAVE_OUT, "left out"),
                ],
                initial=guessed_role(value),
                label=f"“{value[:40]}” is",
            )

    @property
    def choice(self) -> RowChoice:
        """What was chosen; for a form not sent yet, what is guessed."""
        chosen: dict[str, str] = (
            self.cleaned_data
            if self.is_bound
            else {name: str(field.initial or "") for name, field in self.fields.items()}
        )
        return RowChoice(
            dialogue=chosen["dialogue"],
            turn=chosen["turn"],
            role=chosen["role"],
            text=chosen["text"],
            roles={value: chosen[name] for name, value in self.roles.items()},
            facts={name: chosen[name] for name in _FACTS if chosen[name]},
        )

    @property
    def complete(self) -> bool:
        """Whether there is a column for everything that is needed."""
        choice = self.choice
        return all((choice.dialogue, choice.role, choice.text))
