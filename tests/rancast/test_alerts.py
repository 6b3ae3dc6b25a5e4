"""The alert budget: as many alerts as fit, never more."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rancast.alerts import DAY, beside_budget, covered_days, period_of, threshold
from rancast.errors import EvidenceError
from rancast.evaluation import Interval

HOUR = DAY // 24


def on_days(predictions: list[float], days: int = 1) -> pd.DataFrame:
    """Spread predictions over so many days, the first rows on the first day."""
    time = pd.Timestamp("2024-03-01", tz="UTC") + pd.to_timedelta(
        [index % days for index in range(len(predictions))], unit="D"
    )
    return pd.DataFrame({"fold": 0, "time": time, "prediction": predictions})


def test_budget_is_used_up() -> None:
    """Two alerts a day over two days are four rows: the fourth largest prediction."""
    frame = on_days([0.9, 0.8, 0.7, 0.6, 0.5, 0.4], days=2)
    assert threshold(frame, per_day=2, period=DAY) == 0.6


def test_tie_that_does_not_fit_is_left_out_whole() -> None:
    """Three equal predictions cannot be told apart, so a budget of two takes none of them."""
    assert threshold(on_days([0.9, 0.5, 0.5, 0.5]), per_day=2, period=DAY) == 0.9


def test_nothing_fits() -> None:
    """Where even the top tie is too many, the threshold lies above every prediction."""
    found = threshold(on_days([1.0, 1.0, 0.2]), per_day=1, period=DAY)
    assert 1.0 < found < 1.0 + 1e-9


def test_fraction_of_an_alert_is_no_alert() -> None:
    """Half an alert a day on one day allows none; on two days it allows one."""
    assert threshold(on_days([0.9, 0.1]), per_day=0.5, period=DAY) > 0.9
    assert threshold(on_days([0.9, 0.1], days=2), per_day=0.5, period=DAY) == 0.9


@given(
    st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.5, 0.9]), min_size=1, max_size=30),
    st.floats(0.1, 40),
    st.integers(1, 4),
)
def test_budget_is_never_exceeded_and_never_wasted(
    values: list[float], per_day: float, days: int
) -> None:
    """Alerts stay within the budget, and the next lower prediction would break it."""
    frame = on_days(values, days)
    budget = per_day * frame["time"].dt.floor("D").nunique()
    found = threshold(frame, per_day, period=DAY)
    alerts = frame["prediction"] >= found
    assert alerts.sum() <= budget
    rest = frame.loc[~alerts, "prediction"]
    if len(rest):
        assert (frame["prediction"] >= rest.max()).sum() > budget


def test_missing_predictions_are_no_evidence() -> None:
    """NaN among the predictions, or no prediction, gives an error with the numbers."""
    with pytest.raises(EvidenceError, match="1 of 2 are not"):
        threshold(on_days([0.5, np.nan]), per_day=1, period=DAY)
    with pytest.raises(EvidenceError, match="0 of 0 are not"):
        threshold(on_days([]), per_day=1, period=DAY)


def hours(*spans: tuple[int, str, int]) -> pd.DataFrame:
    """Return two rows for each hour of spans (fold, start, hours)."""
    parts = [
        pd.DataFrame({"fold": fold, "time": pd.date_range(start, periods=2 * number, freq="30min")})
        for fold, start, number in spans
    ]
    found = pd.concat(parts, ignore_index=True)
    return found.assign(time=found["time"].dt.floor("h").dt.tz_localize("UTC"))


@pytest.mark.parametrize(
    ("rows", "days"),
    [
        (hours((0, "2024-03-01", 24)), 1.0),
        (hours((0, "2024-03-01 12:00", 132)), 5.5),  # six days are touched
        # two folds meet at noon, and their day counts once
        (hours((0, "2024-03-01", 12), (1, "2024-03-01 12:00", 36)), 2.0),
        # a fold that was left out, and a day without rows, are no days
        (hours((0, "2024-03-01", 24), (2, "2024-03-09", 24)), 2.0),
        (hours((0, "2024-03-01", 24), (0, "2024-03-04", 12)), 1.5),
    ],
)
def test_days_are_counted_by_the_time_that_is_covered(rows: pd.DataFrame, days: float) -> None:
    """Half a day is half a day, and what no fold covers is none."""
    assert covered_days(rows, HOUR) == days


def test_part_of_a_day_has_part_of_the_budget() -> None:
    """A day and a half of two alerts a day are three alerts, though two days are touched."""
    rows = hours((0, "2024-03-01 12:00", 36))
    rows["prediction"] = np.linspace(0.9, 0.1, len(rows))
    assert (rows["prediction"] >= threshold(rows, 2, HOUR)).sum() == 3


def test_the_last_fold_keeps_the_budget_too() -> None:
    """Its model is surer than the one before: a threshold over both would let three alerts pass
    on a day of two."""
    rows = hours((0, "2024-03-01", 24), (1, "2024-03-02", 24))
    rows["prediction"] = np.where(rows["fold"] == 1, np.linspace(0, 0.99, len(rows)), 0.3)
    assert (rows["prediction"] >= threshold(rows, 2, HOUR)).sum() == 2


def test_the_period_is_the_shortest_distance_of_times() -> None:
    """Gaps do not count, nor do rows of one time; one time alone has no distance."""
    time = hours((0, "2024-03-01", 2), (0, "2024-03-04", 1))["time"]
    assert period_of(time) == HOUR and period_of(time.head(2)) == 0


def test_alerts_are_told_beside_the_budget() -> None:
    """With their interval where there is one; without a budget there is nothing to say."""
    found = Interval(value=216.857)
    assert beside_budget(found, 200.0) == "216.9 alerts a day on the holdout, budget 200"
    bounded = found.model_copy(update={"low": 180.0, "high": 1260.0})
    assert beside_budget(bounded, 0.5) == (
        "216.9 (180 to 1,260) alerts a day on the holdout, budget 0.5"
    )
    assert beside_budget(found, None) == beside_budget(None, 200.0) == ""
