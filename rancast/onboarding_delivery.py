"""How the files of a sample lie in UTC days: what a day may be expected to have."""

from datetime import date, timedelta
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from rancast.onboarding_keys import KeyGuess
from rancast.onboarding_names import FILE
from rancast.onboarding_rows import Rows
from rancast.onboarding_sample import SampleTable
from rancast.onboarding_yaml import number_of

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
LEAST_DAYS_IN_A_ROW = 7
LEAST_DAYS_OF_A_BAND = 3
LONGEST_TOLERANCE = timedelta(hours=12)


class Delivery(NamedTuple):
    """What the days of a sample tell; `days` counts them, `notes` are sentences by dataset key."""

    days: int
    first: date | None
    last: date | None
    expected: Literal["daily", "no"]
    volume: tuple[int, int] | None
    tolerance: timedelta
    notes: dict[str, tuple[str, ...]]


def guess_delivery(table: SampleTable, rows: Rows, key: KeyGuess, timezone: str) -> Delivery:
    """Return how the records of a sample lie in UTC days."""
    if key.clock is None:
        note = "no column is a time, so that the day of the folder stands for it"
        return Delivery(0, None, None, "no", None, timedelta(0), {"expected": (note,)})
    times = _in_utc(rows.times[key.clock], timezone)
    if key.stamped_at == "end" and key.period is not None:
        times = times - key.period
    days = times.dt.floor("D")
    per_day = days.value_counts().sort_index()
    span = (per_day.index.max() - per_day.index.min()) // DAY + 1
    is_daily = len(per_day) == span >= LEAST_DAYS_IN_A_ROW
    tolerance, late = _tolerance(table, rows, times)
    notes = {
        "expected": (
            f"rows lie on {number_of(len(per_day), 'UTC day')} of {span} from first to last",
            *_crossing(rows, days),
        ),
        "volume": (
            f"{per_day.min():,} to {per_day.max():,} different rows a day in the sample, which "
            f"{'has whole files' if table.is_whole else 'has only the heads of files'}",
        ),
        "tolerance": late,
    }
    is_band = table.is_whole and len(per_day) >= LEAST_DAYS_OF_A_BAND and key.kind == "events"
    return Delivery(
        days=len(per_day),
        first=per_day.index.min().date(),
        last=per_day.index.max().date(),
        expected="daily" if is_daily else "no",
        volume=(int(per_day.min()) // 2, int(per_day.max()) * 2) if is_band else None,
        tolerance=tolerance,
        notes=notes,
    )


def _in_utc(times: "pd.Series[pd.Timestamp]", timezone: str) -> "pd.Series[pd.Timestamp]":
    """Return times that were read as UTC as those of their zone."""
    local = times.dt.tz_localize(None)
    first = np.ones(len(local), dtype=bool)
    zoned = local.dt.tz_localize(ZoneInfo(timezone), ambiguous=first, nonexistent="shift_forward")
    return zoned.dt.tz_convert("UTC")


def _crossing(rows: Rows, days: "pd.Series[pd.Timestamp]") -> tuple[str, ...]:
    """Tell how many files hold rows of several days, which the raw container has in its folders."""
    per_file = days.groupby(rows.codes[FILE]).nunique()
    crossing = int((per_file > 1).sum())
    if not crossing:
        return ()
    return (
        f"{crossing:,} of {number_of(len(per_file), 'file')} hold rows of more than one UTC day; "
        "make layout puts each row into the folder of its day",
    )


def _tolerance(
    table: SampleTable, rows: Rows, times: "pd.Series[pd.Timestamp]"
) -> tuple[timedelta, tuple[str, ...]]:
    """Return how far rows lie outside of the day of their folder, in whole hours."""
    given = [file.day for file in table.files if file.day is not None]
    if len(given) < len(table.files):
        return timedelta(0), ()
    starts = pd.DatetimeIndex(given).tz_localize("UTC")
    start = pd.Series(starts.take(rows.codes[FILE].to_numpy()), index=times.index)
    early, late = start - times, times - start - DAY
    outside = pd.concat([early[early > timedelta(0)], late[late >= timedelta(0)]])
    if outside.empty:
        return timedelta(0), ()
    farthest = outside.max().to_pytimedelta()
    hours = (farthest // HOUR + 1) * HOUR
    note = f"{len(outside):,} rows lie outside of the day of their folder, by up to {farthest}"
    if hours > LONGEST_TOLERANCE:
        return timedelta(0), (f"{note}: too far to be tolerated; they would be quarantined",)
    return hours, (note,)
