"""What a candidate must reach to be promoted: the schema of gates, and of intervals as promised."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from rancast.documents import Document
from rancast.fit_view import Calibration


class Intervals(Calibration):
    """Prediction intervals of a regression, and how far below the promise they may fall."""

    tolerance: float = Field(
        default=0.03, ge=0, lt=0.5, description="accepted shortfall, over all and in each group"
    )

    @property
    def required(self) -> float:
        """The least coverage of the holdout that is accepted."""
        return round(self.coverage - self.tolerance, 9)


class Slice(Document):
    """Groups of the holdout in which the candidate must not be much worse than the champion."""

    column: str
    minimum_support: Annotated[int, Field(ge=1)] = 200
    tolerance: float = Field(default=0.10, ge=0, description="relative loss that is accepted")


class Gates(Document):
    """The rules a candidate must pass; each margin is relative to the other model's metric."""

    floors: dict[str, float] = Field(default={}, description="metric -> worst accepted value")
    over_baseline: float = Field(default=0.02, ge=0)
    over_champion: float = Field(default=0.02, ge=0)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    minimum_clusters: dict[Literal["entity", "day"], int] = Field(
        default={"entity": 10, "day": 5}, description="fewer than these is too little evidence"
    )
    slices: tuple[Slice, ...] = ()

    @field_validator("minimum_clusters")
    @classmethod
    def _keeps_both_ways(
        cls, given: dict[Literal["entity", "day"], int]
    ) -> dict[Literal["entity", "day"], int]:
        # naming one of the two must not switch the other off
        if any(count < 2 for count in given.values()):
            raise ValueError("fewer than 2 clusters cannot be resampled; write 2 or more")
        return {"entity": given.get("entity", 10), "day": given.get("day", 5)}
