"""Hours and days of a local clock: each time lies in one of each, whenever the clock is moved."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rancast.local_time import hour_of_day, hours_in, local_days, local_hours

ZONES = (
    *("UTC", "Europe/Dublin", "America/New_York", "Asia/Kolkata", "America/St_Johns"),
    *("America/Havana", "Asia/Beirut", "Pacific/Auckland"),
)


def times(*given_times: str) -> "pd.Series[pd.Timestamp]":
    """Return times in UTC."""
    return pd.Series(pd.to_datetime(list(given_times), utc=True)).astype("datetime64[us, UTC]")


def test_the_hour_that_the_clock_repeats_is_two_hours() -> None:
    """In Dublin 01:30 comes twice on the last Sunday of October: two hours, one on the clock."""
    asked = times("2024-10-27T00:30Z", "2024-10-27T01:30Z", "2024-10-27T02:30Z")
    found = local_hours(asked, "Europe/Dublin")
    assert found.tolist() == times("2024-10-27T00Z", "2024-10-27T01Z", "2024-10-27T02Z").tolist()
    assert hour_of_day(asked, "Europe/Dublin").tolist() == [1, 1, 2]


def test_hours_of_zones_that_are_half_an_hour_off() -> None:
    """In India an hour starts at half past by UTC, and a day at half past six in the evening."""
    asked = times("2024-03-04T18:29Z", "2024-03-04T18:31Z")
    found = local_hours(asked, "Asia/Kolkata")
    assert found.tolist() == times("2024-03-04T17:30Z", "2024-03-04T18:30Z").tolist()
    days = local_days(asked, "Asia/Kolkata")
    assert days.tolist() == [pd.Timestamp("2024-03-04"), pd.Timestamp("2024-03-05")]


@pytest.mark.parametrize(
    ("day", "zone", "hours"),
    [
        ("2024-03-31", "Europe/Dublin", 23),
        ("2024-10-27", "Europe/Dublin", 25),
        ("2024-10-28", "Europe/Dublin", 24),
        ("2024-03-31", "Asia/Beirut", 23),  # the clock goes from 00:00 to 01:00
        ("2024-11-03", "America/Havana", 25),  # and from 01:00 back to 00:00
    ],
)
def test_days_have_23_24_or_25_hours(day: str, zone: str, hours: int) -> None:
    """A day has the hours that the clock gives it, also where it is moved at midnight."""
    assert hours_in(pd.Timestamp(day), zone) == hours
    every = pd.Series(
        pd.date_range(pd.Timestamp(day, tz="UTC") - pd.Timedelta("1D"), periods=288, freq="15min")
    )
    inside = local_hours(every[local_days(every, zone) == pd.Timestamp(day)], zone)
    assert inside.nunique() == hours


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 366 * 24 * 4), st.sampled_from(ZONES))
def test_an_hour_lies_in_one_day(quarter: int, zone: str) -> None:
    """A time lies in its hour, the hour starts on the time's own day, and is its own hour."""
    time = pd.Series([pd.Timestamp("2024-01-01", tz="UTC") + quarter * pd.Timedelta("15min")])
    hour = local_hours(time, zone)
    assert pd.Timedelta(0) <= (time - hour).iloc[0] < pd.Timedelta("1h")
    assert local_days(hour, zone).tolist() == local_days(time, zone).tolist()
    assert local_hours(hour, zone).tolist() == hour.tolist()
    assert hour_of_day(hour, zone).tolist() == hour_of_day(time, zone).tolist()
