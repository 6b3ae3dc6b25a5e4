"""The regular time grid: where each entity's rows lie on it, and how far a row is carried forward.

Features and targets share it. A *slot* is the number of one (entity, grid time): one period later
is one more, and entities lie so far apart that no look back or ahead reaches another one. So every
question about time ("the row 3 periods ago", "the rows of the last 2 h") is a search in one sorted
array of slots, exact where rows are missing, and fast where there are many entities.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rancast import counters, coverage, kpis, levels
from rancast.column_types import no_rows
from rancast.datasets import IS_SLEEPING, Dataset
from rancast.expressions import Expression
from rancast.feature_view import FeatureView

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Axis:
    """The numbering of slots; `reach` periods stay free on both sides of each entity's rows."""

    entities: "pd.Index[str]"
    period_us: int
    first: int
    span: int
    reach: int

    @property
    def width(self) -> int:
        """How many slots an entity takes."""
        return self.span + 2 * self.reach

    def slots(self, entity: "pd.Series[str]", time: "pd.Series[pd.Timestamp]") -> Ints:
        """Return each row's slot, -1 for an entity or a time that this axis does not know.

        A time between two grid times belongs to the later one, so that nothing looks ahead.
        """
        code = self.entities.get_indexer(pd.Index(entity)).astype(np.int64)
        place = ceil_div(microseconds(time), self.period_us) - self.first
        is_known = (code >= 0) & (place >= -self.reach) & (place < self.span + self.reach)
        return np.where(is_known, code * self.width + self.reach + place, -1)

    def entity(self, slots: Ints) -> "pd.Index[str]":
        """Return the entity of each slot."""
        return self.entities.take(slots // self.width)

    def time(self, slots: Ints) -> pd.DatetimeIndex:
        """Return the grid time of each slot, UTC in microseconds."""
        place = slots % self.width - self.reach + self.first
        return pd.DatetimeIndex((place * self.period_us).view("M8[us]"), tz="UTC")

    def periods(self, span: timedelta) -> int:
        """Return how many grid times lie in (t, t + span] of a grid time t."""
        return (span // MICROSECOND) // self.period_us


class Placed(NamedTuple):
    """One row per slot: `rows` sorted by slot, `slots` beside them."""

    rows: pd.DataFrame
    slots: Ints


def eligible_rows(curated: list[pd.DataFrame], view: FeatureView, dataset: Dataset) -> pd.DataFrame:
    """Return the rows of all partitions that the view's `where` lets in, by entity and time.

    They are as of `derived_rows`, with sleep only where the view names it.
    """
    # before `where`: a row that is left out was still read
    frame = derived_rows(curated, dataset, view.reads(IS_SLEEPING))
    if view.where is not None:
        frame = frame[Expression(view.where).holds(frame)]
    keys = [view.entity, dataset.time.column]
    return frame.sort_values(keys, kind="stable", ignore_index=True)


def derived_rows(curated: list[pd.DataFrame], dataset: Dataset, with_sleep: bool) -> pd.DataFrame:
    """Return the rows of all partitions, one after the other, with what the dataset derives.

    That is increments of cumulative counters, KPIs of the row itself with their parts, levels above
    the entity, and, where it is asked for, whether the entity sleeps.
    """
    frame = pd.concat([no_rows(dataset), *(part for part in curated if len(part))])
    if dataset.cumulative:
        frame = counters.with_increments(frame, dataset)
    if dataset.kpis:
        frame = kpis.with_parts(frame, dataset)
    if dataset.levels or dataset.hierarchy:
        frame = levels.with_levels(frame, dataset)
    if dataset.sleeping is not None and with_sleep:
        frame = coverage.with_sleep(frame, dataset)
    return frame


def on_grid(rows: pd.DataFrame, view: FeatureView, dataset: Dataset) -> pd.DataFrame:
    """Return one row per entity and grid time, from rows sorted by both, with its KPIs added up.

    As everywhere on the grid, a row between two grid times belongs to the later one, and the last
    row in time says what the other columns are.
    """
    time, period = dataset.time.column, view.period(dataset)
    places = ceil_div(microseconds(rows[time]), period // MICROSECOND)
    slot = [view.entity, ".place"]
    known = rows.assign(**{".place": places})[rows[view.entity].notna()]
    periods = 1 if dataset.time.period is None else period // dataset.time.period
    sums = kpis.on_slots(known, slot, time, dataset.kpis, periods)
    others = known.columns.difference(sums.columns.difference(slot), sort=False)
    last = known[others].drop_duplicates(slot, keep="last")
    placed = last.merge(sums, on=slot, how="left", validate="1:1")
    grid_us = (placed[".place"].to_numpy() * (period // MICROSECOND)).view("M8[us]")
    placed[time] = pd.DatetimeIndex(grid_us, tz="UTC")
    return placed.drop(columns=".place")


def make_axis(
    entity: "pd.Series[str]", time: "pd.Series[pd.Timestamp]", period: timedelta, reach: int
) -> Axis:
    """Return the axis over all entities and times given; `reach` is counted in periods."""
    period_us = period // MICROSECOND
    place = ceil_div(microseconds(time), period_us)
    first, last = (int(place.min()), int(place.max())) if len(place) else (0, 0)
    entities = pd.Index(np.sort(entity.dropna().unique().astype(object)), dtype="str")
    return Axis(entities, period_us, first, last - first + 1, reach)


def place(frame: pd.DataFrame, entity: str, time: str, axis: Axis) -> Placed:
    """Put rows into slots; the last one in time wins a slot, rows off the axis are left out."""
    slots = axis.slots(frame[entity], frame[time])
    order = np.lexsort((microseconds(frame[time]), slots))
    ordered = slots[order]
    is_kept = (np.diff(ordered, append=-2) != 0) & (ordered >= 0)
    chosen = order[is_kept]
    return Placed(frame.take(chosen).reset_index(drop=True), slots[chosen])


def carry(slots: Ints, limit: int) -> tuple[Ints, Ints]:
    """Return the slots with a row at most `limit` periods back, and that row's position.

    `slots` are sorted and distinct. A row is carried until the next one, whatever comes later.
    """
    repeats = np.minimum(np.diff(slots, append=slots[-1:] + limit + 1), limit + 1)
    source = np.repeat(np.arange(len(slots)), repeats)
    offset = np.arange(len(source)) - (np.cumsum(repeats) - repeats)[source]
    return slots[source] + offset, source


def microseconds(time: "pd.Series[pd.Timestamp]") -> Ints:
    """Return times as microseconds since 1970, UTC."""
    return time.astype("datetime64[us, UTC]").to_numpy(dtype="M8[us]").view(np.int64)


def numbers(values: "pd.Series[Any]") -> Floats:
    """Return numbers or booleans as float64, missing and infinite ones as NaN."""
    found = values.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(np.isfinite(found), found, np.nan)


def ceil_div(values: Ints, divisor: int) -> Ints:
    """Divide whole numbers and round up."""
    return -(-values // divisor)
