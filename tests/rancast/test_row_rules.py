"""Row rules as masks: which rows break what; tests/tasks/test_validation.py asks GX the same."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from rancast.row_rules import as_judged, rows_breaking

FRAME = as_judged(
    pd.DataFrame(
        {
            "ms": [0.0, 10.0, -1.0, np.inf, np.nan],
            "low": [1.0, 5.0, -1.0, np.nan, np.nan],
            "n": pd.array([1, 3, 2, None, 9], dtype="Int64"),
            "kind": pd.array(["4G", "", "5g", None, "5G"], dtype="str"),
        }
    )
)


@pytest.mark.parametrize(
    "type_, kwargs, broken",
    [
        ("values_to_not_be_null", {"column": "ms"}, [0, 0, 0, 0, 1]),
        ("values_to_be_null", {"column": "n"}, [1, 1, 1, 0, 1]),
        (
            "values_to_be_between",
            {"column": "ms", "min_value": 0, "max_value": 10},
            [0, 0, 1, 1, 0],
        ),
        (
            "values_to_be_between",
            {"column": "ms", "min_value": 0, "max_value": 10, "strict_min": True},
            [1, 0, 1, 1, 0],
        ),
        (
            "values_to_be_between",
            {"column": "ms", "max_value": 10, "strict_max": True},
            [0, 1, 0, 1, 0],
        ),
        ("values_to_be_in_set", {"column": "kind", "value_set": ["4G", "5G"]}, [0, 1, 1, 0, 0]),
        ("values_to_not_be_in_set", {"column": "n", "value_set": [1, 9]}, [1, 0, 0, 0, 1]),
        ("values_to_match_regex", {"column": "kind", "regex": "^[45]G$"}, [0, 1, 1, 0, 0]),
        ("values_to_not_match_regex", {"column": "kind", "regex": "g"}, [0, 0, 1, 0, 0]),
        ("value_lengths_to_be_between", {"column": "kind", "min_value": 1}, [0, 1, 0, 0, 0]),
        ("value_lengths_to_equal", {"column": "kind", "value": 2}, [0, 1, 0, 0, 0]),
        (
            "pair_values_a_to_be_greater_than_b",
            {"column_A": "ms", "column_B": "low"},
            [1, 0, 1, 1, 0],
        ),
        (
            "pair_values_a_to_be_greater_than_b",
            {
                "column_A": "ms",
                "column_B": "low",
                "or_equal": True,
                "ignore_row_if": "either_value_is_missing",
            },
            [1, 0, 0, 0, 0],
        ),
        ("pair_values_to_be_equal", {"column_A": "ms", "column_B": "low"}, [1, 1, 0, 1, 0]),
    ],
)
def test_a_mask_names_the_rows_that_break_the_rule(
    type_: str, kwargs: dict[str, Any], broken: list[int]
) -> None:
    """Each rule marks exactly the rows that break it; an empty cell breaks "is present" alone."""
    mask = rows_breaking(FRAME, f"expect_column_{type_}", kwargs)
    assert mask.astype(int).tolist() == broken


def test_times_are_compared_as_times() -> None:
    """Bounds of a time are ISO 8601 with an offset."""
    frame = pd.DataFrame({"at": pd.to_datetime(["2024-01-01T00:00Z", "2024-01-02T00:00Z", None])})
    kwargs = {"column": "at", "min_value": "2024-01-01T12:00:00+00:00"}
    mask = rows_breaking(frame, "expect_column_values_to_be_between", kwargs)
    assert mask.tolist() == [True, False, False]
