"""The kinds of feature: what each is made from in a use case's YAML, and what it is called."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, model_validator

from rancast.datasets import Name
from rancast.documents import Document
from rancast.durations import DAY, Length, LengthOrZero, short_duration
from rancast.field_types import WITHOUT_REPEATS, Columns, Condition

Statistic = Literal["mean", "std", "min", "max", "median", "sum", "count"]
JoinStatistic = Literal["count", "sum", "mean", "min", "max", "nunique"]

Lengths = Annotated[tuple[Length, ...], Field(min_length=1), WITHOUT_REPEATS]
Statistics = Annotated[tuple[Statistic, ...], Field(min_length=1), WITHOUT_REPEATS]
JoinStatistics = Annotated[tuple[JoinStatistic, ...], Field(min_length=1), WITHOUT_REPEATS]

MINUTES_SINCE_SEEN = "minutes_since_seen"


class Lags(Document):
    """The value of each column so many periods of the grid ago."""

    columns: Columns
    periods: Annotated[
        tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1), WITHOUT_REPEATS
    ]

    def names(self) -> Iterator[str]:
        """Yield the feature names: latency_ms_lag_3."""
        return (lag_name(column, lag) for lag in self.periods for column in self.columns)


class Windows(Document):
    """Statistics of each column over (t - window, t], by time, never by row count."""

    columns: Columns
    over: Lengths
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
    where: Condition | None = Field(
        default=None, description="an expression over its columns; other events are left out"
    )
    delay: LengthOrZero = Field(
        default=timedelta(0),
        description="after its stamp, when an event is known: a day counts so long after its end",
    )
    days: Annotated[int, Field(ge=1, le=60)] = Field(
        default=7, description="whole local days before that of t"
    )
    of: Annotated[
        tuple[Literal["entity", "network"], ...], Field(min_length=1), WITHOUT_REPEATS
    ] = Field(default=("entity",), description="whose busy hour: the entity's own, the network's")

    @model_validator(mode="after")
    def _by_goes_with_dataset(self) -> "BusyHour":
        if (self.dataset is None) != (self.by is None):
            raise ValueError("dataset and by go together: state both, or neither")
        if self.dataset is None and (self.where is not None or self.delay):
            raise ValueError("where and delay are those of events: state dataset and by, too")
        return self

    def reach(self, timezone: str) -> timedelta:
        """Return how many whole UTC days before that of t it looks at; local days begin earlier."""
        return (self.days + (timezone != "UTC") - (-self.delay // DAY)) * DAY

    def names(self) -> Iterator[str]:
        """Yield the feature names: is_busy_hour, hours_from_busy_hour; network_ before the hour."""
        return (name for whose in self.of for name in busy_hour_names(whose))


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
    over: Lengths
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
    over: Lengths
    statistics: Annotated[
        tuple[Literal["mean", "min", "max"], ...], Field(min_length=1), WITHOUT_REPEATS
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


def busy_hour_names(whose: Literal["entity", "network"]) -> tuple[str, str]:
    """Name whether t lies in the busy hour, and how many hours after it, within -12 to 11."""
    hour = "busy_hour" if whose == "entity" else "network_busy_hour"
    return f"is_{hour}", f"hours_from_{hour}"
