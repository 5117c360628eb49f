"""Which dialogues a study is made of: filters over complete dialogues, strata, and a sample."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from generation.models import Dialogue, DialogueState, Finding, Origin
from review.sampling import How, Sample, sample

DEMO = "demo"
IMPORTED = "imported"
STRATA = {
    "arm": "arm",
    "condition": "condition",
    "band": "severity band",
    "risk": "risk in the profile",
    "findings": "findings",
}
NONE = "none"


@dataclass(frozen=True)
class Selection:
    """Filters, strata and size as a coordinator asked for them.

    ``sources`` are batch numbers, ``demo`` or ``imported``. ``band`` is ``questionnaire:band``;
    ``risk`` is ``yes`` or ``no``; ``finding`` a kind, or ``none`` for dialogues without any.
    """

    sources: tuple[str, ...]
    arms: tuple[str, ...] = ()
    condition: str = ""
    band: str = ""
    risk: str = ""
    finding: str = ""
    fewest_turns: int | None = None
    most_turns: int | None = None
    strata: tuple[str, ...] = ()
    how: How = "proportional"
    size: int | None = None

    def rows(self) -> QuerySet[Dialogue]:
        """The complete dialogues that fit."""
        rows = Dialogue.objects.filter(self._sources(), state=DialogueState.COMPLETE)
        if self.arms:
            rows = rows.filter(arm__in=[int(arm) for arm in self.arms if arm.isdecimal()])
        if self.condition:
            rows = rows.filter(profile__condition=self.condition)
        if self.band:
            questionnaire, _, band = self.band.partition(":")
            rows = rows.filter(profile__bands__contains={questionnaire: band})
        if self.risk:
            rows = rows.filter(profile__risk_positive=self.risk == "yes")
        if self.finding:
            found = Finding.objects.filter(dialogue=OuterRef("pk"))
            if self.finding == NONE:
                rows = rows.filter(~Exists(found))
            else:
                rows = rows.filter(Exists(found.filter(kind=self.finding)))
        if self.fewest_turns is not None:
            rows = rows.filter(turn_count__gte=self.fewest_turns)
        if self.most_turns is not None:
            rows = rows.filter(turn_count__lte=self.most_turns)
        return rows

    def _sources(self) -> Q:
        batches = [int(one) for one in self.sources if one.isdecimal()]
        found = Q(batch__in=batches)
        if DEMO in self.sources:
            found |= Q(origin=Origin.DEMO)
        if IMPORTED in self.sources:
            found |= Q(origin=Origin.IMPORTED, batch=None)
        return found

    def sample(self, *, seed: int, without: Iterable[int] = ()) -> Sample:
        """The sample, ``without`` some dialogues. One query."""
        rows = self.rows().exclude(pk__in=list(without)).order_by("pk")
        found = Exists(Finding.objects.filter(dialogue=OuterRef("pk")))
        cells = rows.annotate(found=found).values_list(
            "pk",
            "arm__batch__name",
            "arm__label",
            "origin",
            "profile__condition",
            "profile__bands",
            "profile__risk_positive",
            "found",
        )
        stratum_of = {pk: self._stratum(*rest) for pk, *rest in cells.iterator(chunk_size=2000)}
        return sample(stratum_of, self.size, seed=seed, how=self.how)

    def _stratum(
        self,
        batch: str | None,
        arm: str | None,
        origin: str,
        condition: str | None,
        bands: Mapping[str, str] | None,
        risk: bool | None,
        found: bool,
    ) -> str:
        """The name of the stratum a dialogue belongs to."""
        known = {
            "arm": f"{batch} {arm}" if arm else str(Origin(origin).label),
            "condition": condition or "no condition",
            "band": ", ".join(f"{key} {bands[key]}" for key in sorted(bands or {}) if bands)
            or "no band",
            "risk": "no profile" if risk is None else "risk" if risk else "no risk",
            "findings": "with findings" if found else "without findings",
        }
        return "; ".join(known[name] for name in STRATA if name in self.strata) or "all"

    def as_json(self) -> dict[str, Any]:
        """As it is kept with the study."""
        return {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(self).items()}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "Selection | None":
        """What was kept, or None where a study was made from a bare list."""
        if "sources" not in kept:
            return None
        known: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in kept.items()
            if key in cls.__dataclass_fields__
        }
        return cls(**known)
