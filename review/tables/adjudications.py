"""adjudications: what was decided where raters disagreed; the ratings themselves stay."""

from collections.abc import Iterator

from django.db.models.functions import Length

from review.actions.rating import definition_of
from review.models import Adjudication
from review.tables.frame import DIALOGUE, OPENING, TURN, Column, Frame, Row, Table, opening
from review.tables.reading import short


def adjudications_table(frame: Frame) -> Table:
    """One row per decision that stands."""
    reasons = frame.options.comments
    columns = (
        *OPENING, DIALOGUE,
        Column("instrument", "code", "key of the instrument"),
        Column("instrument_version", "code", "version of the instrument"),
        Column("item", "code", "item that was decided", missing="empty = a kind of flag was"),
        Column("category", "code", "kind of flag that was decided", missing="empty = an item was"),
        Column("turn", "integer", TURN, missing="empty = about the whole dialogue"),
        Column("value", "code", "the decision, stored as a rating is; for a flag its severity",
               "none = no flag"),
        Column("value_number", "number", "the decision as a number",
               missing="empty where it is no number"),
        *([Column("reason", "text", "the adjudicator's reason")] if reasons else []),
        Column("adjudicator", "code", "pseudonym of the adjudicator in this study"),
        Column("decided_at", "time", "when it was last decided"),
    )  # fmt: skip

    def rows() -> Iterator[Row]:
        wanted = {form.pk for form in frame.forms}
        for study in frame.studies:
            found = Adjudication.objects.filter(study_dialogue__study=study, instrument__in=wanted)
            found = found.select_related("study_dialogue", "instrument", "decided_by")
            for one in found.order_by(
                Length("study_dialogue__code"), "study_dialogue__code", "instrument__key",
                "item", "category", "turn_number",
            ):  # fmt: skip
                form = definition_of(one.instrument)
                number = form.item(one.item).number(one.value) if one.item else None
                yield [
                    *opening(study), one.study_dialogue.code, form.key, form.version,
                    one.item, one.category, one.turn_number, one.value,
                    None if number is None else short(number),
                    *([one.reason] if reasons else []), one.decided_by.code, one.updated_at,
                ]  # fmt: skip

    return Table("adjudications", columns, whole=rows)
