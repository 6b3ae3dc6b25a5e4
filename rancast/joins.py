"""What other datasets say of an entity up to t: its events, and what these events met.

A window is (t - delay - w, t - delay]: rows stamped later are never looked at. Absent is not zero:
a window that reaches into a day that was not delivered is unknown, while no event on delivered days
is a count and a sum of 0.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from rancast import segments
from rancast.column_types import no_rows
from rancast.datasets import Dataset
from rancast.documents import Document
from rancast.durations import DAY
from rancast.expressions import Expression
from rancast.feature_definitions import Join, window_name
from rancast.feature_view import FeatureView
from rancast.segments import Floats, Ints

MICROSECOND = timedelta(microseconds=1)
DAY_US = DAY // MICROSECOND

Day = date
Frames = Mapping[str, list[pd.DataFrame]]
Column = tuple[str, Floats]


class Other(Document):
    """A dataset that features join, and the days of it that were delivered."""

    dataset: Dataset
    days: tuple[Day, ...]

    @property
    def name(self) -> str:
        """The dataset's name."""
        return self.dataset.name

    @property
    def has_subscribers(self) -> bool:
        """Whether cells of the dataset must never show in errors."""
        return self.dataset.has_subscribers


Others = Mapping[str, Other]


def lookback_days(view: FeatureView, name: str) -> int:
    """Return how many whole days of dataset `name` before a day the features of that day need."""
    spans = [join.reach(name) for join in view.features.joins if name in join.datasets]
    busy = view.features.busy_hour
    if busy is not None and busy.dataset == name:
        spans.append(busy.reach(view.features.timezone))
    return -(-max(spans, default=timedelta(0)) // DAY)


def columns(
    entity: "pd.Series[str]",
    time: "pd.Series[pd.Timestamp]",
    view: FeatureView,
    joined: Frames,
    others: Others,
) -> Iterator[Column]:
    """Yield the features of all joins, for rows of an entity and a time each (UTC)."""
    for join in view.features.joins:
        rows = _rows(join, joined, others)
        asked = _Asked.of(entity, time, join)
        is_known = {window: _is_delivered(asked, window, join, others) for window in join.over}
        for window, name, found in _statistics(join, rows, asked):
            yield name, np.where(is_known[window], found, np.nan)


def stacked(joined: Frames, dataset: Dataset, columns: Iterable[str]) -> pd.DataFrame:
    """Return these columns, the time and the key of all rows, by time and key.

    So the order of rows in files does not matter.
    """
    order = list(dict.fromkeys([dataset.time.column, *dataset.key]))
    wanted = list(dict.fromkeys([*order, *columns]))
    parts = [part[wanted] for part in joined.get(dataset.name, []) if len(part)]
    frame = pd.concat(parts or [no_rows(dataset)[wanted]], ignore_index=True)
    return frame.sort_values(order, kind="stable", ignore_index=True)


def _rows(join: Join, joined: Frames, others: Others) -> pd.DataFrame:
    """Return the rows that windows look at, with `.entity` and `.time` (of the event, if any)."""
    met = others[join.dataset].dataset
    asked = [Expression(text).columns for text in (join.where, join.any) if text is not None]
    rows = stacked(joined, met, [join.by, *join.statistics, *sorted(set().union(*asked))])
    if join.where is not None:
        rows = rows[Expression(join.where).holds(rows)]
    if join.through is None:
        return rows.assign(**{".entity": rows[join.by], ".time": rows[met.time.column]})
    events = others[join.through.dataset].dataset
    made = stacked(joined, events, [join.through.entity, join.through.by])
    calls = pd.DataFrame(
        {
            ".entity": made[join.through.entity],
            ".time": made[events.time.column],
            ".met": made[join.through.by],
        }
    ).dropna()
    return pd.merge_asof(
        calls,
        rows.dropna(subset=[join.by]).assign(**{".found": True}),
        left_on=".time",
        right_on=met.time.column,
        left_by=".met",
        right_by=join.by,
        tolerance=pd.Timedelta(join.through.within),
    ).dropna(subset=[".found"])


class _Asked(NamedTuple):
    """The rows that want features: their entities as codes, and the ends of their windows."""

    entities: "pd.Index[str]"
    code: Ints
    end_us: Ints
    first_us: int
    width_us: int

    @classmethod
    def of(cls, entity: "pd.Series[str]", time: "pd.Series[pd.Timestamp]", join: Join) -> "_Asked":
        entities = pd.Index(np.sort(entity.unique().astype(object)), dtype="str")
        end = _microseconds(time) - join.delay // MICROSECOND
        low, high = (int(end.min()), int(end.max())) if len(end) else (0, 0)
        first = low - max(join.over) // MICROSECOND
        code = entities.get_indexer(pd.Index(entity)).astype(np.int64)
        return cls(entities, code, end, first, high - first + 1)

    def places(self, code: Ints, time_us: Ints) -> Ints:
        """Return numbers that order entities, and times within each; -1 for none of them."""
        place = time_us - self.first_us
        is_inside = (code >= 0) & (place >= 0) & (place < self.width_us)
        return np.where(is_inside, code * self.width_us + place, -1)

    def bounds(self, places: Ints, window: timedelta) -> tuple[Ints, Ints]:
        """Return the slice of sorted places that lies in each row's window."""
        end = self.places(self.code, self.end_us)
        start = np.searchsorted(places, end - window // MICROSECOND, side="right")
        return start, np.searchsorted(places, end, side="right")


def _statistics(
    join: Join, rows: pd.DataFrame, asked: _Asked
) -> Iterator[tuple[timedelta, str, Floats]]:
    code = asked.entities.get_indexer(pd.Index(rows[".entity"])).astype(np.int64)
    places = asked.places(code, _microseconds(rows[".time"]))
    rows, places = rows[places >= 0], places[places >= 0]
    everything = np.sort(places)
    seen = {window: asked.bounds(everything, window) for window in join.over}
    if join.count:
        for window, (start, end) in seen.items():
            yield window, window_name(join.name, "count", window), (end - start).astype(np.float64)
    for column, statistics in join.statistics.items():
        values = _Values.of(rows[column], places)
        for window, (start, end) in seen.items():
            bounds = asked.bounds(values.places, window)
            for statistic in statistics:
                found = values.statistic(statistic, bounds, end > start)
                yield window, window_name(f"{join.name}_{column}", statistic, window), found
    if join.any is not None:
        holds = _Values.of(Expression(join.any).evaluate(rows).astype("Float64"), places)
        for window in join.over:
            found = segments.means(holds.numbers, *asked.bounds(holds.places, window))
            yield window, window_name(join.name, "share", window), found


class _Values(NamedTuple):
    """The known values of a column, in order of place."""

    places: Ints
    numbers: Floats
    previous: Ints

    @classmethod
    def of(cls, values: "pd.Series[Any]", places: Ints) -> "_Values":
        is_known = values.notna().to_numpy()
        known, places = values[is_known], places[is_known]
        if isinstance(values.dtype, pd.StringDtype):
            texts = np.unique(known.to_numpy(dtype=object), return_inverse=True)[1]
            numbers = texts.astype(np.float64)
        else:
            numbers = known.to_numpy(dtype=np.float64)
        order = np.argsort(places, kind="stable")  # rows of one time stay in the order of their key
        codes = np.unique(numbers[order], return_inverse=True)[1].astype(np.int64)
        return cls(places[order], numbers[order], segments.previous_equal(codes))

    def statistic(self, name: str, bounds: tuple[Ints, Ints], is_seen: Any) -> Floats:
        """Return a statistic of each slice; `is_seen` tells where there are rows at all.

        Rows without a value are no value of 0: their sum is unknown, and that of no row is 0.
        """
        start, end = bounds
        if name == "sum":
            is_blank = is_seen & (end == start)
            return np.where(is_blank, np.nan, segments.sums(self.numbers, start, end))
        if name == "count":
            return (end - start).astype(np.float64)
        if name == "nunique":
            return segments.distinct(self.previous, start, end)
        reduce = {"mean": segments.means, "min": segments.smallest, "max": segments.largest}
        return reduce[name](self.numbers, start, end)


def _is_delivered(asked: _Asked, window: timedelta, join: Join, others: Others) -> Any:
    """Tell for each row whether every day that its window reaches into was delivered."""
    is_known = np.ones(len(asked.code), dtype=bool)
    for name in join.datasets:
        beyond = join.reach(name) - max(join.over) - join.delay  # how far events look back
        first = asked.end_us - (window + beyond) // MICROSECOND + 1
        days = pd.to_datetime(list(others[name].days)).to_numpy(dtype="M8[D]").astype(np.int64)
        delivered = np.unique(days)
        from_day, to_day = first // DAY_US, asked.end_us // DAY_US
        found = np.searchsorted(delivered, to_day, side="right") - np.searchsorted(
            delivered, from_day
        )
        is_known &= found == to_day - from_day + 1
    return is_known


def _microseconds(time: "pd.Series[pd.Timestamp]") -> Ints:
    return time.astype("datetime64[us, UTC]").to_numpy(dtype="M8[us]").view(np.int64)
