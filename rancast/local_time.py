"""Hours and days of an operator's clock, where a day may have 23 or 25 hours.

Times are UTC everywhere else. Here they are only sorted into hours and days: an hour is named by
the UTC time of its start, so that the hour that the clock repeats in autumn is two hours; a day is
named by its local date.
"""

import pandas as pd


def local_hours(time: "pd.Series[pd.Timestamp]", timezone: str) -> "pd.Series[pd.Timestamp]":
    """Return the start of the local hour in which each time lies, in UTC."""
    wall = wall_clock(time, timezone)
    offset = wall - time.dt.tz_localize(None)
    # floored by the wall clock, since some zones are half an hour off
    return (wall.dt.floor("h") - offset).dt.tz_localize("UTC")


def local_days(time: "pd.Series[pd.Timestamp]", timezone: str) -> "pd.Series[pd.Timestamp]":
    """Return the local date of each time, as a timestamp at 00:00 without a zone."""
    return wall_clock(time, timezone).dt.floor("D")


def hour_of_day(time: "pd.Series[pd.Timestamp]", timezone: str) -> "pd.Series[int]":
    """Return what the local clock shows, 0 to 23; both passes of a repeated hour show the same."""
    return wall_clock(time, timezone).dt.hour


def wall_clock(time: "pd.Series[pd.Timestamp]", timezone: str) -> "pd.Series[pd.Timestamp]":
    """Return what a clock on the wall shows, without a zone."""
    return time.dt.tz_convert(timezone).dt.tz_localize(None)


def hours_in(day: pd.Timestamp, timezone: str) -> int:
    """Return how many hours a local date has: 23, 24 or 25."""
    midnights = [
        # where the clock is moved at midnight, the date begins with what comes first
        each.tz_localize(timezone, ambiguous=True, nonexistent="shift_forward")
        for each in (day, day + pd.Timedelta(days=1))
    ]
    return round((midnights[1] - midnights[0]) / pd.Timedelta(hours=1))
