"""Small forms of the study pages: the list's filter, precision, a file of references."""

from django import forms

from review.models import StudyState


class StudyFilter(forms.Form):
    """Which studies to list; a choice that makes no sense is passed over."""

    state = forms.ChoiceField(
        choices=[("", "any"), *StudyState.choices], required=False, label="State"
    )

    @property
    def chosen(self) -> str:
        """The state asked for, or nothing."""
        return str(self.cleaned_data.get("state", "")) if self.is_valid() else ""


class PrecisionForm(forms.Form):
    """What to work the expected interval out for."""

    expected = forms.IntegerField(
        min_value=0, max_value=95, required=False, label="Expected agreement, in percent"
    )
    width = forms.IntegerField(
        min_value=5, max_value=100, required=False, label="Interval wanted, in points"
    )

    def asked(self) -> tuple[float, float]:
        """Both as parts; what makes no sense is passed over."""
        self.is_valid()
        given = self.cleaned_data
        return (given.get("expected") or 60) / 100, (given.get("width") or 20) / 100


class ReferenceFileForm(forms.Form):
    """Reference ratings as a file."""

    file = forms.FileField(
        label="Reference ratings",
        help_text="CSV with the columns dialogue, instrument, item, value, reason; for items about"
        " turns also turn, for kinds of safety flag also flag instead of item.",
    )
