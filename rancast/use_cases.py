"""What to predict: the schema of `use_cases/NAME.yaml`, one model as a file."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import pandas as pd
from pydantic import AfterValidator, Field, field_validator, model_validator

from rancast.audit_rules import Rule
from rancast.datasets import Dataset, Name, with_value
from rancast.documents import Document, Duration, find_yaml, read_yaml
from rancast.errors import ConfigurationError
from rancast.expressions import Expression

Problem = Literal["classification", "regression", "clustering"]
Statistic = Literal["mean", "std", "min", "max", "median", "sum", "count"]
JoinStatistic = Literal["count", "sum", "mean", "min", "max", "nunique"]
CalendarPart = Literal["hour", "weekday", "is_weekend", "minute_of_day_sin", "minute_of_day_cos"]

METRICS: dict[Problem, tuple[str, ...]] = {
    "classification": ("average_precision", "brier", "log_loss", "roc_auc"),
    "regression": ("mae", "r2", "rmse"),
    "clustering": ("silhouette", "stability"),
}
METRICS_AT_THRESHOLD = ("alerts_per_day", "precision", "recall")
METRICS_OF_INTERVALS = ("coverage", "interval_score", "interval_width")
BASELINES = ("baseline_last_value", "baseline_seasonal", "baseline_weekly")
# the training table has these columns beside the features
RESERVED = ("entity", "time", "y", "split", *BASELINES)
# and predictions of the holdout have these beside the columns to slice by
INTERVAL_COLUMNS = ("low", "high")
PREDICTED = ("prediction", *INTERVAL_COLUMNS)
DAY, WEEK = timedelta(days=1), timedelta(weeks=1)


def _is_positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError(f"{value} is not a length of time; write one above zero, such as 30min")
    return value


def _is_not_negative(value: timedelta) -> timedelta:
    if value < timedelta(0):
        raise ValueError(f"{value} is negative; write 0s or more")
    return value


def _is_whole_days(value: timedelta) -> timedelta:
    if value < DAY or value % DAY:
        raise ValueError(f"{value} is not a number of whole days, such as 7d")
    return value


def _is_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"{value!r} is not an IANA time zone, such as Europe/Dublin") from error
    return value


def _is_local(value: time) -> time:
    if value.tzinfo is not None:
        raise ValueError(f"{value} has an offset; write the time alone and the zone as timezone")
    return value


def _is_expression(text: str) -> str:
    try:
        Expression(text)
    except ConfigurationError as error:
        raise ValueError(str(error)) from error
    return text


def _is_free_of_repeats(items: tuple[Any, ...]) -> tuple[Any, ...]:
    for item in items:
        if items.count(item) > 1:
            raise ValueError(f"{item} stands here twice")
    return items


Length = Annotated[Duration, AfterValidator(_is_positive)]
LengthOrZero = Annotated[Duration, AfterValidator(_is_not_negative)]
WholeDays = Annotated[Duration, AfterValidator(_is_whole_days)]
Condition = Annotated[str, AfterValidator(_is_expression)]
Zone = Annotated[str, AfterValidator(_is_zone)]
LocalTime = Annotated[time, AfterValidator(_is_local)]
Columns = Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_is_free_of_repeats)]
Statistics = Annotated[
    tuple[Statistic, ...], Field(min_length=1), AfterValidator(_is_free_of_repeats)
]

JoinStatistics = Annotated[
    tuple[JoinStatistic, ...], Field(min_length=1), AfterValidator(_is_free_of_repeats)
]


def short_duration(value: timedelta) -> str:
    """Write a length of time as people do, in its largest whole unit: '7d', '30min', '5s'."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, rest = divmod(value, timedelta(seconds=length))
        if count and not rest:
            return f"{count}{unit}"
    return f"{value // timedelta(milliseconds=1)}ms"


class Grid(Document):
    """The regular time grid on which an entity's rows are put before features are made."""

    period: Length | None = Field(default=None, description="default: the dataset's period")
    fill: LengthOrZero = Field(
        default=timedelta(0), description="how far a value is carried forward"
    )


class Target(Document):
    """What is predicted: a breach (`any`) or a statistic (`mean`, ...) of a time after t."""

    within: Duration = Field(description="length of the time that is predicted")
    delay: LengthOrZero = Field(
        default=timedelta(0),
        description="how long after t that time begins: y is about (t + delay, t + delay + within]",
    )
    any: Condition | None = Field(
        default=None, description="an expression over columns: the breach"
    )
    given: Condition | None = Field(
        default=None,
        description="an expression over the row at t: where it does not hold, nothing is asked",
    )
    mean: str | None = Field(default=None, description="a column: its mean over the horizon")
    sum: str | None = Field(default=None, description="a column: its sum over the horizon")
    observed: float = Field(
        default=0.8, gt=0, le=1, description="share of the horizon that must have been seen"
    )
    carry: bool = Field(
        default=False,
        description="whether the value at t also stands for missing periods after it (grid.fill)",
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

    @property
    def reach(self) -> timedelta:
        """How far after t the label can see."""
        return self.delay + self.within

    @property
    def columns(self) -> tuple[str, ...]:
        """The dataset's columns that labels are made from, sorted."""
        if self.any is not None:
            return tuple(sorted(Expression(self.any).columns))
        return tuple(name for name in (self.mean, self.sum) if name is not None)


class Lags(Document):
    """The value of each column so many periods of the grid ago."""

    columns: Columns
    periods: Annotated[
        tuple[Annotated[int, Field(ge=1)], ...],
        Field(min_length=1),
        AfterValidator(_is_free_of_repeats),
    ]

    def names(self) -> Iterator[str]:
        """Yield the feature names: latency_ms_lag_3."""
        return (lag_name(column, lag) for lag in self.periods for column in self.columns)


class Windows(Document):
    """Statistics of each column over (t - window, t], by time, never by row count."""

    columns: Columns
    over: Annotated[tuple[Length, ...], Field(min_length=1), AfterValidator(_is_free_of_repeats)]
    statistics: Statistics = ("mean",)

    def names(self) -> Iterator[str]:
        """Yield the feature names: latency_ms_mean_30min."""
        return (
            window_name(column, statistic, window)
            for window in self.over
            for statistic in self.statistics
            for column in self.columns
        )


class History(Document):
    """Each entity's own past: statistics over whole earlier days, at this hour or at any hour."""

    columns: Columns
    days: Annotated[int, Field(ge=1, le=60)] = 7
    statistics: Statistics = ("mean",)
    at: Literal["same_hour", "any_hour"] = "any_hour"

    def names(self) -> Iterator[str]:
        """Yield the feature names: latency_ms_mean_7d_same_hour."""
        return (
            history_name(column, statistic, self)
            for statistic in self.statistics
            for column in self.columns
        )


class Profile(Document):
    """The shape of each entity's day: its blocks of hours, as multiples of all of its hours.

    Over whole earlier UTC days; where a column is a KPI with a denominator, both are sums over
    sums. With `weekend` also the mean of Saturdays and Sundays, as a multiple of the other days'.
    """

    columns: Columns
    days: Annotated[int, Field(ge=1, le=60)] = 7
    hours: Literal[1, 2, 3, 4, 6, 8, 12] = Field(
        default=4, description="length of a block, by features.timezone"
    )
    weekend: bool = Field(
        default=False, description="also weekend days to weekdays; 7 days or more"
    )

    @model_validator(mode="after")
    def _has_a_weekend(self) -> "Profile":
        if self.weekend and self.days < 7:
            raise ValueError(f"{self.days} days may hold no weekend; write days: 7 or more")
        return self

    @property
    def blocks(self) -> range:
        """The numbers of the blocks of a day."""
        return range(24 // self.hours)

    def names(self) -> Iterator[str]:
        """Yield the feature names: latency_ms_profile_7d_20_24, latency_ms_profile_7d_weekend."""
        for column in self.columns:
            yield from (self.name(column, block) for block in self.blocks)
            if self.weekend:
                yield self.name(column, None)

    def name(self, column: str, block: int | None) -> str:
        """Name a block's feature, or that of the weekend."""
        hours = self.hours
        part = "weekend" if block is None else f"{block * hours:02}_{(block + 1) * hours:02}"
        return f"{column}_profile_{self.days}d_{part}"


class BusyHour(Document):
    """Where t lies to the hour of the local day with the largest traffic of the days before."""

    traffic: str = Field(description="a column of numbers: the volume or load of each period")
    dataset: Name | None = Field(
        default=None,
        description="a dataset of events whose traffic it is, summed by hour; default: the use "
        "case's own dataset",
    )
    by: str | None = Field(default=None, description="that dataset's column that is the entity")
    days: Annotated[int, Field(ge=1, le=60)] = Field(
        default=7, description="whole local days before that of t"
    )
    of: Annotated[
        tuple[Literal["entity", "network"], ...],
        Field(min_length=1),
        AfterValidator(_is_free_of_repeats),
    ] = Field(default=("entity",), description="whose busy hour: the entity's own, the network's")

    @model_validator(mode="after")
    def _by_goes_with_dataset(self) -> "BusyHour":
        if (self.dataset is None) != (self.by is None):
            raise ValueError("dataset and by go together: state both, or neither")
        return self

    def names(self) -> Iterator[str]:
        """Yield the feature names: is_busy_hour, hours_from_busy_hour; network_ before the hour."""
        return (name for whose in self.of for name in busy_hour_names(whose))


class Select(Document):
    """How many features a candidate keeps, and by what; fitted on training rows only."""

    method: Literal["filter", "l1", "permutation"] = Field(
        description="filter: F-test; l1: path of the lasso; permutation: loss on later folds"
    )
    keep: Annotated[int, Field(ge=1)] = Field(
        description="how many; each value of a category counts, for permutation each feature"
    )


def busy_hour_names(whose: Literal["entity", "network"]) -> tuple[str, str]:
    """Name whether t lies in the busy hour, and how many hours after it, within -12 to 11."""
    hour = "busy_hour" if whose == "entity" else "network_busy_hour"
    return f"is_{hour}", f"hours_from_{hour}"


class Through(Document):
    """Events of the entity, each of which meets the last row of another dataset before it."""

    dataset: Name = Field(description="the events, such as the calls of customers")
    entity: str = Field(description="its column that is the entity")
    by: str = Field(description="its column that equals `by` of the join, such as the serving cell")
    within: Length = Field(
        default=timedelta(minutes=10), description="how old the row that it meets may be"
    )


class Join(Document):
    """Statistics of another dataset's rows about the entity, over (t - window, t]."""

    name: Name = Field(description="what its features are called: NAME_COLUMN_STATISTIC_WINDOW")
    dataset: Name = Field(description="whose rows")
    by: str = Field(description="its column that is the entity, or what `through.by` equals")
    through: Through | None = Field(
        default=None, description="events that lead from the entity to the rows"
    )
    where: Condition | None = Field(
        default=None, description="an expression over its columns; other rows are left out"
    )
    over: Annotated[tuple[Length, ...], Field(min_length=1), AfterValidator(_is_free_of_repeats)]
    delay: LengthOrZero = Field(
        default=timedelta(0),
        description="how long after its stamp a row is known: windows end so long before t",
    )
    count: bool = Field(default=False, description="whether the number of rows is a feature")
    statistics: dict[str, JoinStatistics] = Field(
        default={}, description="column -> statistics of its known values"
    )
    any: Condition | None = Field(
        default=None, description="an expression: the share of rows in which it holds"
    )

    @model_validator(mode="after")
    def _has_features(self) -> "Join":
        if not (self.count or self.statistics or self.any):
            raise ValueError(f"join {self.name!r} has no feature; state count, statistics or any")
        return self

    def names(self) -> Iterator[str]:
        """Yield the feature names: load_count_2h, load_data_used_mb_sum_2h, served_share_1d."""
        for window in self.over:
            if self.count:
                yield window_name(self.name, "count", window)
            for column, statistics in self.statistics.items():
                for statistic in statistics:
                    yield window_name(f"{self.name}_{column}", statistic, window)
            if self.any is not None:
                yield window_name(self.name, "share", window)

    @property
    def datasets(self) -> tuple[str, ...]:
        """The datasets that it reads."""
        return (self.dataset,) if self.through is None else (self.through.dataset, self.dataset)

    def reach(self, dataset: str) -> timedelta:
        """Return how far before t it looks at rows of one of its datasets."""
        farthest = max(self.over) + self.delay
        is_met = self.through is not None and dataset == self.dataset
        return farthest + self.through.within if self.through and is_met else farthest


class Neighbours(Document):
    """Statistics of the other entities of the same site (or other level) over (t - window, t]."""

    same: str = Field(description="a column of text that neighbours have in common, such as site")
    columns: Columns
    over: Annotated[tuple[Length, ...], Field(min_length=1), AfterValidator(_is_free_of_repeats)]
    statistics: Annotated[
        tuple[Literal["mean", "min", "max"], ...],
        Field(min_length=1),
        AfterValidator(_is_free_of_repeats),
    ] = ("mean",)

    def names(self) -> Iterator[str]:
        """Yield the feature names: neighbours_latency_ms_mean_30min."""
        return (
            window_name(f"neighbours_{column}", statistic, window)
            for window in self.over
            for statistic in self.statistics
            for column in self.columns
        )


def lag_name(column: str, lag: int) -> str:
    """Name the value of `column` that many grid periods ago."""
    return f"{column}_lag_{lag}"


def window_name(column: str, statistic: str, window: timedelta) -> str:
    """Name a statistic of `column` over (t - window, t]."""
    return f"{column}_{statistic}_{short_duration(window)}"


def history_name(column: str, statistic: str, history: History) -> str:
    """Name a statistic of `column` over whole earlier days."""
    return f"{column}_{statistic}_{history.days}d_{history.at}"


def missing_share_name(window: timedelta) -> str:
    """Name the share of the grid's periods in (t - window, t] without a row."""
    return f"missing_share_{short_duration(window)}"


MINUTES_SINCE_SEEN = "minutes_since_seen"


class Features(Document):
    """The columns of X; everything looks back, over a finite and declared time."""

    current: Annotated[tuple[str, ...], AfterValidator(_is_free_of_repeats)] = Field(
        default=(), description="values of the row itself"
    )
    categories: Annotated[tuple[str, ...], AfterValidator(_is_free_of_repeats)] = Field(
        default=(), description="columns encoded as categories"
    )
    lags: tuple[Lags, ...] = ()
    windows: tuple[Windows, ...] = ()
    history: tuple[History, ...] = ()
    profile: tuple[Profile, ...] = Field(
        default=(), description="the shape of the day over whole earlier days"
    )
    calendar: Annotated[tuple[CalendarPart, ...], AfterValidator(_is_free_of_repeats)] = ()
    timezone: Zone = Field(default="UTC", description="the operator's zone, for the calendar")
    missing: Annotated[tuple[Length, ...], AfterValidator(_is_free_of_repeats)] = Field(
        default=(),
        description="share of expected periods absent in each window, and time since seen",
    )
    busy_hour: BusyHour | None = Field(
        default=None, description="where t lies to the busy hour of the days before"
    )
    joins: tuple[Join, ...] = Field(
        default=(), description="rows of other datasets about the entity, up to t"
    )
    neighbours: tuple[Neighbours, ...] = Field(
        default=(), description="the other entities of the same site, up to t"
    )
    select: Select | None = Field(
        default=None, description="of these features, those that a fit keeps"
    )

    @model_validator(mode="after")
    def _names_are_distinct(self) -> "Features":
        names = self.names()
        if not names:
            raise ValueError("there is no feature; state at least one, such as current: [COLUMN]")
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two features are called {name!r}; state it once")
            if name in RESERVED:
                raise ValueError(
                    f"a feature cannot be called {name!r}, as the training table uses that name; "
                    "rename the dataset's column"
                )
        if self.select is not None and self.select.keep >= len(names):
            raise ValueError(
                f"select.keep is {self.select.keep}, but there are only {len(names)} features; "
                "write fewer, or leave select out"
            )
        return self

    def unselected(self) -> "Features":
        """Return the same columns of X without a word on which of them a fit keeps."""
        return self.model_copy(update={"select": None})

    def names(self) -> tuple[str, ...]:
        """Return the columns of X in their order: numbers first, then categories."""
        parts = self._parts()
        missing = [missing_share_name(window) for window in self.missing]
        return (
            *self.current,
            *(name for part in parts for name in part.names()),
            *self.calendar,
            *missing,
            *([MINUTES_SINCE_SEEN] if missing else []),
            *(self.busy_hour.names() if self.busy_hour else ()),
            *(name for join in self.joins for name in join.names()),
            *(name for near in self.neighbours for name in near.names()),
            *self.categories,
        )

    @property
    def numeric_columns(self) -> tuple[str, ...]:
        """The dataset's columns whose values are read as numbers, sorted."""
        parts = self._parts()
        return tuple(
            sorted({*self.current, *(column for part in parts for column in part.columns)})
        )

    @property
    def spans(self) -> tuple[timedelta, ...]:
        """The windows over the grid: of the entity's own rows, and of its neighbours'."""
        own = (span for windows in self.windows for span in windows.over)
        return *own, *(span for near in self.neighbours for span in near.over)

    @property
    def joined(self) -> tuple[str, ...]:
        """The names of the other datasets that features are made from, sorted."""
        busy = self.busy_hour.dataset if self.busy_hour else None
        names = {name for join in self.joins for name in join.datasets} | (
            {busy} if busy else set()
        )
        return tuple(sorted(names))

    def _parts(self) -> tuple[Lags | Windows | History | Profile, ...]:
        return (*self.lags, *self.windows, *self.history, *self.profile)


class Split(Document):
    """How time is divided: train < embargo < holdout; folds follow time inside train."""

    holdout: WholeDays
    embargo: LengthOrZero
    folds: Annotated[int, Field(ge=2, le=20)] = 3


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


class Report(Document):
    """What the evaluation and the report of each training show beyond what gates ask for."""

    slices: Annotated[tuple[str, ...], AfterValidator(_is_free_of_repeats)] = Field(
        default=(), description="features, or the entity: groups of the holdout shown apart"
    )
    minimum_support: Annotated[int, Field(ge=1)] = Field(
        default=200, description="groups with fewer rows have no number"
    )
    levels: dict[Name, str] = Field(
        default={},
        description="groups of entities, such as site: a regular expression over the entity's "
        "name, whose group 'value' is the group's",
    )

    @field_validator("levels")
    @classmethod
    def _have_value(cls, levels: dict[str, str]) -> dict[str, str]:
        for name, pattern in levels.items():
            with_value(pattern, f"the pattern of {name!r}")
        return levels


class Alerts(Document):
    """How many alerts a day the operations centre can handle; sets the decision threshold."""

    per_day: float = Field(gt=0)


class Deadline(Document):
    """By when the night's decision has to be there: a time of the day in a time zone."""

    at: LocalTime = Field(description="such as 05:00, on the day after the newest one trained on")
    timezone: Zone = "UTC"

    def on(self, day: date) -> datetime:
        """Return the moment of the deadline on a day, in UTC."""
        return datetime.combine(day, self.at, ZoneInfo(self.timezone)).astimezone(UTC)


class LeakageAudit(Document):
    """What people know better than the leakage audit, by rule, and why."""

    accept: dict[Rule, Annotated[str, Field(min_length=1, max_length=300)]] = Field(
        default={}, description="rule -> why what it says of this table is accepted"
    )


class UseCase(Document):
    """One model of the mission; see docs/onboarding.md for each key."""

    name: Name
    description: str = ""
    problem: Problem
    dataset: Name
    entity: str
    where: Condition | None = Field(
        default=None, description="an expression; other rows are left out"
    )
    history: WholeDays
    minimum_coverage: float = Field(
        default=0.5, ge=0, le=1, description="share of history's days that must be usable"
    )
    grid: Grid = Grid()
    target: Target | None = Field(
        default=None, description="what is predicted; a clustering has none, all others need one"
    )
    features: Features
    split: Split
    candidates: tuple[Candidate, ...] = Field(min_length=1)
    search: Search = Search()
    metric: str
    alerts: Alerts | None = None
    intervals: Intervals | None = None
    gates: Gates = Gates()
    report: Report = Report()
    audit: LeakageAudit = LeakageAudit()
    refit_on_holdout: bool = False
    promotion: Literal["automatic", "manual"] = "automatic"
    deadline: Deadline | None = None
    seed: int = 20240301

    @model_validator(mode="after")
    def _is_consistent(self) -> "UseCase":
        if self.split.holdout >= self.history:
            raise ValueError(
                "split.holdout must be shorter than history, or nothing is left to train on"
            )
        if self.alerts is not None and self.problem != "classification":
            raise ValueError("alerts need problem: classification")
        if self.intervals is not None and self.problem != "regression":
            raise ValueError(
                "intervals need problem: regression; a probability has no interval, but a "
                "calibration, which its plot shows"
            )
        return self

    @model_validator(mode="after")
    def _target_fits(self) -> "UseCase":
        target = self.target
        if target is None:
            if self.problem != "clustering":
                raise ValueError(f"a {self.problem} needs a target; state what is predicted")
            return self
        if self.problem == "clustering":
            raise ValueError("a clustering foretells nothing; take target out")
        if self.split.embargo < target.reach:
            ahead = "target.delay + target.within" if target.delay else "target.within"
            raise ValueError(
                f"split.embargo ({self.split.embargo}) is shorter than {ahead} ({target.reach}): "
                "labels of the training rows would reach into the holdout"
            )
        if target.carry and self.grid.fill >= target.reach:
            raise ValueError(
                f"with target.carry, grid.fill ({self.grid.fill}) must be shorter than "
                f"target.within, with target.delay if there is one ({target.reach}), or a "
                "target could be computed from its own row"
            )
        if (self.problem == "classification") != (target.any is not None):
            raise ValueError("classification goes with target.any, regression with mean or sum")
        return self

    @model_validator(mode="after")
    def _clusters_are_gated(self) -> "UseCase":
        if self.problem != "clustering":
            return self
        if self.metric == "stability":
            raise ValueError("candidates are compared by silhouette; stability is a floor of gates")
        if "stability" not in self.gates.floors:
            raise ValueError(
                "gates.floors needs stability, such as 0.6: clusters that other cells would not "
                "have made again are none"
            )
        if self.features.select is not None:
            raise ValueError("features.select asks what foretells y; a clustering has none")
        if self.refit_on_holdout:
            raise ValueError(
                "refit_on_holdout gives clusters that were not evaluated; a clustering has none"
            )
        return self

    @model_validator(mode="after")
    def _levels_have_names_of_their_own(self) -> "UseCase":
        for name in self.report.levels:
            if name in (*self.features.names(), self.entity, *RESERVED, *PREDICTED):
                raise ValueError(f"report.levels names {name!r}, which is a column already")
        return self

    @model_validator(mode="after")
    def _names_are_known(self) -> "UseCase":
        names = [candidate.name for candidate in self.candidates]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two candidates are called {name!r}")
        known = METRICS[self.problem]
        if self.metric not in known:
            raise ValueError(
                f"metric {self.metric!r} is not one for {self.problem}; known: {', '.join(known)}"
            )
        known += METRICS_AT_THRESHOLD if self.alerts else ()
        known += METRICS_OF_INTERVALS if self.intervals else ()
        for metric in self.gates.floors:
            if metric not in known:
                raise ValueError(
                    f"gates.floors names {metric!r}, which is not a metric here; "
                    f"known: {', '.join(known)}"
                )
        asked = [("gates.slices", item.column) for item in self.gates.slices]
        asked += [("report.slices", column) for column in self.report.slices]
        if self.intervals is not None and self.intervals.by is not None:
            asked.append(("intervals.by", self.intervals.by))
        for key, column in asked:
            if column not in (*self.features.names(), self.entity):
                raise ValueError(
                    f"{key} names {column!r}, which is neither a feature nor the entity; add it "
                    "to features.categories"
                )
            if column in PREDICTED:
                raise ValueError(
                    f"{key} names {column!r}, as predictions call one of their own columns; "
                    "rename the dataset's column"
                )
        return self

    @property
    def datasets(self) -> tuple[str, ...]:
        """The names of the datasets that it is made from, the one that it is about first."""
        return self.dataset, *self.features.joined

    def check(self, dataset: Dataset, others: Mapping[str, Dataset] | None = None) -> None:
        """Raise ConfigurationError where this cannot be made from `dataset`, naming the key.

        With `others`, the datasets that it joins by name, these are checked, too.
        """
        self.table_view().check(dataset)
        if others is not None:
            self.feature_view().check_joined(dataset, others)

    def feature_view(self) -> "FeatureView":
        """Return what features depend on."""
        return FeatureView(**self._those(FeatureView))

    def table_view(self) -> "TableView":
        """Return what the training table depends on."""
        return TableView(**self._those(TableView))

    def _those(self, view: "type[FeatureView]") -> dict[str, Any]:
        """Return the values of a view's fields; what a fit keeps makes no feature anew."""
        values = {name: getattr(self, name) for name in view.model_fields}
        return values | {"features": self.features.unselected()}

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
            select=self.features.select,
            slices=tuple(self.slice_support()),
            intervals=self._calibration(),
        )

    def _calibration(self) -> Calibration | None:
        """Return what a fit needs of the intervals: how they are judged changes no model."""
        if self.intervals is None:
            return None
        return Calibration(
            **{name: getattr(self.intervals, name) for name in Calibration.model_fields}
        )

    def slice_support(self) -> dict[str, int]:
        """Return each column that the holdout is sliced by, and the fewest rows of a group."""
        support = {item.column: item.minimum_support for item in self.gates.slices}
        if self.intervals is not None and self.intervals.by is not None:
            support.setdefault(self.intervals.by, self.intervals.minimum_support)
        for column in self.report.slices:
            support.setdefault(column, self.report.minimum_support)
        return support


class FeatureView(Document):
    """The part of a use case that features depend on; their step keys hash nothing else."""

    dataset: Name
    entity: str
    where: Condition | None
    grid: Grid
    features: Features

    def period(self, dataset: Dataset) -> timedelta:
        """Return the period of the grid.

        Raises ConfigurationError where neither the use case nor the dataset states one.
        """
        period = self.grid.period or dataset.time.period
        if period is None:
            raise ConfigurationError(
                f"neither this use case nor dataset {dataset.name!r} states a period; "
                "write grid: {period: ...}, such as 5min."
            )
        return period

    def reads(self, column: str) -> bool:
        """Return whether this reads a column of numbers or truth values of its own dataset."""
        near = [name for part in self.features.neighbours for name in part.columns]
        busy = self.features.busy_hour
        near += [busy.traffic] if busy is not None and busy.dataset is None else []
        return column in (*self.features.numeric_columns, *near, *_read_by(self.where))

    def check(self, dataset: Dataset) -> None:
        """Raise ConfigurationError where this cannot be made from `dataset`, naming the key."""
        if dataset.name != self.dataset:
            raise ConfigurationError(
                f"this use case reads dataset {self.dataset!r}, but was given {dataset.name!r}."
            )
        period = self.period(dataset)
        spans = self.features.spans
        for span in (*spans, *self.features.missing):
            if span < period:
                raise ConfigurationError(
                    f"the window {short_duration(span)} is shorter than the grid's period "
                    f"{short_duration(period)}, so that it would be empty; make it longer."
                )
        _expect_columns(dataset, "entity", [self.entity], ("string",))
        _expect_columns(dataset, "features", self.features.numeric_columns, _NUMERIC)
        parts: tuple[Windows | History, ...] = (*self.features.windows, *self.features.history)
        for part in parts:
            if "sum" in part.statistics:
                _expect_no_ratio(dataset, "statistics: [sum]", part.columns)
        busy = self.features.busy_hour
        if busy is not None and busy.dataset is None:
            _check_busy_hour(dataset, busy)
        for near in self.features.neighbours:
            _check_neighbours(dataset, near, self.entity)
        if dataset.name in self.features.joined:
            raise ConfigurationError(
                f"features joins {dataset.name!r}, the dataset that the use case is about; take "
                "lags, windows or history for its own rows."
            )
        if self.entity in self.features.categories:
            raise ConfigurationError(
                f"features.categories names {self.entity!r}, but the entity itself is no feature; "
                "features.history gives each entity's own past."
            )
        _expect_columns(dataset, "features.categories", self.features.categories, ("string",))
        if self.where is not None:
            _expect_condition(dataset, "where", self.where)

    def check_joined(self, dataset: Dataset, others: Mapping[str, Dataset]) -> None:
        """Raise ConfigurationError where the other datasets cannot be joined, naming the key."""
        for name in self.features.joined:
            if name not in others:
                raise ConfigurationError(
                    f"features joins dataset {name!r}, but was given "
                    f"{', '.join(sorted(others)) or 'none'}."
                )
        domain = dataset.pseudonymise.get(self.entity)
        for join in self.features.joins:
            _check_join(join, others, domain)
        busy = self.features.busy_hour
        if busy is not None and busy.dataset is not None and busy.by is not None:
            other = others[busy.dataset]
            _expect_delivered(other, "features.busy_hour.traffic", [busy.traffic], _NUMERIC)
            _expect_key(other, "features.busy_hour.by", busy.by, domain)


class TableView(FeatureView):
    """The part of a use case that its training table depends on."""

    problem: Problem
    target: Target | None
    split: Split

    @property
    def stated_target(self) -> Target:
        """The target; raises ConfigurationError where there is none, as of a clustering."""
        if self.target is None:
            raise ConfigurationError(f"a {self.problem} has no target to make labels from.")
        return self.target

    def reads(self, column: str) -> bool:
        """Return whether this reads a column of numbers or truth values of its own dataset."""
        if super().reads(column):
            return True
        target = self.target
        return target is not None and column in (*target.columns, *_read_by(target.given))

    def check(self, dataset: Dataset) -> None:
        """Raise ConfigurationError where this cannot be made from `dataset`, naming the key."""
        super().check(dataset)
        period = self.period(dataset)
        if self.target is None:
            return
        if self.target.within < period:
            raise ConfigurationError(
                f"target.within ({short_duration(self.target.within)}) is shorter than the grid's "
                f"period ({short_duration(period)}), so that no row would lie in the horizon; "
                "make the horizon at least one period."
            )
        if self.target.delay % period:
            raise ConfigurationError(
                f"target.delay ({short_duration(self.target.delay)}) is no whole number of the "
                f"grid's periods ({short_duration(period)}); make it one."
            )
        if self.target.given is not None:
            _expect_condition(dataset, "target.given", self.target.given)
        if self.target.any is not None:
            _expect_condition(dataset, "target.any", self.target.any)
        else:
            _expect_columns(dataset, "target", self.target.columns, _NUMERIC)
            _expect_no_ratio(dataset, "target.sum", [self.target.sum or ""])


def _read_by(condition: str | None) -> frozenset[str]:
    """Return the columns that a condition names, none where there is no condition."""
    return frozenset() if condition is None else Expression(condition).columns


_NUMERIC = ("float", "integer", "boolean")
_DTYPES = {
    "string": "str",
    "float": "float64",
    "integer": "Int64",
    "boolean": "boolean",
    "timestamp": "datetime64[us, UTC]",
}


def no_rows(dataset: Dataset) -> pd.DataFrame:
    """Return a curated frame of `dataset` without rows: its columns with their types."""
    return pd.DataFrame(
        {name: pd.Series(dtype=_DTYPES[column.type]) for name, column in dataset.columns.items()}
    )


def _expect_columns(
    dataset: Dataset, key: str, names: Iterable[str], types: tuple[str, ...]
) -> None:
    for name in names:
        if name not in dataset.types:
            raise ConfigurationError(
                f"{key} names {name!r}, which is not a column of dataset {dataset.name!r}; "
                f"known: {', '.join(dataset.types)}."
            )
        if dataset.types[name] not in types:
            raise ConfigurationError(
                f"{key} names {name!r}, whose type is {dataset.types[name]}; "
                f"needed here: {' or '.join(types)}."
            )


def _expect_no_ratio(dataset: Dataset, key: str, names: Iterable[str]) -> None:
    for name in names:
        if name in dataset.kpis and dataset.kpis[name].denominator is not None:
            raise ConfigurationError(
                f"{key} cannot be of {name!r}, a ratio: ratios of periods do not add up; take the "
                "mean, which is numerators over denominators, or a KPI without a denominator."
            )


def _check_neighbours(dataset: Dataset, near: Neighbours, entity: str) -> None:
    _expect_columns(dataset, "features.neighbours.columns", near.columns, _NUMERIC)
    _expect_columns(dataset, "features.neighbours.same", [near.same], ("string",))
    if near.same == entity:
        raise ConfigurationError(
            f"features.neighbours.same names {near.same!r}, the entity itself, which has no "
            "neighbours; name a level above it, such as site."
        )


def _check_busy_hour(dataset: Dataset, busy_hour: BusyHour) -> None:
    _expect_columns(dataset, "features.busy_hour.traffic", [busy_hour.traffic], _NUMERIC)
    _expect_no_ratio(dataset, "features.busy_hour.traffic", [busy_hour.traffic])
    period = dataset.time.period
    if dataset.kind != "periodic" or period is None or period > timedelta(hours=1):
        raise ConfigurationError(
            f"features.busy_hour needs a periodic dataset of at most an hour, and {dataset.name!r} "
            "is none: the hour with the most events may be the one of which most were delivered."
        )


def _check_join(join: Join, others: Mapping[str, Dataset], domain: str | None) -> None:
    key, met = f"features.joins[{join.name}]", others[join.dataset]
    if join.through is None:
        _expect_key(met, f"{key}.by", join.by, domain)
    else:
        events = others[join.through.dataset]
        if events.name == met.name:
            raise ConfigurationError(
                f"{key} leads from {met.name!r} to itself; join it without through."
            )
        _expect_key(events, f"{key}.through.entity", join.through.entity, domain)
        _expect_delivered(events, f"{key}.through.by", [join.through.by], ("string",))
        _expect_key(met, f"{key}.by", join.by, events.pseudonymise.get(join.through.by))
    for column, statistics in join.statistics.items():
        is_text = set(statistics) <= {"count", "nunique"}
        types = ("string", *_NUMERIC) if is_text else _NUMERIC
        _expect_delivered(met, f"{key}.statistics", [column], types)
    for name, text in (("where", join.where), ("any", join.any)):
        if text is not None:
            _expect_delivered(met, f"{key}.{name}", sorted(Expression(text).columns), None)
            _expect_condition(met, f"{key}.{name}", text)


def _expect_delivered(
    dataset: Dataset, key: str, names: Iterable[str], types: tuple[str, ...] | None
) -> None:
    """Refuse columns that are derived: a join is of rows as they were delivered."""
    for name in names:
        if name in dataset.types and name not in dataset.columns:
            raise ConfigurationError(
                f"{key} names {name!r}, which {dataset.name!r} derives; a join takes delivered "
                f"columns: {', '.join(dataset.columns)}."
            )
    _expect_columns(dataset, key, names, types or tuple(_DTYPES))


def _expect_key(dataset: Dataset, key: str, name: str, domain: str | None) -> None:
    """Refuse a column that can never equal what it is joined with."""
    _expect_delivered(dataset, key, [name], ("string",))
    own = dataset.pseudonymise.get(name)
    if own != domain:
        raise ConfigurationError(
            f"{key} names {name!r} of {dataset.name!r}, whose values are "
            f"{f'pseudonyms of {own!r}' if own else 'as delivered'}, and joins it with "
            f"{f'pseudonyms of {domain!r}' if domain else 'values as delivered'}: they are never "
            "equal. Take columns of one domain (pseudonymise in the datasets)."
        )


def _expect_condition(dataset: Dataset, key: str, text: str) -> None:
    try:
        nothing = {name: pd.Series(dtype=_DTYPES[kind]) for name, kind in dataset.types.items()}
        Expression(text).evaluate(pd.DataFrame(nothing))
    except ConfigurationError as error:
        raise ConfigurationError(f"{key} in dataset {dataset.name!r}: {error}") from error


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
    """Return the names of all use cases below `home`, sorted.

    Raises ConfigurationError where there is none, since a night with nothing to do is a mistake.
    """
    names = sorted(path.stem for path in (home / "use_cases").glob("*.yaml"))
    if not names:
        raise ConfigurationError(
            f"{home / 'use_cases'} holds no use case; add a YAML file, or correct RANCAST_HOME."
        )
    return names


def schema() -> dict[str, Any]:
    """Return the JSON schema of a use case file, for editors."""
    return UseCase.model_json_schema()
