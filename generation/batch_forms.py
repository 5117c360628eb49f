"""The batch designer's forms: the profiles, the arms, and what is common to all of them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from django import forms
from django.db.models import Count, Q
from django.http import QueryDict

from generation import words
from generation.actions import ArmSpec
from generation.actions.chosen_profiles import fitting
from generation.actions.definitions import stored_definitions
from generation.batch_rows import SWITCH, known_protocols, model_choices, number_of_arms
from generation.models import ProfileSet
from generation.protocol_switches import Switch
from generation.protocols import Protocol as ProtocolData
from generation.selection import ProfileFilter

if TYPE_CHECKING:
    SetField = forms.ModelChoiceField[ProfileSet]
else:
    SetField = forms.ModelChoiceField


class _Sets(SetField):
    def label_from_instance(self, obj: Any) -> str:
        return f"{obj.name} ({words.count(obj.size, 'profile')})"


class _Several(forms.MultipleChoiceField):
    """Any of a few; what is no longer offered, for another set was chosen, is passed over."""

    def __init__(self, label: str) -> None:
        super().__init__(label=label, required=False, widget=forms.CheckboxSelectMultiple)

    def clean(self, value: Any) -> Any:
        offered = {str(key) for key, _ in cast(Iterable[tuple[str, str]], self.choices)}
        return super().clean([each for each in value or () if each in offered])


class BatchForm(forms.Form):
    """Which profiles, how often, under which name."""

    name = forms.CharField(label="Name of the batch", max_length=120)
    profile_set = _Sets(
        queryset=ProfileSet.objects.none(), label="Profile set", empty_label="Choose a set"
    )
    conditions = _Several("Condition")
    bands = _Several("Severity")
    genders = _Several("Gender")
    min_age = forms.IntegerField(label="Age from", min_value=0, max_value=130, required=False)
    max_age = forms.IntegerField(label="to", min_value=0, max_value=130, required=False)
    findings = forms.ChoiceField(
        label="Contradictions noted",
        choices=[("", "any"), ("none", "none"), ("some", "some")],
        required=False,
    )
    at_most = forms.IntegerField(
        label="At most so many, drawn by the seed", min_value=1, max_value=200_000, required=False
    )
    with_risk = forms.BooleanField(
        label="Let profiles with a positive risk item take part", required=False
    )
    risk_reason = forms.CharField(
        label="Why they take part",
        max_length=300,
        required=False,
        help_text="Stays with the batch and in the audit.",
    )
    per_profile = forms.IntegerField(
        label="Dialogues per profile and arm", min_value=1, max_value=1000
    )
    seed = forms.IntegerField(
        label="Seed",
        min_value=0,
        max_value=2**62,
        help_text="Profiles, settings and seed together fix what is asked of the models.",
    )
    preview = forms.IntegerField(required=False, widget=forms.HiddenInput)

    def __init__(self, data: QueryDict) -> None:
        super().__init__(data)
        sets = ProfileSet.objects.annotate(size=Count("profiles")).order_by("-created_at", "-id")
        cast(SetField, self.fields["profile_set"]).queryset = sets
        self._offer_what_the_set_has(data.get("profile_set", ""))

    def _offer_what_the_set_has(self, chosen: str) -> None:
        if not (chosen.isdecimal() and len(chosen) < 19):
            return
        kinds = (
            ProfileSet.objects.filter(pk=chosen)
            .order_by()
            .values_list("profiles__condition", "profiles__gender", "profiles__questionnaires")
            .distinct()
        )
        conditions, genders, hashes = set(), set(), dict[str, str]()
        for condition, gender, questionnaires in kinds:
            conditions.add(condition or "")
            genders.add(gender or "")
            hashes.update(questionnaires or {})
        bands = [
            (f"{key}:{band.label}", f"{_short(definition.title)}: {band.label}")
            for key, definition in sorted(stored_definitions(hashes).items())
            for band in definition.bands
        ]
        for name, choices in (
            ("conditions", [(each, each) for each in sorted(conditions - {""})]),
            ("genders", [(each, each) for each in sorted(genders - {""})]),
            ("bands", bands),
        ):
            cast(forms.MultipleChoiceField, self.fields[name]).choices = choices

    def clean(self) -> dict[str, Any]:
        """Only what concerns two fields."""
        given = super().clean() or self.cleaned_data
        if given.get("with_risk") and not given.get("risk_reason"):
            self.add_error("risk_reason", "Say why they take part; it is kept with the batch.")
        low, high = given.get("min_age"), given.get("max_age")
        if low is not None and high is not None and low > high:
            self.add_error("max_age", "The greatest age is below the least.")
        return given

    def selection(self) -> ProfileFilter:
        """The profiles asked for, by those of the fields that make sense."""
        given = self.cleaned_data
        bands: dict[str, list[str]] = {}
        for each in given.get("bands", ()):
            key, _, label = each.partition(":")
            bands.setdefault(key, []).append(label)
        return ProfileFilter(
            conditions=tuple(given.get("conditions", ())),
            genders=tuple(given.get("genders", ())),
            min_age=given.get("min_age"),
            max_age=given.get("max_age"),
            findings=given.get("findings", ""),
            bands={key: tuple(labels) for key, labels in bands.items()},
            at_most=given.get("at_most"),
        )


def _short(title: str) -> str:
    """The short name that a title ends with, in brackets; else the title."""
    name = title.removesuffix(")").rpartition("(")[2]
    return name if title.endswith(")") and name else title


class ArmForm(forms.Form):
    """One arm; its switches are those of the protocol that is chosen."""

    label = forms.CharField(label="Label", max_length=40)
    protocol = forms.ChoiceField(label="Protocol")
    therapist_model = forms.ChoiceField(label="Therapist")
    client_model = forms.ChoiceField(label="Client")

    def __init__(
        self,
        data: QueryDict,
        number: int,
        protocols: Mapping[str, ProtocolData],
        models: Sequence[tuple[str, str]],
    ) -> None:
        super().__init__(data, prefix=f"arm-{number}")
        self.number = number
        titles = [(key, f"{key} {each.version}: {each.title}") for key, each in protocols.items()]
        for name, choices in (
            ("protocol", titles),
            ("therapist_model", models),
            ("client_model", models),
        ):
            cast(forms.ChoiceField, self.fields[name]).choices = choices
        chosen = data.get(self.add_prefix("protocol"), "")
        self.follows = protocols.get(chosen) or next(iter(protocols.values()))
        for switch in self.follows.switches:
            self.fields[SWITCH + switch.key] = _switch_field(switch)

    def switches(self) -> Iterator[forms.BoundField]:
        """The fields of the protocol's switches."""
        for name in self.fields:
            if name.startswith(SWITCH):
                yield self[name]

    def spec(self) -> ArmSpec:
        """The arm as it is asked for; call it when the form is valid."""
        given = self.cleaned_data
        return ArmSpec(
            label=given["label"],
            protocol=given["protocol"],
            therapist_model=given["therapist_model"],
            client_model=given["client_model"],
            switches={
                name.removeprefix(SWITCH): value
                for name, value in given.items()
                if name.startswith(SWITCH) and value
            },
        )


def _switch_field(switch: Switch) -> forms.Field:
    if not switch.is_choice:
        return forms.BooleanField(label=switch.title, help_text=switch.help, required=False)
    choices = [("", "as the protocol says"), *((str(each), str(each)) for each in switch.values)]
    return forms.ChoiceField(
        label=switch.title, help_text=switch.help, choices=choices, required=False
    )


class Chosen:
    """How many profiles fit, how many of them are risk-positive, how many take part."""

    def __init__(self, form: BatchForm, arms: Iterable[ArmForm]) -> None:
        wanted = form.selection()
        self.set: ProfileSet = form.cleaned_data["profile_set"]
        self.all: int = cast(Any, self.set).size
        row = fitting(self.set.profiles.all(), wanted).aggregate(
            n=Count("*"), risky=Count("pk", filter=Q(risk_positive=True))
        )
        self.fit: int = row["n"]
        self.risky: int = row["risky"]
        asked = any(each.follows.risk_profiles == "opt_in" for each in arms)
        self.asks = asked and bool(self.risky)
        self.left_out = self.risky if asked and not form.cleaned_data.get("with_risk") else 0
        taken = self.fit - self.left_out
        self.taken = min(taken, wanted.at_most) if wanted.at_most else taken

    @property
    def in_words(self) -> str:
        """``12 of 20 profiles fit; 3 with a positive risk item stay out; 5 are drawn``."""
        said = [f"{self.fit:,} of {words.count(self.all, 'profile')} fit"]
        if self.left_out:
            said.append(f"{self.left_out:,} with a positive risk item stay out")
        elif self.risky:
            said.append(f"{self.risky:,} with a positive risk item take part")
        if self.taken < self.fit - self.left_out:
            said.append(f"{self.taken:,} are drawn")
        return "; ".join(said) + "."


class BatchDesign:
    """All forms of the page, filled in from what was sent, or from what a page begins with."""

    def __init__(self, data: QueryDict) -> None:
        protocols = known_protocols()
        models = model_choices()
        self.any_model = bool(models)
        self.any_model_ready = any("(" not in label for _, label in models)
        self.form = BatchForm(data)
        self.arms = [
            ArmForm(data, number, protocols, models) for number in range(number_of_arms(data))
        ]
        # All of them, not only up to the first that is wrong.
        self._valid = not sum(not each.is_valid() for each in (self.form, *self.arms))

    @property
    def is_valid(self) -> bool:
        """Whether every field makes sense by itself."""
        return self._valid

    def hush(self) -> None:
        """Complain of nothing yet: the person is still at it."""
        for each in (self.form, *self.arms):
            each.errors.clear()

    def refuse(self, sentence: str) -> None:
        """Show why the whole is not possible."""
        self.form.add_error(None, sentence)

    def problems(self) -> Iterator[tuple[str, str, str]]:
        """Each problem as the id of its field (or nothing), the field's name, and the sentence."""
        for error in self.form.non_field_errors():
            yield "", "", str(error)
        named = [("", self.form), *((f"Arm {each.number + 1}: ", each) for each in self.arms)]
        for where, form in named:
            for field in form:
                for error in field.errors:
                    yield field.id_for_label or field.auto_id, f"{where}{field.label}", str(error)

    def chosen(self) -> Chosen | None:
        """The profiles that fit so far, once there is a set. One query."""
        if not self.form.cleaned_data.get("profile_set"):
            return None
        return Chosen(self.form, self.arms)

    def arguments(self) -> dict[str, Any]:
        """What ``create_batch`` and ``start_preview`` take, but ``by``."""
        given = self.form.cleaned_data
        return {
            **{name: given[name] for name in ("name", "profile_set", "per_profile", "seed")},
            "arms": [each.spec() for each in self.arms],
            "profiles": self.form.selection(),
            "risk_reason": given["risk_reason"] if given["with_risk"] else "",
        }
