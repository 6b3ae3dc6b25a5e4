"""Busy hours: of an entity and the network, as a feature of the days before and as a metric."""

from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rancast.busy_hour import hourly_traffic, in_busy_hours, network_traffic, usual_busy_hour
from rancast.errors import ConfigurationError
from rancast.groups import group_labels
from rancast.feature_definitions import BusyHour
from rancast.features import build, lookback_days
from tests.rancast.counts import DAY, bits_of, dataset, rows, use_case

COUNTS = dataset()
NAN = float("nan")


def hours_of(cell: str, day: str, **attempts: int) -> list[tuple[Any, ...]]:
    """Return the four quarters of some hours, UTC, each with so many attempts: h09=5."""
    return [
        (cell, f"{day} {name[1:]}:{minute:02}", 0, count)
        for name, count in attempts.items()
        for minute in (0, 15, 30, 45)
    ]


def hourly(frame: pd.DataFrame, timezone: str = "UTC") -> pd.DataFrame:
    """Return the hourly traffic of a frame."""
    return hourly_traffic(frame, "cell", "attempts", COUNTS, timezone)


def test_hourly_traffic_is_a_mean_of_what_was_seen() -> None:
    """An absent quarter was not empty; an hour of which less than half was seen has no traffic."""
    frame = rows(
        *hours_of("a", "2024-03-04", h09=4)[:3], ("a", "09:45", 0, None), ("a", "10:00", 0, 99)
    )
    expected = pd.DataFrame(
        {
            "entity": pd.Series(["a"], dtype="str"),
            "hour": pd.to_datetime(["2024-03-04T09Z"]).as_unit("us"),
            "traffic": [4.0],
        }
    )
    pd.testing.assert_frame_equal(hourly(frame), expected)


def test_the_usual_busy_hour_is_largest_on_average_over_days() -> None:
    """One day's peak does not make it; days outside of the lookback and later ones do not count."""
    frame = rows(
        *hours_of("a", "2024-03-01", h08=1000),
        *hours_of("a", "2024-03-02", h08=10, h09=30, h10=20),
        *hours_of("a", "2024-03-03", h08=50, h09=40, h10=20),
        *hours_of("b", "2024-03-03", h10=20, h09=20),
        *hours_of("c", "2024-03-03", h10=0),
        *hours_of("a", "2024-03-04", h23=9999),
    )
    found = usual_busy_hour(hourly(frame), pd.Timestamp("2024-03-04"), 2, "UTC")
    assert found.to_dict() == {"a": 9, "b": 9}  # b has a tie, c never carried anything
    longer = usual_busy_hour(hourly(frame), pd.Timestamp("2024-03-04"), 3, "UTC")
    assert longer["a"] == 8


def test_the_networks_busy_hour_is_of_the_cells_that_reported() -> None:
    """A cell that is silent in an hour does not make the hour quieter."""
    frame = rows(*hours_of("a", "2024-03-03", h09=10, h10=20), *hours_of("b", "2024-03-03", h09=16))
    found = network_traffic(hourly(frame))
    assert found["traffic"].tolist() == [13.0, 20.0]
    assert usual_busy_hour(found, pd.Timestamp("2024-03-04"), 1, "UTC").to_dict() == {"network": 10}


def test_a_repeated_hour_is_two_hours() -> None:
    """The two passes of 01:00 are averaged like hours of two days, not added up to a busy one."""
    night = rows(*hours_of("a", "2024-10-27", h00=60, h01=60, h10=100))
    found = usual_busy_hour(
        hourly(night, "Europe/Dublin"), pd.Timestamp("2024-10-28"), 1, "Europe/Dublin"
    )
    assert found.to_dict() == {"a": 10}
    loud = rows(*hours_of("a", "2024-10-27", h00=60, h01=180, h10=100))
    found = usual_busy_hour(
        hourly(loud, "Europe/Dublin"), pd.Timestamp("2024-10-28"), 1, "Europe/Dublin"
    )
    assert found.to_dict() == {"a": 1}


def X(curated: list[pd.DataFrame], day: date = DAY, **features: Any) -> pd.DataFrame:
    """Return the busy hour features of a day's rows."""
    busy_hour = {"traffic": "attempts"} | features.pop("busy_hour", {})
    view = use_case({"busy_hour": busy_hour} | features).feature_view()
    return build(curated, view, COUNTS, day)


def test_features_tell_where_t_lies_to_the_busy_hour() -> None:
    """Hours after the busy hour count up to 11, those before it down to -12; unknown is missing."""
    past = rows(*hours_of("a", "2024-03-03", h20=9, h21=3), *hours_of("b", "2024-03-03", h08=9))
    today = rows(("a", "20:45"), ("a", "07:00"), ("a", "08:00"), ("b", "08:30"), ("c", "08:00"))
    found = X([past, today], busy_hour={"of": ["entity", "network"], "days": 1})
    expected = pd.DataFrame(
        {
            "cell": pd.Series(["a", "a", "a", "b", "c"], dtype="str"),
            "is_busy_hour": [0.0, 0.0, 1.0, 1.0, NAN],
            "hours_from_busy_hour": [11.0, -12.0, 0.0, 0.0, NAN],
            "is_network_busy_hour": [0.0, 1.0, 0.0, 1.0, 1.0],
            "hours_from_network_busy_hour": [-1.0, 0.0, -12.0, 0.0, 0.0],
        }
    )
    pd.testing.assert_frame_equal(found.drop(columns="at"), expected)


def test_the_days_before_t_are_local_ones() -> None:
    """In Shanghai 17:00 UTC is tomorrow: what came until 16:00 UTC counts at it, not at 15:00."""
    past = rows(*hours_of("a", "2024-03-03", h02=5))
    today = rows(*hours_of("a", "2024-03-04", h06=9), ("a", "15:00"), ("a", "17:00"))
    found = X([past, today], timezone="Asia/Shanghai", busy_hour={"days": 1}).set_index("at")
    # 02:00 UTC is 10 o'clock there, 06:00 is 14 o'clock; 15:00 is 23 o'clock, 17:00 is 1 o'clock
    position = found["hours_from_busy_hour"]
    assert position[pd.Timestamp("2024-03-04 15:00", tz="UTC")] == 23 - 10 - 24
    assert position[pd.Timestamp("2024-03-04 17:00", tz="UTC")] == 1 - 14 + 24


@pytest.mark.parametrize("timezone", ["UTC", "Europe/Dublin", "America/New_York", "Asia/Kolkata"])
@pytest.mark.parametrize("delay", ["0s", "10min", "6h", "20h", "30h"])
def test_lookback_covers_the_days_before_those_that_may_still_run(
    timezone: str, delay: str
) -> None:
    """Whatever t of a UTC day, the earliest local day that counts lies within the lookback."""
    given = {"traffic": "used", "dataset": "calls", "by": "cell", "days": 5, "delay": delay}
    busy = BusyHour.model_validate(given)
    midnight = pd.Timestamp("2024-06-10", tz="UTC")
    times = pd.date_range(midnight, periods=24 * 12, freq="5min")
    local = (times - pd.Timedelta(busy.delay)).tz_convert(timezone).normalize()
    earliest = (local - pd.DateOffset(days=busy.days)).min()
    assert earliest >= midnight - busy.reach(timezone)


@pytest.mark.parametrize(("timezone", "days"), [("UTC", 5), ("America/New_York", 6)])
def test_lookback_covers_whole_local_days(timezone: str, days: int) -> None:
    """Away from Greenwich the local days before t reach a day further back."""
    plain = dataset(cumulative={})
    features = {"busy_hour": {"traffic": "attempts", "days": 5}, "timezone": timezone}
    view = use_case(features).feature_view()
    assert lookback_days(view, plain) == days
    begin = pd.Timestamp(DAY, tz="UTC").tz_convert(timezone).floor("D") - pd.Timedelta(days=5)
    assert begin >= pd.Timestamp(DAY, tz="UTC") - pd.Timedelta(days=days)


def test_a_busy_hour_is_a_slice() -> None:
    """A gate may ask how a model does within the busy hour: its values are groups."""
    gates = {"slices": [{"column": "is_busy_hour"}]}
    case = use_case({"busy_hour": {"traffic": "calls"}}, gates=gates)
    case.check(COUNTS)
    assert "is_busy_hour" in case.fit_view().slices
    values = pd.Series([1.0, 0.0, NAN])
    assert group_labels(values).tolist() == ["1.0", "0.0", "missing"]


def test_a_kpi_in_the_busy_hour_of_each_day() -> None:
    """Each day has the hour that was its own largest, and in it dropped over attempted calls."""
    frame = rows(
        ("a", "2024-03-03 08:00", 5, 10),
        ("a", "2024-03-03 08:15", 0, 30),
        ("a", "2024-03-03 09:00", 0, 19),
        ("a", "2024-03-03 09:15", 0, 19),
        ("a", "09:00", 1, 50),
        ("a", "09:15", 1, 50),
        ("b", "10:00", 9, 90),
        ("b", "10:15", 9, 90),
    )
    found = in_busy_hours(frame, COUNTS, "attempts", "UTC")
    expected = pd.DataFrame(
        {
            "entity": pd.Series(["a", "a", "b"], dtype="str"),
            "day": pd.to_datetime(["2024-03-03", "2024-03-04", "2024-03-04"]).as_unit("us"),
            "hour": pd.to_datetime(["2024-03-03T08Z", "2024-03-04T09Z", "2024-03-04T10Z"]).as_unit(
                "us"
            ),
            "hours": [2, 1, 1],
            "hours_of_day": [24, 24, 24],
            "drop_ratio": [5 / 40, 2 / 100, 18 / 180],
            "calls": [40.0, 100.0, 180.0],
        }
    )
    pd.testing.assert_frame_equal(found[list(expected)], expected)
    network = in_busy_hours(frame, COUNTS, "attempts", "UTC", of="network")
    assert network["entity"].tolist() == ["network", "network"]
    assert network["drop_ratio"].tolist() == [5 / 40, 18 / 180]


def test_a_days_busy_hour_is_one_of_its_23_to_25_hours() -> None:
    """Each pass of a repeated hour stands for itself, and of two equal ones the first counts."""
    frame = rows(*hours_of("a", "2024-10-27", h00=7, h01=7, h02=1))
    found = in_busy_hours(frame, COUNTS, "attempts", "Europe/Dublin")
    assert found["hour"].tolist() == [pd.Timestamp("2024-10-27T00Z")]
    assert found[["hours", "hours_of_day", "calls"]].values.tolist() == [[3, 25, 28.0]]


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "events", "cumulative": {}},
        {"time": {"column": "at", "period": "1d"}},
    ],
)
def test_a_dataset_without_periods_within_an_hour_is_refused(changes: dict[str, Any]) -> None:
    """Of events nobody knows what is absent, and a day has no busy hour."""
    case = use_case({"busy_hour": {"traffic": "attempts"}}, grid={"period": "15min"})
    with pytest.raises(ConfigurationError, match="busy_hour needs a periodic dataset of at most"):
        case.check(dataset(**changes))


# --- everything of telecom, with the future replaced by noise ------------------------------------

EVERYTHING: dict[str, Any] = {
    "current": ["drop_ratio", "calls", "bytes", "load"],
    "categories": ["bytes_suspect"],
    "lags": [{"columns": ["drop_ratio", "bytes"], "periods": [1, 2]}],
    "windows": [
        {"columns": ["drop_ratio", "calls"], "over": ["2h"], "statistics": ["mean", "max"]},
        {"columns": ["calls", "bytes"], "over": ["3h"], "statistics": ["sum", "std"]},
    ],
    "history": [
        {"columns": ["drop_ratio", "calls", "attempts"], "days": 2, "at": "same_hour"},
        {"columns": ["load"], "days": 2},
    ],
    "busy_hour": {"traffic": "calls", "days": 2, "of": ["entity", "network"]},
    "timezone": "America/New_York",
}
LOADED = dataset(
    kpis={
        "drop_ratio": {"numerator": "dropped", "denominator": "attempts", "observed": 0.5},
        "calls": {"numerator": "attempts"},
        "load": {"numerator": "bytes * 8", "denominator": "1"},
    }
)


def noisy_days(seed: int) -> list[pd.DataFrame]:
    """Return six days of three cells around DAY, with gaps, missing values and resets."""
    random = np.random.default_rng(seed)
    days = []
    for back in range(4, -2, -1):
        start = pd.Timestamp(DAY - timedelta(days=back), tz="UTC")
        times = pd.date_range(start, periods=96, freq="15min", unit="us")
        frame = pd.MultiIndex.from_product([["a", "b", "c"], times]).to_frame(index=False)
        frame.columns = pd.Index(["cell", "at"])
        for name, most in (("dropped", 20), ("attempts", 1000), ("total", 2**16)):
            values = pd.array(random.integers(0, most, len(frame)), dtype="Int64")
            values[random.random(len(frame)) < 0.1] = pd.NA
            frame[name] = values
        days.append(frame[random.random(len(frame)) > 0.2].astype({"cell": "str"}))
    return days


@pytest.mark.parametrize("grid", [{}, {"period": "1h"}, {"fill": "30min"}])
def test_the_future_changes_no_bit(grid: dict[str, str]) -> None:
    """KPIs, increments and busy hours up to t stay the same, bit for bit, whatever comes after."""
    view = use_case(EVERYTHING, grid=grid).feature_view()
    days = noisy_days(1)
    truth = build(days, view, LOADED, DAY)
    random = np.random.default_rng(2)
    for hour in (0, 7, 18):
        t = pd.Timestamp(DAY, tz="UTC") + pd.Timedelta(hours=hour)
        other = [frame.copy() for frame in days]
        for frame in other:
            is_later = frame["at"] > t
            for name in ("dropped", "attempts", "total"):
                frame.loc[is_later, name] = random.integers(0, 10**9, int(is_later.sum()))
        same = truth[truth["at"] <= t]
        for altered in (other, [frame[frame["at"] <= t] for frame in days]):
            found = build(altered, view, LOADED, DAY)
            assert len(same) and bits_of(found[found["at"] <= t]) == bits_of(same)


@pytest.mark.parametrize("grid", [{}, {"period": "1h"}])
def test_days_before_the_lookback_do_not_matter(grid: dict[str, str]) -> None:
    """Features of a day are the same however far back its data go."""
    view = use_case(EVERYTHING, grid=grid).feature_view()
    days = noisy_days(3)
    assert lookback_days(view, LOADED) == 4
    early = rows(("a", "2024-02-01 00:00", 5, 9, 1), ("z", "2024-02-28 23:45", 5, 9, 1))
    truth = build(days, view, LOADED, DAY)
    found = build([*reversed(days), early], view, LOADED, DAY)
    pd.testing.assert_frame_equal(found, truth, check_exact=True)


@pytest.mark.parametrize("grid", [{}, {"period": "1h"}])
def test_no_rows_give_the_same_columns_and_types(grid: dict[str, str]) -> None:
    """A day without rows is an empty frame of the usual form, whatever is derived."""
    view = use_case(EVERYTHING, grid=grid).feature_view()
    full = build(noisy_days(1), view, LOADED, DAY)
    pd.testing.assert_frame_equal(build([], view, LOADED, DAY), full.head(0))
