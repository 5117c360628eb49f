"""The forms of the study pages: a new study, the list's filter, and what an export includes."""

import secrets
from typing import Any, cast

from django import forms
from django.db.models import Count

from generation.models import Batch, Dialogue, DialogueState, Origin
from review.actions import StudyTexts, current_instruments
from review.actions.study_design import DEFAULT_INSTRUMENTS
from review.models import Instrument, StudyState
from sqpsych_site.models import User
from sqpsych_site.roles import Role

DEMO = "demo"
BATCHES_OFFERED = 200


def dialogue_choices() -> list[tuple[str, str]]:
    """What a study can be made of: the demo dialogues, and batches with complete dialogues."""
    complete = Dialogue.objects.filter(state=DialogueState.COMPLETE)
    found = []
    if demo := complete.filter(origin=Origin.DEMO).count():
        found.append((DEMO, f"Demo dialogues ({demo})"))
    counts = dict(
        complete.filter(batch__isnull=False)
        .order_by()
        .values_list("batch_id")
        .annotate(n=Count("*"))
    )
    batches = Batch.objects.filter(pk__in=counts, preview=False).order_by("-pk")[:BATCHES_OFFERED]
    found += [(str(row.pk), f"{row.name} ({counts[row.pk]} complete)") for row in batches]
    return found


def _usual_order(row: Instrument) -> tuple[int, str]:
    """Raters meet the instruments in the order of the form: the usual ones first, as usual."""
    usual = row.key in DEFAULT_INSTRUMENTS
    place = DEFAULT_INSTRUMENTS.index(row.key) if usual else len(DEFAULT_INSTRUMENTS)
    return place, row.title


class StudyForm(forms.Form):
    """A new study. What may go together is decided by the action."""

    name = forms.CharField(max_length=120, label="Name")
    dialogues = forms.ChoiceField(
        label="Dialogues", help_text="Only complete dialogues can be rated."
    )
    instruments = forms.MultipleChoiceField(
        label="Instruments",
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Choose at least one instrument."},
    )
    raters = forms.MultipleChoiceField(
        label="Raters",
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Choose at least one rater."},
    )
    overlap = forms.IntegerField(
        min_value=1,
        max_value=1000,
        initial=2,
        label="Raters per dialogue",
        help_text="How many different raters see each dialogue; 2 or more to measure agreement.",
    )
    seed = forms.IntegerField(
        min_value=-(2**63),
        max_value=2**63 - 1,
        label="Seed",
        help_text="The same seed gives the same codes, assignments and orders.",
    )
    deadline = forms.DateField(
        required=False, label="Deadline", widget=forms.DateInput(attrs={"type": "date"})
    )
    contact = forms.CharField(
        max_length=300,
        required=False,
        label="Contact",
        help_text="Whom raters can turn to, for example when a text distresses them.",
    )
    guidelines = forms.CharField(
        max_length=20_000, required=False, label="Guidelines", widget=forms.Textarea
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.offered: dict[str, list[tuple[str, str]]] = {}
        rows = sorted(current_instruments().values(), key=_usual_order)
        raters = User.objects.filter(role=Role.RATER, is_active=True).order_by("username")
        names = raters.values_list("username", flat=True)
        self._offer("dialogues", dialogue_choices())
        titles = [(row.key, f"{row.title}, version {row.version}") for row in rows]
        self._offer("instruments", titles)
        self._offer("raters", [(name, name) for name in names])
        self.initial.setdefault("instruments", list(DEFAULT_INSTRUMENTS))
        self.initial.setdefault("seed", secrets.randbelow(1_000_000))

    def _offer(self, name: str, choices: list[tuple[str, str]]) -> None:
        cast(forms.ChoiceField, self.fields[name]).choices = choices
        self.offered[name] = choices

    @property
    def lacks(self) -> str:
        """What must be there before any study can be made, or nothing."""
        if not self.offered["dialogues"]:
            return "There is no complete dialogue yet: start a batch, or import dialogues."
        if not self.offered["raters"]:
            return "There is no rater yet: an administrator makes their accounts under People."
        return ""

    def as_arguments(self) -> dict[str, Any]:
        """The arguments of ``create_study``, but ``by``."""
        given = self.cleaned_data
        chosen: dict[str, Any] = (
            {"dialogues": Dialogue.objects.filter(origin=Origin.DEMO, state=DialogueState.COMPLETE)}
            if given["dialogues"] == DEMO
            else {"batch": Batch.objects.get(pk=int(given["dialogues"]))}
        )
        return {
            **chosen,
            **{name: given[name] for name in ("name", "instruments", "raters", "overlap", "seed")},
            "texts": StudyTexts(given["guidelines"], given["contact"], given["deadline"]),
        }


class StudyFilter(forms.Form):
    """Which studies to list; a choice that makes no sense is passed over."""

    state = forms.ChoiceField(
        choices=[("", "any"), *StudyState.choices], required=False, label="State"
    )

    @property
    def chosen(self) -> str:
        """The state asked for, or nothing."""
        return str(self.cleaned_data.get("state", "")) if self.is_valid() else ""
