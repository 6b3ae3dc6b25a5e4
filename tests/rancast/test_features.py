"""Features: exact in time, blind to the future, and as the use case names them."""

from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rancast.errors import ConfigurationError
from rancast.feature_view import FeatureView
from rancast.features import build, lookback_days
from tests.rancast.cases import DAY, NEXT_DAY, dataset, rows, use_case_with

KPI = dataset()
NAN = float("nan")


def view(features: dict[str, Any], **changes: Any) -> FeatureView:
    """Return the feature view of a use case with these features."""
    return use_case_with(features, **changes).feature_view()


def X(frame: pd.DataFrame, features: dict[str, Any], **changes: Any) -> pd.DataFrame:
    """Return the features of DAY, time as HH:MM:SS."""
    found = build([frame], view(features, **changes), KPI, DAY)
    return found.assign(at=found["at"].dt.strftime("%H:%M:%S"))


def test_columns_types_and_order() -> None:
    """X has entity, time, numbers as float64, categories as str, sorted by entity and time."""
    given = rows(
        ("b", "00:10", 3.0, 7, True, "low"),
        ("a", "00:10", 2.0, None, None, None),
        ("a", "00:00", 1.0, 5, False, "high"),
    )
    found = X(given, {"current": ["load", "users", "is_busy"], "categories": ["band"]})
    expected = pd.DataFrame(
        {
            "cell": pd.Series(["a", "a", "b"], dtype="str"),
            "at": pd.Series(["00:00:00", "00:10:00", "00:10:00"], dtype="str"),
            "load": [1.0, 2.0, 3.0],
            "users": [5.0, NAN, 7.0],
            "is_busy": [0.0, NAN, 1.0],
            "band": pd.Series(["high", "missing", "low"], dtype="str"),
        }
    )
    pd.testing.assert_frame_equal(found, expected)


def test_no_rows_give_the_same_columns_and_types() -> None:
    """A day without rows is an empty frame of the usual form, whatever there is before it."""
    features = {"current": ["load"], "categories": ["band"], "calendar": ["hour"]}
    full = build([rows(("a", "00:00", 1.0))], view(features), KPI, DAY)
    for curated in ([], [rows()], [rows(("a", "2024-03-03 23:50", 1.0))]):
        empty = build(curated, view(features), KPI, DAY)
        pd.testing.assert_frame_equal(empty, full.head(0))


def test_lags_are_by_time_not_by_row() -> None:
    """A lag finds the row exactly so many periods ago, and is missing where none is there."""
    given = rows(("a", "00:00", 1.0), ("a", "00:10", 2.0), ("a", "00:30", 4.0), ("b", "00:40", 9.0))
    found = X(given, {"lags": [{"columns": ["load"], "periods": [1, 2]}]})
    assert found["load_lag_1"].tolist() == pytest.approx([NAN, 1.0, NAN, NAN], nan_ok=True)
    assert found["load_lag_2"].tolist() == pytest.approx([NAN, NAN, 2.0, NAN], nan_ok=True)


def test_windows_are_by_time_and_end_with_the_row() -> None:
    """(t - 20 min, t] holds two periods: the row itself and the one before, if it is there."""
    given = rows(
        ("a", "00:00", 1.0),
        ("a", "00:10", 3.0),
        ("a", "00:40", None),
        ("a", "00:50", 8.0),
        ("b", "00:50", 5.0),
    )
    statistics = ["mean", "std", "min", "max", "median", "sum", "count"]
    windows = [{"columns": ["load"], "over": ["20min"], "statistics": statistics}]
    found = X(given, {"windows": windows}).filter(like="load").T
    found.index = statistics
    expected = {
        "mean": [1.0, 2.0, NAN, 8.0, 5.0],
        "std": [NAN, 2.0**0.5, NAN, NAN, NAN],
        "min": [1.0, 1.0, NAN, 8.0, 5.0],
        "max": [1.0, 3.0, NAN, 8.0, 5.0],
        "median": [1.0, 2.0, NAN, 8.0, 5.0],
        "sum": [1.0, 4.0, NAN, 8.0, 5.0],
        "count": [1.0, 2.0, 0.0, 1.0, 1.0],
    }
    pd.testing.assert_frame_equal(found, pd.DataFrame(expected).T)


def test_windows_reach_into_earlier_days() -> None:
    """The first row of a day sees the evening before, from another partition."""
    curated = [rows(("a", "2024-03-03 23:50", 4.0)), rows(("a", "00:00", 2.0))]
    features = {
        "lags": [{"columns": ["load"], "periods": [1]}],
        "windows": [{"columns": ["load"], "over": ["20min"]}],
    }
    found = build(curated, view(features), KPI, DAY)
    assert found[["load_lag_1", "load_mean_20min"]].values.tolist() == [[4.0, 3.0]]


def test_filling_carries_values_so_far_and_no_farther() -> None:
    """With fill, periods without a row are rows for so long; a missing value is filled, too."""
    given = rows(("a", "00:00", 1.0, 4, True, "low"), ("a", "00:40", None), ("a", "00:50", 2.0, 5))
    features = {"current": ["load", "users"], "categories": ["band"]}
    found = X(given, features, grid={"fill": "20min"})
    expected = pd.DataFrame(
        {
            "cell": pd.Series(["a"] * 7, dtype="str"),
            "at": ["00:00:00", "00:10:00", "00:20:00", "00:40:00"]
            + ["00:50:00", "01:00:00", "01:10:00"],
            "load": [1.0, 1.0, 1.0, NAN, 2.0, 2.0, 2.0],
            "users": [4.0, 4.0, 4.0, NAN, 5.0, 5.0, 5.0],
            "band": ["low"] * 3 + ["missing"] * 4,
        }
    ).astype({"at": "str", "band": "str"})
    pd.testing.assert_frame_equal(found, expected)


def test_a_missing_value_is_not_filled_from_a_filled_one() -> None:
    """What was carried is not carried again: the fill is counted from the value's own row."""
    given = rows(("a", "00:00", 1.0), ("a", "00:10", None), ("a", "00:20", None))
    found = X(given, {"current": ["load"]}, grid={"fill": "10min"})
    assert found["load"].tolist() == pytest.approx([1.0, 1.0, NAN, NAN], nan_ok=True)


def test_a_row_between_two_grid_times_counts_at_the_later_one() -> None:
    """Rounding never looks ahead; of several rows at one grid time the last one stays."""
    given = rows(("a", "00:01", 1.0), ("a", "00:09", 2.0), ("a", "00:10", 3.0), ("a", "00:11", 4.0))
    found = X(given, {"current": ["load"]})
    assert found[["at", "load"]].values.tolist() == [["00:10:00", 3.0], ["00:20:00", 4.0]]


def test_where_leaves_rows_out_before_anything_else() -> None:
    """A row that `where` does not certainly let in is no row, no lag and no window."""
    given = rows(
        ("a", "00:00", 1.0, 1, None, "low"),
        ("a", "00:10", 5.0, 1, None, "high"),
        ("a", "00:20", 3.0, 1, None, "low"),
        ("a", "00:30", 9.0, 1, None, None),
    )
    features = {"current": ["load"], "windows": [{"columns": ["load"], "over": ["30min"]}]}
    found = X(given, features, where="band == 'low'")
    assert found[["load", "load_mean_30min"]].values.tolist() == [[1.0, 1.0], [3.0, 2.0]]


def test_history_is_of_whole_earlier_days_only() -> None:
    """History takes the days before, at this local hour or any, never today nor too far back."""
    given = rows(
        ("a", "2024-03-01 10:00", 100.0),  # three days back, which is within the lookback
        ("b", "2024-03-03 10:00", None),
        ("a", "2024-03-02 10:20", 2.0),
        ("a", "2024-03-03 10:00", 4.0),
        ("a", "2024-03-03 23:00", 6.0),
        ("a", "10:40", 50.0),
        ("a", "11:00", 60.0),
        ("b", "10:40", 70.0),
    )
    history = [
        {"columns": ["load"], "days": 2, "at": "same_hour", "statistics": ["mean", "count"]},
        {"columns": ["load"], "days": 2, "at": "any_hour", "statistics": ["sum"]},
        {"columns": ["load"], "days": 3, "at": "any_hour", "statistics": ["max"]},
    ]
    found = X(given, {"history": history})
    expected = {
        "load_mean_2d_same_hour": [3.0, NAN, NAN],
        "load_count_2d_same_hour": [2.0, 0.0, 0.0],
        "load_sum_2d_any_hour": [12.0, 12.0, NAN],
        "load_max_3d_any_hour": [100.0, 100.0, NAN],
    }
    pd.testing.assert_frame_equal(found[list(expected)], pd.DataFrame(expected))


def test_the_hours_of_history_are_local() -> None:
    """In India 10:20 UTC is ten to four and 10:40 UTC is ten past: not the same hour."""
    given = rows(
        ("a", "2024-03-03 10:20", 1.0), ("a", "2024-03-03 10:40", 5.0), ("a", "11:20", 0.0)
    )
    history = [{"columns": ["load"], "days": 1, "at": "same_hour"}]
    found = X(given, {"history": history, "timezone": "Asia/Kolkata"})
    assert found["load_mean_1d_same_hour"].tolist() == [5.0]


def test_the_calendar_is_in_the_operators_zone() -> None:
    """Hour, weekday and weekend are local, across midnight and with summer time."""
    calendar = ["hour", "weekday", "is_weekend", "minute_of_day_sin", "minute_of_day_cos"]
    features = {"calendar": calendar, "timezone": "Asia/Shanghai"}
    found = X(rows(("a", "04:00"), ("a", "22:00")), features)[calendar]
    expected = [[12.0, 0.0, 0.0, 0.0, -1.0], [6.0, 1.0, 0.0, 1.0, 0.0]]
    assert np.allclose(found, expected)
    summer = date(2024, 3, 31)  # the clock in Dublin goes from 00:59 GMT to 02:00 IST
    given = rows(("a", "2024-03-31 00:50"), ("a", "2024-03-31 01:00"))
    features = {"calendar": ["hour", "is_weekend"], "timezone": "Europe/Dublin"}
    found = build([given], view(features), KPI, summer)
    assert found[["hour", "is_weekend"]].values.tolist() == [[0.0, 1.0], [2.0, 1.0]]


def test_missing_periods_are_counted() -> None:
    """The share of absent periods and the minutes since the row before show gaps, up to a limit."""
    given = rows(("a", "05:00", 1.0), ("a", "05:10", None), ("a", "05:40", 1.0), ("b", "09:00"))
    found = X(given, {"missing": ["20min", "40min"]})
    expected = {
        "missing_share_20min": [0.5, 0.0, 0.5, 0.5],
        "missing_share_40min": [0.75, 0.5, 0.5, 0.75],
        "minutes_since_seen": [40.0, 10.0, 30.0, 40.0],
    }
    pd.testing.assert_frame_equal(found[list(expected)], pd.DataFrame(expected))


def test_infinite_values_are_missing() -> None:
    """An infinite value is no number to learn from, and spoils no window after it."""
    given = rows(("a", "00:00", float("inf")), ("a", "00:10", 2.0))
    features = {"current": ["load"], "windows": [{"columns": ["load"], "over": ["20min"]}]}
    found = X(given, features)
    assert found["load"].tolist() == pytest.approx([NAN, 2.0], nan_ok=True)
    assert found["load_mean_20min"].tolist() == pytest.approx([NAN, 2.0], nan_ok=True)


@pytest.mark.parametrize(
    ("features", "changes", "days"),
    [
        ({"current": ["load"]}, {}, 0),
        ({"current": ["load"]}, {"grid": {"fill": "10min"}}, 1),
        ({"current": ["load"]}, {"grid": {"period": "30min"}}, 1),
        ({"lags": [{"columns": ["load"], "periods": [144]}]}, {}, 1),
        ({"lags": [{"columns": ["load"], "periods": [145]}]}, {}, 2),
        ({"windows": [{"columns": ["load"], "over": ["1d"]}]}, {}, 1),
        ({"missing": ["25h"]}, {}, 2),
        ({"history": [{"columns": ["load"], "days": 7}], "missing": ["2h"]}, {}, 7),
    ],
)
def test_lookback_is_what_the_features_need(
    features: dict[str, Any], changes: dict[str, Any], days: int
) -> None:
    """The lookback covers the farthest lag, window, fill and history, in whole days."""
    assert lookback_days(view(features, **changes), KPI) == days


def test_an_unknown_column_is_refused() -> None:
    """A view that the dataset cannot serve is refused before any work."""
    with pytest.raises(ConfigurationError, match="'laod'"):
        build([], view({"current": ["laod"]}), KPI, DAY)


EVERYTHING: dict[str, Any] = {
    "current": ["load", "users"],
    "categories": ["band"],
    "lags": [{"columns": ["load", "users"], "periods": [1, 3]}],
    "windows": [
        {
            "columns": ["load", "users"],
            "over": ["30min", "3h"],
            "statistics": ["mean", "std", "min", "max", "median", "sum", "count"],
        }
    ],
    "history": [
        {"columns": ["load"], "days": 2, "at": "same_hour", "statistics": ["mean", "std"]},
        {"columns": ["users"], "days": 3, "statistics": ["median"]},
    ],
    "calendar": ["hour", "weekday"],
    "missing": ["1h"],
}


def noisy_days(seed: int) -> dict[date, pd.DataFrame]:
    """Return five days of three cells around DAY, with gaps, missing values and wild outliers."""
    random = np.random.default_rng(seed)
    days = {}
    for back in range(3, -2, -1):
        day = DAY - timedelta(days=back)
        times = pd.date_range(pd.Timestamp(day, tz="UTC"), periods=144, freq="10min", unit="us")
        frame = pd.MultiIndex.from_product([["a", "b", "c"], times]).to_frame(index=False)
        frame.columns = ["cell", "at"]
        frame["load"] = random.lognormal(0, 3, len(frame))
        frame["users"] = pd.array(random.integers(0, 10**9, len(frame)), dtype="Int64")
        frame["is_busy"] = pd.array([True] * len(frame), dtype="boolean")
        frame["band"] = pd.Series(random.choice(["low", "high"], len(frame)), dtype="str")
        frame.loc[random.random(len(frame)) < 0.1, "load"] = np.nan
        days[day] = frame[random.random(len(frame)) > 0.2].astype({"cell": "str"})
    return days


@pytest.mark.parametrize("fill", ["0s", "20min"])
@pytest.mark.parametrize("seed", range(3))
def test_the_future_changes_no_bit(seed: int, fill: str) -> None:
    """Whatever comes after t, in any cell, features up to t stay the same, bit for bit."""
    given = view(EVERYTHING, grid={"fill": fill})
    days = noisy_days(seed)
    truth = build(list(days.values()), given, KPI, DAY)
    random = np.random.default_rng(seed)
    for hour in random.integers(0, 24, 3):
        t = pd.Timestamp(DAY, tz="UTC") + pd.Timedelta(hours=int(hour))
        other = {day: frame.copy() for day, frame in days.items()}
        for frame in other.values():
            is_later = frame["at"] > t
            frame.loc[is_later, "load"] = random.lognormal(5, 9, int(is_later.sum()))
            frame.loc[is_later, "users"] = random.integers(0, 10**12, int(is_later.sum()))
            frame.loc[is_later, "band"] = "none"
        found = build(list(other.values()), given, KPI, DAY)
        kept, same = found[found["at"] <= t], truth[truth["at"] <= t]
        assert len(same) and hash_of(kept) == hash_of(same)
        without = [frame[frame["at"] <= t] for frame in days.values()]
        alone = build(without, given, KPI, DAY)
        assert hash_of(alone[alone["at"] <= t]) == hash_of(same)


def hash_of(frame: pd.DataFrame) -> list[int]:
    """Return the bits of every value of a frame, hashed by row, wherever the row lies in it."""
    hashed: list[int] = pd.util.hash_pandas_object(frame, index=False).tolist()
    return hashed


def test_days_before_the_lookback_and_after_the_day_do_not_matter() -> None:
    """A partition of features is the same however many other days exist, in whatever order."""
    given = view(EVERYTHING)
    days = noisy_days(9)
    needed = [days[DAY - timedelta(days=back)] for back in range(3, -1, -1)]
    truth = build(needed, given, KPI, DAY)
    early = rows(("a", "2024-02-01 00:00", 1e12), ("d", "2024-02-29 23:50", 5.0))
    found = build([days[NEXT_DAY], *reversed(needed), early], given, KPI, DAY)
    pd.testing.assert_frame_equal(found, truth, check_exact=True)


def test_other_cells_change_no_bit() -> None:
    """A cell's features do not depend on its neighbours in the frame, not even by rounding."""
    given = view(EVERYTHING)
    days = list(noisy_days(4).values())
    truth = build(days, given, KPI, DAY)
    alone = [frame[frame["cell"] == "b"] for frame in days]
    found = build(alone, given, KPI, DAY)
    expected = truth[truth["cell"] == "b"].reset_index(drop=True)
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


def test_windows_agree_with_a_plain_computation() -> None:
    """Each window equals what numpy makes of the rows that lie in it, one by one."""
    days = noisy_days(2)
    found = build(list(days.values()), view(EVERYTHING), KPI, DAY)
    everything = pd.concat(days.values())
    for _, row in found.iloc[::37].iterrows():
        past = everything[(everything["cell"] == row["cell"]) & (everything["at"] <= row["at"])]
        inside = past[past["at"] > row["at"] - pd.Timedelta("3h")]
        assert row["load_mean_3h"] == pytest.approx(inside["load"].mean())
        assert row["load_std_3h"] == pytest.approx(inside["load"].std(), rel=1e-6)
        assert row["load_median_3h"] == inside["load"].median()
        assert row["load_count_3h"] == inside["load"].count()
        recent = past[past["at"] > row["at"] - pd.Timedelta("1h")]
        assert row["missing_share_1h"] == pytest.approx(1 - len(recent) / 6)
