"""X: what was known about each entity at each time, made by the same code for training and scoring.

Nothing here looks past t, and nothing looks back further than the use case declares. Targets, which
look ahead, are in `targets`; which rows of X train a model is in `tables` and `splits`.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import date, timedelta
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.indexers import BaseIndexer

from rancast import busy_hour, coverage, joins, neighbours
from rancast.datasets import IS_SLEEPING, AnyDataset, Dataset
from rancast.durations import DAY
from rancast.expressions import Expression
from rancast.feature_definitions import (
    MINUTES_SINCE_SEEN,
    BusyHour,
    History,
    Profile,
    busy_hour_names,
    history_name,
    lag_name,
    missing_share_name,
    window_name,
)
from rancast.feature_set import CalendarPart
from rancast.feature_view import FeatureView
from rancast.grids import (
    MICROSECOND,
    Axis,
    Floats,
    Ints,
    carry,
    make_axis,
    numbers,
    on_grid,
    place,
    eligible_rows,
)
from rancast.joins import Other
from rancast.kpis import denominator_of, numerator_of, quotient

MISSING_CATEGORY = "missing"

Column = tuple[str, Floats | NDArray[np.object_]]


def lookback_days(view: FeatureView, dataset: Dataset) -> int:
    """Return how many whole days before a day its features need of the use case's own dataset."""
    parts: tuple[History | Profile, ...] = (*view.features.history, *view.features.profile)
    days = [part.days * DAY for part in parts]
    busy = view.features.busy_hour
    if busy is not None and busy.dataset is None:
        days.append(busy.reach(view.features.timezone))
    farthest = max([_reach(view, dataset), *(span + _edge(view, dataset) for span in days)])
    if dataset.cumulative and dataset.time.period is not None:
        farthest += dataset.time.period  # an increment needs the period before
    if view.reads(IS_SLEEPING) and dataset.sleeping is not None:
        farthest += coverage.reach_of_sleep(dataset)
    return -(-farthest // DAY)


def _edge(view: FeatureView, dataset: Dataset) -> timedelta:
    """Return how far before a grid time the rows lie that its KPIs are added up from."""
    period = view.period(dataset)
    return period if dataset.kpis and period != dataset.time.period else timedelta(0)


def _reach(view: FeatureView, dataset: Dataset) -> timedelta:
    """Return how far before t the lags, windows and filled values of t can reach."""
    features, period = view.features, view.period(dataset)
    lags = [lag * period for part in features.lags for lag in part.periods]
    # a row between two grid times counts at the later one, which may be on the next day
    rounding = timedelta(0) if period == dataset.time.period else period
    farthest = max([timedelta(0), *lags, *features.spans, *features.missing])
    return farthest + view.grid.fill + rounding


def build(
    curated: list[pd.DataFrame],
    view: FeatureView,
    dataset: AnyDataset,
    day: date,
    joined: dict[str, list[pd.DataFrame]] = {},
    others: dict[str, Other] = {},
) -> pd.DataFrame:
    """Return X of `day`: the entity, the time column, then `view.features.names()`.

    `curated` holds the partitions of the `lookback_days` before `day` and of `day` itself, in any
    order; other rows in them are ignored. X has one row per entity and grid time of `day` that has
    a row at most `grid.fill` back (the row itself where nothing is filled), sorted by entity and
    time; numbers are float64, NaN where unknown, and categories `str`, 'missing' where unknown.
    `joined` holds, by dataset, the partitions of the other datasets that features are made from, of
    `joins.lookback_days` before `day` and of `day`, and `others` what these datasets are and which
    of their days were delivered. Raises ConfigurationError for a view that they cannot serve.
    """
    view.check(dataset)
    view.check_joined(dataset, {name: other.dataset for name, other in others.items()})
    start = pd.Timestamp(day, tz="UTC")
    first = start - lookback_days(view, dataset) * DAY
    time = dataset.time.column
    within = [part[(part[time] >= first) & (part[time] < start + DAY)] for part in curated]
    past = eligible_rows(within, view, dataset)
    summed = on_grid(past, view, dataset) if dataset.kpis else past
    grid = _Grid.over(summed, view, dataset, start)
    columns: dict[str, Any] = {
        view.entity: grid.axis.entity(grid.slots[grid.chosen]).to_numpy(),
        time: grid.time,
        **dict(_numeric_features(grid, view)),
        **dict(_history(past, grid, view, dataset, start)),
        **dict(_history(summed, grid, view, dataset, start, of_kpis=True)),
        **dict(_profiles(past, grid, view, dataset, start)),
        **dict(_busy_hour(past, grid, view, dataset)),
        **dict(_busy_hour_of_events(grid, view, joined, others)),
        **dict(joins.columns(grid.entity, pd.Series(grid.time), view, joined, others)),
        **dict(_neighbours(grid, view)),
        **dict(_categories(grid, view)),
    }
    names = [view.entity, time, *view.features.names()]
    texts = {name: "str" for name in (view.entity, *view.features.categories)}
    return pd.DataFrame({name: columns[name] for name in names}).astype(texts)


class _Grid(NamedTuple):
    """The rows that lags and windows of a day can see, on the grid.

    `slots` have a row at most `limit` periods back, which is row `source` of `rows`; `observed` are
    the slots of `rows` themselves, and `chosen` the positions in `slots` that lie on the day.
    """

    axis: Axis
    rows: pd.DataFrame
    observed: Ints
    slots: Ints
    source: Ints
    chosen: Ints
    limit: int

    @classmethod
    def over(
        cls, past: pd.DataFrame, view: FeatureView, dataset: Dataset, start: pd.Timestamp
    ) -> "_Grid":
        period, time = view.period(dataset), dataset.time.column
        reach = _reach(view, dataset)
        recent = past[past[time] > start - reach - period]
        axis = make_axis(recent[view.entity], recent[time], period, reach // period + 1)
        rows, observed = place(recent, view.entity, time, axis)
        limit = axis.periods(view.grid.fill)
        slots, source = carry(observed, limit)
        times = axis.time(slots)
        chosen = np.flatnonzero((times >= start) & (times < start + DAY))
        return cls(axis, rows, observed, slots, source, chosen, limit)

    @property
    def time(self) -> pd.DatetimeIndex:
        """The times of the rows of X."""
        return self.axis.time(self.slots[self.chosen])

    @property
    def period(self) -> timedelta:
        """The period of the grid."""
        return self.axis.period_us * MICROSECOND

    @property
    def entity(self) -> "pd.Series[str]":
        """The entities of the rows of X."""
        return pd.Series(self.axis.entity(self.slots[self.chosen]))

    def last_known(self, column: str) -> Ints:
        """Return for each slot the row whose value of `column` holds there, -1 where none does.

        That is the last row with a value, if it is at most `limit` periods back.
        """
        is_known = self.rows[column].notna().to_numpy()
        last = np.maximum.accumulate(np.where(is_known, np.arange(len(is_known)), -1))
        row = last[self.source]
        is_near = (row >= 0) & (self.slots - self.observed[row] <= self.limit)
        return np.where(is_near, row, -1)

    def values(self, column: str) -> Floats:
        """Return the number that holds at each slot, NaN where there is none."""
        row = self.last_known(column)
        found = np.append(numbers(self.rows[column]), np.nan)
        return found[row]

    def periods(self, window: timedelta) -> int:
        """Return how many grid times lie in (t - window, t]."""
        return -(-(window // MICROSECOND) // self.axis.period_us)


def _numeric_features(grid: _Grid, view: FeatureView) -> Iterator[Column]:
    features = view.features
    wanted = _with_parts(features.numeric_columns, grid.rows)
    table = pd.DataFrame({name: grid.values(name) for name in wanted})
    for column in features.current:
        yield column, table[column].to_numpy()[grid.chosen]
    yield from _lags(grid, view, table)
    yield from _windows(grid, view, table)
    local = grid.time.tz_convert(features.timezone)
    for part in features.calendar:
        yield part, np.asarray(_CALENDAR[part](local), dtype=np.float64)
    yield from _missing(grid, view)


def _lags(grid: _Grid, view: FeatureView, table: pd.DataFrame) -> Iterator[Column]:
    wanted = grid.slots[grid.chosen]
    for part in view.features.lags:
        for lag in part.periods:
            at = np.searchsorted(grid.slots, wanted - lag)
            is_there = grid.slots[at] == wanted - lag
            for column in part.columns:
                values = table[column].to_numpy()[at]
                yield lag_name(column, lag), np.where(is_there, values, np.nan)


class _Bounds(BaseIndexer):
    """Windows as positions: row i sees [start[i], end[i]).

    pandas starts afresh where a window shares no row with the one before, so no rounding error
    wanders from one entity to the next.
    """

    start: Ints
    end: Ints

    def get_window_bounds(
        self,
        num_values: int = 0,
        min_periods: int | None = None,
        center: bool | None = None,
        closed: str | None = None,
        step: int | None = None,
    ) -> tuple[Ints, Ints]:
        return self.start, self.end


def _windows(grid: _Grid, view: FeatureView, table: pd.DataFrame) -> Iterator[Column]:
    end = np.arange(1, len(grid.slots) + 1)
    for part in view.features.windows:
        for window in part.over:
            start = np.searchsorted(grid.slots, grid.slots - grid.periods(window), side="right")
            rolling = table[_with_parts(part.columns, table)].rolling(
                _Bounds(start=start, end=end), min_periods=1
            )
            for statistic in part.statistics:
                found = getattr(rolling, statistic)()
                if statistic == "mean":
                    found = _with_ratios(found, rolling.sum, part.columns)
                for column in part.columns:
                    values = found[column].to_numpy()[grid.chosen]
                    yield window_name(column, statistic, window), values


def _history(
    past: pd.DataFrame,
    grid: _Grid,
    view: FeatureView,
    dataset: Dataset,
    start: pd.Timestamp,
    of_kpis: bool = False,
) -> Iterator[Column]:
    """Yield statistics over whole earlier UTC days, without filling.

    Those of other columns than KPIs are over rows as they came, those of KPIs over the grid's.
    """
    time, zone = past[dataset.time.column], view.features.timezone
    hour: pd.Series[int] | None = None
    entity = grid.axis.entity(grid.slots[grid.chosen])
    for part in view.features.history:
        columns = [name for name in part.columns if (name in dataset.kpis) == of_kpis]
        if not columns:
            continue
        is_past = (time >= start - part.days * DAY) & (time < start)
        names = _with_parts(columns, past)
        earlier = pd.DataFrame({name: numbers(past[name]) for name in names})[is_past]
        keys = [past[view.entity][is_past]]
        wanted: pd.Index[Any] = entity
        if part.at == "same_hour":
            hour = time.dt.tz_convert(zone).dt.hour if hour is None else hour
            keys.append(hour[is_past])
            wanted = pd.MultiIndex.from_arrays([entity, grid.time.tz_convert(zone).hour])
        grouped = earlier.groupby(keys, sort=True)
        yield from _history_columns(grouped, wanted, part, columns)


def _history_columns(
    grouped: Any, wanted: "pd.Index[Any]", part: History, columns: list[str]
) -> Iterator[Column]:
    for statistic in part.statistics:
        # the sum over no value is unknown, not zero
        options = {"min_count": 1} if statistic == "sum" else {}
        found = getattr(grouped, statistic)(**options)
        if statistic == "mean":
            found = _with_ratios(found, grouped.sum, columns)
        found = found.reindex(wanted)
        if statistic == "count":
            found = found.fillna(0.0)
        for column in columns:
            values = found[column].to_numpy(dtype=np.float64)
            yield history_name(column, statistic, part), values


def _profiles(
    past: pd.DataFrame, grid: _Grid, view: FeatureView, dataset: Dataset, start: pd.Timestamp
) -> Iterator[Column]:
    """Yield what hours of the day are, over whole earlier UTC days, as multiples of all hours."""
    entity = grid.axis.entity(grid.slots[grid.chosen])
    for part in view.features.profile:
        at = past[dataset.time.column]
        rows = past[(at >= start - part.days * DAY) & (at < start)]
        local = rows[dataset.time.column].dt.tz_convert(view.features.timezone).dt
        names = _with_parts(part.columns, rows)
        values = pd.DataFrame({name: numbers(rows[name]) for name in names}, index=rows.index)
        columns, own = list(part.columns), rows[view.entity]
        level = _means(values.groupby(own), columns).reindex(entity).to_numpy()
        hours = _means(values.groupby([own, local.hour // part.hours]), columns)
        for block in part.blocks:
            shares = quotient(_of_group(hours, block, entity), level)
            yield from ((part.name(name, block), shares[:, i]) for i, name in enumerate(columns))
        if part.weekend:
            days = _means(values.groupby([own, (local.day_of_week >= 5).astype(int)]), columns)
            shares = quotient(_of_group(days, 1, entity), _of_group(days, 0, entity))
            yield from ((part.name(name, None), shares[:, i]) for i, name in enumerate(columns))


def _means(grouped: Any, columns: list[str]) -> pd.DataFrame:
    """Return the mean of each column in each group, of ratios that of their parts."""
    return _with_ratios(grouped.mean(), grouped.sum, columns)[columns]


def _of_group(found: pd.DataFrame, group: int, entity: "pd.Index[Any]") -> Floats:
    """Return the values of one group of each entity, NaN where it has none: (entities, columns)."""
    wanted = pd.MultiIndex.from_arrays([entity, np.full(len(entity), group)])
    return found.reindex(wanted).to_numpy(dtype=np.float64)


def _with_parts(columns: Iterable[str], rows: pd.DataFrame) -> list[str]:
    """Return the columns, and the parts of those that are ratios."""
    ratios = [name for name in columns if denominator_of(name) in rows.columns]
    parts = [part(name) for name in ratios for part in (numerator_of, denominator_of)]
    return [*columns, *parts]


def _with_ratios(
    means: pd.DataFrame, sums: Callable[[], pd.DataFrame], columns: Iterable[str]
) -> pd.DataFrame:
    """Return means, those of ratios being sums of numerators over sums of denominators."""
    ratios = [name for name in columns if denominator_of(name) in means.columns]
    if not ratios:
        return means
    total = sums()
    return means.assign(
        **{
            name: quotient(
                total[numerator_of(name)].to_numpy(), total[denominator_of(name)].to_numpy()
            )
            for name in ratios
        }
    )


def _sine_of_day(time: pd.DatetimeIndex) -> Floats:
    return np.sin(_angle_of_day(time))


def _cosine_of_day(time: pd.DatetimeIndex) -> Floats:
    return np.cos(_angle_of_day(time))


def _angle_of_day(time: pd.DatetimeIndex) -> Floats:
    minute = np.asarray(time.hour * 60 + time.minute, dtype=np.float64)
    return minute * (2 * np.pi / 1440)


_CALENDAR: dict[CalendarPart, Callable[[pd.DatetimeIndex], Any]] = {
    "hour": lambda time: time.hour,
    "weekday": lambda time: time.day_of_week,
    "is_weekend": lambda time: time.day_of_week >= 5,
    "minute_of_day_sin": _sine_of_day,
    "minute_of_day_cos": _cosine_of_day,
}


def _missing(grid: _Grid, view: FeatureView) -> Iterator[Column]:
    """Yield the share of periods without a row in each window, and the time since the row before.

    Absent is not zero: a period before an entity's first row is as absent as one in a gap. The time
    since the row before t is in minutes, and at most the longest window.
    """
    windows = view.features.missing
    if not windows:
        return
    slots = grid.slots[grid.chosen]
    seen = np.searchsorted(grid.observed, slots, side="right")
    for window in windows:
        periods = grid.periods(window)
        before = np.searchsorted(grid.observed, slots - periods, side="right")
        yield missing_share_name(window), 1.0 - (seen - before) / periods
    longest = max(grid.periods(window) for window in windows)
    previous = np.searchsorted(grid.observed, slots, side="left") - 1
    gap = np.where(previous >= 0, slots - grid.observed[previous], longest)
    yield MINUTES_SINCE_SEEN, np.minimum(gap, longest) * (grid.axis.period_us / 60e6)


def _busy_hour(
    past: pd.DataFrame, grid: _Grid, view: FeatureView, dataset: Dataset
) -> Iterator[Column]:
    part, zone = view.features.busy_hour, view.features.timezone
    if part is None or part.dataset is not None:
        return
    hours = busy_hour.hourly_traffic(past, view.entity, part.traffic, dataset, zone)
    yield from _positions(hours, grid, part, zone)


def _busy_hour_of_events(
    grid: _Grid,
    view: FeatureView,
    joined: dict[str, list[pd.DataFrame]],
    others: dict[str, Other],
) -> Iterator[Column]:
    part, zone = view.features.busy_hour, view.features.timezone
    if part is None or part.dataset is None or part.by is None:
        return
    other = others[part.dataset]
    asked = Expression(part.where).columns if part.where is not None else set()
    rows = joins.stacked(joined, other.dataset, [part.by, part.traffic, *sorted(asked)])
    if part.where is not None:
        rows = rows[Expression(part.where).holds(rows)]
    events = pd.DataFrame(
        {
            "entity": rows[part.by],
            "time": rows[other.dataset.time.column],
            "traffic": numbers(rows[part.traffic]),
        }
    )
    hours = busy_hour.event_traffic(events, grid.axis.entities, other.days, zone)
    yield from _positions(hours, grid, part, zone)


def _positions(hours: pd.DataFrame, grid: _Grid, part: BusyHour, zone: str) -> Iterator[Column]:
    own, time = grid.entity, pd.Series(grid.time)
    for whose in part.of:
        if whose == "network":
            traffic, entity = busy_hour.network_traffic(hours), pd.Series(
                busy_hour.NETWORK, own.index
            )
        else:
            traffic, entity = hours, own
        found = busy_hour.position(traffic, entity, time, part.days, zone, part.delay)
        yield from zip(busy_hour_names(whose), found, strict=True)


def _neighbours(grid: _Grid, view: FeatureView) -> Iterator[Column]:
    for part in view.features.neighbours:
        site = grid.rows[part.same].to_numpy(dtype=object)
        row = grid.last_known(part.same)[grid.chosen]
        seen = neighbours.Placed(
            grid.axis.entity(grid.observed).to_numpy(dtype=object),
            site,
            grid.observed % grid.axis.width,
        )
        asked = neighbours.Placed(
            grid.entity.to_numpy(dtype=object),
            np.append(site, [None])[row],
            grid.slots[grid.chosen] % grid.axis.width,
        )
        yield from neighbours.columns(part, grid.rows, seen, asked, grid.period)


def _categories(grid: _Grid, view: FeatureView) -> Iterator[Column]:
    for column in view.features.categories:
        row = grid.last_known(column)
        found = np.append(grid.rows[column].to_numpy(dtype=object), MISSING_CATEGORY)
        yield column, found[row][grid.chosen]
