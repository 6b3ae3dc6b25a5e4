"""KPIs: numerators over denominators at every level, whatever the order in which they are added."""

from datetime import timedelta
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rancast.datasets import Dataset
from rancast.errors import ConfigurationError
from rancast.features import build, lookback_days
from rancast.kpis import aggregate, with_parts
from rancast.local_time import local_days, local_hours
from rancast.targets import label
from tests.rancast.counts import DAY, DROPS, dataset, rows, use_case

COUNTS = dataset()
NAN = float("nan")


def test_a_row_has_its_own_ratio_and_parts() -> None:
    """A missing counter takes the row out of both sides; over a denominator of 0 there is none."""
    found = with_parts(
        rows(("a", "00:00", 1, 4), ("a", "00:15", None, 6), ("a", "00:30", 2, 0)), COUNTS
    )
    expected = pd.DataFrame(
        {
            "drop_ratio.numerator": [1.0, NAN, 2.0],
            "drop_ratio.denominator": [4.0, NAN, 0.0],
            "drop_ratio.seen": [1, 0, 1],
            "calls.numerator": [4.0, 6.0, 0.0],
            "calls.seen": [1, 1, 1],
            "drop_ratio": [0.25, NAN, NAN],
            "calls": [4.0, 6.0, 0.0],
        }
    )
    pd.testing.assert_frame_equal(found[list(expected)], expected)


def test_the_ratio_of_many_rows_is_no_mean_of_ratios() -> None:
    """One of 2 and 9 of 90 calls is 10 of 92, whatever the mean of 50 % and 10 % is."""
    parts = with_parts(rows(("a", "00:00", 1, 2), ("b", "00:00", 9, 90)), COUNTS)
    found = aggregate(parts, ["at"], COUNTS.kpis)
    assert found["drop_ratio"].tolist() == [10 / 92]


def test_what_was_not_seen_is_missing_and_how_much_was_seen_is_told() -> None:
    """An hour without any counter has no KPI, not 0; of a half seen one a half is counted."""
    given_rows = rows(("a", "00:00", 1, 4), ("a", "00:15", None, None), ("b", "00:00", None, 3))
    found = aggregate(with_parts(given_rows, COUNTS), ["cell"], COUNTS.kpis)
    expected = pd.DataFrame(
        {
            "cell": pd.Series(["a", "b"], dtype="str"),
            "drop_ratio": [0.25, NAN],
            "drop_ratio.seen": [1, 0],
            "calls": [4.0, 3.0],
            "calls.seen": [1, 1],
        }
    )
    pd.testing.assert_frame_equal(found[list(expected)], expected)


def test_a_row_of_no_known_site_is_lost_to_no_sum() -> None:
    """Rows whose site is missing are a group of their own, so that the whole stays the whole."""
    parts = with_parts(rows(("a", "00:00", 1, 4), ("b", "00:00", 2, 4)), COUNTS)
    parts["site"] = pd.Series(["x", None], dtype="str")
    by_site = aggregate(parts, ["site"], COUNTS.kpis)
    assert by_site["drop_ratio"].tolist() == [0.25, 0.5]
    assert by_site["site"].isna().tolist() == [False, True]


LEVELS = {
    "cell": ["cell", "site", "region"],
    "site": ["site", "region"],
    "region": ["region"],
    "network": [],
}
TIMES = {"period": ["at", "hour", "day"], "hour": ["hour", "day"], "day": ["day"], "all": []}
count = st.one_of(st.none(), st.integers(0, 10**6))


@st.composite
def counted(draw: st.DrawFn) -> pd.DataFrame:
    """Return rows of cells in sites and regions, around the autumn night of 25 hours."""
    table = draw(
        st.lists(
            st.tuples(st.integers(0, 5), st.integers(0, 150), count, count), min_size=1, max_size=40
        )
    )
    start = pd.Timestamp("2024-10-26T12:00", tz="UTC")
    stamps = [str((start + n * pd.Timedelta("15min")).tz_localize(None)) for _, n, _, _ in table]
    frame = rows(
        *((f"c{cell}", at, a, b) for (cell, _, a, b), at in zip(table, stamps, strict=True))
    )
    frame["site"] = "s" + (frame["cell"].str[1:].astype(int) // 2).astype(str)
    frame["region"] = np.where(frame["site"] == "s0", "north", "south")
    frame["hour"] = local_hours(frame["at"], "Europe/Dublin")
    frame["day"] = local_days(frame["at"], "Europe/Dublin")
    return with_parts(frame, COUNTS).assign(all=0)


@settings(max_examples=30, deadline=None)
@given(counted(), st.permutations([(a, b) for a, b in product(LEVELS, TIMES)]), st.data())
def test_parts_add_up_to_the_whole(
    parts: pd.DataFrame, order: list[tuple[str, str]], data: st.DataObject
) -> None:
    """Whichever levels a sum goes through, and in whatever order rows come, it ends as the same."""
    level, time = order[0]
    wanted = ["all", *LEVELS[level], *TIMES[time]]
    whole = aggregate(parts, wanted, COUNTS.kpis)
    shuffled = parts.iloc[data.draw(st.permutations(range(len(parts))))]
    # only levels that are finer than the one wanted can lead to it
    path = [
        ["all", *LEVELS[a], *TIMES[b]]
        for a, b in order[1:]
        if set(LEVELS[a]) >= set(LEVELS[level]) and set(TIMES[b]) >= set(TIMES[time])
    ]
    step = shuffled
    for by in path:
        if set(by) <= set(step.columns):
            step = aggregate(step, by, COUNTS.kpis)
    found = aggregate(step, wanted, COUNTS.kpis)
    pd.testing.assert_frame_equal(found, whole, check_exact=True)
    known = parts.dropna(subset=["dropped", "attempts"])
    assert found["drop_ratio.numerator"].sum() == known["dropped"].sum()
    assert found["drop_ratio.denominator"].sum() == known["attempts"].sum()
    assert found["drop_ratio.seen"].sum() == len(known)


# --- on the grid of a use case ------------------------------------------------------------------

QUARTERS = rows(
    ("a", "00:15", 1, 2),
    ("a", "00:30", 9, 90),
    ("a", "00:45", 0, 8),
    ("a", "01:00", 0, 0),
    ("a", "01:15", 5, 10),
    ("a", "01:45", None, 10),
    ("a", "02:00", 5, 30),
    ("b", "01:00", 1, 1),
)


def X(features: dict[str, Any], frame: pd.DataFrame = QUARTERS, **changes: Any) -> pd.DataFrame:
    """Return the features of DAY by cell and HH:MM."""
    view = use_case(features, **changes).feature_view()
    found = build([frame], view, COUNTS, DAY)
    return found.assign(at=found["at"].dt.strftime("%H:%M"))


def test_on_the_grid_of_the_dataset_a_kpi_is_that_of_its_row() -> None:
    """Values and lags are those of the rows, and missing where the denominator was 0."""
    found = X({"current": ["drop_ratio"], "lags": [{"columns": ["drop_ratio"], "periods": [1]}]})
    values = found[found["cell"] == "a"]
    assert values["drop_ratio"].tolist() == pytest.approx(
        [0.5, 0.1, 0.0, NAN, 0.5, NAN, 1 / 6], nan_ok=True
    )
    assert values["drop_ratio_lag_1"].tolist() == pytest.approx(
        [NAN, 0.5, 0.1, 0.0, NAN, NAN, NAN], nan_ok=True
    )


def test_on_a_coarser_grid_a_kpi_is_added_up() -> None:
    """An hour has the sums of its quarters; one of which too little was seen has no KPI."""
    grid = {"period": "1h"}
    found = X({"current": ["drop_ratio", "calls", "attempts"]}, grid=grid)
    expected = pd.DataFrame(
        {
            "cell": pd.Series(["a", "a", "b"], dtype="str"),
            "at": pd.Series(["01:00", "02:00", "01:00"], dtype="str"),
            # of the hour to 02:00 three quarters were there, with drops only two; b had one
            "drop_ratio": [0.1, NAN, NAN],
            "calls": [100.0, NAN, NAN],
            "attempts": [0.0, 30.0, 1.0],  # a column is what its last row says
        }
    )
    pd.testing.assert_frame_equal(found, expected)
    half = dataset(
        kpis={"drop_ratio": DROPS | {"observed": 0.5}, "calls": {"numerator": "dropped"}}
    )
    view = use_case({"current": ["drop_ratio"]}, grid=grid).feature_view()
    found = build([QUARTERS], view, half, DAY)
    assert found["drop_ratio"].tolist() == pytest.approx([0.1, 10 / 40, NAN], nan_ok=True)


@pytest.mark.parametrize("grid", [{}, {"period": "30min"}])
def test_the_mean_of_a_window_is_sums_over_sums(grid: dict[str, str]) -> None:
    """The mean over an hour is 10 of 100 calls; other statistics are of the periods' values."""
    statistics = ["mean", "max", "count"]
    windows = [{"columns": ["drop_ratio"], "over": ["1h"], "statistics": statistics}]
    found = X({"windows": windows}, grid=grid).set_index(["cell", "at"]).loc[("a", "01:00")]
    most, seen = (0.5, 3.0) if not grid else (10 / 92, 2.0)
    assert found.tolist() == [0.1, most, seen]


def test_the_mean_of_a_history_is_sums_over_sums() -> None:
    """Yesterday had 10 drops of 100 calls; the mean of a plain sum is that of its periods."""
    frame = rows(
        ("a", "2024-03-03 10:00", 1, 2),
        ("a", "2024-03-03 10:15", 9, 90),
        ("a", "2024-03-03 10:30", 0, 4),
        ("a", "2024-03-03 10:45", None, 9),
        ("a", "2024-03-03 11:00", 0, 4),
        ("a", "10:30", 7, 7),
    )
    history = [{"columns": ["drop_ratio", "calls", "attempts"], "days": 1}]
    found = X({"history": history}, frame)
    assert found.iloc[0, 2:].tolist() == pytest.approx([10 / 100, 109 / 5, 109 / 5])
    hourly = dataset(
        kpis={name: kpi.model_copy(update={"observed": 0.25}) for name, kpi in COUNTS.kpis.items()}
    )
    view = use_case({"history": history}, grid={"period": "1h"}).feature_view()
    found = build([frame], view, hourly, DAY)
    # (09:00, 10:00] has 2 calls and (10:00, 11:00] has 107; the last rows of each 2 and 4
    assert found.iloc[0, 2:].tolist() == pytest.approx([10 / 100, 109 / 2, 109 / 5])


def test_where_sees_the_rows_own_kpi() -> None:
    """A row that `where` leaves out by its KPI adds to no sum."""
    found = X({"current": ["drop_ratio"]}, where="drop_ratio < 0.3", grid={"period": "30min"})
    assert found["drop_ratio"].dropna().tolist() == []
    lenient = dataset(kpis={"drop_ratio": DROPS | {"observed": 0}})
    view = use_case({"current": ["drop_ratio"]}, where="drop_ratio < 0.3", grid={"period": "1h"})
    found = build([QUARTERS], view.feature_view(), lenient, DAY)
    assert found["drop_ratio"].tolist() == [9 / 98, 5 / 30]


def y(frame: pd.DataFrame, at: list[str], **changes: Any) -> pd.DataFrame:
    """Return the labels of cell a at some times."""
    view = use_case({"current": ["calls"]}, **changes).table_view()
    times = rows(*(("a", time) for time in at))[["cell", "at"]]
    return label(times.set_axis(["entity", "time"], axis=1), [frame], view, COUNTS)


def test_a_target_mean_of_a_ratio_is_sums_over_sums() -> None:
    """The mean drop ratio of the hour ahead is 10 of 100; no mean of ratios, and never of t."""
    found = y(
        QUARTERS,
        ["00:00", "00:45", "01:00"],
        problem="regression",
        metric="mae",
        target={"within": "1h", "mean": "drop_ratio", "observed": 0.5},
    )
    assert found["y"].tolist() == pytest.approx([0.1, 5 / 10, 10 / 40], nan_ok=True)
    # at 01:00 there were no attempts: the last ratio is that of 00:45
    assert found["baseline_last_value"].tolist() == pytest.approx([NAN, 0.0, 0.0], nan_ok=True)


def test_a_target_is_of_the_grids_kpi() -> None:
    """On a grid of an hour a breach is one of the hour's ratio, not of a quarter's."""
    frame = QUARTERS.head(4)
    target = {"within": "1h", "any": "drop_ratio > 0.3", "observed": 0.5}
    assert y(frame, ["00:00"], target=target)["y"].tolist() == [1.0]
    assert y(frame, ["00:00"], target=target, grid={"period": "1h"})["y"].tolist() == [0.0]
    # 10 of 100, of which the hour's last quarter tells nothing
    lower = target | {"any": "drop_ratio > 0.05"}
    assert y(frame, ["00:00"], target=lower, grid={"period": "1h"})["y"].tolist() == [1.0]


def test_lookback_covers_the_first_hour_of_a_history() -> None:
    """An hour that ends with the first midnight is added up from the evening before."""
    view = use_case({"history": [{"columns": ["calls"], "days": 7}]}).feature_view()
    plain = dataset(cumulative={})
    assert lookback_days(view, plain) == 7
    hourly = view.model_copy(
        update={"grid": view.grid.model_copy(update={"period": timedelta(hours=1)})}
    )
    assert lookback_days(hourly, plain) == 8


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kpis", "sentence"),
    [
        ({"attempts": DROPS}, "'attempts' stands for two things"),
        ({"bytes_suspect": DROPS}, "'bytes_suspect' stands for two things"),
        ({"x": {"numerator": "droped"}}, "kpis.x names 'droped'"),
        ({"x": {"numerator": "total"}}, "name its increment 'bytes'"),
        ({"x": {"numerator": "y"}, "y": {"numerator": "dropped"}}, "kpis.x names 'y'"),
        ({"x": {"numerator": "dropped / attempts"}}, "divides by attempts"),
        ({"x": {"numerator": "dropped", "denominator": "1 / (2 + attempts)"}}, "divides by"),
        ({"x": {"numerator": "dropped > 3"}}, "is not a number"),
        ({"x": {"numerator": "3"}}, "names no column"),
    ],
)
def test_a_kpi_that_cannot_add_up_is_refused(kpis: dict[str, Any], sentence: str) -> None:
    """A formula over what is not there, or over quotients, is refused where it is written."""
    with pytest.raises(ValueError, match=sentence.replace("(", r"\(")):
        dataset(kpis=kpis)


def test_a_kpi_over_increments_and_constants_is_fine() -> None:
    """Increments are columns of a formula, a constant divides it, and '1' counts periods."""
    mean = {"numerator": "bytes / 1000", "denominator": "1"}
    kpi = dataset(kpis={"load_kb": mean}).kpis["load_kb"]
    assert kpi.columns == ("bytes",)


@pytest.mark.parametrize(
    ("features", "changes", "key"),
    [
        (
            {"windows": [{"columns": ["drop_ratio"], "over": ["1h"], "statistics": ["sum"]}]},
            {},
            "sum",
        ),
        ({"busy_hour": {"traffic": "drop_ratio"}}, {}, "busy_hour.traffic"),
        (
            {"current": ["calls"]},
            {
                "problem": "regression",
                "metric": "mae",
                "target": {"within": "1h", "sum": "drop_ratio"},
            },
            "target.sum",
        ),
    ],
)
def test_sums_of_ratios_are_refused(
    features: dict[str, Any], changes: dict[str, Any], key: str
) -> None:
    """A ratio has a mean, numerators over denominators, and no sum."""
    with pytest.raises(ConfigurationError, match=rf"{key}.* 'drop_ratio', a ratio"):
        use_case(features, **changes).check(COUNTS)


def test_as_delivered_leaves_out_what_is_derived() -> None:
    """What reading and validating depend on stays the same when a formula changes."""
    other: Dataset = dataset(kpis={}, cumulative={})
    assert COUNTS.as_delivered() == other
