"""Forms of the people pages: they check what was sent, the actions decide."""

from django import forms

from sqpsych_site.roles import Role

ABOUT = {
    Role.RATER: "rates dialogues in studies and sees nothing else",
    Role.COORDINATOR: "imports profiles, runs batches, makes studies",
    Role.RESEARCHER: "reads studies and batches and exports them",
    Role.ADMINISTRATOR: "does all of this, and makes accounts",
}


class AccountForm(forms.Form):
    """A new account."""

    username = forms.CharField(
        max_length=150,
        label="Name to sign in with",
        help_text="Letters, digits and @ . + - _ only. Prefer a pseudonym to a real name.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none"}),
    )
    role = forms.ChoiceField(
        choices=[(role.value, f"{role.label}: {ABOUT[role]}") for role in Role],
        widget=forms.RadioSelect,
        initial=Role.RATER,
        label="Role",
    )


class RoleForm(forms.Form):
    """Another role for an account."""

    role = forms.ChoiceField(choices=Role.choices, label="Role")
