"""How much of what was expected was seen, of each entity, and which entities only seem to be there.

What is expected is the register (the entities seen in the last days) in every period of the
dataset. Absent is not zero, and present is not alive: a sleeping cell reports on time and carries
nothing, while its neighbours on the site carry something.
"""

from collections.abc import Iterable
from datetime import date, timedelta

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.arrays import BooleanArray

from rancast.datasets import IS_SLEEPING, Dataset
from rancast.errors import ConfigurationError

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


def coverage_of_entities(
    rows: pd.DataFrame, dataset: Dataset, register: Iterable[str], start: date, end: date
) -> pd.DataFrame:
    """Return [entity, expected, seen, share] of the days from `start` up to `end`, exclusive.

    Periods are counted, of the register and of whoever else has a row; sorted by entity. Raises
    ConfigurationError for a dataset that is not periodic: of events nothing is expected.
    """
    entity, _ = _clock(dataset)
    periods, place = _places(rows, dataset, start, end)
    table = pd.DataFrame({"entity": rows[entity].to_numpy(), "place": place})
    seen = table[table["place"] >= 0].drop_duplicates().groupby("entity").size()
    names = pd.Index(sorted({*register, *seen.index}), dtype="str", name="entity")
    found = seen.reindex(names, fill_value=0).rename("seen").reset_index()
    found.insert(1, "expected", periods)
    return found.assign(share=found["seen"] / found["expected"])


def with_sleep(rows: pd.DataFrame, dataset: Dataset) -> pd.DataFrame:
    """Return curated rows that have the dataset's levels, with the column `is_sleeping`."""
    item = dataset.sleeping
    if item is None:
        raise ConfigurationError(
            f"dataset {dataset.name!r} does not say who sleeps; state sleeping: {{traffic, level}}."
        )
    found = sleeping(rows, dataset, item.traffic, rows[item.level], item.least)
    return rows.assign(**{IS_SLEEPING: found.array})


def reach_of_sleep(dataset: Dataset) -> timedelta:
    """Return how far before a row lie those that say whether its entity sleeps: whole periods."""
    _, period = _clock(dataset)
    least = timedelta(0) if dataset.sleeping is None else dataset.sleeping.least
    return -(-least // period) * period


def sleeping(
    rows: pd.DataFrame,
    dataset: Dataset,
    traffic: str,
    site: "pd.Series[str]",
    least: timedelta = timedelta(hours=1),
) -> "pd.Series[bool]":
    """Return for each row whether its entity sleeps, as dtype `boolean`; it looks back by `least`.

    True where in every period of (t - least, t] it was present without any traffic while others of
    its `site` had some; False where in one of them it was not so; else unknown: a period is absent,
    or no neighbour was seen in it. As on the grid, a row between two periods belongs to the later
    one; its own flag is unknown, since at its time that period is not over. Raises
    ConfigurationError for a dataset that is not periodic.
    """
    entity, period = _clock(dataset)
    # rounded up, or a row would see what its neighbours report after it
    stamp = rows[dataset.time.column].to_numpy(dtype="M8[us]").view(np.int64)
    period_us = period // timedelta(microseconds=1)
    place = -(-stamp // period_us)
    value = rows[traffic].to_numpy(dtype=np.float64, na_value=np.nan)
    table = pd.DataFrame({"entity": rows[entity].to_numpy(), "place": place})
    table = table.assign(site=site.to_numpy(), value=np.where(np.isfinite(value), value, np.nan))
    own = _carried(table)
    named = own[["entity", "place"]].assign(found=_asleep(own, max(1, -(-least // period))))
    wanted = table[["entity", "place"]].merge(named, on=["entity", "place"], how="left")
    return wanted["found"].mask(stamp % period_us != 0).set_axis(rows.index)


def _asleep(own: pd.DataFrame, periods: int) -> BooleanArray:
    """Return whether each of [entity, place, site, value] ends so many periods of sleep."""
    at_site = own.groupby(["site", "place"], dropna=True)["value"]
    total, seen = at_site.transform("sum").to_numpy(), at_site.transform("count").to_numpy()
    is_idle = (own["value"] == 0).to_numpy()
    # its own traffic is 0, so that the total is the neighbours'
    is_odd = is_idle & (total > 0)
    is_usual = (own["value"] > 0).to_numpy() | (is_idle & (seen > 1) & (total == 0))
    codes, _ = pd.factorize(own["entity"])
    asleep, awake = (
        _within(codes, own["place"].to_numpy(), flags, periods) for flags in (is_odd, is_usual)
    )
    return BooleanArray(asleep == periods, (awake == 0) & (asleep < periods))


def _carried(table: pd.DataFrame) -> pd.DataFrame:
    """Return [entity, place, site, value], sorted; value NaN where a row's is not known."""
    grouped = table.groupby(["entity", "place"], sort=True)
    own = grouped.agg(
        site=("site", "last"),
        value=("value", "sum"),
        known=("value", "count"),
        rows=("value", "size"),
    ).reset_index()
    value = own["value"].where(own["known"] == own["rows"])
    return own.assign(value=value)[["entity", "place", "site", "value"]]


def _within(codes: Ints, place: Ints, flags: Flags, periods: int) -> Ints:
    """Count the flags among the last so many periods of each entity's; rows sorted by both."""
    width = (int(place.max() - place.min()) if len(place) else 0) + periods + 1
    slots = codes * width + (place - (place.min() if len(place) else 0)) + periods
    start = np.searchsorted(slots, slots - periods, side="right")
    sums = np.concatenate([[0], np.cumsum(flags)])
    counts: Ints = sums[np.arange(1, len(slots) + 1)] - sums[start]
    return counts


def suspects(rows: pd.DataFrame, dataset: Dataset, is_sleeping: "pd.Series[bool]") -> pd.DataFrame:
    """Return [entity, periods, share, first, last] of the entities that slept at any time.

    `is_sleeping` is as of `sleeping`; `share` is of the rows where it is known. Worst first.
    """
    entity, _ = _clock(dataset)
    known = rows[[entity, dataset.time.column]].set_axis(["entity", "time"], axis="columns")
    known = known.assign(flag=is_sleeping)[is_sleeping.notna()]
    share = known["flag"].astype("float64").groupby(known["entity"]).mean()
    asleep = known[known["flag"].astype(bool)].groupby("entity")["time"]
    found = asleep.agg(periods="size", first="min", last="max").reset_index()
    found.insert(2, "share", share.reindex(found["entity"]).to_numpy())
    order = ["periods", "entity"]
    return found.sort_values(order, ascending=[False, True], ignore_index=True)


def _clock(dataset: Dataset) -> tuple[str, timedelta]:
    """Return the entity's column and the period of a periodic dataset."""
    if dataset.kind != "periodic" or dataset.entity is None or dataset.time.period is None:
        raise ConfigurationError(
            f"dataset {dataset.name!r} is not periodic, so that nobody knows how many rows are "
            "expected; state kind: periodic, an entity and time.period."
        )
    return dataset.entity, dataset.time.period


def _places(rows: pd.DataFrame, dataset: Dataset, start: date, end: date) -> tuple[int, Ints]:
    """Return how many periods there are, and each row's among them, -1 for one outside."""
    _, period = _clock(dataset)
    periods = -(-(end - start) // period)
    place = _floor(rows[dataset.time.column], pd.Timestamp(start, tz="UTC"), period)
    return periods, np.where((place >= 0) & (place < periods), place, -1)


def _floor(time: "pd.Series[pd.Timestamp]", begin: pd.Timestamp, period: timedelta) -> Ints:
    places = (time - begin) // pd.Timedelta(period)
    return np.asarray(places, dtype=np.int64)
