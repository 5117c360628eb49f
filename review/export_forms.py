"""What an export includes, as a person chooses it; everything unless they say otherwise."""

from collections.abc import Mapping
from typing import Any, cast

from django import forms

from review.models import Study, StudyRater
from review.tables import Options
from review.tables.frame import BEGUN, arms_of
from review.writers import FORMATS

OTHERS_OFFERED = 100


class ExportForm(forms.Form):
    """One study's export, perhaps with others. Empty choices mean: all."""

    format = forms.ChoiceField(
        choices=[
            ("csv", "CSV, with scripts for R and Python"),
            ("jsonl", "JSON lines"),
            ("parquet", "Parquet"),
        ],
        required=False,
        label="Format",
    )
    comments = forms.ChoiceField(
        choices=[("yes", "with the raters' comments"), ("no", "without comments")],
        required=False,
        label="Comments",
    )
    since = forms.DateField(
        required=False, label="Submitted from", widget=forms.DateInput(attrs={"type": "date"})
    )
    until = forms.DateField(
        required=False, label="Submitted up to", widget=forms.DateInput(attrs={"type": "date"})
    )
    state = forms.MultipleChoiceField(
        required=False,
        label="State",
        widget=forms.CheckboxSelectMultiple,
        choices=[(state.value, state.label) for state in BEGUN],
    )
    instrument = forms.MultipleChoiceField(
        required=False, label="Instruments", widget=forms.CheckboxSelectMultiple
    )
    rater = forms.MultipleChoiceField(
        required=False, label="Raters", widget=forms.CheckboxSelectMultiple
    )
    arm = forms.MultipleChoiceField(
        required=False, label="Arms", widget=forms.CheckboxSelectMultiple
    )
    also = forms.MultipleChoiceField(
        required=False, label="Other studies in the same files", widget=forms.CheckboxSelectMultiple
    )

    def __init__(self, study: Study, given: Any = None, *, with_arms: bool) -> None:
        super().__init__(given)
        self.study = study
        links = study.study_instruments.select_related("instrument").order_by("position")
        self._offer("instrument", {one.instrument.key: one.instrument.title for one in links})
        raters = StudyRater.objects.filter(study=study).values_list("code", flat=True)
        self._offer("rater", {code: code for code in sorted(raters, key=lambda c: (len(c), c))})
        if with_arms:
            self._offer("arm", {arm: arm for arm in sorted(set(arms_of(study).values()))})
        else:  # choosing by arm would tell the arm of each dialogue
            del self.fields["arm"]
        others = Study.objects.exclude(pk=study.pk).order_by("-pk")[:OTHERS_OFFERED]
        self._offer("also", {str(one.pk): one.name for one in others})

    def _offer(self, name: str, choices: Mapping[str, str]) -> None:
        cast(forms.MultipleChoiceField, self.fields[name]).choices = list(choices.items())

    @property
    def options(self) -> Options:
        """The checked choices."""
        given = self.cleaned_data
        return Options(
            comments=given["comments"] != "no",
            format=given["format"] or FORMATS[0],
            instruments=tuple(given["instrument"]),
            arms=tuple(given.get("arm", ())),
            raters=tuple(given["rater"]),
            states=tuple(given["state"]),
            since=given["since"],
            until=given["until"],
        )

    @property
    def studies(self) -> list[Study]:
        """The study and those added to it, in the order they were made."""
        others = Study.objects.filter(pk__in=[int(pk) for pk in self.cleaned_data["also"]])
        return [self.study, *others.order_by("pk")]

    @property
    def problem(self) -> str:
        """The first thing wrong, in one sentence."""
        for name, errors in self.errors.items():
            label = self.fields[name].label if name in self.fields else name
            return f"{label}: {errors[0]}"
        return ""
