"""What the other entities of the same site measured up to t, each site as of the row's own time."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from rancast import segments
from rancast.feature_definitions import Neighbours, window_name
from rancast.kpis import denominator_of, numerator_of, quotient
from rancast.segments import Floats, Ints

Column = tuple[str, Floats]


class Placed(NamedTuple):
    """Rows of X or of data: whose they are, of which site (text or missing), at which period."""

    entity: Any
    site: Any
    place: Ints


def columns(
    part: Neighbours, rows: pd.DataFrame, seen: Placed, asked: Placed, period: timedelta
) -> Iterator[Column]:
    """Yield the features of `asked` from the measurements `rows`, which lie as `seen` says.

    `place` numbers periods of the grid. Measurements count in the site in which they were made;
    values are as measured, none is carried forward; NaN where no neighbour has one.
    """
    pairs = _Pairs.of(seen, asked)
    for window in part.over:
        periods = -(-window // period)
        for column in part.columns:
            total, count, low, high = _over(pairs, rows, column, periods)
            if "mean" in part.statistics:
                mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
                if denominator_of(column) in rows.columns:
                    above = _over(pairs, rows, numerator_of(column), periods)[0]
                    mean = quotient(above, _over(pairs, rows, denominator_of(column), periods)[0])
                yield window_name(f"neighbours_{column}", "mean", window), mean
            if "min" in part.statistics:
                yield window_name(f"neighbours_{column}", "min", window), low
            if "max" in part.statistics:
                yield window_name(f"neighbours_{column}", "max", window), high


class _Pairs(NamedTuple):
    """Each row asked beside each other entity that was seen in its site.

    `group` numbers (site, entity); `of_row` that of each measurement, -1 without a site. `row` is
    the number of the asked row, ascending, `other` the neighbour's group, `place` the row's,
    `asked` how many rows there are.
    """

    of_row: Ints
    row: Ints
    other: Ints
    place: Ints
    row_place: Ints
    asked: int

    @classmethod
    def of(cls, seen: Placed, asked: Placed) -> "_Pairs":
        entities = np.unique(np.append(seen.entity, asked.entity).astype(object))
        sites = pd.Index(np.unique(pd.Series(seen.site).dropna().to_numpy(dtype=object)))
        number = pd.Index(entities)

        def coded(placed: Placed) -> tuple[Ints, Ints]:
            site = sites.get_indexer(pd.Index(np.asarray(placed.site, dtype=object)))
            entity = number.get_indexer(pd.Index(np.asarray(placed.entity, dtype=object)))
            return site.astype(np.int64), entity.astype(np.int64)

        site, entity = coded(seen)
        groups, inverse = np.unique(site * len(number) + entity, return_inverse=True)
        asked_site, asked_entity = coded(asked)
        group_site = groups // max(len(number), 1)
        first = np.searchsorted(group_site, asked_site)
        size = np.searchsorted(group_site, asked_site, side="right") - first
        size = np.where(asked_site >= 0, size, 0)
        row = np.repeat(np.arange(len(size)), size)
        other = np.arange(len(row)) - np.repeat(np.cumsum(size) - size, size) + first[row]
        is_other = groups[other] % max(len(number), 1) != asked_entity[row]
        of_row = np.where(site >= 0, inverse, -1)
        row, other = row[is_other], other[is_other]
        return cls(of_row, row, other, asked.place[row], seen.place, len(size))


def _over(
    pairs: _Pairs, rows: pd.DataFrame, column: str, periods: int
) -> tuple[Floats, Floats, Floats, Floats]:
    """Return sum, number, minimum and maximum of the neighbours' values in (t - window, t]."""
    values = rows[column].to_numpy(dtype=np.float64, na_value=np.nan)
    is_known = np.isfinite(values) & (pairs.of_row >= 0)
    everything = np.append(pairs.row_place, pairs.place)
    first = int(everything.min(initial=0)) - periods
    width = int(everything.max(initial=0)) - first + 1
    key = (pairs.of_row * width + pairs.row_place - first)[is_known]
    order = np.argsort(key, kind="stable")
    key, values = key[order], values[is_known][order]
    end = pairs.other * width + pairs.place - first
    start, end = (np.searchsorted(key, at, side="right") for at in (end - periods, end))
    # a neighbour without a value must not change how the others are added up
    has = end > start
    row, start, end = pairs.row[has], start[has], end[has]
    number = np.arange(pairs.asked)
    of = np.searchsorted(row, number), np.searchsorted(row, number, side="right")
    return (
        segments.sums(segments.sums(values, start, end), *of),
        segments.sums((end - start).astype(np.float64), *of),
        segments.smallest(segments.smallest(values, start, end), *of),
        segments.largest(segments.largest(values, start, end), *of),
    )
