"""The alert budget: as many alerts as fit, never more."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rancast.alerts import threshold
from rancast.errors import EvidenceError


def on_days(predictions: list[float], days: int = 1) -> pd.DataFrame:
    """Spread predictions over so many days, the first rows on the first day."""
    time = pd.Timestamp("2024-03-01", tz="UTC") + pd.to_timedelta(
        [index % days for index in range(len(predictions))], unit="D"
    )
    return pd.DataFrame({"time": time, "prediction": predictions})


def test_budget_is_used_up() -> None:
    """Two alerts a day over two days are four rows: the fourth largest prediction."""
    frame = on_days([0.9, 0.8, 0.7, 0.6, 0.5, 0.4], days=2)
    assert threshold(frame, per_day=2) == 0.6


def test_tie_that_does_not_fit_is_left_out_whole() -> None:
    """Three equal predictions cannot be told apart, so a budget of two takes none of them."""
    assert threshold(on_days([0.9, 0.5, 0.5, 0.5]), per_day=2) == 0.9


def test_nothing_fits() -> None:
    """Where even the top tie is too many, the threshold lies above every prediction."""
    found = threshold(on_days([1.0, 1.0, 0.2]), per_day=1)
    assert 1.0 < found < 1.0 + 1e-9


def test_fraction_of_an_alert_is_no_alert() -> None:
    """Half an alert a day on one day allows none; on two days it allows one."""
    assert threshold(on_days([0.9, 0.1]), per_day=0.5) > 0.9
    assert threshold(on_days([0.9, 0.1], days=2), per_day=0.5) == 0.9


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
    found = threshold(frame, per_day)
    alerts = frame["prediction"] >= found
    assert alerts.sum() <= budget
    rest = frame.loc[~alerts, "prediction"]
    if len(rest):
        assert (frame["prediction"] >= rest.max()).sum() > budget


def test_missing_predictions_are_no_evidence() -> None:
    """NaN among the predictions, or no prediction, gives an error with the numbers."""
    with pytest.raises(EvidenceError, match="1 of 2 are not"):
        threshold(on_days([0.5, np.nan]), per_day=1)
    with pytest.raises(EvidenceError, match="0 of 0 are not"):
        threshold(on_days([]), per_day=1)
