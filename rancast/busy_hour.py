"""The busy hour: the hour of the local day with the largest traffic, of an entity or the network.

Two of them are in use. As a feature, the hour in which traffic averaged over some days before is
largest (the field's time-consistent busy hour), since nobody knows at t when today's will be. As a
metric, the hour in which a day that is over had most of its own (the bouncing one).

An hour of which less than half was seen has no traffic, rather than little. The hour that the clock
repeats in autumn is two hours, each with its own. Of equal hours the earliest counts. Where nothing
was carried there is no busy hour.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rancast.datasets import Dataset
from rancast.errors import ConfigurationError
from rancast.kpis import aggregate, with_parts
from rancast.local_time import hour_of_day, hours_in, local_days, local_hours

Floats = NDArray[np.float64]

HOUR = timedelta(hours=1)
QUARTER = np.timedelta64(15, "m")
LEAST_SEEN = 0.5
NETWORK = "network"
# with a dot, as a KPI may be called traffic
MEAN_TRAFFIC = "traffic.mean"
Whose = Literal["entity", "network"]


def hourly_traffic(
    rows: pd.DataFrame, entity: str, traffic: str, dataset: Dataset, timezone: str
) -> pd.DataFrame:
    """Return [entity, hour, traffic]: the mean per period of each local hour seen well enough.

    `hour` is its start in UTC. The mean, not the sum: a period that is absent was not empty.
    Raises ConfigurationError for a dataset whose periods do not lie within an hour.
    """
    period = dataset.time.period
    if period is None or period > HOUR:
        raise ConfigurationError(
            f"dataset {dataset.name!r} has no period of at most an hour, so that it has no busy "
            "hour; take a dataset with time.period, such as 5min."
        )
    table = pd.DataFrame(
        {
            "entity": rows[entity].to_numpy(),
            "hour": local_hours(rows[dataset.time.column], timezone).array,
            "at": rows[dataset.time.column].array,
            "traffic": rows[traffic].to_numpy(dtype=np.float64, na_value=np.nan),
        }
    )
    table = table[np.isfinite(table["traffic"]) & table["entity"].notna()]
    # of a cell with carriers, or a site, a period has the traffic of all its rows
    periods = table.groupby(["entity", "hour", "at"], sort=True)["traffic"].sum().reset_index()
    grouped = periods.groupby(["entity", "hour"], sort=True)["traffic"]
    found = grouped.agg(["mean", "size"]).reset_index().rename(columns={"mean": "traffic"})
    is_seen = found["size"] >= np.ceil(LEAST_SEEN * (HOUR // period))
    hours: pd.DataFrame = found[is_seen].drop(columns="size")
    return hours.reset_index(drop=True)


def event_traffic(
    events: pd.DataFrame, entities: "pd.Index[str]", days: Sequence[date], timezone: str
) -> pd.DataFrame:
    """Return [entity, hour, traffic]: the sum of each entity's events in each local hour.

    `events` are [entity, time, traffic], `days` the UTC days that were delivered. An hour of which
    a part lies on another day was not seen; one that was seen without an event has no traffic, 0.
    Equal events in any order give equal bits.
    """
    starts = np.array(sorted(days), dtype="M8[us]")
    # zones are off by quarters of an hour at the finest
    quarters = pd.Series((starts[:, None] + QUARTER * np.arange(96)).ravel())
    hours = local_hours(quarters.dt.tz_localize("UTC"), timezone).value_counts()
    whole = hours.index[hours == 4].sort_values()
    known = events[np.isfinite(events["traffic"]) & events["entity"].notna()]
    known = known.assign(hour=local_hours(known["time"], timezone))
    known = known.sort_values(["entity", "hour", "traffic"], kind="stable")
    summed = known.groupby(["entity", "hour"], sort=True)["traffic"].sum()
    index = pd.MultiIndex.from_product([entities, whole], names=["entity", "hour"])
    found: pd.DataFrame = summed.reindex(index, fill_value=0.0).reset_index()
    return found


def network_traffic(hours: pd.DataFrame) -> pd.DataFrame:
    """Return the mean over the entities seen in each hour, as the entity 'network'.

    The mean, not the sum: a cell that did not report is no cell without traffic.
    """
    found = hours.groupby("hour", sort=True)["traffic"].mean().reset_index()
    return found.assign(entity=NETWORK)[["entity", "hour", "traffic"]]


def usual_busy_hour(
    hours: pd.DataFrame, day: pd.Timestamp, days: int, timezone: str
) -> "pd.Series[int]":
    """Return entity -> hour of day, 0 to 23, in which traffic was largest over `days` before `day`.

    `day` is a local date; `hours` are as of `hourly_traffic`, and later ones are ignored. Traffic
    is averaged over all hours at which the clock showed the same.
    """
    dates = local_days(hours["hour"], timezone)
    is_before = (dates >= day - pd.Timedelta(days=days)) & (dates < day)
    before = hours[is_before]
    shown = hour_of_day(before["hour"], timezone).rename("shown")
    means = before.groupby([before["entity"], shown], sort=True)["traffic"].mean().reset_index()
    busiest = _largest(means, ["entity"])
    return busiest.set_index("entity")["shown"]


def _largest(hours: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Return the row with the largest traffic of each group, the first of equal ones."""
    carried = hours[hours["traffic"] > 0]
    order = carried.sort_values("traffic", ascending=False, kind="stable")
    return order.drop_duplicates(by).sort_values(by, kind="stable", ignore_index=True)


def position(
    hours: pd.DataFrame,
    entity: "pd.Series[str]",
    time: "pd.Series[pd.Timestamp]",
    days: int,
    timezone: str,
    delay: timedelta = timedelta(0),
) -> tuple[Floats, Floats]:
    """Return whether each time lies in its entity's usual busy hour, and how many hours after it.

    1.0 or 0.0, and -12.0 to 11.0 by the wall clock; both NaN where there is no busy hour. Only the
    `days` local days before that of the time are looked at, and a day that ended less than `delay`
    before it counts as the present one.
    """
    busy = np.full(len(time), np.nan)
    dates = local_days(time - delay, timezone)
    for day in dates.unique():
        is_here = (dates == day).to_numpy()
        usual = usual_busy_hour(hours, day, days, timezone)
        busy[is_here] = usual.reindex(entity[is_here]).to_numpy(dtype=np.float64)
    after = hour_of_day(time, timezone).to_numpy(dtype=np.float64) - busy
    return np.where(np.isnan(busy), np.nan, after == 0), (after + 12) % 24 - 12


def in_busy_hours(
    rows: pd.DataFrame, dataset: Dataset, traffic: str, timezone: str, of: Whose = "entity"
) -> pd.DataFrame:
    """Return the busy hour of each local day with its traffic and KPIs: no feature, a metric.

    Columns: entity ('network' for the network, whose KPIs are those of all entities together),
    `day` (local date), `hour` (its start, UTC), `traffic.mean` (of a period in it; of the network,
    over the entities), `hours` and `hours_of_day` (how many of the day's 23, 24 or 25 hours were
    seen), and what KPIs the dataset has, with their parts. Raises ConfigurationError for a dataset
    without entities, or without periods within an hour.
    """
    if dataset.entity is None:
        raise ConfigurationError(
            f"dataset {dataset.name!r} names no entity, so that nobody has a busy hour; state "
            "entity."
        )
    parts = with_parts(rows, dataset)
    parts["hour"] = local_hours(parts[dataset.time.column], timezone)
    hours = hourly_traffic(parts, dataset.entity, traffic, dataset, timezone)
    parts = parts.rename(columns={dataset.entity: "entity"})
    if of == "network":
        hours, parts = network_traffic(hours), parts.assign(entity=NETWORK)
    found = _busiest_of_days(hours, timezone)
    if not dataset.kpis:
        return found
    values = aggregate(parts, ["entity", "hour"], dataset.kpis)
    return found.merge(values, on=["entity", "hour"], how="left", validate="1:1")


def _busiest_of_days(hours: pd.DataFrame, timezone: str) -> pd.DataFrame:
    """Return [entity, day, hour, traffic.mean, hours, hours_of_day] of hourly traffic."""
    hours = hours.assign(day=local_days(hours["hour"], timezone))
    seen = hours.groupby(["entity", "day"], sort=True).size().rename("hours").reset_index()
    busiest = _largest(hours, ["entity", "day"])[["entity", "day", "hour", "traffic"]]
    busiest = busiest.rename(columns={"traffic": MEAN_TRAFFIC})
    found = busiest.merge(seen, on=["entity", "day"], how="left", validate="1:1")
    return found.assign(hours_of_day=[hours_in(day, timezone) for day in found["day"]])
