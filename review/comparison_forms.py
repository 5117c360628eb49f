"""The forms of pairwise studies: a new one, and what a rater says of a pair."""

import secrets
from typing import Any, cast

from django import forms
from django.db.models import Count

from generation.models import Batch, Dialogue, DialogueState
from review.actions import StudyTexts
from review.actions.comparison_studies import QUESTION
from review.actions.comparisons import Judged
from sqpsych_site.models import User
from sqpsych_site.roles import Role

BATCHES_OFFERED = 200


class ComparisonStudyForm(forms.Form):
    """A new pairwise study. What may go together is decided by the action."""

    name = forms.CharField(max_length=120, label="Name")
    batches = forms.MultipleChoiceField(
        label="Batches",
        widget=forms.CheckboxSelectMultiple,
        help_text="One batch with several arms, or several batches of the same client profiles."
        " Only complete dialogues of the same profile are put side by side.",
        error_messages={"required": "Choose at least one batch."},
    )
    raters = forms.MultipleChoiceField(
        label="Raters",
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Choose at least one rater."},
    )
    overlap = forms.IntegerField(
        min_value=1, max_value=1000, initial=1, label="Raters per pair",
        help_text="How many raters judge each pair; 2 or more to measure agreement.",
    )  # fmt: skip
    per_arms = forms.IntegerField(
        min_value=1,
        max_value=20_000,
        required=False,
        label="Pairs of each two arms",
        help_text="Drawn by the seed. Leave it empty to compare all there are.",
    )
    question = forms.CharField(max_length=300, label="Question to raters", initial=QUESTION)
    seed = forms.IntegerField(
        min_value=-(2**63), max_value=2**63 - 1, label="Seed",
        help_text="The same seed gives the same pairs, sides and orders.",
    )  # fmt: skip
    deadline = forms.DateField(
        required=False, label="Deadline", widget=forms.DateInput(attrs={"type": "date"})
    )
    contact = forms.CharField(
        max_length=300, required=False, label="Contact",
        help_text="Whom raters can turn to, for example when a text distresses them.",
    )  # fmt: skip
    guidelines = forms.CharField(
        max_length=20_000, required=False, label="Guidelines", widget=forms.Textarea
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        complete = Dialogue.objects.filter(state=DialogueState.COMPLETE, batch__isnull=False)
        counts = dict(complete.order_by().values_list("batch_id").annotate(n=Count("*")))
        batches = Batch.objects.filter(pk__in=counts).order_by("-pk")[:BATCHES_OFFERED]
        raters = User.objects.filter(role=Role.RATER, is_active=True).order_by("username")
        self._offer(
            "batches", [(str(b.pk), f"{b.name} ({counts[b.pk]} complete)") for b in batches]
        )
        self._offer("raters", [(name, name) for name in raters.values_list("username", flat=True)])
        self.initial.setdefault("seed", secrets.randbelow(1_000_000))

    def _offer(self, name: str, choices: list[tuple[str, str]]) -> None:
        cast(forms.MultipleChoiceField, self.fields[name]).choices = choices

    def as_arguments(self) -> dict[str, Any]:
        """The arguments of ``create_comparison_study``, but ``by``."""
        given = self.cleaned_data
        plain = ("name", "raters", "overlap", "per_arms", "question", "seed")
        return {
            **{name: given[name] for name in plain},
            "batches": list(Batch.objects.filter(pk__in=map(int, given["batches"]))),
            "texts": StudyTexts(given["guidelines"], given["contact"], given["deadline"]),
        }


class JudgedForm(forms.Form):
    """What a rater says of a pair; what is allowed is decided by the action."""

    side = forms.CharField(max_length=20, required=False)
    comment = forms.CharField(required=False, strip=False, max_length=20_000)
    base = forms.IntegerField(min_value=0, required=False)

    def judged(self) -> Judged:
        """The checked values; reasons come as a list of their own."""
        given = self.cleaned_data
        reasons = cast("Any", self.data).getlist("reasons")
        return Judged(
            given["side"], tuple(reasons), given["comment"].replace("\r\n", "\n"), given["base"]
        )
