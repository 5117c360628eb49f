"""What the generation pages take in; whether it makes sense as a whole is the actions' business."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.core.files.uploadedfile import UploadedFile

from generation.models import (
    ProfileSet,
)
from generation.profile_records import MAX_BYTES

if TYPE_CHECKING:
    SetField = forms.ModelChoiceField[ProfileSet]
else:
    SetField = forms.ModelChoiceField

DEFAULT_SEED = 1
MAX_DEFINITION_BYTES = 1_000_000


class ImportForm(forms.Form):
    """A profile file."""

    file = forms.FileField(
        label="File",
        allow_empty_file=True,
        help_text="CSV, REDCap export, JSONL, or text form, in UTF-8; many texts in a zip;"
        " at most 20 MB.",
        widget=forms.FileInput(attrs={"accept": ".csv,.tsv,.txt,.jsonl,.ndjson,.md,.zip"}),
    )
    name = forms.CharField(
        label="Name of the set",
        max_length=120,
        required=False,
        help_text="Left blank, it is the file’s name.",
    )

    def clean_file(self) -> "UploadedFile[Any]":
        """Refuse what the reader would refuse anyway, before it is read into memory."""
        upload: UploadedFile[Any] = self.cleaned_data["file"]
        if (upload.size or 0) > MAX_BYTES:
            raise forms.ValidationError(
                "The file is larger than 20 MB; split it into smaller files."
            )
        return upload

    def set_name(self) -> str:
        """The name given, else the file's name without its ending."""
        given: str = self.cleaned_data["name"].strip()
        return given or str(self.cleaned_data["file"].name).rsplit(".", 1)[0][:120]


class QuestionnaireForm(forms.Form):
    """A group's own questionnaire definition."""

    file = forms.FileField(
        label="File",
        allow_empty_file=True,
        help_text="TOML in UTF-8, at most 1 MB.",
        widget=forms.FileInput(attrs={"accept": ".toml"}),
    )

    def clean_file(self) -> "UploadedFile[Any]":
        """Refuse what is too large to be a definition, before it is read into memory."""
        upload: UploadedFile[Any] = self.cleaned_data["file"]
        if (upload.size or 0) > MAX_DEFINITION_BYTES:
            raise forms.ValidationError(
                "The file is larger than 1 MB; a definition is a short text file."
            )
        return upload


class ProtocolForm(QuestionnaireForm):
    """A group's own protocol."""


class SampleForm(forms.Form):
    """A synthetic profile set."""

    name = forms.CharField(label="Name of the set", max_length=120)
    count = forms.IntegerField(
        label="Number of profiles", min_value=1, max_value=100_000, initial=20
    )
    seed = forms.IntegerField(
        label="Seed",
        min_value=0,
        max_value=2**62,
        initial=DEFAULT_SEED,
        help_text="The same seed gives the same profiles.",
    )


class ExtendForm(forms.Form):
    """More dialogues for a batch."""

    count = forms.IntegerField(
        label="Further dialogues per profile and arm", min_value=1, max_value=1000, initial=1
    )


class EndpointUseForm(forms.Form):
    """How a model server is used, and what it costs."""

    max_concurrency = forms.IntegerField(
        label="Requests at once", min_value=1, max_value=4096, initial=32
    )
    gpus = forms.IntegerField(
        label="GPUs",
        min_value=1,
        max_value=1024,
        initial=1,
        help_text="That the server occupies; GPU hours are counted with it.",
    )
    price_per_hour = forms.DecimalField(
        label="Price of an hour",
        min_value=0,
        max_value=99_999,
        decimal_places=3,
        required=False,
        help_text="Of the whole server, in your currency. Holds for requests from now on.",
    )
    supports_seed = forms.BooleanField(
        label="The server bears a seed with each request", required=False
    )


class EndpointForm(EndpointUseForm):
    """A model server."""

    field_order = ("name", "base_url", "model", "api_key_name")

    name = forms.CharField(label="Name", max_length=60, help_text="Short, for example gpu-1.")
    base_url = forms.CharField(
        label="Address",
        max_length=300,
        help_text="For example http://10.0.0.5:8000/v1. Only addresses of your own network are"
        " taken, unless the installation allows others.",
    )
    model = forms.CharField(
        label="Model", max_length=200, help_text="As the server names it under /v1/models."
    )
    api_key_name = forms.CharField(
        label="Variable that holds the key",
        max_length=80,
        required=False,
        help_text="The name of an environment variable that ends in _API_KEY; the key itself is"
        " never stored here.",
    )
