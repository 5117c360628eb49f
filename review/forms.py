"""What the rating page sends, checked and turned into values; nothing is decided here."""

from collections.abc import Iterable, Mapping
from uuid import UUID, uuid4

from django import forms
from django.http import QueryDict

from review import items
from review.actions import Answer, FlagInput, Missing, Place, Refused, Spent, Way
from review.form_view import FormView, form_view, turn_count
from review.instruments import FlagForm
from review.models import Assignment, Instrument


class SpentForm(forms.Form):
    """Seconds at the page since the last save, as the page's script counted them."""

    active = forms.IntegerField(min_value=0, required=False)
    paused = forms.IntegerField(min_value=0, required=False)

    def spent(self) -> Spent:
        """The seconds; a count that makes no sense is no reason to refuse an answer."""
        given = self.cleaned_data if self.is_valid() else {}
        return Spent(given.get("active") or 0, given.get("paused") or 0)


class AnswerForm(SpentForm):
    """One answer or comment, as the page sends it when it is given."""

    instrument = forms.CharField(max_length=60)
    item = forms.CharField(max_length=60)
    value = forms.CharField(max_length=20_000, required=False, strip=False)
    comment = forms.CharField(max_length=20_000, required=False, strip=False)
    turn = forms.IntegerField(min_value=1, required=False)
    base = forms.IntegerField(min_value=0, required=False)
    key = forms.UUIDField(required=False)

    def answer(self) -> Answer:
        """The checked answer; fields that were not sent stay ``None``."""
        given = self.cleaned_data
        return Answer(
            instrument=given["instrument"],
            item=given["item"],
            value=given["value"] if "value" in self.data else None,
            comment=given["comment"] if "comment" in self.data else None,
            turn=given["turn"],
            base=given["base"],
            key=given["key"],
            spent=self.spent(),
        )


def whole_form(data: QueryDict, view: FormView) -> list[Answer]:
    """The answers of a whole form that differ from what is stored.

    A group of radios or boxes that is absent was not answered; that clears nothing. The form also
    tells which revision of each answer it showed, so that an old page overwrites nothing newer.
    """
    answers = []
    for item in view.items:
        value: str | None = None
        if item.name in data:
            values = data.getlist(item.name)
            several = item.question.type == "multiple"
            value = items.join_values(values) if several else values[-1]
        comment = data.get(f"{item.name}:comment")
        changed = Answer(
            instrument=item.question.form,
            item=item.question.key,
            turn=item.turn,
            value=value if value not in (None, item.value) else None,
            comment=comment if comment not in (None, item.comment) else None,
            base=int(base) if (base := data.get(f"{item.name}:base", "")).isdecimal() else None,
        )
        if changed.value is not None or changed.comment is not None:
            answers.append(changed)
    return answers


class FlagFields(forms.Form):
    """A safety flag as the page sends it; the instrument says what is allowed."""

    uid = forms.UUIDField()
    category = forms.CharField(max_length=60)
    severity = forms.CharField(max_length=60)
    turn = forms.IntegerField(min_value=1, required=False)
    start = forms.IntegerField(min_value=0, required=False)
    end = forms.IntegerField(min_value=1, required=False)
    note = forms.CharField(max_length=10_000, required=False, strip=True)

    def flag(self, form: FlagForm) -> tuple[UUID, FlagInput]:
        """The flag's id and content; answers to the form's further questions come along."""
        given = self.cleaned_data
        core: Mapping[str, str] = {
            "category": given["category"],
            "severity": given["severity"],
            **{item.key: self.data.get(item.key, "") for item in form.questions},
        }
        asked = {item.key for item in form.visible_items(core)}
        details = {
            item.key: core[item.key]
            for item in form.questions
            if item.key in asked and core[item.key]
        }
        return given["uid"], FlagInput(
            category=given["category"],
            severity=given["severity"],
            place=Place(given["turn"], given["start"], given["end"]),
            details=details,
            note=given["note"],
        )


class EvidenceFields(forms.Form):
    """A turn or passage attached to an item, as the page sends it.

    With scripts the page names form and item; without, one menu gives both as ``form:item``.
    """

    uid = forms.UUIDField(required=False)
    at = forms.CharField(max_length=121)
    turn = forms.IntegerField(min_value=1)
    start = forms.IntegerField(min_value=0, required=False)
    end = forms.IntegerField(min_value=1, required=False)

    def place(self) -> Place:
        """Where in the dialogue."""
        given = self.cleaned_data
        return Place(given["turn"], given["start"], given["end"])

    def item(self) -> tuple[str, str]:
        """Form and item."""
        form, _, item = self.cleaned_data["at"].partition(":")
        return form, item

    def mark(self) -> UUID:
        """The id the page chose, or a new one."""
        return self.cleaned_data["uid"] or uuid4()


class StepForm(forms.Form):
    """Undo or redo, under the key of the request."""

    way = forms.TypedChoiceField(
        choices=[(0, "undo"), (1, "redo")], coerce=lambda value: Way(int(value))
    )
    key = forms.UUIDField(required=False)


def sentence_of(form: forms.Form) -> str:
    """The first problem of a form in one sentence."""
    field_name, problems = next(iter(form.errors.items()))
    return f"{field_name}: {problems[0]}"


def checked(form: forms.Form) -> None:
    """Refuse a malformed request in one sentence."""
    if not form.is_valid():
        raise Refused("malformed", sentence_of(form), status=400)


def stored_view(
    assignment: Assignment,
    rows: Iterable[Instrument],
    problems: Iterable[Missing] = (),
    language: str = "en",
) -> FormView:
    """The form with what is stored now."""
    ratings = assignment.ratings.all()
    turns = turn_count(assignment)
    return form_view(rows, ratings, turns=turns, problems=problems, language=language)
