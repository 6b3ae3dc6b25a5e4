"""What a fit depends on beside its table: the candidate, and its part of the use case."""

from typing import Annotated, Any

from pydantic import Field

from rancast.datasets import Name
from rancast.documents import Document, Duration
from rancast.feature_set import Select
from rancast.problems import Problem


class Search(Document):
    """Bounds of the hyperparameter search, so that a night is long enough."""

    iterations: Annotated[int, Field(ge=1, le=500)] = 8
    rows: Annotated[int, Field(ge=100)] = 20_000


class Candidate(Document):
    """One estimator to try: any of scikit-learn by class name, with params and a search space."""

    name: Name
    estimator: str
    params: dict[str, Any] = {}
    search: dict[str, list[Any]] = {}
    scale: bool = Field(default=False, description="whether numeric columns are standardised first")
    impute: bool = Field(
        default=False, description="whether missing values are filled by the median"
    )
    select: bool = Field(default=True, description="whether features.select is for this one, too")


class Alerts(Document):
    """How many alerts a day the operations centre can handle; sets the decision threshold."""

    per_day: float = Field(gt=0)


class Calibration(Document):
    """How prediction intervals are made: what they promise, and for which groups apart."""

    coverage: float = Field(gt=0.5, lt=1, description="share of the values that they shall hold")
    by: str | None = Field(
        default=None, description="a feature, or the entity: each of its values is a group"
    )
    levels: Annotated[int, Field(ge=1, le=20)] = Field(
        default=1, description="parts of a group, by the predicted value, with intervals apart"
    )
    minimum_support: Annotated[int, Field(ge=1)] = Field(
        default=200, description="smaller groups take the intervals of all, and are not judged"
    )


class FitView(Document):
    """The part of a use case that fitting one candidate depends on."""

    problem: Problem
    entity: str
    metric: str
    folds: int
    embargo: Duration
    search: Search
    seed: int
    alerts: Alerts | None
    refit_on_holdout: bool
    categories: tuple[str, ...]
    slices: tuple[str, ...]
    select: Select | None = None
    intervals: Calibration | None = None
