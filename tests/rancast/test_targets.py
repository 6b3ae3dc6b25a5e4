"""Targets: what is seen after t and only that, unlabelled where too little is seen."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from rancast.errors import ConfigurationError
from rancast.targets import horizon, label
from tests.rancast.cases import dataset, regression, rows, spec, use_case

KPI = dataset()
NAN = float("nan")


def labels(frame: pd.DataFrame, given: dict[str, Any], *more: str) -> pd.DataFrame:
    """Return the labels at each row of `frame`, and at `more` times of cell a."""
    at = frame[["cell", "at"]].rename(columns={"cell": "entity", "at": "time"})
    extra = rows(*(("a", time) for time in more))[["cell", "at"]].set_axis(at.columns, axis=1)
    at = pd.concat([at, extra], ignore_index=True)
    return label(at, [frame], use_case(given).table_view(), KPI)


def expect(found: pd.Series, expected: list[float]) -> None:
    """Assert that values are equal, missing ones included."""
    assert found.tolist() == pytest.approx(expected, nan_ok=True)


def test_a_breach_is_seen_after_the_row_and_never_at_it() -> None:
    """y is 1 where a later row in the horizon breaks the limit, whatever the row itself does."""
    frame = rows(
        ("a", "00:00", 95.0),
        ("a", "00:10", 10.0),
        ("a", "00:20", 10.0),
        ("a", "00:30", 95.0),
        ("a", "00:40", 10.0),
        ("b", "00:50", 99.0),
    )
    expect(labels(frame, spec())["y"], [0.0, 1.0, 1.0, 0.0, NAN, NAN])


def test_zero_needs_enough_of_the_horizon_and_one_does_not() -> None:
    """With four periods and 75 % to be seen, two quiet rows are no label; one breach is one."""
    given = spec(
        target={"within": "40min", "any": "load > 90", "observed": 0.75},
        split={"holdout": "1d", "embargo": "40min"},
    )
    quiet = rows(("a", "00:00", 1.0), ("a", "00:10", 1.0), ("a", "00:30", 1.0))
    expect(labels(quiet, given)["y"].head(1), [NAN])
    seen = rows(*(("a", at, 1.0) for at in ("00:00", "00:10", "00:30", "00:40")))
    expect(labels(seen, given)["y"].head(1), [0.0])
    breach = rows(("a", "00:00", 1.0), ("a", "00:30", 91.0))
    expect(labels(breach, given)["y"].head(1), [1.0])


def test_an_unknown_outcome_is_not_seen() -> None:
    """A row whose values are missing counts as seen only where the outcome is certain anyway."""
    target = {"within": "10min", "any": "load > 90 or users > 5", "observed": 1}
    frame = rows(
        ("a", "00:00", 1.0, 1), ("a", "00:10", None, 1), ("a", "00:20", None, 9), ("b", "00:30")
    )
    expect(labels(frame, spec(target=target))["y"], [NAN, 1.0, NAN, NAN])


def test_a_mean_is_over_the_periods_seen() -> None:
    """The mean takes what was seen, if that is enough; the row itself is never part of it."""
    frame = rows(("a", "00:00", 1000.0), ("a", "00:10", 4.0), ("a", "00:20", 8.0), ("a", "00:40"))
    expect(labels(frame, regression())["y"], [6.0, 8.0, NAN, NAN])
    strict = regression(target={"within": "20min", "mean": "load", "observed": 0.6})
    expect(labels(frame, strict)["y"], [6.0, NAN, NAN, NAN])


def test_a_sum_stands_for_the_whole_horizon() -> None:
    """An absent period is not zero: the sum is the mean of what was seen, times all periods."""
    given = regression(target={"within": "20min", "sum": "users", "observed": 0.5})
    frame = rows(("a", "00:00", None, 1), ("a", "00:10", None, 4), ("a", "00:20", None, 8))
    found = labels(frame, given)
    expect(found["y"], [12.0, 16.0, NAN])
    expect(found["baseline_last_value"], [2.0, 8.0, 16.0])


def test_filled_periods_are_seen_but_not_with_the_value_of_the_row() -> None:
    """A value is carried within the horizon; what is carried into it out of t is not seen there."""
    frame = rows(("a", "00:00", 100.0), ("a", "00:20", 4.0), ("a", "00:50", 10.0))
    target = {"within": "30min", "mean": "load", "observed": 0.6}
    given = regression(
        target=target, grid={"fill": "10min"}, split={"holdout": "1d", "embargo": "1h"}
    )
    expect(labels(frame, given)["y"], [4.0, NAN, NAN])
    carried = given | {"target": target | {"carry": True}}
    expect(labels(frame, carried)["y"], [(100.0 + 4 + 4) / 3, (4.0 + 10) / 2, NAN])


def test_the_row_itself_changes_no_label() -> None:
    """Replacing the row at t, and all before it, leaves the label at t as it was."""
    random = np.random.default_rng(3)
    times = [f"{hour:02}:{minute:02}" for hour in range(4) for minute in range(0, 60, 10)]
    frame = rows(*(("a", time, value) for time, value in zip(times, random.random(24) * 100)))
    frame = frame[random.random(24) > 0.3].reset_index(drop=True)
    for given in (spec(), regression(), regression(grid={"fill": "10min"})):
        truth = labels(frame, given)["y"]
        for row in range(len(frame)):
            other = frame.copy()
            other.loc[:row, "load"] = random.random(row + 1) * 1e9
            expect(labels(other, given)["y"].iloc[row:], truth.iloc[row:].tolist())


def test_last_value_is_what_was_last_known() -> None:
    """The breach, or value, at the row itself, else the last one known, else none (0 if any)."""
    frame = rows(
        ("a", "00:00"),
        ("a", "00:10", 95.0),
        ("a", "00:20", None),
        ("b", "00:30", None),
        ("b", "00:40", 5.0),
    )
    assert labels(frame, spec())["baseline_last_value"].tolist() == [0.0, 1.0, 1.0, 0.0, 0.0]
    expect(labels(frame, regression())["baseline_last_value"], [NAN, 95.0, 95.0, NAN, 5.0])


def test_seasonal_is_the_same_time_yesterday() -> None:
    """The seasonal forecast is y of the same horizon a day earlier, or the last value if unseen."""
    frame = rows(
        ("a", "2024-03-03 10:10", 20.0),
        ("a", "2024-03-03 10:20", 40.0),
        ("a", "10:00", 7.0),
        ("a", "11:00", 9.0),
    )
    found = labels(frame, regression())["baseline_seasonal"]
    assert found.tolist()[2:] == [30.0, 9.0]
    breach = rows(("a", "2024-03-03 10:10", 99.0), ("a", "10:00", 7.0), ("a", "11:00", 9.0))
    assert labels(breach, spec())["baseline_seasonal"].tolist()[1:] == [1.0, 0.0]


def test_a_long_horizon_has_a_season_that_ends_before_t() -> None:
    """With a horizon of 30 hours, the seasonal forecast looks at two days earlier, not one."""
    given = regression(
        target={"within": "30h", "mean": "load", "observed": 0.005},
        split={"holdout": "1d", "embargo": "30h"},
    )
    frame = rows(
        ("a", "2024-03-02 11:00", 5.0), ("a", "2024-03-03 11:00", 3.0), ("a", "10:00", 1.0)
    )
    assert labels(frame, given)["baseline_seasonal"].iloc[2] == (5.0 + 3.0) / 2


def test_weekly_is_the_same_time_last_week() -> None:
    """The weekly forecast is y of the same horizon a week earlier, or the last value if unseen."""
    frame = rows(
        ("a", "2024-02-26 10:10", 20.0),
        ("a", "2024-02-26 10:20", 40.0),
        ("a", "10:00", 7.0),
        ("a", "11:00", 9.0),
    )
    found = labels(frame, regression())
    assert found["baseline_weekly"].tolist()[2:] == [30.0, 9.0]
    assert found["baseline_seasonal"].tolist()[2:] == [7.0, 9.0]


def test_a_horizon_of_eight_days_has_a_week_that_ends_before_t() -> None:
    """With a horizon longer than a week, the weekly forecast looks at two weeks earlier."""
    given = regression(
        target={"within": "10min", "delay": "8d", "mean": "load", "observed": 1},
        split={"holdout": "1d", "embargo": "9d"},
        history="20d",
    )
    frame = rows(
        ("a", "2024-02-27 10:10", 5.0), ("a", "2024-03-05 10:10", 3.0), ("a", "10:00", 1.0)
    )
    # y is about 10:10 on the 12th: a week earlier is not over at t, two weeks earlier is
    assert labels(frame, given)["baseline_weekly"].iloc[2] == 5.0


def test_a_delay_moves_what_is_predicted_and_not_what_is_known() -> None:
    """y is about (t + delay, t + delay + within]; the last value stays that at t, and the season
    is the same time of day, a day before what is predicted."""
    given = regression(
        target={"within": "20min", "delay": "30min", "mean": "load", "observed": 0.5},
        split={"holdout": "1d", "embargo": "50min"},
    )
    frame = rows(
        ("a", "2024-03-03 10:40", 60.0),
        ("a", "10:00", 1.0),
        ("a", "10:10", 2.0),
        ("a", "10:30", 3.0),
        ("a", "10:40", 4.0),
        ("a", "10:50", 8.0),
        ("b", "11:00", 99.0),
    )
    found = labels(frame, given)
    expect(found["y"], [NAN, 6.0, 8.0, NAN, NAN, NAN, NAN])
    expect(found["baseline_last_value"], [60.0, 1.0, 2.0, 3.0, 4.0, 8.0, 99.0])
    expect(found["baseline_seasonal"], [60.0, 60.0, 2.0, 3.0, 4.0, 8.0, 99.0])
    day_ahead = {"within": "20min", "delay": "23h40min", "mean": "load", "observed": 0.5}
    given = regression(target=day_ahead, split={"holdout": "1d", "embargo": "1d"})
    expect(labels(frame, given)["y"], [3.5] + [NAN] * 6)
    # from 11:00 on the 3rd the horizon is (10:40, 11:00] on the 4th
    expect(labels(frame, given, "2024-03-03 11:00")["y"].tail(1), [8.0])
    expect(labels(frame, given, "10:50")["baseline_seasonal"].tail(1), [6.0])


def test_a_breach_before_the_delay_is_over_is_no_label() -> None:
    """A breach counts only where it lies in the delayed horizon."""
    given = spec(
        target={"within": "20min", "delay": "10min", "any": "load > 90", "observed": 0.5},
        split={"holdout": "1d", "embargo": "30min"},
    )
    frame = rows(*(("a", f"00:{minute}0", 95.0 if minute == 3 else 1.0) for minute in range(6)))
    expect(labels(frame, given)["y"], [1.0, 1.0, 0.0, 0.0, NAN, NAN])


def test_cells_and_times_that_are_not_there_have_no_label() -> None:
    """A time far away, or another cell's row, never lends its value."""
    frame = rows(("a", "23:50", 1.0), ("b", "00:00", 95.0), ("b", "00:10", 95.0))
    far = [f"2024-03-{day:02} {hour:02}:00" for day in range(5, 20) for hour in range(24)]
    found = labels(frame, spec(), "2024-01-01 00:00", *far)
    expect(found["y"], [NAN, 1.0, NAN] + [NAN] * 361)


def test_where_holds_for_labels_too() -> None:
    """Rows that `where` leaves out are not seen in the horizon either."""
    frame = rows(("a", "00:00", 1.0, 1, None, "low"), ("a", "00:10", 95.0, 1, None, "high"))
    expect(labels(frame, spec(where="band == 'low'"))["y"], [NAN, NAN])


def test_only_rows_in_which_given_holds_are_asked_about() -> None:
    """Will it rise above 90, asked where it is not: baselines and later rows stay as they are."""
    frame = rows(
        ("a", "00:00", 95.0), ("a", "00:10", 5.0), ("a", "00:20", 99.0), ("a", "00:30", None)
    )
    target = {"within": "20min", "any": "load > 90", "observed": 0.5}
    whole = labels(frame, spec(target=target))
    asked = labels(frame, spec(target=target | {"given": "load <= 90"}))
    expect(whole["y"], [1.0, 1.0, NAN, NAN])
    expect(asked["y"], [NAN, 1.0, NAN, NAN])
    pd.testing.assert_frame_equal(asked.drop(columns="y"), whole.drop(columns="y"))


def test_no_rows_have_no_labels() -> None:
    """Without any row there is nothing to label, and no error."""
    assert labels(rows(), spec()).shape == (0, 4)
    expect(labels(rows(), regression(), "00:00")["y"], [NAN])


def test_a_horizon_counts_whole_periods() -> None:
    """A horizon that is no multiple of the period ends with the last whole period in it."""
    case = use_case(spec(target={"within": "19min", "any": "load > 90"}))
    assert horizon(case.table_view(), KPI).total_seconds() == 600
    delayed = {"within": "19min", "delay": "1h", "any": "load > 90"}
    case = use_case(spec(target=delayed, split={"holdout": "1d", "embargo": "2h"}))
    assert horizon(case.table_view(), KPI).total_seconds() == 4200


def test_a_horizon_shorter_than_the_grid_is_refused() -> None:
    """A horizon in which no row can lie is refused, naming both lengths."""
    case = use_case(spec(target={"within": "5min", "any": "load > 90"}))
    with pytest.raises(ConfigurationError, match="5min.*10min"):
        label(rows(), [], case.table_view(), KPI)
