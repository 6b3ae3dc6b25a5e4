"""The shape of the day: blocks of hours as multiples of all hours, over whole days before."""

from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from rancast.features import build, lookback_days
from tests.rancast.cases import dataset, rows, use_case_with

KPI, TUESDAY, MONDAY = dataset("1h"), date(2024, 3, 5), date(2024, 3, 4)
NAN = float("nan")
GIVEN = rows(
    ("a", "2024-03-01 06:00", 1.0),  # a Friday
    ("a", "2024-03-02 06:00", 3.0),
    ("a", "2024-03-04 06:00", 2.0),
    ("a", "2024-03-04 18:00", 6.0),
    ("a", "2024-03-05 00:00", 90.0),
    ("b", "2024-03-04 13:00", 0.0),
)


def X(day: date, **profile: Any) -> pd.DataFrame:
    """Return the features of a day on a daily grid, one row for each cell."""
    given = {"columns": ["load"], "hours": 12} | profile
    case = use_case_with({"profile": [given]}, grid={"period": "1d"})
    return build([GIVEN], case.feature_view(), KPI, day).drop(columns="at")


def test_blocks_are_multiples_of_the_whole_days() -> None:
    """Monday's mornings were half of its mean; the day itself and a level of 0 say nothing."""
    expected = pd.DataFrame(
        {
            "cell": pd.Series(["a", "b"], dtype="str"),
            "load_profile_1d_00_12": [0.5, NAN],
            "load_profile_1d_12_24": [1.5, NAN],
        }
    )
    pd.testing.assert_frame_equal(X(TUESDAY, days=1), expected)


def test_the_weekend_is_a_multiple_of_the_weekdays() -> None:
    """Saturday's 3 is as much as the mean of Friday's 1 and Monday's 2 and 6."""
    found = X(TUESDAY, days=7, weekend=True)
    assert found["load_profile_7d_weekend"].tolist()[0] == 1.0
    assert np.isnan(found["load_profile_7d_weekend"].tolist()[1])
    assert found["load_profile_7d_00_12"].tolist()[0] == 2.0 / 3.0


def test_hours_are_local() -> None:
    """18:00 UTC is after midnight in Dhaka, six hours ahead: the block of the morning."""
    case = use_case_with(
        {"profile": [{"columns": ["load"], "days": 1, "hours": 6}], "timezone": "Asia/Dhaka"},
        grid={"period": "1d"},
    )
    found = build([GIVEN], case.feature_view(), KPI, TUESDAY)
    assert found["load_profile_1d_00_06"].tolist()[0] == 1.5
    assert found["load_profile_1d_12_18"].tolist()[0] == 0.5


def test_it_looks_back_on_whole_days() -> None:
    """Seven days are needed for seven days."""
    case = use_case_with({"profile": [{"columns": ["load"]}]}, grid={"period": "1d"})
    assert lookback_days(case.feature_view(), KPI) == 7


def test_a_weekend_needs_a_week() -> None:
    """Fewer than 7 days may hold no weekend, which is refused."""
    with pytest.raises(ValidationError, match="6 days may hold no weekend"):
        use_case_with({"profile": [{"columns": ["load"], "days": 6, "weekend": True}]})
