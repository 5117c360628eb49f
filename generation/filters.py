"""Filters of the list pages: a GET form each; a choice that makes no sense is passed over."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from django import forms
from django.db.models import Exists, OuterRef, QuerySet

from generation import words
from generation.models import (
    Batch,
    BatchState,
    ClientProfile,
    Dialogue,
    DialogueState,
    Finding,
    Origin,
)

if TYPE_CHECKING:
    BatchField = forms.ModelChoiceField[Batch]
else:
    BatchField = forms.ModelChoiceField

_ANY = [("", "any")]


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


class _Batches(BatchField):
    def label_from_instance(self, obj: Any) -> str:
        return f"{obj.name} (no. {obj.pk})"


class DialogueFilter(_Filter):
    """Which dialogues to list."""

    state = forms.ChoiceField(choices=[*_ANY, *DialogueState.choices], required=False)
    batch = _Batches(queryset=Batch.objects.order_by("-id"), required=False, empty_label="any")
    origin = forms.ChoiceField(choices=[*_ANY, *Origin.choices], required=False)
    finding = forms.ChoiceField(
        choices=lambda: [*_ANY, *words.finding_choices().items()], required=False
    )
    reason = forms.CharField(required=False, max_length=60, widget=forms.HiddenInput)

    def apply(self, rows: QuerySet[Dialogue]) -> QuerySet[Dialogue]:
        """The rows that fit."""
        for field in ("state", "batch", "origin"):
            if (value := self.chosen(field)) is not None:
                rows = rows.filter(**{field: value})
        if reason := self.chosen("reason"):
            rows = rows.filter(state=DialogueState.FAILED, failure_reason=reason)
        if kind := self.chosen("finding"):
            rows = rows.filter(Exists(Finding.objects.filter(dialogue=OuterRef("pk"), kind=kind)))
        return rows


class ProfileFilter(_Filter):
    """Which profiles of a set to list."""

    condition = forms.ChoiceField(required=False)
    band = forms.ChoiceField(required=False)
    risk = forms.ChoiceField(
        choices=[*_ANY, ("yes", "marked"), ("no", "not marked")], required=False
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
        return rows


class BatchFilter(_Filter):
    """Which batches to list."""

    state = forms.ChoiceField(choices=[*_ANY, *BatchState.choices], required=False)
