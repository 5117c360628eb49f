"""Which dialogues a study gets: where from, filters, and a sample by strata."""

import secrets
from collections.abc import Iterable, Sequence
from typing import Any, cast

from django import forms
from django.db.models import Count

from generation import words
from generation.models import Arm, Batch, ClientProfile, Dialogue, DialogueState, Origin
from review.models import Study
from review.sampling import Sample
from review.selection import DEMO, IMPORTED, NONE, STRATA, Selection

OFFERED = 200
ANY = [("", "any")]


def sources() -> list[tuple[str, str]]:
    """Where complete dialogues are: the demo, imports without a batch, and batches."""
    complete = Dialogue.objects.filter(state=DialogueState.COMPLETE).order_by()
    found = []
    if demo := complete.filter(origin=Origin.DEMO).count():
        found.append((DEMO, f"Demo dialogues ({demo})"))
    if imported := complete.filter(origin=Origin.IMPORTED, batch=None).count():
        found.append((IMPORTED, f"Imported dialogues ({imported})"))
    counts = dict(
        complete.filter(batch__isnull=False).values_list("batch_id").annotate(n=Count("*"))
    )
    batches = Batch.objects.filter(pk__in=counts, preview=False).order_by("-pk")[:OFFERED]
    return found + [(str(row.pk), f"{row.name} ({counts[row.pk]} complete)") for row in batches]


def _bands(profiles: Iterable[dict[str, str]]) -> list[tuple[str, str]]:
    pairs = sorted({(key, band) for bands in profiles for key, band in bands.items()})
    return [(f"{key}:{band}", f"{key}: {band}") for key, band in pairs]


class SelectionForm(forms.Form):
    """Which dialogues: where from, filters, and a sample by strata."""

    dialogues = forms.MultipleChoiceField(
        label="Dialogues from",
        widget=forms.CheckboxSelectMultiple,
        help_text="Only complete dialogues can be rated.",
        error_messages={"required": "Choose at least one source of dialogues."},
    )
    arms = forms.MultipleChoiceField(label="Arms", required=False)
    condition = forms.ChoiceField(label="Condition", required=False)
    band = forms.ChoiceField(label="Severity band", required=False)
    risk = forms.ChoiceField(
        choices=[*ANY, ("yes", "marked"), ("no", "not marked")], label="Risk", required=False
    )
    finding = forms.ChoiceField(label="Findings", required=False)
    fewest_turns = forms.IntegerField(min_value=0, label="Fewest turns", required=False)
    most_turns = forms.IntegerField(min_value=1, label="Most turns", required=False)
    size = forms.IntegerField(
        min_value=1,
        required=False,
        label="Sample size",
        help_text="Empty: all that fit. The seed decides which.",
    )
    strata = forms.MultipleChoiceField(
        choices=list(STRATA.items()),
        required=False,
        label="Strata",
        widget=forms.CheckboxSelectMultiple,
        help_text="The sample is drawn from each of these groups apart.",
    )
    how = forms.ChoiceField(
        choices=[("proportional", "in proportion"), ("equal", "the same number")],
        required=False,
        label="From each stratum",
    )
    seed = forms.IntegerField(
        min_value=-(2**63),
        max_value=2**63 - 1,
        label="Seed",
        help_text="The same seed gives the same sample, codes, assignments and orders.",
    )

    def __init__(self, *args: Any, study: Study | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.study = study
        self.offered: dict[str, list[tuple[str, str]]] = {}
        complete = ClientProfile.objects.filter(dialogues__state=DialogueState.COMPLETE).order_by()
        conditions = complete.values_list("condition", flat=True).distinct()
        arms = Arm.objects.filter(dialogues__state=DialogueState.COMPLETE).distinct()
        rows = arms.select_related("batch").order_by("-batch", "label")[:OFFERED]
        self.offer("dialogues", sources())
        self.offer("arms", [(str(row.pk), f"{row}: {row.therapist_model}") for row in rows])
        self.offer("condition", [*ANY, *((one, one) for one in sorted(conditions) if one)])
        self.offer("band", [*ANY, *_bands(complete.values_list("bands", flat=True).distinct())])
        kinds = words.finding_choices().items()
        self.offer("finding", [*ANY, (NONE, "no finding at all"), *kinds])
        self.initial.setdefault("seed", secrets.randbelow(1_000_000))

    def offer(self, name: str, choices: Sequence[tuple[str, str]]) -> None:
        """The choices of a field."""
        cast(forms.ChoiceField, self.fields[name]).choices = list(choices)
        self.offered[name] = list(choices)

    @property
    def selection(self) -> Selection:
        """What was asked for."""
        given = self.cleaned_data
        return Selection(
            sources=tuple(given["dialogues"]),
            arms=tuple(given["arms"]),
            condition=given["condition"],
            band=given["band"],
            risk=given["risk"],
            finding=given["finding"],
            fewest_turns=given["fewest_turns"],
            most_turns=given["most_turns"],
            strata=tuple(given["strata"]),
            how="equal" if given["how"] == "equal" else "proportional",
            size=given["size"],
        )

    def sample(self) -> Sample:
        """The sample, without what is in the study already."""
        there = self.study.study_dialogues.values_list("dialogue", flat=True) if self.study else ()
        return self.selection.sample(seed=self.cleaned_data["seed"], without=there)
