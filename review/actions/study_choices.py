"""What a coordinator decides about a study beyond who rates what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from generation.models import Dialogue
from review.actions.errors import Refused
from review.models import RatingOrder
from sqpsych_site.models import User

MAX_REPEATS = 50


@dataclass(frozen=True)
class StudyTexts:
    """What raters are told about a study."""

    guidelines: str = ""
    contact: str = ""
    deadline: date | None = None


@dataclass(frozen=True)
class Choices:
    """The finer points of a design; ``quotas`` by user name, ``selection`` as it was asked for."""

    share: float = 1.0
    order: str = RatingOrder.OWN
    same_profile: bool = False
    repeats: int = 0
    gate: float | None = None
    gate_last: int | None = None
    expert: User | str | None = None
    training: Sequence[Dialogue] = ()
    quotas: Mapping[str, int] = field(default_factory=dict)
    selection: Mapping[str, Any] = field(default_factory=dict)

    def check(self) -> None:
        """Refuse what cannot be, in one sentence."""
        if not 0 <= self.share <= 1:
            raise Refused("share", "The share of dialogues with several raters is 0 to 100 %.")
        if self.order not in RatingOrder.values:
            raise Refused("order", "There is no such order.")
        if not 0 <= self.repeats <= MAX_REPEATS:
            raise Refused("repeats", f"There can be 0 to {MAX_REPEATS} hidden repeats per rater.")
        if any(quota < 0 for quota in self.quotas.values()):
            raise Refused("quota", "The most dialogues of a rater cannot be below 0.")
        if self.gate is not None and not 0 <= self.gate <= 1:
            raise Refused("gate", "The agreement needed is 0 to 100 %.")
        if self.gate_last is not None and self.gate_last < 1:
            raise Refused("gate_last", "At least one training dialogue must count.")
        if not self.training and (self.gate is not None or self.expert is not None):
            raise Refused(
                "training",
                "A level of agreement or an expert needs training dialogues: choose some.",
            )

    def columns(self) -> dict[str, Any]:
        """The study's own columns."""
        return {
            "overlap_share": self.share,
            "rating_order": self.order,
            "same_profile": self.same_profile,
            "repeats": self.repeats,
            "gate": self.gate,
            "gate_last": self.gate_last,
            "selection": dict(self.selection),
        }


NO_TEXTS = StudyTexts()
USUAL_CHOICES = Choices()
