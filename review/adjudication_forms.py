"""The plan of a study's adjudication."""

from decimal import Decimal
from typing import Any, cast

from django import forms

from review.adjudication import plan_of
from review.models import Adjudicator, Study
from sqpsych_site.models import User
from sqpsych_site.roles import Role, Verb


class PlanForm(forms.Form):
    """What counts as a disagreement, and who decides."""

    limit = forms.DecimalField(
        min_value=Decimal(0),
        max_value=Decimal(100),
        max_digits=5,
        decimal_places=2,
        label="Scale points that may lie between two ratings",
        help_text="Ratings further apart are decided. Different answers to yes/no and choices"
        " always are.",
    )
    flags = forms.BooleanField(
        required=False, label="Also decide safety flags that some raters raised and others did not"
    )
    people = forms.MultipleChoiceField(
        required=False,
        label="Adjudicators",
        widget=forms.CheckboxSelectMultiple,
        help_text="They see all judgments under pseudonyms, but never of a dialogue that they were"
        " given to rate themselves.",
    )

    def __init__(self, study: Study, given: Any = None) -> None:
        plan = plan_of(study)
        active = Adjudicator.objects.filter(study=study, active=True)
        initial = {
            "limit": plan.limit.normalize() if plan.limit else 0,
            "flags": plan.flags,
            "people": [str(pk) for pk in active.values_list("person_id", flat=True)],
        }
        super().__init__(given, initial=initial)
        roles = [role for role in Role if Verb.ADJUDICATE in role.verbs]
        people = User.objects.filter(role__in=roles, is_active=True).order_by("username")
        cast(forms.MultipleChoiceField, self.fields["people"]).choices = [
            (str(one.pk), f"{one.username} ({one.get_role_display().lower()})") for one in people
        ]

    def as_arguments(self) -> dict[str, Any]:
        """The arguments of ``plan_adjudication``, but ``study`` and ``by``."""
        chosen = [int(pk) for pk in self.cleaned_data["people"]]
        return {
            "limit": self.cleaned_data["limit"],
            "flags": self.cleaned_data["flags"],
            "people": list(User.objects.filter(pk__in=chosen).order_by("username")),
        }
