"""Which profiles of a set take part in a batch. Pure."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

Age = Annotated[int, Field(ge=0, le=130)]


class ProfileFilter(BaseModel):
    """What a profile must meet; an empty filter takes all. Names are compared case aside.

    ``bands`` names a questionnaire's severity bands that count; ``findings`` whether contradictions
    were noted about a profile; ``at_most`` draws that many of
    those that fit, by the batch's seed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    conditions: tuple[str, ...] = ()
    genders: tuple[str, ...] = ()
    min_age: Age | None = None
    max_age: Age | None = None
    bands: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    findings: Literal["", "none", "some"] = ""
    profile_ids: tuple[str, ...] = ()
    at_most: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.min_age is not None and self.max_age is not None and self.min_age > self.max_age:
            raise PydanticCustomError("form", "the least age is above the greatest")
        return self

    def stored(self) -> dict[str, Any]:
        """As plain JSON, without what is not asked for."""
        return self.model_dump(mode="json", exclude_defaults=True)
