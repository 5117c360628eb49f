"""Filters of the list pages: a GET form each; a choice that makes no sense is passed over."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.db.models import Q, QuerySet, Subquery

from generation import words
from generation.actions.traits import BAND, CONDITION, trait_names
from generation.models import (
    Arm,
    Batch,
    BatchState,
    ClientProfile,
    Dialogue,
    DialogueState,
    DialogueTrait,
    Finding,
    Origin,
)
from generation.profile_findings import KINDS as CONTRADICTIONS
from generation.screening import Severity

_ANY = [("", "any")]
_BATCHES_OFFERED = 200
_PROFILES_LOOKED_AT = 200
_HEX = re.compile(r"[0-9a-f]{4,32}", re.ASCII)
_LARGEST = 2**63 - 1


class _Filter(forms.Form):
    """Choices of a list page; one that makes no sense is passed over."""

    def chosen(self, name: str) -> Any:
        """The value of a filter, None when it is not set."""
        self.is_valid()
        return self.cleaned_data.get(name) or None

    @property
    def is_set(self) -> bool:
        """Whether anything is filtered."""
        return any(self.chosen(name) for name in self.fields)

    @property
    def query(self) -> str:
        """The filters that are set, as the part of an address after its ``?``."""
        values = {name: self.chosen(name) for name in self.fields}
        return urlencode({name: value for name, value in values.items() if value is not None})


class _Name(forms.CharField):
    """A name out of a list that is filled in only where it is shown."""

    def __init__(self) -> None:
        super().__init__(required=False, max_length=200, widget=forms.Select)


class _Number(forms.IntegerField):
    """An id out of a list that is too long to be looked through for each request."""

    def __init__(self) -> None:
        super().__init__(required=False, min_value=1, max_value=_LARGEST, widget=forms.Select)


class DialogueFilter(_Filter):
    """Which dialogues to list. ``batch``: on the page of one batch, only its own; ``profiles``:
    also by what the profiles are like, for those who may see profiles."""

    find = forms.CharField(
        required=False, max_length=120, widget=forms.TextInput(attrs={"type": "search"})
    )
    state = forms.ChoiceField(choices=[*_ANY, *DialogueState.choices], required=False)
    batch = _Number()
    arm = _Number()
    origin = forms.ChoiceField(choices=[*_ANY, *Origin.choices], required=False)
    condition = _Name()
    band = _Name()
    finding = forms.ChoiceField(
        choices=lambda: [*_ANY, *words.finding_choices().items()], required=False
    )
    severity = forms.ChoiceField(
        choices=[*_ANY, *((str(each), words.severity(each)) for each in Severity)], required=False
    )
    reason = forms.CharField(required=False, max_length=60, widget=forms.HiddenInput)

    def __init__(
        self, *args: Any, batch: Batch | None = None, profiles: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.own = batch
        if not profiles:
            del self.fields["condition"], self.fields["band"]
        if batch is not None:
            del self.fields["batch"], self.fields["origin"]

    @property
    def query(self) -> str:
        """As everywhere; filters on a batch's own page keep to that batch elsewhere too."""
        query = super().query
        return f"{query}&batch={self.own.pk}" if self.own and query else query

    @property
    def batch_id(self) -> int | None:
        """The batch that is looked at, if it is only one."""
        return self.own.pk if self.own else self.chosen("batch")

    def clean_batch(self) -> int | None:
        """Only a batch that there is."""
        given: int | None = self.cleaned_data["batch"]
        return given if given and Batch.objects.filter(pk=given).exists() else None

    def clean_arm(self) -> int | None:
        """Only an arm of the batch that is looked at."""
        given: int | None = self.cleaned_data["arm"]
        batch = self.own.pk if self.own else self.cleaned_data.get("batch")
        fits = given and batch and Arm.objects.filter(pk=given, batch=batch).exists()
        return given if fits else None

    def offer(self) -> None:
        """Fill in the lists that come from rows: for a page that shows the form. Four queries at
        most."""
        if "batch" in self.fields:
            rows = Batch.objects.filter(preview=False).order_by("-id").values_list("id", "name")
            offered = dict(rows[:_BATCHES_OFFERED])
            chosen = self.chosen("batch")
            if chosen and chosen not in offered:
                offered |= dict(Batch.objects.filter(pk=chosen).values_list("id", "name"))
            _offer(self, "batch", [(pk, f"{name} (no. {pk})") for pk, name in offered.items()])
        arms = Arm.objects.filter(batch=self.batch_id) if self.batch_id else Arm.objects.none()
        _offer(self, "arm", [(arm.pk, arm.label) for arm in arms.only("label", "batch_id")])
        if "band" in self.fields:
            names = trait_names()
            for field, prefix in _TRAITS:
                found = [name.removeprefix(prefix) for name in names if name.startswith(prefix)]
                _offer(self, field, [(name, _spelt(name)) for name in found])

    def apply(self, rows: QuerySet[Dialogue]) -> QuerySet[Dialogue]:
        """The rows that fit. Each filter has its index, so that any of them is fast alone."""
        for field, column in (("state", "state"), ("origin", "origin"), ("arm", "arm_id")):
            if (value := self.chosen(field)) is not None:
                rows = rows.filter(**{column: value})
        if self.batch_id is None and not self.chosen("origin"):
            rows = rows.exclude(origin=Origin.PREVIEW)
        # An arm is of one batch: asking for both would lead away from the arm's index.
        if self.batch_id is not None and not self.chosen("arm"):
            rows = rows.filter(batch_id=self.batch_id)
        if reason := self.chosen("reason"):
            rows = rows.filter(state=DialogueState.FAILED, failure_reason=reason)
        named = {name: self.chosen(field) for field, name in _FINDINGS if self.chosen(field)}
        if named:
            found = Finding.objects.filter(**named).order_by().values("dialogue")
            rows = rows.filter(pk__in=found)
        for field, prefix in _TRAITS:
            if name := self.chosen(field):
                # Joined, so that the index on names gives the order too; a name occurs once each.
                # The newest that has it is where to begin, however long ago that was.
                having = DialogueTrait.objects.filter(name=f"{prefix}{name}")
                newest = having.order_by("-dialogue").values("dialogue")[:1]
                rows = rows.filter(traits__name=f"{prefix}{name}", pk__lte=Subquery(newest))
        if text := self.chosen("find"):
            rows = rows.filter(_named(text))
        return rows


_FINDINGS = (("finding", "kind"), ("severity", "severity"))
_TRAITS = (("condition", CONDITION), ("band", BAND))


def _spelt(name: str) -> str:
    """``phq9:severe`` as people read it."""
    questionnaire, colon, band = name.partition(":")
    return f"{questionnaire.upper()}: {band}" if colon else name


def _offer(form: forms.Form, name: str, choices: Sequence[tuple[int | str, str]]) -> None:
    cast(forms.Select, form.fields[name].widget).choices = [*_ANY, *choices]


def _named(text: str) -> Q:
    """Dialogues whose public id begins like this, or whose profile or file is called so."""
    profiles = ClientProfile.objects.filter(profile_id=text).order_by("-pk")
    called = Q(external_id=text)
    if ids := list(profiles.values_list("pk", flat=True)[:_PROFILES_LOOKED_AT]):
        called |= Q(profile__in=ids)
    start = text.lower().replace("-", "")
    if _HEX.fullmatch(start):
        called |= Q(uid__gte=UUID(start.ljust(32, "0")), uid__lte=UUID(start.ljust(32, "f")))
    return called


class ProfileFilter(_Filter):
    """Which profiles of a set to list."""

    condition = forms.ChoiceField(required=False)
    band = forms.ChoiceField(required=False)
    risk = forms.ChoiceField(
        choices=[*_ANY, ("yes", "marked"), ("no", "not marked")], required=False
    )
    contradiction = forms.ChoiceField(
        choices=[*_ANY, ("some", "any kind"), *CONTRADICTIONS.items(), ("none", "none seen")],
        required=False,
    )

    def __init__(
        self, *args: Any, conditions: Sequence[str], bands: Mapping[str, str], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        for name, choices in (
            ("condition", [(each, each) for each in conditions]),
            ("band", list(bands.items())),
        ):
            cast(forms.ChoiceField, self.fields[name]).choices = [*_ANY, *choices]

    def apply(self, rows: QuerySet[ClientProfile]) -> QuerySet[ClientProfile]:
        """The rows that fit."""
        if condition := self.chosen("condition"):
            rows = rows.filter(condition=condition)
        if band := self.chosen("band"):
            key, label = band.split(":", 1)
            rows = rows.filter(bands__contains={key: label})
        if risk := self.chosen("risk"):
            rows = rows.filter(risk_positive=risk == "yes")
        match self.chosen("contradiction"):
            case None:
                pass
            case "none":
                rows = rows.filter(findings=[])
            case "some":
                rows = rows.exclude(findings=[])
            case kind:
                rows = rows.filter(findings__contains=[{"kind": kind}])
        return rows


class BatchFilter(_Filter):
    """Which batches to list."""

    state = forms.ChoiceField(choices=[*_ANY, *BatchState.choices], required=False)
