"""What features depend on: their part of the use case, held against the datasets that it reads."""

from collections.abc import Iterable, Mapping
from datetime import timedelta

from pydantic import Field

from rancast.coarse import expect_met, expect_whole
from rancast.column_checks import (
    expect_columns,
    expect_condition,
    expect_delivered,
    expect_key,
    expect_no_ratio,
)
from rancast.column_types import NUMERIC, TEXT
from rancast.datasets import Dataset, Name
from rancast.documents import Document
from rancast.durations import Length, LengthOrZero, short_duration
from rancast.errors import ConfigurationError
from rancast.expressions import Expression
from rancast.feature_definitions import BusyHour, History, Join, Neighbours, Windows
from rancast.feature_set import Features
from rancast.field_types import Condition, columns_of


class Grid(Document):
    """The regular time grid on which an entity's rows are put before features are made."""

    period: Length | None = Field(default=None, description="default: the dataset's period")
    fill: LengthOrZero = Field(
        default=timedelta(0), description="how far a value is carried forward"
    )


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
        of_rows = (name for names in self.read_of_rows().values() for name in names)
        return column in (*of_rows, *columns_of(self.where))

    def check(self, dataset: Dataset) -> None:
        """Raise ConfigurationError where this cannot be made from `dataset`, naming the key."""
        if dataset.name != self.dataset:
            raise ConfigurationError(
                f"this use case reads dataset {self.dataset!r}, but was given {dataset.name!r}."
            )
        _check_windows(self.features, self.period(dataset))
        expect_columns(dataset, "entity", [self.entity], TEXT)
        _check_numbers(dataset, self.features)
        for near in self.features.neighbours:
            _check_neighbours(dataset, near, self.entity)
        if dataset.name in self.features.joined:
            raise ConfigurationError(
                f"features joins {dataset.name!r}, the dataset that the use case is about; take "
                "lags, windows or history for its own rows."
            )
        _check_categories(dataset, self.features, self.entity)
        if self.where is not None:
            expect_condition(dataset, "where", self.where)
        expect_whole(dataset, self.entity, self.where, self.read_of_rows())

    def read_of_rows(self) -> dict[str, Iterable[str]]:
        """Return the own dataset's columns that are read as a row has them, by the key of each."""
        features, busy = self.features, self.features.busy_hour
        own = busy is not None and busy.dataset is None
        return {
            "features": features.numeric_columns,
            "features.categories": features.categories,
            "features.neighbours": [
                name for near in features.neighbours for name in (*near.columns, near.same)
            ],
            "features.busy_hour.traffic": [busy.traffic] if busy is not None and own else [],
        }

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
            expect_delivered(other, "features.busy_hour.traffic", [busy.traffic], NUMERIC)
            expect_key(other, "features.busy_hour.by", busy.by, domain)
            if busy.where is not None:
                _check_condition(other, "features.busy_hour.where", busy.where)


def _check_windows(features: Features, period: timedelta) -> None:
    for span in (*features.spans, *features.missing):
        if span < period:
            raise ConfigurationError(
                f"the window {short_duration(span)} is shorter than the grid's period "
                f"{short_duration(period)}, so that it would be empty; make it longer."
            )


def _check_numbers(dataset: Dataset, features: Features) -> None:
    expect_columns(dataset, "features", features.numeric_columns, NUMERIC)
    parts: tuple[Windows | History, ...] = (*features.windows, *features.history)
    for part in parts:
        if "sum" in part.statistics:
            expect_no_ratio(dataset, "statistics: [sum]", part.columns)
    busy = features.busy_hour
    if busy is not None and busy.dataset is None:
        _check_busy_hour(dataset, busy)


def _check_categories(dataset: Dataset, features: Features, entity: str) -> None:
    if entity in features.categories:
        raise ConfigurationError(
            f"features.categories names {entity!r}, but the entity itself is no feature; "
            "features.history gives each entity's own past."
        )
    expect_columns(dataset, "features.categories", features.categories, TEXT)


def _check_neighbours(dataset: Dataset, near: Neighbours, entity: str) -> None:
    expect_columns(dataset, "features.neighbours.columns", near.columns, NUMERIC)
    expect_columns(dataset, "features.neighbours.same", [near.same], TEXT)
    if near.same == entity:
        raise ConfigurationError(
            f"features.neighbours.same names {near.same!r}, the entity itself, which has no "
            "neighbours; name a level above it, such as site."
        )


def _check_busy_hour(dataset: Dataset, busy_hour: BusyHour) -> None:
    expect_columns(dataset, "features.busy_hour.traffic", [busy_hour.traffic], NUMERIC)
    expect_no_ratio(dataset, "features.busy_hour.traffic", [busy_hour.traffic])
    period = dataset.time.period
    if dataset.kind != "periodic" or period is None or period > timedelta(hours=1):
        raise ConfigurationError(
            f"features.busy_hour needs a periodic dataset of at most an hour, and {dataset.name!r} "
            "is none: the hour with the most events may be the one of which most were delivered."
        )


def _check_join(join: Join, others: Mapping[str, Dataset], domain: str | None) -> None:
    key, met = f"features.joins[{join.name}]", others[join.dataset]
    if join.through is None:
        expect_key(met, f"{key}.by", join.by, domain)
    else:
        events = others[join.through.dataset]
        if events.name == met.name:
            raise ConfigurationError(
                f"{key} leads from {met.name!r} to itself; join it without through."
            )
        expect_key(events, f"{key}.through.entity", join.through.entity, domain)
        expect_delivered(events, f"{key}.through.by", [join.through.by], TEXT)
        expect_key(met, f"{key}.by", join.by, events.pseudonymise.get(join.through.by))
        expect_met(met, key, join.by, join.where)
    for column, statistics in join.statistics.items():
        is_text = set(statistics) <= {"count", "nunique"}
        types = (*TEXT, *NUMERIC) if is_text else NUMERIC
        expect_delivered(met, f"{key}.statistics", [column], types)
    for name, text in (("where", join.where), ("any", join.any)):
        if text is not None:
            _check_condition(met, f"{key}.{name}", text)


def _check_condition(dataset: Dataset, key: str, text: str) -> None:
    expect_delivered(dataset, key, sorted(Expression(text).columns), None)
    expect_condition(dataset, key, text)
