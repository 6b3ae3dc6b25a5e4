"""What to predict: the schema of `use_cases/NAME.yaml`, one model as a file."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from rancast.datasets import Name
from rancast.documents import Document, Duration, find_yaml, read_yaml
from rancast.errors import ConfigurationError

Problem = Literal["classification", "regression"]
Statistic = Literal["mean", "std", "min", "max", "median", "sum", "count"]
CalendarPart = Literal["hour", "weekday", "is_weekend", "minute_of_day_sin", "minute_of_day_cos"]


class Grid(Document):
    """The regular time grid on which an entity's rows are put before features are made."""

    period: Duration | None = Field(default=None, description="default: the dataset's period")
    fill: Duration = Field(default=timedelta(0), description="how far a value is carried forward")


class Target(Document):
    """What is predicted about (t, t + within]: a breach (`any`) or a statistic (`mean`, ...)."""

    within: Duration
    any: str | None = Field(default=None, description="an expression over columns: the breach")
    mean: str | None = Field(default=None, description="a column: its mean over the horizon")
    sum: str | None = Field(default=None, description="a column: its sum over the horizon")
    observed: float = Field(
        default=0.8, gt=0, le=1, description="share of the horizon that must have been seen"
    )

    @model_validator(mode="after")
    def _is_one_thing(self) -> "Target":
        given = [name for name in ("any", "mean", "sum") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"state exactly one of any, mean, sum; here: {', '.join(given) or 'none'}"
            )
        if self.within <= timedelta(0):
            raise ValueError(
                f"within is {self.within}: a target computed from its own row is not a forecast; "
                "state a horizon after t, such as 30min"
            )
        return self


class Lags(Document):
    """The value of each column so many periods of the grid ago."""

    columns: tuple[str, ...]
    periods: tuple[Annotated[int, Field(ge=1)], ...]


class Windows(Document):
    """Statistics of each column over (t - window, t], by time, never by row count."""

    columns: tuple[str, ...]
    over: tuple[Duration, ...]
    statistics: tuple[Statistic, ...] = ("mean",)


class History(Document):
    """Each entity's own past: statistics over whole earlier days, at this hour or at any hour."""

    columns: tuple[str, ...]
    days: Annotated[int, Field(ge=1, le=60)] = 7
    statistics: tuple[Statistic, ...] = ("mean",)
    at: Literal["same_hour", "any_hour"] = "any_hour"


class Features(Document):
    """The columns of X; everything looks back, over a finite and declared time."""

    current: tuple[str, ...] = Field(default=(), description="values of the row itself")
    categories: tuple[str, ...] = Field(default=(), description="columns encoded as categories")
    lags: tuple[Lags, ...] = ()
    windows: tuple[Windows, ...] = ()
    history: tuple[History, ...] = ()
    calendar: tuple[CalendarPart, ...] = ()
    timezone: str = Field(default="UTC", description="the operator's zone, for the calendar")
    missing: tuple[Duration, ...] = Field(
        default=(),
        description="share of expected periods absent in each window, and time since seen",
    )

    @field_validator("timezone")
    @classmethod
    def _is_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(
                f"{value!r} is not an IANA time zone, such as Europe/Dublin"
            ) from error
        return value


class Split(Document):
    """How time is divided: train < embargo < holdout; folds follow time inside train."""

    holdout: Duration
    embargo: Duration
    folds: Annotated[int, Field(ge=2, le=20)] = 3


class Search(Document):
    """Bounds of the hyperparameter search, so that a night is long enough."""

    iterations: Annotated[int, Field(ge=1, le=500)] = 8
    rows: Annotated[int, Field(ge=100)] = 20_000


class Candidate(Document):
    """One estimator to try: any scikit-learn estimator by class name, with params and a search space."""

    name: Name
    estimator: str
    params: dict[str, Any] = {}
    search: dict[str, list[Any]] = {}
    scale: bool = Field(default=False, description="whether numeric columns are standardised first")
    impute: bool = Field(
        default=False, description="whether missing values are filled by the median"
    )


class Slice(Document):
    """Groups of the holdout in which the candidate must not be much worse than the champion."""

    column: str
    minimum_support: Annotated[int, Field(ge=1)] = 200
    tolerance: float = Field(default=0.10, ge=0, description="relative loss that is accepted")


class Gates(Document):
    """The rules a candidate must pass; each margin is relative to the other model's metric."""

    floors: dict[str, float] = Field(default={}, description="metric -> worst accepted value")
    over_baseline: float = Field(default=0.02, ge=0)
    over_champion: float = Field(default=0.01, ge=0)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    minimum_clusters: dict[Literal["entity", "day"], int] = Field(
        default={"entity": 10, "day": 5}, description="fewer than these is too little evidence"
    )
    slices: tuple[Slice, ...] = ()


class Alerts(Document):
    """How many alerts a day the operations centre can handle; sets the decision threshold."""

    per_day: float = Field(gt=0)


class UseCase(Document):
    """One model of the mission; see docs/onboarding.md for each key."""

    name: Name
    description: str = ""
    problem: Problem
    dataset: Name
    entity: str
    where: str | None = Field(default=None, description="an expression; other rows are left out")
    history: Duration
    minimum_coverage: float = Field(
        default=0.5, ge=0, le=1, description="share of history's days that must be usable"
    )
    grid: Grid = Grid()
    target: Target
    features: Features
    split: Split
    candidates: tuple[Candidate, ...] = Field(min_length=1)
    search: Search = Search()
    metric: str
    alerts: Alerts | None = None
    gates: Gates = Gates()
    refit_on_holdout: bool = False
    promotion: Literal["automatic", "manual"] = "automatic"
    seed: int = 20240301

    @model_validator(mode="after")
    def _is_consistent(self) -> "UseCase":
        if self.split.embargo < self.target.within:
            raise ValueError(
                f"split.embargo ({self.split.embargo}) is shorter than target.within "
                f"({self.target.within}): labels of the training rows would reach into the holdout"
            )
        names = [candidate.name for candidate in self.candidates]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two candidates are called {name!r}")
        if (self.problem == "classification") != (self.target.any is not None):
            raise ValueError("classification goes with target.any, regression with mean or sum")
        if self.alerts is not None and self.problem != "classification":
            raise ValueError("alerts need problem: classification")
        if self.split.holdout >= self.history:
            raise ValueError(
                "split.holdout must be shorter than history, or nothing is left to train on"
            )
        return self

    def feature_view(self) -> "FeatureView":
        """Return what features depend on."""
        return FeatureView(**{name: getattr(self, name) for name in FeatureView.model_fields})

    def table_view(self) -> "TableView":
        """Return what the training table depends on."""
        return TableView(**{name: getattr(self, name) for name in TableView.model_fields})

    def fit_view(self) -> "FitView":
        """Return what a fit depends on, apart from its candidate and its table."""
        return FitView(
            problem=self.problem,
            entity=self.entity,
            metric=self.metric,
            folds=self.split.folds,
            embargo=self.split.embargo,
            search=self.search,
            seed=self.seed,
            alerts=self.alerts,
            refit_on_holdout=self.refit_on_holdout,
            categories=self.features.categories,
            slices=tuple(item.column for item in self.gates.slices),
        )


class FeatureView(Document):
    """The part of a use case that features depend on; their step keys hash nothing else."""

    dataset: Name
    entity: str
    where: str | None
    grid: Grid
    features: Features


class TableView(FeatureView):
    """The part of a use case that its training table depends on."""

    problem: Problem
    target: Target
    split: Split


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


def load_use_case(home: Path, name: str) -> UseCase:
    """Read use_cases/NAME.yaml below `home`.

    Raises ConfigurationError for an unknown name (with the known ones), a typo or a wrong value.
    """
    use_case = read_yaml(find_yaml(home / "use_cases", "use case", name), UseCase)
    if use_case.name != name:
        raise ConfigurationError(
            f"use_cases/{name}.yaml says 'name: {use_case.name}'; make the two names equal."
        )
    return use_case


def known_use_cases(home: Path) -> list[str]:
    """Return the names of all use cases below `home`, sorted."""
    return sorted(path.stem for path in (home / "use_cases").glob("*.yaml"))


def schema() -> dict[str, Any]:
    """Return the JSON schema of a use case file, for editors."""
    return UseCase.model_json_schema()
