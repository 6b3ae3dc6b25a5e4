"""The columns of X: the schema of all features of a use case together."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, model_validator

from rancast.column_names import RESERVED
from rancast.documents import Document
from rancast.durations import Length
from rancast.feature_definitions import (
    MINUTES_SINCE_SEEN,
    BusyHour,
    History,
    Join,
    Lags,
    Neighbours,
    Profile,
    Windows,
    missing_share_name,
)
from rancast.field_types import WITHOUT_REPEATS, Zone

CalendarPart = Literal["hour", "weekday", "is_weekend", "minute_of_day_sin", "minute_of_day_cos"]


class Select(Document):
    """How many features a candidate keeps, and by what; fitted on training rows only."""

    method: Literal["filter", "l1", "permutation"] = Field(
        description="filter: F-test; l1: path of the lasso; permutation: loss on later folds"
    )
    keep: Annotated[int, Field(ge=1)] = Field(
        description="how many; each value of a category counts, for permutation each feature"
    )


class Features(Document):
    """The columns of X; everything looks back, over a finite and declared time."""

    current: Annotated[tuple[str, ...], WITHOUT_REPEATS] = Field(
        default=(), description="values of the row itself"
    )
    categories: Annotated[tuple[str, ...], WITHOUT_REPEATS] = Field(
        default=(), description="columns encoded as categories"
    )
    lags: tuple[Lags, ...] = ()
    windows: tuple[Windows, ...] = ()
    history: tuple[History, ...] = ()
    profile: tuple[Profile, ...] = Field(
        default=(), description="the shape of the day over whole earlier days"
    )
    calendar: Annotated[tuple[CalendarPart, ...], WITHOUT_REPEATS] = ()
    timezone: Zone = Field(default="UTC", description="the operator's zone, for the calendar")
    missing: Annotated[tuple[Length, ...], WITHOUT_REPEATS] = Field(
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
