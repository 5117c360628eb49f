"""The forms of the study pages: the list's filter, and what an export includes."""

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
