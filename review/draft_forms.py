"""The form that makes a study and changes a draft: what was chosen, as the action wants it."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from django import forms

from generation.models import Dialogue
from review.actions import Choices, Refused, StudyTexts, Wishes, current_instruments
from review.actions.study_design import DEFAULT_INSTRUMENTS
from review.models import Instrument, RatingOrder, Study
from review.sample_forms import SelectionForm, sources
from review.selection import Selection
from sqpsych_site.models import User
from sqpsych_site.roles import Role

SAME = "same"
BLINDING = {
    "show_model": "Raters see which model speaks",
    "show_condition": "Raters see the client's condition",
    "show_totals": "Raters see their own totals",
}


def _usual_order(row: Instrument) -> tuple[int, str]:
    """Raters meet the instruments in the order of the form: the usual ones first, as usual."""
    usual = row.key in DEFAULT_INSTRUMENTS
    place = DEFAULT_INSTRUMENTS.index(row.key) if usual else len(DEFAULT_INSTRUMENTS)
    return place, row.title


class TextsForm(forms.Form):
    """What raters are told."""

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

    @property
    def texts(self) -> StudyTexts:
        """The checked texts."""
        given = self.cleaned_data
        return StudyTexts(given["guidelines"], given["contact"], given["deadline"])


class StudyForm(SelectionForm, TextsForm):
    """A draft. What may go together is decided by the action."""

    name = forms.CharField(max_length=120, label="Name")
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
    quotas = forms.CharField(
        max_length=4000,
        required=False,
        label="Most dialogues for single raters",
        help_text="For example: anna 20, ben 10. Others share the rest equally.",
    )
    overlap = forms.IntegerField(
        min_value=1,
        max_value=1000,
        initial=2,
        label="Raters per dialogue",
        help_text="How many different raters see each dialogue; 2 or more to measure agreement.",
    )
    share = forms.IntegerField(
        min_value=0,
        max_value=100,
        required=False,
        label="For how many of the dialogues, in percent",
        help_text="Empty: all. The others get one rater.",
    )
    order = forms.ChoiceField(
        choices=RatingOrder.choices, required=False, label="Order of the dialogues"
    )
    same_profile = forms.BooleanField(
        required=False, label="A rater may see several dialogues of one client profile"
    )
    repeats = forms.IntegerField(
        min_value=0,
        max_value=50,
        required=False,
        label="Hidden repeats per rater",
        help_text="So many dialogues come twice, late and under another code, to see how steady"
        " each rater is.",
    )
    training_from = forms.ChoiceField(required=False, label="Training dialogues from")
    training = forms.IntegerField(
        min_value=1, max_value=100, required=False, label="Number of training dialogues"
    )
    expert = forms.ChoiceField(
        required=False,
        label="Expert",
        help_text="An account of a rater whose answers become the reference. Or load the reference"
        " from a file later.",
    )
    gate = forms.IntegerField(
        min_value=0,
        max_value=100,
        required=False,
        label="Agreement needed, in percent",
        help_text="Raters reach their dialogues once their answers agree this much with the"
        " reference. Empty: once they have done the training.",
    )
    gate_last = forms.IntegerField(
        min_value=1,
        required=False,
        label="Count only the last … training dialogues",
        help_text="Empty: all of them.",
    )
    show_model = forms.BooleanField(required=False, label=BLINDING["show_model"])
    show_condition = forms.BooleanField(required=False, label=BLINDING["show_condition"])
    show_totals = forms.BooleanField(required=False, label=BLINDING["show_totals"])

    def __init__(self, *args: Any, draft: Study | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.draft = draft
        rows = sorted(current_instruments().values(), key=_usual_order)
        if draft:
            kept = [link.instrument for link in draft.study_instruments.all()]
            rows = [*kept, *(row for row in rows if row.key not in {one.key for one in kept})]
        self.forms = {row.key: row for row in rows}
        raters = User.objects.filter(role=Role.RATER, is_active=True).order_by("username")
        names = [(name, name) for name in raters.values_list("username", flat=True)]
        titles = [(row.key, f"{row.title}, version {row.version}") for row in rows]
        self.offer("instruments", titles)
        self.offer("raters", names)
        self.offer("expert", [("", "nobody"), *names])
        training = [("", "no training"), ("selection", "the same selection")]
        if draft:
            places = draft.study_dialogues
            count = places.filter(training=False).count()
            self.offer(
                "dialogues", [(SAME, f"As in this draft ({count})"), *self.offered["dialogues"]]
            )
            if trained := places.filter(training=True).count():
                training.append((SAME, f"as in this draft ({trained})"))
        self.offer("training_from", [*training, *sources()])
        self.initial.setdefault("instruments", list(DEFAULT_INSTRUMENTS))

    @property
    def groups(self) -> list[tuple[str, str, list[forms.BoundField]]]:
        """The fields as the page shows them: heading, what it is about, fields."""
        return [
            (title, text, [self[name] for name in names.split()]) for title, text, names in GROUPS
        ]

    @property
    def lacks(self) -> str:
        """What must be there before any study can be made, or nothing."""
        if not self.offered["dialogues"]:
            return "There is no complete dialogue yet: start a batch, or import dialogues."
        if not self.offered["raters"]:
            return "There is no rater yet: an administrator makes their accounts under People."
        return ""

    def clean_quotas(self) -> dict[str, int]:
        """``anna 20, ben 10`` as numbers by name."""
        found: dict[str, int] = {}
        for part in re.split(r"[,;\n]", self.cleaned_data["quotas"]):
            name, _, number = part.strip().rpartition(" ")
            if part.strip() and not (name and number.isdecimal() and len(number) < 7):
                raise forms.ValidationError("Write a name and a number for each, such as: anna 20.")
            if part.strip():
                found[name.strip(" :")] = int(number)
        known = {name for name, _ in self.offered["raters"]}
        if unknown := sorted(set(found) - known):
            raise forms.ValidationError(f"There is no rater “{unknown[0]}”.")
        return found

    def wishes(self) -> Wishes:
        """What the study is to be made of. Raises Refused where no dialogue is left to train on."""
        given = self.cleaned_data
        kept = self.draft.study_dialogues if self.draft else None
        if SAME in given["dialogues"] and kept is not None and self.draft is not None:
            selection = self.draft.selection
            ids = list(kept.filter(training=False).values_list("dialogue_id", flat=True))
        else:
            selection, ids = self.selection.as_json(), list(self.sample().ids)
        return Wishes(
            raters=given["raters"],
            dialogues=Dialogue.objects.filter(pk__in=ids),
            instruments=[self.forms[key] for key in given["instruments"]],
            overlap=given["overlap"],
            seed=given["seed"],
            texts=self.texts,
            settings={name: given[name] for name in BLINDING},
            choices=Choices(
                share=1.0 if given["share"] is None else given["share"] / 100,
                order=given["order"] or RatingOrder.OWN,
                same_profile=given["same_profile"],
                repeats=given["repeats"] or 0,
                gate=None if given["gate"] is None else given["gate"] / 100,
                gate_last=given["gate_last"],
                expert=given["expert"] or None,
                training=self._training(ids),
                quotas={n: q for n, q in given["quotas"].items() if n in given["raters"]},
                selection=selection,
            ),
        )

    def _training(self, chosen: Sequence[int]) -> list[Dialogue]:
        given = self.cleaned_data
        source, size = given["training_from"], given["training"]
        if not source:
            return []
        if source == SAME and self.draft:
            rows = self.draft.study_dialogues.filter(training=True).select_related("dialogue")
            return [row.dialogue for row in rows]
        if not size:
            raise Refused("training_size", "Say how many training dialogues there are to be.")
        wanted = self.selection if source == "selection" else Selection(sources=(source,))
        pool = replace(wanted, size=size, strata=())
        found = pool.sample(seed=given["seed"], without=chosen).ids
        if len(found) < size:
            raise Refused(
                "training_size",
                f"Only {len(found)} dialogues are left for training; take a smaller sample for the"
                " study, or train on other dialogues.",
            )
        return list(Dialogue.objects.filter(pk__in=found))


GROUPS = (
    ("Study", "", "name instruments"),
    (
        "Dialogues",
        "Where they come from and which ones. Preview the sample before you make the study.",
        "dialogues arms condition band risk finding fewest_turns most_turns size strata how seed",
    ),
    ("Raters", "", "raters quotas overlap share order same_profile repeats"),
    (
        "Training",
        "Dialogues with a known reference that every rater does first.",
        "training_from training expert gate gate_last",
    ),
    ("Blinding", "Unless you say otherwise, raters know nothing but the text.", " ".join(BLINDING)),
    ("What raters are told", "", "deadline contact guidelines"),
)


def initial_of(draft: Study) -> dict[str, Any]:
    """A draft as the form shows it."""
    raters = draft.study_raters.filter(expert=False).select_related("rater").order_by("pk")
    expert = draft.study_raters.filter(expert=True).select_related("rater").first()
    selection = Selection.from_json(draft.selection)
    filters = selection.as_json() if selection else {}
    filters.pop("sources", None)
    trained = draft.study_dialogues.filter(training=True).count()
    return {
        **filters,
        "name": draft.name,
        "dialogues": [SAME],
        "instruments": [link.instrument.key for link in draft.study_instruments.all()],
        "raters": [row.rater.username for row in raters],
        "quotas": ", ".join(
            f"{row.rater.username} {row.quota}" for row in raters if row.quota is not None
        ),
        "overlap": draft.overlap,
        "share": None if draft.overlap_share == 1 else round(draft.overlap_share * 100),
        "order": draft.rating_order,
        "same_profile": draft.same_profile,
        "repeats": draft.repeats or None,
        "seed": draft.seed,
        "training_from": SAME if trained else "",
        "training": trained or None,
        "expert": expert.rater.username if expert else "",
        "gate": None if draft.gate is None else round(draft.gate * 100),
        "gate_last": draft.gate_last,
        "deadline": draft.deadline,
        "contact": draft.contact,
        "guidelines": draft.guidelines,
        **{name: draft.settings.get(name) is True for name in BLINDING},
    }
