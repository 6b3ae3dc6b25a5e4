"""Which rows break a row expectation: Great Expectations' row rules again, as boolean masks.

GX decides whether an expectation holds, but its lists of failing rows are cut short; the masks name
every one. They follow GX 1.24 on pandas to the letter: an empty cell passes every rule but
"is present", and `tests/tasks/test_validation.py` holds the two against each other for each type.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Mask = npt.NDArray[np.bool_]

# GX's types that judge single rows; those outside of ROW_RULES can only be warnings.
ROW_TYPES = frozenset(
    {
        "expect_column_pair_values_a_to_be_greater_than_b",
        "expect_column_pair_values_to_be_equal",
        "expect_column_pair_values_to_be_in_set",
        "expect_column_value_lengths_to_be_between",
        "expect_column_value_lengths_to_equal",
        "expect_column_value_z_scores_to_be_less_than",
        "expect_column_values_to_be_between",
        "expect_column_values_to_be_dateutil_parseable",
        "expect_column_values_to_be_decreasing",
        "expect_column_values_to_be_in_set",
        "expect_column_values_to_be_in_type_list",
        "expect_column_values_to_be_increasing",
        "expect_column_values_to_be_json_parseable",
        "expect_column_values_to_be_null",
        "expect_column_values_to_be_of_type",
        "expect_column_values_to_be_unique",
        "expect_column_values_to_match_json_schema",
        "expect_column_values_to_match_regex",
        "expect_column_values_to_match_regex_list",
        "expect_column_values_to_match_strftime_format",
        "expect_column_values_to_not_be_in_set",
        "expect_column_values_to_not_be_null",
        "expect_column_values_to_not_be_outliers",
        "expect_column_values_to_not_match_regex",
        "expect_column_values_to_not_match_regex_list",
        "expect_compound_columns_to_be_unique",
        "expect_multicolumn_sum_to_equal",
        "expect_multicolumn_values_to_be_equal",
        "expect_select_column_values_to_be_unique_within_record",
    }
)
UNIQUENESS_TYPES = ("expect_column_values_to_be_unique", "expect_compound_columns_to_be_unique")


def as_judged(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame in numpy types, the form in which GX and the masks both see it.

    GX walks over nullable columns cell by cell and trips over pd.NA in comparisons. Integers beyond
    2**53 lose their last digits where the column has empty cells; flags with empty cells are
    objects.
    """
    plain = {name: _plain(frame[name]) for name in frame.columns}
    return pd.DataFrame(plain, index=frame.index, copy=False)


def _plain(values: "pd.Series[Any]") -> "pd.Series[Any]":
    if isinstance(values.dtype, pd.Int64Dtype):
        return values.astype("float64" if values.hasnans else "int64")
    if isinstance(values.dtype, pd.BooleanDtype):
        if values.hasnans:
            return values.astype(object).where(values.notna(), None)
        return values.astype("bool")
    return values


def rows_breaking(frame: pd.DataFrame, type_: str, kwargs: Mapping[str, Any]) -> Mask:
    """Return True for each row of `frame` (from `as_judged`) that breaks the row expectation."""
    return np.asarray(ROW_RULES[type_](frame, **_given(kwargs)), dtype=bool)


def check_rule(
    type_: str, kwargs: Mapping[str, Any], types: Mapping[str, str] | None = None
) -> str | None:
    """Say what keeps a critical row expectation from being computed as a mask, or None.

    `types` maps columns to the dataset's types; without it only the expectation itself is judged.
    """
    if type_ in UNIQUENESS_TYPES:
        return (
            "is critical, but which duplicate to keep is the dataset's own rule; make the severity "
            "'warning' and set 'key' and 'duplicates' in the dataset's YAML"
        )
    if type_ not in ROW_RULES:
        return f"cannot be critical; make it a warning, or take one of {', '.join(ROW_RULES)}"
    try:
        inspect.signature(ROW_RULES[type_]).bind(None, **_given(kwargs))
    except TypeError as error:
        return f"cannot be critical as written: {error}"
    if types is None:
        return None
    columns = [kwargs[key] for key in ("column", "column_A", "column_B") if key in kwargs]
    for column in columns:
        allowed = COLUMN_TYPES.get(type_, ALL_TYPES)
        if types[column] not in allowed:
            return f"cannot judge {column!r} of type {types[column]}, only {', '.join(allowed)}"
    return None


def _given(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    # GX writes arguments that were left out as null in some places and leaves them out in others
    return {name: value for name, value in kwargs.items() if value is not None}


def _absent(frame: pd.DataFrame, *, column: str) -> "pd.Series[bool]":
    return frame[column].isna()


def _present(frame: pd.DataFrame, *, column: str) -> "pd.Series[bool]":
    return frame[column].notna()


def _out_of_bounds(
    frame: pd.DataFrame,
    *,
    column: str,
    min_value: Any = None,
    max_value: Any = None,
    strict_min: bool = False,
    strict_max: bool = False,
) -> "pd.Series[bool]":
    values = frame[column]
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        min_value, max_value = _as_time(min_value), _as_time(max_value)
    is_within = _within(values, min_value, max_value, strict_min, strict_max)
    return ~is_within & values.notna()


def _as_time(value: Any) -> Any:
    return value if value is None else pd.Timestamp(value)


def _within(
    values: "pd.Series[Any]", low: Any, high: Any, is_above: bool, is_below: bool
) -> "pd.Series[bool]":
    is_within = pd.Series(True, index=values.index)
    if low is not None:
        is_within &= values > low if is_above else values >= low
    if high is not None:
        is_within &= values < high if is_below else values <= high
    return is_within


def _not_in_set(frame: pd.DataFrame, *, column: str, value_set: list[Any]) -> "pd.Series[bool]":
    return frame[column].notna() & ~frame[column].isin(value_set)


def _in_set(frame: pd.DataFrame, *, column: str, value_set: list[Any]) -> "pd.Series[bool]":
    return frame[column].notna() & frame[column].isin(value_set)


def _no_match(frame: pd.DataFrame, *, column: str, regex: str) -> "pd.Series[bool]":
    return frame[column].notna() & ~_matches(frame[column], regex)


def _match(frame: pd.DataFrame, *, column: str, regex: str) -> "pd.Series[bool]":
    return frame[column].notna() & _matches(frame[column], regex)


def _matches(values: "pd.Series[Any]", regex: str) -> "pd.Series[bool]":
    return values.astype(str).str.contains(regex, na=False)


def _length_out_of_bounds(
    frame: pd.DataFrame,
    *,
    column: str,
    min_value: int | None = None,
    max_value: int | None = None,
    strict_min: bool = False,
    strict_max: bool = False,
) -> "pd.Series[bool]":
    lengths = frame[column].astype(str).str.len()
    is_within = _within(lengths, min_value, max_value, strict_min, strict_max)
    return ~is_within & frame[column].notna()


def _other_length(frame: pd.DataFrame, *, column: str, value: int) -> "pd.Series[bool]":
    return frame[column].notna() & (frame[column].astype(str).str.len() != value)


def _not_greater(
    frame: pd.DataFrame,
    *,
    column_A: str,  # noqa: N803 - GX's name
    column_B: str,  # noqa: N803 - GX's name
    or_equal: bool = False,
    ignore_row_if: str = "both_values_are_missing",
) -> "pd.Series[bool]":
    first, second = frame[column_A], frame[column_B]
    is_greater = first >= second if or_equal else first > second
    return ~is_greater & _is_judged(first, second, ignore_row_if)


def _unequal(
    frame: pd.DataFrame,
    *,
    column_A: str,  # noqa: N803 - GX's name
    column_B: str,  # noqa: N803 - GX's name
    ignore_row_if: str = "both_values_are_missing",
) -> "pd.Series[bool]":
    first, second = frame[column_A], frame[column_B]
    return ~(first == second) & _is_judged(first, second, ignore_row_if)


def _is_judged(
    first: "pd.Series[Any]", second: "pd.Series[Any]", ignore_row_if: str
) -> "pd.Series[bool]":
    if ignore_row_if == "both_values_are_missing":
        return first.notna() | second.notna()
    if ignore_row_if == "either_value_is_missing":
        return first.notna() & second.notna()
    return pd.Series(True, index=first.index)


ROW_RULES: dict[str, Callable[..., "pd.Series[bool]"]] = {
    "expect_column_pair_values_a_to_be_greater_than_b": _not_greater,
    "expect_column_pair_values_to_be_equal": _unequal,
    "expect_column_value_lengths_to_be_between": _length_out_of_bounds,
    "expect_column_value_lengths_to_equal": _other_length,
    "expect_column_values_to_be_between": _out_of_bounds,
    "expect_column_values_to_be_in_set": _not_in_set,
    "expect_column_values_to_be_null": _present,
    "expect_column_values_to_match_regex": _no_match,
    "expect_column_values_to_not_be_in_set": _in_set,
    "expect_column_values_to_not_be_null": _absent,
    "expect_column_values_to_not_match_regex": _match,
}
ALL_TYPES = ("string", "float", "integer", "boolean", "timestamp")
_MEASURES = ("float", "integer", "timestamp")
_LISTABLE = ("string", "float", "integer", "boolean")
COLUMN_TYPES: dict[str, tuple[str, ...]] = {
    "expect_column_pair_values_a_to_be_greater_than_b": _MEASURES,
    "expect_column_value_lengths_to_be_between": ("string",),
    "expect_column_value_lengths_to_equal": ("string",),
    "expect_column_values_to_be_between": _MEASURES,
    "expect_column_values_to_be_in_set": _LISTABLE,
    "expect_column_values_to_match_regex": ("string",),
    "expect_column_values_to_not_be_in_set": _LISTABLE,
    "expect_column_values_to_not_match_regex": ("string",),
}
