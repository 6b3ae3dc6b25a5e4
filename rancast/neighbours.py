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
    boards = _Boards.of(seen, asked)
    for window in part.over:
        periods = -(-window // period)
        for column in part.columns:
            total, count, low, high = _over(boards, rows, column, periods)
            if "mean" in part.statistics:
                mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
                if denominator_of(column) in rows.columns:
                    above = _over(boards, rows, numerator_of(column), periods)[0]
                    mean = quotient(above, _over(boards, rows, denominator_of(column), periods)[0])
                yield window_name(f"neighbours_{column}", "mean", window), mean
            if "min" in part.statistics:
                yield window_name(f"neighbours_{column}", "min", window), low
            if "max" in part.statistics:
                yield window_name(f"neighbours_{column}", "max", window), high


class _Board(NamedTuple):
    """Sites with equally many entities: each site at each place that is asked is a line.

    `group` is (lines, entities), in ascending order; `place` (lines, 1). Of the asked rows: `row`
    numbers them, `line` is theirs, `own` their entity's place in it, behind the last if elsewhere.
    """

    group: Ints
    place: Ints
    row: Ints
    line: Ints
    own: Ints


class _Boards(NamedTuple):
    """All sites that are asked about, so that each site is added up once and not for each entity.

    `group` numbers (site, entity); `of_row` that of each measurement, -1 without a site, and
    `row_place` its period. `asked` is how many rows there are.
    """

    boards: tuple[_Board, ...]
    of_row: Ints
    row_place: Ints
    asked: int

    @classmethod
    def of(cls, seen: Placed, asked: Placed) -> "_Boards":
        entities = np.unique(np.append(seen.entity, asked.entity).astype(object))
        sites = pd.Index(np.unique(pd.Series(seen.site).dropna().to_numpy(dtype=object)))
        number = pd.Index(entities)

        def coded(placed: Placed) -> tuple[Ints, Ints]:
            site = sites.get_indexer(pd.Index(np.asarray(placed.site, dtype=object)))
            entity = number.get_indexer(pd.Index(np.asarray(placed.entity, dtype=object)))
            return site.astype(np.int64), entity.astype(np.int64)

        site, entity = coded(seen)
        groups, inverse = np.unique(site * len(number) + entity, return_inverse=True)
        group_site = groups // max(len(number), 1)
        of_row = np.where(site >= 0, inverse, -1)
        asked_site, asked_entity = coded(asked)
        first = np.searchsorted(group_site, asked_site)
        size = np.searchsorted(group_site, asked_site, side="right") - first
        wanted = asked_site * len(number) + asked_entity
        own = np.searchsorted(groups, wanted)
        is_there = np.append(groups, -1)[own] == wanted
        own = np.where(is_there, own - first, size)

        def board(entities: int) -> _Board:
            row = np.flatnonzero((size == entities) & (asked_site >= 0))
            lines, line = np.unique(
                np.column_stack([first[row], asked.place[row]]), axis=0, return_inverse=True
            )
            group = lines[:, :1] + np.arange(entities)
            return _Board(group, lines[:, 1:], row, line.ravel(), own[row])

        sizes = np.unique(size[asked_site >= 0])
        boards = tuple(board(int(entities)) for entities in sizes)
        return cls(boards, of_row, seen.place, len(size))


def _over(
    boards: _Boards, rows: pd.DataFrame, column: str, periods: int
) -> tuple[Floats, Floats, Floats, Floats]:
    """Return sum, number, minimum and maximum of the neighbours' values in (t - window, t]."""
    values = rows[column].to_numpy(dtype=np.float64, na_value=np.nan)
    is_known = np.isfinite(values) & (boards.of_row >= 0)
    everything = np.concatenate(
        [boards.row_place, *(board.place.ravel() for board in boards.boards)]
    )
    first = int(everything.min(initial=0)) - periods
    width = int(everything.max(initial=0)) - first + 1
    key = (boards.of_row * width + boards.row_place - first)[is_known]
    order = np.argsort(key, kind="stable")
    key, values = key[order], values[is_known][order]
    total, count = np.zeros(boards.asked), np.zeros(boards.asked)
    low, high = np.full(boards.asked, np.nan), np.full(boards.asked, np.nan)
    for board in boards.boards:
        at = (board.group * width + board.place - first).ravel()
        start, end = (np.searchsorted(key, upto, side="right") for upto in (at - periods, at))
        size = (end - start).astype(np.float64)
        total[board.row] = _others(np.add, segments.sums(values, start, end), board, 0.0)
        count[board.row] = _others(np.add, size, board, 0.0)
        low[board.row] = _others(np.fmin, segments.smallest(values, start, end), board, np.nan)
        high[board.row] = _others(np.fmax, segments.largest(values, start, end), board, np.nan)
    return total, count, low, high


def _others(reduce: np.ufunc, found: Floats, board: _Board, nothing: float) -> Floats:
    """Return for each asked row what `reduce` makes of its line without its own entity.

    Of those before it and of those behind it, never of all less its own, which would leave its
    rounding. An entity without a value is `nothing`, which leaves every bit of the others.
    """
    lines, entities = board.group.shape
    each = np.full((lines, entities + 2), nothing)
    each[:, 1:-1] = found.reshape(lines, entities)
    before = reduce.accumulate(each, axis=1)
    behind = reduce.accumulate(each[:, ::-1], axis=1)[:, ::-1]
    # entity `own` stands at own + 1; one that is elsewhere stands at the end
    kept: Floats = reduce(
        before[board.line, board.own], behind[board.line, np.minimum(board.own + 2, entities + 1)]
    )
    return kept
