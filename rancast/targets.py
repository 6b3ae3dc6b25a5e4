"""y: what happened within the horizon after t, and three trivial forecasts of it.

A label at t is made from grid times strictly after t, and, unless the use case says `carry`, from
rows strictly after t. Features, which look back, are in `features`.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rancast.datasets import Dataset
from rancast.durations import DAY, WEEK
from rancast.expressions import Expression
from rancast.grids import (
    Axis,
    Floats,
    Ints,
    carry,
    eligible_rows,
    make_axis,
    numbers,
    on_grid,
    place,
)
from rancast.kpis import denominator_of, numerator_of, quotient
from rancast.segments import sums
from rancast.table_view import TableView, Target


def horizon(view: TableView, dataset: Dataset) -> timedelta:
    """Return how far after t the last row of t's label can lie.

    That is the target's delay, and the whole periods within what it is about.
    """
    period = view.period(dataset)
    target = view.stated_target
    return target.delay + (target.within // period) * period


def label(
    at: pd.DataFrame, curated: list[pd.DataFrame], view: TableView, dataset: Dataset
) -> pd.DataFrame:
    """Return y and the baselines of each row of `at`, in its order and on its index.

    `at` has the columns `entity` and `time` (grid times), `curated` the partitions of the whole
    history. Columns, all float64:

    - `y`: for `any`, 1 on a breach seen in (t + delay, t + delay + within], 0 if at least the share
      `observed` of its periods was seen without one, else NaN. For `mean`, the mean over those
      periods that were seen if they are enough, else NaN (of a KPI that is a ratio, the numerators
      over the denominators of these periods); for `sum`, that mean times the periods of the
      horizon, since an absent period is not zero. A period counts as seen if its outcome is
      known, or was known at most `grid.fill` earlier but after t + delay; with `carry`, then or
      before it, too. NaN where `given` does not hold in the row at t.
    - `baseline_last_value`: what was last known at t continues. For `any`, 1 if that was a breach,
      else 0, and 0 if nothing is known yet; else the last value (times the periods, for `sum`).
    - `baseline_seasonal`: what y was over the same time one day earlier (the fewest whole days by
      which it is over at t, for longer horizons), or `baseline_last_value` where that was not seen.
    - `baseline_weekly`: the same, a week earlier, or the fewest whole weeks.

    Baselines of a regression are NaN where the entity had no value yet.
    """
    view.check(dataset)
    rows = _known_outcomes(curated, view, dataset)
    target, period = view.stated_target, view.period(dataset)
    periods, delay = target.within // period, target.delay // period
    seasons = [_season(unit, view, dataset) for unit in (DAY, WEEK)]
    outcomes = _Outcomes.over(rows, view, dataset, delay + periods + max(seasons))
    slots = outcomes.axis.slots(at["entity"], at["time"])
    last = _last(rows, outcomes, at, view, dataset)
    last = np.nan_to_num(last) if target.any else last * outcomes.scale(target, periods)

    def shifted(by: int) -> Floats:
        """Return the target that many periods later than the one right after t."""
        return outcomes.after(np.where(slots >= 0, slots + by, -1), target, periods)

    earlier = [
        shifted(delay - season) if season else np.full(len(at), np.nan) for season in seasons
    ]
    seasonal, weekly = (np.where(np.isnan(found), last, found) for found in earlier)
    columns = {
        "y": np.where(_is_asked(at, curated, view, dataset), shifted(delay), np.nan),
        "baseline_last_value": last,
        "baseline_seasonal": seasonal,
        "baseline_weekly": weekly,
    }
    return pd.DataFrame(columns, index=at.index)


def _is_asked(
    at: pd.DataFrame, curated: list[pd.DataFrame], view: TableView, dataset: Dataset
) -> NDArray[np.bool_]:
    """Tell for each row of `at` whether `target.given` certainly holds in the data's row at t."""
    if view.stated_target.given is None:
        return np.ones(len(at), dtype=bool)
    given = Expression(view.stated_target.given)
    rows = _rows_with(given.columns, curated, view, dataset)
    rows = rows.assign(**{".holds": given.holds(rows)})
    entity, time = rows[view.entity], rows[dataset.time.column]
    axis = make_axis(entity, time, view.period(dataset), 1)
    placed, slots = place(rows, view.entity, dataset.time.column, axis)
    return np.isin(
        axis.slots(at["entity"], at["time"]), slots[placed[".holds"].to_numpy(dtype=bool)]
    )


def _season(unit: timedelta, view: TableView, dataset: Dataset) -> int:
    """Return how many periods earlier a forecast by the season looks, 0 if the grid has no such.

    That is the fewest whole units by which the time that the target is about is over at t.
    """
    season, period = -(-view.stated_target.reach // unit) * unit, view.period(dataset)
    return 0 if season % period else season // period


def _last(
    rows: pd.DataFrame,
    outcomes: "_Outcomes",
    at: pd.DataFrame,
    view: TableView,
    dataset: Dataset,
) -> Floats:
    """Return what was last known at each row of `at`; a ratio over nothing was not known."""
    if "weight" in rows:
        # as far on both sides as all rows reach, since the last ones may be left out
        reach = outcomes.axis.span
        outcomes = _Outcomes.over(rows[rows["weight"] != 0], view, dataset, reach)
    return outcomes.last(outcomes.axis.slots(at["entity"], at["time"]))


def _known_outcomes(curated: list[pd.DataFrame], view: TableView, dataset: Dataset) -> pd.DataFrame:
    """Return entity, time and outcome (1.0 or 0.0 for a breach) of the rows where it is known.

    Of a ratio the outcome is the numerator, and the denominator is beside it as `weight`.
    """
    target = view.stated_target
    rows = _rows_with(target.columns, curated, view, dataset)
    found = rows[[view.entity, dataset.time.column]]
    name = target.columns[0] if target.any is None else ""
    if target.any is not None:
        outcome = numbers(Expression(target.any).evaluate(rows))
    elif denominator_of(name) in rows.columns:
        outcome = numbers(rows[numerator_of(name)])
        found = found.assign(weight=numbers(rows[denominator_of(name)]))
    else:
        outcome = numbers(rows[name])
    return found.assign(outcome=outcome)[~np.isnan(outcome)]


def _rows_with(
    columns: Iterable[str], curated: list[pd.DataFrame], view: TableView, dataset: Dataset
) -> pd.DataFrame:
    """Return the rows that have these columns: on the grid where one is a KPI, which adds up."""
    rows = eligible_rows(curated, view, dataset)
    return on_grid(rows, view, dataset) if {*columns} & {*dataset.kpis} else rows


class _Outcomes(NamedTuple):
    """Known outcomes on the grid: those `observed`, and `slots` that also hold carried ones.

    `starts` is the position in `slots` of each observed one, and beyond the last one their number.
    """

    axis: Axis
    observed: Ints
    starts: Ints
    slots: Ints
    values: Floats
    weights: Floats | None

    @classmethod
    def over(cls, rows: pd.DataFrame, view: TableView, dataset: Dataset, reach: int) -> "_Outcomes":
        period = view.period(dataset)
        entity, time = rows[view.entity], rows[dataset.time.column]
        limit = view.grid.fill // period
        axis = make_axis(entity, time, period, reach + limit + 1)
        placed, observed = place(rows, view.entity, dataset.time.column, axis)
        slots, source = carry(observed, limit)
        starts = np.append(np.searchsorted(slots, observed), len(slots))
        values = numbers(placed["outcome"])[source]
        weights = numbers(placed["weight"])[source] if "weight" in placed else None
        return cls(axis, observed, starts, slots, values, weights)

    @staticmethod
    def scale(target: Target, periods: int) -> int:
        """Return what a mean over the horizon is multiplied with."""
        return periods if target.sum is not None else 1

    def after(self, slots: Ints, target: Target, periods: int) -> Floats:
        """Return the target over the `periods` after each slot, NaN where too little was seen."""
        start = np.searchsorted(self.slots, slots, side="right")
        if not target.carry:  # what is carried into the horizon out of t was not seen in it
            start = self.starts[np.searchsorted(self.observed, slots, side="right")]
        end = np.maximum(start, np.searchsorted(self.slots, slots + periods, side="right"))
        seen = end - start
        total = sums(self.values, start, end)
        is_enough = (slots >= 0) & (seen >= np.ceil(target.observed * periods - 1e-9))
        if target.any is not None:
            is_breach = (slots >= 0) & (total > 0)
            return np.where(is_breach, 1.0, np.where(is_enough, 0.0, np.nan))
        if self.weights is None:
            mean = total / np.maximum(seen, 1)
        else:
            mean = quotient(total, sums(self.weights, start, end))
        return np.where(is_enough & (seen > 0), mean * self.scale(target, periods), np.nan)

    def last(self, slots: Ints) -> Floats:
        """Return the last outcome known at each slot, NaN where the entity had none yet."""
        at = np.searchsorted(self.observed, slots, side="right") - 1
        known = self.values if self.weights is None else quotient(self.values, self.weights)
        values = np.append(known[self.starts[:-1]], np.nan)
        observed = np.append(self.observed, -1)
        width = self.axis.width
        is_same = (slots >= 0) & (at >= 0) & (observed[at] // width == slots // width)
        return np.where(is_same, values[at], np.nan)
