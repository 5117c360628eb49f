"""What the generation pages take in; whether it makes sense as a whole is the actions' business."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.db.models import Count
from django.forms.boundfield import BoundWidget

from generation import words
from generation.actions.definitions import parsed_protocol
from generation.models import (
    Batch,
    Endpoint,
    EndpointState,
    ProfileSet,
    Protocol,
)
from generation.profile_records import MAX_BYTES
from generation.protocols import Protocol as ProtocolData
from generation.protocols import builtin_protocols

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


@dataclass(frozen=True)
class Estimate:
    """What a batch would ask for."""

    profiles: int
    dialogues: int
    fewest: int
    most: int

    @property
    def in_words(self) -> str:
        """One sentence."""
        return (
            f"{words.count(self.profiles, 'profile')}, {words.count(self.dialogues, 'dialogue')}:"
            f" about {words.compact(self.fewest)} to {words.compact(self.most)} requests to the"
            " model, and a few more where a reply has to be asked for again."
        )


@dataclass(frozen=True)
class ProtocolChoice:
    """A protocol as the form offers it."""

    radio: BoundWidget
    protocol: ProtocolData


def known_protocols() -> dict[str, ProtocolData]:
    """Protocols that may be used, by key: those that come along, and the group's newest. A read."""
    rows = Protocol.objects.order_by("created_at", "id")
    return {row.key: parsed_protocol(row.toml) for row in rows} | builtin_protocols()


def model_choices() -> list[tuple[str, str]]:
    """The models of enabled servers with the state of the best one; ready ones first."""
    best: dict[str, EndpointState] = {}
    for model, state in Endpoint.objects.filter(enabled=True).values_list("model", "state"):
        if state == EndpointState.READY or model not in best:
            best[model] = EndpointState(state)
    ranked = sorted(best.items(), key=lambda found: (found[1] != EndpointState.READY, found[0]))
    return [(model, f"{model} ({state.label.lower()})") for model, state in ranked]


class _Sets(SetField):
    def label_from_instance(self, obj: Any) -> str:
        return f"{obj.name} ({words.count(obj.size, 'profile')})"


class BatchForm(forms.Form):
    """A new batch."""

    name = forms.CharField(label="Name", max_length=120)
    profile_set = _Sets(
        queryset=ProfileSet.objects.none(), label="Profiles", empty_label="Choose a set"
    )
    protocol = forms.ChoiceField(label="Protocol", widget=forms.RadioSelect)
    model = forms.CharField(label="Model", max_length=200)
    per_profile = forms.IntegerField(
        label="Dialogues per profile", min_value=1, max_value=1000, initial=1
    )
    seed = forms.IntegerField(
        label="Seed",
        min_value=0,
        max_value=2**62,
        initial=DEFAULT_SEED,
        help_text="Profiles, settings and seed together fix what is asked of the model.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.protocols = known_protocols()
        titles = [
            (key, f"{each.title} ({key} {each.version})") for key, each in self.protocols.items()
        ]
        sets = ProfileSet.objects.annotate(size=Count("profiles")).order_by("-created_at", "-id")
        models = model_choices()
        self.any_model_ready = any(label.endswith("(ready)") for _, label in models)
        cast(SetField, self.fields["profile_set"]).queryset = sets
        cast(forms.ChoiceField, self.fields["protocol"]).choices = titles
        self.fields["protocol"].initial = next(iter(self.protocols))
        if models:
            self.fields["model"].widget = forms.Select(choices=models)
        else:
            self.fields["model"].help_text = "As the model server names it."

    def protocol_choices(self) -> Iterator[ProtocolChoice]:
        """Each protocol's radio button with what the protocol says of itself."""
        for radio in self["protocol"]:
            yield ProtocolChoice(radio, self.protocols[str(radio.data["value"])])

    def estimate(self) -> Estimate | None:
        """What would be asked for, if the fields it needs are right; call it after is_valid."""
        given = self.cleaned_data if self.is_bound else self._beforehand()
        if not all(given.get(name) for name in ("profile_set", "protocol", "per_profile")):
            return None
        profiles = given["profile_set"].size
        dialogues = profiles * given["per_profile"]
        ending = self.protocols[given["protocol"]].ending
        fewest, most = (dialogues * 2 * each for each in (ending.min_exchanges, ending.stop_at))
        return Estimate(profiles, dialogues, fewest, most)

    def _beforehand(self) -> dict[str, Any]:
        """What the form is filled in with, read as if it had been sent."""
        names = ("profile_set", "protocol", "per_profile")
        given = {name: self.get_initial_for_field(self.fields[name], name) for name in names}
        found = {}
        for name, value in given.items():
            try:
                found[name] = self.fields[name].clean(value)
            except forms.ValidationError:
                return {}
        return found


def initial_from(batch: Batch) -> dict[str, Any]:
    """The form's values for a batch like this one."""
    arm = batch.arms.select_related("protocol").order_by("label").first()
    chosen = {"protocol": arm.protocol.key, "model": arm.therapist_model} if arm else {}
    return {
        "name": f"{batch.name} again"[:120],
        "profile_set": batch.profile_set_id,
        "per_profile": batch.per_profile,
        "seed": batch.seed,
        **chosen,
    }


class EndpointForm(forms.Form):
    """A model server."""

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
    max_concurrency = forms.IntegerField(
        label="Requests at once", min_value=1, max_value=4096, initial=32
    )
    api_key_name = forms.CharField(
        label="Variable that holds the key",
        max_length=80,
        required=False,
        help_text="The name of an environment variable that ends in _API_KEY; the key itself is"
        " never stored here.",
    )
    supports_seed = forms.BooleanField(
        label="The server bears a seed with each request", required=False
    )
