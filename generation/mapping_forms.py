"""The form in which a person says what each column of a foreign file is."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.http import QueryDict
from django.utils import timezone

from generation.profile_mapping import (
    CODED,
    Choice,
    codes_of,
    guessed,
    target_choices,
)
from generation.profile_records import MAX_LABEL
from generation.profile_sources import Source
from generation.questionnaires import Definition

EXAMPLES = 3


class MappingForm(forms.Form):
    """One choice for each column, the event, the year, and what codes stand for.

    Codes are asked for once a column was chosen for gender or condition, so the form is made from
    what was sent, else from what is guessed.
    """

    def __init__(
        self,
        data: QueryDict | None,
        *,
        source: Source,
        definitions: Mapping[str, Definition],
    ) -> None:
        super().__init__(None if data is None else data.copy())
        self.source = source
        self.columns = list(source.table.columns)
        choices = target_choices(definitions)
        guess = guessed(source, definitions)
        sent = {column: self._sent(number) for number, column in enumerate(self.columns)}
        targets = guess if data is None else sent
        for number, column in enumerate(self.columns):
            self.fields[f"target_{number}"] = forms.ChoiceField(
                choices=choices, required=False, initial=guess[column], label=column
            )
        if source.events:
            self.fields["event"] = forms.ChoiceField(
                choices=[(event, event) for event in source.events],
                label="Event to take the answers from",
                help_text="Facts that this event leaves blank are taken from the client’s others.",
            )
        this_year = timezone.localdate().year
        self.fields["year"] = forms.IntegerField(
            label="Year of assessment",
            min_value=1900,
            max_value=this_year,
            initial=this_year,
            help_text="Needed where the file has a year of birth and no age.",
        )
        for name in CODED:
            if name in targets.values():
                self._add_codes(name, Choice(targets))
            else:
                self.fields[f"same_{name}"] = forms.CharField(
                    label=f"{name.capitalize()} of all clients",
                    max_length=MAX_LABEL,
                    required=False,
                    help_text="If no column holds it.",
                )

    def _sent(self, number: int) -> str:
        return str(self.data.get(f"target_{number}", ""))[:100]

    def _add_codes(self, name: str, choice: Choice) -> None:
        for field, code in self._codes(name, choice):
            if isinstance(self.data, QueryDict):
                # A code that was not asked about yet stands for itself.
                self.data.setdefault(field, code[:MAX_LABEL])
            self.fields[field] = forms.CharField(
                label=f"{name.capitalize()} “{code[:40]}” means",
                max_length=MAX_LABEL,
                required=False,
                initial=code[:MAX_LABEL],
            )

    def _codes(self, name: str, choice: Choice) -> list[tuple[str, str]]:
        """Field and code of each value of a column; the field's name holds the column, since
        another column's codes were never asked about."""
        columns = [place for place, each in enumerate(self.columns) if choice.targets[each] == name]
        return [
            (f"code_{name}_{columns[0]}_{number}", code)
            for number, code in enumerate(codes_of(self.source, choice, name))
        ]

    @property
    def choice(self) -> Choice:
        """What was chosen; for a form not sent yet, what is guessed."""
        values: dict[str, Any] = (
            self.cleaned_data
            if self.is_bound
            else {name: field.initial or "" for name, field in self.fields.items()}
        )
        targets = {column: values[f"target_{number}"] for number, column in enumerate(self.columns)}
        guess = Choice(targets)
        return Choice(
            targets=targets,
            codes={
                name: {code: values.get(field, "") for field, code in self._codes(name, guess)}
                for name in CODED
            },
            same={name: str(values.get(f"same_{name}") or "").strip() for name in CODED},
            event=values.get("event", "") or (self.source.events or ("",))[0],
            year=values["year"],
        )

    def column_rows(self) -> list[tuple[forms.BoundField, list[str]]]:
        """Each column's choice with some of its values."""
        return [
            (self[f"target_{number}"], self._examples(column))
            for number, column in enumerate(self.columns)
        ]

    def _examples(self, column: str) -> list[str]:
        found: dict[str, None] = {}
        for row in self.source.table.rows:
            if column in row.cells:
                found[row.cells[column][:60]] = None
            if len(found) == EXAMPLES:
                break
        return list(found)

    def other_fields(self) -> list[forms.BoundField]:
        """Everything but the columns."""
        return [self[name] for name in self.fields if not name.startswith("target_")]
