"""Cumulative counters as increments per period: what each period added, or why nobody knows.

An increment is the difference to the row exactly one period before. Nothing is repaired in
silence: where that difference is not the traffic of one period it is missing, and a mark beside it
says why. Increments look back by one period, whatever else there is before or after.
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rancast.datasets import Cumulative, Dataset

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Marks = NDArray[np.object_]

FINE = "none"
# the counter started again from zero after its last bit; the increment is made across
ROLLOVER = "rollover"
# each of these has no increment
MISSING = "missing"  # no value, or none that the counter can have
DUPLICATE = "duplicate"  # a second row of the period, or one of several that differ
GAP = "gap"  # nothing known of the period before, or no such period
RESET = "reset"  # it fell: what came before the restart is lost
JUMP = "jump"  # more than one period can add


class _Series(NamedTuple):
    """Rows of one counter each in order of time, and what one period before each was.

    `before` is NaN where that is not known.
    """

    value: "pd.Series[float]"
    before: "pd.Series[float]"
    is_first: Flags  # of the rows of its period
    is_torn: Flags  # among rows of one period that differ


def with_increments(rows: pd.DataFrame, dataset: Dataset) -> pd.DataFrame:
    """Return curated rows, in their order, with the increment and the mark of each counter.

    Increments are float64 in the counter's unit, marks `str`: 'none' and 'rollover' where there is
    an increment, else 'missing', 'duplicate', 'gap', 'reset' or 'jump'. A gap's traffic belongs to
    no single period: the first row after it has no increment, and an entity's first row has none
    either. A counter of so many bits that fell rolled over if what that adds is believed (at most
    `most`, or half of its range), else it was reset.
    """
    period = dataset.time.period
    assert period is not None  # Dataset: cumulative needs a periodic dataset
    time = dataset.time.column
    place = (rows[time] - pd.Timestamp(0, tz="UTC")) // pd.Timedelta(period)
    owner = [rows[name] for name in dataset.key if name != time]
    columns: dict[str, Floats | Marks] = {}
    for name, item in dataset.cumulative.items():
        series = _series(rows[name], owner, place)
        columns[item.increment], columns[item.suspect] = _increments(series, item)
    marks = {item.suspect: "str" for item in dataset.cumulative.values()}
    return rows.assign(**columns).astype(marks)


def _series(
    value: "pd.Series[float]", owner: list["pd.Series[str]"], place: "pd.Series[int]"
) -> _Series:
    keys = [series.rename(number) for number, series in enumerate(owner)]
    table = pd.concat([*keys, place.rename("place")], axis="columns")
    names = list(table.columns)
    is_first = ~table.duplicated(names).to_numpy()
    # two rows of one period that say the same are one row
    said = table.assign(value=value)
    is_torn = (
        said.groupby(names, dropna=False, sort=False)["value"].transform("nunique") > 1
    ).to_numpy()
    known = said[is_first & ~is_torn]
    shifted = known.assign(place=known["place"] + 1).rename(columns={"value": "before"})
    before = table.merge(shifted, on=names, how="left", validate="m:1")["before"]
    return _Series(value, before.set_axis(value.index), is_first, is_torn)


def _increments(series: _Series, item: Cumulative) -> tuple[Floats, Marks]:
    """Return increments and marks; a row takes the first mark that is true of it."""
    value, before = _possible(series.value, item), _possible(series.before, item)
    # whole numbers are subtracted as such: a float64 has 53 bits
    difference = _as_floats(value - before)
    is_down = difference < 0
    if item.width is None:
        most, across, is_rollover = item.most or np.inf, difference, np.zeros(len(value), bool)
    else:
        most = item.most or 2.0 ** (item.width - 1)
        across = _as_floats(value - before + 2**item.width)
        is_rollover = is_down & (across <= most)
    found = np.where(is_rollover, across, difference)
    marks = np.select(
        [
            ~series.is_first | series.is_torn,
            value.isna().to_numpy(bool),
            before.isna().to_numpy(bool),
            is_rollover,
            is_down,
            difference > most,
        ],
        [DUPLICATE, MISSING, GAP, ROLLOVER, RESET, JUMP],
        FINE,
    ).astype(object)
    is_known = np.isin(marks.astype(str), [FINE, ROLLOVER])
    increments: Floats = np.where(is_known, found, np.nan)
    return increments, marks


def _possible(values: "pd.Series[float]", item: Cumulative) -> "pd.Series[float]":
    """Return counter readings, missing where a counter of this width cannot read so."""
    is_possible = (values >= 0) & (values != np.inf)
    if item.width is not None:
        is_possible &= values < 2**item.width
    return values.where(is_possible.fillna(False).astype(bool))


def _as_floats(values: "pd.Series[Any]") -> Floats:
    return values.to_numpy(dtype=np.float64, na_value=np.nan)
